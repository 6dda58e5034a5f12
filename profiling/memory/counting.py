"""Parameters, activations and the peak of live tensors of a method, by submodule.

The method is built and run on fake tensors, which have shapes and no contents: no weight and no
activation is allocated, and any resolution takes about a second.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from profiling.errors import ConfigError, UnsupportedResolutionError
from profiling.memory.attention import cuda_attention
from profiling.memory.conventions import OTHER_CONVENTIONS, owns_parameters
from profiling.memory.live import Block, Origin, Stretch
from profiling.memory.ownership import resident_bytes
from profiling.memory.recording import ModuleCall, Recorder, size_bytes
from profiling.memory.repeats import counted_once
from profiling.methods.base import Method
from profiling.methods.host import LibraryWork, watching_libraries
from profiling.methods.loading import load_method_class
from profiling.methods.registry import check_countable
from profiling.methods.spec import MethodSpec

OUTSIDE = "outside"
"""Stands for tensors of a foreign network that belong to none of its submodules."""

NOT_COUNTED: Mapping[str, tuple[str, ...]] = {
    "cpu": (
        "what operators allocate inside themselves: oneDNN's layouts, workspaces of products",
        "the program and its libraries themselves",
    ),
    "cuda": (
        "the CUDA context and the loaded kernels",
        "workspaces of cuDNN and cuBLAS",
        "what the caching allocator rounds up and keeps in pieces",
    ),
}
"""What takes memory and cannot be counted, by the device of the inference."""


@dataclass(frozen=True)
class LayerCount:
    """A counted layer. One that is called several times is counted the first time."""

    name: str
    type: str
    output_shape: tuple[int, ...]
    parameters_bytes: int
    activations_bytes: int


@dataclass(frozen=True)
class AliveCount:
    """Tensors of one origin in a peak."""

    submodule: str | None
    operator: str
    layer: str | None
    tensors: int
    bytes: int


@dataclass(frozen=True)
class PeakCount:
    """The largest sum of tensors on the device that are alive at once during a submodule."""

    bytes: int
    kept_bytes: int
    """Alive when the submodule began."""
    operator: str | None
    """Whose output completes the peak."""
    layer: str | None
    alive: tuple[AliveCount, ...]
    """The largest group first."""


@dataclass(frozen=True)
class LibraryCount:
    """What a library takes that torch does not see."""

    library: str
    purpose: str
    device_bytes: int
    host_bytes: int


@dataclass(frozen=True)
class SubmoduleCount:
    """What one submodule needs for one inference, batch 1."""

    submodule: str
    parameters_bytes: int
    buffers_bytes: int
    activations_bytes: int
    """Sum over ``layers``: the study's convention."""
    conventions: Mapping[str, int]
    """Activations by the other conventions, in bytes."""
    peak: PeakCount
    host_peak_bytes: int
    flops: int
    libraries: tuple[LibraryCount, ...]
    layers: tuple[LayerCount, ...]
    """The counted layers, in the order of their calls."""


@dataclass(frozen=True)
class MemoryCount:
    """What one inference of a method needs, batch 1."""

    image_bytes: int
    submodules: tuple[SubmoduleCount, ...]
    """In the order of inference."""
    not_counted: tuple[str, ...]
    incomplete: str | None
    """Why what follows a certain submodule is not in the count; None: everything is."""

    @property
    def needed_bytes(self) -> int:
        """What the device must hold; what ``not_counted`` lists comes on top."""
        resident = sum(part.parameters_bytes + part.buffers_bytes for part in self.submodules)
        peak = max(part.peak.bytes for part in self.submodules)
        libraries = sum(one.device_bytes for part in self.submodules for one in part.libraries)
        return resident + self.image_bytes + peak + libraries


def count_memory(
    spec: MethodSpec,
    settings: Mapping[str, Any],
    *,
    resolution_px: int,
    implementation: str,
    device_type: str = "cpu",
) -> MemoryCount:
    """Counts one inference of a method.

    Weights are not read: a checkpoint that fits has the sizes that are counted. A foreign method
    may need contents that are not there (a memory bank, a number read from a tensor): it is counted
    up to the submodule that does.

    Args:
        spec: of the method.
        settings: of the method, defaults filled in.
        resolution_px: side length of the square image.
        implementation: such as ``reference``.
        device_type: ``cpu`` or ``cuda``: where the inference is thought to happen. No GPU is
            needed.

    Raises:
        UnsupportedResolutionError: the architecture does not run at this resolution.
        ConfigError: the method has no such implementation, or nothing of it can be counted.
    """
    check_countable(spec, settings, resolution_px)
    unread = {
        key: None if key in ("weights", "checkpoint") else value for key, value in settings.items()
    }
    # a foreign method may hold tensors that it made in ways which fake tensors cannot follow
    with FakeTensorMode(allow_non_fake_inputs=spec.foreign), torch.no_grad():
        with _WithoutFilling():  # type: ignore[no-untyped-call]
            method = load_method_class(spec).build(
                unread, resolution_px=resolution_px, implementation=implementation, seed=0
            )
        return _count(method, spec, settings, resolution_px, device_type)


_FILLING = frozenset(
    getattr(torch.ops.aten, name)
    for name in [
        "uniform_",
        "normal_",
        "fill_",
        "zero_",
        "erfinv_",
        "clamp_",
        "add_",
        "sub_",
        "mul_",
        "div_",
        "copy_",
    ]
)
"""Change what is in a tensor and nothing else."""


class _WithoutFilling(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Spares the drawing of weights, which fake tensors do not keep: half the time of a count."""

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: Any,
        args: Any = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func.overloadpacket in _FILLING:
            return args[0]
        return func(*args, **(kwargs or {}))


def _count(
    method: Method,
    spec: MethodSpec,
    settings: Mapping[str, Any],
    resolution_px: int,
    device_type: str,
) -> MemoryCount:
    _place(method, device_type)
    recorder = Recorder(method, None if spec.foreign else spec.submodules, device_type)
    libraries: dict[str, list[LibraryWork]] = {}

    def take_note(work: LibraryWork) -> None:
        libraries.setdefault(recorder.place().submodule or OUTSIDE, []).append(work)
        recorder.live.add_flops(work.flops)

    image = torch.empty(1, 3, resolution_px, resolution_px, device=device_type)
    recorder.live.ignore([*method.parameters(), *method.buffers(), image])
    attention = cuda_attention() if device_type == "cuda" else nullcontext()
    incomplete = None
    with (
        recorder.attach(),
        counted_once(method, method.counted_once, recorder.live),
        watching_libraries(take_note),
        attention,
    ):
        try:
            method.infer(image, recorder.annotate)
        except UnsupportedResolutionError:
            # the networks run, but not together: what does not run takes no memory
            if spec.resolution_problem(settings, resolution_px) is None:
                raise
        except Exception as problem:
            if not spec.foreign:
                raise
            incomplete = _incomplete(spec, recorder, problem)
    # of ours, what lies behind an interruption belongs to where it happened
    otherwise = OUTSIDE if spec.foreign else recorder.interrupted
    parts = _sum_up(method, recorder, libraries, otherwise)
    return MemoryCount(size_bytes([image]), parts, NOT_COUNTED[device_type], incomplete)


def _place(method: nn.Module, device_type: str) -> None:
    """Moves the tensors of a method to a device that need not exist."""
    if device_type == "cpu":
        return
    for module in method.modules():
        for name, parameter in module.named_parameters(recurse=False):
            moved = nn.Parameter(parameter.to(device_type), requires_grad=False)
            module.register_parameter(name, moved)
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.to(device_type))  # it stays a buffer


def _incomplete(spec: MethodSpec, recorder: Recorder, problem: Exception) -> str:
    what = " ".join(f"{type(problem).__name__}: {problem}".split())
    if not recorder.calls:
        remedy = "leave the method out, or see why it needs the contents of tensors"
        raise ConfigError("memory", f"{spec.target} cannot be counted ({what})", remedy)
    return f"counted up to {recorder.interrupted or OUTSIDE} ({what})"


def _sum_up(
    method: Method,
    recorder: Recorder,
    libraries: Mapping[str, list[LibraryWork]],
    otherwise: str | None,
) -> tuple[SubmoduleCount, ...]:
    parameters, buffers = resident_bytes(method, recorder.submodule_of, otherwise)
    names = list(method.submodules)
    if otherwise in {*parameters, *buffers} - set(names):
        names.append(OUTSIDE)
    counts = []
    for name in names:
        calls = [call for call in recorder.calls if call.submodule == name]
        layers = tuple(_layer(call) for call in calls if owns_parameters(call))
        stretches = recorder.stretches.get(name, [])
        conventions = {
            convention: sum(call.output_bytes for call in calls if belongs(call))
            for convention, belongs in OTHER_CONVENTIONS.items()
        }
        conventions["allocated"] = sum(stretch.allocated_bytes for stretch in stretches)
        counts.append(
            SubmoduleCount(
                submodule=name,
                parameters_bytes=parameters.get(name, 0),
                buffers_bytes=buffers.get(name, 0),
                activations_bytes=sum(layer.activations_bytes for layer in layers),
                conventions=conventions,
                peak=_peak(stretches),
                host_peak_bytes=max((s.host_peak_bytes for s in stretches), default=0),
                flops=sum(stretch.flops for stretch in stretches),
                libraries=_libraries(libraries.get(name, [])),
                layers=layers,
            )
        )
    return tuple(counts)


def _layer(call: ModuleCall) -> LayerCount:
    return LayerCount(
        name=call.name,
        type=type(call.module).__name__,
        output_shape=call.output_shape,
        parameters_bytes=call.parameters_bytes,
        activations_bytes=call.output_bytes,
    )


def _peak(stretches: list[Stretch]) -> PeakCount:
    """Of a submodule whose range may open several times in an image."""
    if not stretches:
        return PeakCount(0, 0, None, None, ())
    most = max(stretches, key=lambda stretch: stretch.peak_bytes)
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


def _libraries(works: list[LibraryWork]) -> tuple[LibraryCount, ...]:
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
