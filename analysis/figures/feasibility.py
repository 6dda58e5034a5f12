"""Which method fits which GPU at which sensor, and how many images per second it makes there."""

from __future__ import annotations

import math
from collections.abc import Container, Hashable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from adscale.figures import FigureKind

from ..feasibility.tables import FEASIBILITY
from .canvas import Drawing, Style, columns_that_fit, new_figure
from .captions import batches_in, counted_in

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CELL_MM = 4.4
"""Height of a row."""

TITLE_MM = 7
"""Above a panel."""

AROUND_MM = 26
"""For the legend, and for the names of the sensors beneath the lowest panel."""

TWO_COLUMNS_FROM_MM = 120
"""Width from which on two panels stand beside each other."""

FRAME_PT = 0.7
"""Width of the frame around what was measured."""

NAME_LENGTH = 26
"""Characters of the name of a GPU."""


class Look(NamedTuple):
    """How a verdict is drawn: told apart without colours, too, by lightness, symbol or hatching."""

    fill: str
    ink: str
    symbol: str
    words: str
    hatch: str | None = None
    hatched: str = "#FFFFFF"


LOOKS = {
    "fits": Look("#0072B2", "#FFFFFF", "✓", "fits"),
    "uncertain": Look("#F0E442", "#000000", "?", "uncertain", "////", "#D3C830"),
    "does_not_fit": Look("#E4E4E4", "#333333", "×", "does not fit"),
    "refused": Look("#FFFFFF", "#333333", "–", "size refused", "\\\\\\\\", "#BBBBBB"),
}


def feasibility(table: pd.DataFrame, style: Style) -> Drawing:
    """A matrix of GPUs and sensors for each method, of one variant.

    Args:
        table: its rows of ``feasibility.csv``, at least one.
        style: sizes and fonts.
    """
    methods = list(table.groupby("method", sort=False))
    columns = min(len(methods), 2 if style.width_mm >= TWO_COLUMNS_FROM_MM else 1)
    rows = math.ceil(len(methods) / columns)
    height_mm = rows * (table["gpu"].nunique() * CELL_MM + TITLE_MM) + AROUND_MM
    figure = new_figure(style, height_mm, _caption(table))
    grid = figure.subplots(rows, columns, squeeze=False)
    for number, axes in enumerate(grid.flat):
        if number >= len(methods):
            axes.set_visible(False)
            continue
        name, of_method = methods[number]
        lowest = number + columns >= len(methods)
        _draw(axes, of_method, style, with_gpus=number % columns == 0, with_sensors=lowest)
        axes.set_title(str(name))
    _add_legend(figure, style, set(table["verdict"]))
    return Drawing(f"feasibility_{table['variant'].iloc[0]}", figure, table)


def _add_legend(figure: Figure, style: Style, verdicts: Container[str]) -> None:
    """Explains what there may be, and a refused size only where there is one."""
    from matplotlib.patches import Patch

    handles = [
        Patch(
            facecolor=look.fill, edgecolor=look.hatched, hatch=look.hatch, linewidth=0,
            label=f"{look.symbol}  {look.words}",
        )
        for verdict, look in LOOKS.items()
        if verdict != "refused" or verdict in verdicts
    ]  # fmt: skip
    handles.append(Patch(fill=False, linewidth=FRAME_PT, label="framed: measured at this size"))
    labels = [str(handle.get_label()) for handle in handles]
    columns = columns_that_fit(labels, style, len(labels))
    figure.legend(handles=handles, loc="outside upper center", ncols=columns)


def _draw(
    axes: Axes, table: pd.DataFrame, style: Style, *, with_gpus: bool, with_sensors: bool
) -> None:
    from matplotlib.patches import Rectangle

    gpus = table.drop_duplicates("gpu").reset_index(drop=True)
    sensors = table.drop_duplicates("sensor").sort_values("megapixels", kind="stable")
    row_of = {name: number for number, name in enumerate(gpus["gpu"])}
    column_of = {name: number for number, name in enumerate(sensors["sensor"])}
    for cell in table.to_dict("records"):
        look = LOOKS[cell["verdict"]]
        x, y = column_of[cell["sensor"]], row_of[cell["gpu"]]
        box = Rectangle(
            (x - 0.5, y - 0.5), 1, 1, facecolor=look.fill, edgecolor=look.hatched, hatch=look.hatch,
            linewidth=0,
        )  # fmt: skip
        axes.add_patch(box)
        if cell["latency_basis"] == "measured" and cell["verdict"] != "does_not_fit":
            frame = Rectangle((x - 0.42, y - 0.4), 0.84, 0.8, fill=False, edgecolor=look.ink)
            frame.set_linewidth(FRAME_PT)
            axes.add_patch(frame)
        axes.text(
            x, y, cell_text(cell), color=look.ink, ha="center", va="center_baseline",
            fontsize=style.font_pt - 2.5,
        )  # fmt: skip
    axes.set_xlim(-0.5, len(sensors) - 0.5)
    axes.set_ylim(len(gpus) - 0.5, -0.5)
    small = style.font_pt - 2
    labels = [_sensor_name(one) for one in sensors.to_dict("records")] if with_sensors else []
    axes.set_xticks(range(len(sensors)), labels or [""] * len(sensors), rotation=90, fontsize=small)
    names = [_gpu_name(gpu) for gpu in gpus.to_dict("records")] if with_gpus else []
    axes.set_yticks(range(len(gpus)), names or [""] * len(gpus), fontsize=small)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    for border in range(1, max(len(gpus), len(sensors))):
        if border < len(gpus):
            axes.axhline(border - 0.5, color="white", linewidth=0.8, zorder=2)
        if border < len(sensors):
            axes.axvline(border - 0.5, color="white", linewidth=0.8, zorder=2)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _sensor_name(sensor: Mapping[Hashable, Any]) -> str:
    """Its name with width and height, or with its megapixels where only these are known."""
    import pandas as pd

    if pd.isna(sensor["sensor_width_px"]):
        return f"{sensor['sensor']}, {sensor['megapixels']:.3g} MP"
    return f"{sensor['sensor']}, {sensor['sensor_resolution']}"


def _gpu_name(gpu: Mapping[Hashable, Any]) -> str:
    import pandas as pd

    from ..feasibility.process import GIB

    memory = gpu["gpu_memory_bytes"]
    name = str(gpu["gpu"])
    short = name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 1]}…"
    shared = " unified" if pd.notna(gpu["unified_memory"]) and gpu["unified_memory"] else ""
    return short if pd.isna(memory) else f"{short}, {memory / GIB:.3g} GiB{shared}"


def cell_text(cell: Mapping[Hashable, Any]) -> str:
    """Images per second where they are known and it may fit, else the symbol of the verdict."""
    import pandas as pd

    rate = cell["images_per_second"]
    if cell["verdict"] == "does_not_fit" or pd.isna(rate):
        return LOOKS[cell["verdict"]].symbol
    return rate_text(rate)


def rate_text(rate: float) -> str:
    """Return at most four characters: 360, 36, 3.6, 0.1, <0.1; thousands as 1.4k or 14k."""
    if rate >= 999.5:
        return f"{rate / 1e3:.{int(rate < 9950)}f}k"
    if rate >= 9.95:
        return f"{rate:.0f}"
    return "<0.1" if rate < 0.05 else f"{rate:.1f}"


def _caption(table: pd.DataFrame) -> str:
    from ..feasibility.fitting import ALLOCATOR_RESERVE
    from ..feasibility.process import ASSUMED_CONTEXT_BYTES, ASSUMED_SYSTEM_BYTES, GIB

    unified = table["unified_memory"].fillna(value=False)
    assumed = table["context_basis"].eq("assumed").any()
    low, high = (size / GIB for size in ASSUMED_CONTEXT_BYTES)
    context = (
        f", assumed to be {low:g} to {high:g} GiB where it was not measured," if assumed else ""
    )
    reserve = f"at least {ALLOCATOR_RESERVE * 100:.0f} % for the allocator"
    least, most = (size / GIB for size in ASSUMED_SYSTEM_BYTES)
    shared = (
        f" Unified memory is that of the CPU, too, whose system is assumed to take {least:g} to "
        f"{most:g} GiB of it."
    )
    return (
        f"{table['variant'].iloc[0]}: {_question(table)}, with its width and height, "
        "fit into the memory of the GPU? Counted at "
        f"{counted_in(table)}, with the "
        f"context of the process{context} and {reserve}, or seen where it was run. Where a "
        "method does not run at them, the image is padded to the next at which it runs."
        f"{shared if unified.any() else ''}{_rates(table)}"
    )


def _question(table: pd.DataFrame) -> str:
    (batch,) = batches_in(table) or [1]
    return (
        f"do {batch} images of the sensor at once" if batch > 1 else "does an image of the sensor"
    )


def _rates(table: pd.DataFrame) -> str:
    """A sentence on the numbers, or that there are none."""
    known = table[table["images_per_second"].notna() & (table["verdict"] != "does_not_fit")]
    if known.empty:
        return " Latency is known at none of these sizes and GPUs."
    devices = known.drop_duplicates("device")
    on = ", ".join(
        f"{one.hardware} (device “{one.device}”)" for one in devices.itertuples(index=False)
    )
    images = known["images"]
    many = f"{images.min()}" if images.min() == images.max() else f"{images.min()}–{images.max()}"
    modelled = bool((known["latency_basis"] != "measured").any())
    law = "; without a frame by the law fitted to other sizes" if modelled else ""
    unsteady = known["latency_verdict"].ne("steady").any()
    marked = " Some of these runs were not steady, see feasibility.csv." if unsteady else ""
    return (
        f" Numbers: images per second by the mean latency of an image from decoded to result, "
        f"measured on {on} without a profiler, n = {many} images{law}. Never taken from another "
        f"GPU.{marked}"
    )


FIGURES = (
    FigureKind(
        begins="feasibility",
        labels=("variant",),
        reads=(FEASIBILITY,),
        draw=feasibility,
        category="Feasibility",
        subcategory="Figures",
        quantity="what fits which GPU at which sensor",
        caption="""Which method fits which GPU at the image of which sensor, and how fast it is
where that GPU was measured.

Memory is counted or measured, and times are by the clock ``latency``: measured, interpolated or
extrapolated, as each row says.""",
        shows="which method fits which GPU at which sensor, and its images per second there",
        when="sensors",
    ),
)
"""The figures of this module."""
