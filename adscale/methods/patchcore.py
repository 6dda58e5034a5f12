"""The specification of PatchCore, without torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from ..models import CLOSED, Number, Positive, Text
from ..resolution import Resolution
from ..tiles import Tiling
from .spec import MethodSpec, Part, ResolutionProblem

SMALLEST_SIDE_PX = 9
"""From here on the second stage of the backbone leaves a grid of at least 2 x 2 patches."""


DIMENSION = 1024
"""Length of a patch's vector."""

REACH_PX = 469
"""A patch sees 441 px, which are enlarged linearly from the grid (12 px) and smoothed (16 px)."""


def patch_grid(resolution: Resolution) -> tuple[int, int]:
    """Rows and columns of the patches of one image, ceil(height/8) and ceil(width/8).

    They are the positions of the backbone's second stage.

    Args:
        resolution: of the image.
    """
    return math.ceil(resolution.height_px / 8), math.ceil(resolution.width_px / 8)


def bank_rows(*, training_images: int, resolution: Resolution, coreset_fraction: float) -> int:
    """Vectors that the coreset keeps: floor(images · patches · fraction), at least one.

    The product is that of the reference, in floating point: 0.29 of 100 patches are 28.

    Args:
        training_images: normal images of the training set.
        resolution: of the image.
        coreset_fraction: share of the patches that is kept.
    """
    patches = training_images * math.prod(patch_grid(resolution))
    return max(1, int(patches * coreset_fraction))


def bank_bytes(settings: Mapping[str, Any], resolution: Resolution, parts: int) -> int:
    """Bytes of a synthetic bank, in 32-bit floats.

    Args:
        settings: of the method.
        resolution: of the images, or of their parts.
        parts: into which each is cut; 1: none is.
    """
    rows = bank_rows(
        training_images=settings["training_images"] * parts,
        resolution=resolution,
        coreset_fraction=settings["coreset_fraction"],
    )
    return rows * DIMENSION * 4


def resolution_problem(
    settings: Mapping[str, Any], resolution: Resolution
) -> ResolutionProblem | None:
    """Why PatchCore does not run at a resolution; None where both sides have 9 px or more.

    Args:
        settings: of the method; they do not change the answer.
        resolution: of the image.
    """
    del settings
    sides_px = (resolution.width_px, resolution.height_px)
    if min(sides_px) >= SMALLEST_SIDE_PX:
        return None
    reason = f"the backbone's second stage leaves a single patch of {min(sides_px)} px"
    nearest = Resolution(*(max(side_px, SMALLEST_SIDE_PX) for side_px in sides_px))
    return ResolutionProblem(reason=reason, nearest=(nearest,))


@dataclass(frozen=True, kw_only=True, config=CLOSED)
class Settings:
    """Settings of PatchCore."""

    bank: Literal["synthetic", "fit"] = Field(
        default="synthetic",
        description="Memory bank: `synthetic` draws as many vectors as a training would keep, "
        "which costs an inference the same; `fit` computes them from `normal_images`.",
    )
    training_images: Positive = Field(
        default=209,
        description="Size of the training set that a synthetic bank stands for; 209 is MVTec AD's "
        "bottle. A bank that is fitted has the size of its own training set.",
    )
    coreset_fraction: Annotated[Number, Field(gt=0, le=1)] = Field(
        default=0.1, description="Share of the training patches that the coreset keeps."
    )
    search: Literal["faiss", "blocks", "blocks-fp16"] = Field(
        default="faiss",
        description="Search of the optimized implementation: with faiss, which reserves 1,536 MiB "
        "on a GPU; in blocks by torch, without a reserve; the same with the bank in half "
        "precision, which changes results. The reference has faiss.",
    )
    normal_images: Text | None = Field(
        default=None,
        description="Folder of normal images to fit the bank on; of an MVTec AD class folder, "
        "train/good. Needed where `bank` is `fit`.",
    )
    weights: Text | None = Field(
        default=None,
        description="Checkpoint of the backbone; null: weights drawn from the seed.",
    )


SPEC = MethodSpec(
    target="patchcore",
    summary="PatchCore: distance of each patch to its nearest neighbour among normal patches",
    factory="profiling.methods.patchcore.method:PatchCore",
    submodules=("feature_extraction", "patch_embedding", "nn_search", "anomaly_map"),
    complexity={
        "feature_extraction": "pixels",
        "patch_embedding": "pixels",
        # queries times rows of a bank that is built, or stands for one built, at the same side
        "nn_search": "pixels_squared",
        "anomaly_map": "pixels",
    },
    implementations=("reference", "optimized"),
    precisions=("fp32", "tf32"),
    parts={"feature_extraction": Part(calls=("stages",), modules=("backbone",))},
    outside={
        "patch_embedding": "neighbourhoods, their means and copies to the host",
        "nn_search": "the search, by faiss",
        "anomaly_map": "enlargement and smoothing",
    },
    settings=Settings,
    resolution_problem=resolution_problem,
    supported_resolutions=f"every width and height of at least {SMALLEST_SIDE_PX} px",
    growing_banks={"nn_search": bank_bytes},
    maps_on_host=frozenset({"reference"}),
    tiling=lambda _settings: Tiling(stride_px=16, reach_px=REACH_PX),
)
