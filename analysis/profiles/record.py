"""`run.json` and `latency.json` as values: what a process was asked to do, did, and on what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adscale.devices import DeviceType
from adscale.files import read_record
from adscale.names import IMAGE, STITCH, TILE
from adscale.resolution import Resolution
from adscale.run_record import MeasuredMemory, RunRecord, Status
from adscale.tiles import KEY
from adscale.variant import Variant

from ..columns import size_values


@dataclass(frozen=True)
class Run:
    """One process of a device × method × variant × resolution, profiled or not.

    Attributes:
        path: the `run.json` or `latency.json` it was read from.
        record: what the file holds.
    """

    path: Path
    record: RunRecord

    @property
    def status(self) -> Status:
        """`out_of_memory` is a result, not a failure; `predicted_out_of_memory` was not run."""
        return self.record.status

    @property
    def device(self) -> str:
        """The user's name for the hardware."""
        return self.record.request.device

    @property
    def device_type(self) -> DeviceType:
        """Kind of device."""
        return self.record.request.device_type

    @property
    def hardware(self) -> str:
        """Name of the GPU, or model of the CPU on a CPU device."""
        hardware = self.record.hardware
        if self.device_type == "cuda" and hardware.gpu is not None:
            return hardware.gpu.name
        return hardware.cpu_model

    @property
    def method(self) -> str:
        """The user's label."""
        return self.record.request.method

    @property
    def variant(self) -> str:
        """Implementation and precision, and the batch where there is one."""
        return str(self.record.request.variant)

    @property
    def batch(self) -> int:
        """Images of one inference, and so of one `image` range."""
        return self.record.request.variant.batch

    @property
    def resolution(self) -> Resolution:
        """Width and height of the input."""
        return self.record.request.resolution

    @property
    def process(self) -> int:
        """Which of the run's fresh processes, from 1."""
        return self.record.request.process

    @property
    def submodules(self) -> tuple[str, ...]:
        """The ranges that partition each `image`, in the order of inference, see `path_of`."""
        return self.record.submodules

    def path_of(self, *names: str) -> str:
        """The path of a submodule, or of a range in it, below the phase.

        Args:
            names: of the submodule, and from there down to the range.
        """
        from .paths import path_in_run

        is_in_tiles = KEY in self.record.request.settings and names[0] != STITCH
        return path_in_run(IMAGE, *((TILE,) if is_in_tiles else ()), *names)

    @property
    def submodule_paths(self) -> tuple[str, ...]:
        """The paths of all submodules below the phase."""
        return tuple(map(self.path_of, self.submodules))

    @property
    def inner_ranges(self) -> tuple[tuple[str, ...], ...]:
        """Names of the ranges from a submodule down to each one inside of it."""
        return self.record.inner_ranges

    @property
    def clock(self) -> str:
        """`host` on a CPU device, else `gpu`."""
        return self.record.clock

    @property
    def collector(self) -> str:
        """Name of what recorded the ranges."""
        return self.record.collector.name

    @property
    def collector_version(self) -> str:
        """Its version."""
        return self.record.collector.version

    @property
    def warmup_images(self) -> int:
        """Warm-up images that were completed."""
        return self.record.sampling.warmup_images

    @property
    def measured_images(self) -> int:
        """Measured images that were completed."""
        return self.record.sampling.measured_images

    @property
    def predicted_needed_bytes(self) -> int | None:
        """The least memory that the run needs, by count; None: nothing was counted."""
        found = self.record.prediction
        return None if found is None else found.needed_bytes

    @property
    def predicted_incomplete(self) -> str | None:
        """Parts that this count lacks, and why; None: nothing is missing."""
        found = self.record.prediction
        return None if found is None else found.incomplete

    @property
    def device_memory_bytes(self) -> int | None:
        """All memory of its device; None where nothing was counted."""
        found = self.record.prediction
        return None if found is None else found.device_memory_bytes

    @property
    def memory(self) -> MeasuredMemory:
        """Measured memory of the run."""
        return self.record.memory

    @property
    def key(self) -> tuple[str, str, Variant, Resolution]:
        """The key that tells this run from the others of a study."""
        return self.device, self.method, self.record.request.variant, self.resolution

    @property
    def name(self) -> str:
        """The run in words."""
        return f"{self.device}: {self.method} {self.variant} at {self.resolution} px"

    @property
    def columns(self) -> dict[str, Any]:
        """The columns with which a row of any table of runs begins."""
        return {
            "device": self.device,
            "device_type": self.device_type,
            "hardware": self.hardware,
            "method": self.method,
            "variant": self.variant,
            "batch": self.batch,
            **size_values(self.resolution),
        }

    @property
    def images(self) -> dict[str, int]:
        """Completed images of each phase."""
        return {"warmup": self.warmup_images, "measure": self.measured_images}

    @property
    def remeasure(self) -> str:
        """The remedy for a pass of a run that cannot be used; what was measured is kept."""
        return f"measure it again; in a study, move {self.path} elsewhere and start the study again"

    @property
    def reattribute(self) -> str:
        """The remedy for tables that are made of the profile of a run."""
        profile, ranges = (self.path.with_name(n) for n in ("profile.sqlite", "ranges.parquet"))
        return (
            f"make it again: python -m analysis attribute {profile} --run {self.path} -o {ranges}"
        )


def read_run(path: Path) -> Run:
    """Read and check a `run.json` or `latency.json`.

    Raises:
        ResultsError: the file is missing or no record of this version.
    """
    remedy = "name the record of a run; if this is one, measure the run again"
    record = read_record(path, RunRecord, remedy)
    return Run(path, record)
