"""What was attributed of a large profile, kept in the user's cache for further questions to it.

A file holds the sums of each path, and of each range when it was open, its path, and the figures of
the work launched in it. Another depth, order, or part of the paths is answered from the sums. In a
window of time the figures of ranges that lie wholly in it are those of the whole profile; only the
few that are open at its ends are attributed again, with the work of the window.
"""

from __future__ import annotations

import hashlib
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from adscale.files import cache_folder

from ..array_files import Array, ArrayFile, KeptFiles, write_arrays
from ..attribution.kernel_names import KernelStatistics
from ..attribution.sums import inside_sums
from ..nsys.inputs import signature_of
from ..nsys.records import Profile, narrow
from .coverage import facts_of
from .kernel_table import names_of
from .path_sums import Columns, sizes_of
from .questions import extent_of
from .work import KINDS, Kind, ProfileWork

LEAST_BYTES = 64 << 20
"""Size of a profile from which on it is kept; less is soon read again."""

MOST_BYTES = 8 << 30
"""Of all files together."""

SETTLED_S = 2.0
"""Time since a profile was last changed from which on a later change shows in its times."""

_FORM = 1
SIZED = ("copies", "memsets")
"""Kinds of work whose bytes are known."""


class Kept(NamedTuple):
    """What is kept of a profile.

    Attributes:
        key: of the file.
        file: its arrays.
    """

    key: str
    file: ArrayFile


def _files() -> KeptFiles:
    return KeptFiles(cache_folder() / "attributed", MOST_BYTES)


def key_of(sqlite: Path) -> str | None:
    """The name under which what is attributed of a profile is kept; None: do not keep it.

    It depends on the file's size, its times and samples of its content (reading all of a large one
    takes longer than an answer may take), and on the code that attributes. A file that has just
    been changed may change again without a change of its times: it has no key. A small one has
    none either.
    """
    try:
        state = sqlite.stat()
        if state.st_size < LEAST_BYTES:
            return None
        signature = signature_of([sqlite.resolve()])
        beside = [Path(f"{sqlite}{end}") for end in ("-wal", "-journal")]
        if any(file.exists() and file.stat().st_size for file in beside):
            return None
    except OSError:
        return None
    if time.time() - max(state.st_mtime, state.st_ctime) < SETTLED_S:
        return None
    digest = hashlib.sha256(f"{_FORM} {sqlite.resolve()} {signature}".encode())
    for file in sorted(Path(__file__).parents[1].glob("*/*.py")):
        code = file.stat()
        digest.update(f"{file.name} {code.st_size} {code.st_mtime_ns}".encode())
    return digest.hexdigest()[:32]


def find(key: str) -> Kept | None:
    """What is kept under a key; None for nothing."""
    found = _files().find(key)
    return None if found is None else Kept(key, found)


def forget(kept: Kept) -> None:
    """Remove what turned out to be damaged."""
    _files().forget(kept.key)


def is_kept(profile: Profile) -> bool:
    """Whether a profile has nothing that a file cannot hold.

    That are ranges that cross threads, samples of power and copies of unknown size.
    """
    knows_sizes = all(bool(sizes_of(getattr(profile, kind))[1].all()) for kind in SIZED)
    return knows_sizes and not profile.cross_thread_ranges and profile.power == (None, "")


def keep(
    key: str, sqlite: Path, work: ProfileWork, columns: Columns, found: KernelStatistics | None
) -> bool:
    """Keep what was attributed of a profile; False where that cannot be.

    Args:
        key: of the profile before it was read.
        sqlite: the profile, which must not have changed since.
        work: all of it, see `is_kept`.
        columns: its sums by path.
        found: its kernels by path and name; None: they were not asked for.
    """
    if key_of(sqlite) != key:
        return False
    meta, arrays = _stored(work, columns, found)
    size = sum(array.nbytes for array in arrays.values())
    return _files().keep(key, partial(write_arrays, meta=meta, arrays=arrays), size)


def _stored(
    work: ProfileWork, columns: Columns, found: KernelStatistics | None
) -> tuple[dict[str, Any], dict[str, Array]]:
    nesting = work.nesting
    arrays: dict[str, Array] = {
        "start": nesting.start_ns,
        "end": nesting.end_ns(slice(None)),
        "host": narrow(nesting.end_ns(slice(None)) - nesting.start_ns),
        "path": narrow(work.paths.code[nesting.order]),
        "parent": work.paths.parent,
        **{f"sum {name}": column for name, column in columns.items()},
    }
    for kind in KINDS:
        arrays |= _of_kind(work, kind)
    if found is not None:
        arrays |= {f"kernel {name}": column for name, column in found._asdict().items()}
    facts = facts_of(work)
    meta = {
        "facts": {**facts._asdict(), "capture": vars(facts.capture)},
        "labels": [str(label) for label in work.paths.label.tolist()],
        "threads": [list(thread) for thread in nesting.threads],
        "call threads": work.profile.calls.thread.distinct.tolist(),
        "coverage": {kind: list(work.kinds[kind].coverage) for kind in KINDS},
        "extent": extent_of(work.profile),
        "names": None if found is None else names_of(work).tolist(),
    }
    return meta, arrays


def _of_kind(work: ProfileWork, kind: Kind) -> dict[str, Array]:
    """The figures of the ranges with work of a kind, and of each operation its launch."""
    own, calls = work.kinds[kind], work.profile.calls
    found, launch, operations = own.found, own.launch, own.operations
    at = np.maximum(launch, 0)
    none = len(calls) == 0
    arrays: dict[str, Array] = {
        "worked": own.worked,
        "intervals": narrow(found.intervals),
        "total": narrow(found.total_ns),
        "busy": narrow(found.busy_ns),
        "first": found.first_ns,
        "span": narrow(found.span_ns),
        "begin": operations.start_ns,
        "end": operations.end_ns,
        "call begin": operations.start_ns if none else calls.start_ns[at],
        "call end": operations.end_ns if none else calls.end_ns[at],
        "call thread": np.where(launch < 0, -1, 0 if none else calls.thread.code[at]).astype(
            np.int32
        ),
        "innermost": own.innermost,
    }
    if kind in SIZED:
        sizes, _ = sizes_of(operations)
        arrays["size"] = sizes
        arrays["sizes"] = inside_sums(work.nesting, calls, launch, sizes)[1]
    return {f"{kind} {name}": array for name, array in arrays.items()}
