"""What the first convolution of a network was given, against what was asked of the network."""

from __future__ import annotations

import math

from pydantic import Field
from pydantic.dataclasses import dataclass

from .models import CLOSED, Positive, Text
from .resolution import Resolution
from .variant import Variant

CHANNELS = 3
"""Of an image."""

MUCH = 1.2
"""By which factor numbers must be more or fewer than an image has: padding adds less, while tiles
and pixels that become channels leave their number as it is."""

TYPES = {"fp32": "float32", "tf32": "float32"}
"""By precision of a variant; others are the method's own to say."""


@dataclass(frozen=True, config=CLOSED)
class FirstConvolution:
    """What the first convolution of a network was given, in the first warm-up image."""

    shape: tuple[Positive, Positive, Positive, Positive] | None = Field(
        description="Images, channels, height and width; null: the network convolves no image, and "
        "the rest is of its products."
    )
    dtype: Text = Field(
        description="Type of its numbers; where any convolution or product computes in 16 bits or "
        "fewer, the first such type."
    )
    resized_by: tuple[Text, ...] = Field(
        description="Operators before it that change the size of an image."
    )

    def is_of_another_size(self, resolution: Resolution, variant: Variant) -> bool:
        """Whether the network computes at another size than it was given, and does not pool first.

        Args:
            resolution: of the image.
            variant: of the run.
        """
        if self.shape is None:
            return False
        ratio = math.prod(self.shape) / (CHANNELS * resolution.pixels * variant.batch)
        pooled = any("pool" in name and "adaptive" not in name for name in self.resized_by)
        return self.shape[2:] != resolution.shape and not pooled and not 1 / MUCH < ratio < MUCH

    def is_of_another_type(self, variant: Variant) -> bool:
        """Whether the network computes in another type than its variant says.

        Args:
            variant: of the run.
        """
        return TYPES.get(variant.precision, self.dtype) != self.dtype

    def sentence(self, resolution: Resolution, variant: Variant) -> str | None:
        """What is not as asked, in words; None: nothing is, or only what an architecture may do.

        Args:
            resolution: of the image.
            variant: of the run.
        """
        found = []
        if self.shape is not None and self.is_of_another_size(resolution, variant):
            height_px, width_px = self.shape[2:]
            asked = f"{resolution.width_px} x {resolution.height_px} px"
            behind = f" (behind {', '.join(self.resized_by)})" if self.resized_by else ""
            sizes = f"{width_px} x {height_px} px, not {asked}{behind}"
            found.append(f"the first convolution is given {sizes}")
        if self.is_of_another_type(variant):
            found.append(f"the network computes in {self.dtype}, not {TYPES[variant.precision]}")
        return " and ".join(found) or None
