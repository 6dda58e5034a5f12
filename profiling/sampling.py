"""When a phase of a run has seen enough images: by number, by time, or by precision.

A measurement that stops by precision ends once the median of every submodule is known well enough:
half of the width of each median's 95 % interval is at most 1 % of the median. It is the median and
not the mean, because an image that takes ten times as long happens too rarely for so few images to
tell anything of it, and the mean is wrong without it.

Looking again and again until that is so would end most runs at a moment when the scatter looks
smaller than it is, and the interval would hold the truth less often than it says. Against that:

- There are few looks: at 200 images, and then each time a third more have been measured.
- Two estimates have to agree, the reported one and one from twice as many cosines, which scatters
  less.
- Then half as many images more are measured before the run ends, so that a third of what is
  reported had no say in when to stop. Should the interval be too wide then, the run goes on. At the
  first look that is spared if the interval is well below what is asked for.
- A submodule whose level wanders (`adscale.wandering`) has a wider interval; or none, and then
  twice the height that it wanders by takes its place.

With them the interval reported afterwards holds the truth in 93 to 97 of 100 runs (`make bench
ARGS="statistics truth"`).

What the rule cannot see is what has not happened yet: a clock that steps down after the run, a rare
slow image. Hence there is a least number of images and a least duration, both in the configuration.

The interval is that of `adscale.percentiles`, which is reported, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np

from adscale.mean_error import Floats
from adscale.percentiles import median_half_widths
from adscale.request import PRECISION_IMAGES, Sampling

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
        """Warm up at most ``warmup_images``; at least one, unless none was asked for."""
        budget_s = sampling.time_budget_s
        share_s = None if budget_s is None else budget_s * WARMUP_SHARE
        return cls(sampling.warmup_images, min(1, sampling.warmup_images), share_s)

    @classmethod
    def for_measurement(cls, sampling: Sampling) -> StopRule:
        """Measure at most ``measured_images``, at least ``min_images``."""
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


LEAST_IMAGES = 30
"""Images before which nothing can be said of the scatter."""

TARGET = 0.01
"""Half-width of the interval as a share of the median."""

AT_FIRST = 0.75
"""Part of the target that counts as reached at the first look, without confirmation."""

GROWTH = 4 / 3
"""Factor between the numbers of images at which the precision is looked at."""

CONFIRMATION = 1.5
"""Factor by which a run goes on after the precision is reached."""

GROWTH_AFTER = 1.1
"""Factor between looks where the confirmation found the interval too wide."""


class AdaptiveRule:
    """Decides after each image whether the measurement goes on.

    Args:
        most_images: the measurement ends after so many in any case.
        least_images: and not before so many, whatever the precision or the time.
        budget_s: seconds after which it ends; None: it may take any time.
        target: half-width of the 95 % interval of every submodule's median, as a share of it.
        precision_images: precision does not end it before so many images,
        precision_s: nor before so many seconds.

    Raises:
        ValueError: the limits contradict each other, or there is no precision to reach.
    """

    def __init__(
        self,
        most_images: int,
        least_images: int = LEAST_IMAGES,
        budget_s: float | None = None,
        target: float = TARGET,
        precision_images: int = PRECISION_IMAGES,
        precision_s: float = 0.0,
    ) -> None:
        if not 2 <= least_images <= most_images:
            raise ValueError(f"need 2 <= least_images ({least_images}) <= most ({most_images})")
        if not target > 0:
            raise ValueError(f"the target has to be positive, not {target}")
        # SciPy is loaded now, not at the first look, in the middle of the measured images
        median_half_widths(np.arange(60.0)[np.newaxis] % 7, cautious=True)
        self.most_images = most_images
        self.target = target
        self._precision_s = precision_s
        self._limits = StopRule(most_images, least_images, budget_s)
        self._times: Floats = np.empty((0, 0))
        self._images = 0
        self._next_look = max(least_images, precision_images)
        self._confirming = False
        self._excess = math.inf

    def record(self, times: Sequence[float]) -> None:
        """Takes in one image.

        Args:
            times: time of each submodule, in any unit and always in the same order.

        Raises:
            ValueError: the number of submodules changed, or there is none.
        """
        if self._images == 0:
            self._times = np.empty((len(times), 64))
        if len(times) == 0 or len(times) != len(self._times):
            raise ValueError(f"{len(times)} submodules after {len(self._times)}")
        if self._images == self._times.shape[1]:
            self._times = np.concatenate([self._times, np.empty_like(self._times)], axis=1)
        self._times[:, self._images] = times
        self._images += 1

    def check(self, images: int, elapsed_s: float) -> StopReason | None:
        """Why the measurement ends after so many images and seconds; None: it goes on.

        Raises:
            ValueError: not every image has been recorded.
        """
        if images != self._images:
            raise ValueError(f"{self._images} of {images} images were recorded")
        looks = self._next_look <= images < self.most_images and elapsed_s >= self._precision_s
        if looks and self._look():
            return "precision"
        return self._limits.check(images, elapsed_s)

    def remaining_s(self, images: int, elapsed_s: float) -> float | None:
        """Estimate of the seconds left; None before the first image."""
        by_limits_s = self._limits.remaining_s(images, elapsed_s)
        if by_limits_s is None or math.isinf(self._excess):
            return by_limits_s
        more = self._next_look if self._confirming else images * self._excess**2 * CONFIRMATION
        by_precision_s = (max(more, self._next_look) - images) * elapsed_s / images
        return max(0.0, min(by_limits_s, by_precision_s))

    def _look(self) -> bool:
        """Looks at the precision, and plans the next look; True: it is reached and certain."""
        first = math.isinf(self._excess)
        if self._confirming:
            self._excess = self._find_excess(cautious=False)
            self._next_look = math.ceil(self._images * GROWTH_AFTER)
            return self._excess <= 1
        self._excess = self._find_excess(cautious=True)
        self._confirming = self._excess <= 1
        growth = CONFIRMATION if self._confirming else GROWTH
        self._next_look = max(self._images + 1, math.ceil(self._images * growth))
        return first and self._excess <= AT_FIRST

    def _find_excess(self, *, cautious: bool) -> float:
        """Largest half-width over the one aimed at."""
        series = self._times[:, : self._images]
        aim = self.target * np.abs(np.median(series, axis=1))
        widths = np.array(median_half_widths(series, cautious=cautious))
        beyond = np.where(widths > 0, np.inf, 0.0)
        return float(np.max(np.divide(widths, aim, out=beyond, where=aim > 0)))


def measurement_rule(sampling: Sampling) -> Rule:
    """The rule for the measured images of a run.

    Args:
        sampling: as it was asked for.
    """
    if sampling.target_precision is None:
        return StopRule.for_measurement(sampling)
    return AdaptiveRule(
        sampling.measured_images,
        sampling.min_images,
        sampling.time_budget_s,
        sampling.target_precision,
        sampling.precision_min_images,
        sampling.precision_min_s,
    )
