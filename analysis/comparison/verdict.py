"""`comparison.csv`: is B as fast as A, faster or slower, or can that not be told, and why?

A row for each submodule, resolution and clock measured on both. The columns are defined in
docs/comparison.md.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal, NamedTuple

import pandas as pd

from adscale.tables import Columns, flag, integer, join, names_of, pick, real, schema_of, text

from ..columns import CLOCK, PART, SIZE
from ..numbers import known
from ..profiles.times import MAIN_CLOCK
from ..statistics.ratio import Ratio, Statistic
from ..tables import make_table
from .paired import Record, column_of, pair_ratios
from .sides import LABELS, PAIRED, Side, nothing_matches

MARGIN = 0.02
"""Default margin of equivalence, as a share: what makes less of a difference counts as the same."""

ERROR_RATE = 0.05
"""Share of false ones among `faster` and `slower` (false discovery rate).

Where nothing differs it is the chance of one or more of them in the whole comparison.
"""

PROCESS_FACTOR = 1.1
"""Factor that processes may differ by where a side has only one; a convention.

Without it equal programs, whose processes differ by 1 % (standard deviation), were called faster or
slower in 38 of 100 comparisons, by 5 % in 86.
"""

DISTURBANCE_FACTOR = 2.0
"""Factor of a disturbance: of two programs that want all of a device, each gets half."""

FEW_IMAGES = 30
"""Below so many, intervals are not sure to hold what they promise (docs/statistics.md)."""

VerdictName = Literal["same", "faster", "slower", "unclear"]


class Evidence(NamedTuple):
    """The numbers by which a comparison is judged.

    Attributes:
        ratio: B over A; None where one of them has no time.
        statuses: of the runs of A and B.
        run_verdicts: of the runs of A and B; None where not known. Of profiles, which say nothing
            of it, `steady`.
        images: of A and B.
        processes: of A and B.
        names: of both, in words.
    """

    ratio: Ratio | None
    statuses: tuple[str, str]
    run_verdicts: tuple[str | None, str | None]
    images: tuple[int, int]
    processes: tuple[int, int]
    names: tuple[str, str] = ("A", "B")


class Verdict(NamedTuple):
    """The judgement of a ratio.

    Attributes:
        name: `same`, `faster`, `slower` or `unclear`.
        reason: why, in words.
        beyond_margin: for `faster` and `slower`, whether the whole interval is beyond the margin.
        p_adjusted: p-value of the ratio being 1, among all comparisons; None where it has none.
    """

    name: VerdictName
    reason: str
    beyond_margin: bool | None
    p_adjusted: float | None


def judge(comparisons: Sequence[Evidence], margin: float = MARGIN) -> list[Verdict]:
    """Judge all comparisons of one call together.

    Their p-values are adjusted by the procedure of Benjamini and Hochberg ("Controlling the false
    discovery rate", Journal of the Royal Statistical Society B 57, 1995). It asks less than one
    that bounds the chance of a single false finding, as Holm's does, where much differs; of three
    processes that one would ask for differences of 24 standard errors among 28 comparisons.

    Args:
        comparisons: all of them.
        margin: of equivalence, as a share: 0.02 is from 1/1.02 to 1.02.
    """
    p_values = {
        number: each.ratio.p_value
        for number, each in enumerate(comparisons)
        if each.ratio is not None and each.ratio.p_value is not None
    }
    adjusted = dict(zip(p_values, adjusted_p_values(list(p_values.values())), strict=True))
    return [
        _judge_one(each, adjusted.get(number), len(p_values), margin)
        for number, each in enumerate(comparisons)
    ]


def adjusted_p_values(p_values: list[float]) -> list[float]:
    """P-values in the light of all of them, by the procedure of Benjamini and Hochberg."""
    from scipy.stats import false_discovery_control

    return [float(p_value) for p_value in false_discovery_control(p_values)] if p_values else []


def _judge_one(each: Evidence, p_adjusted: float | None, family: int, margin: float) -> Verdict:
    ratio = each.ratio
    if ratio is None:
        return Verdict("unclear", _no_time(each), None, p_adjusted)
    if ratio.low is None or ratio.high is None or p_adjusted is None:
        few = min(each.images) < FEW_IMAGES
        why = "too few images for an interval" if few else "no interval, as a level wanders"
        reason = f"{why} ({_both(each)})"
        return Verdict("unclear", reason, None, p_adjusted)
    disturbed = _disturbed(each)
    if disturbed and not _beyond(ratio, DISTURBANCE_FACTOR):
        reason = f"{disturbed}; a disturbance may account for a factor of {DISTURBANCE_FACTOR:g}"
        return Verdict("unclear", reason, None, p_adjusted)
    edge, percent = 1 + margin, f"±{margin * 100:g} %"
    if 1 / edge <= ratio.low and ratio.high <= edge:
        if min(each.processes) < 2 and not (
            PROCESS_FACTOR / edge <= ratio.low and ratio.high <= edge / PROCESS_FACTOR
        ):
            return Verdict("unclear", _one_process(), None, p_adjusted)
        return Verdict("same", f"the interval lies within {percent}", None, p_adjusted)
    if not _beyond(ratio, 1.0):
        return Verdict("unclear", _too_wide(each, ratio, percent), None, p_adjusted)
    if min(each.processes) < 2 and not _beyond(ratio, PROCESS_FACTOR):
        return Verdict("unclear", _one_process(), None, p_adjusted)
    if p_adjusted > ERROR_RATE:
        reason = f"beyond 1 alone, but not among {family} comparisons (adjusted p {p_adjusted:.2g})"
        return Verdict("unclear", reason, None, p_adjusted)
    beyond = _beyond(ratio, edge)
    where = "beyond" if beyond else "beyond 1, not wholly beyond"
    reason = f"the interval lies {where} {percent}"
    if disturbed:
        reason += f", and beyond a factor of {DISTURBANCE_FACTOR:g}, though {disturbed}"
    return Verdict("slower" if ratio.low > 1 else "faster", reason, beyond, p_adjusted)


def _beyond(ratio: Ratio, factor: float) -> bool:
    """Whether the whole interval is outside of 1/factor … factor."""
    assert ratio.low is not None
    assert ratio.high is not None
    return ratio.low > factor or ratio.high < 1 / factor


def _one_process() -> str:
    return (
        "one process on a side: how processes differ is not in the interval, and may account for a "
        f"factor of {PROCESS_FACTOR:g} (measure with processes: 3, or 5 where 5 % matter)"
    )


def _no_time(each: Evidence) -> str:
    lost = [f"{name} {status}" for name, status in zip(each.names, each.statuses, strict=True)]
    named = [words.replace("_", " ") for words in lost if not words.endswith(" ok")]
    return f"no time: {', '.join(named)}" if named else "no time above zero"


def _disturbed(each: Evidence) -> str:
    """`A drifting, B shared`, or nothing where both were steady."""
    named = zip(each.names, each.run_verdicts, strict=True)
    return ", ".join(f"{name} {said or 'not judged'}" for name, said in named if said != "steady")


def _too_wide(each: Evidence, ratio: Ratio, percent: str) -> str:
    assert ratio.high is not None
    reach = ratio.high / ratio.value - 1
    few = [
        count < FEW_IMAGES and processes == 1
        for count, processes in zip(each.images, each.processes, strict=True)
    ]
    why = f"too few images ({_both(each)})" if any(few) else "interval too wide"
    size = f"±{known(reach * 100, digits=2)} %"
    if reach >= 1:
        size = f"a factor of {known(1 + reach, digits=2)} to either side"
    return f"{why}: {size}, so that it holds 1 and what is beyond {percent}"


def _both(each: Evidence) -> str:
    both = zip(each.names, each.images, strict=True)
    return ", ".join(f"{name} {images}" for name, images in both)


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
