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
    memory                    CUDA devices only, once, behind them: the same for one image more,
                              whose memory is measured and whose times count for nothing

Before all of it the memory of the run is predicted, in no range.
"""

from __future__ import annotations

import dataclasses
import importlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from profiling.annotation import Annotate
from profiling.images import ImageSet
from profiling.measured_memory import MemoryWatch, TorchAllocator
from profiling.methods.base import Method
from profiling.methods.loading import load_method_class, resolve
from profiling.methods.registry import (
    check_resolution,
    check_settings,
    get_spec,
    parse_variant,
)
from profiling.methods.spec import MethodSpec
from profiling.out_of_memory import is_out_of_memory
from profiling.progress import Progress
from profiling.request import RunRequest
from profiling.run_record import Outcome, RunRecord, now_utc
from profiling.sampling import StopRule
from profiling.skipping import Prediction


def measure(
    request: RunRequest,
    annotate: Annotate,
    nsys_version: str | None,
    on_start: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Carries out a run in this process, unless its count rules it out.

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
    started_utc = now_utc()
    spec = resolve(get_spec(request.target))
    # a foreign method is known only here; of ours, the settings are complete already
    request = dataclasses.replace(request, settings=check_settings(spec, request.settings))
    check_resolution(spec, request.settings, request.resolution_px)
    _configure_torch(request, spec)
    images = ImageSet.open(request.images)
    # first of all on the GPU: what CUDA itself takes there is measured before anything else
    memory = MemoryWatch(TorchAllocator(request.gpu) if request.device_type == "cuda" else None)
    prediction = _predict(request, spec)
    memory.begin()
    record = RunRecord(request, images, prediction, memory, nsys_version, started_utc)
    margin = request.skip_margin
    if margin is not None and isinstance(prediction, Prediction) and prediction.rules_out(margin):
        return record.as_dict(Outcome.ruled_out(prediction, margin), spec.submodules)
    on_start(record.as_dict(Outcome.killed(), spec.submodules))
    outcome = Outcome()
    submodules = _run(request, spec, images, annotate, memory, outcome)
    memory.end()
    return record.as_dict(outcome, submodules)


def _predict(request: RunRequest, spec: MethodSpec) -> Prediction | str:
    """See ``profiling.prediction``.

    It is not imported by a statement: the digest of the code that a measurement depends on shall
    not cover the counting, or every change of it would have everything measured again. Runs that
    were ruled out do depend on it, see ``profiling.study.decisions``.
    """
    predicted: Prediction | str = importlib.import_module("profiling.prediction").predict(
        spec,
        request.settings,
        resolution_px=request.resolution_px,
        implementation=parse_variant(request.variant, spec).implementation,
        device_type=request.device_type,
    )
    return predicted


def _run(
    request: RunRequest,
    spec: MethodSpec,
    images: ImageSet,
    annotate: Annotate,
    memory: MemoryWatch,
    outcome: Outcome,
) -> Sequence[str]:
    """Builds the method and runs the images, as far as memory lasts.

    Returns:
        The submodules of the method.
    """
    submodules: Sequence[str] = spec.submodules
    try:
        method = _build(request, spec, memory)
        with Progress(f"{request.method} {request.variant} {request.resolution_px} px") as progress:
            _run_phases(request, method, images, annotate, progress, outcome)
        submodules = method.submodules
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        outcome.run_out(str(error))
        return submodules
    if request.device_type == "cuda":
        _measure_memory(method, images, annotate, memory)
    return submodules


def _configure_torch(request: RunRequest, spec: MethodSpec) -> None:
    torch.set_num_threads(request.threads)
    # torch's own default is TF32 in convolutions and not in matrix products; fp32 is neither
    precision = parse_variant(request.variant, spec).precision
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = precision == "tf32"


def _build(request: RunRequest, spec: MethodSpec, memory: MemoryWatch) -> Method:
    method = load_method_class(spec).build(
        request.settings,
        resolution_px=request.resolution_px,
        implementation=parse_variant(request.variant, spec).implementation,
        seed=request.seed,
    )
    with memory.moving():
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


def _measure_memory(
    method: Method, images: ImageSet, annotate: Annotate, memory: MemoryWatch
) -> None:
    """Runs one image whose memory is measured, submodule by submodule.

    It comes last, so that measured images find the GPU as they would without it.
    """
    try:
        with torch.inference_mode(), annotate("memory"):
            _cuda_image(method, images, 0, memory.by_submodule(annotate))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):  # the measured images are complete: the run has its times
            raise
