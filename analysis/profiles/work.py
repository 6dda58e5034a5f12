"""All GPU work of a profile attributed to its ranges, kind by kind, and by device or stream."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np

from ..attribution.attribute import Attribution, attribute_kinds, projection
from ..attribution.intervals import IntervalStatistics
from ..attribution.nesting import Nesting, nest
from ..attribution.range_tree import PathTree, levels_of, path_tree
from ..nsys.records import THREAD_BITS, Coded, Int64s, Operations, Profile

UNKNOWN = -1
"""Number of what the profile does not say."""


class Place(NamedTuple):
    """A device, or a stream: its number says little without its process and CUDA context."""

    device: int
    stream: int = UNKNOWN
    process: int = UNKNOWN
    context: int = UNKNOWN


def positions(operations: Operations, by: Literal["device", "stream"]) -> dict[Place, Int64s]:
    """Positions of the operations of each device, or of each stream.

    Args:
        operations: read with their streams.
        by: what to tell apart; of devices only `Place.device` is known.
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
        Place(*(int(column[part[0]]) for column in columns)): part for part in parts if len(part)
    }


def device_labels(places: Iterable[Place]) -> dict[Place, str]:
    """The number of each device."""
    return {place: _number(place.device) for place in places}


def stream_labels(places: Iterable[Place]) -> dict[Place, str]:
    """`device/stream` of each stream, with its process and context only where others share that.

    Args:
        places: all streams of a profile; no two labels are equal.
    """
    places = list(places)
    sharing: dict[tuple[int, int], dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for place in places:
        sharing[place.device, place.stream][place.process].add(place.context)
    processes = _process_names({place.process for place in places})
    labels = {}
    for place in places:
        contexts = sharing[place.device, place.stream]
        label = f"{_number(place.device)}/{_number(place.stream)}"
        if len(contexts) > 1:
            label += f" process {processes[place.process]}"
        if len(contexts[place.process]) > 1:
            label += f" context {_number(place.context)}"
        labels[place] = label
    return labels


def _process_names(processes: set[int]) -> dict[int, str]:
    """Process ids; the whole `globalPid` of each where two of several machines have one id."""
    ids = {process: process >> THREAD_BITS & 0xFFFFFF for process in processes}
    named = ids if len(set(ids.values())) == len(ids) else {process: process for process in ids}
    return {process: "?" if process == UNKNOWN else str(name) for process, name in named.items()}


def _number(number: int) -> str:
    return "?" if number == UNKNOWN else str(number)


SEPARATOR = " > "
"""Stands between the names of a path."""

KERNEL_TABLE = "CUPTI_ACTIVITY_KIND_KERNEL"
NS_PER_MS, NS_PER_US = 1e6, 1e3

By = Literal["thread", "device", "stream", "category"]
"""What the rows of a path can be told apart by."""

BY: tuple[By, ...] = get_args(By)

Kind = Literal["kernels", "copies", "memsets", "graphs"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Kinds of work: kernels, memory copies, memory sets, CUDA graphs traced as a whole."""


@dataclass(frozen=True)
class ProfileWork:
    """The work of a profile, or that of one stream or device.

    Attributes:
        profile: the profile.
        paths: of its ranges.
        kinds: attribution of each kind of work.
    """

    profile: Profile
    paths: PathTree
    kinds: dict[Kind, Attribution]

    @property
    def nesting(self) -> Nesting:
        """How the ranges enclose each other."""
        return self.kinds["kernels"].nesting

    def projected(self) -> IntervalStatistics:
        """What nsys projects: kernels, copies and memsets together, no whole graphs."""
        return projection([self.kinds[kind] for kind in ("kernels", "copies", "memsets")])


def work_of(profile: Profile) -> ProfileWork:
    """Attribute all GPU work of a profile."""
    nesting = nest(profile.ranges)
    return ProfileWork(profile, _paths(profile, nesting), _attributed(profile, nesting))


def work_by(work: ProfileWork, by: Literal["device", "stream"]) -> dict[str, ProfileWork]:
    """The work of each device, or of each stream, in the order of their numbers.

    Args:
        work: of a profile that was read with its streams.
        by: what to tell apart.
    """
    places = {kind: positions(getattr(work.profile, kind), by) for kind in KINDS}
    every = sorted({place for of_kind in places.values() for place in of_kind})
    labels = device_labels(every) if by == "device" else stream_labels(every)
    found = {}
    for place in every:
        keep = {kind: of_kind.get(place) for kind, of_kind in places.items()}
        found[labels[place]] = ProfileWork(
            work.profile, work.paths, _attributed(work.profile, work.nesting, keep)
        )
    return found


def _paths(profile: Profile, nesting: Nesting) -> PathTree:
    labels = np.empty(len(profile.ranges), object)
    labels[:] = profile.ranges.labels()
    return path_tree(nesting.parent, levels_of(nesting.depth), labels)


def _attributed(
    profile: Profile, nesting: Nesting, keep: dict[Kind, Int64s | None] | None = None
) -> dict[Kind, Attribution]:
    operations: list[Operations] = [getattr(profile, kind) for kind in KINDS]
    if keep is not None:
        chosen = [keep[kind] for kind in KINDS]
        none = np.empty(0, np.int64)
        operations = [
            some.select(none if at is None else at)
            for some, at in zip(operations, chosen, strict=True)
        ]
    return dict(zip(KINDS, attribute_kinds(nesting, profile.calls, operations), strict=True))
