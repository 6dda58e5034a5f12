"""Laws that a cost may follow over the resolution: their terms, their floors, their cases.

A law is a sum of terms in the pixels n (or the side s) whose coefficients cannot be negative, with
or without a floor: max(f, sum), the launch-bound start. Given coefficients that cannot be negative,
a least squares fit sets some of them to zero; given a floor, some of the measured resolutions lie
on it and the rest on the branch. A `Form` is one such case: it is linear in its coefficients, so
that it has a closed solution, and the forms of a law together are the law.

Terms are scaled by the measured range, so that all coefficients are in units of y:

    term   value
    "1"    1
    "n"    s² / s_max²
    "m"    the same again, where a law has it both beyond a floor and beside it
    "n²"   (s² / s_max²)²
    "u"    (s - s_min/4) / s_max
    "u²"   ((s - s_min/4) / s_max)²

The parabola in the side is written in u, not in s: its value, slope and curvature at a quarter of
the smallest measured side cannot be negative, its coefficients in s may. Layers without padding are
of that kind: EfficientAD's maps have (s/4 - 8)² values, which is 0 at 32 px. To allow more, a slope
of 0 at the smallest measured side, would let the parabola pass for a floor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Term = Literal["1", "n", "m", "n²", "u", "u²"]

TESTED_BRANCH = 3
"""Resolutions on the branch of a floor from which on they say something of its shape."""


class MeasuredRange(NamedTuple):
    """Smallest and largest measured side in px: the scale of the terms."""

    smallest_px: float
    largest_px: float

    @property
    def origin_px(self) -> float:
        """Where the parabola in the side has its smallest admissible slope."""
        return self.smallest_px / 4


@dataclass(frozen=True)
class Law:
    """A law of growth.

    Attributes:
        name: in tables and figures.
        formula: in n (pixels) or s (side in px).
        terms: of the sum, or of the branch above a floor.
        floor: whether there is one.
        complications: what it has beyond a line in the pixels, a term that bends it and a floor
            counting one each. A law with more of them has to fit better to be preferred, or to be
            in the band (`analysis.fits.selection`).
        degree: highest power of the pixels in it, which bounds a branch that was not seen.
        beside: terms that are added to floor and branch alike.
        root: 2 where the sum is that of the square of the quantity, else 1.
    """

    name: str
    formula: str
    terms: tuple[Term, ...]
    floor: bool
    complications: int
    degree: int
    beside: tuple[Term, ...] = ()
    root: int = 1

    @property
    def coefficients(self) -> int:
        """Coefficients of the law, zero or not."""
        return len(self.terms) + self.floor


CONSTANT = Law("constant", "a", ("1",), floor=False, complications=0, degree=0)
LINEAR = Law("linear in pixels", "a + b·n", ("1", "n"), floor=False, complications=0, degree=1)
QUADRATIC = Law(
    "quadratic in pixels",
    "a + b·n + c·n²",
    ("1", "n", "n²"),
    floor=False,
    complications=1,
    degree=2,
)
SIDE = Law(
    "quadratic in side", "a + b·s + c·s²", ("1", "u", "u²"), floor=False, complications=1, degree=1
)
FLOOR_LINEAR = Law(
    "floor, then linear", "max(f, a + b·n)", ("1", "n"), floor=True, complications=1, degree=1
)
FLOOR_QUADRATIC = Law(
    "floor, then quadratic",
    "max(f, a + b·n + c·n²)",
    ("1", "n", "n²"),
    floor=True,
    complications=2,
    degree=2,
)
# the sum of a floor and of what is quadratic, as of a backbone and a search
FLOOR_BESIDE_QUADRATIC = Law(
    "floor beside quadratic",
    "max(f, a + b·n) + d·n + c·n²",
    ("1", "n", "m", "n²"),
    floor=True,
    complications=2,
    degree=2,
    beside=("m", "n²"),
)
ROUNDED_FLOOR = Law(
    "rounded floor, then linear",
    "√(a + b·n + c·n²)",
    ("1", "n", "n²"),
    floor=False,
    complications=1,
    degree=1,
    root=2,
)

RIVALS = (LINEAR, QUADRATIC, SIDE, FLOOR_LINEAR, FLOOR_QUADRATIC, ROUNDED_FLOOR)
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
    (LINEAR, SIDE, FLOOR_LINEAR, ROUNDED_FLOOR),
    "its work is declared to be the same for each pixel",
)
PIXELS_SQUARED = Prior(
    (QUADRATIC, FLOOR_QUADRATIC),
    "it is declared to compare each position with every other",
)
FIXED = Prior((CONSTANT,), "its work is declared not to depend on the size of the image")
COUNTED = Prior((LINEAR, QUADRATIC, SIDE), "counted bytes have no floor of launches")
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


@dataclass(frozen=True)
class Form:
    """One case of a law: which coefficients are not zero, and which resolutions are on the floor.

    Attributes:
        law: whose case it is.
        terms: those with a coefficient.
        on_floor: how many of the smallest measured resolutions the floor covers, 0 without a floor.
        points: measured resolutions in all.
    """

    law: Law
    terms: tuple[Term, ...]
    on_floor: int
    points: int

    @property
    def coefficients(self) -> int:
        """How many it has; that of the floor comes first."""
        return len(self.terms) + (self.on_floor > 0)

    @property
    def on_branch(self) -> int:
        """Resolutions beyond the floor."""
        return self.points - self.on_floor

    @property
    def branch(self) -> tuple[Term, ...]:
        """Terms that hold beyond the floor only."""
        return tuple(term for term in self.terms if term not in self.law.beside)

    @property
    def branch_unseen(self) -> bool:
        """Whether all that was measured lies on a floor."""
        return self.on_floor > 0 and self.on_branch == 0

    @property
    def branch_untested(self) -> bool:
        """Whether too little lies beyond the floor to tell a straight branch from a bent one."""
        return self.on_floor > 0 and self.on_branch < TESTED_BRANCH

    def design(self, side_px: Floats, measured: MeasuredRange) -> Floats:
        """Columns of the linear model at the measured sides: sides × coefficients."""
        terms = _terms(self.terms, side_px, measured)
        if not self.on_floor:
            return terms
        on_floor = np.arange(len(side_px)) < self.on_floor
        masked = on_floor[:, np.newaxis] & self._of_branch
        return np.column_stack([on_floor, terms * ~masked]).astype(np.float64)

    def curve(self, coefficients: Floats, side_px: Floats, measured: MeasuredRange) -> Floats:
        """The law at any side: series × sides, for coefficients of series × coefficients."""
        terms, of_branch = _terms(self.terms, side_px, measured), self._of_branch
        found = coefficients[:, bool(self.on_floor) :]
        if not self.on_floor:
            # a case with a negative coefficient may have no root
            whole = found @ terms.T
            return np.maximum(whole, 0) ** (1 / self.law.root) if self.law.root > 1 else whole
        branch = found[:, of_branch] @ terms[:, of_branch].T
        beside = found[:, ~of_branch] @ terms[:, ~of_branch].T
        return np.maximum(coefficients[:, :1], branch) + beside

    def gradient(self, on_branch: bool, side_px: Floats, measured: MeasuredRange) -> Floats:
        """Derivatives of the floor or of the branch by the coefficients: sides × coefficients."""
        terms = _terms(self.terms, side_px, measured)
        if not self.on_floor:
            return terms
        floor = np.full((len(side_px), 1), not on_branch, np.float64)
        return np.column_stack([floor, terms * (on_branch | ~self._of_branch)])

    @property
    def _of_branch(self) -> npt.NDArray[np.bool_]:
        """Which of the terms hold beyond the floor only."""
        return np.array([term in self.branch for term in self.terms], np.bool_)


def forms(law: Law, points: int) -> Iterator[Form]:
    """The cases of a law that so many resolutions determine.

    A branch needs as many resolutions as it has coefficients. A branch that is a constant would be
    a step, and is no case; a floor over everything has a branch that was not seen.
    """
    for on_floor in range(1, points + 1) if law.floor else (0,):
        for count in range(len(law.terms) + 1):
            for terms in combinations(law.terms, count):
                form = Form(law, terms, on_floor, points)
                if _is_case(form):
                    yield form


def _is_case(form: Form) -> bool:
    if form.branch_unseen:
        return not form.terms
    if not form.terms or (form.on_floor and form.branch in ((), ("1",))):
        return False
    return len(form.branch) <= form.on_branch


def _terms(terms: tuple[Term, ...], side_px: Floats, measured: MeasuredRange) -> Floats:
    pixels = (side_px / measured.largest_px) ** 2
    beyond = (side_px - measured.origin_px) / measured.largest_px
    values = {
        "1": np.ones_like(pixels),
        "n": pixels,
        "n²": pixels**2,
        "m": pixels,
        "u": beyond,
        "u²": beyond**2,
    }
    return (
        np.array([values[term] for term in terms], np.float64).reshape(len(terms), len(side_px)).T
    )
