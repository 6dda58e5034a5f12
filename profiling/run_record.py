"""The record of a run, ``run.json``, from its start to its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from adscale.engine_record import EngineRecord
from adscale.first_convolution import FirstConvolution
from adscale.models import adapter
from adscale.request import RunRequest
from adscale.run_record import (
    SCHEMA_VERSION,
    LeftOut,
    Outputs,
    Phase,
    Prediction,
    Problem,
    RunRecord,
    Status,
    StopReason,
)

from . import fingerprint
from .annotation import Annotate
from .images import ImageSet
from .measured_memory import MemoryWatch
from .memory_limits import requested_bytes
from .methods.base import Method
from .switches import found_switches


@dataclass
class Outcome:
    """How far a run came, and what ended it."""

    status: Status = "ok"
    problem: Problem | None = None
    phase: Phase = "build"
    images: dict[str, int] = field(default_factory=lambda: {"warmup": 0, "measure": 0})
    stop_reason: StopReason = "image_count"
    latency: dict[str, Any] | None = None
    machine: dict[str, Any] | None = None
    switches: dict[str, Any] | None = None
    """After the last image; None where it was not reached."""
    first_convolution: FirstConvolution | None = None
    """Of a method of the user's."""
    engine: EngineRecord | None = None
    """Once it has the networks of the method."""
    outputs: Outputs | None = None
    inner_ranges: tuple[tuple[str, ...], ...] = ()
    empty_range_ns: float | None = None
    changed: tuple[str, ...] = ()
    """Those that are not as the run asks for, in words."""

    @classmethod
    def killed(cls) -> Outcome:
        """The record if Linux kills the process for its memory."""
        return cls._without_images("out_of_memory", "unknown", "killed")

    @classmethod
    def ruled_out(cls, prediction: Prediction, margin: float) -> Outcome:
        """The outcome of a run that its count rules out: it is not begun.

        Args:
            prediction: for the run.
            margin: by which it exceeds the device's memory, at least.
        """
        reason = prediction.sentence(margin)
        return cls._without_images("predicted_out_of_memory", "prediction", reason)

    @classmethod
    def _without_images(cls, status: LeftOut, phase: Phase, message: str) -> Outcome:
        problem = Problem(phase, message, requested_bytes=None)
        return cls(status, problem, stop_reason=status)

    def note_ranges(self, method: Method, annotate: Annotate | None) -> None:
        """Notes the ranges inside of submodules, and what a range costs.

        Args:
            method: whose images were run.
            annotate: receives ranges; None: nobody does.
        """
        self.inner_ranges = method.inner_ranges
        if annotate is not None:
            self.empty_range_ns = method.empty_range_ns(annotate)

    def run_out(self, message: str) -> None:
        """Memory ran out in the phase that the run has reached.

        Args:
            message: what the allocator says.
        """
        self.status = self.stop_reason = "out_of_memory"
        words = " ".join(message.split())
        self.problem = Problem(self.phase, words, requested_bytes(message))


@dataclass(frozen=True)
class RunStart:
    """Everything known of a run when it starts.

    Args:
        request: what to run.
        images: the images.
        weights: where they come from, `weights_record`.
        prediction: what it will need; or why that could not be counted.
        memory: follows the memory of the run.
        nsys_version: version of the nsys that records, None without one.
        started_utc: the time.
    """

    request: RunRequest
    images: ImageSet
    weights: Mapping[str, str | None]
    prediction: Prediction | str
    memory: MemoryWatch
    nsys_version: str | None
    started_utc: str

    def record(self, outcome: Outcome, submodules: Sequence[str]) -> RunRecord:
        """The content of ``run.json``, checked.

        Args:
            outcome: how the run ended.
            submodules: of the method, in the order of inference.
        """
        request, prediction = self.request, self.prediction
        versions = fingerprint.software(self.nsys_version)
        ours = f"adscale {versions['adscale']}"
        # gradients: whether they are kept is known only where images are run
        flags = dict(outcome.switches or {**found_switches(), "gradients": None})
        threads = flags.pop("threads")
        recorder = {"nsys": self.nsys_version, "embedded": ours, "none": ours}
        data = {
            "schema_version": SCHEMA_VERSION,
            "status": outcome.status,
            "problem": outcome.problem,
            "request": request,
            "sampling": {
                "warmup_images": outcome.images["warmup"],
                "measured_images": outcome.images["measure"],
                "stop_reason": outcome.stop_reason,
            },
            "submodules": submodules,
            "inner_ranges": outcome.inner_ranges,
            "empty_range_ns": outcome.empty_range_ns,
            "clock": "gpu" if request.device_type == "cuda" else "host",
            "collector": {"name": request.collector, "version": recorder[request.collector]},
            "images": {**_images_record(self.images), "per_range": request.variant.batch},
            "weights": self.weights,
            "prediction": prediction if isinstance(prediction, Prediction) else None,
            "prediction_problem": prediction if isinstance(prediction, str) else None,
            "memory": self.memory.as_dict(),
            "latency": outcome.latency,
            "machine": outcome.machine,
            "hardware": {**fingerprint.hardware(request.device_type), "threads": threads},
            "software": versions,
            "flags": flags,
            "changed_switches": outcome.changed,
            "first_convolution": outcome.first_convolution,
            "engine": outcome.engine,
            "outputs": outcome.outputs,
            "started_utc": self.started_utc,
            "finished_utc": now_utc(),
        }
        record: RunRecord = adapter(RunRecord).validate_python(data)
        return record


def _images_record(images: ImageSet) -> dict[str, Any]:
    return {
        "source": images.source,
        "count": len(images),
        "unreadable": images.unreadable,
        "decoded": images.decoded,
    }


def now_utc() -> str:
    """The present time, in seconds."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
