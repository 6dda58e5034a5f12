"""What the commands of both parts share: faults in one line, and output that any stream takes."""

from __future__ import annotations

import argparse
import errno
import io
import os
import re
import signal
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from .errors import FORBIDS, ArgumentError, UserError
from .files import files_of_command
from .interrupts import EXIT_CODE, SAID, InterruptedByUser, raised_interrupts
from .parts import COMMANDS, IS_INSTALLED


class Parser(argparse.ArgumentParser):
    """Refuses an option that is given twice with different values, of which the last would win.

    Subcommands have parsers of this class, too. Names are not shortened: a part of one may soon be
    that of another.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **settings})
        self.register("action", None, _Once)
        self.register("action", "store", _Once)

    def convert_arg_line_to_args(self, arg_line: str) -> list[str]:
        """The argument that a line of a file of arguments is; an empty one is none."""
        return [arg_line] if arg_line else []

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """See ``argparse``; a file of arguments that is no text is an error of the user's."""
        try:
            return super().parse_known_args(args, namespace)
        except UnicodeDecodeError as error:
            self.error(f"a file of arguments (@FILE) is not in UTF-8 (byte {error.start + 1})")


class _Once(argparse.Action):
    """Keeps a value, and sees whether it has kept another one before."""

    _seen: tuple[argparse.Namespace, Any] | None = None

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        del parser
        if option_string and self._seen and self._seen[0] is namespace and self._seen[1] != values:
            several = isinstance(self.nargs, int) or self.nargs in ("+", "*")
            remedy = "write all values behind one" if several else "leave one of them out"
            raise argparse.ArgumentError(self, f"is given twice, with other values; {remedy}")
        self._seen = (namespace, values)
        setattr(namespace, self.dest, values)


class Switch(argparse.BooleanOptionalAction):
    """A switch and its opposite with ``--no-`` before it, of which only one may be given."""

    _seen: tuple[argparse.Namespace, str] | None = None

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """See ``argparse``."""
        given = option_string or ""
        if self._seen and self._seen[0] is namespace and self._seen[1] != given:
            what = f"{self._seen[1]} and {given} are both given; leave one of them out"
            raise argparse.ArgumentError(None, what)
        self._seen = (namespace, given)
        super().__call__(parser, namespace, values, option_string)


def named_folder(text: str) -> Path:
    """The type of an argument: a folder, which need not be there.

    Raises:
        argparse.ArgumentTypeError: the text is empty.
    """
    if not text:
        raise argparse.ArgumentTypeError("no folder is named")
    return Path(text)


def flag(option: str) -> str:
    """An option as it is written on the command line."""
    return f"-{option}" if len(option) == 1 else f"--{option.replace('_', '-')}"


def refuse_idle(options: argparse.Namespace, needs: Mapping[str, str]) -> None:
    """Refuses options that would do nothing, which is not what somebody gives them for.

    Args:
        options: of a command.
        needs: options that are None unless they are given, and for each the one that it goes with.

    Raises:
        ArgumentError: one is given without that.
    """
    for option, needed in needs.items():
        other = getattr(options, needed)
        if getattr(options, option) is not None and (other is None or other is False):
            what = f"goes with {flag(needed)}, and does nothing without"
            raise ArgumentError(flag(option), what, "add that, or leave it out")


def prepare_streams() -> None:
    """Lets standard output and error take any text: ``?`` stands for what they cannot encode.

    A terminal or a log may take ASCII or Latin-1 only. Files are written in UTF-8 all the same.
    A stream that the caller closed (``>&-``, some daemons) is opened to nowhere: the next file that
    is opened would have its number otherwise, and get what programs started from here print.
    """
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            _point_to_nowhere(number)
            setattr(sys, name, os.fdopen(number, "w", errors="replace", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


@contextmanager
def restored_streams(*, aside: bool = False) -> Iterator[None]:
    """Has standard output and error be afterwards what they were, whatever runs meanwhile.

    A method of the user's may replace them, close them, or print to them.

    Args:
        aside: whether what is printed to standard output meanwhile goes to standard error.
    """
    kept = [_Stream(1, "stdout"), _Stream(2, "stderr")]
    if aside:
        sys.stdout.flush()
        sys.stdout = sys.stderr
        os.dup2(2, 1)
    try:
        yield
    finally:
        for stream in kept:
            stream.restore()


class _Stream:
    """A standard stream, with a second descriptor of it."""

    def __init__(self, number: int, name: str) -> None:
        self._number, self._name = number, name
        self._stream: TextIO = getattr(sys, name)
        self._spare = os.dup(number)

    def restore(self) -> None:
        """Gives its number and its name back to it."""
        with suppress(AttributeError, OSError, ValueError):  # of what has taken its place
            getattr(sys, self._name).flush()
        with suppress(OSError):  # the spare one is closed, too, where all files were
            os.dup2(self._spare, self._number)
            os.close(self._spare)
        if self._stream.closed:
            self._stream = os.fdopen(self._number, "w", errors="replace", closefd=False)
        setattr(sys, self._name, self._stream)


@contextmanager
def told_of_missing(part: str) -> Iterator[None]:
    """Ends in one line where a package is not installed that a command needs.

    A wheel brings with it what reading profiles needs; the rest are extras, named like the parts.

    Args:
        part: whose command runs.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "adscale", *COMMANDS):
            raise
        remedy = f"pip install 'adscale[{part}]'" if IS_INSTALLED else "make setup"
        print(
            f"error: this command needs the Python package {package}, which is not installed; "
            f"{remedy} installs it",
            file=sys.stderr,
        )
        raise SystemExit(2) from None


def run_command(
    command: Callable[[], int | None],
    options: Mapping[str, object],
    ending: Sequence[signal.Signals] = (),
) -> int:
    """Runs a command; a fault of the user's ends in one line.

    Args:
        command: returns its exit code; None is 0.
        options: its parsed arguments.
        ending: signals that end it as Ctrl-C does.

    Returns:
        The exit code: 2 for a fault of the user's, 1 where the reader of a pipe has gone or the
        system refuses a file, 130 where the user has interrupted it.
    """
    try:
        with raised_interrupts(ending), files_of_command(options):
            returncode = command() or 0
            sys.stdout.flush()
            return returncode
    except UserError as error:
        print(f"error: {_as_called(str(error))}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except KeyboardInterrupt as error:
        print(SAID, file=sys.stderr)
        return error.exit_code if isinstance(error, InterruptedByUser) else EXIT_CODE
    except OSError as error:
        if error.filename is None and error.errno not in {*_TAKES_NO_MORE, *_LACKS}:
            raise
        of_output = error.filename is None and _is_of_output()
        print(f"error: {_words(error, of_output=of_output)}", file=sys.stderr)
        if of_output:
            _point_to_nowhere(1)  # what is left in its buffer is written when Python ends
        return 1


def _as_called(text: str) -> str:
    """A message with commands as they are called where this is installed."""
    return (
        re.sub(r"python -m (profiling|analysis)\b", r"adscale \1", text) if IS_INSTALLED else text
    )


_TAKES_NO_MORE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_LACKS = (errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE)


def _words(error: OSError, *, of_output: bool) -> str:
    """What the system refused, where, and what to do about it, in a line."""
    remedies = {
        **dict.fromkeys(_TAKES_NO_MORE, "free the disk, or name another place"),
        **dict.fromkeys(_LACKS, "end other programs, or ask for higher limits"),
        **dict.fromkeys(FORBIDS, "see to its permissions, or name another place"),
    }
    where = "the system"
    if error.filename is not None:
        where = os.fsdecode(error.filename)
    elif error.errno in _TAKES_NO_MORE:
        where = "standard output" if of_output else "a file"
    remedy = remedies.get(error.errno or 0, "see whether it is there, and what it is")
    return " ".join(f"{where}: {error.strerror or error}; {remedy}".split())


def _is_of_output() -> bool:
    """Whether standard output takes no more: an error of a stream does not say of which."""
    try:
        kind = os.fstat(1).st_mode
        if stat.S_ISREG(kind) or (stat.S_ISCHR(kind) and not os.isatty(1)):
            os.write(1, b"\n")
    except OSError:
        return True
    return False


def _point_to_nowhere(number: int) -> None:
    """Lets a standard stream, by its number, write to nothing."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if nowhere != number:
        os.dup2(nowhere, number)
        os.close(nowhere)
