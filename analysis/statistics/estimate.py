"""A number and how far it can be trusted."""

from __future__ import annotations

from typing import NamedTuple


class Estimate(NamedTuple):
    """A statistic with its 95 % confidence interval.

    Attributes:
        value: the statistic.
        low: lower end; None, like `high`, where the sample is too small to have an interval.
        high: upper end.
    """

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def half_width_share(self) -> float | None:
        """Half of the interval's width as a share of the value: 0.01 for ±1 %."""
        if self.low is None or self.high is None or self.value == 0:
            return None
        return (self.high - self.low) / 2 / abs(self.value)
