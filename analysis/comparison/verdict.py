"""Is B as fast as A, faster or slower, or can that not be told, and why?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from ..numbers import known
from ..statistics.ratio import Ratio

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
