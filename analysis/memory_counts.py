"""The counts of `memory.json` files, one at a time for every resolution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from adscale.errors import ResultsError
from adscale.files import read_record
from adscale.memory_record import MemoryCount, MemoryRecord

_REMEDY = "count again with python -m profiling memory"


class Count(NamedTuple):
    """The counts of one method and variant at one resolution.

    Attributes:
        method: the user's label.
        variant: implementation and precision.
        resolution_px: side length of the square image.
        device_type: where the inference is thought to happen, cpu or cuda.
        content: what was counted.
    """

    method: str
    variant: str
    resolution_px: int
    device_type: str
    content: MemoryCount

    @property
    def key(self) -> tuple[str, str, int]:
        """The key that tells this count from the others of a study."""
        return self.method, self.variant, self.resolution_px


def read_counts(paths: Sequence[Path]) -> list[Count]:
    """Read counts, sorted by method, variant and resolution.

    Args:
        paths: `memory.json` files.

    Raises:
        ResultsError: a file is missing or no record of this version, or two files count the
            same method, variant and resolution.
    """
    owner: dict[tuple[str, str, int], Path] = {}
    counts: list[Count] = []
    for path in paths:
        for count in _counts(path):
            _check_first(count, path, owner)
            counts.append(count)
    return sorted(counts, key=lambda count: count.key)


def _counts(path: Path) -> Iterator[Count]:
    record = read_record(path, MemoryRecord, _REMEDY)
    for content in record.resolutions:
        yield Count(
            method=record.method,
            variant=record.variant,
            resolution_px=content.resolution_px,
            device_type=record.device_type,
            content=content,
        )


def _check_first(count: Count, path: Path, owner: dict[tuple[str, str, int], Path]) -> None:
    if count.key in owner:
        where = "twice" if owner[count.key] == path else f"in {owner[count.key]} too"
        what = f"{' '.join(map(str, count.key))} px is counted {where}"
        raise ResultsError(path, what, "name one of the two counts only")
    owner[count.key] = path
