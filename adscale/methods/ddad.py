"""The specification of DDAD, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from ..models import CLOSED, Integer, Number, Text
from ..resolution import Resolution
from ..tiles import Tiling
from .spec import MethodSpec, Part, ResolutionProblem

FACTOR_PX = 32
"""The U-Net halves five times, and its skip connections need what was halved to be even."""


def resolution_problem(
    settings: Mapping[str, Any], resolution: Resolution
) -> ResolutionProblem | None:
    """Why DDAD does not run at a resolution; None where both sides are multiples of 32 px.

    Args:
        settings: of the method; they do not change the answer.
        resolution: of the image.
    """
    del settings
    sides_px = (resolution.width_px, resolution.height_px)
    wrong = [side_px for side_px in dict.fromkeys(sides_px) if side_px % FACTOR_PX]
    if not wrong:
        return None
    below = Resolution(*(side_px // FACTOR_PX * FACTOR_PX for side_px in sides_px))
    above = Resolution(*(-(-side_px // FACTOR_PX) * FACTOR_PX for side_px in sides_px))
    numbers = f"{' and '.join(map(str, wrong))} {'are' if len(wrong) > 1 else 'is'} no multiple"
    return ResolutionProblem(
        reason=f"the U-Net halves five times, and {numbers} of {FACTOR_PX}",
        nearest=tuple(one for one in (below, above) if one.pixels),
    )


@dataclass(frozen=True, kw_only=True, config=CLOSED)
class Settings:
    """Settings of DDAD."""

    size: Literal["base", "S"] = Field(
        default="base", description="U-Net: 64 channels and 4 heads (DDAD), or 32 and 2 (DDAD-S)."
    )
    start_step: Annotated[Integer, Field(ge=1, le=999)] = Field(
        default=250, description="Diffusion step, of 1000, up to which the image is disturbed."
    )
    skip: Annotated[Integer, Field(ge=1, le=999)] = Field(
        default=25,
        description="Diffusion steps per denoising step: ceil(start_step / skip) calls of the "
        "U-Net, 10 for DDAD-10.",
    )
    condition_weight: Number = Field(
        default=2, description="How strongly the denoising is drawn to the image (w)."
    )
    pixel_weight: Number = Field(
        default=1, description="Weight of the pixels' distance beside the features' (v)."
    )
    weights: Text | None = Field(
        default=None,
        description="Checkpoint with `unet` and `feature_extractor`; null: weights drawn from the "
        "seed.",
    )


SPEC = MethodSpec(
    target="ddad",
    summary="DDAD: distance of an image to its denoising by a diffusion model",
    factory="profiling.methods.ddad.method:DDAD",
    submodules=("denoising_unet", "feature_extraction", "anomaly_map"),
    complexity={
        "denoising_unet": "pixels_squared",  # attention at an eighth of the side and below
        "feature_extraction": "pixels",
        "anomaly_map": "pixels",
    },
    implementations=("reference", "optimized"),
    precisions=("fp32", "tf32"),
    parts={
        "denoising_unet": Part(
            calls=("denoise.unet",),
            modules=("unet",),
            fixed=("*.to_qkv",),  # divided among heads, and these into queries, keys and values
        ),
        "feature_extraction": Part(calls=("features",), modules=("feature_extractor", "normalise")),
    },
    outside={
        "denoising_unet": "the schedule and its noise, around the calls of the U-Net",
        "anomaly_map": "distances, enlargement and smoothing",
    },
    settings=Settings,
    resolution_problem=resolution_problem,
    supported_resolutions=f"multiples of {FACTOR_PX} px, both sides",
    tiling=lambda _settings: Tiling(stride_px=FACTOR_PX),
)
