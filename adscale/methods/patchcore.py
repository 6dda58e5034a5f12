"""The specification of PatchCore, without torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from ..models import CLOSED, Number, Positive, Text
from .spec import MethodSpec, ResolutionProblem

SMALLEST_SIDE_PX = 9
"""From here on the second stage of the backbone leaves a grid of at least 2 x 2 patches."""


def patches_per_image(side_px: int) -> int:
    """Patches of one image: the positions of the backbone's second stage, ceil(s/8)².

    Args:
        side_px: side length of the square image in px.
    """
    return math.ceil(side_px / 8) ** 2


def bank_rows(*, training_images: int, side_px: int, coreset_fraction: float) -> int:
    """Vectors that the coreset keeps: floor(images · patches · fraction), at least one.

    The product is that of the reference, in floating point: 0.29 of 100 patches are 28.

    Args:
        training_images: normal images of the training set.
        side_px: side length of the square image in px.
        coreset_fraction: share of the patches that is kept.
    """
    patches = training_images * patches_per_image(side_px)
    return max(1, int(patches * coreset_fraction))


def resolution_problem(settings: Mapping[str, Any], side_px: int) -> ResolutionProblem | None:
    """Why PatchCore does not run at a resolution; None from 9 px on.

    Args:
        settings: of the method; they do not change the answer.
        side_px: side length of the square image in px.
    """
    del settings
    if side_px >= SMALLEST_SIDE_PX:
        return None
    reason = f"the backbone's second stage leaves a single patch of {max(side_px, 0)} px"
    return ResolutionProblem(reason=reason, nearest=(SMALLEST_SIDE_PX,))


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
    settings=Settings,
    resolution_problem=resolution_problem,
    supported_resolutions=f"every side of at least {SMALLEST_SIDE_PX} px",
)
