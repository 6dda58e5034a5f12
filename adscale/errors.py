"""Errors that a user can cause and mend; the command line prints them as one line."""

from __future__ import annotations

import errno
import os


def one_line(error: BaseException) -> str:
    """An exception in a line: one of ours as it stands, else with its class.

    An exception of somebody else's may fail when it is asked for its text, and the name of a file
    in it may have bytes that are no UTF-8.
    """
    name = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - whatever the user's code does
        text = "its text cannot be read"
    return printable(" ".join(f"{name}{text}".split()).removesuffix(":"))


FORBIDS = (errno.EACCES, errno.EPERM, errno.EROFS)
"""What the system answers where somebody may not do a thing."""


def remedy_of(error: OSError, otherwise: str) -> str:
    """What to do about a file that the system refuses: where it forbids it, nothing else helps.

    Args:
        error: of the system.
        otherwise: the remedy where the reason is another.
    """
    return "see to its permissions" if error.errno in FORBIDS else otherwise


def reason_of(error: OSError) -> str:
    """Why the system refuses a file, in its own words, whatever a library says around them."""
    return os.strerror(error.errno) if error.errno else str(error.strerror or error)


MOST_SHOWN = 200
"""Characters of a value in a message."""


def shown(value: object) -> str:
    """A value in a message, in full where that is short."""
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def printable(text: str) -> str:
    """A text that UTF-8 can take: ``?`` stands for bytes that are none."""
    return text.encode(errors="replace").decode()


class UserError(Exception):
    """Something the user can mend.

    Args:
        where: the place: a key path of the configuration, a file, a column, an argument.
        what: what is wrong there.
        remedy: what to do about it.
    """

    def __init__(self, where: object, what: str, remedy: str) -> None:
        super().__init__(str(where), what, remedy)
        self.where = str(where)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}; {self.remedy}"
        return " ".join(text.split())  # one line, whatever a library put into its message


class ConfigError(UserError):
    """A key of the configuration, or an argument of the command line, cannot be used."""


class UnsupportedResolutionError(UserError):
    """The architecture does not run at this resolution."""


class WeightsError(UserError):
    """A checkpoint cannot be read, or does not fit the architecture."""


class MethodError(UserError):
    """A method of the user's fails, or ends its process, while it is built or run."""


class ImageFolderError(UserError):
    """A folder holds no image that can be read."""


class CollectorError(UserError):
    """The profiler that was asked for cannot record here."""


class DeviceError(UserError):
    """The device that was asked for cannot be used here."""


class ProfileError(UserError):
    """A profile cannot be read, or does not hold what its run promises."""


class ResultsError(UserError):
    """A table or a JSON file of the results cannot be used."""


class OutputError(UserError):
    """A result cannot be written where it was asked for."""


class ArgumentError(UserError):
    """Arguments of the command line contradict each other."""
