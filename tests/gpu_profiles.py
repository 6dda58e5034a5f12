"""Generated GPU runs in the true schema of nsys 2023.4.4 (3.7.2), with known kernel times.

For machines without a GPU. Every submodule launches three kernels on one stream, with a gap after
each of the first two, and one more on a second stream that runs wholly beside the first. For a
submodule with `work_ns` of work (a multiple of four) this gives, by construction:

- busy time: `work_ns` (kernels of a half, a quarter and a quarter of it)
- kernel sum: 5/4 `work_ns` (the one beside them takes a quarter)
- span: `work_ns` + 2 `GAP_NS`
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from adscale.variant import Variant
from tests.nsys_schema import SCHEMA

GPU_NAME = "generated GPU"
GAP_NS = 1_000
LAUNCH_NS = 2_000
KERNELS_PER_SUBMODULE = 4

PROCESS = 0x1000000000000 | (4242 << 24)
MAIN_THREAD = PROCESS | 4242
OTHER_THREAD = PROCESS | 4243
DOMAIN_ID = 1
STREAM, SIDE_STREAM = 7, 13


class KernelTimes(NamedTuple):
    """What one call of a range must be found to take on the GPU."""

    kernels: int
    kernel_sum_ns: int
    busy_ns: int
    span_ns: int


def times_of(work_ns: int) -> KernelTimes:
    """The times of a submodule, by construction."""
    return KernelTimes(KERNELS_PER_SUBMODULE, work_ns * 5 // 4, work_ns, work_ns + 2 * GAP_NS)


Row = dict[str, Any]


@dataclass
class ProfileWriter:
    """Writes a profile event by event, with a clock for the CPU and one for the GPU."""

    cpu_ns: int = 1_000_000
    gpu_ns: int = 1_000_000
    correlation: int = 0
    strings: dict[str, int] = field(default_factory=dict)
    rows: dict[str, list[Row]] = field(default_factory=dict)

    def string_id(self, text: str) -> int:
        return self.strings.setdefault(text, len(self.strings))

    def add(self, table: str, **row: Any) -> None:
        self.rows.setdefault(table, []).append(row)

    @contextmanager
    def range(self, name: str) -> Iterator[None]:
        """A push/pop range in our domain, with a registered name."""
        self.cpu_ns += 100
        start_ns = self.cpu_ns
        yield
        self.cpu_ns += 100
        self.add(
            "NVTX_EVENTS", start=start_ns, end=self.cpu_ns, eventType=59, globalTid=MAIN_THREAD,
            textId=self.string_id(name), domainId=DOMAIN_ID,
        )  # fmt: skip

    def call(self, name: str, thread: int = MAIN_THREAD) -> int:
        """An API call; its correlation id."""
        self.correlation += 1
        self.cpu_ns += 500
        self.add(
            "CUPTI_ACTIVITY_KIND_RUNTIME", start=self.cpu_ns, end=self.cpu_ns + LAUNCH_NS,
            eventClass=0, globalTid=thread, correlationId=self.correlation,
            nameId=self.string_id(name), returnValue=0,
        )  # fmt: skip
        self.cpu_ns += LAUNCH_NS
        return self.correlation

    def kernel(
        self, name: str, start_ns: int, duration_ns: int, stream: int = STREAM,
        thread: int | None = MAIN_THREAD,
    ) -> None:  # fmt: skip
        """A kernel and its launch; no launch is recorded without a thread."""
        correlation = 999_999_999 if thread is None else self.call("cudaLaunchKernel_v7000", thread)
        name_id = self.string_id(name)
        self.add(
            "CUPTI_ACTIVITY_KIND_KERNEL", start=start_ns, end=start_ns + duration_ns, deviceId=0,
            contextId=1, streamId=stream, correlationId=correlation, globalPid=PROCESS,
            demangledName=name_id, shortName=name_id, registersPerThread=32, gridX=1, gridY=1,
            gridZ=1, blockX=128, blockY=1, blockZ=1, staticSharedMemory=0, dynamicSharedMemory=0,
            localMemoryPerThread=0, localMemoryTotal=0, gridId=correlation,
        )  # fmt: skip

    def copy(self, kind: int, nbytes: int, duration_ns: int) -> None:
        """A copy that the CPU awaits, of kind 1 (to the device) or 2 (to the host)."""
        correlation = self.call("cudaMemcpyAsync_v3020")
        start_ns = max(self.cpu_ns, self.gpu_ns)
        self.gpu_ns = self.cpu_ns = start_ns + duration_ns
        self.add(
            "CUPTI_ACTIVITY_KIND_MEMCPY", start=start_ns, end=self.gpu_ns, deviceId=0, contextId=1,
            streamId=STREAM, correlationId=correlation, globalPid=PROCESS, bytes=nbytes,
            copyKind=kind,
        )  # fmt: skip

    def submodule(self, name: str, work_ns: int) -> None:
        """Launches the four kernels of a submodule; see the module's docstring."""
        assert work_ns % 4 == 0
        half, quarter = work_ns // 2, work_ns // 4
        with self.range(name):
            first_ns = max(self.gpu_ns, self.cpu_ns + 10_000)
            second_ns = first_ns + half + GAP_NS
            third_ns = second_ns + quarter + GAP_NS
            self.kernel(f"{name}_gemm", first_ns, half)
            self.kernel(f"{name}_beside", first_ns, quarter, stream=SIDE_STREAM)
            self.kernel(f"{name}_relu", second_ns, quarter)
            self.kernel(f"{name}_sum", third_ns, quarter)
            self.gpu_ns = third_ns + quarter

    def synchronize(self) -> None:
        with self.range("synchronize"):
            self.call("cudaDeviceSynchronize_v3020")
            self.cpu_ns = max(self.cpu_ns, self.gpu_ns)

    def write(self, path: Path) -> None:
        """The SQLite file."""
        self.add(
            "NVTX_EVENTS", start=1, eventType=75, text="adscale", globalTid=MAIN_THREAD,
            domainId=DOMAIN_ID,
        )  # fmt: skip
        self.add("META_DATA_EXPORT", name="EXPORT_SCHEMA_VERSION", value="3.7.2")
        for text, number in self.strings.items():
            self.add("StringIds", id=number, value=text)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.executescript(SCHEMA)
            for table, rows in self.rows.items():
                for row in rows:
                    columns = ", ".join(f'"{column}"' for column in row)
                    marks = ", ".join("?" * len(row))
                    connection.execute(
                        f"INSERT INTO {table} ({columns}) VALUES ({marks})", list(row.values())
                    )


HOST_MEMORY = ("resident_before_build_bytes", "peak_before_build_bytes", "peak_bytes")
"""What `run.json` says of main memory."""


@dataclass(frozen=True)
class GpuRun:
    """What to generate.

    Attributes:
        method: label.
        resolution_px: side length.
        submodules: their names, in the order of inference.
        work_ns: busy time of a submodule in an image of a phase, a multiple of four.
        device: name of the device.
        variant: implementation and precision.
        warmup_images: warm-up images.
        measured_images: measured images.
        process: which of the fresh processes of the run.
    """

    method: str
    resolution_px: int
    submodules: Sequence[str]
    work_ns: Callable[[str, int], int]
    device: str = "generated"
    variant: str = "reference-fp32"
    warmup_images: int = 2
    measured_images: int = 5
    process: int = 1


def write_gpu_run(folder: Path, run: GpuRun) -> dict[tuple[str, int], KernelTimes]:
    """Write `profile.sqlite`, `run.json` and `latency.json` into a folder.

    Returns:
        The kernel times of each submodule in each measured image.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_run_json(folder / "run.json", run)
    write_latency_json(folder / "latency.json", run)
    record(run).write(folder / "profile.sqlite")
    return {
        (submodule, image): times_of(run.work_ns(submodule, image))
        for submodule in run.submodules
        for image in range(run.measured_images)
    }


def record(run: GpuRun) -> ProfileWriter:
    """The events of a run, not yet written."""
    writer = ProfileWriter()
    for phase, images in (("warmup", run.warmup_images), ("measure", run.measured_images)):
        with writer.range(phase):
            for image in range(images):
                record_image(writer, run, image)
    return writer


def record_image(writer: ProfileWriter, run: GpuRun, image: int) -> None:
    """One image, as the runner does it."""
    for name in ("load", "prepare"):
        with writer.range(name):
            writer.cpu_ns += 50_000
    with writer.range("copy_to_device"):
        writer.copy(1, 12 * run.resolution_px**2, 20_000)
    with writer.range("image"):
        for submodule in run.submodules:
            writer.submodule(submodule, run.work_ns(submodule, image))
    writer.synchronize()
    with writer.range("copy_to_host"):
        writer.copy(2, 4 * run.resolution_px**2, 10_000)


FLAGS = (
    "tf32_matmul", "tf32_cudnn", "cudnn_benchmark", "cudnn_deterministic",
    "deterministic_algorithms",
)  # fmt: skip


def run_document(run: GpuRun, **changes: Any) -> dict[str, Any]:
    """The content of `run.json`; `changes` replace keys at the top."""
    counts = {"warmup_images": run.warmup_images, "measured_images": run.measured_images}
    document = {
        "schema_version": 3,
        "status": "ok",
        "problem": None,
        "request": {
            "device": run.device,
            "device_type": "cuda",
            "method": run.method,
            "target": "generated",
            "settings": {},
            "variant": run.variant,
            "resolution": str(run.resolution_px),
            "seed": 0,
            "threads": 1,
            "images": None,
            "sampling": {
                "warmup_images": max(run.warmup_images, 0),
                "measured_images": max(run.measured_images, 1),
                "min_images": 1,
                "time_budget_s": None,
                "target_precision": None,
                "precision_min_images": 200,
                "precision_min_s": 10.0,
                "profiled_share": 1.0,
            },
            "collector": "nsys",
            "process": run.process,
            "execution": {"cudnn_benchmark": False, "deterministic": False, "cache": "warm"},
            "max_image_megapixels": 1000.0,
            "decoding": dict.fromkeys(("bit_depth", "bayer", "page", "fit")),
            "lock_clocks": None,
            "foreign_processes": "flag",
            "gpu": None,
            "container": None,
            "skip_margin": None,
        },
        "sampling": {**counts, "stop_reason": "image_count"},
        "submodules": list(run.submodules),
        "clock": "gpu",
        "collector": {"name": "nsys", "version": "2023.4.4 (generated)"},
        "images": {
            "source": "generated",
            "count": 1,
            "unreadable": [],
            "decoded": {},
            "per_range": Variant.of(run.variant).batch,
        },
        "weights": {"source": "generated", "sha256": None},
        "prediction": None,
        "prediction_problem": "generated",
        "memory": {"host": dict.fromkeys(HOST_MEMORY), "gpu": None},
        "latency": None,
        "machine": machine_document(run),
        "hardware": {
            "cpu_model": "generated CPU",
            "cpu_count": 1,
            "cpus": "0",
            "online_cpus": 1,
            "threads": 1,
            "memory_bytes": 1,
            "gpu": {
                "name": GPU_NAME,
                "uuid": "GPU-generated",
                "memory_bytes": 1,
                "driver": None,
                "compute_capability": "0.0",
            },
        },
        "software": dict.fromkeys(
            ("adscale", "python", "os", "torch", "numpy", "nvtx", "nsys", "cuda", "cudnn")
        ),
        "flags": {
            **dict.fromkeys(FLAGS, False),
            "cpu_precision": "ieee",
            "default_dtype": "float32",
            "autocast": False,
            "gradients": False,
        },
        "started_utc": "2000-01-01T00:00:00+00:00",
        "finished_utc": "2000-01-01T00:00:01+00:00",
        "changed_switches": [],
        "first_convolution": None,
        "engine": None,
        "outputs": None,
        "inner_ranges": [],
        "empty_range_ns": None,
        "forked": False,
    }
    return {**document, **changes}


def write_run_json(path: Path, run: GpuRun, **changes: Any) -> None:
    """Write `run.json`."""
    path.write_text(json.dumps(run_document(run, **changes)))


def latency_times(run: GpuRun) -> dict[str, list[float]]:
    """What the latency pass finds: images take their kernels' spans and 0.05 ms for the launches.

    Returns:
        Times in ms of the measured images.
    """
    spans_ms = [
        sum(times_of(run.work_ns(name, image)).span_ns for name in run.submodules) / 1e6
        for image in range(run.measured_images)
    ]
    fixed_ms = {"load_ms": 4.0, "prepare_ms": 2.0, "copy_to_device_ms": 0.2, "copy_to_host_ms": 0.1}
    times = {name: [ms] * run.measured_images for name, ms in fixed_ms.items()}
    times["image_ms"] = [span_ms + 0.05 for span_ms in spans_ms]
    times["end_to_end_ms"] = [span_ms + 0.05 + 2.3 for span_ms in spans_ms]
    return times


def latency_document(run: GpuRun, **changes: Any) -> dict[str, Any]:
    """The content of `latency.json`; `changes` replace keys at the top."""
    document = run_document(run)
    document["request"]["collector"] = "none"
    document["collector"] = {"name": "none", "version": "adscale (generated)"}
    return {**document, "latency": latency_times(run), **changes}


def write_latency_json(path: Path, run: GpuRun, **changes: Any) -> None:
    """Write `latency.json`."""
    path.write_text(json.dumps(latency_document(run, **changes)))


SAMPLES, INTERVAL_MS = 80, 100.0
WINDOW_S, JOULES = SAMPLES * INTERVAL_MS / 1e3, 1600.0


def machine_document(run: GpuRun, **samples: Any) -> dict[str, Any]:
    """A GPU that keeps its clock over 8 s of measured images; `samples` replace its lists."""
    return {
        "interval_ms": INTERVAL_MS,
        "measured_ms": [0.0, SAMPLES * INTERVAL_MS],
        "samples": {
            "time_ms": [INTERVAL_MS * number for number in range(SAMPLES)],
            "sm_clock_mhz": [1410 - 15 * (number % 2) for number in range(SAMPLES)],
            "memory_clock_mhz": [1215] * SAMPLES,
            "temperature_c": [50 + number // 20 for number in range(SAMPLES)],
            "power_w": [190.0 + 20 * (number % 2) for number in range(SAMPLES)],
            "slowdown_reasons": [0] * SAMPLES,
            "others_share": [0.0] * SAMPLES,
            **samples,
        },
        "unavailable": {},
        "idle_power_w": 55.0,
        "energy": {
            "joules": JOULES,
            "window_s": WINDOW_S,
            "images": run.measured_images * Variant.of(run.variant).batch,
        },
        "locked_sm_clock_mhz": None,
        "lock_problem": None,
        "foreign_processes": [],
    }
