"""What executes the networks of a method, and what of it can run where. No torch.

An engine is an entry in ``ENGINE_SPECS`` and a class of that name in ``profiling.engines``.
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from .errors import ConfigError
from .variant import CHANNELS_LAST, EAGER, ENGINES, IMPLEMENTATIONS, PRECISIONS, Variant

DeviceType = Literal["cpu", "cuda"]
KINDS: tuple[DeviceType, ...] = ("cpu", "cuda")

REQUIREMENTS: Mapping[DeviceType, str] = {
    "cpu": "envs/engines.txt",
    "cuda": "envs/engines-cuda.txt",
}
"""The optional locks of the engines that are packages of their own."""

PRUNING_PACKAGE = "torch-pruning"


class Refusal(NamedTuple):
    """Why a variant cannot be computed, and what would work."""

    what: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class EngineSpec:
    """An engine as the configuration sees it."""

    name: str
    summary: str
    precisions: Mapping[DeviceType, tuple[str, ...]]
    """That it computes, by kind of device."""
    lacks: Mapping[str, str] = field(default_factory=dict)
    """Why it has none of a precision (``bf16``, or ``bf16 on cuda``), or does not run on a kind of
    device; in words."""
    keeps_layout: bool = False
    """Whether the layout of the network's numbers is ours to choose."""
    packages: Mapping[DeviceType, tuple[str, ...]] = field(default_factory=dict)
    """Distributions that it needs besides torch, by kind of device."""
    further: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """And those of a precision."""
    factory: str
    """Where its class is: ``package.module:Class``, a ``profiling.engines.base.Engine``."""
    ran_on: tuple[DeviceType, ...] = ("cpu",)
    """Kinds of device on which it has been run."""

    def reason(self, precision: str, device_type: DeviceType) -> str | None:
        """Why it does not compute a precision on a kind of device, as far as that is said."""
        return self.lacks.get(f"{precision} on {device_type}", self.lacks.get(precision))


_SWITCH = "TF32 is a switch of torch"
_QUANTISED = "a network has to be quantised for it"
_TORCH: Mapping[DeviceType, tuple[str, ...]] = {
    "cpu": ("fp32", "fp16", "bf16"),
    "cuda": ("fp32", "tf32", "fp16", "bf16"),
}

ENGINE_SPECS: Mapping[str, EngineSpec] = {
    spec.name: spec
    for spec in (
        EngineSpec(
            name=EAGER,
            summary="torch as it is",
            precisions=_TORCH,
            lacks={"int8": _QUANTISED},
            keeps_layout=True,
            factory="profiling.engines.eager:Eager",
        ),
        EngineSpec(
            name="compile",
            summary="torch.compile, each network by itself",
            precisions=_TORCH,
            lacks={"int8": _QUANTISED},
            keeps_layout=True,
            factory="profiling.engines.compiled:Compiled",
        ),
        EngineSpec(
            name="cudagraph",
            summary="CUDA graphs: all kernels of a network launched at once",
            precisions={"cuda": _TORCH["cuda"]},
            lacks={"cpu": "CUDA graphs are of NVIDIA GPUs", "int8": _QUANTISED},
            keeps_layout=True,
            factory="profiling.engines.cuda_graph:CudaGraph",
            ran_on=(),
        ),
        EngineSpec(
            name="onnxruntime",
            summary="ONNX Runtime, on its CPU or CUDA provider",
            precisions={"cpu": ("fp32", "int8"), "cuda": ("fp32", "tf32", "fp16")},
            lacks={
                "fp16": "ONNX Runtime computes an fp16 network in fp32 on CPUs, between casts",
                "bf16": "ONNX Runtime has no convolution in bf16 for CPUs",
                "bf16 on cuda": "it is exported for ONNX Runtime in fp32 and fp16 only",
                "tf32": _SWITCH,
                "int8 on cuda": "ONNX Runtime computes int8 networks on CPUs here",
            },
            packages={
                "cpu": ("onnx", "onnxscript", "onnxruntime"),
                "cuda": ("onnx", "onnxscript", "onnxruntime-gpu"),
            },
            factory="profiling.engines.onnx_runtime:OnnxRuntime",
        ),
        EngineSpec(
            name="openvino",
            summary="OpenVINO, on its CPU plugin",
            precisions={"cpu": ("fp32", "bf16", "int8")},
            lacks={
                "fp16": "OpenVINO's CPU plugin computes bf16 where fp16 is asked for",
                "tf32": _SWITCH,
                "cuda": "OpenVINO has no plugin for NVIDIA GPUs",
            },
            packages={"cpu": ("openvino",)},
            further={"int8": ("nncf",)},
            factory="profiling.engines.open_vino:OpenVino",
        ),
        EngineSpec(
            name="tensorrt",
            summary="TensorRT, from ONNX",
            precisions={"cuda": ("fp32", "tf32", "fp16", "bf16", "int8")},
            lacks={"cpu": "TensorRT is for NVIDIA GPUs"},
            packages={"cuda": ("onnx", "onnxscript", "tensorrt")},
            further={"int8": ("onnxruntime-gpu",)},
            factory="profiling.engines.tensor_rt:TensorRt",
            ran_on=(),
        ),
    )
}
"""By name."""


def variant_problem(variant: Variant) -> Refusal | None:
    """Why a variant can be computed nowhere; None: on some kind of device it can be."""
    on_cpu, on_gpu = (device_problem(variant, one) for one in KINDS)
    if on_cpu is None or on_gpu is None:
        return None
    if ENGINE_SPECS[variant.engine].precisions:
        return on_cpu
    return Refusal(f"{on_cpu.what}, and {on_gpu.what.partition(' ')[2]}", on_cpu.remedy)


def device_problem(variant: Variant, device_type: DeviceType) -> Refusal | None:
    """Why a variant cannot be computed on a kind of device; None: it can be."""
    engine = ENGINE_SPECS[variant.engine]
    kind = "a CPU" if device_type == "cpu" else "a GPU"
    has = engine.precisions.get(device_type, ())
    if not has:
        reason = engine.lacks[device_type]
        return Refusal(
            f"{str(variant)!r} cannot run on {kind}, {reason}",
            _instead(variant, device_type),
        )
    if variant.precision not in has:
        if variant.precision == "tf32" and device_type == "cpu":
            what = f"{str(variant)!r} cannot run on a CPU, TF32 is a format of NVIDIA GPUs"
            return Refusal(what, "use fp32, or set device.type: cuda")
        reason = engine.reason(variant.precision, device_type) or "its class does not compute it"
        where = "" if engine.name == EAGER else f" by {engine.name}"
        what = f"{str(variant)!r} cannot be computed{where} on {kind}: {reason}"
        return Refusal(what, _instead(variant, device_type))
    if variant.channels_last and not engine.keeps_layout:
        what = f"{str(variant)!r} asks for a layout, which {engine.name} chooses by itself"
        return Refusal(what, f"leave {CHANNELS_LAST} out")
    return None


def _instead(variant: Variant, device_type: DeviceType) -> str:
    """What would work: the other engines in this precision, else this one in others."""
    able = [
        name
        for name in ENGINES
        if variant.precision in ENGINE_SPECS[name].precisions.get(device_type, ())
    ]
    if able:
        return f"in {variant.precision} there: {', '.join(able)}"
    others = ENGINE_SPECS[variant.engine].precisions.get(device_type, ())
    others = others or ENGINE_SPECS[EAGER].precisions[device_type]
    return f"use {' or '.join(others)}"


def machine_problem(variant: Variant, device_type: DeviceType = "cpu") -> Refusal | None:
    """Why this machine does not compute a variant that its kind of device could; None: it does.

    Nothing is imported for it.

    Args:
        variant: that ``device_problem`` does not refuse.
        device_type: kind of the device.
    """
    engine = ENGINE_SPECS[variant.engine]
    pruning = (PRUNING_PACKAGE,) if variant.pruned_percent else ()
    further = engine.further.get(variant.precision, ())
    needed = (*engine.packages.get(device_type, ()), *further, *pruning)
    absent = [name for name in needed if _version(name) is None]
    if absent:
        what = f"{str(variant)!r} needs {', '.join(absent)}, which is not installed here"
        return Refusal(what, f"pip install -r {REQUIREMENTS[device_type]}")
    if engine.name == "compile" and compiler() is None:
        what = f"{str(variant)!r} needs a C++ compiler, and there is none here"
        return Refusal(what, "install g++, or name another by the variable CXX")
    if engine.name == "openvino" and variant.precision == "bf16" and not has_bf16():
        what = f"{str(variant)!r} would be computed in fp32: this CPU has no instructions for bf16"
        return Refusal(what, "use fp32")
    return None


def check_machine(variant: Variant, device_type: DeviceType, *, where: str) -> None:
    """Refuses a variant that this machine does not compute.

    Args:
        variant: that its kind of device could compute.
        device_type: kind of the device.
        where: the place it comes from, for the error.

    Raises:
        ConfigError: with what is missing.
    """
    problem = machine_problem(variant, device_type)
    if problem is not None:
        raise ConfigError(where, *problem)


def package_versions(variant: Variant) -> dict[str, str]:
    """The installed versions of the packages of a variant's engine, and of torch, by their names.

    Args:
        variant: whose engine it is; of a pruned one what prunes is among them.
    """
    spec = ENGINE_SPECS[variant.engine]
    several = (*spec.packages.values(), *spec.further.values())
    pruning = (PRUNING_PACKAGE,) if variant.pruned_percent else ()
    names = dict.fromkeys(("torch", *(name for one in several for name in one), *pruning))
    return {name: version for name in names if (version := _version(name)) is not None}


def has_engine_files(variant: Variant) -> bool:
    """Whether a process of its own makes files for a variant, before the one that measures."""
    return variant.engine != EAGER or variant.pruned_percent > 0


def _version(name: str) -> str | None:
    with suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(name)
    return None


def compiler() -> str | None:
    """The C++ compiler that torch.compile would use; None: there is none."""
    return shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++")


@functools.cache
def cpu_features(file: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """The instruction sets of this CPU, as Linux names them; none where it does not tell."""
    with suppress(OSError):
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("flags", "Features"):
                return frozenset(value.split())
    return frozenset()


def has_bf16() -> bool:
    """Whether this CPU computes with bf16 itself."""
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & cpu_features())


def engine_lines() -> list[str]:
    """What this machine can run of all engines, and why not the others."""
    has_gpu = Path("/proc/driver/nvidia/version").exists()
    lines = [f"engines, on this {platform.machine()} machine:"]
    for name in ENGINES:
        spec = ENGINE_SPECS[name]
        lines.append(f"  {name}: {spec.summary}")
        lines += [f"    {kind}: {_kind_words(spec, kind, has_gpu=has_gpu)}" for kind in KINDS]
    return [*lines, _pruning_words()]


def _kind_words(spec: EngineSpec, kind: DeviceType, *, has_gpu: bool) -> str:
    has = spec.precisions.get(kind, ())
    if not has:
        return f"no ({spec.lacks[kind]})"
    here: list[str] = []
    reasons: dict[str, list[str]] = {}
    for precision in PRECISIONS:
        reason = spec.reason(precision, kind)
        if precision in has:
            variant = Variant(IMPLEMENTATIONS[0], precision, engine=spec.name)
            problem = machine_problem(variant, kind)
            reason = problem and f"{problem.what.partition(' ')[2]}: {problem.remedy}"
        if reason is not None:
            reasons.setdefault(reason, []).append(precision)
        elif precision in has:
            here.append(precision)
    said = [*([", ".join(here)] if here else [])]
    said += [f"not {', '.join(names)} ({reason})" for reason, names in reasons.items()]
    if kind == "cuda" and not has_gpu:
        said.append("no NVIDIA driver is loaded here")
    if kind not in spec.ran_on:
        said.append("never run on a GPU yet")
    return "; ".join(said)


def _pruning_words() -> str:
    problem = machine_problem(Variant(IMPLEMENTATIONS[0], PRECISIONS[0], pruned_percent=50))
    words = f"  pruned<N>: {PRUNING_PACKAGE} takes N % of the channels out, for every engine"
    if problem is None:
        return words
    return f"{words}; not here ({problem.what.partition(' ')[2]}: {problem.remedy})"
