"""What no rule ties to a range exactly: ranges that cross threads, and work of other threads.

A range that one thread starts and another one ends is open in the whole process, and belongs to no
thread. Work that helper threads launch (autograd's, those of a session's pool) while a thread waits
in a range is not in that range by nsys' rule. Both are told here, apart from all exact figures:
that the work belongs to the range is inferred from the times alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adscale.tables import Schema

from ..arrow import arrow_table, nulls
from ..attribution.attribute import Attribution
from ..attribution.inside import Launches, inside
from ..attribution.nesting import Nesting, ThreadRanges, nest
from ..attribution.slices import slice_statistics
from ..nsys.records import Bools, Calls, Int64s, process_of
from .path_sums import summed
from .paths import escaped, path_texts
from .questions import Window, clipped_ns, normalized, open_in
from .work import KINDS, NS_PER_MS, ProfileWork, thread_labels

Scope = Literal["launch", "process"]
"""Which work of other threads is given to the ranges that were open: what was launched outside
every range of its own thread, or all."""

SCOPES: tuple[Scope, ...] = get_args(Scope)

CROSS, HELPED = "ended by another thread", "work of other threads"

CROSS_COLUMNS: Schema = {
    "path": "string",
    "kind": "string",
    "thread": "string",
    "end_thread": "string",
    "calls": "Int64",
    "host_ms": "Float64",
    "inferred_kernels": "Int64",
    "inferred_kernel_sum_ms": "Float64",
    "inferred_busy_ms": "Float64",
    "inferred_copies": "Int64",
    "inferred_copy_sum_ms": "Float64",
    "inferred_memsets": "Int64",
    "inferred_memset_sum_ms": "Float64",
    "inferred_graphs": "Int64",
    "inferred_graph_sum_ms": "Float64",
}
"""Columns of the table, defined in docs/attribution.md."""

INFERRED = tuple(name for name in CROSS_COLUMNS if name.startswith("inferred_"))
_WORDS = {"kernels": "kernel", "copies": "copy", "memsets": "memset", "graphs": "graph"}

_Rows = dict[str, npt.NDArray[Any]]


class CrossThread(NamedTuple):
    """What crosses threads in a profile.

    Attributes:
        table: rows of `CROSS_COLUMNS`.
        shared_kernels: kernels that are in ranges of several threads there, and count in each.
    """

    table: pa.Table
    shared_kernels: int


class _Group(NamedTuple):
    """Ranges that are rows together, and the calls that may be inside them.

    Attributes:
        nesting: of the ranges.
        thread: the ranges, one after the other in the nesting.
        group: number of the row of the range at each place, −1 for none.
        groups: how many there are.
        others: whether each API call may have launched work for them.
    """

    nesting: Nesting
    thread: ThreadRanges
    group: Int64s
    groups: int
    others: Bools


def cross_thread(
    work: ProfileWork, scope: Scope | None = None, levels: int | None = None
) -> CrossThread:
    """The ranges that another thread ended, and what other threads launched in the ranges of one.

    Args:
        work: of the profile.
        scope: which work is given to ranges by inference; None: none, and only ranges that another
            thread ended have rows.
        levels: leave out paths of more names; None for none.
    """
    found = [_crossing(work, scope)]
    shared = 0
    if scope is not None:
        threads, counts = _helped(work, scope, levels)
        found += threads
        shared = int((counts > 1).sum())
    columns = {name: _column(name, found) for name in CROSS_COLUMNS}
    table = arrow_table(columns, CROSS_COLUMNS)
    if not work.profile.capture.knows_kernels:
        table = nulls(table, ("inferred_kernels", "inferred_kernel_sum_ms", "inferred_busy_ms"))
    return CrossThread(table, shared)


def _column(name: str, parts: Sequence[_Rows]) -> npt.NDArray[Any]:
    """A column of all parts; null where one does not have it."""
    is_text = CROSS_COLUMNS[name] == "string"
    empty = [np.full(len(part["path"]), None if is_text else np.nan) for part in parts]
    return np.concatenate([part.get(name, none) for part, none in zip(parts, empty, strict=True)])


def null_reasons(scope: Scope | None) -> dict[str, str]:
    """Why a column of the table is null, where the profile knows its kernels."""
    reasons = {"end_thread": "a thread ends its own ranges, which other threads work for"}
    if scope is None:
        reasons |= dict.fromkeys(INFERRED, "was not asked for: --cross-thread infers it")
    return reasons


def _crossing(work: ProfileWork, scope: Scope | None) -> _Rows:
    """A row for the ranges of each name and pair of threads."""
    crossing, selection = work.profile.crossing, work.selection
    ranges = crossing.ranges
    at = np.arange(len(ranges))
    window = None if selection is None else selection.window
    if selection is not None and selection.inside is not None:
        at = at[:0]  # they lie inside no range
    if window is not None:
        at = at[open_in(window, ranges)]
    ranges, end_thread = ranges.select(at), crossing.end_thread[at]
    labels = ranges.labels()
    if selection is not None and selection.question.normalize:
        labels = [normalized(label) for label in labels]
    keys = list(zip(labels, ranges.thread.tolist(), end_thread.tolist(), strict=True))
    number = {key: row for row, key in enumerate(dict.fromkeys(keys))}
    group = np.array([number[key] for key in keys], np.int64)
    texts = [escaped(label) for label, _, _ in number]
    rows: _Rows = {
        "path": np.array(texts, object),
        "kind": np.full(len(number), CROSS, object),
        "thread": _threads([key[1] for key in number]),
        "end_thread": _threads([key[2] for key in number]),
        "calls": np.bincount(group, minlength=len(number)),
        "host_ms": summed(group, _host_ns(ranges, window), len(number)) / NS_PER_MS,
    }
    if scope is None:
        return rows
    nesting = nest(ranges)
    calls = work.profile.calls
    total = {name: np.zeros(len(number), np.int64) for name in INFERRED}
    for thread in nesting.threads:
        others = _of_process(calls, thread.thread)
        own = _Group(nesting, thread, group[nesting.order], len(number), others)
        for name, values, _ in _inferred(work, own, scope):
            total[name] = total[name] + values
    return {**rows, **_in_ms(total)}


def _host_ns(ranges: Any, window: Window | None) -> Int64s:
    if window is not None:
        return clipped_ns(ranges.start_ns, ranges.end_ns, window)
    found: Int64s = ranges.end_ns - ranges.start_ns
    return found


def _helped(work: ProfileWork, scope: Scope, levels: int | None) -> tuple[list[_Rows], Int64s]:
    """Rows by thread and path of the ranges in which other threads launched work.

    And the number of threads whose ranges each kernel is in.
    """
    nesting, calls, paths = work.nesting, work.profile.calls, work.paths
    shown = work.shown
    if levels is not None:
        shown = shown & (paths.depths()[paths.code] < levels)
    order = nesting.order
    group = np.where(shown, paths.code, -1)[order].astype(np.int64)
    counts = np.zeros(len(work.kinds["kernels"].operations), np.int64)
    texts = path_texts(paths, levels)
    found = []
    for thread in nesting.threads:
        others = _of_process(calls, thread.thread) & ~(calls.thread == thread.thread)
        if not others.any():
            continue
        own = _Group(nesting, thread, group, len(paths.parent), others)
        total = {}
        for name, values, operations in _inferred(work, own, scope):
            total[name] = values
            if name == "inferred_kernels":
                counts[operations] += 1
        some = [total[f"inferred_{kind}"] > 0 for kind in KINDS]
        at = np.flatnonzero(np.logical_or.reduce(some))
        places = np.arange(thread.first, thread.last)
        is_shown = group[places] >= 0
        own_group, host_ns = group[places][is_shown], work.host_ns(places[is_shown])
        first = np.full(len(paths.parent), len(order), np.int64)
        first[own_group[::-1]] = places[is_shown][::-1]
        at = at[np.argsort(first[at], kind="stable")]
        found.append(
            {
                "path": texts[at],
                "kind": np.full(len(at), HELPED, object),
                "thread": _threads([thread.thread] * len(at)),
                "calls": np.bincount(own_group, minlength=len(first))[at],
                "host_ms": summed(own_group, host_ns, len(first))[at] / NS_PER_MS,
                **_in_ms({name: values[at] for name, values in total.items()}),
            }
        )
    return found, counts


def _of_process(calls: Calls, thread: int) -> Bools:
    """Whether each call was made by a thread of the same process."""
    own = process_of(np.array([thread], np.int64))[0]
    found: Bools = (process_of(calls.thread.distinct) == own)[calls.thread.code]
    return found


def _inferred(
    work: ProfileWork, group: _Group, scope: Scope
) -> Iterator[tuple[str, Int64s, Int64s]]:
    """Sums in each group by the columns' names, times in ns; and the operations that are in any."""
    for kind in KINDS:
        attribution = work.kinds[kind]
        at = _launched(attribution, work.profile.calls, group.others, scope)
        yield from _of_kind(attribution, work.profile.calls, group, at, kind)


def _launched(attribution: Attribution, calls: Calls, others: Bools, scope: Scope) -> Int64s:
    """Operations that may be given to ranges, in the order of their launches."""
    launch = attribution.launch
    counts = np.append(others, False)[launch]
    if scope == "launch":
        counts &= attribution.innermost < 0
    at = np.flatnonzero(counts)
    return at[np.argsort(calls.start_ns[launch[at]], kind="stable")]


def _of_kind(
    attribution: Attribution, calls: Calls, group: _Group, at: Int64s, kind: str
) -> Iterator[tuple[str, Int64s, Int64s]]:
    none = np.zeros(group.groups, np.int64)
    names = [f"inferred_{kind}", f"inferred_{_WORDS[kind]}_sum_ms"]
    names += ["inferred_busy_ms"] if kind == "kernels" else []
    if not len(at):
        yield from ((name, none, at) for name in names)
        return
    operations, launch = attribution.operations, attribution.launch[at]
    launches = Launches(group.thread, at, calls.start_ns[launch], calls.end_ns[launch])
    ranges = inside(group.nesting, launches)
    keep = group.group[ranges.place] >= 0
    times = [ranges.numbered(one[at]) for one in (operations.start_ns, operations.end_ns)]
    start_ns, end_ns = times
    found = slice_statistics(start_ns, end_ns, ranges.first[keep], ranges.last[keep])
    own = group.group[ranges.place[keep]]
    used = at[_in_slices(ranges.first[keep], ranges.last[keep], ranges.repeated, len(at))]
    for name, values in zip(names, (found.intervals, found.total_ns, found.busy_ns), strict=False):
        yield name, summed(own, values, group.groups), used


def _in_slices(first: Int64s, last: Int64s, repeated: Int64s, number: int) -> Bools:
    """Whether each of some elements is in a slice of them, or of those that are repeated."""
    begins = np.bincount(first, minlength=number + len(repeated) + 1)
    ends = np.bincount(last, minlength=number + len(repeated) + 1)
    is_in = np.cumsum(begins - ends)[:-1] > 0
    found: Bools = is_in[:number]
    found[repeated[is_in[number:]]] = True
    return found


def _threads(threads: Sequence[int]) -> npt.NDArray[np.object_]:
    found = np.empty(len(threads), object)
    found[:] = thread_labels(np.array(threads, np.int64))
    return found


def _in_ms(sums: dict[str, Int64s]) -> _Rows:
    return {
        name: values / NS_PER_MS if name.endswith("_ms") else values
        for name, values in sums.items()
    }
