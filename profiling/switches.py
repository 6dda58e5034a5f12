"""The switches of torch that change runtimes and results.

Any code can change them for the whole process, and packages do when they are imported. So they are
set as the run asks for once the method is built, and looked at once more after the last image.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch

from adscale.request import RunRequest

logger = logging.getLogger(__name__)

IEEE = "ieee"
"""What fp32 is computed in, unless something less precise is asked for."""


def set_switches(request: RunRequest) -> None:
    """Sets all switches as a run asks for, whatever they were before."""
    torch.set_num_threads(request.threads)
    # torch's own default is TF32 in convolutions and not in matrix products; fp32 is neither
    _set_precision(tf32=request.variant.precision == "tf32")
    torch.backends.cudnn.benchmark = request.execution.cudnn_benchmark
    torch.backends.cudnn.deterministic = request.execution.deterministic
    if torch.are_deterministic_algorithms_enabled() != request.execution.deterministic:
        # asked for only where it changes something: the call imports torch's compiler, seconds
        torch.use_deterministic_algorithms(request.execution.deterministic)
    torch.set_default_dtype(torch.float32)
    for device_type in _autocasting():
        torch.set_autocast_enabled(device_type, False)


def asked_switches(request: RunRequest) -> dict[str, Any]:
    """What ``found_switches`` tells where a run is as it was asked for."""
    return {
        "threads": request.threads,
        "tf32_matmul": False,
        "tf32_cudnn": request.variant.precision == "tf32",
        "cudnn_benchmark": request.execution.cudnn_benchmark,
        "cudnn_deterministic": request.execution.deterministic,
        "deterministic_algorithms": request.execution.deterministic,
        "cpu_precision": IEEE,
        "default_dtype": "float32",
        "autocast": False,
        "gradients": False,
    }


def found_switches() -> dict[str, Any]:
    """The switches as they are now: ``flags`` of ``run.json``, and ``threads``."""
    return {
        "threads": torch.get_num_threads(),
        **_found_precision(),
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "cudnn_deterministic": torch.backends.cudnn.deterministic,
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "default_dtype": str(torch.get_default_dtype()).removeprefix("torch."),
        "autocast": bool(_autocasting()),
        "gradients": torch.is_grad_enabled(),
    }


def changed_switches(asked: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[str, ...]:
    """The switches that are not as they were asked for, in words.

    Args:
        asked: as ``asked_switches`` gives them.
        found: as ``found_switches`` gives them.
    """
    return tuple(
        f"{name} was to be {_words(value)} and is {_words(found[name])}"
        for name, value in asked.items()
        if found[name] != value
    )


def warn_of_switches(asked: Mapping[str, Any]) -> None:
    """Tells the user what building the method has changed, and that the run measures without it.

    Args:
        asked: as ``asked_switches`` gives them.
    """
    # gradients are off only where images are run
    found = {**found_switches(), "gradients": asked["gradients"]}
    changed = changed_switches(asked, found)
    if changed:
        logger.warning(
            "the method sets switches of torch while it is built (%s); they are set back, and it "
            "is measured as the configuration says",
            "; ".join(changed),
        )


def _words(value: object) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def _autocasting() -> list[str]:
    """Kinds of devices for which torch is told to choose less precise types by itself."""
    return [name for name in ("cpu", "cuda") if torch.is_autocast_enabled(name)]


def _operators() -> tuple[tuple[Any, ...], tuple[Any, ...], tuple[Any, ...]] | None:
    """Torch's newer switches: of products on a GPU, of cuDNN, of the CPU; None before torch 2.9."""
    backends: Any = torch.backends
    if not hasattr(backends, "fp32_precision"):
        return None
    of_cpu = (backends.mkldnn.matmul, backends.mkldnn.conv, backends.mkldnn.rnn)
    return (backends.cuda.matmul,), (backends.cudnn.conv, backends.cudnn.rnn), of_cpu


def _set_precision(*, tf32: bool) -> None:
    """Sets both kinds of switches: torch refuses to read the older ones where they disagree."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = tf32
    # each operator by itself: one that is not set follows the switch above it
    matmul, cudnn, cpu = _operators() or ((), (), ())
    for operator in (*matmul, *cpu):
        operator.fp32_precision = IEEE
    for operator in cudnn:
        operator.fp32_precision = "tf32" if tf32 else IEEE


def _found_precision() -> dict[str, Any]:
    operators = _operators()
    if operators is None:
        # a CPU computes in bfloat16 at `medium`
        of_cpu = {"medium": "bf16"}.get(torch.get_float32_matmul_precision(), IEEE)
        return {
            "tf32_matmul": torch.backends.cuda.matmul.allow_tf32,
            "tf32_cudnn": torch.backends.cudnn.allow_tf32,
            "cpu_precision": of_cpu,
        }
    matmul, cudnn, cpu = ([one.fp32_precision for one in part] for part in operators)
    reduced = [found for found in cpu if found not in {IEEE, "none"}]
    return {
        "tf32_matmul": "tf32" in matmul,
        "tf32_cudnn": "tf32" in cudnn,
        "cpu_precision": reduced[0] if reduced else IEEE,
    }
