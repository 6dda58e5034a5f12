"""What changed from the profiles of A to those of B, range by range or kernel by kernel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np

from adscale.errors import ArgumentError
from adscale.mean_error import Floats
from adscale.tables import Columns, integer, join, names_of, real, schema_of, text

from ..nsys.records import Bools
from ..profiles.order import column_named
from ..statistics.ratio import Mean, Ratio, ratio_of_means
from .profile_sides import Key, Side
from .verdict import MARGIN, Evidence, Verdict, judge

Per = Literal["process", "call", "image"]
"""What a figure is divided by: nothing, the calls of the range, the calls of the image around."""

PER: tuple[Per, ...] = get_args(Per)

NOT_REPEATED = "one profile on a side: processes were not repeated"

DIFF: Columns = join(
    text("path", means="of the range"),
    text("kernel", means="its name; with `--kernels` only"),
    text("presence", means="`both`; `appeared`: in B only; `vanished`: in A only"),
    text("figure", means="what is compared: a column of [attribution](attribution.md), or `calls`"),
    real("a", "b", means="of the side: the figure of a profile, of several the mean of those that "
         "have the range", unit="by figure"),
    real("change", means="B − A; a range that is absent counts as 0", unit="by figure"),
    real("change_share", means="change / A", unit=""),
    real("a_per_call", "b_per_call", "change_per_call", means="the same divided by the calls of "
         "the range in each profile", unit="by figure"),
    real("change_per_call_share", means="of these", unit=""),
    real("a_per_image", "b_per_image", "change_per_image", means="the same divided by the calls "
         "of the innermost image around the range, or of the range where it is one",
         unit="by figure"),
    real("change_per_image_share", means="of these", unit=""),
    integer("a_processes", "b_processes", means="profiles of the side that have the range"),
    real("ratio", "ratio_ci95_low", "ratio_ci95_high", means="B / A per process, call or image, as "
         "`--per` says, and its 95 % interval over the profiles", unit=""),
    real("p_value", "p_adjusted", means="two-sided, of the ratio being 1: by itself, and among all "
         "rows of the figure", unit=""),
    text("verdict", means="`same`, `faster`, `slower` or `unclear`, for figures without a time "
         "`less` and `more`, as [compare](comparison.md) gives them"),
    text("reason", means="of the verdict"),
)  # fmt: skip
"""Columns of a diff, a row per range (or kernel) and figure that is not the same."""

SCHEMA = schema_of(DIFF)
_TIMELESS = {"faster": "less", "slower": "more"}


@dataclass(frozen=True)
class Changes:
    """One figure of all rows, divided by something; an element per row.

    Attributes:
        a: mean over the profiles of A that have the row; NaN where it is unknown, or none has it.
        b: likewise.
        in_a: whether a profile of A has the row.
        in_b: likewise.
        change: B − A, where an absent row counts as 0.
    """

    a: Floats
    b: Floats
    in_a: Any
    in_b: Any

    @property
    def change(self) -> Floats:
        """B − A, where a row that a side does not have counts as 0; NaN where it is unknown."""
        a, b = np.where(self.in_a, self.a, 0.0), np.where(self.in_b, self.b, 0.0)
        return b - a

    @property
    def share(self) -> Floats:
        """Change / A; NaN where A has none."""
        with np.errstate(divide="ignore", invalid="ignore"):
            share: Floats = np.where(self.in_a & (self.a != 0), self.change / self.a, np.nan)
        return share


def per_process(side: Side, figure: str, per: Per) -> Floats:
    """A figure of each profile (first axis) and row (second), divided by calls or images."""
    values = side.figures[figure]
    if per == "process":
        return values
    with np.errstate(divide="ignore", invalid="ignore"):
        return values / (side.calls if per == "call" else side.images)


def changes(a: Side, b: Side, figure: str, per: Per) -> Changes:
    """What changed of a figure."""
    return Changes(
        _mean(per_process(a, figure, per), a.has),
        _mean(per_process(b, figure, per), b.has),
        a.has.any(axis=0),
        b.has.any(axis=0),
    )


def _mean(values: Floats, has: Any) -> Floats:
    """Over the profiles that have a row; NaN where one of these does not know it."""
    count = has.sum(axis=0)
    total = np.where(has, values, 0.0).sum(axis=0)
    mean: Floats = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    return mean


@dataclass(frozen=True)
class Diff:
    """A diff of profiles.

    Attributes:
        keys: all rows, also those that did not change.
        a: the profiles of A on them.
        b: those of B.
        figures: what is compared, the one that is looked at first.
        per: by what the change, its order and the verdicts are divided.
        judged: verdict on each row and figure; without several profiles a side there is none.
    """

    keys: list[Key]
    a: Side
    b: Side
    figures: list[str]
    per: Per
    judged: dict[str, list[tuple[Ratio | None, Verdict]]]

    @property
    def repeated(self) -> bool:
        """Whether both sides have several profiles."""
        return min(len(self.a.profiles), len(self.b.profiles)) > 1

    @cached_property
    def presence(self) -> list[str]:
        """Of each row `both`, `appeared` or `vanished`."""
        in_a, in_b = (np.atleast_1d(side.has.any(axis=0)) for side in (self.a, self.b))
        return [
            "both" if of_a and of_b else "appeared" if of_b else "vanished"
            for of_a, of_b in zip(in_a, in_b, strict=True)
        ]

    @cached_property
    def changed(self) -> dict[str, Bools]:
        """Of each figure the rows in which it is not the same in all profiles."""
        return {name: _changed(self.a, self.b, name) for name in self.figures}

    @property
    def equal(self) -> int:
        """Number of ranges, or kernels of ranges, of which no figure changed."""
        return int((~np.logical_or.reduce(list(self.changed.values()))).sum())


def _changed(a: Side, b: Side, figure: str) -> Bools:
    """Whether a figure of each row is not the same in all profiles; absent is the same as 0."""
    has = np.vstack([a.has, b.has])
    values = np.vstack([a.figures[figure], b.figures[figure]])
    unknown = has & np.isnan(values)
    lowest = np.where(has & ~unknown, values, np.inf).min(axis=0)
    highest = np.where(has & ~unknown, values, -np.inf).max(axis=0)
    differs = (lowest != highest) | unknown.any(axis=0)
    differs &= (has & ~unknown).any(axis=0)  # what no profile knows is no change
    on_one_side = a.has.any(axis=0) != b.has.any(axis=0)
    found: Bools = np.where(on_one_side, (has & (values != 0)).any(axis=0), differs)
    return found


def make_diff(
    keys: list[Key], a: Side, b: Side, figure: str | None, per: Per, margin: float = MARGIN
) -> Diff:
    """Compare two sides.

    Args:
        keys: their rows.
        a: of `analysis.comparison.profile_sides.align`.
        b: likewise.
        figure: the only one to compare; None: all, and the GPU's busy time is looked at first,
            or the time of the host where a side does not know its kernels.
        per: by what changes, their order and the verdicts are divided.
        margin: of equivalence, see `judge`.

    Raises:
        ArgumentError: there is no such figure, a side does not know it, or no row is in an image.
    """
    figures = list(a.figures)
    if figure is not None:
        figures = [column_named(figure, figures, "--figure")]
        check_known(a, b, figures[0], "--figure")
    else:
        figures.sort(key=lambda name: name != _first(a, b))
    if per == "image" and (np.isnan(a.images).all() or np.isnan(b.images).all()):
        side = a if np.isnan(a.images).all() else b
        what = f"{side.name} ({side.label}) has no range called image"
        raise ArgumentError("--per image", what, "name the range of an image with --image")
    diff = Diff(keys, a, b, figures, per, {})
    if not diff.repeated:
        return diff
    return replace(diff, judged={name: _judged(a, b, name, per, margin) for name in figures})


def _first(a: Side, b: Side) -> str:
    """The figure that is looked at first."""
    for name in ("busy_ms", "kernel_sum_ms"):
        is_known = not any(name in one.unknown for one in (*a.profiles, *b.profiles))
        has_any = name in a.figures and np.nansum(a.figures[name]) + np.nansum(b.figures[name]) > 0
        if is_known and has_any:
            return name
    return "host_ms" if "host_ms" in a.figures else "kernel_sum_ms"


def check_known(a: Side, b: Side, figure: str, option: str) -> None:
    """Refuse a figure that a side does not know.

    Raises:
        ArgumentError: a profile has no GPU times.
    """
    for side in (a, b):
        for one in side.profiles:
            if figure in one.unknown:
                what = f"{side.name} ({one.path}) has no {figure}: {one.unknown[figure]}"
                remedy = "compare what both clocks know, such as host, or record both alike"
                raise ArgumentError(f"{option} {figure}", what, remedy)


def _judged(
    a: Side, b: Side, figure: str, per: Per, margin: float
) -> list[tuple[Ratio | None, Verdict]]:
    """Ratios and verdicts of all rows of a figure."""
    of_a, of_b = per_process(a, figure, per), per_process(b, figure, per)
    ratios, evidence = [], []
    for at in range(of_a.shape[1]):
        means = [_mean_of(of_a[:, at]), _mean_of(of_b[:, at])]
        ratio = ratio_of_means(*means) if all(means) else None  # type: ignore[arg-type]
        processes = (int(a.has[:, at].sum()), int(b.has[:, at].sum()))
        ratios.append(ratio)
        evidence.append(Evidence(ratio, ("ok", "ok"), ("steady", "steady"), _MANY, processes))
    verdicts = judge(evidence, margin)
    found = []
    for at, (ratio, verdict) in enumerate(zip(ratios, verdicts, strict=True)):
        lacking = _lacking(a, b, at)
        if lacking or ratio is None:
            reason = lacking or "a side has nothing above zero"
            verdict = Verdict("unclear", reason, None, verdict.p_adjusted)  # noqa: PLW2901
        found.append((ratio, verdict))
    return found


_MANY = (1_000, 1_000)
"""Processes are the sample: images, of which `judge` wants some, play no part."""


def _lacking(a: Side, b: Side, at: int) -> str:
    """Which side lacks a row in some of its profiles, in words; empty where none does."""
    parts = [
        f"{side.name} has it in {int(side.has[:, at].sum())} of {len(side.profiles)} profiles"
        for side in (a, b)
        if not side.has[:, at].all()
    ]
    return ", ".join(parts)


def _mean_of(values: Floats) -> Mean | None:
    """Mean over processes; None where one lacks it, or without one above zero."""
    if np.isnan(values).any() or values.mean() <= 0:
        return None
    if len(values) == 1:
        return Mean(float(values[0]), None, 0)
    error = float(values.std(ddof=1)) / len(values) ** 0.5
    return Mean(float(values.mean()), error, len(values) - 1)


def diff_rows(diff: Diff, *, every: bool = False) -> list[dict[str, Any]]:
    """The rows that changed, those that moved most by the first figure in front.

    Args:
        diff: of two sides.
        every: also those that did not change.

    Returns:
        Rows of `DIFF`; `unknown` has the reasons of what is None.
    """
    with_kernel = bool(diff.keys) and len(diff.keys[0]) > 1
    first = changes(diff.a, diff.b, diff.figures[0], diff.per)
    columns = {name: _columns(diff, name) for name in diff.figures}
    changed = {name: diff.changed[name].tolist() for name in diff.figures}
    counts = (diff.a.has.sum(axis=0).tolist(), diff.b.has.sum(axis=0).tolist())
    found = []
    for at in moved_first(first):
        path, *kernel = diff.keys[at]
        names: dict[str, Any] = {"path": path}
        if with_kernel:
            names["kernel"] = kernel[0]
        names["presence"] = diff.presence[at]
        processes = {"a_processes": counts[0][at], "b_processes": counts[1][at]}
        found += [
            _row(diff, name, at, {**names, "figure": name}, columns[name], processes)
            for name in diff.figures
            if every or changed[name][at]
        ]
    return found


def _columns(diff: Diff, figure: str) -> dict[str, tuple[Per, list[float]]]:
    """The numbers of a figure in all rows, by their names, and what they are divided by."""
    found: dict[str, tuple[Per, list[float]]] = {}
    for per in PER:
        suffix = "" if per == "process" else f"_per_{per}"
        of = changes(diff.a, diff.b, figure, per)
        for name, values in (
            (f"a{suffix}", of.a),
            (f"b{suffix}", of.b),
            (f"change{suffix}", of.change),
            (f"change{suffix}_share", of.share),
        ):
            found[name] = per, values.tolist()
    return found


def moved_first(of: Changes) -> list[int]:
    """The rows by how far they moved; those of which that is unknown come last."""
    distance = np.nan_to_num(np.abs(of.change), nan=-1.0)
    return [int(at) for at in np.argsort(-distance, kind="stable")]


def _row(
    diff: Diff,
    figure: str,
    at: int,
    names: dict[str, Any],
    columns: dict[str, tuple[Per, list[float]]],
    processes: dict[str, int],
) -> dict[str, Any]:
    row, unknown = dict(names), {}
    for name, (per, values) in columns.items():
        value = values[at]
        if value != value:  # NaN
            row[name], unknown[name] = None, _why_null(diff, figure, per, at, name)
        else:
            row[name] = value
    row |= processes
    row |= _verdict(diff, figure, at)
    why = row["reason"] or NOT_REPEATED
    unknown |= {name: why for name in _OF_VERDICT if row[name] is None}
    return {**row, "unknown": unknown}


_OF_VERDICT = names_of(DIFF)[-7:]


def _verdict(diff: Diff, figure: str, at: int) -> dict[str, Any]:
    if figure not in diff.judged:
        return dict.fromkeys(_OF_VERDICT)
    ratio, verdict = diff.judged[figure][at]
    name: str = verdict.name
    ratio = ratio or Ratio(float("nan"))
    return {
        "ratio": None if np.isnan(ratio.value) else ratio.value,
        "ratio_ci95_low": ratio.low,
        "ratio_ci95_high": ratio.high,
        "p_value": ratio.p_value,
        "p_adjusted": verdict.p_adjusted,
        "verdict": name if figure.endswith("_ms") else _TIMELESS.get(name, name),
        "reason": verdict.reason,
    }


def _why_null(diff: Diff, figure: str, per: Per, at: int, name: str) -> str:
    sides = {"a": (diff.a,), "b": (diff.b,)}.get(name[:2].strip("_"), (diff.a, diff.b))
    for side in sides:
        if not side.has[:, at].any():
            if name.startswith("change") and not name.endswith("_share"):
                continue  # an absent row counts as 0
            return f"{side.name} does not have it"
        for one, has in zip(side.profiles, side.has[:, at], strict=True):
            if has and figure in one.unknown:
                return one.unknown[figure]
    for side in sides:
        if per == "image" and np.isnan(side.images[side.has[:, at], at]).any():
            return "it is in no image, see --image"
        if np.isnan(side.figures[figure][side.has[:, at], at]).any():
            return f"{side.name} does not know it"
    return "A is 0"


def only_in(diff: Diff, presence: str) -> Iterator[Key]:
    """Rows that appeared, or vanished."""
    for key, own in zip(diff.keys, diff.presence, strict=True):
        if own == presence:
            yield key
