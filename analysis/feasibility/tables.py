"""`feasibility.csv` and `feasibility_limits.csv`: does each method fit each GPU at each sensor?"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adscale.errors import ArgumentError
from adscale.tables import (
    Argument,
    Output,
    Table,
    TableJob,
    flag,
    integer,
    join,
    pick,
    real,
    text,
)
from adscale.variant import Variant

from ..columns import BATCH, METHOD, RUN
from ..commands.arguments import ASKED, CYCLE, json_text, positive
from ..measured_memory_table import MEASURED_MEMORY
from ..memory_cpu_table import MEMORY_CPU
from ..memory_table import MEMORY, MEMORY_METHODS
from ..missing import read_rows, refusal
from ..runtime_table import RUNTIME
from .tile_table import TILE_PLANS

if TYPE_CHECKING:
    import pandas as pd

    from ..hardware import Hardware
    from .cheapest import Deviations

FEASIBILITY = Table(
    name="feasibility",
    row="a method × GPU × sensor: does it fit, is it fast enough, and why "
    "([feasibility.md](feasibility.md))",
    columns=join(
        text("gpu", means="its name in the configuration, with the device behind it if several "
             "are of that kind; of another measured device its name, and in brackets CPU or its "
             "hardware"),
        pick(RUN, "device_type"),
        integer("gpu_memory_bytes",
                means="its memory: by the driver where it was measured, else nominal"),
        flag("unified_memory", means="whether CPU and GPU share it: then the two ends include what "
             "the operating system and the process on the CPU take, which is assumed"),
        text("sensor", means="its name"),
        integer("sensor_width_px", "sensor_height_px", means="its image as it is recorded, of a "
                "line-scan sensor the pixels of its line and the lines of an image; null where "
                "only its megapixels are given"),
        flag("line_scan", means="whether it is a line-scan sensor"),
        real("megapixels", means="its pixels in millions", unit="MP"),
        METHOD,
        BATCH,
        text("sensor_resolution", means="its image: width × height, or, where only its megapixels "
             "are given, the square with as many pixels, rounded up"),
        text("resolution", means="that is judged: the same, or the next larger one at which the "
             "method runs, to which the image is padded"),
        text("verdict", means="`fits`, `does_not_fit`, `uncertain`, `refused`"),
        text("verdict_basis", means="`measured`: by a run on the device; `counted`: by the two "
             "ends"),
        text("reason", means="of the verdict, in words"),
        integer("counted_low_bytes", "counted_high_bytes", means="what the device must hold by "
                "the count (`needed_bytes` of `memory_methods.csv`); they differ between two "
                "counted images. Null where it was counted for another type of device"),
        integer("needed_low_bytes", "needed_high_bytes", means="the two ends, see above"),
        text("memory_basis", means="`counted`, `counted at A px, of about as many pixels`, "
             "`counted between A and B px`, `counted up to A px`, or `counted at no image that "
             "holds one of this shape`: of a strip longer than 4:1"),
        text("context_basis", means="`measured` or `assumed`"),
        text("device", "hardware", means="the device whose runs and latency are used, and its "
             "model; null: none"),
        real("latency_ms", "latency_low_ms", "latency_high_ms", means="mean latency with its 95 % "
             "interval, or, where it was not measured, the prediction with its band; with batches "
             "that of a whole one"),
        real("latency_p99_ms", "latency_p99_low_ms", "latency_p99_high_ms",
             means="the same of the 99th percentile, null for too few images (67)"),
        real("images_per_second", means="1000 · `batch` / `latency_ms`: one image, or batch, after "
             "the other, with nothing overlapped", unit="1/s"),
        text("latency_basis", means="`measured`, `interpolated`, `extrapolated`"),
        real("latency_factor_pixels", means="pixels over those of the largest measured "
             "resolution; 1 where it was measured", unit=""),
        integer("images", means="measured images of the run, a batch counts as one; of the runs "
                "that a law was fitted to, the fewest"),
        text("latency_verdict", means="`steady`, or the other verdicts of these runs"),
        text("latency_problem", means="why there is no latency"),
    ),
    category="Feasibility",
    contents="does it fit, and how fast is it",
    caption="""Whether each method fits each GPU at the image of each sensor, what that rests on,
and its latency where the GPU was measured.

Memory is counted or measured; times are by the clock ``latency``: measured, interpolated or
extrapolated, as ``latency_basis`` says.""",
    page="feasibility.md",
    in_report=True,
)  # fmt: skip

FEASIBILITY_LIMITS = Table(
    name="feasibility_limits",
    row="the largest sensor of a GPU, the smallest GPU of a sensor, the largest batch of both",
    columns=join(
        text("limit", means="`largest sensor` of a GPU or of a CPU device, `smallest GPU` of a "
             "sensor, or `largest batch` of both, by its memory; the last where a method was "
             "counted in several batches of an implementation and precision"),
        text("gpu", "sensor", means="which; the one that was looked for is null if none fits for "
             "certain"),
        METHOD,
        integer("batch", means="of the variant: the largest of those counted that fits for "
                "certain; null if none does, and the variant is then that of one image"),
        real("images_per_second", means="of a `largest batch`, where it was measured at this very "
             "image on this GPU, as in `feasibility.csv`", unit="1/s"),
    ),
    category="Feasibility",
    contents="largest sensor, smallest GPU, largest batch",
    caption="""The largest sensor of each GPU, the smallest GPU of each sensor, and the largest
batch of both.

By memory alone, as in ``feasibility.csv``; images per second where they were measured.""",
    page="feasibility.md",
)  # fmt: skip


@dataclass(frozen=True)
class FeasibilityTables:
    """The tables from which feasibility follows.

    Attributes:
        counts: `memory_methods.csv`.
        memory: `memory.csv`, for how the submodules grow; None: nothing is known of that.
        runtime: `runtime.csv`; None: nothing is said of time.
        measured: `memory_measured.csv`; None: contexts are assumed.
        tile_plans: `tiles.csv`; None: nothing is said of tiles.
        refused: why a method in a variant does not run at a resolution, by these three.
        on_cpu: `memory_cpu.csv`; None: nothing was counted for a CPU but what ran there.
    """

    counts: pd.DataFrame
    memory: pd.DataFrame | None = None
    runtime: pd.DataFrame | None = None
    measured: pd.DataFrame | None = None
    tile_plans: pd.DataFrame | None = None
    refused: Mapping[tuple[str, str, str], str] = field(default_factory=dict)
    on_cpu: pd.DataFrame | None = None


def feasibility_table(tables: FeasibilityTables, hardware: Hardware) -> pd.DataFrame:
    """Whether each method fits each GPU at each sensor's image, and how fast it is there.

    Args:
        tables: of the study.
        hardware: GPUs and sensors.

    Returns:
        Rows of `FEASIBILITY`: by method, variant, GPU and sensor in their given order.
    """
    from ..tables import make_table
    from .devices import targets
    from .rows import feasibility_rows

    judged = targets(hardware.gpus, tables.runtime)
    rows = feasibility_rows(tables, judged, hardware.sensors)
    return make_table(list(rows), FEASIBILITY.schema)


def limits_table(table: pd.DataFrame) -> pd.DataFrame:
    """The largest sensor of each GPU, the smallest GPU of each sensor, the largest batch of both.

    Args:
        table: rows of `FEASIBILITY`.

    Returns:
        Rows of `FEASIBILITY_LIMITS`; null where none fits for certain. CPU devices have a largest
        sensor, and are no smallest GPU.
    """
    from ..tables import make_table

    rows: list[dict[str, Any]] = []
    for (method, variant), of_method in table.groupby(["method", "variant"], sort=False):
        on_gpus = of_method[of_method["device_type"] == "cuda"]
        for limit, by, other, among in (
            ("largest sensor", "gpu", "sensor", of_method),
            ("smallest GPU", "sensor", "gpu", on_gpus),
        ):
            for name, of_one in among.groupby(by, sort=False):
                best = _extreme(of_one[of_one["verdict"] == "fits"], other)
                row = {"limit": limit, by: name, other: best, "method": method, "variant": variant}
                rows.append({**row, "batch": Variant.of(str(variant)).batch})
    rows += largest_batches(table.to_dict("records"))
    columns = FEASIBILITY_LIMITS.schema
    return make_table([{one: row.get(one) for one in columns} for row in rows], columns)


def largest_batches(rows: Sequence[Mapping[Any, Any]]) -> list[dict[str, Any]]:
    """The largest batch that fits for certain, of each method counted in several batches.

    Args:
        rows: of `FEASIBILITY`.

    Returns:
        Values of `FEASIBILITY_LIMITS`, by method, GPU and sensor in their given order.
    """
    ways: dict[tuple[Any, ...], dict[int, Mapping[Any, Any]]] = {}
    for row in rows:
        variant = Variant.of(row["variant"])
        key = (row["method"], variant.of_one_image, row["gpu"], row["sensor"])
        ways.setdefault(key, {})[variant.batch] = row
    found = []
    for (method, one_image, gpu, sensor), batches in ways.items():
        if len(batches) == 1:
            continue
        batch = max((n for n, row in batches.items() if row["verdict"] == "fits"), default=None)
        best = {} if batch is None else batches[batch]
        is_measured = best.get("latency_basis") == "measured"
        found.append(
            {
                "limit": "largest batch",
                "gpu": gpu,
                "sensor": sensor,
                "method": method,
                "variant": str(replace(one_image, batch=batch or 1)),
                "batch": batch,
                "images_per_second": best["images_per_second"] if is_measured else None,
            }
        )
    return found


def _extreme(fit: pd.DataFrame, what: str) -> str | None:
    """The largest sensor or the smallest GPU of those that fit."""
    if fit.empty:
        return None
    if what == "sensor":
        return str(fit.sort_values("megapixels", kind="stable")["sensor"].iloc[-1])
    return str(fit.sort_values("gpu_memory_bytes", kind="stable")["gpu"].iloc[0])


def read_tables(folder: Path) -> FeasibilityTables:
    """The tables of a study that feasibility is told from.

    Raises:
        ResultsError: that of whole methods is missing, or one is damaged.
    """
    from ..tables import read_csv

    def optional(table: Table) -> pd.DataFrame | None:
        file = folder / table.file
        return read_csv(file, table.schema) if file.exists() else None

    counts = folder / MEMORY_METHODS.file
    return FeasibilityTables(
        counts=read_csv(counts, MEMORY_METHODS.schema),
        memory=optional(MEMORY),
        runtime=optional(RUNTIME),
        measured=optional(MEASURED_MEMORY),
        tile_plans=optional(TILE_PLANS),
        on_cpu=optional(MEMORY_CPU),
        refused={
            (one["method"], one["variant"], one["resolution"]): reason
            for one in read_rows(counts, MEMORY_METHODS)
            if (reason := refusal(one)) is not None
        },
    )


def _step(*, tables: Path, hardware: str | None, **_question: object) -> tuple[pd.DataFrame]:
    """The table of all GPUs and sensors of the configuration."""
    from ..hardware import Hardware

    if hardware is None:
        what = "no GPUs and sensors are given"
        raise ArgumentError("--hardware", what, "give those of the configuration")
    known = Hardware.from_json(json_text("--hardware", hardware))
    return (feasibility_table(read_tables(tables), known),)


def _whole(table: pd.DataFrame) -> pd.DataFrame:
    return table


def _answer(options: argparse.Namespace) -> None:
    from .answer import print_answers

    if options.sensor is None and options.sensor_mp is None:
        remedy = "say what is asked, or name -o for a table"
        raise ArgumentError("--sensor or --sensor-mp", "missing", remedy)
    print_answers(read_tables(options.tables), _deviations(options.tables), options)


def _deviations(folder: Path) -> Deviations:
    from ..ratios import IMPLEMENTATIONS
    from ..tables import read_csv
    from .cheapest import deviations_of

    file = folder / IMPLEMENTATIONS.file
    return deviations_of(read_csv(file, IMPLEMENTATIONS.schema) if file.exists() else None)


FEASIBLE = TableJob(
    command="feasible",
    rule="feasibility_table",
    description="""Answers in one line per method and variant, from the tables of a study.
With -o: the table of all GPUs and sensors of the configuration (--hardware) instead.
A sensor of which only the megapixels are given is judged as a square image.""",
    arguments=(
        Argument(
            "--tables",
            {
                "type": Path,
                "default": Path("results/tables"),
                "metavar": "DIR",
                "help": "tables of the study (%(default)s)",
            },
            "tables",
            (RUNTIME, MEMORY, MEMORY_METHODS, MEMORY_CPU, MEASURED_MEMORY, TILE_PLANS),
        ),
        *ASKED,
        Argument(
            "--device",
            {
                "metavar": "NAME",
                "help": "measured device whose latency counts, and whose memory without "
                "--gpu and --vram-gib; without it, that of every measured device is told",
            },
        ),
        CYCLE,
        Argument(
            "--most-deviation",
            {
                "type": positive,
                "metavar": "SHARE",
                "help": "of the cheapest variant from reference-fp32, as a share of the largest "
                "value, such as 0.03; by default any",
            },
        ),
        Argument(
            "--json",
            {"action": "store_true", "help": "print the answers as JSON (docs/json.md)"},
        ),
        Argument(
            "--hardware",
            {
                "metavar": "JSON",
                "help": "gpus and sensors as in the configuration: a JSON file, or the JSON text "
                "itself",
            },
            "setting",
        ),
    ),
    outputs=(
        Output(FEASIBILITY, _whole),
        Output(
            FEASIBILITY_LIMITS,
            limits_table,
            "--limits",
            help="with -o: the largest sensor of each GPU and the smallest GPU of each sensor",
        ),
    ),
    step=_step,
    answer=_answer,
)
