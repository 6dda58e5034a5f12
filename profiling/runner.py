"""One run: warm-up images, then measured images, one inference each, in named ranges.

Of a variant with batches an inference has several images, and what is counted as images here is
batches. The ranges of a run, in the order in which they open::

    warmup | measure          each once
      load                    reading and decoding the image file
      prepare                 resizing and normalising
      copy_to_device          CUDA devices only
      flush                   cold caches only: the device's last-level cache is overwritten
      image                   the inference
        <submodule>           as the method names them, perhaps with others inside
      synchronize             CUDA devices only: the end of the work that `image` launched
      copy_to_host            CUDA devices only
    memory                    CUDA devices only, once, behind them: the same for one image more,
                              whose memory is measured and whose times count for nothing
    empty range               some, behind the images: what the ranges themselves cost

Before all of it the memory of the run is counted, in another process. The latency pass, which
nobody records, runs the same without `memory`.
"""

from __future__ import annotations

import dataclasses
import importlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import Protocol

import torch

from adscale.command_line import restored_streams
from adscale.engines import has_engine_files
from adscale.errors import ConfigError, UserError
from adscale.methods.foreign import is_foreign
from adscale.methods.registry import (
    check_resolution,
    check_settings,
    get_spec,
    located_files,
    parse_variant,
)
from adscale.methods.spec import MethodSpec
from adscale.progress import Progress, run_title
from adscale.request import RunRequest
from adscale.run_record import Prediction, RunRecord

from .annotation import Annotate, no_range
from .fingerprint import measured_gpu_uuid
from .first_convolution import FirstConvolutionWatch
from .image_reading import decode_as, limit_images
from .images import ImageSet
from .inference import CacheFlush, CudaClock, HostClock, Inference, LatencyClock, Stopwatch
from .machine.watch import MachineWatch
from .measured_memory import MemoryWatch, TorchAllocator
from .memory_limits import is_out_of_memory
from .methods.base import Method
from .methods.loading import build_method, resolve
from .methods.weights import weights_record
from .outputs import OutputWatch
from .prediction import Need, predict
from .run_record import Outcome, RunStart, now_utc
from .sampling import Rule, StopRule, measurement_rule
from .switches import (
    asked_switches,
    changed_switches,
    found_switches,
    set_switches,
    warn_of_switches,
)
from .trail import method_error

logger = logging.getLogger(__name__)


def measure(
    request: RunRequest,
    need: Need | str,
    annotate: Annotate,
    nsys_version: str | None,
    on_start: Callable[[RunRecord], None],
    engine: Path | None = None,
) -> RunRecord:
    """Carries out a run in this process, unless its count rules it out.

    Args:
        request: what to run. Its threads and precision are set for the whole process.
        need: what an inference needs of the device's memory, counted in another process; or why
            that is not known.
        annotate: receives the ranges; in the latency pass, those of the phases only.
        nsys_version: version of the nsys that records this process, None without one.
        on_start: receives the record as it shall stand if Linux kills this process for its memory.
        engine: folder of the files of the variant's engine; None: it has none.

    Returns:
        The record for ``run.json``, or for ``latency.json`` where the request's collector is
        ``none``. Running out of memory is a result, not an exception.

    Raises:
        UserError: the images, weights or device cannot be used, or settings of the execution.
    """
    started_utc, folder = now_utc(), Path.cwd()  # the user's code may change the folder
    limit_images(request.max_image_megapixels)
    decode_as(request.decoding)
    images, weights = ImageSet.open(request.images), weights_record(request.checkpoint)
    spec, request = resolved(request)
    # first of all on the GPU: what CUDA itself takes there is measured before anything else
    memory = MemoryWatch(TorchAllocator(request.gpu) if request.device_type == "cuda" else None)
    with _machine_watch(request) as machine:
        prediction = predict(need, request.device_type)
        memory.begin()
        start = RunStart(request, images, weights, prediction, memory, nsys_version, started_utc)
        if isinstance(prediction, Prediction) and prediction.rules_out(request.skip_margin):
            assert request.skip_margin is not None
            return start.record(Outcome.ruled_out(prediction, request.skip_margin), spec.submodules)
        on_start(start.record(Outcome.killed(), spec.submodules))
        outcome = Outcome()
        located = dataclasses.replace(request, settings=located_files(request.settings, folder))
        with _back_in(folder):
            submodules = _run(located, spec, images, annotate, memory, machine, outcome, engine)
        memory.end()
    _compare_switches(request, outcome)
    if outcome.phase != "build":
        outcome.machine = machine.as_dict(outcome.images["measure"] * request.variant.batch)
    return start.record(outcome, submodules)


@contextmanager
def _back_in(folder: Path) -> Iterator[None]:
    """Afterwards working directory and streams are those, whatever the user's code has changed."""
    try:
        with restored_streams():
            yield
    finally:
        os.chdir(folder)


def resolved(request: RunRequest) -> tuple[MethodSpec, RunRequest]:
    """The method, and the request with its settings: a foreign one is known only here.

    All switches of torch are set as it asks for.

    Raises:
        UserError: the method, a setting, the resolution or the variant cannot be used.
    """
    spec = resolve(get_spec(request.target))
    request = dataclasses.replace(request, settings=check_settings(spec, request.settings))
    check_resolution(spec, request.settings, request.resolution)
    parse_variant(str(request.variant), spec)
    set_switches(request)
    return spec, request


def _compare_switches(request: RunRequest, outcome: Outcome) -> None:
    if outcome.switches is not None:
        outcome.changed = changed_switches(asked_switches(request), outcome.switches)
    _warn(request, outcome)


def _warn(request: RunRequest, outcome: Outcome) -> None:
    """Tells at once what the verdict will say: that the run is not what was asked for."""
    if outcome.changed:
        logger.warning(
            "the method changes switches of torch while it runs: %s", "; ".join(outcome.changed)
        )
    if outcome.first_convolution is not None:
        said = outcome.first_convolution.sentence(request.resolution, request.variant)
        if said is not None:
            logger.warning("%s", said)


def _machine_watch(request: RunRequest) -> MachineWatch:
    gpu_uuid = measured_gpu_uuid(request.gpu) if request.device_type == "cuda" else None
    return MachineWatch(
        request.device_type, gpu_uuid, request.lock_clocks, request.foreign_processes
    )


def _run(
    request: RunRequest,
    spec: MethodSpec,
    images: ImageSet,
    annotate: Annotate,
    memory: MemoryWatch,
    machine: MachineWatch,
    outcome: Outcome,
    engine: Path | None,
) -> Sequence[str]:
    """Builds the method and runs the images, as far as memory lasts.

    Returns:
        The submodules of the method.
    """
    submodules: Sequence[str] = spec.submodules
    try:
        inference = _inference(request, spec, images, memory, outcome, engine)
        method = inference.method
        watch = None if request.collector == "none" else OutputWatch(len(images))
        flush = CacheFlush(request.device_type) if request.execution.cache == "cold" else None
        with Progress(run_title(request)) as progress:
            run_phases(
                request,
                dataclasses.replace(inference, flush=flush, outputs=watch),
                annotate,
                machine,
                progress,
                outcome,
            )
        submodules = method.submodules
        outcome.outputs = None if watch is None else watch.found()
        outcome.note_ranges(method, None if request.collector == "none" else annotate)
    except Exception as error:
        if isinstance(error, UserError):
            raise
        if _is_nondeterministic(error, request):
            what = " ".join(str(error).split())
            raise ConfigError("execution.deterministic", what, "set it to false") from error
        if is_out_of_memory(error):
            outcome.run_out(str(error) or f"{type(error).__name__} without a word of its size")
            return submodules
        if spec.foreign:
            raise method_error(request.target, error) from error
        raise
    if request.device_type == "cuda" and request.collector != "none":
        del flush  # its buffer is none of the method's memory
        _measure_memory(inference, annotate, memory)
    return submodules


def _inference(
    request: RunRequest,
    spec: MethodSpec,
    images: ImageSet,
    memory: MemoryWatch,
    outcome: Outcome,
    engine: Path | None,
) -> Inference:
    """The method, built, with the networks of the engine, and all compiled that is."""
    set_switches(request)  # the count has called the method, too
    with restored_streams():
        method = built(request, spec, memory)
        if engine is not None:
            outcome.engine = _engines("takeover").take_over(method, spec, request, engine)
    warn_of_switches(asked_switches(request))
    set_switches(request)  # whatever the method has changed
    inference = Inference(method, images, request.device_type, request.variant.batch)
    if engine is not None:  # whatever is still to be compiled is, before anything is timed
        with torch.inference_mode():
            inference.run(0, no_range)
    return inference


def _is_nondeterministic(error: BaseException, request: RunRequest) -> bool:
    """Whether torch refuses an operation because it may yield another result each time."""
    return request.execution.deterministic and "deterministic" in str(error)


def built(request: RunRequest, spec: MethodSpec, memory: MemoryWatch | None = None) -> Method:
    """The method of a run, where it shall run; of an engine's variant, or a pruned one, as it was.

    Args:
        request: of the run.
        spec: of the method.
        memory: measures what the move to the device takes; None: nobody does.

    Raises:
        UserError: the method cannot be built.
    """
    variant = request.variant
    method = build_method(
        spec,
        request.settings,
        resolution=request.resolution,
        implementation=variant.implementation,
        seed=request.seed,
    )
    if spec.parts and not (has_engine_files(variant) or variant.is_plain):
        _engines("parts").cast(method, spec.parts, variant)
    with nullcontext() if memory is None else memory.moving():
        method.move_to(request.device_type)
    return method


def _engines(module: str) -> ModuleType:
    """Our modules that only variants with an engine, layout or shorter numbers need.

    They are not imported by a statement: the digest of the code that the others depend on shall
    not cover them, or every change of an engine would have them measured again.
    """
    return importlib.import_module(f".engines.{module}", __package__)


def _measure_memory(inference: Inference, annotate: Annotate, memory: MemoryWatch) -> None:
    """Runs one image whose memory is measured, submodule by submodule.

    It comes last, so that measured images find the GPU as they would without it.
    """
    try:
        with torch.inference_mode(), annotate("memory"):
            inference.run(0, memory.by_submodule(annotate))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):  # the measured images are complete: the run has its times
            raise


class Times(Protocol):
    """Opens the ranges of an image, and tells the times of its parts once it is over."""

    def __call__(self, name: str) -> AbstractContextManager[object]:
        """The range of that name."""

    def times_ms(self) -> list[float]:
        """Times of the image that is over, always in the same order."""


def run_phases(
    request: RunRequest,
    inference: Inference,
    annotate: Annotate,
    machine: MachineWatch,
    progress: Progress,
    outcome: Outcome,
) -> None:
    """Runs the images of a run, or its batches.

    Args:
        request: what to run.
        inference: runs an image, or a batch.
        annotate: opens the ranges.
        machine: is told when images are measured.
        progress: shows how far the run has come.
        outcome: how far the run has come, for the record; kept up to date, whatever ends the run.
    """
    warming = StopRule.for_warmup(request.sampling)
    measuring = measurement_rule(request.own_sampling)
    with torch.inference_mode():
        outcome.phase = "warmup"
        with annotate("warmup"):
            # timed like the measured images, so that these find that warm, too
            times = _times(request, annotate)
            foreign = is_foreign(request.target)
            _run_phase(warming, inference, annotate, times, progress, outcome, watched=foreign)
        outcome.phase = "measure"
        if inference.outputs is not None:
            inference.outputs.takes_maps = False
        inference.method.begin_measuring()
        times = _times(request, annotate)
        with machine.measuring(), annotate("measure"):
            _run_phase(measuring, inference, annotate, times, progress, outcome)
        outcome.switches = found_switches()  # in here: whether gradients are kept belongs to it
    if isinstance(times, LatencyClock):
        outcome.latency = times.as_dict()


def _times(request: RunRequest, annotate: Annotate) -> Times | None:
    """The clock for the images of a phase in this process; None where only the profile has one."""
    if request.collector == "none":
        return LatencyClock()
    if request.sampling.target_precision is None:
        return None
    return Stopwatch(annotate, CudaClock() if request.device_type == "cuda" else HostClock())


def _run_phase(
    rule: Rule,
    inference: Inference,
    annotate: Annotate,
    times: Times | None,
    progress: Progress,
    outcome: Outcome,
    *,
    watched: bool = False,
) -> None:
    opening = annotate if times is None else times
    phase = outcome.phase
    start_s = time.monotonic()
    done, reason = 0, rule.check(0, 0.0)
    while reason is None:
        if watched and done == 0:
            watch = FirstConvolutionWatch(opening)
            inference.run(done, watch)
            outcome.first_convolution = watch.found
        else:
            inference.run(done, opening)
        done += 1
        outcome.images[phase] = done
        if times is not None:
            rule.record(times.times_ms())
        elapsed_s = time.monotonic() - start_s
        left_s = rule.remaining_s(done, elapsed_s)
        progress.update(phase, done, rule.most_images, left_s, unit=inference.unit)
        reason = rule.check(done, elapsed_s)
    outcome.stop_reason = reason
