"""Kernel times by range path and kernel name.

Durations are counted before they are added up: millions of kernels have few different ones per
path and name, so that medians of outer ranges come from counts, not from all kernels again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..nsys.records import Calls, Int64s, Integers, Operations
from .attribute import Attribution
from .inside import inside, launches_of
from .intervals import batches, spread
from .nesting import Nesting
from .range_tree import PathTree, levels_of, path_tree

_CHUNK = 1 << 19
_MOST_PARTS = 16
_MOST_COUNTS = 1 << 20
"""Counts that wait to be merged."""
_TABLE = 1 << 21


class KernelStatistics(NamedTuple):
    """One element per pair of a path and a kernel name that occurs in it.

    Attributes:
        path: number of the path.
        name: position in the distinct names of the kernels.
        kernels: number of kernels launched inside ranges of the path, in inner ranges too.
        total_ns: sum of their durations.
        min_ns: shortest.
        median_ns: median, the mean of the middle two.
        max_ns: longest.
    """

    path: Int64s
    name: Int64s
    kernels: Int64s
    total_ns: Int64s
    min_ns: Int64s
    median_ns: npt.NDArray[np.float64]
    max_ns: Int64s


class _Counts(NamedTuple):
    """How many times each duration occurs, by a key; sorted by key, then by duration."""

    key: Int64s
    duration_ns: Int64s
    times: Int64s


_NONE = _Counts(*(np.empty(0, np.int64) for _ in range(3)))


def kernel_statistics(
    attribution: Attribution, calls: Calls, kernels: Operations, paths: PathTree
) -> KernelStatistics:
    """Statistics of the kernels inside the ranges of each path, by their names.

    Args:
        attribution: of these kernels.
        calls: API calls.
        kernels: kernels.
        paths: of the ranges.
    """
    names = max(len(kernels.name_id.distinct), 1)
    nesting = attribution.nesting
    place = attribution.innermost
    overlaps = any(thread.overlap for thread in nesting.threads)
    found = [_NONE]
    if overlaps:
        overlapping, rest = _overlapping(attribution, calls, kernels, paths, names)
        found.append(overlapping)
        place = np.where(rest, place, place.dtype.type(-1))
    chains, code, are_paths = _chains(nesting, paths)
    levels = _per_path(chains, _innermost(code, place, kernels, names), names)
    if are_paths and not overlaps:  # no path on two levels: one of them at a time is in memory
        return _joined([_summary(counts, names) for counts in levels])
    return _summary(_merged([*found, *levels]), names)


def _joined(parts: list[KernelStatistics]) -> KernelStatistics:
    """Statistics of different paths, by path and name."""
    if not parts:
        return _summary(_NONE, 1)
    columns = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
    order = np.lexsort((columns[1], columns[0]))
    return KernelStatistics(*(column[order] for column in columns))


def _chains(nesting: Nesting, paths: PathTree) -> tuple[PathTree, Integers, bool]:
    """The chains of the paths of ranges and of those around them, and the chain at each place.

    And whether the paths are such chains themselves.
    """
    code = paths.code[nesting.order]
    around = np.append(code, -1)[nesting.outer]
    if len(paths.parent) and bool((paths.parent[code] == around).all()):
        return paths._replace(label=np.arange(len(paths.parent))), code, True
    chains = path_tree(nesting.outer, levels_of(nesting.level), code)
    return chains, chains.code, False


def _overlapping(
    attribution: Attribution, calls: Calls, kernels: Operations, paths: PathTree, names: int
) -> tuple[_Counts, npt.NDArray[np.bool_]]:
    """Durations by path and name on threads where ranges overlap: each range has its own kernels.

    And which kernels these threads have not launched.
    """
    nesting = attribution.nesting
    rest = np.ones(len(kernels), np.bool_)
    counted = [_NONE]
    for launches in launches_of(nesting, calls, attribution.launch):
        if not launches.thread.overlap:
            continue
        rest[launches.at] = False
        kernel = np.arange(len(kernels), dtype=np.int64)[launches.at]
        ranges = inside(nesting, launches)
        kernel = ranges.numbered(kernel)
        code = paths.code[nesting.order[ranges.place]].astype(np.int64)
        for some in batches(ranges.last - ranges.first):
            at, number = spread(ranges.first[some], ranges.last[some])
            own = kernel[at]
            key = code[some][number] * names + kernels.name_id.code[own]
            duration_ns = kernels.end_ns[own] - kernels.start_ns[own]
            counted.append(_counted(key, duration_ns, np.ones(len(key), np.int64)))
            if len(counted) > _MOST_PARTS:
                counted = [_merged(counted)]
    return _merged(counted), rest


def _innermost(code: Integers, place: Integers, kernels: Operations, names: int) -> _Counts:
    """Durations by the chain of ranges around the launch, and by name.

    Args:
        code: chain of each place.
        place: of the innermost range of each kernel, −1 for none.
        kernels: kernels.
        names: number of their names.
    """
    if not len(code):
        return _NONE
    counted = [_NONE]
    for first in range(0, len(kernels), _CHUNK):
        at = slice(first, first + _CHUNK)
        key = code[place[at]].astype(np.int64)
        key *= names
        key += kernels.name_id.code[at]
        duration_ns = kernels.end_ns[at] - kernels.start_ns[at]
        inside = place[at] >= 0
        if not inside.all():
            key, duration_ns = key[inside], duration_ns[inside]
        counted.append(_counted(key, duration_ns, np.ones(len(key), np.int64)))
        waiting = sum(len(one.key) for one in counted[1:])
        if waiting > max(_MOST_COUNTS, len(counted[0].key)):  # each is merged few times
            counted = [_merged(counted)]
    return _merged(counted)


def _per_path(chains: PathTree, counts: _Counts, names: int) -> Iterator[_Counts]:
    """The counts of each chain added to all chains around it, by path and name; level by level."""
    depth = chains.depths()
    path = chains.label.astype(np.int64)
    at = depth[counts.key // names]
    lifted: list[_Counts] = []
    for level in range(int(depth.max(initial=-1)), -1, -1):
        own = np.flatnonzero(at == level)
        here = _merged([*lifted, _Counts(*(column[own] for column in counts))])
        chain, name = here.key // names, here.key % names
        yield here._replace(key=path[chain] * names + name)
        outer = chains.parent[chain]
        lifted = [here._replace(key=outer * names + name)] if level else []


def _counted(key: Int64s, duration_ns: Int64s, times: Int64s) -> _Counts:
    """Sort, and add up what has the same key and duration."""
    if not len(key):
        return _Counts(key, duration_ns, times)
    shortest_ns, longest_ns = int(duration_ns.min()), int(duration_ns.max())
    width = longest_ns - shortest_ns + 1
    if width * (int(key.max()) + 1) <= _TABLE and len(key) > _TABLE // 8:
        # few different durations: a table of all that can be, without sorting
        weights = None if bool((times == 1).all()) else times
        cell = key * width + (duration_ns - shortest_ns)
        table = np.bincount(cell, weights).astype(np.int64)
        at = np.flatnonzero(table)
        return _Counts(at // width, at % width + shortest_ns, table[at])
    bits = longest_ns.bit_length()
    if bits + int(key.max()).bit_length() < 63 and shortest_ns >= 0:
        packed = key << bits | duration_ns
        if (times == 1).all():
            packed.sort()
        else:
            order = np.argsort(packed, kind="stable")
            packed, times = packed[order], times[order]
        is_head = np.r_[True, packed[1:] != packed[:-1]]
        heads = np.flatnonzero(is_head)
        distinct = packed[heads]
        key, duration_ns = distinct >> bits, distinct & ((1 << bits) - 1)
    else:  # too long for one number
        order = np.lexsort((duration_ns, key))
        key, duration_ns, times = key[order], duration_ns[order], times[order]
        differs = (key[1:] != key[:-1]) | (duration_ns[1:] != duration_ns[:-1])
        heads = np.flatnonzero(np.r_[True, differs])
        key, duration_ns = key[heads], duration_ns[heads]
    return _Counts(key, duration_ns, np.add.reduceat(times, heads))


def _merged(parts: list[_Counts]) -> _Counts:
    if len(parts) == 1:
        return _counted(*parts[0])
    return _counted(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _summary(counts: _Counts, names: int) -> KernelStatistics:
    key, duration_ns, times = counts
    heads = np.flatnonzero(np.r_[True, key[1:] != key[:-1]][: len(key)])
    if not len(heads):
        none = np.empty(0, np.int64)
        return KernelStatistics(none, none, none, none, none, none.astype(float), none)
    kernels = np.add.reduceat(times, heads)
    before = np.cumsum(times)  # durations up to and with each
    skipped = np.cumsum(kernels) - kernels
    middle = [
        duration_ns[np.searchsorted(before, skipped + nth, side="right")]
        for nth in ((kernels - 1) // 2, kernels // 2)
    ]
    return KernelStatistics(
        path=key[heads] // names,
        name=key[heads] % names,
        kernels=kernels,
        total_ns=np.add.reduceat(times * duration_ns, heads),
        min_ns=duration_ns[heads],
        median_ns=(middle[0] + middle[1]) / 2,
        max_ns=duration_ns[np.r_[heads[1:], len(key)] - 1],
    )
