"""When a phase of a run has seen enough images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from adscale.request import Sampling

StopReason = Literal["precision", "image_count", "time_budget"]
WARMUP_SHARE = 0.25
"""Part of the time budget that the warm-up may use, on top of the budget."""


class Rule(Protocol):
    """Decides after each image whether a phase goes on."""

    most_images: int

    def record(self, times: Sequence[float]) -> None:
        """Takes in the times of one image's parts, in any unit and always in the same order."""

    def check(self, images: int, elapsed_s: float) -> StopReason | None:
        """Why the phase ends after so many images and seconds; None: it goes on."""

    def remaining_s(self, images: int, elapsed_s: float) -> float | None:
        """Estimate of the seconds left; None before the first image."""


class StopRule:
    """Decides by number and time, whatever the times of the images are."""

    def __init__(self, most_images: int, least_images: int, budget_s: float | None) -> None:
        self.most_images = most_images
        self.least_images = least_images
        self.budget_s = budget_s

    @classmethod
    def for_warmup(cls, sampling: Sampling) -> StopRule:
        """At most ``warmup_images``; at least one, unless none was asked for."""
        budget_s = sampling.time_budget_s
        share_s = None if budget_s is None else budget_s * WARMUP_SHARE
        return cls(sampling.warmup_images, min(1, sampling.warmup_images), share_s)

    @classmethod
    def for_measurement(cls, sampling: Sampling) -> StopRule:
        """At most ``measured_images``, at least ``min_images``."""
        return cls(sampling.measured_images, sampling.min_images, sampling.time_budget_s)

    def record(self, times: Sequence[float]) -> None:
        """See ``Rule``; they decide nothing here."""

    def check(self, images: int, elapsed_s: float) -> StopReason | None:
        """Why the phase ends after so many images and seconds; None: it goes on."""
        if images >= self.most_images:
            return "image_count"
        over = self.budget_s is not None and elapsed_s >= self.budget_s
        if over and images >= self.least_images:
            return "time_budget"
        return None

    def remaining_s(self, images: int, elapsed_s: float) -> float | None:
        """Estimate of the seconds left; None before the first image."""
        if images == 0:
            return None
        per_image_s = elapsed_s / images
        by_count_s = (self.most_images - images) * per_image_s
        if self.budget_s is None:
            return by_count_s
        at_least_s = (self.least_images - images) * per_image_s
        return max(0.0, min(by_count_s, max(at_least_s, self.budget_s - elapsed_s)))
