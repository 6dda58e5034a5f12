"""How far a measuring process came, kept where it outlasts a process that ends without a word.

A method may end its process: by a fault in a library, by ``os._exit``, by a signal. What was known
in it is gone then. So the range that was opened last is kept in a file that is mapped into memory,
which costs about 0.2 µs a range, and Python writes there where it was when a fault ended it.
"""

from __future__ import annotations

import faulthandler
import mmap
import re
import sysconfig
import traceback
from contextlib import AbstractContextManager
from pathlib import Path

from adscale.errors import MethodError, one_line
from adscale.names import IMAGE

from .annotation import Annotate

TRAIL_NAME, FAULT_NAME = "trail", "fault.txt"
"""Files in the folder of a run that is not finished."""

PHASES = {"warmup": "warm-up image", "measure": "measured image", "memory": "memory image"}
SIZE, NAME_SIZE, COUNT_SIZE = 256, 200, 8
"""Bytes of the file, of the name of a range in it, and of the number of images behind that."""


class Trail:
    """Writes down which range was opened last.

    Args:
        folder: of the files.
    """

    def __init__(self, folder: Path) -> None:
        (folder / TRAIL_NAME).write_bytes(bytes(SIZE))
        with (folder / TRAIL_NAME).open("r+b") as stream:
            self._map = mmap.mmap(stream.fileno(), SIZE)
        self._fault = (folder / FAULT_NAME).open("w", encoding="utf-8")
        faulthandler.enable(self._fault, all_threads=False)
        self._names: dict[str, bytes] = {}
        self._images = 0

    def follow(self, annotate: Annotate) -> Annotate:
        """What opens ranges, and writes down their names."""

        def opening(name: str) -> AbstractContextManager[object]:
            known = self._names.get(name)
            self._map[:NAME_SIZE] = self._padded(name) if known is None else known
            if name == IMAGE or name in PHASES:
                self._count(name)
            return annotate(name)

        return opening

    def _padded(self, name: str) -> bytes:
        padded = name.encode(errors="replace")[:NAME_SIZE].ljust(NAME_SIZE, b"\0")
        self._names[name] = padded
        return padded

    def _count(self, name: str) -> None:
        """Writes down the phase, and the number of images that were begun in it."""
        if name in PHASES:
            self._images = 0
            self._map[NAME_SIZE + COUNT_SIZE :] = name.encode().ljust(
                SIZE - NAME_SIZE - COUNT_SIZE, b"\0"
            )
        else:
            self._images += 1
        self._map[NAME_SIZE : NAME_SIZE + COUNT_SIZE] = self._images.to_bytes(COUNT_SIZE, "little")


def last_range(folder: Path) -> str:
    """Where a process was, in words: the range that it opened last, and in which image.

    Args:
        folder: of the run that is not finished.
    """
    try:
        content = (folder / TRAIL_NAME).read_bytes()
    except OSError:
        return "before it had begun"
    name = content[:NAME_SIZE].rstrip(b"\0").decode(errors="replace")
    images = int.from_bytes(content[NAME_SIZE : NAME_SIZE + COUNT_SIZE], "little")
    phase = content[NAME_SIZE + COUNT_SIZE :].rstrip(b"\0").decode(errors="replace")
    if not name:
        return "while the method was counted and built, before the first range"
    of_image = f" of {PHASES[phase]} {images}" if images and phase in PHASES else ""
    return f"in or behind the range {name!r}{of_image}"


def fault_place(folder: Path) -> str | None:
    """File and line of Python at which a fault ended a process; None where there is none.

    The innermost line that is not of an installed package, else the innermost one.

    Args:
        folder: of the run that is not finished.
    """
    try:
        text = (folder / FAULT_NAME).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    places = re.findall(r'File "(.*)", line (\d+) in (\S+)', text)
    return own_place(places)


def error_place(error: BaseException) -> str | None:
    """File and line at which an error was raised, as in ``fault_place``."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    return own_place([(one.filename, str(one.lineno), one.name) for one in frames])


_NEEDS_GRADIENTS = re.compile(r"grad_fn|requires? grad\b|inference tensor", re.IGNORECASE)
"""What torch says where somebody asks for gradients in inference mode."""


def method_error(target: str, error: Exception) -> MethodError:
    """What the user's code raises, with the place; behind it is only torch, and we.

    Args:
        target: of the method.
        error: that it has raised.
    """
    what = f"{one_line(error)} ({error_place(error)})"
    remedy = "mend the method; if it fails at some sizes only, leave these out of `resolutions`"
    if _NEEDS_GRADIENTS.search(what):
        remedy = "images run in torch's inference mode, without gradients: have it do without"
    return MethodError(target, what, remedy)


def own_place(places: list[tuple[str, str, str]]) -> str | None:
    """The first of some places that is in code of the user's, else the first; None without any.

    Args:
        places: file, line and function, the innermost first.
    """
    installed = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})
    ours = str(Path(__file__).parent)
    own = [one for one in places if not one[0].startswith((*installed, ours, "<"))]
    for file, line, function in own or places:
        return f"{file}, line {line}, in {function}"
    return None
