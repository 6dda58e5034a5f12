"""Counts of one inference of a method, on tensors that have shapes and no contents."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily

from adscale.errors import ConfigError, UnsupportedResolutionError, UserError
from adscale.memory_record import MemoryCount, SubmoduleCount
from adscale.methods.registry import check_countable
from adscale.methods.spec import MethodSpec, complexity_of, resolution_problem
from adscale.names import STITCH
from adscale.resolution import Resolution
from adscale.tiles import KEY
from adscale.variant import EAGER, Variant

from ..annotation import BETWEEN
from ..engines.parts import cast, examples
from ..methods.base import Method, held_by
from ..methods.loading import build_method
from ..methods.watching import indivisible, own_name
from ..trail import error_place
from .absent_gpu import as_on_a_gpu
from .hidden import hide
from .interruptions import in_a_line, is_of_the_count
from .quick import QuickMode
from .recording import Recorder, own_tensors, size_bytes
from .replay import Allocations, allocator_count
from .shapes import take_contents
from .tracing import Trace

MIB = 2**20
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
"""Memory that cannot be counted, by the device of the inference."""


@cache
def is_gpu_imaginable() -> bool:
    """Whether this torch lets fake tensors lie on a CUDA device, be there one or not.

    torch 2.6 asks the driver even for slices of them, and fails where there is none.
    """
    try:
        with FakeTensorMode():
            torch.empty(1, 2, device=torch.device("cuda", 0))[:, :1].cpu()
    except (RuntimeError, AssertionError):
        return False
    return True


def count_memory(
    spec: MethodSpec,
    settings: Mapping[str, Any],
    *,
    resolution: Resolution,
    implementation: str,
    batch: int = 1,
    device_type: str = "cpu",
    variant: Variant | None = None,
    keep: Callable[[Allocations], None] | None = None,
) -> MemoryCount:
    """Counts one inference of a method, of one image or of a batch.

    Weights are not read: a checkpoint that fits has the sizes that are counted. A foreign method
    may need contents that are not there (a memory bank, a number read from a tensor): it is counted
    up to the submodule that does, and ``incomplete`` says so. Any other error is one that it raises
    in a run, too: it refuses the resolution.

    Args:
        spec: of the method.
        settings: of the method, defaults filled in.
        resolution: of the image.
        implementation: such as ``reference``.
        batch: images of the inference.
        device_type: ``cpu`` or ``cuda``: where the inference is thought to happen. No GPU is
            needed.
        variant: of the networks; None: eager torch in fp32. What an engine holds inside of them is
            not counted, and ``incomplete`` says so.
        keep: receives the allocations of the inference.

    Raises:
        UnsupportedResolutionError: the architecture does not run at this resolution, as it says
            itself or by an error when it is called.
        ConfigError: the method has no such implementation, cannot be built, or this torch does not
            count for a CUDA device that is absent.
    """
    device = _device(device_type)
    check_countable(spec, settings, resolution)
    with _counting():
        mode = _mode(foreign=spec.foreign)
        with mode, torch.no_grad(), as_on_a_gpu() if device_type == "cuda" else nullcontext():
            method = _method(spec, settings, resolution, implementation)
            way = variant if variant is not None and spec.parts else None
            if way is not None and not way.is_plain:
                cast(method, spec.parts, way)
            held = take_contents(method, mode, device)
            image = torch.empty(batch, 3, *resolution.shape, device=device)
            hidden = _hidden(method, spec, way, image)
            names = (*spec.submodules, STITCH) if KEY in settings else spec.submodules
            own = (None, None) if spec.foreign else (names, mode)
            trace = Trace(method, own[0], device_type, held, below=own[1])
            counted = _count(method, trace, spec, settings, resolution, image, hidden)
            if keep is not None:
                keep(trace.allocations(image))
            return counted


def _device(device_type: str) -> torch.device:
    if device_type != "cuda":
        return torch.device(device_type)
    if not is_gpu_imaginable():
        what = f"torch {torch.__version__} cannot count for a GPU where there is none"
        raise ConfigError("--device-type", what, "count for cpu, or with a newer torch")
    return torch.device("cuda", 0)  # asked for the current one, torch 2.6 looks for a driver


def _prune(method: Method, spec: MethodSpec, percent: int, image: torch.Tensor) -> None:
    """Takes channels out, as many as of a run; of which weights says nothing here."""
    from ..engines.pruning import prune

    found = examples(method, spec.parts, image)
    prune(method, spec.parts, percent, {name: one.inputs for name, one in found.items()})


def _hidden(
    method: Method, spec: MethodSpec, way: Variant | None, image: torch.Tensor
) -> str | None:
    """Prunes the networks, and hides what an engine holds inside; the engine, None for torch."""
    if way is not None and way.pruned_percent:
        _prune(method, spec, way.pruned_percent, image)
    if way is None or way.engine == EAGER:
        return None
    hide(method, spec.parts, image, is_int8=way.precision == "int8")
    return way.engine


@contextmanager
def _counting() -> Iterator[None]:
    """Counts what is compiled as it was written; torch does not print what is told in a line."""
    told = logging.getLogger("torch._subclasses.fake_tensor")
    level = told.level
    told.setLevel(logging.CRITICAL)
    torch.compiler.set_stance("force_eager")
    try:
        yield
    finally:
        torch.compiler.set_stance("default")
        told.setLevel(level)


@cache
def _mode(*, foreign: bool) -> QuickMode:
    """One for all counts of a process: what a network keeps in a cache is met in the next count.

    Args:
        foreign: whether tensors with contents may be met, which a user's method may have made in
            ways that cannot be followed.
    """
    return QuickMode(allow_non_fake_inputs=foreign)


def _method(
    spec: MethodSpec, settings: Mapping[str, Any], resolution: Resolution, implementation: str
) -> Method:
    unread = {
        key: None if key in ("weights", "checkpoint") else value for key, value in settings.items()
    }
    found: object = _built(spec, unread, resolution, implementation)
    if isinstance(found, Method):
        return found
    what = f"{spec.target} is built as a {type(found).__name__}"
    raise ConfigError("memory", what, "return the method from `build`")


def _built(
    spec: MethodSpec, settings: Mapping[str, Any], resolution: Resolution, implementation: str
) -> Method:
    """The method; of a user's, with contents where it does not get along without.

    A network always has contents here, see ``ModuleMethod``: it may read numbers from them.
    """

    def build() -> Method:
        return build_method(
            spec, settings, resolution=resolution, implementation=implementation, seed=0
        )

    if not spec.foreign:
        with _mode(foreign=False).without_values():
            return build()
    with suppress(_WithContentsError):
        return _without_contents(build)
    try:
        with unset_fake_temporarily():
            return build()
    except UserError:
        raise
    except (Exception, SystemExit) as problem:  # what the user's code raises
        what = f"{spec.target} cannot be built ({in_a_line(problem)})"
        raise ConfigError("memory", what, "mend it, or its settings") from problem


class _WithContentsError(Exception):
    """A method cannot be built without contents."""


def _without_contents(build: Callable[[], Method]) -> Method:
    try:
        return build()
    except (UserError, MemoryError):
        raise
    except (Exception, SystemExit) as problem:  # whatever a tensor without contents leads to
        raise _WithContentsError from problem


def _count(
    method: Method,
    trace: Trace,
    spec: MethodSpec,
    settings: Mapping[str, Any],
    resolution: Resolution,
    image: torch.Tensor,
    hidden: str | None,
) -> MemoryCount:
    missing = [] if hidden is None else [_hidden_words(hidden, spec)]
    try:
        trace.follow(image, counted_once=() if hidden else method.counted_once)
    except UnsupportedResolutionError:
        # the networks run, but not together: what does not run takes no memory
        if resolution_problem(spec, settings, resolution) is None:
            raise
    except (Exception, SystemExit) as problem:
        if not spec.foreign:
            raise
        if method.is_filled and not is_of_the_count(problem):
            raise _refusal(spec, resolution, problem) from problem
        missing.append(_interrupted(trace.recorder, problem))
    missing += _not_seen(method, trace.recorder)
    # of ours, what lies behind an interruption belongs to where it happened
    otherwise = BETWEEN if spec.foreign else trace.recorder.interrupted
    parts = tuple(
        dataclasses.replace(part, complexity=complexity_of(spec, settings, part.submodule))
        for part in trace.submodules(otherwise)
    )
    image_bytes = size_bytes([image])
    return MemoryCount(
        resolution=resolution,
        image_bytes=image_bytes,
        submodules=parts,
        not_counted=(*NOT_COUNTED[image.device.type], *_copies(trace.recorder)),
        incomplete="; ".join(missing) or None,
        needed_bytes=image_bytes + _needed_bytes(parts),
        allocator=allocator_count(trace.allocations(image)) if image.is_cuda else None,
    )


def _hidden_words(engine: str, spec: MethodSpec) -> str:
    networks = ", ".join(name for name in spec.submodules if name in spec.parts)
    return f"activations and FLOPs inside of {networks}: {engine} does not show its tensors"


def _needed_bytes(parts: Sequence[SubmoduleCount]) -> int:
    """Bytes that the device must hold beside the image; what ``not_counted`` lists comes on top."""
    resident = sum(part.parameters_bytes + part.buffers_bytes for part in parts)
    return resident + max(part.peak.bytes for part in parts) + sum(p.library_bytes for p in parts)


def _refusal(
    spec: MethodSpec, resolution: Resolution, problem: BaseException
) -> UnsupportedResolutionError:
    what = f"{spec.target} does not run at {resolution} px ({in_a_line(problem)}"
    place = error_place(problem)
    return UnsupportedResolutionError(
        "resolution",
        f"{what}; {place})" if place else f"{what})",
        "mend it, or ask for sizes that it takes",
    )


def _interrupted(recorder: Recorder, problem: BaseException) -> str:
    what = in_a_line(problem)
    if not recorder.calls:
        return f"parameters and buffers only: the network ended with {what}"
    return f"counted up to {recorder.interrupted or BETWEEN} ({what})"


def _not_seen(method: Method, recorder: Recorder) -> list[str]:
    """What ran and is not in the figures."""
    said = []
    closed = [
        own_name(path).partition(".")[2] or "the network"
        for path, module in method.named_modules()
        if isinstance(module, torch.jit.ScriptModule) and not _is_inside_a_scripted(method, path)
    ]
    if closed:
        said.append(f"activations without the layers of {', '.join(closed)} (scripted or traced)")
    unknown = sorted(_of_unknown_size(method))
    if unknown:
        said.append(f"without the weights of {', '.join(unknown)}, packed as torch does not show")
    if recorder.live.unseen:
        named = ", ".join(sorted(recorder.live.unseen))
        said.append(f"without the memory of what {named} return, which torch does not show")
    if recorder.live.hidden:
        named = ", ".join(sorted(recorder.live.hidden))
        said.append(f"without the memory inside of {named}")
    if recorder.elsewhere:
        said.append(f"without what {', '.join(recorder.elsewhere)} compute in other threads")
    calls = recorder.live.without_formula
    if calls:
        named = ", ".join(f"{name} ({count} calls)" for name, count in sorted(calls.items()))
        said.append(f"FLOPs without those of {named}, for which there is no formula")
    return said


def _of_unknown_size(method: Method) -> Iterator[str]:
    """Modules with tensors of which torch does not tell where they lie: quantized, oneDNN's."""
    for path, module in method.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            continue
        tensors = [*own_tensors(module, "parameters"), *own_tensors(module, "buffers")]
        is_packed = any(isinstance(one, torch.ScriptObject) for one in vars(module).values())
        if is_packed or not all(map(held_by, tensors)):
            yield own_name(path).partition(".")[2] or "the network"


def _is_inside_a_scripted(method: Method, path: str) -> bool:
    around, _, _ = path.rpartition(".")
    return bool(around) and indivisible(method.get_submodule(around)) in ("scripted", "traced")


def _copies(recorder: Recorder) -> list[str]:
    return [
        f"a copy of its input in {name} ({size / MIB:,.1f} MiB)"
        for name, size in sorted(recorder.live.copied.items())
    ]
