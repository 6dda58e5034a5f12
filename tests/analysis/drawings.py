"""Tables of a generated study, and the figures drawn of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text

from adscale.memory_record import MemoryRecord
from adscale.models import checked
from adscale.resolution import square
from adscale.tables import names_of
from analysis.columns import SIZE, size_values
from analysis.feasibility.tables import FeasibilityTables, feasibility_table
from analysis.figures.canvas import Drawing, Style, rc_parameters
from analysis.figures.draw import FIGURES, study_figures
from analysis.fit_tables import fit_curves_table, fit_models_table, fits_table
from analysis.fits.growth import Fitted, fit_all
from analysis.fits.series import memory_series, runtime_series
from analysis.hardware import Gpu, Hardware, Sensor
from analysis.memory_extrapolation import memory_extrapolation_table
from analysis.memory_table import Count as ReadCount
from analysis.memory_table import memory_methods_table, memory_table
from analysis.ratios import implementations_table
from analysis.runs_table import RUNS
from analysis.runtime_table import RUNTIME
from analysis.tables import make_table
from tests.memory_documents import Count, Part, constant, per_pixel

STYLE = Style()
SIDES_PX = (256, 384, 512, 640, 768)
COUNTED_PX = (*SIDES_PX, 896, 1024, 1536, 2048, 2560, 3000)
SUBMODULES = {"teacher": 1.0, "student": 2.0, "anomaly_map": 0.01}
VARIANT = "reference-fp32"
LAST_PX = 3000
HARDWARE = Hardware(
    (Gpu("small", 8), Gpu("large", 24)), (Sensor("IMX264", 5.07), Sensor("IMX304", 12.37))
)


def count_of(method: str = "M", **changes: Any) -> Count:
    """Counts whose activations are 100 bytes per pixel and weight, in 1 MiB of parameters each."""
    parts = [
        Part(
            name,
            parameters=constant(2**20),
            buffers=constant(0),
            activations=per_pixel(int(weight * 100)),
            peak=per_pixel(60 * weight, fixed=7),
            kept=per_pixel(20 * weight),
        )
        for name, weight in SUBMODULES.items()
    ]
    return Count(method, **{"parts": parts, "variant": VARIANT, **changes})


def read(count: Count, sides_px: Sequence[int] = COUNTED_PX) -> list[ReadCount]:
    """As if it had been read from a file."""
    return [
        ReadCount(count.method, count.variant, content.resolution, count.device_type, content)
        for content in checked(MemoryRecord, count.document(sides_px)).resolutions
    ]


def study_tables(
    runtime: pd.DataFrame | None = None,
    counts: Sequence[ReadCount] | None = None,
    runs: pd.DataFrame | None = None,
    *,
    beyond_limit: bool = True,
    only: Collection[str] | None = None,
) -> dict[str, pd.DataFrame]:
    """Tables of a study; by default of one method, its times extrapolated as far as asked.

    With `only`, those of these names: fitting takes longer than drawing.
    """
    runtime = runtime_table() if runtime is None else runtime
    counts = read(count_of()) if counts is None else counts
    memory = memory_table(counts)
    methods = memory_methods_table(counts)

    @cache
    def fitted() -> list[Fitted]:
        series = [*runtime_series(runtime, memory), *memory_series(memory, runtime, None, LAST_PX)]
        return fit_all(series, beyond_limit=beyond_limit)

    tables: dict[str, Callable[[], pd.DataFrame]] = {
        "runtime": lambda: runtime,
        "memory": lambda: memory,
        "memory_methods": lambda: methods,
        "fits": lambda: fits_table(fitted(), LAST_PX),
        "fit_models": lambda: fit_models_table(fitted(), LAST_PX),
        "fit_curves": lambda: fit_curves_table(fitted(), LAST_PX),
        "implementations": lambda: implementations_table(runtime, memory),
        "memory_extrapolation": lambda: memory_extrapolation_table(memory, LAST_PX),
        "feasibility": lambda: feasibility_table(
            FeasibilityTables(methods, memory, runtime), HARDWARE
        ),
        **({} if runs is None else {"runs": lambda: runs}),
    }
    return {name: make() for name, make in tables.items() if only is None or name in only}


def runtime_row(method: str, side_px: int, submodule: str, role: str, **more: Any) -> Any:
    row: dict[str, Any] = {
        **dict.fromkeys(RUNTIME.schema),
        "device": "lab",
        "device_type": "cuda",
        "hardware": "generated GPU",
        "method": method,
        "variant": VARIANT,
        **size_values(square(side_px)),
        "submodule": submodule,
        "role": role,
        "clock": "busy",
        "status": "ok",
        "collector": "nsys",
        "collector_version": "2023.4.4",
        "processes": 1,
        "images": 5,
        "verdict": "steady",
    }
    return {**row, **more}


def runtime_table(
    method: str = "M", sides_px: tuple[int, ...] = SIDES_PX, **more: Any
) -> pd.DataFrame:
    """Times of 1 ms per megapixel and weight, a wobble of 1 %, intervals of ±10 %."""
    rows = []
    for number, side_px in enumerate(sides_px):
        whole_ms = 0.0
        for submodule, weight in (*SUBMODULES.items(), ("image", 0.0)):
            role = "image" if submodule == "image" else "submodule"
            mean_ms = weight * (1 + side_px**2 / 1e6) * (1 + 0.01 * (-1) ** number)
            whole_ms += mean_ms
            shown_ms = whole_ms if role == "image" else mean_ms
            times = {"mean_ms": shown_ms, "ci95_low_ms": shown_ms * 0.9}
            times["ci95_high_ms"] = shown_ms * 1.1
            rows.append(runtime_row(method, side_px, submodule, role, **{**times, **more}))
    return make_table(rows, RUNTIME.schema)


LATENCY_MS = {
    "image": ("image", 1.2), "load": ("outside", 6.0), "prepare": ("outside", 0.5),
    "copy_to_device": ("outside", 0.05), "copy_to_host": ("outside", 0.02),
    "end_to_end": ("end_to_end", 1.77),
}  # fmt: skip
"""Role of each part that is timed without a profiler, and its time in ms per megapixel."""


def latency_table(
    method: str = "M", sides_px: tuple[int, ...] = SIDES_PX, **more: Any
) -> pd.DataFrame:
    """Times of `LATENCY_MS`, intervals of ±10 %, tails of 30 %."""
    rows = []
    for side_px in sides_px:
        for part, (role, per_megapixel_ms) in LATENCY_MS.items():
            mean_ms = per_megapixel_ms * side_px**2 / 1e6
            row = runtime_row(
                method, side_px, part, role, clock="latency", collector="none",
                collector_version="adscale 0.1.0", mean_ms=mean_ms, ci95_low_ms=0.9 * mean_ms,
                ci95_high_ms=1.1 * mean_ms, p99_ms=1.3 * mean_ms,
            )  # fmt: skip
            rows.append({**row, **more})
    return make_table(rows, RUNTIME.schema)


def runs_table(runtime: pd.DataFrame, **more: Any) -> pd.DataFrame:
    """The runs of a table of runtimes, with settings; `more` replaces columns."""
    latency = runtime["clock"].eq("latency").map({True: "latency", False: "profiled"})
    key = ["device", "device_type", "hardware", "method", "variant", *names_of(SIZE)]
    runs = runtime.assign(**{"pass": latency}).drop_duplicates([*key, "pass"])
    rows = [
        {
            **dict.fromkeys(RUNS.schema), **run, "process": 1, "threads": 8, "cache": "warm",
            "asked_cudnn_benchmark": False, "asked_deterministic": False,
            "evidence": f"evidence for {run['verdict']}", **more,
        }
        for run in runs[[*key, "pass", "status", "verdict"]].to_dict("records")
    ]  # fmt: skip
    return make_table(rows, RUNS.schema)


def draw(
    name: str,
    runtime: pd.DataFrame | None = None,
    counts: Sequence[ReadCount] | None = None,
    style: Style = STYLE,
    hardware: Hardware = HARDWARE,
    runs: pd.DataFrame | None = None,
    *,
    beyond_limit: bool = True,
) -> Drawing:
    """One figure of the study."""
    read_tables = [
        RUNS,
        *(t for kind in FIGURES if name.startswith(kind.begins) for t in kind.reads),
    ]
    only = {RUNTIME.name, *(table.name for table in read_tables)}
    tables = study_tables(runtime, counts, runs, beyond_limit=beyond_limit, only=only)
    with mpl.rc_context(rc_parameters(style)):  # type: ignore[arg-type]
        return study_figures(tables, hardware, style)[name]()


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def caption(drawing: Drawing) -> str:
    return " ".join(drawing.figure.texts[0].get_text().split())


def bars(drawing: Drawing, axes: int) -> dict[str, list[float]]:
    containers = drawing.figure.axes[axes].containers
    found = [each for each in containers if isinstance(each, BarContainer)]
    return {str(each.get_label()): [bar.get_height() for bar in each] for each in found}
