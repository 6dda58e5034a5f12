"""Parameters, buffers and activations of a method, by submodule and layer.

The method is built and run on fake tensors, which have shapes and no contents: no weight and no
activation is allocated, and any resolution takes about a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from profiling.errors import ConfigError, UnsupportedResolutionError
from profiling.memory.ownership import resident_bytes
from profiling.memory.recording import CallRecorder, LayerCall
from profiling.methods.base import Method
from profiling.methods.loading import load_method_class
from profiling.methods.registry import check_countable
from profiling.methods.spec import MethodSpec

OUTSIDE = "outside"
"""Stands for tensors of a foreign network that belong to none of its submodules."""


@dataclass(frozen=True)
class LayerCount:
    """A counted layer. One that is called several times is counted the first time."""

    name: str
    type: str
    output_shape: tuple[int, ...]
    parameters_bytes: int
    activations_bytes: int


@dataclass(frozen=True)
class SubmoduleCount:
    """What one submodule needs for one inference, batch 1."""

    submodule: str
    parameters_bytes: int
    buffers_bytes: int
    activations_bytes: int
    """Sum over ``layers``."""
    layers: tuple[LayerCount, ...]
    """The counted layers, in the order of their calls."""


@dataclass(frozen=True)
class MemoryCount:
    """What one inference of a method needs, batch 1."""

    submodules: tuple[SubmoduleCount, ...]
    """In the order of inference."""
    incomplete: str | None
    """Why what follows a certain submodule is not in the count; None: everything is."""


def owns_parameters(call: LayerCall) -> bool:
    """The study's convention (its equation 3): leaf modules that own parameters.

    torchinfo counts the same outputs and prints twice their size, for gradients that an inference
    does not have; here nothing is doubled.
    """
    return call.parameters_bytes > 0


def count_memory(
    spec: MethodSpec, settings: Mapping[str, Any], *, resolution_px: int, implementation: str
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

    Raises:
        UnsupportedResolutionError: the architecture does not run at this resolution.
        ConfigError: the method has no such implementation, or nothing of it can be counted.
    """
    check_countable(spec, settings, resolution_px)
    unread = {
        key: None if key in ("weights", "checkpoint") else value for key, value in settings.items()
    }
    incomplete = None
    # a foreign method may hold tensors that it made in ways which fake tensors cannot follow
    with FakeTensorMode(allow_non_fake_inputs=spec.foreign), torch.no_grad():
        method = load_method_class(spec).build(
            unread, resolution_px=resolution_px, implementation=implementation, seed=0
        )
        recorder = CallRecorder(method, None if spec.foreign else spec.submodules)
        image = torch.empty(1, 3, resolution_px, resolution_px)
        with recorder.attach():
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
    return MemoryCount(_sum_up(method, recorder, otherwise), incomplete)


def _incomplete(spec: MethodSpec, recorder: CallRecorder, problem: Exception) -> str:
    what = " ".join(f"{type(problem).__name__}: {problem}".split())
    if not recorder.calls:
        remedy = "leave the method out, or see why it needs the contents of tensors"
        raise ConfigError("memory", f"{spec.target} cannot be counted ({what})", remedy)
    return f"counted up to {recorder.interrupted or OUTSIDE} ({what})"


def _sum_up(
    method: Method, recorder: CallRecorder, otherwise: str | None
) -> tuple[SubmoduleCount, ...]:
    parameters, buffers = resident_bytes(method, recorder.submodule_of, otherwise)
    names = list(method.submodules)
    if otherwise in {*parameters, *buffers} - set(names):
        names.append(OUTSIDE)
    counts = []
    for name in names:
        # a pass through each layer, as the study counts: ten calls of a network are one network
        counted = [
            call
            for call in recorder.calls
            if call.submodule == name and call.first and owns_parameters(call)
        ]
        layers = tuple(_layer(call) for call in counted)
        counts.append(
            SubmoduleCount(
                submodule=name,
                parameters_bytes=parameters.get(name, 0),
                buffers_bytes=buffers.get(name, 0),
                activations_bytes=sum(layer.activations_bytes for layer in layers),
                layers=layers,
            )
        )
    return tuple(counts)


def _layer(call: LayerCall) -> LayerCount:
    return LayerCount(
        name=call.name,
        type=call.type,
        output_shape=call.output_shape,
        parameters_bytes=call.parameters_bytes,
        activations_bytes=call.output_bytes,
    )
