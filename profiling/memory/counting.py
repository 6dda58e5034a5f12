"""Attention as a CUDA device would compute it, where there is none.

Which kernel ``scaled_dot_product_attention`` takes is decided by the device, and fake tensors on an
absent GPU fall back to the plain one, which holds the whole matrix of weights. A GPU takes the
memory-efficient kernel in 32-bit floats (torch, SDPA backends), which does not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import cache
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from adscale.errors import ConfigError, UnsupportedResolutionError
from adscale.memory_record import MemoryCount, SubmoduleCount
from adscale.methods.registry import check_countable
from adscale.methods.spec import MethodSpec

from ..methods.base import Method
from ..methods.loading import load_method_class
from .recording import Recorder, size_bytes
from .tracing import OUTSIDE, Trace

_EFFICIENT = torch.ops.aten._scaled_dot_product_efficient_attention  # noqa: SLF001 -- an operator


class _CudaAttention(TorchFunctionMode):
    """Attention as a CUDA device would compute it, where there is none.

    Which kernel ``scaled_dot_product_attention`` takes is decided by the device, and fake tensors
    on an absent GPU fall back to the plain one, which holds the whole matrix of weights. A GPU
    takes the memory-efficient kernel in 32-bit floats (torch, SDPA backends), which does not.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Any = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is functional.scaled_dot_product_attention:
            query, key, value, *others = args
            mask = others[0] if others else kwargs.get("attn_mask")
            if query.device.type == "cuda":
                return _EFFICIENT(query, key, value, mask, compute_log_sumexp=False)[0]
        return func(*args, **kwargs)


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
        ConfigError: the method has no such implementation, nothing of it can be counted, or this
            torch does not count for a CUDA device that is absent.
    """
    if device_type == "cuda" and not is_gpu_imaginable():
        what = f"torch {torch.__version__} cannot count for a GPU where there is none"
        raise ConfigError("--device-type", what, "count for cpu, or with a newer torch")
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
    for name in (
        *("uniform_", "normal_", "fill_", "zero_", "erfinv_", "clamp_"),
        *("add_", "sub_", "mul_", "div_", "copy_"),
    )
)
"""Operators that change what is in a tensor and nothing else."""


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
    # by its number: asked for the current one, torch 2.6 looks for a driver
    device = torch.device("cuda", 0) if device_type == "cuda" else torch.device(device_type)
    _move(method, device)
    image = torch.empty(1, 3, resolution_px, resolution_px, device=device)
    trace = Trace(method, None if spec.foreign else spec.submodules, device_type)
    attention = _CudaAttention() if device_type == "cuda" else nullcontext()
    incomplete = None
    try:
        with attention:
            trace.follow(image, counted_once=method.counted_once)
    except UnsupportedResolutionError:
        # the networks run, but not together: what does not run takes no memory
        if spec.resolution_problem(settings, resolution_px) is None:
            raise
    except Exception as problem:
        if not spec.foreign:
            raise
        incomplete = _incomplete(spec, trace.recorder, problem)
    # of ours, what lies behind an interruption belongs to where it happened
    otherwise = OUTSIDE if spec.foreign else trace.recorder.interrupted
    parts = tuple(
        dataclasses.replace(part, complexity=spec.complexity.get(part.submodule, "unknown"))
        for part in trace.submodules(otherwise)
    )
    image_bytes = size_bytes([image])
    return MemoryCount(
        resolution_px=resolution_px,
        image_bytes=image_bytes,
        submodules=parts,
        not_counted=NOT_COUNTED[device_type],
        incomplete=incomplete,
        needed_bytes=image_bytes + _needed_bytes(parts),
    )


def _needed_bytes(parts: Sequence[SubmoduleCount]) -> int:
    """Bytes that the device must hold beside the image; what ``not_counted`` lists comes on top."""
    resident = sum(part.parameters_bytes + part.buffers_bytes for part in parts)
    return resident + max(part.peak.bytes for part in parts) + sum(p.library_bytes for p in parts)


def _move(method: nn.Module, device: torch.device) -> None:
    """Moves the tensors of a method to a device that need not exist."""
    if device.type == "cpu":
        return
    for module in method.modules():
        for name, parameter in module.named_parameters(recurse=False):
            moved = nn.Parameter(parameter.to(device), requires_grad=False)
            module.register_parameter(name, moved)
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.to(device))  # it stays a buffer


def _incomplete(spec: MethodSpec, recorder: Recorder, problem: Exception) -> str:
    what = " ".join(f"{type(problem).__name__}: {problem}".split())
    if not recorder.calls:
        remedy = "leave the method out, or see why it needs the contents of tensors"
        raise ConfigError("memory", f"{spec.target} cannot be counted ({what})", remedy)
    return f"counted up to {recorder.interrupted or OUTSIDE} ({what})"
