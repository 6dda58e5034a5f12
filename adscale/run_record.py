"""``run.json`` and ``latency.json``: what a process was asked to do, what it did, and on what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_serializer, model_validator
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from .engine_record import EngineRecord
from .fingerprint import Flags, Hardware, Software
from .first_convolution import FirstConvolution
from .models import CLOSED, Count, EachOnce, Flag, Number, Positive, Text
from .request import CollectorName, RunRequest

SCHEMA_VERSION: Literal[3] = 3
"""Version of all records; it rises where an older one can no longer be read."""

LeftOut = Literal["out_of_memory", "predicted_out_of_memory"]
Status = Literal["ok", LeftOut]
Phase = Literal["prediction", "build", "warmup", "measure", "unknown"]
StopReason = Literal["precision", "image_count", "time_budget", LeftOut]
Bytes = Count | None
"""A size that was measured; None where it could not be."""
Times = tuple[Annotated[Number, Field(ge=0)], ...]
"""One per measured image, or batch, in the order of measurement."""
Samples = tuple[Number | None, ...]
"""One per moment of ``time_ms``; None where it is missing."""


@dataclass(frozen=True, config=CLOSED)
class Problem:
    """Evidence for a status other than ok."""

    phase: Phase = Field(description="How far the run had come.")
    message: Text = Field(description="What the allocator or the count says.")
    requested_bytes: Count | None = Field(
        description="Bytes of the allocation that failed, where the allocator says."
    )


@dataclass(frozen=True, config=CLOSED)
class Sampled:
    """How many `image` ranges were completed, each of one batch: see `images.per_range`."""

    warmup_images: Count = Field(description="Warm-up images, or batches, that were completed.")
    measured_images: Count = Field(description="Measured images, or batches, that were completed.")
    stop_reason: StopReason = Field(
        description="Why the measurement ended. precision: target_precision was reached."
    )


@dataclass(frozen=True, config=CLOSED)
class Collector:
    """The collector that recorded the ranges."""

    name: CollectorName = Field(description="none: the latency pass.")
    version: str = Field(description="Version of nsys, or of adscale.")


@dataclass(frozen=True, config=CLOSED)
class Images:
    """The images that were run."""

    source: str = Field(description="Folder, or the package whose photographs were used.")
    count: Positive = Field(description="How many there are.")
    unreadable: tuple[str, ...] = Field(description="Files that could not be read.")
    decoded: Mapping[Text, Positive] = Field(
        default={},
        description="How many were decoded how, with the white level and who states it: those of "
        "more than 8 bits, Bayer mosaics and pages of files with several. Not those of 8 bits, and "
        "none in older records.",
    )
    per_range: Positive = Field(
        default=1,
        description="How many an `image` range holds: the batch of the request's variant.",
    )


@dataclass(frozen=True, config=CLOSED)
class Weights:
    """Where the weights come from."""

    source: str = Field(description="`seeded random`, or the path of the checkpoint.")
    sha256: str | None = Field(description="Of the checkpoint.")


@dataclass(frozen=True, config=CLOSED)
class Prediction:
    """The memory that a run needs by count, and that its device has."""

    needed_bytes: Count = Field(
        description="What the device must hold at least, as in memory.json."
    )
    device_memory_bytes: Positive = Field(
        description="Memory of the GPU in all. Of a CPU device: main memory without swap, or what "
        "control groups or ulimit -v leave of it."
    )
    available_bytes: Count = Field(description="What of it was free when the run started.")
    incomplete: Text | None = Field(
        description="Up to where a method of the user's was counted, and why not further; null: "
        "everything is in the count."
    )
    counted_by: str = Field(description="Digest of the code that counted.")

    def rules_out(self, margin: float | None) -> bool:
        """Whether the run cannot fit, whatever else is in the device's memory.

        The count is a bound from below: what has been counted must be there at once, what has not
        comes on top. So more than the device has is too much, and the margin is only for faults of
        the count itself.

        Args:
            margin: share of the device's memory by which the count must exceed it; None: no run is
                to be ruled out.
        """
        if margin is None:
            return False
        return self.needed_bytes > self.device_memory_bytes * (1 + margin)

    def sentence(self, margin: float) -> str:
        """Why a run was ruled out, in words."""
        return (
            f"not run: it needs at least {self.needed_bytes:,} bytes by count, more than the "
            f"{self.device_memory_bytes:,} bytes of the device with a margin of {margin:g}"
        )


@dataclass(frozen=True, config=CLOSED)
class HostMemory:
    """Main memory of the whole measuring process: code, libraries and data."""

    resident_before_build_bytes: Bytes = Field(description="Before the method was built (VmRSS).")
    peak_before_build_bytes: Bytes = Field(description="Largest until then (VmHWM).")
    peak_bytes: Bytes = Field(
        description="Largest until the run was over, or memory ran out (VmHWM)."
    )


@dataclass(frozen=True, config=CLOSED)
class SubmoduleMemory:
    """Memory of one submodule on the GPU, by torch's allocator."""

    submodule: Text = Field(description="Its name.")
    begin_allocated_bytes: Count = Field(
        description="Live tensors when it began: parameters, buffers, the image, what earlier "
        "submodules left."
    )
    peak_allocated_bytes: Count = Field(
        description="Largest sum of live tensors while it ran, those at its begin among them."
    )
    peak_reserved_bytes: Count = Field(
        description="Most that torch's allocator held of the driver while it ran, with what it "
        "kept from before."
    )


@dataclass(frozen=True, config=CLOSED)
class GpuMemory:
    """Memory of the GPU."""

    context_bytes: Bytes = Field(
        description="What the process had on the GPU before anything was allocated: CUDA's "
        "context, and what records it."
    )
    moved_outside_bytes: Annotated[int, Field(strict=True)] | None = Field(
        description="By how much what lies outside of torch's allocator grew while the method was "
        "moved to the GPU: of PatchCore, faiss' memory bank and its temporary memory."
    )
    built_allocated_bytes: Bytes = Field(
        description="Tensors on the GPU once the method was there: its parameters and buffers."
    )
    peak_allocated_bytes: Bytes = Field(
        description="Largest sum of live tensors in the run, by torch's allocator."
    )
    peak_reserved_bytes: Bytes = Field(
        description="Most that torch's allocator took from the driver in the run."
    )
    process_bytes: Bytes = Field(
        description="What the process had on the GPU at the end, by the driver."
    )
    process_source: Literal["nvml", "nvidia-smi"] | None = Field(
        description="Who told process_bytes."
    )
    outside_allocator_bytes: Annotated[int, Field(strict=True)] | None = Field(
        description="process_bytes less what torch's allocator had reserved then: context, code "
        "of kernels, libraries."
    )
    cublas_workspace_bytes: Bytes = Field(
        description="What torch allocates for cuBLAS with the first matrix product, inside of its "
        "allocator; null where torch does not tell."
    )
    submodules: tuple[SubmoduleMemory, ...] | None = Field(
        description="Of one image, or batch, behind the measured ones; null where none was run."
    )


@dataclass(frozen=True, config=CLOSED)
class MeasuredMemory:
    """Memory as it was measured. What could not be measured is null, never zero."""

    host: HostMemory = Field(description="Main memory.")
    gpu: GpuMemory | None = Field(description="null on a CPU device.")


@dataclass(frozen=True, config=CLOSED)
class Latency:
    """Times of the measured images without any profiler, in ms; with batches, of whole batches."""

    load_ms: Times = Field(description="Reading and decoding the image files.")
    prepare_ms: Times = Field(description="Resizing and normalising.")
    copy_to_device_ms: Times | None = Field(description="null on a CPU device.")
    image_ms: Times = Field(description="The inference, until the device has finished it.")
    copy_to_host_ms: Times | None = Field(description="null on a CPU device.")
    end_to_end_ms: Times = Field(
        description="From the decoded image to its result in main memory: prepare, copies and "
        "inference. Loading is not in it: a camera delivers images decoded."
    )


@dataclass(frozen=True, config=CLOSED)
class Outputs:
    """What the method has found in the first images, to be compared with other variants."""

    scores: tuple[Number | None, ...] = Field(
        description="Of the first images in their order, each once; null: not finite. Empty where "
        "the method tells none."
    )
    map_points: tuple[Positive, Positive, Positive] | None = Field(
        description="Of how many images maps are kept, and rows and columns of the lattice of "
        "points of each, from edge to edge; null: of none, or no warm-up image was run."
    )
    maps: str = Field(
        description="Their values at these points: float32, little-endian, in base 64, image by "
        "image and row by row."
    )


@dataclass(frozen=True, config=CLOSED)
class MachineSamples:
    """A list per quantity, all of one length; none where the quantity cannot be had."""

    time_ms: tuple[Number, ...] = Field(description="Of each sample since the watch began.")
    sm_clock_mhz: Samples | None = Field(default=None, description="Of the GPU.")
    memory_clock_mhz: Samples | None = Field(default=None, description="Of the GPU.")
    temperature_c: Samples | None = Field(default=None, description="Of the GPU.")
    power_w: Samples | None = Field(default=None, description="That the GPU draws.")
    slowdown_reasons: Samples | None = Field(
        default=None, description="Bit mask of nvmlDeviceGetCurrentClocksEventReasons."
    )
    cpu_frequency_mhz: Samples | None = Field(
        default=None, description="Highest frequency of the CPUs that the process may use."
    )
    others_share: Samples | None = Field(
        default=None,
        description="Share of the GPU, or of the CPUs that the process may use, that others used "
        "since the sample before; of a CPU the difference of two counters, so that a little less "
        "than 0 occurs.",
    )

    @model_serializer(mode="wrap")
    def _without_absent(self, serialize: Any) -> dict[str, Any]:
        return {name: values for name, values in serialize(self).items() if values is not None}


@dataclass(frozen=True, config=CLOSED)
class Energy:
    """The GPU's energy counter over the measured images."""

    joules: Annotated[Number, Field(ge=0)] = Field(description="That the counter rose by.")
    window_s: Annotated[Number, Field(ge=0)] = Field(description="Between its two readings.")
    images: Count = Field(description="Measured images between them: each of a batch counts.")


@dataclass(frozen=True, config=CLOSED)
class ForeignProcess:
    """A process of others that computed on the GPU."""

    pid: Count = Field(description="Its number.")
    name: str | None = Field(description="Its name, where it can be read.")
    used_bytes: Count | None = Field(description="Of the GPU's memory, where that is told.")
    seen: Literal["before", "after", "throughout"] = Field(
        description="When, beside the measured images."
    )


@dataclass(frozen=True, config=CLOSED)
class Machine:
    """State of the machine beside the measurement."""

    interval_ms: Annotated[Number, Field(gt=0)] = Field(description="Time between two samples.")
    measured_ms: tuple[Number, Number] | None = Field(
        description="Begin and end of the measured images, on the clock of time_ms; null where "
        "none was measured."
    )
    samples: MachineSamples = Field(description="Over time.")
    unavailable: Mapping[str, Text] = Field(description="Why a quantity could not be recorded.")
    idle_power_w: Number | None = Field(description="Of the GPU before the method was built.")
    energy: Energy | None = Field(description="null where the counter cannot be read.")
    locked_sm_clock_mhz: Number | None = Field(
        description="SM clock that the GPU was locked to; null where it was not."
    )
    lock_problem: Text | None = Field(description="Why the clock asked for could not be locked.")
    foreign_processes: tuple[ForeignProcess, ...] = Field(
        description="Processes of others that computed on the GPU."
    )


@dataclass(frozen=True, config=CLOSED)
class RunRecord:
    """The record of one process of a run: its request, its result, and its machine."""

    schema: ClassVar[str] = "run"

    schema_version: Literal[3] = Field(description="Of this record.")
    status: Status = Field(
        description="ok: the measured images are complete. out_of_memory: the method was run and "
        "does not fit at this resolution; a result, not a failure. predicted_out_of_memory: it "
        "was not run, because its count is more than the device has and the user wanted such runs "
        "left out."
    )
    problem: Problem | None = Field(description="Evidence for a status other than ok, else null.")
    request: RunRequest = Field(description="What was asked for.")
    sampling: Sampled = Field(description="What was done of it.")
    submodules: Annotated[tuple[Text, ...], EachOnce] = Field(
        description="The ranges directly inside each `image` range, in the order of inference. "
        "Empty where memory ran out before a network of the user had told them."
    )
    clock: Literal["host", "gpu"] = Field(
        description="host: a CPU device, runtimes are durations on the CPU thread. gpu: runtimes "
        "are those of GPU kernels."
    )
    collector: Collector = Field(description="What recorded the ranges.")
    images: Images = Field(description="The images that were run.")
    weights: Weights = Field(description="Where the weights come from.")
    prediction: Prediction | None = Field(
        description="What the run needs by count; null where nothing could be counted."
    )
    prediction_problem: Text | None = Field(
        description="Why nothing could be counted; null where prediction is there."
    )
    memory: MeasuredMemory = Field(description="Memory as it was measured.")
    latency: Latency | None = Field(
        description="Times of the measured images without any profiler; null in run.json, which a "
        "collector records."
    )
    machine: Machine | None = Field(
        description="State of the machine beside the measurement; null where no image was begun."
    )
    hardware: Hardware = Field(description="The machine that measured.")
    software: Software = Field(description="Versions.")
    flags: Flags = Field(description="Switches of torch that change runtimes and results.")
    started_utc: str = Field(description="ISO 8601.")
    finished_utc: str = Field(description="ISO 8601.")
    changed_switches: tuple[Text, ...] = Field(
        default=(),
        description="Switches of torch that were not as asked for after the last image: the method "
        "has changed them, and the run is not what its variant and settings promise.",
    )
    first_convolution: FirstConvolution | None = Field(
        default=None,
        description="Of a method of the user's, to be compared with the resolution asked for; null "
        "where neither a convolution nor a product was seen, or no warm-up image was run.",
    )
    engine: EngineRecord | None = Field(
        default=None,
        description="Engine of the networks; null: eager torch, and in older records.",
    )
    outputs: Outputs | None = Field(
        default=None,
        description="What the method has found; null in latency.json, in older records, and where "
        "it returns neither map nor score.",
    )
    inner_ranges: tuple[tuple[Text, ...], ...] = Field(
        default=(),
        description="Ranges inside of submodules, each with the names of those around it, the "
        "submodule first. They are parts of it, and make up no whole.",
    )
    empty_range_ns: Annotated[Number, Field(ge=0)] | None = Field(
        default=None,
        description="Host time of a range without anything in it, opened as those of an image: of "
        "a network with what watches its modules. Median, measured behind the images, each time "
        "after the CPU's inner caches were filled; null in latency.json and in older records.",
    )

    forked: Flag = Field(
        default=False,
        description="The process was forked from one that had imported torch for this process of "
        "all runs of the study (docs/running.md); false: it was started by itself.",
    )

    @model_validator(mode="after")
    def _one_batch(self) -> RunRecord:
        if self.images.per_range != self.request.variant.batch:
            told = f"{self.images.per_range} images per range, variant {self.request.variant}"
            raise PydanticCustomError("batch", "{told}", {"told": told})
        return self
