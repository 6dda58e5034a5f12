"""All GPU work of a profile attributed to its ranges, kind by kind, and by device or stream."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, get_args

import numpy as np

from ..attribution.attribute import (
    Attribution,
    Coverage,
    attribute_kinds,
    coverage_of,
    projection,
)
from ..attribution.intervals import IntervalStatistics
from ..attribution.nesting import Nesting, nest
from ..attribution.range_tree import PathTree, levels_of, path_tree
from ..nsys.ranges import MOST_OPEN
from ..nsys.records import (
    THREAD_BITS,
    Bools,
    Coded,
    Forgotten,
    Int64s,
    Integers,
    Operations,
    Profile,
    Ranges,
    factorized,
)
from .paths import SEPARATOR, path_names, path_texts  # noqa: F401 - are imported from here, too
from .questions import Question, Selection, clipped_ns, normalized, select

NS_PER_MS, NS_PER_US = 1e6, 1e3

By = Literal["thread", "device", "stream", "category"]
"""Keys that can tell the rows of a path apart."""

BY: tuple[By, ...] = get_args(By)

Kind = Literal["kernels", "copies", "memsets", "graphs"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Kinds of work: kernels, memory copies, memory sets, CUDA graphs traced as a whole."""

UNKNOWN = -1
"""Number of what the profile does not say."""


def without_forgotten(profile: Profile) -> Profile:
    """The profile without ranges that its program opened again and again and never closed.

    Each of them encloses all that follows, up to the end of the profile: every later range would
    have a path of its own. They are those that were never closed and have the name of another
    such range of their thread, and all such ranges of a thread with more than `MOST_OPEN`. A
    profile that was cut off in the middle of ordinary ranges loses none or few.
    """
    ranges = profile.ranges
    at = np.flatnonzero(ranges.is_open)
    if len(at) < 2:
        return profile
    label = ranges.label_codes().code[at].astype(np.int64)
    thread = ranges.thread.code[at]
    named = _sizes(label * len(ranges.thread.distinct) + thread)
    forgotten = named > 1
    forgotten[~forgotten] = _sizes(thread[~forgotten].astype(np.int64)) > MOST_OPEN
    if not forgotten.any():
        return profile
    keep = np.ones(len(ranges), np.bool_)
    keep[at[forgotten]] = False
    return replace(
        profile,
        ranges=ranges.select(keep),
        forgotten_ranges=int(forgotten.sum()),
        forgotten=_listed(ranges.select(at[forgotten])),
    )


def _listed(ranges: Ranges) -> tuple[Forgotten, ...]:
    """The ranges by label and thread, the most frequent first."""
    threads = ranges.thread.mapped(thread_labels(ranges.thread.distinct))
    counts = Counter(zip(ranges.labels(), threads.tolist(), strict=True))
    found = [Forgotten(label, thread, count) for (label, thread), count in counts.items()]
    return tuple(sorted(found, key=lambda one: (-one.ranges, one.label, one.thread)))


def thread_labels(threads: Int64s) -> list[str]:
    """Process and thread of each `globalTid`, such as `4242/4243`."""
    return [
        f"{thread >> THREAD_BITS & 0xFFFFFF}/{thread & 0xFFFFFF}" for thread in threads.tolist()
    ]


def _sizes(group: Int64s) -> Int64s:
    """Number of elements in the group of each."""
    code, _ = factorized(group)
    sizes: Int64s = np.bincount(code)[code] if len(code) else np.empty(0, np.int64)
    return sizes


@dataclass(frozen=True)
class ProfileWork:
    """The work of a profile, or that of one stream or device.

    Attributes:
        profile: the profile.
        paths: of its ranges.
        kinds: attribution of each kind of work that was asked for.
        selection: what a question leaves of the profile; None: all of it.
    """

    profile: Profile
    paths: PathTree
    kinds: dict[Kind, Attribution]
    selection: Selection | None = None

    @property
    def shown(self) -> Bools:
        """Whether each range has a row."""
        every = np.ones(len(self.profile.ranges), np.bool_)
        return every if self.selection is None else self.selection.shown

    def host_ns(self, place: Integers) -> Int64s:
        """Duration of the ranges at some places, cut to the window that was asked for."""
        start_ns, end_ns = self.nesting.start_ns[place], self.nesting.end_ns(place)
        if self.selection is None or self.selection.window is None:
            return end_ns - start_ns
        return clipped_ns(start_ns, end_ns, self.selection.window)

    def coverage(self, kind: Kind) -> Coverage:
        """Work of a kind that belongs to no range, or to none that was asked for."""
        found = self.kinds[kind]
        if self.selection is None or self.selection.inside is None:
            return found.coverage
        belongs = np.append(self.selection.inside, False)[found.launch]
        return coverage_of(found.operations, found.launch, belongs)

    @property
    def nesting(self) -> Nesting:
        """How the ranges enclose each other."""
        return self.kinds["kernels"].nesting

    def projected(self) -> IntervalStatistics:
        """The projection of nsys: kernels, copies and memsets together, no whole graphs."""
        return projection([self.kinds[kind] for kind in ("kernels", "copies", "memsets")])


def work_of(
    profile: Profile,
    kinds: Sequence[Kind] = KINDS,
    labels: Sequence[str] | None = None,
    question: Question | None = None,
) -> ProfileWork:
    """Attribute the GPU work of a profile.

    Args:
        profile: the profile.
        kinds: of work; kernels among them.
        labels: of the ranges, which their paths consist of; None for those that nsys prints.
        question: what of it is asked for; None: all.

    Raises:
        ArgumentError: the question means nothing of the profile.
    """
    question = question or Question()
    nesting = nest(profile.ranges)
    coded = profile.ranges.label_codes() if labels is None else Coded.of_texts(labels)
    if question.normalize:
        coded = coded.mapped([normalized(label) for label in coded.distinct.tolist()])
    paths = path_tree(nesting.outer, levels_of(nesting.level), coded.select(nesting.order))
    code = np.empty_like(paths.code)
    code[nesting.order] = paths.code
    paths = paths._replace(code=code)
    selection = None if question == Question() else select(question, profile, nesting, paths)
    profile = profile if selection is None else selection.profile
    operations: dict[Kind, Operations] = {kind: getattr(profile, kind) for kind in kinds}
    found = attribute_kinds(nesting, profile.calls, list(operations.values()))
    return ProfileWork(profile, paths, dict(zip(operations, found, strict=True)), selection)


def work_by(work: ProfileWork, by: Literal["device", "stream"]) -> dict[str, ProfileWork]:
    """The work of each device, or of each stream, in the order of their numbers.

    Args:
        work: of a profile that was read with its streams.
        by: what to tell apart.
    """
    of_kinds = {kind: positions(getattr(work.profile, kind), by) for kind in KINDS}
    streams = sorted({stream for of_kind in of_kinds.values() for stream in of_kind})
    labels = stream_labels(streams)
    none = np.empty(0, np.int64)
    found = {}
    for stream in streams:
        at = {kind: of_kind.get(stream, none) for kind, of_kind in of_kinds.items()}
        parts = [work.kinds[kind].operations.select(own) for kind, own in at.items()]
        launches = [work.kinds[kind].launch[own] for kind, own in at.items()]
        kinds = attribute_kinds(work.nesting, work.profile.calls, parts, launches)
        label = _number(stream.device) if by == "device" else labels[stream]
        found[label] = replace(work, kinds=dict(zip(at, kinds, strict=True)))
    return found


class Stream(NamedTuple):
    """A stream, or a whole device: a number says little without its process and CUDA context."""

    device: int
    stream: int = UNKNOWN
    process: int = UNKNOWN
    context: int = UNKNOWN


def positions(operations: Operations, by: Literal["device", "stream"]) -> dict[Stream, Int64s]:
    """Positions of the operations of each device, or of each stream.

    Args:
        operations: read with their streams.
        by: what to tell apart; of devices only `Stream.device` is known.
    """
    device, stream, context = operations.device, operations.stream, operations.context
    if device is None or stream is None or context is None:
        raise ValueError("the profile was read without its streams")
    columns = [device] if by == "device" else [device, stream, operations.process, context]
    key = np.zeros(len(device), np.int64)
    for column in columns:
        # encoded again each time: of four columns of many values the product may not fit
        combined = Coded.of(key * max(len(column.distinct), 1) + column.code)
        key = combined.code.astype(np.int64)
    order = np.argsort(key, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(key[order])) + 1)
    return {
        Stream(*(int(column[part[0]]) for column in columns)): part for part in parts if len(part)
    }


def stream_labels(streams: Sequence[Stream]) -> dict[Stream, str]:
    """`device/stream` of each stream, with its process and context only where others share that.

    Args:
        streams: all of a profile; no two labels are equal.
    """
    sharing: dict[tuple[int, int], dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for one in streams:
        sharing[one.device, one.stream][one.process].add(one.context)
    processes = _process_names({one.process for one in streams})
    labels = {}
    for one in streams:
        contexts = sharing[one.device, one.stream]
        label = f"{_number(one.device)}/{_number(one.stream)}"
        if len(contexts) > 1:
            label += f" process {processes[one.process]}"
        if len(contexts[one.process]) > 1:
            label += f" context {_number(one.context)}"
        labels[one] = label
    return labels


def _process_names(processes: set[int]) -> dict[int, str]:
    """Process ids; the whole `globalPid` of each where two of several machines have one id."""
    ids = {process: process >> THREAD_BITS & 0xFFFFFF for process in processes}
    named = ids if len(set(ids.values())) == len(ids) else {process: process for process in ids}
    return {process: "?" if process == UNKNOWN else str(name) for process, name in named.items()}


def _number(number: int) -> str:
    return "?" if number == UNKNOWN else str(number)
