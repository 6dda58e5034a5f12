"""All GPU work of a profile attributed to its ranges, kind by kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from ..attribution.attribute import Attribution, attribute_kinds, projection
from ..attribution.intervals import IntervalStatistics
from ..attribution.nesting import Nesting, nest
from ..attribution.paths import PathTree, levels_of, path_tree
from ..nsys.records import Int64s, Operations, Profile
from .places import device_labels, positions, stream_labels

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
