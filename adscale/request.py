"""What a run is asked to do: everything that decides what is measured, and nothing else."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .errors import ConfigError
from .validation import config_errors, load_schema

CollectorName = Literal["nsys", "embedded", "none"]
"""Who records; ``none``: the latency pass, without any profiler."""


@dataclass(frozen=True)
class Sampling:
    """How many images a run measures, and for how long."""

    warmup_images: int
    measured_images: int
    min_images: int
    time_budget_s: float | None
    target_precision: float | None = None
    """Half-width of the 95 % interval of every submodule's mean, as a share of it, that ends the
    measurement; None: it does not."""


@dataclass(frozen=True)
class Execution:
    """Settings that change what is measured."""

    cudnn_benchmark: bool = False
    deterministic: bool = False
    cache: Literal["warm", "cold"] = "warm"


@dataclass(frozen=True)
class RunRequest:
    """One process of a run; see ``workflow/schemas/run.schema.json``."""

    device: str
    device_type: Literal["cpu", "cuda"]
    method: str
    target: str
    settings: Mapping[str, Any]
    variant: str
    resolution_px: int
    seed: int
    threads: int
    images: str | None
    sampling: Sampling
    collector: CollectorName
    gpu: str | None = None
    """UUID of the GPU; None: the first that CUDA shows."""
    container: str | None = None
    """Digest of the image in which to measure; None: on the host."""
    process: int = 1
    """Which of the fresh processes of this run."""
    execution: Execution = Execution()
    lock_clocks: int | None = None
    """SM clock in MHz to lock the GPU to; None: the driver chooses."""
    foreign_processes: Literal["flag", "error"] = "flag"
    """What is done about processes of others on the GPU."""
    skip_margin: float | None = None
    """Share of the device's memory by which a run's count must exceed it for the run to be left
    out; None: it is begun whatever the count says."""

    def as_dict(self) -> dict[str, Any]:
        """The request as ``run.json`` stores it."""
        return dataclasses.asdict(self)

    def as_json(self) -> str:
        """The same request always gives the same text, so that Snakemake can compare it."""
        return json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> RunRequest:
        """Reads what ``as_json`` wrote.

        Raises:
            ConfigError: the text is no request.
        """
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError("request", f"is no JSON ({error})", "pass a run's request") from None
        schema = load_schema("run")
        errors = config_errors({**schema["$defs"]["request"], "$defs": schema["$defs"]}, data)
        if errors:
            raise errors[0]
        return cls.from_dict(data)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RunRequest:
        """What ``as_dict`` gave, unchecked."""
        parts = {
            "sampling": Sampling(**data["sampling"]),
            "execution": Execution(**data["execution"]),
        }
        return cls(**{**data, **parts})
