"""`run.json` and `latency.json` as values: what a process was asked to do, did, and on what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..documents import read_document


@dataclass(frozen=True)
class Run:
    """One process of a device × method × variant × resolution, profiled or not.

    Attributes:
        path: the `run.json` or `latency.json` it was read from.
        status: `out_of_memory` is a result, not a failure; `predicted_out_of_memory` was not run.
        device: the user's name for the hardware.
        device_type: kind of device.
        hardware: name of the GPU, or model of the CPU on a CPU device.
        method: the user's label.
        variant: implementation and precision.
        resolution_px: side length of the square input.
        process: which of the run's fresh processes, from 1.
        submodules: the ranges directly inside each `image`, in the order of inference.
        clock: `host` on a CPU device, else `gpu`.
        collector: what recorded the ranges.
        collector_version: its version.
        warmup_images: warm-up images that were completed.
        measured_images: measured images that were completed.
        predicted_needed_bytes: what the run needs at least, by count; None: nothing was counted.
        predicted_incomplete: what of that is missing, and why; None: nothing is.
        device_memory_bytes: what its device has in all; None where nothing was counted.
        memory: what was measured of its memory, as in `run.json`.
        document: everything that the file holds, as its schema has passed it.
    """

    path: Path
    status: Literal["ok", "out_of_memory", "predicted_out_of_memory"]
    device: str
    device_type: Literal["cpu", "cuda"]
    hardware: str
    method: str
    variant: str
    resolution_px: int
    process: int
    submodules: tuple[str, ...]
    clock: Literal["host", "gpu"]
    collector: str
    collector_version: str
    warmup_images: int
    measured_images: int
    predicted_needed_bytes: int | None
    predicted_incomplete: str | None
    device_memory_bytes: int | None
    memory: Mapping[str, Any]
    document: Mapping[str, Any]

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What tells this run from the others of a study."""
        return self.device, self.method, self.variant, self.resolution_px

    @property
    def name(self) -> str:
        """The run in words."""
        return f"{self.device}: {self.method} {self.variant} at {self.resolution_px} px"

    @property
    def columns(self) -> dict[str, Any]:
        """The columns with which a row of any table of runs begins."""
        return {
            "device": self.device,
            "device_type": self.device_type,
            "hardware": self.hardware,
            "method": self.method,
            "variant": self.variant,
            "resolution_px": self.resolution_px,
            "pixels": self.resolution_px**2,
        }

    @property
    def images(self) -> dict[str, int]:
        """Completed images of each phase."""
        return {"warmup": self.warmup_images, "measure": self.measured_images}

    @property
    def remeasure(self) -> str:
        """What to do about a run that cannot be used."""
        return f"remove the folder {self.path.parent} and measure again"


def read_run(path: Path) -> Run:
    """Read and validate a `run.json` or `latency.json`.

    Raises:
        ResultsError: the file is missing or violates `run.schema.json`.
    """
    remedy = f"remove the folder {path.parent} and measure again"
    return _as_run(path, read_document(path, "run", remedy))


def _as_run(path: Path, document: dict[str, Any]) -> Run:
    request, hardware = document["request"], document["hardware"]
    prediction = document["prediction"] or {}
    on_gpu = request["device_type"] == "cuda" and hardware["gpu"] is not None
    return Run(
        path=path,
        status=document["status"],
        device=request["device"],
        device_type=request["device_type"],
        hardware=hardware["gpu"]["name"] if on_gpu else hardware["cpu_model"],
        method=request["method"],
        variant=request["variant"],
        resolution_px=request["resolution_px"],
        process=request["process"],
        submodules=tuple(document["submodules"]),
        clock=document["clock"],
        collector=document["collector"]["name"],
        collector_version=document["collector"]["version"],
        warmup_images=document["sampling"]["warmup_images"],
        measured_images=document["sampling"]["measured_images"],
        predicted_needed_bytes=prediction.get("needed_bytes"),
        predicted_incomplete=prediction.get("incomplete"),
        device_memory_bytes=prediction.get("device_memory_bytes"),
        memory=document["memory"],
        document=document,
    )
