"""The request of a run: everything that decides what is measured, and nothing else."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, Strict, model_validator
from pydantic.dataclasses import dataclass

from .errors import ConfigError
from .models import CLOSED, Count, Finite, Flag, Name, Positive, Text, checked, jsonable, read_json
from .resolution import Resolution, renamed_side
from .variant import Variant

CollectorName = Literal["nsys", "embedded", "none"]
"""Who records; ``none``: the latency pass, without any profiler."""


Seed = Annotated[Count, Field(le=2**63 - 1)]
"""Of random numbers, as far as torch takes them."""

VARIABLE_NAME = "^[A-Za-z_][A-Za-z0-9_]*$"
"""Of the environment."""

MAX_IMAGE_MEGAPIXELS = 1000.0
"""Decoded, such an image takes 3 GB of main memory."""


PRECISION_IMAGES = 200
"""Measured images before which precision does not end a run, by default."""


@dataclass(frozen=True, config=CLOSED)
class Sampling:
    """How many images a run measures, and for how long. A batch counts as one."""

    warmup_images: Count = Field(
        description="Images, or batches of a variant that has them, before the measured ones; "
        "fewer, but at least one, where a quarter of the time budget is over first."
    )
    measured_images: Positive = Field(
        description="Measured images, or batches of a variant that has them, at most: 100 of "
        "optimized-fp32-b8 are 800 images."
    )
    min_images: Positive = Field(
        description="Measured images, or batches, at least, whatever the time budget says."
    )
    time_budget_s: Annotated[Finite, Field(gt=0)] | None = Field(
        description="Seconds after which a run stops measuring; null: no limit."
    )
    target_precision: Annotated[Finite, Field(gt=0, lt=1)] | None = Field(
        default=None,
        description="A run stops measuring once half of the 95 % interval of the median of every "
        "submodule and of the whole image is at most this share of it, such as 0.01; null: "
        "precision stops nothing. The limits above hold all the same.",
    )
    precision_min_images: Positive = Field(
        default=PRECISION_IMAGES,
        description="Precision does not end a run before so many images, or batches: what happens "
        "more rarely, such as a clock that steps down later, it does not see.",
    )
    precision_min_s: Annotated[Finite, Field(ge=0)] = Field(
        default=10.0,
        description="Nor before so many seconds of measured images, because clocks and heat "
        "change with time and not with images.",
    )
    profiled_share: Annotated[Finite, Field(gt=0, le=1)] = Field(
        default=1.0,
        description="Share of the measured images and of the time budget that the profiled pass "
        "takes: where the latency pass tells the times of whole images, shares of submodules need "
        "fewer. Numbers of images are rounded up; min_images holds for both passes. Set it to 1 "
        "where there is no latency pass.",
    )

    @property
    def profiled(self) -> Sampling:
        """Of the measured images of a profiled pass; the warm-up is that of both."""
        share, budget_s = self.profiled_share, self.time_budget_s
        # 0.07 × 100 is a little more than 7
        shared_images = math.ceil(round(share * self.measured_images, 9))
        return dataclasses.replace(
            self,
            measured_images=max(shared_images, min(self.min_images, self.measured_images)),
            time_budget_s=None if budget_s is None else share * budget_s,
        )


@dataclass(frozen=True, config=CLOSED)
class Execution:
    """Settings of torch and of the device that change what is measured."""

    cudnn_benchmark: Flag = Field(
        default=False,
        description="cuDNN tries its algorithms in the first image and takes the fastest, which "
        "may be another in each process.",
    )
    deterministic: Flag = Field(
        default=False,
        description="Deterministic algorithms only (torch.use_deterministic_algorithms, and "
        "cuDNN's); a method with an operation that has none is refused by torch.",
    )
    cache: Literal["warm", "cold"] = Field(
        default="warm",
        description="warm: each image finds in the caches what the one before has left there. "
        "cold: before each image, or batch, a buffer of twice the last-level cache is overwritten "
        "(on a CUDA device the L2; on a CPU that does not tell of its caches, 64 MiB).",
    )


BitDepth = Annotated[int, Strict(), Field(ge=8, le=32)]
Bayer = Literal["rggb", "bggr", "grbg", "gbrg"]

BIT_DEPTH = (
    "Bits that the camera delivers, where files have more than 8 bits per sample: 12 for levels up "
    "to 4095, whatever they are stored in. null: what the file says."
)
BAYER = (
    "Gray images are the raw mosaic of a colour sensor, with these colours in its first two rows; "
    "null: gray is gray."
)
PAGE = (
    "Which page of files with several is taken, from 1; null: files with several are left out, "
    "which is said."
)
Fit = Literal["crop", "pad", "stretch"]

FIT = (
    "How images get the aspect ratio of the resolution. crop: their ends are cut off; pad: black "
    "is added on both sides; stretch: they are distorted. null: as the method's reference does to "
    "a square (docs/methods.md), and crop to any other shape."
)


@dataclass(frozen=True, config=CLOSED)
class Decoding:
    """What image files do not say of themselves, and what is done to their shape."""

    bit_depth: BitDepth | None = Field(default=None, description=BIT_DEPTH)
    bayer: Bayer | None = Field(default=None, description=BAYER)
    page: Positive | None = Field(default=None, description=PAGE)
    fit: Fit | None = Field(default=None, description=FIT)


@dataclass(frozen=True, config=CLOSED)
class RunRequest:
    """One process of a run."""

    device: Name = Field(description="The user's name for the hardware.")
    device_type: Literal["cpu", "cuda"] = Field(description="Kind of device.")
    method: Name = Field(description="The user's label of the method.")
    target: str = Field(description="The class behind the label.")
    settings: Mapping[str, Any] = Field(description="The class's own settings, defaults filled in.")
    variant: Variant = Field(
        description="implementation-precision, such as reference-fp32, with engine and options "
        "behind it; optimized-fp32-b8: with batches of 8 images."
    )
    resolution: Resolution = Field(
        description="Of the image: the side length of a square in px, or width x height."
    )
    seed: Seed = Field(description="Of the random weights.")
    threads: Positive = Field(description="CPU threads inside one operator.")
    images: Text | None = Field(
        description="Folder of images; null: photographs of an installed package."
    )
    sampling: Sampling = Field(description="How many images are measured, and for how long.")
    collector: CollectorName = Field(
        description="Who records. none: the latency pass, without any profiler."
    )
    gpu: str | None = Field(
        default=None,
        description="UUID of the GPU, GPU-… or MIG-…; null: the first that CUDA shows.",
    )
    container: Annotated[str, Field(pattern="^sha256:[0-9a-f]{64}$")] | None = Field(
        default=None,
        description="Digest of the image in which it is measured; null: on the host.",
    )
    process: Positive = Field(default=1, description="Which of the fresh processes of this run.")
    execution: Execution = Field(
        default=Execution(), description="Settings that change what is measured."
    )
    max_image_megapixels: Annotated[Finite, Field(gt=0)] = Field(
        default=MAX_IMAGE_MEGAPIXELS, description="Larger images are left out, in 10^6 pixels."
    )
    decoding: Decoding = Field(
        default=Decoding(),
        description="What files do not say of themselves, and their new shape.",
    )
    lock_clocks: Positive | None = Field(
        default=None,
        description="SM clock in MHz to lock the GPU to; null: the driver chooses.",
    )
    foreign_processes: Literal["flag", "error"] = Field(
        default="flag",
        description="What is done about processes of others on the GPU: recorded, or the run "
        "fails. Does not have a run measured again by itself.",
    )
    skip_margin: Annotated[Finite, Field(ge=0)] | None = Field(
        default=None,
        description="Share of the device's memory by which the count must exceed it for the run to "
        "be left out; null: it is begun whatever the count says. Does not have a run measured "
        "again by itself.",
    )

    @model_validator(mode="before")
    @classmethod
    def _earlier(cls, data: Any) -> Any:
        return renamed_side(data)

    @property
    def own_sampling(self) -> Sampling:
        """What of the sampling holds for the measured images of this pass."""
        return self.sampling if self.collector == "none" else self.sampling.profiled

    @property
    def checkpoint(self) -> str | None:
        """The file that the weights are read from; None: they are drawn."""
        key = "checkpoint" if self.target.startswith("anomalib:") else "weights"
        named: str | None = self.settings.get(key)
        return named

    def as_dict(self) -> dict[str, Any]:
        """The request as ``run.json`` stores it."""
        return jsonable(self)

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
            data = read_json(text)
        except ValueError as error:
            raise ConfigError("request", f"is no JSON ({error})", "pass a run's request") from None
        return cls.from_dict(data)

    @classmethod
    def from_dict(cls, data: object) -> RunRequest:
        """Reads what ``as_dict`` gave, or its parts as the user has given them.

        Raises:
            ConfigError: a key is missing or unknown, or a value not allowed.
        """
        return checked(cls, data)
