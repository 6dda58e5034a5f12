"""The specification of EfficientAD, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from ..models import CLOSED, Flag, Text
from ..resolution import Resolution, square
from ..tiles import Tiling
from .spec import MethodSpec, Part, ResolutionProblem

SMALLEST_SIDE_PX = 256
"""The encoder halves five times and ends in an 8x8 convolution without padding: 8 · 2^5."""


FIXED_SIDE_PX = 256
"""The side at which the decoder of the reference, whose sizes are constants, fits the student."""


def counting_problem(
    settings: Mapping[str, Any], resolution: Resolution
) -> ResolutionProblem | None:
    """Why not even the single networks of EfficientAD run at a resolution.

    Args:
        settings: of the method; they do not change the answer.
        resolution: of the image.

    Returns:
        None where both sides have 256 px or more; no multiple of anything is needed.
    """
    del settings
    sides_px = (resolution.width_px, resolution.height_px)
    least_px = min(sides_px)
    if least_px >= SMALLEST_SIDE_PX:
        return None
    return ResolutionProblem(
        reason=(
            f"after five halvings {least_px} px leave {least_px // 32} px, "
            "less than the 8x8 kernel that ends the autoencoder's encoder"
        ),
        nearest=(Resolution(*(max(side_px, SMALLEST_SIDE_PX) for side_px in sides_px)),),
    )


def resolution_problem(
    settings: Mapping[str, Any], resolution: Resolution
) -> ResolutionProblem | None:
    """Why EfficientAD does not run at a resolution.

    Args:
        settings: of the method; the form of the autoencoder matters.
        resolution: of the image.

    Returns:
        None from 256 px on with the adaptive decoder (anomalib 2.7 behaves alike), and at 256 px,
        a square, with the fixed one, as in nelson1425/EfficientAD.
    """
    problem = counting_problem(settings, resolution)
    if problem is not None or settings["autoencoder"] == "adaptive":
        return problem
    if settings["padding"]:
        reason = "with padding no student has the 56x56 values that the fixed autoencoder puts out"
        return ResolutionProblem(reason=reason, nearest=())
    if resolution == square(FIXED_SIDE_PX):
        return None
    return ResolutionProblem(
        reason=(
            "the fixed autoencoder puts out 56x56 values at every resolution, the student only at "
            f"{FIXED_SIDE_PX} px; `autoencoder: adaptive` has no such limit"
        ),
        nearest=(square(FIXED_SIDE_PX),),
    )


def tiling(settings: Mapping[str, Any]) -> Tiling:
    """What of a tile is that of the whole image: the distance of teacher and student.

    Without padding all their values are, and the map begins four values, 16 px, from the edge,
    from where on it is linear between two of them. With padding a value sees 16 px to either side.
    The autoencoder sees all of its image, and is another one in a tile.

    Args:
        settings: of the method; padding matters.
    """
    return Tiling(stride_px=4, reach_px=22 if settings["padding"] else 18)


@dataclass(frozen=True, kw_only=True, config=CLOSED)
class Settings:
    """Settings of EfficientAD."""

    size: Literal["S", "M"] = Field(
        default="M",
        description="Patch description network of teacher and student: small or medium.",
    )
    autoencoder: Literal["adaptive", "fixed"] = Field(
        default="adaptive",
        description="Sizes of the autoencoder's decoder: following the image, or the constants of "
        "the reference, with which an inference works at 256 px without padding only (memory is "
        "counted at every resolution).",
    )
    padding: Flag = Field(
        default=False,
        description="Pad inside the patch description networks, so that the map has a quarter of "
        "the image's side; without it, the map is 8 px smaller and padded with zeros.",
    )
    weights: Text | None = Field(
        default=None,
        description="Checkpoint of plain tensors; null: weights drawn from the seed.",
    )


SPEC = MethodSpec(
    target="efficientad",
    summary="EfficientAD: a student and an autoencoder imitate a patch description network",
    factory="profiling.methods.efficientad.method:EfficientAD",
    submodules=("teacher", "student", "autoencoder", "anomaly_map"),
    complexity={
        "teacher": "pixels",
        "student": "pixels",
        "autoencoder": "pixels",
        "anomaly_map": "pixels",
    },
    implementations=("reference", "optimized"),
    precisions=("fp32", "tf32"),
    parts={
        name: Part(calls=(name,), modules=(name,)) for name in ("teacher", "student", "autoencoder")
    },
    outside={
        "teacher": "of the reference, the normalisation of its channels",
        "anomaly_map": "differences, quantiles and enlargement",
    },
    settings=Settings,
    resolution_problem=resolution_problem,
    counting_problem=counting_problem,
    tiling=tiling,
    supported_resolutions=(
        f"every width and height of at least {SMALLEST_SIDE_PX} px; "
        f"with the fixed autoencoder {FIXED_SIDE_PX} px only, without padding"
    ),
)
