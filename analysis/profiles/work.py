"""All GPU work of a profile attributed to its ranges, kind by kind, and by device or stream.

Of a run also the phase, image and path of each range. Ranges can vanish from a profile without a
word, so that they are counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np

from adscale.errors import ProfileError
from adscale.names import DOMAIN, IMAGE

from ..attribution.attribute import Attribution, attribute_kinds, projection
from ..attribution.intervals import IntervalStatistics
from ..attribution.nesting import Nesting, nest
from ..attribution.range_tree import PathTree, levels_of, path_tree
from ..nsys.records import THREAD_BITS, Bools, Coded, Int64s, Operations, Profile, Ranges, Strings

if TYPE_CHECKING:
    from .record import Run


SEPARATOR = " > "
"""Stands between the names of a path."""

KERNEL_TABLE = "CUPTI_ACTIVITY_KIND_KERNEL"
NS_PER_MS, NS_PER_US = 1e6, 1e3

By = Literal["thread", "device", "stream", "category"]
"""Keys that can tell the rows of a path apart."""

BY: tuple[By, ...] = get_args(By)

Kind = Literal["kernels", "copies", "memsets", "graphs"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Kinds of work: kernels, memory copies, memory sets, CUDA graphs traced as a whole."""

UNKNOWN = -1
"""Number of what the profile does not say."""


@dataclass(frozen=True)
class ProfileWork:
    """The work of a profile, or that of one stream or device.

    Attributes:
        profile: the profile.
        paths: of its ranges.
        kinds: attribution of each kind of work that was asked for.
    """

    profile: Profile
    paths: PathTree
    kinds: dict[Kind, Attribution]

    @property
    def nesting(self) -> Nesting:
        """How the ranges enclose each other."""
        return self.kinds["kernels"].nesting

    def projected(self) -> IntervalStatistics:
        """The projection of nsys: kernels, copies and memsets together, no whole graphs."""
        return projection([self.kinds[kind] for kind in ("kernels", "copies", "memsets")])


def work_of(
    profile: Profile, kinds: Sequence[Kind] = KINDS, labels: Sequence[str] | None = None
) -> ProfileWork:
    """Attribute the GPU work of a profile.

    Args:
        profile: the profile.
        kinds: of work; kernels among them.
        labels: of the ranges, which their paths consist of; None for those that nsys prints.
    """
    nesting = nest(profile.ranges)
    array = np.empty(len(profile.ranges), object)
    array[:] = profile.ranges.labels() if labels is None else labels
    paths = path_tree(nesting.parent, levels_of(nesting.depth), array)
    operations: dict[Kind, Operations] = {kind: getattr(profile, kind) for kind in kinds}
    return ProfileWork(profile, paths, _attributed(profile, nesting, operations))


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
        part = {
            kind: getattr(work.profile, kind).select(of_kind.get(stream, none))
            for kind, of_kind in of_kinds.items()
        }
        label = _number(stream.device) if by == "device" else labels[stream]
        found[label] = replace(work, kinds=_attributed(work.profile, work.nesting, part))
    return found


def _attributed(
    profile: Profile, nesting: Nesting, operations: Mapping[Kind, Operations]
) -> dict[Kind, Attribution]:
    found = attribute_kinds(nesting, profile.calls, list(operations.values()))
    return dict(zip(operations, found, strict=True))


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


PHASES = ("warmup", "measure")
"""The ranges at the top, each at most once."""

_BEFORE_IMAGE = frozenset({"load", "prepare", "copy_to_device", "flush"})


_CUT_SHORT = "profile and run.json do not belong together, or recording was cut short"
_NVTX_IS_NEWER = (
    "the package nvtx may be newer than this nsys understands "
    "(nvtx 0.2.12 and later record nothing under nsys 2023.4.4)"
)
_MEND_NVTX = "pin nvtx==0.2.11 or install a newer nsys-cli, then "


@dataclass(frozen=True)
class RunWork:
    """The kernels of a run by its own ranges; the arrays have one element per range.

    Attributes:
        run: what was measured.
        work: of the profile without the ranges of others; of kernels only.
        phase: name of the phase, `""` for ranges outside the phases and for phases.
        image: the number of the image within its phase, from 0.
        path: names from below the phase down to the range, joined by `/`.
        depth: 0 directly under the phase, −1 outside the phases.
        top: position of the range's ancestor directly under the phase, or of itself.
    """

    run: Run
    work: ProfileWork
    phase: Strings
    image: Int64s
    path: Strings
    depth: Int64s
    top: Int64s

    @property
    def ranges(self) -> Ranges:
        """Those in our domain."""
        return self.work.profile.ranges

    @property
    def measured(self) -> Bools:
        """Whether each range belongs to the measured phase."""
        return np.asarray(self.phase == "measure", np.bool_)

    @property
    def images(self) -> Int64s:
        """Positions of the ranges of measured images."""
        return np.flatnonzero(self.measured & (self.path == IMAGE))


def own_ranges(ranges: Ranges) -> Ranges:
    """The ranges in our domain."""
    return ranges.select(np.flatnonzero(ranges.domain == DOMAIN))


def work_of_run(run: Run, profile: Profile) -> RunWork:
    """Attribute the kernels of a run to its ranges, and find phase, image and path of each.

    Raises:
        ProfileError: a phase occurs twice, as when two runs share one profile.
    """
    own = replace(profile, ranges=own_ranges(profile.ranges))
    work = work_of(own, ("kernels",), own.ranges.name.tolist())
    phase, top = _ancestors(work.nesting, _phase_positions(run, work))
    below = np.empty(len(work.paths.parent), dtype=object)
    below[:] = [full.partition("/")[2] for full in work.paths.texts("/")]
    return RunWork(
        run=run,
        work=work,
        phase=np.append(own.ranges.name, "")[phase],
        image=_image_numbers(own.ranges, phase, top),
        path=below[work.paths.code],
        depth=np.where(phase >= 0, work.nesting.depth - 1, -1),
        top=top,
    )


def _phase_positions(run: Run, work: ProfileWork) -> list[int]:
    positions = []
    for phase in PHASES:
        is_phase = (work.profile.ranges.name == phase) & (work.nesting.depth == 0)
        found = np.flatnonzero(is_phase).tolist()
        if len(found) > 1:
            what = f"the profile holds the range {phase} {len(found)} times instead of once"
            raise ProfileError(run.path.parent, what, run.remeasure)
        positions.extend(found)
    return positions


def _ancestors(nesting: Nesting, phases: list[int]) -> tuple[Int64s, Int64s]:
    """Each range's phase and its ancestor directly under the phase, −1 for none."""
    phase = np.full(len(nesting.parent), -1, np.int64)
    top = np.full(len(nesting.parent), -1, np.int64)
    for level in levels_of(nesting.depth)[1:]:  # outer before inner
        parent = nesting.parent[level]
        below = np.isin(parent, phases)
        phase[level] = np.where(below, parent, phase[parent])
        top[level] = np.where(below, level, top[parent])
    return phase, top


def _image_numbers(ranges: Ranges, phase: Int64s, top: Int64s) -> Int64s:
    """Number of the image to which each range belongs.

    What comes before an `image` range belongs to the next one, everything else to the last one.
    """
    number = np.full(len(ranges), -1, np.int64)
    for at in np.unique(phase[phase >= 0]):
        inside = np.flatnonzero(phase == at)
        tops = inside[top[inside] == inside]
        starts_ns = np.sort(ranges.start_ns[tops[ranges.name[tops] == IMAGE]])
        started = np.searchsorted(starts_ns, ranges.start_ns[top[inside]], side="right")
        before = np.isin(ranges.name[top[inside]].astype(str), list(_BEFORE_IMAGE))
        number[inside] = np.where(before, started, started - 1)
    return number


def check_ranges(of_run: RunWork) -> None:
    """Refuse a profile that does not hold the measured images × submodules of its run.

    Raises:
        ProfileError: an `ok` run whose ranges are not those that were measured.
    """
    run, profile = of_run.run, of_run.work.profile
    if run.status != "ok":
        return
    paths = [f"{IMAGE}/{submodule}" for submodule in run.submodules]
    at = np.flatnonzero(of_run.measured & np.isin(of_run.path.astype(str), paths))
    found = len(set(zip(of_run.image[at].tolist(), of_run.path[at].tolist(), strict=True)))
    expected, images = run.measured_images * len(run.submodules), len(of_run.images)
    if found == expected and images == run.measured_images:
        return
    said = "; ".join(f'"{message}"' for message in profile.messages)
    said = f"; nsys says: {said}" if said else ""
    cause, mend = (_CUT_SHORT, "") if len(of_run.ranges) else (_NVTX_IS_NEWER, _MEND_NVTX)
    what = (
        f"the profile holds {found} of {expected} submodule ranges and {images} of "
        f"{run.measured_images} images that run.json says were measured; {cause}{said}"
    )
    raise ProfileError(profile.path, what, f"{mend}{run.remeasure}")


def check_kernels(of_run: RunWork, measured_kernels: int) -> None:
    """Refuse a GPU run whose kernel times would be too small, or zero, without a word.

    Args:
        of_run: the run.
        measured_kernels: kernels launched in the measured images.

    Raises:
        ProfileError: no kernel was recorded, or CUDA graphs were traced as a whole.
    """
    run, profile = of_run.run, of_run.work.profile
    if run.clock != "gpu" or run.status != "ok":
        return
    if profile.whole_graphs:
        what = f"{profile.whole_graphs} CUDA graphs were traced as a whole, without their kernels"
        remedy = f"record with --cuda-graph-trace=node: {run.remeasure}"
        raise ProfileError(profile.path, what, remedy)
    if not measured_kernels:
        what = f"no measured image launched a kernel ({len(profile.kernels)} in the whole profile)"
        remedy = f"trace CUDA as well (nsys profile -t cuda,nvtx): {run.remeasure}"
        raise ProfileError(profile.path, what, remedy)
