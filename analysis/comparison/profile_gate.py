"""A gate: rows of a diff that moved further than is allowed."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from adscale.errors import ArgumentError
from adscale.mean_error import Floats, t_quantile

from ..nsys.records import Bools
from ..profiles.order import column_named
from ..statistics.ratio import two_sided_p_value, welch_satterthwaite
from .profile_diff import PER, Diff, Per, changes, check_known, per_process
from .profile_sides import Key
from .verdict import ERROR_RATE, adjusted_p_values

Outcome = Literal["fails", "passes", "unclear"]

_SCALES: dict[str, dict[str, float]] = {
    "ms": {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3},
    "bytes": {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "kB": 1e3, "MB": 1e6, "GB": 1e9},
    "": {"": 1.0},
}
"""Factors of units of a change, by the unit of the figure."""

_CONDITION = re.compile(
    r"\s*(?P<figure>[a-z_]+)(?:\s+per\s+(?P<per>[a-z]+))?\s*(?P<sign>[<>]=?)\s*"
    r"(?P<number>[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)\s*(?P<unit>[^\s\d]*)\s*"
)
_REMEDY = "write it as in 'busy > +5 %', 'host per call > 0.2 ms' or 'busy > 5 % and busy > 1 ms'"


class Limit(NamedTuple):
    """A figure of a row must not move further than this.

    Attributes:
        text: as the user wrote it.
        figure: a column.
        per: by what it is divided.
        is_above: whether it is broken above the limit, else below it.
        is_open: whether the limit itself does not break it.
        share: the limit as a share of A; None where it is a difference.
        difference: the limit in the unit of the figure; None where it is a share.
    """

    text: str
    figure: str
    per: Per
    is_above: bool
    is_open: bool
    share: float | None
    difference: float | None


def parse_condition(text: str, units: dict[str, str], per: Per) -> tuple[Limit, ...]:
    """The limits of a condition, which is broken where all of them are.

    Args:
        text: such as `busy > +5 % and busy > 0.1 ms`.
        units: of the figures that there are.
        per: by what figures are divided where the text does not say.

    Raises:
        ArgumentError: it is no condition, or names no figure, or another unit than the figure has.
    """
    return tuple(_limit(part, units, per) for part in re.split(r"\s+and\s+", text.strip()))


def _limit(text: str, units: dict[str, str], per: Per) -> Limit:
    where = f"--fail-if {text!r}"
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise ArgumentError(where, "is no condition", _REMEDY)
    divided = found["per"] or per
    if divided not in PER:
        raise ArgumentError(
            where, f"{divided!r} is nothing to divide by", "write process, call or image"
        )
    figure = column_named(found["figure"], units, where)
    number, unit = float(found["number"]), found["unit"]
    if not math.isfinite(number):
        raise ArgumentError(where, "the limit is not finite", _REMEDY)
    scales = _SCALES[units[figure]]
    if unit != "%" and unit not in scales:
        named = ", ".join(["%", *(name or "none" for name in scales)])
        what = f"the unit {unit!r} of {figure} is unknown" if unit else f"{figure} has a unit"
        raise ArgumentError(where, what, f"choose from: {named}")
    return Limit(
        text=text.strip(),
        figure=figure,
        per=divided,
        is_above=found["sign"].startswith(">"),
        is_open=not found["sign"].endswith("="),
        share=number / 100 if unit == "%" else None,
        difference=None if unit == "%" else number * scales[unit],
    )


class Judged(NamedTuple):
    """A row that does not pass a condition.

    Attributes:
        condition: as the user wrote it.
        key: of the row.
        outcome: `fails` or `unclear`.
        a: the figure of the first limit in A, as it is divided; None where it is unknown.
        b: in B.
        change: B − A.
        change_share: of A; None where A is 0 or has none.
        reason: why it is unclear; empty where it fails.
    """

    condition: str
    key: Key
    outcome: Outcome
    a: float | None
    b: float | None
    change: float | None
    change_share: float | None
    reason: str


@dataclass(frozen=True)
class Gate:
    """What conditions found.

    Attributes:
        conditions: as the user wrote them.
        found: rows that do not pass, those that moved furthest first.
        rows: number of rows that were judged.
        processes: profiles of A and of B.
        is_confident: whether intervals were judged, else the changes as measured.
        unclear_passes: whether rows that are unclear pass.
    """

    conditions: tuple[str, ...]
    found: tuple[Judged, ...]
    rows: int
    processes: tuple[int, int]
    is_confident: bool
    unclear_passes: bool

    @property
    def passes(self) -> bool:
        """Whether nothing fails, and what is unclear may pass."""
        return not any(one.outcome == "fails" or not self.unclear_passes for one in self.found)


def judge_gate(
    diff: Diff, conditions: Sequence[str], units: dict[str, str], *,
    is_confident: bool, unclear_passes: bool,
) -> Gate:  # fmt: skip
    """Judge all rows of a diff, also those that did not change.

    Args:
        diff: of two sides.
        conditions: of the user.
        units: of the figures.
        is_confident: judge intervals over processes instead of the change as measured.
        unclear_passes: let rows pass of which that is unclear.

    Raises:
        ArgumentError: a condition cannot be used, a side does not know its figure, there is
            nothing to judge, or too few profiles for intervals.
    """
    parsed = [parse_condition(text, units, diff.per) for text in conditions]
    for limit in (one for limits in parsed for one in limits):
        check_known(diff.a, diff.b, limit.figure, "--fail-if")
        for side in (diff.a, diff.b):
            if limit.per == "image" and np.isnan(side.images).all():
                what = f"{side.name} ({side.label}) has no range called image"
                raise ArgumentError(f"--fail-if {limit.text!r}", what, "name it with --image")
    if not (diff.a.has.any(axis=0) & diff.b.has.any(axis=0)).any():
        what = f"A ({diff.a.label}) and B ({diff.b.label}) have no range in common"
        raise ArgumentError("--fail-if", what, "compare two profiles of one program")
    if is_confident and not diff.repeated:
        what = "intervals need several profiles on each side"
        remedy = "give --a A1 A2 … --b B1 B2 …, or leave --confident out"
        raise ArgumentError("--confident", what, remedy)
    found = [
        one
        for text, limits in zip(conditions, parsed, strict=True)
        for one in _broken(diff, text, limits, is_confident)
    ]
    outside = [_states(one, diff).outside for limits in parsed for one in limits]
    judged = int((~np.logical_and.reduce(outside)).sum())
    found.sort(key=lambda one: (one.outcome != "fails", -abs(one.change or 0.0)))
    sides = (len(diff.a.profiles), len(diff.b.profiles))
    return Gate(tuple(conditions), tuple(found), judged, sides, is_confident, unclear_passes)


def _broken(diff: Diff, text: str, limits: Sequence[Limit], is_confident: bool) -> list[Judged]:
    outcomes = [
        _by_intervals(diff, limit) if is_confident else _as_measured(diff, limit)
        for limit in limits
    ]
    first = changes(diff.a, diff.b, limits[0].figure, limits[0].per)
    found = []
    for at, key in enumerate(diff.keys):
        own = [of_limit[at] for of_limit in outcomes]
        if any(outcome == "passes" for outcome, _ in own):
            continue
        unclear = [reason for outcome, reason in own if outcome == "unclear"]
        a, b, change, share = (
            None if np.isnan(column[at]) else float(column[at])
            for column in (first.a, first.b, first.change, first.share)
        )
        outcome: Outcome = "unclear" if unclear else "fails"
        found.append(Judged(text, key, outcome, a, b, change, share, ", ".join(unclear)))
    return found


def _beyond(limit: Limit, excess: Floats) -> Floats:
    """How far numbers lie beyond a limit, whichever way it is broken."""
    return excess if limit.is_above else -excess


def _excess(limit: Limit, a: Floats, b: Floats) -> Floats:
    """B minus the most that it may be: linear in both, so that A may be 0."""
    if limit.share is not None:
        excess = b - (1 + limit.share) * a
    else:
        excess = b - a - float(limit.difference or 0.0)
    return np.where(np.abs(excess) <= _ROUNDING * (np.abs(a) + np.abs(b)), 0.0, excess)


_ROUNDING = 1e-12
"""Share below which a number is what arithmetic on real numbers has left of 0."""


def _is_broken(limit: Limit, beyond: float) -> bool:
    return beyond > 0 or (beyond == 0 and not limit.is_open)


class _States(NamedTuple):
    """Which rows cannot be judged by a limit, an element per row.

    Attributes:
        outside: it is in no image, and a figure per image was asked about: it passes.
        unknown: a profile does not know the figure.
        empty: a share was asked about, and neither side has anything of the figure: it passes.
    """

    outside: Bools
    unknown: Bools
    empty: Bools


def _states(limit: Limit, diff: Diff) -> _States:
    has = np.vstack([diff.a.has, diff.b.has])
    values = np.vstack([side.figures[limit.figure] for side in (diff.a, diff.b)])
    images = np.vstack([diff.a.images, diff.b.images])
    outside: Bools = np.any(has & np.isnan(images), axis=0) & (limit.per == "image")
    unknown: Bools = np.any(has & np.isnan(values), axis=0) & ~outside
    nothing: Bools = ~np.any(has & (values != 0), axis=0)
    return _States(outside, unknown, nothing & (limit.share is not None) & ~outside)


def _as_measured(diff: Diff, limit: Limit) -> list[tuple[Outcome, str]]:
    """Whether the change of each row, as it was measured, breaks a limit."""
    of, states = changes(diff.a, diff.b, limit.figure, limit.per), _states(limit, diff)
    a, b = np.where(of.in_a, of.a, 0.0), np.where(of.in_b, of.b, 0.0)
    beyond = _beyond(limit, _excess(limit, a, b))
    passes = states.outside | states.empty | ~((beyond > 0) | ((beyond == 0) & (not limit.is_open)))
    return [
        ("unclear", _unknown(limit)) if is_unknown else ("passes" if is_pass else "fails", "")
        for is_unknown, is_pass in zip(states.unknown.tolist(), passes.tolist(), strict=True)
    ]


def _unknown(limit: Limit) -> str:
    return f"a profile does not know its {limit.figure}"


def _by_intervals(diff: Diff, limit: Limit) -> list[tuple[Outcome, str]]:
    """Whether the interval of each row's excess lies beyond the limit, below it, or holds it.

    The excess is a sum of two independent means, so that its interval is Student's with Welch's
    degrees of freedom. A row fails if the p-value of no excess, adjusted among all rows, is small
    enough as well: among a hundred rows that are equal some intervals lie beyond by chance.
    """
    factors = (-(1.0 + (limit.share or 0.0)), 1.0)
    samples = [
        np.where(side.has, per_process(side, limit.figure, limit.per), 0.0)  # absent counts as 0
        for side in (diff.a, diff.b)
    ]
    states = _states(limit, diff)
    known = np.flatnonzero(~(states.outside | states.unknown | states.empty)).tolist()
    found: list[tuple[Outcome, str]] = [
        ("unclear", _unknown(limit)) if is_unknown else ("passes", "")
        for is_unknown in states.unknown.tolist()
    ]
    intervals = [_interval(limit, factors, [sample[:, at] for sample in samples]) for at in known]
    adjusted = adjusted_p_values([p_value for _, _, p_value in intervals])
    for at, (low, high, _), p_value in zip(known, intervals, adjusted, strict=True):
        if _is_broken(limit, low) and p_value <= ERROR_RATE:
            found[at] = ("fails", "")
        elif _is_broken(limit, high):
            found[at] = ("unclear", _words(limit, low, p_value))
    return found


def _interval(
    limit: Limit, factors: Sequence[float], samples: Sequence[Floats]
) -> tuple[float, float, float]:
    """The 95 % interval of how far a row is beyond a limit, and the p-value of being at it."""
    excess = -float(limit.difference or 0.0)
    errors: list[float] = []
    for factor, sample in zip(factors, samples, strict=True):
        excess += factor * float(sample.mean())
        errors.append(abs(factor) * float(sample.std(ddof=1)) / len(sample) ** 0.5)
    largest = sum(float(np.abs(sample).mean()) for sample in samples)
    excess = 0.0 if abs(excess) <= _ROUNDING * largest else excess
    excess = excess if limit.is_above else -excess
    error = math.hypot(*errors)
    if error == 0:
        return excess, excess, float(excess == 0 and limit.is_open)
    degrees = [float(len(sample) - 1) for sample in samples]
    reach = t_quantile(welch_satterthwaite(errors, degrees)) * error
    fewest = min(d for d, e in zip(degrees, errors, strict=True) if e)
    return excess - reach, excess + reach, two_sided_p_value(excess / error, fewest)


def _words(limit: Limit, low: float, p_value: float) -> str:
    if _is_broken(limit, low):
        return f"beyond the limit alone, but not among all rows (adjusted p {p_value:.2g})"
    return "its interval holds the limit"
