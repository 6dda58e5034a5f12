"""Files that appear whole or not at all, and the records among them."""

from __future__ import annotations

import errno
import json
import os
import platform
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path, PosixPath
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar

from .errors import FORBIDS, OutputError, ResultsError, reason_of, remedy_of

if TYPE_CHECKING:  # pydantic and the records take as long to import as a small profile to read
    from pydantic import ValidationError

    from .memory_record import MemoryRecord
    from .run_record import RunRecord

_MOST_LINKS = 40
"""Links that Linux follows from one path."""

AnyRecord = TypeVar("AnyRecord", "RunRecord", "MemoryRecord")


def cache_folder() -> Path:
    """The folder for what takes long to make: ``$ADSCALE_CACHE``, or one in the user's cache.

    Raises:
        RuntimeError: neither a variable nor the system says where that is.
    """
    own = os.environ.get("ADSCALE_CACHE")
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(own) if own else (Path(base) if base else Path.home() / ".cache") / "adscale"


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Writes a file under a temporary name beside it, then renames it.

    A link stays: what it points to is written. Devices and pipes, such as ``/dev/stdout``, are
    written to and never replaced.

    Args:
        path: the file; its folder is made where it is missing.
        write: fills the file that it is given, whose name ends as that of ``path`` does.

    Raises:
        OSError: the folder cannot be written or the disk is full; no file is left behind.
    """
    if _is_written_through(path):
        with TemporaryDirectory() as folder:
            temporary = Path(folder) / f"output{path.suffix}"
            write(temporary)
            # append: what a shell has redirected there is not cut off
            with temporary.open("rb") as filled, path.open("ab") as stream:
                copyfileobj(filled, stream)
        return
    path = Path(os.path.realpath(path))
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    # several machines may write to one folder, and processes of theirs have the same number
    writer = f"{platform.node()}.{os.getpid()}"
    temporary = path.with_name(f".{path.stem}.{writer}{path.suffix}")
    try:
        write(temporary)
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.filename is None:  # as of a full disk
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _is_written_through(path: Path) -> bool:
    """Whether a path is a device or a pipe, or a descriptor such as ``/dev/fd/1``.

    Raises:
        OSError: it is a disk or a socket, where no file belongs.
    """
    if path.is_block_device() or path.is_socket():
        raise OSError(errno.EINVAL, "is a disk or a socket", str(path))
    if path.exists() and not path.is_file():
        return not path.is_dir()
    link = path
    for _ in range(_MOST_LINKS):
        if re.fullmatch(r"/proc/\d+(/task/\d+)?/fd", os.path.realpath(link.parent)):
            return True
        if not link.is_symlink():
            break
        link = link.parent / link.readlink()
    return False


class OutputFile(PosixPath):
    """A file that an argument of the command line has a command write.

    Attributes:
        endings: of its name, which say its format; the first is that of devices and pipes.
    """

    endings: tuple[str, ...] = ()

    @property
    def ending(self) -> str:
        """The format in which it is written."""
        return self.known_ending or self.endings[0]

    @property
    def known_ending(self) -> str:
        """The longest of the endings that its name has; empty where it has none."""
        name = self.name.lower()
        found = [one for one in self.endings if name.endswith(one) and len(name) > len(one)]
        return max(found, key=len, default="")


def output_file(*endings: str) -> Callable[[str], OutputFile]:
    """The type of an argument that names an output.

    Args:
        endings: of the name, of which each is a format, such as ``.csv``.
    """

    def named(text: str) -> OutputFile:
        file = OutputFile(text)
        file.endings = endings
        return file

    return named


@dataclass
class _CommandFiles:
    """The files of the command that runs.

    Attributes:
        inputs: device and inode of what it reads.
        written: what it has written, links followed.
    """

    inputs: set[tuple[int, int]]
    written: set[str]


_command: ContextVar[_CommandFiles | None] = ContextVar("_command", default=None)


@contextmanager
def files_of_command(options: Mapping[str, object]) -> Iterator[None]:
    """Keeps a command from writing over its inputs, and from writing two outputs to one file.

    Args:
        options: its parsed arguments; ``OutputFile`` are outputs, other files are inputs.

    Raises:
        OutputError: an output is an input, another output or a folder, or its name has another
            ending than those of its formats.
    """
    named = [
        value
        for option in options.values()
        for value in (option if isinstance(option, list | tuple) else [option])
    ]
    token = _command.set(_CommandFiles(set(), set()))
    try:
        for value in named:
            if isinstance(value, str | Path) and not isinstance(value, OutputFile):
                note_input(Path(value))
        seen: set[str] = set()
        for value in named:
            if isinstance(value, OutputFile):
                _check_output(value, seen)
                if not _is_device(value) and not value.known_ending:
                    what = f"does not end in {' or '.join(value.endings)}"
                    raise OutputError(value, what, "the ending says the format: name it so")
                seen.add(os.path.realpath(value))
        yield
    finally:
        _command.reset(token)


def note_input(path: Path) -> None:
    """Remembers that the command which runs reads a file; it is then not written over."""
    files = _command.get()
    try:
        if files is not None and path.is_file():
            found = path.stat()
            files.inputs.add((found.st_dev, found.st_ino))
    except (OSError, ValueError):  # a text that is no path at all
        return


def _is_device(path: Path) -> bool:
    try:
        return _is_written_through(path)
    except OSError as error:
        remedy = remedy_of(error, "name a file")
        raise OutputError(path, f"cannot be written ({reason_of(error)})", remedy) from error


def _check_output(path: Path, others: Collection[str]) -> None:
    """Refuses a folder, an input of the command, and what is one of its other outputs."""
    files = _command.get()
    if path.is_dir():
        raise OutputError(path, "is a folder", "name a file")
    if _is_device(path):
        return
    if os.path.realpath(path) in others:
        raise OutputError(path, "is the name of two outputs", "give each another name")
    if files is not None and path.is_file():
        found = path.stat()
        if (found.st_dev, found.st_ino) in files.inputs:
            what = "is read by this command, and would be written over"
            raise OutputError(path, what, "name another output")


def write_output(path: Path, write: Callable[[Path], object]) -> None:
    """Writes a file that the user has asked for, as ``write_atomically`` does.

    Raises:
        OutputError: the folder does not exist or cannot be written, the file is a folder, or the
            command reads it or has written it already.
    """
    files = _command.get()
    _check_output(path, files.written if files else ())
    try:
        write_atomically(path, write)
    except OSError as error:
        remedy = "choose another output or free the disk"
        if error.errno in FORBIDS:
            remedy = "choose another output, or see to the permissions of its folder"
        raise OutputError(path, f"cannot be written ({reason_of(error)})", remedy) from error
    if files is not None:
        files.written.add(os.path.realpath(path))


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically, in UTF-8.

    Raises:
        OSError: the folder cannot be written or the disk is full; no file is left behind.
    """
    write_atomically(path, lambda temporary: temporary.write_bytes(text.encode("utf-8")))


def write_record(path: Path, record: RunRecord | MemoryRecord) -> None:
    """Writes a record atomically; its model has checked it when it was made.

    Raises:
        OSError: the folder cannot be written or the disk is full; no file is left behind.
    """
    from .models import jsonable

    write_text(path, json.dumps(jsonable(record), indent=1) + "\n")


def read_record(path: Path, model: type[AnyRecord], remedy: str) -> AnyRecord:
    """Reads a record, and checks it.

    Args:
        path: the file.
        model: of the record.
        remedy: what to do about a file that cannot be used.

    Raises:
        ResultsError: the file is missing, is no JSON, or no record of this version.
    """
    from pydantic import ValidationError

    from .models import adapter

    note_input(path)
    try:
        return adapter(model).validate_json(path.read_bytes())
    except OSError as error:
        what = f"cannot be opened ({reason_of(error)})"
        raise ResultsError(path, what, remedy_of(error, remedy)) from error
    except ValidationError as error:
        raise ResultsError(path, _violation(error, model), remedy) from error


def shown_version(path: Path) -> object:
    """The version that a record gives for itself; None where it gives none that can be read."""
    from .models import read_json

    try:
        document = read_json(path.read_bytes())
    except (OSError, ValueError):
        return None
    return document.get("schema_version") if isinstance(document, dict) else None


def _violation(error: ValidationError, model: type[RunRecord | MemoryRecord]) -> str:
    """The first fault, in words; one of the version explains all others."""
    faults = error.errors(include_url=False, include_input=False)
    if faults[0]["type"] == "json_invalid":
        return f"is no JSON ({faults[0]['ctx']['error']})"
    first = min(faults, key=lambda one: one["loc"] != ("schema_version",))
    place = ".".join(str(part) for part in first["loc"]) or "the document"
    return f"{place} violates {model.schema}.schema.json ({first['msg']})"
