"""One inference, followed from its first range to its last, on fake tensors or on real ones.

Calls of a network that are alike are counted once. DDAD calls its U-Net ten times with images of
one size: the first call is followed in full; each later one adds the same to the sums, and its peak
to what is alive by then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from adscale.memory_record import (
    AliveCount,
    Conventions,
    LayerCount,
    LibraryCount,
    PeakCount,
    SubmoduleCount,
)

from ..annotation import BETWEEN
from ..methods.base import LibraryWork, Method, held_by, watching_libraries
from ..methods.watching import own_name
from .allocator import Origin
from .live import Block, LiveTensors, Section
from .quick import QuickMode
from .recording import (
    OTHER_CONVENTIONS,
    ModuleCall,
    Recorder,
    own_tensors,
    owns_parameters,
    size_bytes,
)
from .replay import Allocations, resident_sizes


def _submodules_within(submodule_of: Mapping[str, str]) -> Mapping[str, set[str]]:
    """The submodules in which parts of a module are called, by the module's path."""
    within: dict[str, set[str]] = {}
    for name, submodule in submodule_of.items():
        around = name
        while around:
            within.setdefault(around, set()).add(submodule)
            around = around.rpartition(".")[0]
    return within


def owner(
    path: str,
    submodule_of: Mapping[str, str],
    otherwise: str | None = None,
    within: Mapping[str, set[str]] | None = None,
) -> str:
    """The submodule that owns the tensors of a module.

    It is the one in which the module is called first. A module that is never called (a classifier
    behind the layer that is used) is resident all the same: it goes with the nearest module around
    it of which some part is called.

    Args:
        path: of the module in the method.
        submodule_of: the submodule of the first call, by the path of each module called.
        otherwise: what owns the tensors of a module around which nothing tells.
        within: the submodules in which parts of a module are called, where that is known.

    Raises:
        RuntimeError: nothing around the module is called, or it is called by several submodules,
            and ``otherwise`` is None.
    """
    if path in submodule_of:
        return submodule_of[path]
    within = _submodules_within(submodule_of) if within is None else within
    around = path
    while around:
        inside = within.get(around, set())
        if len(inside) == 1:
            return next(iter(inside))
        if inside and otherwise is None:
            raise RuntimeError(f"{path} is never called, and {around} by several submodules")
        around = around.rpartition(".")[0]
    if otherwise is not None:
        return otherwise
    raise RuntimeError(f"tensors of {path or 'the method itself'} are in no module that is called")


def resident_bytes(
    method: nn.Module,
    submodule_of: Mapping[str, str],
    otherwise: str | None = None,
    held: Mapping[str, Sequence[torch.Tensor]] = MappingProxyType({}),
) -> tuple[dict[str, int], dict[str, int]]:
    """Bytes of the parameters, and of the buffers, by submodule; shared memory counts once.

    Args:
        method: the method.
        submodule_of: see ``owner``.
        otherwise: see ``owner``.
        held: tensors that modules hold as plain attributes, by the module's path; they count as
            buffers.
    """
    parameters: dict[str, int] = {}
    buffers: dict[str, int] = {}
    seen: set[torch.UntypedStorage] = set()
    within = _submodules_within(submodule_of)
    for path, module in method.named_modules():
        name = own_name(path)
        for sums, tensors in (
            (parameters, own_tensors(module, "parameters")),
            (buffers, own_tensors(module, "buffers")),
            (buffers, held.get(name, ())),
        ):
            for storage in (part.untyped_storage() for one in tensors for part in held_by(one)):
                if storage in seen:
                    continue
                seen.add(storage)
                belongs_to = owner(name, submodule_of, otherwise, within)
                sums[belongs_to] = sums.get(belongs_to, 0) + storage.nbytes()
    return parameters, buffers


@contextmanager
def counting_once(method: nn.Module, paths: Sequence[str], live: LiveTensors) -> Iterator[None]:
    """Counts the calls of some modules once per shape of their arguments while it is entered.

    Args:
        method: the method.
        paths: of modules whose calls leave nothing behind but the new tensor that they return.
        live: follows the inference.
    """
    modules = [method.get_submodule(path) for path in paths]
    for module in modules:
        module.forward = _Repeated(module.forward, live)
    try:
        yield
    finally:
        for module in modules:
            del module.forward


class _Repeated:
    def __init__(self, forward: Callable[..., torch.Tensor], live: LiveTensors) -> None:
        self._forward = forward
        self._live = live
        self._seen: dict[Hashable, _Seen] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        key = tuple(_shape(leaf) for leaf in tree_leaves((args, kwargs)))
        if key not in self._seen:
            with self._live.follow() as section:
                result = self._forward(*args, **kwargs)
            origin = self._live.origin(result)
            if origin is None:
                raise RuntimeError("a module that is counted once must return a new tensor")
            layout = (result.shape, result.stride(), result.dtype, result.device)
            self._seen[key] = _Seen(section, layout, origin)
            return result
        section, (shape, stride, dtype, device), origin = self._seen[key]

        def make() -> torch.Tensor:
            return torch.empty_strided(shape, stride, dtype=dtype, device=device)

        return self._live.repeat(section, make, origin)


class _Seen(NamedTuple):
    section: Section
    layout: tuple[torch.Size, tuple[int, ...], torch.dtype, torch.device]
    origin: Origin


def _shape(leaf: Any) -> Hashable:
    if isinstance(leaf, torch.Tensor):
        return (tuple(leaf.shape), leaf.dtype, leaf.device)
    value: Hashable = leaf
    return value


class Trace:
    """Follows one inference, on fake tensors or on real ones.

    Args:
        method: built, and where it shall run.
        submodules: the names of the ranges that partition the inference; None where they are not
            known beforehand.
        device_type: of the inference.
        held: tensors that modules hold as plain attributes, by the module's path.
        below: see ``LiveTensors``.
    """

    def __init__(
        self,
        method: Method,
        submodules: Sequence[str] | None,
        device_type: str,
        held: Mapping[str, Sequence[torch.Tensor]] = MappingProxyType({}),
        below: QuickMode | None = None,
    ) -> None:
        self.recorder = Recorder(method, submodules, device_type, below)
        self._method = method
        self._held = {
            path: [one for one in tensors if one.device.type == device_type]
            for path, tensors in held.items()
        }
        self._libraries: dict[str, list[LibraryWork]] = {}

    def follow(self, image: torch.Tensor, *, counted_once: Sequence[str] = ()) -> None:
        """Runs the inference.

        Args:
            image: its input.
            counted_once: see ``Method.counted_once``; for fake tensors only.
        """
        method, recorder = self._method, self.recorder
        held = [one for tensors in self._held.values() for one in tensors]
        recorder.live.ignore([*method.parameters(), *method.buffers(), *held, image])
        with (
            recorder.attach(),
            counting_once(method, counted_once, recorder.live),
            watching_libraries(self._take_note),
        ):
            method.infer(image, recorder.annotate)

    def allocations(self, image: torch.Tensor) -> Allocations:
        """What was allocated, from the method's move to the device on."""
        resident = resident_sizes(self._method, self._held, image.device.type)
        return Allocations(resident, size_bytes([image]), self.recorder.live.events)

    def _take_note(self, work: LibraryWork) -> None:
        submodule = self.recorder.position().submodule or BETWEEN
        self._libraries.setdefault(submodule, []).append(work)
        self.recorder.live.add_flops(work.flops)

    def submodules(self, otherwise: str | None = None) -> tuple[SubmoduleCount, ...]:
        """The count of each submodule, in the order of inference.

        Args:
            otherwise: the submodule of tensors of which nothing tells where they belong.
        """
        recorder = self.recorder
        parameters, buffers = resident_bytes(
            self._method, recorder.submodule_of, otherwise, self._held
        )
        names = dict.fromkeys(self._method.submodules)
        if otherwise == BETWEEN:
            names |= dict.fromkeys(name for name in recorder.sections if name != BETWEEN)
            names.pop(BETWEEN, None)  # it comes last
            if self._is_between(parameters, buffers):
                names[BETWEEN] = None
        return tuple(
            _submodule(
                name,
                parameters.get(name, 0),
                buffers.get(name, 0),
                [call for call in recorder.calls if call.submodule == name],
                recorder.sections.get(name, []),
                self._libraries.get(name, []),
            )
            for name in names
        )

    def _is_between(self, *resident: Mapping[str, int]) -> bool:
        """Whether anything of a user's method is in none of its submodules."""
        recorder = self.recorder
        return (
            any(BETWEEN in sums for sums in (*resident, self._libraries))
            or any(section.is_working for section in recorder.sections.get(BETWEEN, ()))
            or BETWEEN in recorder.submodule_of.values()
        )


def _submodule(
    name: str,
    parameters_bytes: int,
    buffers_bytes: int,
    calls: Sequence[ModuleCall],
    sections: Sequence[Section],
    libraries: Sequence[LibraryWork],
) -> SubmoduleCount:
    layers = tuple(_layer(call) for call in calls if owns_parameters(call))
    conventions = {
        convention: sum(call.output_bytes for call in calls if belongs(call))
        for convention, belongs in OTHER_CONVENTIONS.items()
    }
    conventions["allocated"] = sum(section.allocated_bytes for section in sections)
    return SubmoduleCount(
        submodule=name,
        parameters_bytes=parameters_bytes,
        buffers_bytes=buffers_bytes,
        activations_bytes=sum(layer.activations_bytes for layer in layers),
        conventions=Conventions(**conventions),
        leaf_modules=sum(call.is_leaf for call in calls),
        peak=_peak(sections),
        host_peak_bytes=max((section.host_peak_bytes for section in sections), default=0),
        flops=sum(section.flops for section in sections),
        libraries=_libraries(libraries),
        layers=layers,
    )


def _layer(call: ModuleCall) -> LayerCount:
    return LayerCount(
        name=call.name,
        type=type(call.module).__name__,
        output_shape=call.output_shape,
        parameters_bytes=call.parameters_bytes,
        activations_bytes=call.output_bytes,
    )


def _peak(sections: Sequence[Section]) -> PeakCount:
    """The largest peak of a submodule, whose range may open several times in an image."""
    if not sections:
        return PeakCount(0, 0, None, None, ())
    most = max(sections, key=lambda section: section.peak_bytes)
    origin = most.origin
    return PeakCount(
        bytes=most.peak_bytes,
        kept_bytes=most.kept_bytes,
        operator=origin and origin.operator,
        layer=origin and origin.layer,
        alive=_grouped((*most.kept, *most.own)),
    )


def _grouped(blocks: tuple[Block, ...]) -> tuple[AliveCount, ...]:
    tensors: Counter[Origin] = Counter()
    sizes: Counter[Origin] = Counter()
    for block in blocks:
        tensors[block.origin] += 1
        sizes[block.origin] += block.size_bytes
    return tuple(
        AliveCount(origin.submodule, origin.operator, origin.layer, tensors[origin], size)
        for origin, size in sizes.most_common()
    )


def _libraries(works: Sequence[LibraryWork]) -> tuple[LibraryCount, ...]:
    """One of each kind: a library takes its memory again in the next call, not once more."""
    largest: dict[tuple[str, str], LibraryCount] = {}
    for work in works:
        key = (work.library, work.purpose)
        known = largest.get(key)
        largest[key] = LibraryCount(
            *key,
            device_bytes=max(work.device_bytes, known.device_bytes if known else 0),
            host_bytes=max(work.host_bytes, known.host_bytes if known else 0),
        )
    return tuple(largest.values())
