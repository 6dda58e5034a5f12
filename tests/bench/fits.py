"""Bench of truth: methods with a known law, measured with noise, and what is said of 3000 px.

Seven resolutions, 256 to 1024 px, each with a relative error of its own of 1 % or 3 %; the analysis
is not told how large it is. A prediction covers if it holds one more measurement at 3000 px, which
has the same error. The width of the band is compared with the interval of a fit that knows the law:
its terms, and which resolutions are on the floor.

The laws are in units of their value at 1024 px; g = n / 1024².
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from analysis.fits.estimation import LEVEL, Bounds, Points, doubtful_branch, make_points, weigh
from analysis.fits.models import NOTHING_KNOWN, PIXELS_SQUARED, Prior

Floats = npt.NDArray[np.float64]

SIDES_PX = np.arange(256.0, 1025.0, 128.0)
TARGET_PX = 3000.0
NOISES = (0.01, 0.03)
DRAWS_PER_ROUND = 125

COVERAGE, WIDTH = 0.90, 3.0
"""The goal: at least this coverage, at most this width relative to the fit that knows the law."""


@dataclass(frozen=True)
class Truth:
    """A method with a known law.

    Attributes:
        name: in the table.
        law: value at sides in px; draws × sides where each draw has a law of its own.
        terms: those that a fit which knows the law has.
        on_floor: how many of the resolutions it knows to be on the floor.
        prior: what the analysis is told of the method.
    """

    name: str
    law: Callable[[Floats], Floats]
    terms: tuple[str, ...]
    on_floor: int = 0
    prior: Prior = NOTHING_KNOWN


class Outcome:
    """What the analysis and its rivals said of many draws of one truth."""

    def __init__(self, truth: Truth, noise: float, draws: int, seed: int = 1) -> None:
        random = np.random.default_rng(seed)
        errors = noise * random.standard_normal((draws, len(SIDES_PX)))
        points = make_points(SIDES_PX, truth.law(SIDES_PX) * (1 + errors))
        self.true = truth.law(np.array([TARGET_PX]))[..., 0]
        self.new = self.true * (1 + noise * random.standard_normal(draws))
        self._analyse(points, truth.prior)
        self.study, self.study_bounds = study_of(points)
        self.known = knowing(truth, points) if truth.terms else None

    def _analyse(self, points: Points, prior: Prior) -> None:
        target = np.array([TARGET_PX])
        weighed = weigh(prior.laws, points)
        self.predicted = weighed.predicted(target)[:, 0]
        self.band = weighed.band(target)
        unseen, untested = doubtful_branch(weighed)
        self.said_so = float(np.mean(unseen | untested))

    def covers(self, bounds: Bounds) -> float:
        """Share of draws in which one more measurement lies within."""
        low, high = bounds.low[:, 0], bounds.high[:, 0]
        return float(np.mean((low <= self.new) & (self.new <= high)))

    def bias(self, predicted: Floats) -> float:
        """Median relative error."""
        return float(np.median(predicted / self.true)) - 1

    @property
    def relative_width(self) -> float:
        """Median width of the band over that of the fit that knows the law."""
        assert self.known is not None
        return _width(self.band) / _width(self.known)

    @property
    def verdict(self) -> str:
        """Whether the goal is met, else what is not."""
        misses = []
        if self.covers(self.band) < COVERAGE:
            misses.append("coverage")
        if self.known and self.relative_width > WIDTH:
            misses.append("width")
        return "no: " + ", ".join(misses) if misses else "yes"


def study_of(points: Points) -> tuple[Floats, Bounds]:
    """The paper's model of many series at once: prediction at 3000 px and its 95 % interval."""
    from scipy.stats import t

    scaled, target = points.sizes.side_px / TARGET_PX, np.ones(3)
    design = np.column_stack([np.ones_like(scaled), scaled, scaled**2])
    solve = np.linalg.pinv(design)
    coefficients = points.values @ solve.T
    freedom = len(points.sizes.side_px) - 3
    squares = np.sum((points.values - coefficients @ design.T) ** 2, axis=1)
    half_width = t.ppf(0.5 + LEVEL / 2, freedom) * np.sqrt(
        squares / freedom * (1 + np.sum((target @ solve) ** 2))
    )
    predicted = coefficients @ target
    return predicted, Bounds(
        (predicted - half_width)[:, np.newaxis], (predicted + half_width)[:, np.newaxis]
    )


def knowing(truth: Truth, points: Points) -> Bounds:
    """95 % interval of weighted least squares with the terms of the truth."""
    from scipy.stats import t

    on_floor = np.arange(len(SIDES_PX)) < truth.on_floor
    columns = [_term(term, points.sizes.side_px) * ~on_floor for term in truth.terms]
    design = np.column_stack([*([on_floor] if truth.on_floor else []), *columns])
    target = np.array([*([0.0] if truth.on_floor else []),
                       *(_term(term, np.array(TARGET_PX)) for term in truth.terms)])  # fmt: skip
    weighted = design / points.values[..., np.newaxis]
    covariance = np.linalg.inv(np.swapaxes(weighted, 1, 2) @ weighted)
    coefficients = np.einsum("dpq,dmq->dp", covariance, weighted)
    fitted = coefficients @ design.T
    if truth.on_floor:  # the law is the larger of both, also where the parts do not meet
        branch = coefficients[:, 1:] @ np.array(
            [_term(one, points.sizes.side_px) for one in truth.terms]
        )
        fitted = np.maximum(coefficients[:, :1], branch)
    misfit = np.sum((fitted / points.values - 1) ** 2, axis=1)
    freedom, predicted = points.values.shape[1] - len(target), coefficients @ target
    variance = misfit / freedom * (target @ covariance @ target + predicted**2)
    half_width = t.ppf(0.5 + LEVEL / 2, freedom) * np.sqrt(variance)
    return Bounds((predicted - half_width)[:, np.newaxis], (predicted + half_width)[:, np.newaxis])


def _term(term: str, side_px: Floats) -> Floats:
    side, pixels = side_px / 1024 - 1 / 16, (side_px / 1024) ** 2
    values = {"1": np.ones_like(side), "n": pixels, "n²": pixels**2, "u": side, "u²": side**2}
    return np.asarray(values[term], np.float64)


def _width(bounds: Bounds) -> float:
    return float(np.median(bounds.high - bounds.low))


def polynomial(name: str, a: float, b: float, c: float) -> Truth:
    """The law a + b·g + c·g²; the fit that knows it has the n² term if c is not 0."""
    terms: tuple[str, ...] = ("1", "n", "n²") if c else ("1", "n")
    return Truth(name, lambda side: _branch(side, a, b, c), terms)


def floor(name: str, knee_px: float, a: float, b: float, c: float) -> Truth:
    """The law max(f, a + b·g + c·g²), the floor as high as the branch is at the knee.

    The fit that knows it has a constant in a straight branch, in a bent one only if there is one.
    """
    level = _branch(np.array(knee_px), a, b, c)
    terms: tuple[str, ...] = ("1",) if a or not c else ()
    terms += ("n", "n²") if c else ("n",)
    on_floor = int(np.searchsorted(SIDES_PX, knee_px, side="right"))
    return Truth(name, lambda side: np.maximum(level, _branch(side, a, b, c)), terms, on_floor)


def _branch(side_px: Floats, a: float | Floats, b: float | Floats, c: float | Floats) -> Floats:
    g = (side_px / 1024) ** 2
    return np.asarray(a + b * g + c * g**2, np.float64)


def _kernels(side_px: Floats, first_px: float, last_px: float) -> Floats:
    """Nine kernels, each with a floor of its own: what a submodule is made of."""
    knees_px = np.geomspace(first_px, last_px, 9)
    return np.asarray(np.mean([np.maximum(1, (side_px / px) ** 2) for px in knees_px], axis=0))


def late_floor(name: str, knee_px: float, a: float, b: float, c: float) -> Truth:
    """A floor that leaves too few resolutions for a fit that knows the law."""
    return replace(floor(name, knee_px, a, b, c), terms=())


def any_polynomial(name: str, draws: int, share: tuple[float, float]) -> Truth:
    """Constants of up to 0.3 and shares of g² within limits, at random."""
    a, b, c = _any_branch(draws, 0.3, share)
    return Truth(name, lambda side: _branch(side, a, b, c), ())


def any_floor(name: str, draws: int, share: tuple[float, float]) -> Truth:
    """Floors to 288 to 512 px with constants of up to 0.2, at random."""
    a, b, c = _any_branch(draws, 0.2, share)
    knee_px = np.random.default_rng(3).uniform(288, 512, (draws, 1))
    level = _branch(knee_px, a, b, c)
    return Truth(name, lambda side: np.maximum(level, _branch(side, a, b, c)), ())


def _any_branch(
    draws: int, constant: float, share: tuple[float, float]
) -> tuple[Floats, Floats, Floats]:
    random = np.random.default_rng(2)
    a = random.uniform(0, constant, (draws, 1))
    c = random.uniform(*share, (draws, 1)) * (1 - a)
    return a, 1 - a - c, c


HIDDEN = [
    polynomial("quadratic: 0.05 + 0.9 g + 0.05 g²", 0.05, 0.9, 0.05),
    polynomial("quadratic: 0.02 + 0.96 g + 0.02 g²", 0.02, 0.96, 0.02),
    floor("floor to 512 px, then 0.1 + 0.7 g + 0.2 g²", 512, 0.1, 0.7, 0.2),
]
"""Laws whose bend is within the noise of the points, and is not at 3000 px."""

TRUTHS = [
    polynomial("linear: g", 0, 1, 0),
    polynomial("linear: 0.02 + 0.98 g", 0.02, 0.98, 0),
    polynomial("linear: 0.1 + 0.9 g", 0.1, 0.9, 0),
    polynomial("linear: 0.3 + 0.7 g", 0.3, 0.7, 0),
    polynomial("quadratic: 0.1 + 0.4 g + 0.5 g²", 0.1, 0.4, 0.5),
    polynomial("quadratic: 0.3 + 0.35 g + 0.35 g²", 0.3, 0.35, 0.35),
    polynomial("quadratic: 0.1 + 0.7 g + 0.2 g²", 0.1, 0.7, 0.2),
    polynomial("quadratic: 0.05 + 0.85 g + 0.1 g²", 0.05, 0.85, 0.1),
    polynomial("quadratic: 0.3 + 0.6 g + 0.1 g²", 0.3, 0.6, 0.1),
    polynomial("quartic in side: g²", 0, 0, 1),
    polynomial("quartic in side: 0.02 + 0.98 g²", 0.02, 0, 0.98),
    polynomial("search: 0.003 + 0.05 g + 0.95 g²", 0.003, 0.05, 0.95),
    floor("floor to 320 px, then g", 320, 0, 1, 0),
    floor("floor to 320 px, then 0.2 + 0.8 g", 320, 0.2, 0.8, 0),
    floor("floor to 384 px, then g", 384, 0, 1, 0),
    floor("floor to 384 px, then 0.2 + 0.8 g", 384, 0.2, 0.8, 0),
    floor("floor to 448 px, then g", 448, 0, 1, 0),
    floor("floor to 448 px, then 0.2 + 0.8 g", 448, 0.2, 0.8, 0),
    floor("floor to 512 px, then g", 512, 0, 1, 0),
    floor("floor to 512 px, then 0.2 + 0.8 g", 512, 0.2, 0.8, 0),
    floor("floor to 384 px, then g²", 384, 0, 0, 1),
    floor("floor to 384 px, then 0.5 g + 0.5 g²", 384, 0, 0.5, 0.5),
    floor("floor to 384 px, then 0.9 g + 0.1 g²", 384, 0, 0.9, 0.1),
    floor("floor to 384 px, then 0.1 + 0.7 g + 0.2 g²", 384, 0.1, 0.7, 0.2),
    floor("floor to 512 px, then g²", 512, 0, 0, 1),
    floor("floor to 512 px, then 0.5 g + 0.5 g²", 512, 0, 0.5, 0.5),
    floor("floor to 512 px, then 0.9 g + 0.1 g²", 512, 0, 0.9, 0.1),
    floor("floor to 512 px, then 0.1 + 0.4 g + 0.5 g²", 512, 0.1, 0.4, 0.5),
    *HIDDEN,
]
"""Laws that the goal is set for."""

LATE = [
    late_floor("floor to 640 px, then g", 640, 0, 1, 0),
    late_floor("floor to 700 px, then g", 700, 0, 1, 0),
    late_floor("floor to 800 px, then g", 800, 0, 1, 0),
    late_floor("floor to 800 px, then g²", 800, 0, 0, 1),
    late_floor("floor to 950 px, then g", 950, 0, 1, 0),
    late_floor("floor to 950 px, then g²", 950, 0, 0, 1),
    late_floor("floor to 1100 px, then g", 1100, 0, 1, 0),
    late_floor("floor to 1100 px, then g²", 1100, 0, 0, 1),
]
"""Floors that end late or not at all within the points."""

OUTSIDE = [
    Truth("unpadded: (s/4 - 8)²", lambda side: (side / 4 - 8) ** 2, ("1", "u", "u²")),
    Truth("rounded floor: (1 + (s/512)⁸)^¼", lambda side: (1 + (side / 512) ** 8) ** 0.25, ()),
    Truth("rounder floor: (1 + (s/512)⁴)^½", lambda side: (1 + (side / 512) ** 4) ** 0.5, ()),
    Truth("many kernels, floors to 300 to 600 px", lambda side: _kernels(side, 300, 600), ()),
    Truth("many kernels, floors to 256 to 1024 px", lambda side: _kernels(side, 256, 1024), ()),
    Truth(
        "ripple: g · (1 ± 2 %)",
        lambda side: _branch(side, 0, 1, 0) * (1 + 0.02 * np.sin(side / 50)),
        (),
    ),
    Truth("n·log n", lambda side: side**2 * np.log2(side**2), ()),
    Truth("n^1.5", lambda side: side**3, ()),
]
"""Laws that are none of those fitted, but for the first, which is one of them."""


def known_complexity(truths: Sequence[Truth]) -> list[Truth]:
    """The same methods, the analysis being told that they are a search or attention."""
    return [replace(truth, prior=PIXELS_SQUARED) for truth in truths]


def main(rounds: int) -> None:
    """Print all tables, `DRAWS_PER_ROUND` draws for each round."""
    draws = rounds * DRAWS_PER_ROUND
    error = 100 * np.sqrt(COVERAGE * (1 - COVERAGE) / draws)
    print(f"{draws} draws. Bias: median, in %. Coverage of 95 % bands: in %, 90 ± {error:.1f}.")
    print("Width: median, relative to the fit that knows the law.\n")
    for noise in NOISES:
        _print_table(f"laws of the goal, {noise:.0%} noise", TRUTHS, noise, draws)
        told = f"told that it is a search or attention, {noise:.0%} noise"
        _print_table(told, known_complexity(HIDDEN), noise, draws)
        anything = f"coefficients and knees at random, {noise:.0%} noise"
        _print_table(anything, at_random(draws), noise, draws)
        _print_table(f"late floors, {noise:.0%} noise", LATE, noise, draws)
        _print_table(f"other laws, {noise:.0%} noise", OUTSIDE, noise, draws)
        _print_sum(noise, draws)


def at_random(draws: int) -> list[Truth]:
    """Laws none of which was looked at when the method was made."""
    return [
        any_polynomial("linear, any constant", draws, (0, 0)),
        any_polynomial("quadratic, 10 to 100 % of it bent", draws, (0.1, 1)),
        any_polynomial("quadratic, 0 to 10 % of it bent", draws, (0, 0.1)),
        any_floor("floor, then linear", draws, (0, 0)),
        any_floor("floor, then 20 to 100 % of it bent", draws, (0.2, 1)),
        any_floor("floor, then 0 to 20 % of it bent", draws, (0, 0.2)),
    ]


def sum_coverage(noise: float, draws: int) -> tuple[float, float]:
    """How often the band of a whole method holds: errors taken together, and as independent.

    The errors of the three submodules are independent here, which suits the second.
    """
    parts = [
        Outcome(truth, noise, draws, seed)
        for seed, truth in enumerate(
            [
                polynomial("backbone", 0.1, 0.9, 0),
                floor("maps", 384, 0, 1, 0),
                replace(polynomial("search", 0.003, 0.05, 0.95), prior=PIXELS_SQUARED),
            ]
        )
    ]
    new = np.sum([part.new for part in parts], axis=0)
    predicted = np.sum([part.predicted for part in parts], axis=0)
    low, high = (np.sum([part.band[end][:, 0] for part in parts], axis=0) for end in (0, 1))
    down, up = (
        np.sqrt(np.sum([(part.band[end][:, 0] - part.predicted) ** 2 for part in parts], axis=0))
        for end in (0, 1)
    )
    together = np.mean((low <= new) & (new <= high))
    independent = np.mean((predicted - down <= new) & (new <= predicted + up))
    return float(together), float(independent)


def _print_sum(noise: float, draws: int) -> None:
    together, independent = sum_coverage(noise, draws)
    print(f"### sum of a backbone, maps and a search, {noise:.0%} noise\n")
    print(f"covered with errors taken together {together:.0%}, independent {independent:.0%}\n")


def _print_table(title: str, truths: Sequence[Truth], noise: float, draws: int) -> None:
    print(f"### {title}\n")
    print(
        "| law | bias of study | of choice | study covers | band covers "
        "| band / true value | width | late floor said | holds |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    held = 0
    for truth in truths:
        outcome = Outcome(truth, noise, draws)
        held += outcome.verdict == "yes"
        print(_row(truth.name, outcome), flush=True)
    print(f"\n{held} of {len(truths)} hold.\n")


def _row(name: str, outcome: Outcome) -> str:
    low, high = (float(np.median(bound[:, 0] / outcome.true)) for bound in outcome.band)
    shares = (
        outcome.covers(outcome.study_bounds),
        outcome.covers(outcome.band),
        outcome.said_so,
    )
    study, band, said = (f"{100 * share:.0f}" for share in shares)
    biases = (outcome.bias(outcome.study), outcome.bias(outcome.predicted))
    of_study, of_choice = (f"{100 * bias:+.0f}" for bias in biases)
    width = f"{outcome.relative_width:.1f}" if outcome.known else ""
    return (
        f"| {name} | {of_study} | {of_choice} | {study} | {band} "
        f"| {low:.2f} to {high:.2f} | {width} | {said} | {outcome.verdict} |"
    )
