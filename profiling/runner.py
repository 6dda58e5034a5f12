"""One run: warm-up images, then measured images, one inference each, in named ranges.

The ranges of a run, in the order in which they open::

    warmup | measure          each once
      load                    reading and decoding the image file
      prepare                 resizing and normalising
      copy_to_device          CUDA devices only
      image                   the inference
        <submodule>           as the method names them
      synchronize             CUDA devices only: the end of the work that `image` launched
      copy_to_host            CUDA devices only
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import torch

from profiling import fingerprint
from profiling.annotation import Annotate
from profiling.images import ImageSet
from profiling.methods.base import Method
from profiling.methods.loading import load_method_class, resolve
from profiling.methods.registry import (
    check_resolution,
    check_settings,
    get_spec,
    parse_variant,
)
from profiling.methods.spec import MethodSpec
from profiling.methods.weights import weights_record
from profiling.out_of_memory import is_out_of_memory, requested_bytes
from profiling.progress import Progress
from profiling.request import RunRequest
from profiling.sampling import StopRule


@dataclass
class Outcome:
    """How far a run came, and what ended it."""

    status: str = "ok"
    problem: dict[str, Any] | None = None
    phase: str = "build"
    images: dict[str, int] = field(default_factory=lambda: {"warmup": 0, "measure": 0})
    stop_reason: str = "image_count"


def measure(
    request: RunRequest,
    annotate: Annotate,
    nsys_version: str | None,
    on_start: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Carries out a run in this process.

    Args:
        request: what to run. Its threads and precision are set for the whole process.
        annotate: receives the ranges.
        nsys_version: version of the nsys that records this process, None without one.
        on_start: receives the record as it shall stand if Linux kills this process for its
            memory, of which no process can tell any more.

    Returns:
        The content of ``run.json``. Running out of memory is a result, not an exception.

    Raises:
        UserError: the images, weights or device cannot be used.
    """
    started_utc = _now_utc()
    spec = resolve(get_spec(request.target))
    # a foreign method is known only here; of ours, the settings are complete already
    request = dataclasses.replace(request, settings=check_settings(spec, request.settings))
    check_resolution(spec, request.settings, request.resolution_px)
    _configure_torch(request, spec)
    images = ImageSet.open(request.images)
    on_start(_record(request, spec.submodules, images, _killed(), nsys_version, started_utc))
    outcome = Outcome()
    submodules = spec.submodules
    try:
        method = _build(request, spec)
        with Progress(f"{request.method} {request.variant} {request.resolution_px} px") as progress:
            _run_phases(request, method, images, annotate, progress, outcome)
        submodules = method.submodules
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        _record_out_of_memory(outcome, str(error))
    return _record(request, submodules, images, outcome, nsys_version, started_utc)


def _killed() -> Outcome:
    problem = {"phase": "unknown", "message": "killed", "requested_bytes": None}
    return Outcome("out_of_memory", problem, stop_reason="out_of_memory")


def _configure_torch(request: RunRequest, spec: MethodSpec) -> None:
    torch.set_num_threads(request.threads)
    # torch's own default is TF32 in convolutions and not in matrix products; fp32 is neither
    precision = parse_variant(request.variant, spec).precision
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = precision == "tf32"


def _build(request: RunRequest, spec: MethodSpec) -> Method:
    method = load_method_class(spec).build(
        request.settings,
        resolution_px=request.resolution_px,
        implementation=parse_variant(request.variant, spec).implementation,
        seed=request.seed,
    )
    method.move_to(request.device_type)
    return method


def _run_phases(
    request: RunRequest,
    method: Method,
    images: ImageSet,
    annotate: Annotate,
    progress: Progress,
    outcome: Outcome,
) -> None:
    infer = _cuda_image if request.device_type == "cuda" else _cpu_image
    phases = {
        "warmup": StopRule.for_warmup(request.sampling),
        "measure": StopRule.for_measurement(request.sampling),
    }
    with torch.inference_mode():
        for phase, rule in phases.items():
            outcome.phase = phase
            with annotate(phase):
                _run_phase(
                    rule, lambda k: infer(method, images, k, annotate), phase, progress, outcome
                )


def _run_phase(
    rule: StopRule,
    infer: Callable[[int], None],
    phase: str,
    progress: Progress,
    outcome: Outcome,
) -> None:
    start_s = time.monotonic()
    done, reason = 0, rule.check(0, 0.0)
    while reason is None:
        infer(done)
        done += 1
        outcome.images[phase] = done
        elapsed_s = time.monotonic() - start_s
        progress.update(phase, done, rule.most_images, rule.remaining_s(done, elapsed_s))
        reason = rule.check(done, elapsed_s)
    outcome.stop_reason = reason


def _cpu_image(method: Method, images: ImageSet, index: int, annotate: Annotate) -> None:
    with annotate("load"):
        image = images[index]
    with annotate("prepare"):
        batch = method.prepare(image)
    with annotate("image"):
        method.infer(batch, annotate)


def _cuda_image(method: Method, images: ImageSet, index: int, annotate: Annotate) -> None:
    with annotate("load"):
        image = images[index]
    with annotate("prepare"):
        prepared = method.prepare(image)
    with annotate("copy_to_device"):
        batch = prepared.to("cuda")
        torch.cuda.synchronize()
    with annotate("image"):
        detection = method.infer(batch, annotate)
    with annotate("synchronize"):
        torch.cuda.synchronize()
    with annotate("copy_to_host"):
        for result in (detection.anomaly_map, detection.score):
            if result is not None:
                result.cpu()


def _record_out_of_memory(outcome: Outcome, message: str) -> None:
    outcome.status = outcome.stop_reason = "out_of_memory"
    outcome.problem = {
        "phase": outcome.phase,
        "message": " ".join(message.split()),
        "requested_bytes": requested_bytes(message),
    }


def _record(
    request: RunRequest,
    submodules: Sequence[str],
    images: ImageSet,
    outcome: Outcome,
    nsys_version: str | None,
    started_utc: str,
) -> dict[str, Any]:
    versions = fingerprint.software(nsys_version)
    recorder = {"nsys": nsys_version, "embedded": f"adscale {versions['adscale']}"}
    return {
        "schema_version": 1,
        "status": outcome.status,
        "problem": outcome.problem,
        "request": request.as_dict(),
        "sampling": {
            "warmup_images": outcome.images["warmup"],
            "measured_images": outcome.images["measure"],
            "stop_reason": outcome.stop_reason,
        },
        "submodules": list(submodules),
        "clock": "gpu" if request.device_type == "cuda" else "host",
        "collector": {"name": request.collector, "version": recorder[request.collector]},
        "images": {
            "source": images.source,
            "count": len(images),
            "unreadable": list(images.unreadable),
        },
        "weights": weights_record(request.settings.get("weights")),
        "hardware": fingerprint.hardware(request.device_type),
        "software": versions,
        "flags": fingerprint.flags(),
        "started_utc": started_utc,
        "finished_utc": _now_utc(),
    }


def _now_utc() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
