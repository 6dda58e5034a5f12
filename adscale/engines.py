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

REQUIREMENTS = "envs/engines.txt"
"""The optional lock of the engines that are packages of their own."""


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
    """Why it has none of a precision, or does not run on a kind of device; in words."""
    keeps_layout: bool = False
    """Whether the layout of the network's numbers is ours to choose."""
    packages: tuple[str, ...] = ()
    """Distributions that it needs besides torch."""
    further: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """And those of a precision."""
    factory: str | None = None
    """Where its class is: ``package.module:Class``, a ``profiling.engines.base.Engine``; None for
    eager torch, and for what is not written yet."""
    ran_on: tuple[DeviceType, ...] = ("cpu",)
    """Kinds of device on which it has been run."""


_SWITCH = "TF32 is a switch of torch"
_QUANTISED = "a network has to be quantised for it"
_NOT_YET = "not there yet"

ENGINE_SPECS: Mapping[str, EngineSpec] = {
    spec.name: spec
    for spec in (
        EngineSpec(
            name=EAGER,
            summary="torch as it is",
            precisions={"cpu": ("fp32", "fp16", "bf16"), "cuda": ("fp32", "tf32", "fp16", "bf16")},
            lacks={"int8": _QUANTISED},
            keeps_layout=True,
        ),
        EngineSpec(
            name="compile",
            summary="torch.compile, each network by itself",
            precisions={"cpu": ("fp32", "fp16", "bf16"), "cuda": ("fp32", "tf32", "fp16", "bf16")},
            lacks={"int8": _QUANTISED},
            keeps_layout=True,
            factory="profiling.engines.compiled:Compiled",
        ),
        EngineSpec(
            name="cudagraph",
            summary="CUDA graphs",
            precisions={},
            lacks={"cpu": "CUDA graphs are of NVIDIA GPUs", "cuda": _NOT_YET},
            keeps_layout=True,
            ran_on=(),
        ),
        EngineSpec(
            name="onnxruntime",
            summary="ONNX Runtime, on its CPU provider",
            precisions={"cpu": ("fp32", "int8")},
            lacks={
                "fp16": "ONNX Runtime computes an fp16 network in fp32 on CPUs, between casts",
                "bf16": "ONNX Runtime has no convolution in bf16 for CPUs",
                "tf32": _SWITCH,
                "cuda": f"its CUDA provider is {_NOT_YET}",
            },
            packages=("onnx", "onnxscript", "onnxruntime"),
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
            packages=("openvino",),
            further={"int8": ("nncf",)},
            factory="profiling.engines.open_vino:OpenVino",
        ),
        EngineSpec(
            name="tensorrt",
            summary="TensorRT",
            precisions={},
            lacks={"cpu": "TensorRT is for NVIDIA GPUs", "cuda": _NOT_YET},
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
    if variant.pruned_percent:
        what = f"{str(variant)!r} asks for a pruned network, which this version does not make"
        return Refusal(what, f"leave pruned{variant.pruned_percent} out")
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
        reason = engine.lacks.get(variant.precision, "its class does not compute it")
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


def machine_problem(variant: Variant) -> Refusal | None:
    """Why this machine does not compute a variant that its kind of device could; None: it does.

    Nothing is imported for it.
    """
    engine = ENGINE_SPECS[variant.engine]
    needed = (*engine.packages, *engine.further.get(variant.precision, ()))
    absent = [name for name in needed if _version(name) is None]
    if absent:
        what = f"{str(variant)!r} needs {', '.join(absent)}, which is not installed here"
        return Refusal(what, f"pip install -r {REQUIREMENTS}")
    if engine.name == "compile" and compiler() is None:
        what = f"{str(variant)!r} needs a C++ compiler, and there is none here"
        return Refusal(what, "install g++, or name another by the variable CXX")
    if engine.name == "openvino" and variant.precision == "bf16" and not has_bf16():
        what = f"{str(variant)!r} would be computed in fp32: this CPU has no instructions for bf16"
        return Refusal(what, "use fp32")
    return None


def check_machine(variant: Variant, *, where: str) -> None:
    """Refuses a variant that this machine does not compute.

    Args:
        variant: that its kind of device could compute.
        where: the place it comes from, for the error.

    Raises:
        ConfigError: with what is missing.
    """
    problem = machine_problem(variant)
    if problem is not None:
        raise ConfigError(where, *problem)


def package_versions(engine: str) -> dict[str, str]:
    """The installed versions of an engine's packages, and of torch, by their names."""
    spec = ENGINE_SPECS[engine]
    names = ("torch", *spec.packages, *(name for one in spec.further.values() for name in one))
    return {name: version for name in names if (version := _version(name)) is not None}


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
    return lines


def _kind_words(spec: EngineSpec, kind: DeviceType, *, has_gpu: bool) -> str:
    has = spec.precisions.get(kind, ())
    if not has:
        return f"no ({spec.lacks[kind]})"
    here: list[str] = []
    reasons: dict[str, list[str]] = {}
    for precision in PRECISIONS:
        reason = spec.lacks.get(precision)
        if precision in has:
            problem = machine_problem(Variant(IMPLEMENTATIONS[0], precision, engine=spec.name))
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
