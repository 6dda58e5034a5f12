"""`tiles.csv` and `analysis tiles`: plans of tiles for GPUs and sensors, and for any question."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adscale.errors import ArgumentError
from adscale.tables import Argument, Output, Table, TableJob, integer, join, pick, real, text

from ..columns import BATCH, METHOD, RUN
from ..commands.arguments import ASKED, CYCLE, json_text
from ..measured_memory_table import MEASURED_MEMORY
from ..runtime_table import RUNTIME

if TYPE_CHECKING:
    import pandas as pd

    from adscale.memory_record import MemoryRecord

    from ..hardware import Sensor
    from .devices import Target
    from .tile_plans import Candidate, Planner

PLAN_COLUMNS = join(
    text("gpu", means="as in `feasibility.csv`"),
    pick(RUN, "device_type"),
    integer("gpu_memory_bytes", means="its memory"),
    text("sensor", "sensor_resolution", means="its name, and width × height of its image"),
    METHOD,
    BATCH,
    text("plan", means="`whole`: the image is not cut; `exact`: tiles share what makes all local "
         "features those of the whole image; `auto`: an eighth of their side; null: no plan"),
    text("tile", means="width × height of a tile in px"),
    integer("tiles", means="in an image", unit=""),
    integer("overlap_px", means="that neighbours share at least"),
    real("overlap_share", means="share of the pixels of all tiles that are computed more than "
         "once", unit=""),
    integer("inferences", means="in an image: tiles over the batch, rounded up", unit=""),
    integer("counted_bytes", means="what the device must hold, counted: that of a tile, with the "
            "whole image, the joined map, and a bank of all tiles"),
    text("verdict", means="`fits`, `uncertain` or `does_not_fit`, as in `feasibility.csv`"),
    text("reason", means="of the verdict, or why there is no plan"),
    real("time_ms", "time_low_ms", "time_high_ms", means="of an image without a profiler: "
         "inferences × latency of one, and what is done once with the whole image; without "
         "stitching. The ends are sums of ends. Null where nothing was measured"),
    text("time_basis", means="`measured`, `interpolated` or `extrapolated`: the latency of an "
         "inference"),
    text("time_problem", means="why there is no time"),
)  # fmt: skip

TILE_PLANS = Table(
    name="tiles",
    row="the best plan of tiles of a method × GPU × sensor ([tiles.md](tiles.md))",
    columns=PLAN_COLUMNS,
    category="Feasibility",
    contents="plans of tiles",
    caption="""The best plan of each method on each GPU for the image of each sensor: whole, or in
tiles, the fastest that fits for certain.

Memory is counted; times are by the clock ``latency``, of one inference times their number.""",
    page="tiles.md",
    in_report=True,
)


def plan_row(
    planner: Planner, sensor: Sensor, candidate: Candidate | None, why_none: str = ""
) -> dict[str, Any]:
    """A row of `tiles.csv`.

    Args:
        planner: of the method and target.
        sensor: whose image is inspected.
        candidate: how; None: there is no plan.
        why_none: in words.
    """
    target, record = planner.target, planner.record
    row: dict[str, Any] = {
        "gpu": target.name,
        "device_type": target.device_type,
        "gpu_memory_bytes": target.memory_bytes,
        "sensor": sensor.name,
        "sensor_resolution": str(sensor.resolution),
        "method": record.method,
        "variant": str(record.variant),
        "batch": record.variant.batch,
    }
    if candidate is None:
        return {**row, "reason": why_none, "verdict": "does_not_fit"}
    plan, time = candidate.plan, candidate.time
    return {
        **row,
        "plan": candidate.exactness,
        "tile": str(plan.tile),
        "tiles": plan.number,
        "overlap_px": max(plan.across.overlap_px, plan.down.overlap_px),
        "overlap_share": plan.overlap_share,
        "inferences": candidate.inferences,
        "counted_bytes": candidate.counted_bytes,
        "verdict": candidate.verdict,
        "reason": candidate.reason,
        "time_ms": None if time is None else time.value,
        "time_low_ms": None if time is None else time.low,
        "time_high_ms": None if time is None else time.high,
        "time_basis": candidate.basis,
        "time_problem": candidate.problem,
    }


def no_plan_words(candidates: Sequence[Candidate]) -> str:
    """Why no candidate fits, in words: what the smallest lacks."""
    if not candidates:
        return "no plan: no square tile was counted that the image holds"
    least = min(candidates, key=lambda one: one.counted_bytes)
    return f"no plan: the least, {least.plan.words}, {least.reason}"


def tile_plans_table(
    records: Sequence[MemoryRecord],
    targets: Sequence[Target],
    sensors: Sequence[Sensor],
    runtime: pd.DataFrame | None,
    measured: pd.DataFrame | None,
) -> pd.DataFrame:
    """Rows of `TILE_PLANS`: the best plan of each method, GPU and sensor.

    Args:
        records: counts.
        targets: GPUs, and devices that were measured.
        sensors: whose images are inspected.
        runtime: `runtime.csv`; None without it.
        measured: `memory_measured.csv`; None without it.
    """
    from ..tables import make_table
    from .tile_plans import best_of, planners

    rows = []
    for planner in planners(records, targets, runtime, measured):
        for sensor in sensors:
            candidates = planner.candidates(sensor.resolution)
            best = best_of(candidates)
            rows.append(plan_row(planner, sensor, best, no_plan_words(candidates)))
    columns = TILE_PLANS.schema
    return make_table([{one: row.get(one) for one in columns} for row in rows], columns)


def _records(counts: Sequence[Path] | None) -> list[MemoryRecord]:
    from adscale.files import read_record
    from adscale.memory_record import MemoryRecord

    files = counts or sorted(Path("results/counts").glob("*/*/memory.json"))
    if not files:
        what = "results/counts holds no counts"
        raise ArgumentError("--counts", what, "make a study, or name files of counts")
    remedy = "count again with python -m profiling memory"
    return [read_record(file, MemoryRecord, remedy) for file in files]


def _tables(folder: Path) -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
    from ..tables import read_csv

    found = [
        read_csv(file, table.schema) if (file := folder / table.file).exists() else None
        for table in (RUNTIME, MEASURED_MEMORY)
    ]
    return found[0], found[1]


def _step(
    *, counts: Sequence[Path], tables: Path, hardware: str | None, **_question: object
) -> tuple[pd.DataFrame]:
    from ..hardware import Hardware
    from .devices import targets

    if hardware is None:
        what = "no GPUs and sensors are given"
        raise ArgumentError("--hardware", what, "give those of the configuration")
    known = Hardware.from_json(json_text("--hardware", hardware))
    runtime, measured = _tables(tables)
    judged = targets(known.gpus, runtime)
    return (tile_plans_table(_records(counts), judged, known.sensors, runtime, measured),)


def _whole(table: pd.DataFrame) -> pd.DataFrame:
    return table


def _answer(options: argparse.Namespace) -> None:
    from .answer import asked_image, asked_target

    if options.sensor is None and options.sensor_mp is None:
        remedy = "say what is asked, or name -o for a table"
        raise ArgumentError("--sensor or --sensor-mp", "missing", remedy)
    runtime, measured = _tables(options.tables)
    target = asked_target(runtime, options)
    sensor = asked_image(options.sensor, options.sensor_mp)
    records = [one for one in _records(options.counts) if _is_asked(one, options)]
    if not records:
        raise ArgumentError("--method or --variant", "was not counted", "name one that was")
    answers = list(_answers(records, target, sensor, options, runtime, measured))
    if options.json:
        print(_json(answers, options))
        return
    for _, words in answers:
        print("\n".join(words))


def _is_asked(record: MemoryRecord, options: argparse.Namespace) -> bool:
    return (options.method in ("all", record.method)) and options.variant in (
        None,
        str(record.variant),
    )


def _answers(
    records: Sequence[MemoryRecord],
    target: Target,
    sensor: Sensor,
    options: argparse.Namespace,
    runtime: pd.DataFrame | None,
    measured: pd.DataFrame | None,
) -> Iterator[tuple[list[dict[str, Any]], list[str]]]:
    """Of each method and variant: a row for each plan, and the same in words."""
    from .tile_plans import best_of, planners

    for planner in planners(records, [target], runtime, measured):
        candidates = planner.candidates(sensor.resolution)
        best = best_of(candidates)
        head = (
            f"{planner.record.method} {planner.record.variant}, {sensor.resolution} px, "
            f"{target.name}:"
        )
        if best is None:
            why = no_plan_words(candidates)
            yield [{**plan_row(planner, sensor, None, why), "is_best": False}], [f"{head} {why}"]
            continue
        useless = planner.exact_is_useless(sensor.resolution)
        words = [f"{head} {_words(best, options.cycle_ms)}"]
        if useless is not None:
            words.append(f"  exact tiles are of no use: {useless}")
        words += [
            f"  or {_words(one, options.cycle_ms)}"
            for one in candidates
            if one is not best and one.verdict != "does_not_fit"
        ]
        yield (
            [{**plan_row(planner, sensor, one), "is_best": one is best} for one in candidates],
            words,
        )


def _words(candidate: Candidate, cycle_ms: float | None) -> str:
    """A plan in a line."""
    from ..numbers import known_interval
    from .process import GIB

    plan, time = candidate.plan, candidate.time
    how = "the whole image" if candidate.exactness == "whole" else plan.words
    if plan.number > 1:
        how += f" ({candidate.exactness}, {plan.overlap_share:.0%} computed twice or more)"
    verdict = "fits" if candidate.verdict == "fits" else "may fit"
    said = f"{how}; {verdict}, {candidate.counted_bytes / GIB:.4g} GiB counted, {candidate.reason}"
    if time is None:
        return f"{said}; no time: {candidate.problem}"
    value, low, high = known_interval(time.value, time.low, time.high)
    interval = f" (95 %: {low} to {high})" if low and high else ""
    said += (
        f"; {value} ms per image{interval} without stitching, {candidate.inferences} inferences, "
        f"{candidate.basis}"
    )
    if cycle_ms is None:
        return said
    if time.high is not None and time.high <= cycle_ms:
        return f"{said}, keeps {cycle_ms:g} ms"
    least = time.value if time.low is None else time.low
    return f"{said}, {'does not keep' if least > cycle_ms else 'may not keep'} {cycle_ms:g} ms"


def _json(
    answers: Sequence[tuple[list[dict[str, Any]], list[str]]], options: argparse.Namespace
) -> str:
    from ..json_output import document_text, told_rows_text

    names = ("method", "variant", "sensor", "sensor_mp", "gpu", "vram_gib", "device", "cycle_ms")
    asked = {name: getattr(options, name) for name in names}
    columns = [name for name in TILE_PLANS.schema if name != "missing"]
    rows = [
        {**{one: row.get(one) for one in columns}, "is_best": row["is_best"]}
        for of_method, _ in answers
        for row in of_method
    ]
    parts = {
        "question": json.dumps({key: one for key, one in asked.items() if one is not None}),
        "rows": told_rows_text(rows, _why_null),
    }
    return document_text("tiles", parts)


def _why_null(row: Mapping[str, Any], name: str) -> str:
    if row["plan"] is None:
        return str(row["reason"])
    if name == "time_problem":
        return "there is a time"
    if name == "gpu_memory_bytes":
        return "the memory of the device is not known"
    return str(row["time_problem"] or "the interval is open")


TILES = TableJob(
    command="tiles",
    rule="tiles_table",
    description="""Plans of tiles for a sensor and a memory, of each method and variant that was
counted: the best one by time, then the others that fit.
With -o: a table of the best plans of all GPUs and sensors of the configuration (--hardware).""",
    arguments=(
        Argument(
            "--counts",
            {
                "type": Path,
                "nargs": "*",
                "metavar": "memory.json",
                "help": "counts (default: those below results/counts)",
            },
            "counts",
        ),
        Argument(
            "--tables",
            {
                "type": Path,
                "default": Path("results/tables"),
                "metavar": "DIR",
                "help": "tables of the study, for times (%(default)s)",
            },
            "tables",
            (RUNTIME, MEASURED_MEMORY),
        ),
        *ASKED,
        Argument(
            "--device",
            {"metavar": "NAME", "help": "measured device whose latency counts"},
        ),
        CYCLE,
        Argument(
            "--json",
            {"action": "store_true", "help": "print the plans as JSON (docs/json.md)"},
        ),
        Argument(
            "--hardware",
            {"metavar": "JSON", "help": "gpus and sensors as in the configuration, as JSON"},
            "setting",
        ),
    ),
    outputs=(Output(TILE_PLANS, _whole),),
    step=_step,
    answer=_answer,
)
