"""What is kept of a profile, as a whole and in a window of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..array_files import Array, ArrayFile
from ..attribution.attribute import Coverage, coverage_of
from ..attribution.inside import inside, launches_of
from ..attribution.intervals import IntervalStatistics, empty_statistics
from ..attribution.kernel_names import KernelStatistics
from ..attribution.nesting import nest
from ..attribution.range_tree import PathTree
from ..attribution.slices import slice_statistics
from ..attribution.sums import inside_sums
from ..nsys.records import (
    Bools,
    Calls,
    Capture,
    Coded,
    Forgotten,
    Int64s,
    Operations,
    Ranges,
    strings,
)
from .coverage import Facts, NestedOtherwise
from .kept import SIZED
from .path_sums import Columns, Part, columns_of, exclusive_sums, summed
from .patterns import matching_paths
from .questions import Window, check_window, clipped_ns
from .work import KINDS, Kind

_CHUNK = 1 << 20
_FOUND = ("intervals", "total", "busy", "first", "span")


class Whole:
    """What is kept of a profile, in our own types."""

    def __init__(self, file: ArrayFile) -> None:
        self.file = file
        meta = file.meta
        no_code = np.empty(0, np.int32)
        self.paths = PathTree(no_code, file["parent"], strings(meta["labels"]))
        facts = dict(meta["facts"])
        capture: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in facts.pop("capture").items()
        }
        facts["forgotten"] = tuple(Forgotten(*one) for one in facts["forgotten"])
        facts["nested_otherwise"] = [NestedOtherwise(*one) for one in facts["nested_otherwise"]]
        self.facts = Facts(Capture(**capture), **facts)
        self.names: list[str] | None = meta["names"]
        self.threads: list[tuple[int, int, int]] = [tuple(row[:3]) for row in meta["threads"]]
        self.overlap = any(row[3] for row in meta["threads"])
        self.extent: Sequence[int] | None = meta["extent"]

    def sums(self) -> Columns:
        """The sums of each path over the whole profile."""
        return {
            name.removeprefix("sum "): self.file[name]
            for name in self.file
            if name.startswith("sum ")
        }

    def rows_inside(self, patterns: Sequence[str]) -> Bools:
        """Whether each path is one that is asked for, or is inside one of these."""
        found = np.ones(len(self.paths.parent), np.bool_)
        if patterns:
            found = matching_paths(self.paths, patterns, "--inside")
            for number, parent in enumerate(self.paths.parent.tolist()):  # parents come first
                if parent >= 0 and found[parent]:
                    found[number] = True
        return found

    def kernels(self, row: Bools) -> KernelStatistics:
        """The kernels of some paths by their names."""
        columns = [self.file[f"kernel {name}"] for name in KernelStatistics._fields]
        at = np.flatnonzero(row[columns[0]])
        return KernelStatistics(*(column[at] for column in columns))

    def operations(self, kind: Kind) -> Operations:
        """The operations of a kind, without all that is not kept."""
        start_ns, end_ns = self.file[f"{kind} begin"], self.file[f"{kind} end"]
        none = Coded(np.zeros(1, np.int64), np.zeros(len(start_ns), np.int8))
        return Operations(start_ns, end_ns, none, none.code, none)

    def coverage(self, kind: Kind, row: Bools | None, part: Windowed | None) -> Coverage:
        """Operations of a kind that belong to no range, or to none of a path that has a row."""
        if row is None and part is None:
            return Coverage(*self.file.meta["coverage"][kind])
        at = slice(None) if part is None else part.operations[kind]
        innermost = self.file[f"{kind} innermost"][at]
        belongs = innermost >= 0
        if row is not None:
            belongs[belongs] = row[self.file["path"][innermost[belongs]]]
        operations = self.operations(kind)
        launch = self.file[f"{kind} call thread"][at]
        return coverage_of(operations if part is None else operations.select(at), launch, belongs)


class Windowed:
    """The part of a profile in a window of time.

    Attributes:
        operations: positions of the operations of each kind that were launched in it.
        left_out: number of the others.
    """

    def __init__(self, whole: Whole, window: Window) -> None:
        check_window(window, whole.extent)
        self.whole = whole
        self.first_ns, self.end_ns = window
        self.operations: dict[Kind, Int64s] = {}
        self.left_out: dict[str, int] = {}
        for kind in KINDS:
            start_ns = whole.file[f"{kind} begin"]
            is_launched = whole.file[f"{kind} call thread"] >= 0
            moment_ns = np.where(is_launched, whole.file[f"{kind} call begin"], start_ns)
            at = np.flatnonzero(self._holds(moment_ns))
            self.operations[kind] = at
            self.left_out[kind] = len(start_ns) - len(at)
        self._find_ranges()

    def _holds(self, moment_ns: Int64s) -> Bools:
        found = np.ones(len(moment_ns), np.bool_)
        if self.first_ns is not None:
            found &= moment_ns >= self.first_ns
        if self.end_ns is not None:
            found &= moment_ns < self.end_ns
        return found

    def _find_ranges(self) -> None:
        """The places of ranges that begin in the window, and of those that are open at its ends."""
        start_ns, end_ns = self.whole.file["start"], self.whole.file["end"]
        self.begun: list[slice] = []
        open_before, open_behind = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for _, first, last in self.whole.threads:
            low, high = first, last
            if self.first_ns is not None:
                low = first + int(np.searchsorted(start_ns[first:last], self.first_ns, "left"))
                open_before.append(np.flatnonzero(end_ns[first:low] > self.first_ns) + first)
            if self.end_ns is not None:
                high = first + int(np.searchsorted(start_ns[first:last], self.end_ns, "left"))
                open_behind.append(np.flatnonzero(end_ns[low:high] >= self.end_ns) + low)
            self.begun.append(slice(low, high))
        self.open_before = np.concatenate(open_before)
        self.cut = np.sort(np.concatenate([self.open_before, *open_behind]))

    def partial(self, row: Bools) -> int:
        """Ranges that have a row, and of which a part lies outside of the window."""
        path, end_ns = self.whole.file["path"], self.whole.file["end"]
        later = self.cut if self.end_ns is None else self.cut[end_ns[self.cut] > self.end_ns]
        places = np.union1d(self.open_before, later if self.end_ns is not None else later[:0])
        return int(row[path[places]].sum())

    def columns(self) -> Columns:
        """The sums of each path over what is in the window."""
        group, paths = self.whole.file["path"], len(self.whole.paths.parent)
        at = self.operations["kernels"]
        start_ns, end_ns, innermost = (
            self.whole.file[f"kernels {name}"][at] for name in ("begin", "end", "innermost")
        )
        exclusive_ns = exclusive_sums(start_ns, end_ns, innermost, group, paths)
        parts = {kind: self._part(kind, group, paths) for kind in KINDS}
        return columns_of(self._host(group, paths), parts, exclusive_ns, group, paths)

    def _host(self, group: Array, paths: int) -> Columns:
        calls, host_ns = np.zeros(paths, np.int64), np.zeros(paths, np.int64)
        first_place = np.full(paths, len(group), np.int64)
        file = self.whole.file
        chunks: list[Any] = [
            slice(begin, min(begin + _CHUNK, places.stop))
            for places in self.begun
            for begin in range(places.start, places.stop, _CHUNK)
        ]
        for at in reversed(chunks):
            own = group[at].astype(np.intp)
            calls += np.bincount(own, minlength=paths)
            host_ns += summed(own, file["host"][at], paths)
            _note_first(first_place, own, np.arange(at.start, at.stop))
        before, cut = self.open_before, self.cut
        if len(before):
            calls += np.bincount(group[before], minlength=paths)
            host_ns += summed(group[before], file["host"][before].astype(np.int64), paths)
            _note_first(first_place, group[before], before)
        if len(cut):  # of what is open at the ends only the part in the window counts
            start_ns, end_ns = file["start"][cut], file["end"][cut]
            inside_ns = clipped_ns(start_ns, end_ns, Window(self.first_ns, self.end_ns))
            host_ns += summed(group[cut], inside_ns - (end_ns - start_ns), paths)
        return {"calls": calls, "host_ns": host_ns, "first": first_place}

    def _part(self, kind: Kind, group: Array, paths: int) -> Part:
        """The work of a kind in the ranges of the window, by their places."""
        file = self.whole.file
        worked = file[f"{kind} worked"]
        again = self._again(kind)
        pieces = self._pieces(worked, again.place)

        def joined(kept: Array, anew: Int64s) -> Int64s:
            parts = [anew[at] if is_anew else kept[at] for is_anew, at in pieces]
            return np.concatenate([np.empty(0, np.int64), *parts], dtype=np.int64)

        found = again.found._replace(last_ns=again.found.span_ns)
        columns = [
            joined(file[f"{kind} {name}"], values)
            for name, values in zip(_FOUND, found, strict=True)
        ]
        columns[4] += columns[3]  # the end is kept as the distance from the start
        places = joined(worked, again.place)
        size_bytes = None
        if kind in SIZED:
            sizes = joined(file[f"{kind} sizes"], again.sizes)
            size_bytes = summed(group[places], sizes, paths)
        return Part(places, IntervalStatistics(*columns), size_bytes)

    def _pieces(self, worked: Array, anew: Int64s) -> list[tuple[bool, slice]]:
        """What the work of the window consists of: kept figures, and those that are made anew.

        Args:
            worked: places of the ranges with kept figures.
            anew: places of the ranges whose figures are made anew, all of which are among `cut`.

        Returns:
            Slices of either, in the order of the places; whether they are made anew.
        """
        number = {place: at for at, place in enumerate(anew.tolist())}
        at_cut = np.searchsorted(worked, self.cut.astype(worked.dtype))
        is_kept = at_cut < len(worked)
        is_kept[is_kept] = worked[at_cut[is_kept]] == self.cut[is_kept]
        rows = list(zip(self.cut.tolist(), at_cut.tolist(), is_kept.tolist(), strict=True))
        pieces, next_row = [], 0
        for begun, (_, _, last) in zip(self.begun, self.whole.threads, strict=True):
            edges = np.array([begun.start, begun.stop], worked.dtype)
            cursor, end = np.searchsorted(worked, edges).tolist()
            while next_row < len(rows) and rows[next_row][0] < last:
                place, at, has_figures = rows[next_row]
                next_row += 1
                if place >= begun.start:
                    pieces.append((False, slice(cursor, at)))
                    cursor = at + has_figures
                if place in number:
                    pieces.append((True, slice(number[place], number[place] + 1)))
            pieces.append((False, slice(cursor, end)))
        return pieces

    def _again(self, kind: Kind) -> _Again:
        """The work of the window in the ranges that are open at its ends."""
        file, at = self.whole.file, self.operations[kind]
        thread = file[f"{kind} call thread"][at]
        if not len(at) or not len(self.cut):
            return _Again(np.empty(0, np.int64), empty_statistics(0), np.empty(0, np.int64))
        nesting = nest(self._cut_ranges())
        calls = Calls(
            file[f"{kind} call begin"][at],
            file[f"{kind} call end"][at],
            Coded(np.array(file.meta["call threads"], np.int64), np.maximum(thread, 0)),
            np.empty(0, np.int64),
        )
        launch = np.where(thread < 0, -1, np.arange(len(at), dtype=np.int32))
        places, parts, sizes = [np.empty(0, np.int64)], [empty_statistics(0)], []
        for launches in launches_of(nesting, calls, launch):
            ranges = inside(nesting, launches)
            own = at[launches.at]
            times = [ranges.numbered(file[f"{kind} {name}"][own]) for name in ("begin", "end")]
            places.append(self.cut[nesting.order[ranges.place]])
            parts.append(slice_statistics(times[0], times[1], ranges.first, ranges.last))
        if kind in SIZED:
            sizes = [inside_sums(nesting, calls, launch, file[f"{kind} size"][at])[1]]
        found = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        return _Again(
            np.concatenate(places),
            IntervalStatistics(*found),
            np.concatenate([np.empty(0, np.int64), *sizes]),
        )

    def _cut_ranges(self) -> Ranges:
        """The ranges that are open at the ends of the window, without their names."""
        threads = np.array([thread for thread, _, _ in self.whole.threads], np.int64)
        first = np.array([first for _, first, _ in self.whole.threads], np.int64)
        code = np.searchsorted(first, self.cut, "right") - 1
        flags = np.zeros(len(self.cut), np.bool_)
        none = Coded(strings([""]), np.zeros(len(self.cut), np.int8))
        file = self.whole.file
        return Ranges(
            self.cut,
            file["start"][self.cut],
            file["end"][self.cut],
            Coded(threads, code),
            flags,
            flags,
            none,
            none,
            none,
        )


class _Again(NamedTuple):
    """Figures of ranges that were attributed again.

    Attributes:
        place: of each in the whole profile.
        found: statistics of the work inside.
        sizes: bytes that were moved there; nothing for other kinds than copies and memsets.
    """

    place: Int64s
    found: IntervalStatistics
    sizes: Int64s


def _note_first(into: Int64s, group: Array, places: Int64s) -> None:
    """Note the first place of each group; places ascend."""
    first = np.full(len(into), np.iinfo(np.int64).max)
    first[group[::-1]] = places[::-1]  # of one group the first one is written last
    np.minimum(into, first, out=into)
