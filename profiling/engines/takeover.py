"""The networks of a method go to an engine: exported in one process, loaded in another."""

from __future__ import annotations

import importlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from adscale.engine_record import EngineNetwork, EngineRecord
from adscale.engines import ENGINE_SPECS, package_versions
from adscale.errors import MethodError
from adscale.files import write_text
from adscale.methods.spec import MethodSpec, Part
from adscale.parts import module_name
from adscale.request import RunRequest

from ..engine_files import FACTS_NAME, read_facts
from ..methods.base import Method
from .base import Call, Engine, Order
from .parts import (
    DTYPES,
    Example,
    FlatNetwork,
    Inputs,
    PartNetwork,
    Structure,
    drop,
    examples,
    inputs_of,
    put,
    restored,
)
from .pruning import load as load_pruned
from .pruning import prune, save

TOLD = ("export_s", "size_bytes", "deviation", "calibrated_images", "pruned")
"""Of what the exporting process knows, what the record repeats."""


def export(
    method: Method,
    spec: MethodSpec,
    request: RunRequest,
    image: torch.Tensor,
    folder: Path,
    calibration: Sequence[torch.Tensor] = (),
) -> None:
    """Exports every network of a method, and compares it there with torch in fp32.

    Args:
        method: built, where it shall run.
        spec: of the method.
        request: of the run.
        image: of an inference, as the method prepares it.
        folder: for the files, with a folder for each network.
        calibration: images, or batches, from which int8 takes the ranges of its numbers.

    Raises:
        MethodError: what the engine returns has another shape.
    """
    engine, pruned = _engine(request), {}
    with torch.no_grad():
        found = examples(method, spec.parts, image)
        if request.variant.pruned_percent:
            given = {name: one.inputs for name, one in found.items()}
            pruned = prune(method, spec.parts, request.variant.pruned_percent, given)
        calibrating = inputs_of(method, spec.parts, calibration)
    facts: dict[str, dict[str, Any]] = {}
    for name, part in spec.parts.items():
        kept = PartNetwork(method, part) if name in pruned and not engine.owns_weights else None
        network = _network(engine, method, part, request)
        facts[name] = {
            **_exported(engine, network, found[name], folder / name, calibrating[name], kept),
            "calibrated_images": len(calibration) * request.variant.batch,
            "pruned": pruned[name]._asdict() if name in pruned else None,
        }
        print(f"{name}: exported in {facts[name]['export_s']:.1f} s", flush=True)
    write_text(folder / FACTS_NAME, json.dumps(facts, indent=1) + "\n")


def _exported(
    engine: Engine,
    network: nn.Module,
    example: Example,
    folder: Path,
    calibration: Sequence[Inputs],
    pruned: nn.Module | None,
) -> dict[str, Any]:
    folder.mkdir()
    began_s = time.perf_counter()
    if pruned is not None:
        save(pruned, folder)
    with torch.no_grad():
        engine.export(network, example.inputs, folder, calibration)
    export_s = time.perf_counter() - began_s
    with torch.inference_mode():
        given = tuple(one.clone() for one in example.inputs)
        returned = engine.load(network, given, folder).call(*given)
    shapes = [[list(one.shape) for one in outputs] for outputs in (example.outputs, returned)]
    if shapes[0] != shapes[1]:
        what = f"the engine returns shapes {shapes[1]}, torch {shapes[0]}"
        raise MethodError(folder.name, what, "leave this variant out")
    return {
        "export_s": export_s,
        "size_bytes": sum(one.stat().st_size for one in folder.rglob("*") if one.is_file()),
        "deviation": deviation(returned, example.outputs),
        "inputs": [[list(one.shape), str(one.dtype).partition(".")[2]] for one in example.inputs],
        "structure": example.structure,
    }


def deviation(found: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> float | None:
    """Largest difference over the largest value expected; None where either is not finite.

    Args:
        found: tensors.
        expected: others of the same shapes.
    """
    worst = 0.0
    for one, other in zip(found, expected, strict=True):
        largest = float(other.abs().max())
        difference = float((one.float() - other.float()).abs().max())
        if not (math.isfinite(largest) and math.isfinite(difference)):
            return None
        worst = max(worst, difference / largest if largest else float(difference > 0))
    return worst


def take_over(method: Method, spec: MethodSpec, request: RunRequest, folder: Path) -> EngineRecord:
    """Has an engine compute the networks of a method from now on.

    Args:
        method: built, where it shall run.
        spec: of the method.
        request: of the run.
        folder: of the engine's files.

    Returns:
        What the record tells of it.
    """
    engine, facts = _engine(request), read_facts(folder)
    with torch.inference_mode():  # as images are run: what is compiled holds for that
        networks = tuple(
            _taken_over(engine, method, name, spec.parts[name], facts[name], folder / name, request)
            for name in spec.submodules
            if name in spec.parts
        )
    name, versions = request.variant.engine, package_versions(request.variant)
    return EngineRecord(name, versions, folder.name, networks, spec.outside)


def _taken_over(
    engine: Engine,
    method: Method,
    name: str,
    part: Part,
    facts: Mapping[str, Any],
    folder: Path,
    request: RunRequest,
) -> EngineNetwork:
    network: nn.Module = nn.Module()
    if engine.owns_weights:
        drop(method, part)
    else:
        if request.variant.pruned_percent:
            load_pruned(PartNetwork(method, part), folder)
        network = _network(engine, method, part, request)
    inputs = tuple(
        torch.zeros(shape, dtype=getattr(torch, dtype), device=request.device_type)
        for shape, dtype in facts["inputs"]
    )
    began_s = time.perf_counter()
    loaded = engine.load(network, inputs, folder)
    load_s = time.perf_counter() - began_s
    began_s = time.perf_counter()
    loaded.call(*inputs)
    first_inference_s = time.perf_counter() - began_s
    shape = facts["structure"]
    put(method, part, _called(loaded.call, tuple(shape) if isinstance(shape, list) else shape))
    return EngineNetwork(
        submodule=name,
        operators=loaded.precisions,
        load_s=load_s,
        first_inference_s=first_inference_s,
        **{key: facts[key] for key in TOLD},
    )


def _called(call: Call, shape: Structure) -> Callable[..., Any]:
    def called(*inputs: torch.Tensor) -> Any:
        return restored(call(*inputs), shape)

    return called


def _network(engine: Engine, method: Method, part: Part, request: RunRequest) -> nn.Module:
    variant = request.variant
    dtype = DTYPES.get(variant.precision) if engine.casts else None
    network = PartNetwork(method, part, dtype, channels_last=variant.channels_last)
    return FlatNetwork(network).eval()


def _engine(request: RunRequest) -> Engine:
    variant = request.variant
    module, _, name = ENGINE_SPECS[variant.engine].factory.partition(":")
    cls: type[Engine] = getattr(importlib.import_module(module_name(module)), name)
    return cls(Order(variant.precision, request.threads, request.device_type))
