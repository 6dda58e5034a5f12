"""Whatever holds a profile, as the SQLite file that everything else reads.

Reports of nsys are exported with the nsys that is found; folders and files of `nsys export` in the
formats of Arrow and Parquet have the same tables, and are copied into SQLite. What was made is kept
under a name that has a digest of what it was made of, so that it is used again only for that.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from adscale.errors import CollectorError, ProfileError, reason_of, remedy_of
from adscale.files import cache_folder, note_input, write_atomically
from adscale.nsys_program import ENVIRONMENT_VARIABLE, find_nsys

REPORTS = (".nsys-rep", ".qdrep")
"""Endings of reports of nsys; those before nsys 2021.4 end in `.qdrep`."""

FOLDER = ".adscale"
"""Folder beside a profile in which its copy in SQLite is kept."""

_ARROW_STREAM = b"\xff\xff\xff\xff"
_FORM = 1
"""Of the copies in SQLite; rises when they are made in another way."""
_SAMPLE_BYTES, _SAMPLES = 1 << 16, 16
_STALE_AFTER_S = 3600.0
"""Age of a copy of an earlier content from which on nobody is taken to be reading it."""

Kind = Literal["sqlite", "report", "parquet", "arrow folder", "arrow"]


def kind_of(path: Path) -> Kind:
    """What a profile is stored as; what is nothing of ours counts as SQLite, which is refused then.

    Raises:
        ProfileError: it is a folder without tables, or one table of a folder.
    """
    if path.is_dir():
        endings = {file.suffix for file in path.iterdir()}
        if ".parquet" in endings:
            return "parquet"
        if ".arrow" in endings:
            return "arrow folder"
        remedy = "name a profile: a report of nsys, or what nsys export makes of one"
        raise ProfileError(path, "is a folder without tables of nsys export", remedy)
    if path.suffix in REPORTS and path.is_file():
        return "report"
    if path.suffix == ".parquet" and path.is_file():
        what = "is one table of an export; the profile is the whole folder"
        raise ProfileError(path, what, f"name {path.parent}")
    if not path.is_file():  # a pipe is never opened: that waits for whoever writes to it
        return "sqlite"
    try:
        with path.open("rb") as file:
            begin = file.read(len(_ARROW_STREAM))
    except OSError:
        return "sqlite"  # refused with its reason by who opens it
    return "arrow" if begin == _ARROW_STREAM else "sqlite"


def sqlite_of(
    path: Path, folder: Path | None = None, tell: Callable[[str], object] | None = None
) -> Path:
    """The SQLite file with the tables of a profile: the profile itself, or a copy of it.

    A copy lies in a folder `.adscale` beside the profile, or in the user's cache where that folder
    cannot be written. It is made again when the content, the size or the time of the profile has
    changed, and stands there whole or not at all.

    Args:
        path: SQLite export, report of nsys, or export in Arrow or Parquet.
        folder: where copies are kept instead.
        tell: is told what is being done, if that may take long.

    Raises:
        ProfileError: it cannot be read or exported, or the copy not be written.
        CollectorError: there is no nsys to export a report.
    """
    kind = kind_of(path)
    if kind == "sqlite":
        return path
    tell = tell or (lambda text: print(text, file=sys.stderr))
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    for file in files:
        note_input(file)
    try:
        signature = signature_of(files)
    except OSError as error:
        what = f"the profile cannot be opened ({reason_of(error)})"
        raise ProfileError(path, what, remedy_of(error, "name a profile")) from error
    problem: OSError | None = None
    for place in [folder] if folder else [path.absolute().parent / FOLDER, _in_cache()]:
        copy = place / f"{path.name}-{signature}.sqlite"
        if copy.is_file():
            return copy
        try:
            place.mkdir(parents=True, exist_ok=True)
            tell(f"exporting {path} to {copy}")
            write_atomically(copy, lambda temporary: _make(kind, path, files, temporary))
        except OSError as error:
            problem = error
            continue
        if signature_of(files) != signature:
            copy.unlink(missing_ok=True)
            what = "was written to while it was exported"
            raise ProfileError(path, what, "try again when it is finished")
        _forget_earlier(path, copy)
        return copy
    if problem is None:
        raise AssertionError
    what = f"its copy in SQLite cannot be written to {problem.filename} ({reason_of(problem)})"
    raise ProfileError(path, what, "name a folder with --exports") from problem


def signature_of(files: Sequence[Path]) -> str:
    """A digest of the names, sizes, times and of samples of the content of files.

    Two states of a file have one signature only if its size and both of its times (that of the
    change of its attributes cannot be set) are equal, and what is looked at of the content is.
    """
    digest = hashlib.sha256(f"{_FORM}".encode())
    for file in files:
        with file.open("rb") as opened:
            found = os.fstat(opened.fileno())
            state = (file.name, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
            digest.update(repr(state).encode())
            for at in _places(found.st_size, 1 if len(files) > 1 else _SAMPLES):
                opened.seek(at)
                digest.update(opened.read(_SAMPLE_BYTES))
    return digest.hexdigest()[:24]


def _places(size: int, samples: int) -> Iterator[int]:
    """Begins of the samples of a file; the first and the last ones are its begin and its end."""
    last = max(size - _SAMPLE_BYTES, 0)
    yield from sorted({last * number // max(samples - 1, 1) for number in range(samples)})


def _in_cache() -> Path:
    return cache_folder() / "exports"


def _forget_earlier(path: Path, copy: Path) -> None:
    """Remove the copies of what the profile was before."""
    begin, end = f"{path.name}-", ".sqlite"
    for other in copy.parent.iterdir():
        middle = other.name.removeprefix(begin).removesuffix(end)
        is_copy = other.name == f"{begin}{middle}{end}" and len(middle) == 24
        try:
            if is_copy and other != copy and time.time() - other.stat().st_mtime > _STALE_AFTER_S:
                other.unlink()
        except OSError:  # somebody else's
            continue


def _make(kind: Kind, path: Path, files: Sequence[Path], output: Path) -> None:
    if kind == "report":
        _export(path, output)
        return
    from .arrow_export import copy_tables

    copy_tables(path, files, output, kind)


def _export(report: Path, output: Path) -> None:
    """Export a report with the nsys that is found."""
    nsys = find_nsys(None)
    if nsys is None:
        what = f"is a report, which only nsys can read, and none is in {ENVIRONMENT_VARIABLE}, "
        what += "on PATH or at its usual places"
        remedy = "install nsight-systems-cli, or export it elsewhere: nsys export --type sqlite"
        raise CollectorError(str(report), what, remedy)
    options = ["--type=sqlite", "--force-overwrite=true", "--quiet=true", f"--output={output}"]
    done = subprocess.run(
        [str(nsys), "export", *options, str(report)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode != 0 or not output.is_file():  # an exit code of 0 promises no file
        said = " ".join(done.stdout.decode(errors="replace").split()) or f"code {done.returncode}"
        what = f"{nsys} could not export it ({said})"
        remedy = "is it whole, and of this nsys or an older one? A newer nsys reads more"
        raise ProfileError(report, what, remedy)
