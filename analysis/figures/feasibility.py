"""Which method fits which GPU at which sensor, and how many images per second it makes there."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle

from analysis.feasibility.needs import (
    ALLOCATOR_RESERVE,
    ASSUMED_CONTEXT_BYTES,
    GIB,
)
from analysis.figures.canvas import Drawing, columns_that_fit, new_figure
from analysis.figures.style import Style

CELL_MM = 4.4
"""Height of a row."""

AROUND_MM = 22
"""Of a panel, for its title and the names of the sensors."""

TWO_COLUMNS_FROM_MM = 120
"""Width from which on two panels stand beside each other."""

NAME_LENGTH = 26
"""Characters of the name of a GPU."""


class Look(NamedTuple):
    """How a verdict is drawn, by fill, ink and symbol: also without colours."""

    fill: str
    ink: str
    symbol: str
    words: str


LOOKS = {
    "fits": Look("#0072B2", "#FFFFFF", "✓", "fits"),
    "uncertain": Look("#F0E442", "#000000", "?", "uncertain"),
    "does_not_fit": Look("#E4E4E4", "#333333", "×", "does not fit"),
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
    height_mm = rows * (table["gpu"].nunique() * CELL_MM + AROUND_MM) + 8
    figure = new_figure(style, height_mm, _caption(table))
    grid = figure.subplots(rows, columns, squeeze=False)
    for number, axes in enumerate(grid.flat):
        if number >= len(methods):
            axes.set_visible(False)
            continue
        name, of_method = methods[number]
        _draw(axes, of_method, style, with_gpus=number % columns == 0)
        axes.set_title(str(name))
    handles = [
        Patch(facecolor=look.fill, edgecolor="#777777", label=f"{look.symbol}  {look.words}")
        for look in LOOKS.values()
    ]
    labels = [str(handle.get_label()) for handle in handles]
    figure.legend(
        handles=handles, loc="outside upper center", ncols=columns_that_fit(labels, style, 3)
    )
    return Drawing(f"feasibility_{table['variant'].iloc[0]}", figure, table)


def _draw(axes: Axes, table: pd.DataFrame, style: Style, *, with_gpus: bool) -> None:
    gpus = table.drop_duplicates("gpu").reset_index(drop=True)
    sensors = table.drop_duplicates("sensor").sort_values("megapixels", kind="stable")
    row_of = {name: number for number, name in enumerate(gpus["gpu"])}
    column_of = {name: number for number, name in enumerate(sensors["sensor"])}
    for cell in table.to_dict("records"):
        look = LOOKS[cell["verdict"]]
        x, y = column_of[cell["sensor"]], row_of[cell["gpu"]]
        axes.add_patch(
            Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=look.fill, edgecolor="white", lw=0.8)
        )
        axes.text(
            x, y, cell_text(cell), color=look.ink, ha="center", va="center_baseline",
            fontsize=style.font_pt - 2.5,
        )  # fmt: skip
    axes.set_xlim(-0.5, len(sensors) - 0.5)
    axes.set_ylim(len(gpus) - 0.5, -0.5)
    small = style.font_pt - 2
    pairs = zip(sensors["sensor"], sensors["megapixels"], strict=True)
    axes.set_xticks(
        range(len(sensors)), [f"{name}, {size:.3g} MP" for name, size in pairs],
        rotation=90, fontsize=small,
    )  # fmt: skip
    names = [_gpu_name(gpu) for gpu in gpus.to_dict("records")] if with_gpus else []
    axes.set_yticks(range(len(gpus)), names or [""] * len(gpus), fontsize=small)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _gpu_name(gpu: Mapping[Hashable, Any]) -> str:
    memory = gpu["gpu_memory_bytes"]
    name = str(gpu["gpu"])
    short = name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 1]}…"
    return short if pd.isna(memory) else f"{short}, {memory / GIB:.3g} GiB"


def cell_text(cell: Mapping[Hashable, Any]) -> str:
    """Images per second where they are known and it may fit, else the symbol of the verdict.

    A tilde stands before what was not measured at this size, and the symbol of `uncertain` before
    its number.
    """
    look, rate = LOOKS[cell["verdict"]], cell["images_per_second"]
    if cell["verdict"] == "does_not_fit" or pd.isna(rate):
        return look.symbol
    text = rate_text(rate)
    known = text if cell["latency_basis"] == "measured" else f"~{text}"
    return known if cell["verdict"] == "fits" else f"{look.symbol}{known}"


def rate_text(rate: float) -> str:
    """Two digits, in at most four characters: 140, 14, 1.4, 0.1, <0.1; thousands as 14k."""
    if rate >= 1e4:
        return f"{rate / 1e3:.0f}k"
    if rate >= 9.95:
        return f"{rate:.0f}"
    return "<0.1" if rate < 0.05 else f"{rate:.1f}"


def _caption(table: pd.DataFrame) -> str:
    assumed = table["context_basis"].eq("assumed").any()
    low, high = (size / GIB for size in ASSUMED_CONTEXT_BYTES)
    context = (
        f", assumed to be {low:g} to {high:g} GiB where it was not measured," if assumed else ""
    )
    return (
        f"{table['variant'].iloc[0]}: does an image of the sensor, as the square with as many "
        "pixels, fit into the memory of the GPU? Counted at batch 1 in 32-bit floats, with the "
        f"context of the process{context} and {ALLOCATOR_RESERVE:.0%} for the allocator, or seen "
        f"where it was run. Sensors that are not square are outside.{_rates(table)}"
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
    tilde = "; with ~ by the law fitted to other sizes" if modelled else ""
    unsteady = known["latency_verdict"].ne("steady").any()
    marked = " Some of these runs were not steady, see feasibility.csv." if unsteady else ""
    return (
        f" Numbers: images per second by the mean latency of an image from decoded to result, "
        f"measured on {on} without a profiler, n = {many} images{tilde}. Never taken from another "
        f"GPU.{marked}"
    )
