"""Warnings to a reader before any number, and a study in three lines.

Nothing is computed anew: every number stands in `runtime.csv`, `runs.csv` or `feasibility.csv`.
docs/definitions.md has the rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from adscale.resolution import Resolution
from adscale.variant import Variant

from ..columns import BY_SIZE
from ..feasibility.rows import END_TO_END, LATENCY
from ..memory_table import MEMORY_METHODS
from ..missing import missing_words, read_rows
from ..numbers import known, known_interval, percent
from ..profiles.times import MAIN_CLOCK
from ..runs_table import RUNS
from ..runtime_table import COSTLY_RANGES, MUCH_SLOWER
from ..statistics.summary import Estimate
from ..statistics.unseen import unseen_words

MOST_NAMED = 6
"""Runs that a warning names one by one."""

UNCOVERED_LIMIT = 0.01
"""Share of an image's time in no submodule from which on it is told."""

WHICH = ["device", "method", "variant", "resolution"]


def study_warnings(tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """Warnings of a study, one sentence each.

    Args:
        tables: by the names in `analysis.registry`; only `runtime` has to be there.
    """
    runtime = tables["runtime"]
    yield from _not_steady(runtime)
    yield from _lost(runtime)
    yield from _excesses(runtime)
    if "fits" in tables:
        yield from _fits(tables["fits"])


def missing_sentences(folder: Path, named: int = 100) -> Iterator[str]:
    """A sentence for each run and count that failed, as the tables of a study name it.

    Args:
        folder: of the tables; those of runs and of counts, where they are there.
        named: so many are named, at most.

    Raises:
        ResultsError: a table is damaged.
    """
    tables = [table for table in (RUNS, MEMORY_METHODS) if (folder / table.file).exists()]
    missing = [one for table in tables for one in read_rows(folder / table.file, table)]
    yield from (f"missing: {words}." for words in missing_words(missing, named))


def _not_steady(runtime: pd.DataFrame) -> Iterator[str]:
    for verdict, rows in runtime[runtime["verdict"].notna()].groupby("verdict", sort=False):
        if verdict != "steady":
            yield f"Not steady but {verdict}, see the table of runs: {_named(rows)}."


def _fits(fits: pd.DataFrame) -> Iterator[str]:
    """Intervals that were refused, and how far is extrapolated."""
    runtimes = fits[fits["quantity"] == "runtime"]
    refused = runtimes[runtimes["interval_refused"].fillna("") != ""]
    for reason, rows in refused.groupby("interval_refused", sort=False):
        curves = rows[["device", "method", "variant"]].drop_duplicates().to_numpy()
        named = ", ".join(f"{method} {variant} ({device})" for device, method, variant in curves)
        yield f"No band for {named}: {reason}."
    told = runtimes[runtimes["refused"].fillna("") == ""]
    factor = told["extrapolation_factor_pixels"].max()
    if pd.notna(factor) and factor > 1:
        end = told["extrapolate_to_px"].max()
        yield (
            f"Runtimes are extrapolated to {end:,} px, up to {factor:.3g} times the pixels of the "
            "largest measured resolution: such values are predictions."
        )


def _lost(runtime: pd.DataFrame) -> Iterator[str]:
    for status, words in (
        ("out_of_memory", "Out of memory, a result"),
        ("predicted_out_of_memory", "Predicted out of memory by count, and not run"),
    ):
        rows = runtime[runtime["status"] == status]
        if len(rows):
            yield f"{words}: {_named(rows)}."


_EXCESSES = (
    ("profiled_over_latency", MUCH_SLOWER,
     "With the profiler an image takes up to {times} as long as without"),
    ("uncovered_share", UNCOVERED_LIMIT,
     "Up to {share} of an image's host time is in no submodule"),
    ("ranges_share", COSTLY_RANGES,
     "Ranges take up to {share} of an image's host time by what an empty one costs"),
)  # fmt: skip
"""Columns of `runtime.csv`, from where on they are told, and how."""


def _excesses(runtime: pd.DataFrame) -> Iterator[str]:
    """What is more than it should be, with the runs in which it is."""
    for column, limit, sentence in _EXCESSES:
        rows = runtime[runtime[column] > limit]
        if len(rows):
            most = rows[column].max()
            words = sentence.format(times=f"{most:.3g} times", share=percent(most, 1))
            yield f"{words}, in: {_named(rows)}."


def _named(rows: pd.DataFrame) -> str:
    runs = rows[WHICH].drop_duplicates()
    named = [
        f"{method} {variant} at {size} px ({device})"
        for device, method, variant, size in runs.head(MOST_NAMED).to_numpy()
    ]
    more = len(runs) - len(named)
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")


SEVERITY = ("altered", "shared", "throttled", "drifting", "wandering")
"""Verdicts that are not `steady`, the worst first."""

LOST = {"out_of_memory": "ran out of memory", "predicted_out_of_memory": "left out by their count"}
"""Statuses of measurements without times."""


@dataclass(frozen=True)
class Candidate:
    """A method in a variant, and its time per image or batch at one place.

    Attributes:
        name: method and variant.
        time_ms: mean with its 95 % interval, or a prediction with its band.
        basis: `measured`, `interpolated` or `extrapolated`.
        images: measured images; of the runs that a law was fitted to, the fewest.
        verdict: `steady`, or the other verdicts of these runs.
        of: what the time is of: `image`, or `batch of 8`.
    """

    name: str
    time_ms: Estimate
    basis: str
    images: int
    verdict: str
    of: str = "image"

    def words(self) -> str:
        """Name, time, uncertainty, basis and sample size."""
        value, low, high = known_interval(*self.time_ms)
        interval = f"95 %: {low} to {high}" if low and high else "no interval"
        unsteady = "" if self.verdict == "steady" else f", not steady ({self.verdict})"
        rare = unseen_words(self.images)
        return (
            f"{self.name}, {value} ms per {self.of} ({interval}; {self.basis}, "
            f"n = {self.images}{unsteady}; {rare})"
        )


def three_lines(
    runtime: pd.DataFrame,
    runs: pd.DataFrame,
    feasibility: pd.DataFrame,
    results: Path,
    missing: Sequence[str] = (),
) -> list[str]:
    """The three lines.

    Args:
        runtime: `runtime.csv`.
        runs: `runs.csv`.
        feasibility: `feasibility.csv`.
        results: folder of the study's results, as it shall be named.
        missing: a sentence for each thing that failed.
    """
    fastest = list(_fastest(runtime, feasibility)) or ["no time was measured"]
    return [
        f"Fastest: {'; '.join(fastest)}.",
        f"Doubts: {_doubts(runs, runtime)}.{''.join(f' {one}' for one in missing)}",
        f"Look: {results}/report.html (all in one page), {results}/figures, {results}/tables.",
    ]


def answers(tables: Mapping[str, pd.DataFrame]) -> Iterator[tuple[str, str]]:
    """What somebody who chooses wants to know, each with its heading, in a sentence or two.

    Args:
        tables: by the names in `analysis.registry`; only `runtime` has to be there.
    """
    runtime = tables["runtime"]
    feasibility = tables.get("feasibility")
    if feasibility is not None and len(feasibility):
        yield "Fits", f"{_fitting(feasibility)}."
        yield "Fastest", f"{'; '.join(_fastest(runtime, feasibility)) or 'no time was measured'}."
    if "runs" in tables:
        yield "Doubts", f"{_doubts(tables['runs'], runtime)}."


def _fitting(feasibility: pd.DataFrame) -> str:
    """Tell in how many pairs of GPU and sensor each method fits for certain, and in which way."""
    told = []
    for method, rows in feasibility.groupby("method", sort=False):
        pairs = rows.groupby(["gpu", "sensor"], sort=False).ngroups
        fitting = rows[rows["verdict"] == "fits"]
        fits = len(fitting.drop_duplicates(["gpu", "sensor"]))
        in_variants = fitting["variant"].value_counts()
        has_choice = fits and len(rows["variant"].unique()) > 1
        best = f", in most as {in_variants.index[0]}" if has_choice else ""
        told.append(f"{method} in {fits} of {pairs}{best}")
    return (
        "For certain, by counted memory, of all pairs of a GPU or device and a sensor below: "
        f"{'; '.join(told)}"
    )


def _fastest(runtime: pd.DataFrame, feasibility: pd.DataFrame) -> Iterator[str]:
    """A sentence for each device."""
    for device, rows in runtime.groupby("device", sort=False):
        where = f"on {device} ({rows['hardware'].iloc[0]})"
        sentence = _at_a_sensor(feasibility[feasibility["device"] == device], where)
        yield sentence or _at_a_resolution(rows, where) or f"{where} no time was measured"


def _at_a_sensor(feasibility: pd.DataFrame, where: str) -> str | None:
    """Compare at the largest sensor where something with known latency fits; None: nowhere."""
    timed = feasibility[feasibility["latency_ms"].notna()]
    for verdict, words in (("fits", "fits"), ("uncertain", "uncertain whether it fits")):
        fit = timed[timed["verdict"] == verdict]
        if fit.empty:
            continue
        sensor = max(_rows(fit), key=lambda row: row["megapixels"])["sensor"]
        rows = _rows(fit[fit["sensor"] == sensor])
        size = f"{rows[0]['megapixels']:.3g} MP, {rows[0]['sensor_resolution']} px"
        best = _ranked([_candidate(each, "latency", "latency_verdict") for each in rows])
        bases = {f"{each['method']} {each['variant']}": each["verdict_basis"] for each in rows}
        others = feasibility[feasibility["sensor"] == sensor]
        fits = f"{words} ({bases[best[0].name]}){_rest(others, len(rows))}"
        return f"at {sensor} ({size}) {where}, clock {LATENCY}: {_words(best)}; {fits}"
    return None


def _rest(rows: pd.DataFrame, compared: int) -> str:
    """Tell the result of the methods and variants that were not compared."""
    lost = int((rows["verdict"] == "does_not_fit").sum())
    refused = int((rows["verdict"] == "refused").sum())
    more = len(rows) - compared - lost - refused
    parts = [f"{lost} do not fit"] if lost else []
    parts += [f"{refused} refuse the size"] if refused else []
    parts += [f"{more} not known"] if more else []
    return f", of {len(rows)} methods and variants {', '.join(parts)}" if parts else ""


def _at_a_resolution(rows: pd.DataFrame, where: str) -> str | None:
    """Compare at the resolution at which most was measured, of these the largest."""
    clock, timed = _timed(rows)
    if timed.empty:
        return None
    counts = timed.groupby("resolution").size()
    size = max(map(Resolution.of, counts[counts == counts.max()].index))
    here = timed[timed["resolution"] == str(size)]
    best = _ranked([_candidate(each, "mean", "verdict") for each in _rows(here)])
    known = rows[["method", "variant"]].drop_duplicates()
    missing = len(known) - len(here)
    lacking = f", {missing} of {len(known)} methods and variants not measured there"
    no_sensor = "; for no sensor is it known what fits and how fast it is"
    place = f"at {size} px {where}, clock {clock}"
    return f"{place}: {_words(best)}{lacking if missing else ''}{no_sensor}"


def _timed(rows: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """Clock and rows of whole images: from the camera to the result where that was measured."""
    timed = rows[rows["mean_ms"].notna()]
    latency = timed[(timed["clock"] == LATENCY) & (timed["submodule"] == END_TO_END)]
    if len(latency):
        return LATENCY, latency
    clock = MAIN_CLOCK[rows["device_type"].iloc[0]]
    return clock, timed[(timed["clock"] == clock) & (timed["role"] == "image")]


def _rows(table: pd.DataFrame) -> list[Mapping[str, Any]]:
    return [dict(row) for _, row in table.iterrows()]


def _candidate(row: Mapping[str, Any], times: str, verdict: str) -> Candidate:
    """Make one of a row of `feasibility.csv` (times `latency`) or of `runtime.csv` (`mean`)."""
    ends = ("latency_low_ms", "latency_high_ms") if times == "latency" else (
        "ci95_low_ms", "ci95_high_ms"
    )  # fmt: skip
    low, high = (None if pd.isna(row[name]) else float(row[name]) for name in ends)
    batch = Variant.of(row["variant"]).batch
    is_whole = batch > 1 and LATENCY in (times, row.get("clock"))
    return Candidate(
        name=f"{row['method']} {row['variant']}",
        time_ms=Estimate(float(row[f"{times}_ms"]), low, high),
        basis=row["latency_basis"] if times == "latency" else "measured",
        images=int(row["images"]),
        verdict="not judged" if pd.isna(row[verdict]) else str(row[verdict]),
        of=f"batch of {batch}" if is_whole else "image",
    )


def _ranked(candidates: Sequence[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda one: one.time_ms.value)


def _words(best: Sequence[Candidate]) -> str:
    """The fastest, and the next one, which is surely slower where their intervals do not meet."""
    first = best[0].words()
    if len(best) == 1:
        return f"{first}, alone"
    second = best[1]
    high, low = best[0].time_ms.high, second.time_ms.low
    apart = high is not None and low is not None and high < low
    told = "intervals apart" if apart else "not told apart"
    per = f" per {second.of}" if second.of != best[0].of else ""
    return f"{first}; next {second.name} ({known(*second.time_ms)} ms{per}), {told}"


def _doubts(runs: pd.DataFrame, runtime: pd.DataFrame) -> str:
    """How many measurements are to be doubted or have no times, and the worst of it."""
    verdicts = runs["verdict"].value_counts()
    unsteady = {name: int(verdicts[name]) for name in SEVERITY if name in verdicts}
    lost = {
        words: int((runs["status"] == status).sum())
        for status, words in LOST.items()
        if (runs["status"] == status).any()
    }
    parts = [f"{number} {words}" for words, number in {**unsteady, **lost}.items()]
    worst = next(_worst(runs, runtime), None)
    head = f"of {len(runs)} measurements {', '.join(parts) or 'all are steady and whole'}"
    return head if worst is None else f"{head}; worst: {worst}"


def _worst(runs: pd.DataFrame, runtime: pd.DataFrame) -> Iterator[str]:
    """Warnings, the worst first, without their full stop."""
    for verdict in SEVERITY:
        for row in _rows(runs[runs["verdict"] == verdict]):
            yield f"{_measurement(row)} was {verdict}: {row['evidence']}"
    for status, words in LOST.items():
        for row in _rows(runs[runs["status"] == status].sort_values(BY_SIZE)):
            yield f"{_measurement(row)} {words.replace('their', 'its')}"
    for warning in study_warnings({"runtime": runtime}):
        yield warning.rstrip(".")


def _measurement(row: Mapping[str, Any]) -> str:
    process = "" if row["process"] == 1 else f", process {row['process']}"
    side = f"{row['resolution']} px"
    return f"{row['method']} {row['variant']} at {side} ({row['device']}, {row['pass']}{process})"
