"""`comparison.csv`: the times of B beside those of A, with verdicts.

A row for each submodule, resolution and clock measured on both. The columns are defined in
docs/comparison.md.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import pandas as pd

from adscale.tables import Columns, flag, integer, join, names_of, pick, real, schema_of, text

from ..columns import CLOCK, PART, SIZE
from ..profiles.times import MAIN_CLOCK
from ..statistics.ratio import Ratio, Statistic
from ..tables import make_table
from .paired import Record, column_of, pair_ratios
from .sides import LABELS, PAIRED, Side, nothing_matches
from .verdict import MARGIN, Evidence, Verdict, judge

_LABELS = ("device", "device_type", "hardware", "method", "variant", "status")


def _of_side(side: str) -> Columns:
    """Columns that there are of either side."""
    name = side.upper()
    return join(
        text(*(f"{side}_{label}" for label in _LABELS), means=f"of the run of {name}"),
        text(f"{side}_run_verdict", means="`verdict` in `runtime.csv`: `steady`, `wandering`, "
             "`drifting`, `throttled`, `shared`, `altered`"),
        integer(f"{side}_processes", f"{side}_images", means=f"size of the sample of {name}"),
        real(f"{side}_mean_ms", f"{side}_median_ms", means=f"mean and median of {name} as in "
             "`runtime.csv`: per image, by the clock `latency` of a whole batch"),
    )  # fmt: skip


_OF_BOTH = (*_LABELS, "processes", "images", "mean_ms", "median_ms")

COMPARISON = join(
    pick(PART, *names_of(SIZE), "submodule", "role"),
    CLOCK,
    flag("is_main_clock", means="whether it is the one that counts as the runtime on A: `host` on "
         "a CPU, `busy` on a GPU. Those and `latency` are printed and drawn"),
    _of_side("a"),
    _of_side("b"),
    text("statistic", means="what is compared: `median`, or `mean` where a side's median has no "
         "interval"),
    real("ratio", "ratio_ci95_low", "ratio_ci95_high", means="B / A, and the ends of its 95 % "
         "interval; null where a side has no time, or no interval"),
    real("degrees_of_freedom", means="of the interval; null also where no time scatters"),
    real("p_value", "p_adjusted", means="two-sided, of the ratio being 1: by itself, and among "
         "all rows of the table"),
    real("margin", means="of equivalence, as a share"),
    text("verdict", means="`same`, `faster`, `slower` or `unclear`, see above"),
    flag("beyond_margin", means="whether the whole interval lies beyond the margin; null unless "
         "the verdict is `faster` or `slower`"),
    text("reason", means="of the verdict"),
)  # fmt: skip
"""Columns of `comparison.csv`."""

_OF_SIZE = [name for name in names_of(SIZE) if name != "resolution"]

ROLES = ("submodule", "image", "end_to_end")
"""The roles that are compared. Work around an image is in `end_to_end` and depends on its files."""

_KEY = [*(f"{PAIRED}{label}" for label in LABELS), "resolution", "submodule", "clock"]


def comparison_table(
    a: Side, b: Side, margin: float = MARGIN, clocks: Collection[str] | None = None
) -> pd.DataFrame:
    """Compares what both sides have measured.

    Args:
        a: of `analysis.comparison.sides.pair_sides`.
        b: the same.
        margin: of equivalence, as a share.
        clocks: to compare; None: all.

    Returns:
        Rows of `COMPARISON`, in the order of A. Between a CPU and a GPU only the clock
        `latency` is compared: no other means the same on both.

    Raises:
        ArgumentError: there is nothing to compare.
    """
    pairs = _side_by_side(a.runtime, b.runtime)
    if clocks is not None:
        pairs = pairs[pairs["clock"].isin(clocks)]
    if pairs.empty:
        raise nothing_matches(a, b)
    records = pairs.to_dict("records")
    judged = judge_pairs(records, ("_a", "_b"), margin)
    rows = [_row(*both, margin) for both in zip(records, judged, strict=True)]
    return make_table(rows, schema_of(COMPARISON))


def _side_by_side(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    shown = [table[table["role"].isin(ROLES)] for table in (a, b)]
    pairs = shown[0].merge(shown[1], on=_KEY, suffixes=("_a", "_b"))
    same_type = pairs["device_type_a"] == pairs["device_type_b"]
    return pairs[same_type | (pairs["clock"] == "latency")]


class Judged(NamedTuple):
    """Two rows of `runtime.csv` side by side, and the verdict.

    Attributes:
        statistic: what is compared of them.
        ratio: of the second over the first; None where one of them has no time.
        verdict: on it.
    """

    statistic: Statistic
    ratio: Ratio | None
    verdict: Verdict


def judge_pairs(
    records: Sequence[Record],
    suffixes: tuple[str, str],
    margin: float = MARGIN,
    names: tuple[str, str] = ("A", "B"),
) -> list[Judged]:
    """Compare and judge all pairs of a call together.

    Args:
        records: the pairs.
        suffixes: behind the columns of the row that is divided by, and of the other.
        margin: see `judge`.
        names: of the two, in words.
    """
    paired = pair_ratios(records, suffixes)
    evidence = [
        _evidence(record, one.ratio, suffixes)._replace(names=names)
        for record, one in zip(records, paired, strict=True)
    ]
    verdicts = judge(evidence, margin)
    return [Judged(*one, verdict) for one, verdict in zip(paired, verdicts, strict=True)]


def _row(pair: Record, judged: Judged, margin: float) -> dict[str, Any]:
    clock, ratio, verdict = pair["clock"], judged.ratio, judged.verdict
    return {
        **{name: pair[name] for name in ("resolution", "submodule", "clock")},
        **{name: pair[f"{name}_a"] for name in (*_OF_SIZE, "role")},
        "is_main_clock": clock == MAIN_CLOCK[pair["device_type_a"]],
        **{f"{side}_{name}": pair[f"{name}_{side}"] for side in "ab" for name in _OF_BOTH},
        **{f"{side}_run_verdict": pair[f"verdict_{side}"] for side in "ab"},
        "statistic": judged.statistic,
        "ratio": None if ratio is None else ratio.value,
        "ratio_ci95_low": None if ratio is None else ratio.low,
        "ratio_ci95_high": None if ratio is None else ratio.high,
        "degrees_of_freedom": None if ratio is None else ratio.degrees,
        "p_value": None if ratio is None else ratio.p_value,
        "p_adjusted": verdict.p_adjusted,
        "margin": margin,
        "verdict": verdict.name,
        "beyond_margin": verdict.beyond_margin,
        "reason": verdict.reason,
    }


def _evidence(record: Record, ratio: Ratio | None, suffixes: tuple[str, str]) -> Evidence:
    def both(name: str, absent: Any) -> tuple[Any, Any]:
        values = (column_of(record, name, suffix) for suffix in suffixes)
        first, second = (absent if pd.isna(value) else value for value in values)
        return first, second

    return Evidence(
        ratio,
        statuses=both("status", "not measured"),
        run_verdicts=both("verdict", None),
        images=both("images", 0),
        processes=both("processes", 0),
    )
