"""What EfficientAD is, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from profiling.methods.spec import MethodSpec, ResolutionProblem

SMALLEST_SIDE_PX = 256
"""The encoder halves five times and ends in an 8x8 convolution without padding: 8 · 2^5."""


def resolution_problem(settings: Mapping[str, Any], side_px: int) -> ResolutionProblem | None:
    """Why EfficientAD does not run at a resolution.

    Args:
        settings: of the method; neither size nor padding changes the answer.
        side_px: side length of the square image in px.

    Returns:
        None from 256 px on. The autoencoder's decoder follows the image size, so no multiple of
        anything is needed (anomalib 2.7 behaves alike; the reference runs at 256 px only).
    """
    del settings
    if side_px >= SMALLEST_SIDE_PX:
        return None
    return ResolutionProblem(
        reason=(
            f"after five halvings {side_px} px leave {max(side_px, 0) // 32} px, "
            "less than the 8x8 kernel that ends the autoencoder's encoder"
        ),
        nearest=(SMALLEST_SIDE_PX,),
    )


SPEC = MethodSpec(
    target="efficientad",
    summary="EfficientAD: a student and an autoencoder imitate a patch description network",
    factory="profiling.methods.efficientad.method:EfficientAD",
    submodules=("teacher", "student", "autoencoder", "anomaly_map"),
    implementations=("reference",),
    precisions=("fp32", "tf32"),
    settings_schema={
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "size": {
                "enum": ["S", "M"],
                "default": "M",
                "description": "Patch description network of teacher and student: small or medium.",
            },
            "padding": {
                "type": "boolean",
                "default": False,
                "description": (
                    "Pad inside the patch description networks, so that the map has a quarter of "
                    "the image's side; without it, the map is 8 px smaller and padded with zeros."
                ),
            },
            "weights": {
                "type": ["string", "null"],
                "minLength": 1,
                "default": None,
                "description": "Checkpoint of plain tensors; null: weights drawn from the seed.",
            },
        },
    },
    resolution_problem=resolution_problem,
    supported_resolutions=f"every side of at least {SMALLEST_SIDE_PX} px",
)
