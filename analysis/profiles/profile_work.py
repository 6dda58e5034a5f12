"""All GPU work of a profile attributed to its ranges, kind by kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from analysis.attribution.attribute import Attribution, attribute_kinds, projection
from analysis.attribution.intervals import IntervalStatistics
from analysis.attribution.nesting import Nesting, nest
from analysis.attribution.paths import PathTree, levels_of, path_tree
from analysis.nsys.records import Coded, Int64s, Operations, Profile

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
    labels = {kind: _places(getattr(work.profile, kind), by) for kind in KINDS}
    found = {}
    for place in sorted({place for of_kind in labels.values() for place in of_kind}):
        keep = {kind: of_kind.get(place) for kind, of_kind in labels.items()}
        label = "/".join("?" if number < 0 else str(number) for number in place)
        found[label] = ProfileWork(
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


def _places(
    operations: Operations, by: Literal["device", "stream"]
) -> dict[tuple[int, ...], Int64s]:
    """Positions of the operations of each device, or of each stream of a device."""
    device, stream = operations.device, operations.stream
    if device is None or stream is None:
        raise ValueError("the profile was read without its streams")
    columns: Sequence[Coded] = [device] if by == "device" else [device, stream]
    key = columns[0].code.astype(np.int64)
    for column in columns[1:]:
        key = key * max(len(column.distinct), 1) + column.code
    order = np.argsort(key, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(key[order])) + 1)
    return {tuple(int(column[part[0]]) for column in columns): part for part in parts if len(part)}
