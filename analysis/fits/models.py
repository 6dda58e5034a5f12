"""Laws that a cost may follow over the resolution: their terms, their cases, which are admitted.

A law is a sum of terms in the pixels n (or the side s), or the larger of two sums: a floor is one
whose lower part is a constant. Coefficients cannot be negative, but for the constant of the steeper
of two lines. A least squares fit sets some of them to zero, and some of the smallest measured
resolutions lie on the lower part. A `Case` is one choice of both: it is linear in its coefficients,
so that it has a closed solution, and the cases of a law together are the law.

Terms are scaled by the measured range, so that all coefficients are in units of y:

    term    value
    1.5     (s² / s_max²)^1.5, and so on: the power of the pixels
    "±1"    1, with a coefficient of any sign
    "u"     (s - s_min/4) / s_max
    "u²"    ((s - s_min/4) / s_max)²

The side s of a term of the pixels is √n. In u it is half the perimeter, which is what a border
costs: of a layer that loses k px at each, (w - k)·(h - k) values are left, and the term "u²" is
(w - s_min/4)·(h - s_min/4) / s_max². Of squares both are the side.

The parabola in the side is written in u, not in s: its value, slope and curvature at a quarter of
the smallest measured side cannot be negative, its coefficients in s may. Layers without padding are
of that kind: EfficientAD's maps have (s/4 - 8)² values, which is 0 at 32 px. To allow more, a slope
of 0 at the smallest measured side, would let the parabola pass for a floor.

The power of the pixels is the sum of two that are neighbours among `POWERS`: with coefficients that
are not negative it is one power between them to 0.3 % at ten times the pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain, combinations, pairwise, product
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Term = float | Literal["±1", "u", "u²"]

TESTED_BRANCH = 3
"""Resolutions on the branch of a floor from which on they say something of its shape."""

POWERS = tuple(round(0.3 + 0.1 * step, 1) for step in range(18))
"""Powers of the pixels, 0.3 to 2, between neighbours of which the power of a law lies."""


class Sizes(NamedTuple):
    """Sizes of images.

    Attributes:
        side_px: square roots of the pixels: of squares the sides.
        border_px: halves of the perimeters: of squares the sides, too.
    """

    side_px: Floats
    border_px: Floats

    def among(self, which: slice | npt.NDArray[np.bool_]) -> Sizes:
        """Some of them."""
        return Sizes(self.side_px[which], self.border_px[which])


def sizes_of(size: npt.ArrayLike | Sizes) -> Sizes:
    """Sizes as arrays; of numbers those of squares with these sides in px."""
    both = size if isinstance(size, Sizes) else (size, size)
    side, border = (np.array(one, np.float64, ndmin=1) for one in both)
    return Sizes(side, border)


@dataclass(frozen=True, eq=False)
class Law:
    """A law of growth.

    Attributes:
        name: in tables and figures.
        formula: in n (pixels) or s (half the perimeter in px: of a square its side).
        symbols: of its coefficients in the formula: of the lower part, the terms, those beside.
        terms: of the sum, or of the part that is larger beyond the lower one.
        complications: what it has beyond a line in the pixels, a term that bends it and a floor
            counting one each. A law with more of them has to fit better to be preferred, or to be
            in the band (`analysis.fits.estimation`).
        degree: highest power of the pixels in it, which bounds a branch that was not seen.
        lower: terms of the part that is larger at the smallest resolutions.
        beside: terms that are added to both parts.
        root: 2 where the sum is that of the square of the quantity, else 1.
    """

    name: str
    formula: str
    symbols: str
    terms: tuple[Term, ...]
    complications: int
    degree: int
    lower: tuple[Term, ...] = ()
    beside: tuple[Term, ...] = ()
    root: int = 1


CONSTANT = Law("constant", "a", "a", (0,), 0, 0)
LINEAR = Law("linear in pixels", "a + b·n", "ab", (0, 1), 0, 1)
QUADRATIC = Law("quadratic in pixels", "a + b·n + c·n²", "abc", (0, 1, 2), 1, 2)
BORDER = Law("linear in pixels and border", "a + b·s + c·n", "abc", (0, "u", "u²"), 1, 1)
FLOOR_LINEAR = Law("floor, then linear", "max(f, a + b·n)", "fab", (0, 1), 1, 1, lower=(0,))
FLOOR_QUADRATIC = Law(
    "floor, then quadratic", "max(f, a + b·n + c·n²)", "fabc", (0, 1, 2), 2, 2, lower=(0,)
)
# the sum of a floor and of what is quadratic, as of a backbone and a search
FLOOR_BESIDE_QUADRATIC = Law(
    "floor beside quadratic", "max(f, a + b·n) + d·n + c·n²", "fabdc", (0, 1), 2, 2,
    lower=(0,), beside=(1, 2),
)  # fmt: skip
ROUNDED_FLOOR = Law(
    "rounded floor, then linear", "√(a + b·n + c·n²)", "abc", (0, 1, 2), 1, 1, root=2
)
# data that outgrow a cache, or a switch from computing to moving them
TWO_SLOPES = Law(
    "linear, then steeper", "max(a + b·n, c + d·n)", "abcd", ("±1", 1), 2, 1,
    lower=(0, 1),
)  # fmt: skip
POWER = Law("power of pixels", "a + b·n^p", "abp", (0, *POWERS), 2, 2)

FLEXIBLE = (TWO_SLOPES, POWER)
"""The laws that bend where they like, and so follow the noise, too."""

RIVALS = (LINEAR, QUADRATIC, BORDER, FLOOR_LINEAR, FLOOR_QUADRATIC, ROUNDED_FLOOR, *FLEXIBLE)
"""The laws of a series of which nothing is known. `CONSTANT` has to be declared."""


class Prior(NamedTuple):
    """The laws that a submodule admits, known before it is measured.

    Attributes:
        laws: those that its computation admits.
        reason: in words.
    """

    laws: tuple[Law, ...]
    reason: str


NOTHING_KNOWN = Prior(RIVALS, "")
PIXELS = Prior(
    (LINEAR, BORDER, FLOOR_LINEAR, ROUNDED_FLOOR, TWO_SLOPES),
    "its work is declared to be the same for each pixel",
)
PIXELS_SQUARED = Prior(
    (QUADRATIC, FLOOR_QUADRATIC), "it is declared to compare each position with every other"
)
FIXED = Prior((CONSTANT,), "its work is declared not to depend on the size of the image")
COUNTED = Prior((LINEAR, QUADRATIC, BORDER), "counted bytes have no floor of launches")
BY_COMPLEXITY = {
    "pixels": PIXELS,
    "pixels_squared": PIXELS_SQUARED,
    "fixed": FIXED,
    "unknown": NOTHING_KNOWN,
}
"""Priors by the complexity that a submodule's method declares (`complexity` in `memory.csv`)."""


def prior_of_whole(complexities: Mapping[str, str]) -> Prior:
    """Return the prior of a whole inference: it grows like the steepest of its submodules.

    Args:
        complexities: of all submodules by their name.
    """
    squared = [name for name, kind in complexities.items() if kind == "pixels_squared"]
    if not complexities or "unknown" in complexities.values():
        return NOTHING_KNOWN
    if not squared:
        return Prior(PIXELS.laws, "the work of no submodule is declared to grow faster than pixels")
    reason = f"declared to compare each position with every other: {', '.join(squared)}"
    return Prior((*PIXELS_SQUARED.laws, FLOOR_BESIDE_QUADRATIC), reason)


class Case(NamedTuple):
    """One case of a law: which coefficients are not zero, and what lies on the lower part.

    Attributes:
        law: whose case it is.
        terms: those with a coefficient: of the lower part, of the upper one, and beside them.
        below: how many of the smallest measured resolutions lie on the lower part.
        measured: square roots of the pixels, ascending.
        borders: half perimeters in px of the same.
    """

    law: Law
    terms: tuple[tuple[Term, ...], ...]
    below: int
    measured: tuple[float, ...]
    borders: tuple[float, ...]

    @property
    def columns(self) -> tuple[Term, ...]:
        """All terms, one for each coefficient."""
        return tuple(chain(*self.terms))

    @property
    def any_sign(self) -> int:
        """Index of the coefficient that may be negative, too; -1: none."""
        return self.columns.index("±1") if "±1" in self.columns else -1

    @property
    def above(self) -> int:
        """How many of the measured resolutions do not lie on the lower part."""
        return len(self.measured) - self.below

    @property
    def branch_unseen(self) -> bool:
        """Whether all that was measured lies on a floor."""
        return not self.above

    @property
    def branch_untested(self) -> bool:
        """Whether too little lies beyond the floor to tell a straight branch from a bent one."""
        return len(self.law.lower) == 1 and self.below > 0 and self.above < TESTED_BRANCH

    @property
    def price(self) -> float:
        """The complications for which it counts.

        A floor over everything has one coefficient and no branch to be complicated. With fewer
        than three resolutions on the branch of a floor nothing tells a straight one from a bent
        one: both count alike; on the steeper of two lines they count one more. A power below 1.5
        without a constant counts one. A fourth coefficient costs a little more.
        """
        law = self.law
        if self.branch_unseen:
            return 0
        if self.branch_untested:
            return min(law.complications, 1)
        if law is POWER:
            return 1 if 0 not in self.terms[1] and self.terms[1] <= (1.5,) else 2
        untested = law is TWO_SLOPES and self.above < TESTED_BRANCH
        return law.complications + FOURTH_COEFFICIENT * (len(self.columns) > 3) + untested


FOURTH_COEFFICIENT = 0.1
"""Complications that a fourth coefficient counts for."""


def parts(cases: Sequence[Case], size: npt.ArrayLike | Sizes) -> Floats:
    """Columns of the lower and of the upper part: cases × 2 × sizes × coefficients.

    Args:
        cases: all of the same measured sizes. Behind the columns of one that has fewer coefficients
            than another are zeros.
        size: where; numbers are sides of squares in px.
    """
    sizes, most = sizes_of(size), max(len(case.columns) for case in cases)
    columns = np.zeros((len(cases), 2, len(sizes.side_px), most))
    values = cache(lambda term: _values(term, sizes, cases[0].measured))
    for case, of_case in zip(cases, columns, strict=True):
        parts_of_terms = zip((slice(1), slice(1, 2), slice(2)), case.terms, strict=True)
        placed = [(part, term) for part, terms in parts_of_terms for term in terms]
        for index, (part, term) in enumerate(placed):
            of_case[part, :, index] = values(term)
    return columns


def _values(term: Term, sizes: Sizes, measured: tuple[float, ...]) -> Floats:
    side, border = sizes
    if isinstance(term, float | int):
        return np.asarray(((side / measured[-1]) ** 2) ** term)
    u = (border - measured[0] / 4) / measured[-1]
    # (w - k)·(h - k) is the square of what is left of half the perimeter, and n less its square
    squared = u**2 + (side**2 - border**2) / measured[-1] ** 2
    return {"±1": np.ones_like(u), "u": u, "u²": squared}[term]


def design(cases: Sequence[Case]) -> Floats:
    """Columns of the linear models at the measured sizes: cases × sizes × coefficients."""
    measured = Sizes(np.array(cases[0].measured), np.array(cases[0].borders))
    lower, upper = np.moveaxis(parts(cases, measured), 1, 0)
    below = np.array([case.below for case in cases])[:, np.newaxis, np.newaxis]
    on_lower = np.arange(lower.shape[1])[:, np.newaxis] < below
    return np.asarray(np.where(on_lower, lower, upper), np.float64)


def curves(cases: Sequence[Case], coefficients: Floats, size: npt.ArrayLike | Sizes) -> Floats:
    """The laws at any sizes: cases × series × sizes, of cases × series × coefficients."""
    sums = np.einsum("cdk,cpsk->cpds", coefficients, parts(cases, size))
    root = np.array([[[case.law.root]] for case in cases])
    return np.asarray(np.max(np.maximum(sums, 0), axis=1) ** (1 / root), np.float64)


@lru_cache(maxsize=256)
def all_cases(
    law: Law, measured: tuple[float, ...], borders: tuple[float, ...]
) -> tuple[Case, ...]:
    """The cases of a law that the measured sizes, as `Case` has them, determine.

    A part needs as many resolutions as it has coefficients, the steeper of two lines not less than
    two. A branch that is a constant would be a step, and is no case; a floor over everything has a
    branch that was not seen.
    """
    least, most = len(law.lower), len(measured) - 2 * (law is TWO_SLOPES)
    return tuple(
        case
        for below in (range(least, most + 1) if least else (0,))
        for terms in product(*map(_subsets, (law.lower, law.terms, law.beside)))
        if _is_case(case := Case(law, terms, below, measured, borders))
    )


def _subsets(terms: tuple[Term, ...]) -> Iterator[tuple[Term, ...]]:
    """Which of the terms have a coefficient; of powers two neighbours or one."""
    if POWERS[-2] in terms:
        for power in (*pairwise(POWERS), *((power,) for power in POWERS)):
            yield from (power, (0, *power))
    else:
        for count in range(len(terms) + 1):
            yield from combinations(terms, count)


def _is_case(case: Case) -> bool:
    lower, upper, beside = case.terms
    if case.branch_unseen:
        return bool(lower) and not upper and not beside
    if not (upper or beside) or (case.below and (not lower or set(upper) <= {0, "±1"})):
        return False
    # whether the terms are independent at the resolutions; weights do not change that
    return bool(np.linalg.matrix_rank(design([case])[0]) == len(case.columns))
