"""Laws that a cost may follow over the resolution: their terms, their cases, which are admitted.

A law is a sum of terms in the pixels n (or the side s), or the larger of two sums: a floor is one
whose lower part is a constant. Coefficients cannot be negative, but for the constant of the steeper
of two lines. A least squares fit sets some of them to zero, and some of the smallest measured
resolutions lie on the lower part. A `Case` is one choice of both: it is linear in its coefficients,
so that it has a closed solution, and the cases of a law together are the law.

Terms are scaled by the measured range, so that all coefficients are in units of y:

    term    value
    1.5     (s² / s_max²)^1.5, and so on: the power of the pixels
    "-1"    -1: with 0 beside it in the list, a constant of any sign
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
from functools import cache, cached_property, lru_cache
from itertools import combinations, compress, pairwise
from operator import attrgetter
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Term = float | Literal["-1", "u", "u²"]
Column = tuple[int, Term]
"""A term of the lower part of a law (0), of the upper one (1), or of both (2)."""

TESTED_BRANCH = 3
"""Resolutions on the branch of a floor from which on they say something of its shape."""

POWERS = tuple(round(0.3 + 0.1 * step, 1) for step in range(18))
"""Powers of the pixels, 0.3 to 2, between neighbours of which the power of a law lies."""

FOURTH_COEFFICIENT = 0.1
"""Complications that a fourth coefficient counts for."""


class Sizes(NamedTuple):
    """Sizes of images.

    Attributes:
        side_px: square roots of the pixels: of squares the sides.
        border_px: halves of the perimeters: of squares the sides, too.
    """

    side_px: Floats
    border_px: Floats


Size = npt.ArrayLike | Sizes
"""Sizes of images; numbers are the sides of squares in px."""


def sizes_of(size: Size) -> Sizes:
    """Sizes as arrays."""
    both = size if isinstance(size, Sizes) else (size, size)
    return Sizes(*(np.array(one, np.float64, ndmin=1) for one in both))


@dataclass(frozen=True, eq=False)
class Law:
    """A law of growth.

    Attributes:
        name: in tables and figures.
        formula: in n (pixels) or s (half the perimeter in px: of a square its side).
        symbols: of its coefficients in the formula.
        columns: what these belong to.
        complications: what it has beyond a line in the pixels, a term that bends it and a floor
            counting one each. A law with more of them has to fit better to be preferred, or to be
            in the band (`analysis.fits.estimation`).
        degree: highest power of the pixels in it, which bounds a branch that was not seen.
        root: 2 where the sum is that of the square of the quantity, else 1.
    """

    name: str
    formula: str
    symbols: str
    columns: tuple[Column, ...]
    complications: int
    degree: int
    root: int = 1

    @property
    def lower(self) -> int:
        """Coefficients of the part that is larger at the smallest resolutions; 0: there is none."""
        return sum(part == 0 for part, _ in self.columns)


_FLOOR, _LINE, _BEND = ((0, 0),), ((1, 0), (1, 1)), ((1, 0), (1, 1), (1, 2))

CONSTANT = Law("constant", "a", "a", ((1, 0),), 0, 0)
LINEAR = Law("linear in pixels", "a + b·n", "ab", _LINE, 0, 1)
QUADRATIC = Law("quadratic in pixels", "a + b·n + c·n²", "abc", _BEND, 1, 2)
BORDER = Law(
    "linear in pixels and border", "a + b·s + c·n", "abc", ((1, 0), (1, "u"), (1, "u²")), 1, 1
)
FLOOR_LINEAR = Law("floor, then linear", "max(f, a + b·n)", "fab", (*_FLOOR, *_LINE), 1, 1)
FLOOR_QUADRATIC = Law(
    "floor, then quadratic", "max(f, a + b·n + c·n²)", "fabc", (*_FLOOR, *_BEND), 2, 2
)
# the sum of a floor and of what is quadratic, as of a backbone and a search
FLOOR_BESIDE_QUADRATIC = Law(
    "floor beside quadratic", "max(f, a + b·n) + d·n + c·n²", "fabdc",
    (*_FLOOR, *_LINE, (2, 1), (2, 2)), 2, 2,
)  # fmt: skip
ROUNDED_FLOOR = Law("rounded floor, then linear", "√(a + b·n + c·n²)", "abc", _BEND, 1, 1, root=2)
# data that outgrow a cache, or a switch from computing to moving them
TWO_SLOPES = Law(
    "linear, then steeper", "max(a + b·n, c + d·n)", "abcd", ((0, 0), (0, 1), *_LINE), 2, 1
)
POWER = Law("power of pixels", "a + b·n^p", "abp", tuple((1, p) for p in (0, *POWERS)), 2, 2)

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
    "pixels": PIXELS, "pixels_squared": PIXELS_SQUARED, "fixed": FIXED, "unknown": NOTHING_KNOWN
}  # fmt: skip
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
        columns: those with a coefficient.
        below: how many of the smallest measured resolutions lie on the lower part.
        above: how many do not.
    """

    law: Law
    columns: tuple[Column, ...]
    below: int
    above: int

    @property
    def branch_unseen(self) -> bool:
        """Whether all that was measured lies on a floor."""
        return not self.above

    @property
    def branch_untested(self) -> bool:
        """Whether too little lies beyond the floor to tell a straight branch from a bent one."""
        return self.law.lower == 1 and 0 < self.above < TESTED_BRANCH

    @property
    def price(self) -> float:
        """The complications for which it counts.

        A floor over everything has one coefficient and no branch to be complicated. With fewer
        than three resolutions on the branch of a floor nothing tells a straight one from a bent
        one: both count alike; on the steeper of two lines they count one more. A power of at most
        1.5 without a constant counts one. A fourth coefficient costs a little more.
        """
        law = self.law
        if self.branch_unseen:
            return 0
        if self.branch_untested:
            return min(law.complications, 1)
        if law is POWER:
            return 1 if (1, 0) not in self.columns and self.columns[-1] <= (1, 1.5) else 2
        untested = law is TWO_SLOPES and self.above < TESTED_BRANCH
        return law.complications + FOURTH_COEFFICIENT * (len(self.columns) > 3) + untested


@dataclass(frozen=True, eq=False)
class Cases:
    """Cases of laws at the same measured sizes; all arrays begin with them.

    Behind the coefficients of a case that has fewer than another are zeros.
    """

    every: tuple[Case, ...]
    measured: Sizes

    def of(self, name: str) -> npt.NDArray[Any]:
        """An attribute of each, such as `law.root`: cases × 1."""
        return np.array([[attrgetter(name)(case)] for case in self.every])

    def parts(self, size: Size) -> Floats:
        """Columns of the lower and of the upper part: cases × 2 × sizes × coefficients."""
        sizes, most = sizes_of(size), max(len(case.columns) for case in self.every)
        values = cache(lambda term: _values(term, sizes, self.measured.side_px))
        columns = np.zeros((len(self.every), 2, len(sizes.side_px), most))
        for case, of_case in zip(self.every, columns, strict=True):
            for index, (part, term) in enumerate(case.columns):
                of_case[(slice(1), slice(1, 2), slice(2))[part], :, index] = values(term)
        return columns

    @cached_property
    def design(self) -> Floats:
        """Columns of the linear models at the measured sizes: cases × sizes × coefficients."""
        lower, upper = np.moveaxis(self.parts(self.measured), 1, 0)
        on_lower = np.arange(lower.shape[1]) < self.of("below")
        return np.asarray(np.where(on_lower[..., np.newaxis], lower, upper), np.float64)

    def curves(self, coefficients: Floats, size: Size) -> Floats:
        """The laws: cases × series × sizes, of cases × series × coefficients."""
        sums = np.einsum("cdk,cpsk->cpds", coefficients, self.parts(size))
        power = 1 / self.of("law.root")[..., np.newaxis]
        return np.asarray(np.max(np.maximum(sums, 0), axis=1) ** power, np.float64)


def _values(term: Term, sizes: Sizes, measured_px: Floats) -> Floats:
    side, border = sizes
    if isinstance(term, float | int):
        return np.asarray(((side / measured_px[-1]) ** 2) ** term)
    u = (border - measured_px[0] / 4) / measured_px[-1]
    # (w - k)·(h - k) is the square of what is left of half the perimeter, and n less its square
    squared = u**2 + (side**2 - border**2) / measured_px[-1] ** 2
    return np.asarray({"-1": -np.ones_like(u), "u": u, "u²": squared}[term], np.float64)


def cases_of(laws: Sequence[Law], measured: Sizes) -> Cases:
    """The cases that some measured sizes, in ascending order, determine.

    A law has none with more coefficients than there are resolutions. A part needs as many
    resolutions as it has coefficients, the steeper of two lines not less than two. A branch that is
    a constant would be a step, and is no case; a floor over everything has a branch that was not
    seen.
    """
    return _cases_of(tuple(laws), *(tuple(one.tolist()) for one in measured))


@lru_cache(maxsize=256)
def _cases_of(laws: Sequence[Law], *measured: tuple[float, ...]) -> Cases:
    count = len(measured[0])
    able = [law for law in laws if len(law.symbols) <= count]
    possible = tuple(case for law in able for case in _possible(law, count))
    cases = Cases(possible, Sizes(*map(np.array, measured)))
    # whether the terms are independent at the resolutions; weights do not change that
    is_case = np.linalg.matrix_rank(cases.design) == [len(case.columns) for case in possible]
    return Cases(tuple(compress(possible, is_case)), cases.measured)


def _possible(law: Law, count: int) -> Iterator[Case]:
    least, most = law.lower, count - 2 * (law is TWO_SLOPES)
    for below in range(least, most + 1) if least else (0,):
        for columns in _choices(law):
            lower, *others = ({term for of, term in columns if of == part} for part in range(3))
            is_step = below and (not lower or others[0] <= {0, "-1"})
            if not any(others) if below == count else any(others) and not is_step:
                yield Case(law, columns, below, count - below)


def _choices(law: Law) -> Iterator[tuple[Column, ...]]:
    """Which of the columns have a coefficient; of powers two neighbours or one."""
    if law is POWER:
        for powers in (*pairwise(POWERS), *((power,) for power in POWERS)):
            own = tuple((1, power) for power in powers)
            yield from (own, ((1, 0), *own))
        return
    # a constant of any sign is one that is not negative, or one that is not positive
    columns = (*law.columns, *([(1, "-1")] if law is TWO_SLOPES else []))
    for number in range(1, len(columns) + 1):
        yield from combinations(columns, number)
