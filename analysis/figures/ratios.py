"""Shares and ratios of times: waiting for launches, optimized over reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adscale.figures import FigureKind
from adscale.resolution import resolution_words
from adscale.tables import names_of
from adscale.variant import Variant

from ..columns import SIZE
from ..ratios import IMPLEMENTATIONS
from ..runtime_table import RUNTIME
from .axes import SIDE, panels, part_colour, part_name, row_count, size_ticks
from .canvas import Drawing, Style, log_numbers, new_figure
from .captions import CLOCK_WORDS, measured_on, out_of_memory
from .edge_labels import EdgeLabel, EdgeLabels, add_edge_labels, settle
from .marks import cross_unsteady, settings_words, unsteady_words

if TYPE_CHECKING:
    import pandas as pd

PANEL_MM = 48
PANEL_FROM_MM = 60
SHARE_TICKS = 3
ENDS_PERCENT = (10, 25, 50, 100)
"""Where the axis may end; a share may be small."""


def launch_bound(runtime: pd.DataFrame, style: Style) -> Drawing:
    """Launch-bound share of all methods on one GPU in one variant, a panel each.

    Args:
        runtime: the rows of ``runtime.csv`` of that device and variant.
        style: sizes and fonts.
    """
    first = runtime.iloc[0]
    shown = runtime[(runtime["clock"] == "busy") & runtime["role"].isin(["submodule", "image"])]
    methods = list(dict.fromkeys(shown["method"]))
    caption = (
        f"{first['variant']}: launch-bound share, the mean of 1 − busy / span: how long no kernel "
        "runs between the first kernel of a submodule and its last. Towards 100 % the GPU waits "
        "for launches, and time hardly grows with the image; towards 0 % it is busy. "
        f"{measured_on(shown)}.{out_of_memory(shown)}{settings_words(shown)}"
        f"{unsteady_words(shown, 'crossed out')}"
    )
    rows = row_count(len(methods), style, PANEL_FROM_MM)
    figure = new_figure(style, PANEL_MM * rows, caption)
    grid = panels(figure, len(methods), style, PANEL_FROM_MM)
    labels: list[EdgeLabels] = []
    highest = max(shown["launch_bound_share"].dropna() * 100, default=100)
    top = next(end for end in ENDS_PERCENT if highest <= end)
    for axes, method in zip(grid, methods, strict=True):
        ends = []
        known = shown[(shown["method"] == method) & shown["launch_bound_share"].notna()]
        for part, of_part in known.groupby("submodule", sort=False):
            percent, colour = of_part["launch_bound_share"] * 100, part_colour(str(part))
            axes.plot(of_part["side_px"], percent, "o-", color=colour, markersize=3)
            cross_unsteady(axes, of_part, percent)
            ends.append(EdgeLabel(float(percent.iloc[-1]), part_name(str(part)), colour))
        axes.set_title(method, loc="left")
        axes.set_ylim(0, top)
        axes.set_ylabel("share in %")
        size_ticks(axes, runtime, SHARE_TICKS)
        labels.append(add_edge_labels(axes, "right", ends, style.font_pt - 2))
    settle(figure, labels)
    columns = ["device", "hardware", "method", "variant", *names_of(SIZE), "submodule"]
    data = shown[[*columns, "role", "status", "verdict", "images", "launch_bound_share"]]
    name = f"launch_bound_{first['device']}_{first['variant']}"
    return Drawing(name, figure, data.assign(basis="measured"))


HEIGHT_MM = 70
RATIO_TICKS = 6


def implementation_ratios(implementations: pd.DataFrame, style: Style) -> Drawing:
    """Ratio of the times per submodule, of one device × method × precision.

    Args:
        implementations: its rows of ``implementations.csv``.
        style: sizes and fonts.
    """
    import numpy as np

    first = implementations.iloc[0]
    figure = new_figure(style, HEIGHT_MM, _ratio_caption(implementations))
    axes = figure.subplots()
    axes.axhline(1, color="#555555", linewidth=0.8, zorder=1)
    ends = []
    measured = implementations[implementations["time_ratio"].notna()]
    for part, rows in measured.groupby("submodule", sort=False):
        colour, ratio = part_colour(str(part)), rows["time_ratio"]
        ends_of = (ratio - rows["time_ratio_ci95_low"], rows["time_ratio_ci95_high"] - ratio)
        axes.errorbar(
            rows["side_px"], ratio,
            np.array([end.to_numpy("float64", na_value=np.nan) for end in ends_of]),
            color=colour, marker="o", markersize=3, capsize=2, elinewidth=0.7,
        )  # fmt: skip
        unclear = rows["time_verdict"].eq("unclear").to_numpy(bool)
        axes.plot(
            rows["side_px"][unclear], ratio[unclear], "o", color=colour,
            markerfacecolor="white", markersize=3, zorder=3,
        )  # fmt: skip
        cross_unsteady(axes, rows.assign(verdict=_worse(rows)), ratio)
        ends.append(EdgeLabel(float(ratio.iloc[-1]), part_name(str(part)), colour))
    axes.set_yscale("log")
    ratios = [1.0, *measured["time_ratio"]]
    axes.set_ylim(min(ratios) / 1.5, max(ratios) * 1.5)
    log_numbers(axes.yaxis)
    compared = "optimized" if Variant.of(first["variant"]).is_plain else "variant"
    axes.set_ylabel(f"time, {compared} / reference")
    axes.set_xlabel(SIDE)
    size_ticks(axes, implementations, RATIO_TICKS)
    settle(figure, [add_edge_labels(axes, "right", ends, style.font_pt - 1.5)])
    name = f"implementations_{first['device']}_{first['method']}_{first['precision']}"
    return Drawing(name, figure, implementations.assign(basis="measured"))


def _ratio_caption(implementations: pd.DataFrame) -> str:
    first = implementations.iloc[0]
    images = implementations[["reference_images", "optimized_images"]]
    has_interval = bool(implementations["time_ratio_ci95_low"].notna().any())
    interval = ", with the 95 % confidence interval" if has_interval else ""
    return (
        f"{first['method']}, {first['precision']}: time of {_sides(implementations)}{interval}. "
        f"Below 1 it is faster, open: unclear whether. {CLOCK_WORDS[first['clock']]}, measured on "
        f"{first['hardware']} (device “{first['device']}”), {_batch_words(implementations)}, n = "
        f"{_range(images)} {'images' if first['batch'] == 1 else 'batches'}. "
        "The two were measured one after the other: a drift of the machine is not in the interval."
        f"{_unsteady_words(implementations)}"
    )


def _sides(implementations: pd.DataFrame) -> str:
    """What is over what."""
    variant = Variant.of(implementations["variant"].iloc[0])
    if variant.is_plain:
        return "the optimized implementation over that of the reference"
    return f"{variant} over that of {' and '.join(implementations['reference_variant'].unique())}"


def _worse(rows: pd.DataFrame) -> pd.Series:
    """The verdict of the implementation that was not steady; that of the reference if both."""
    optimized = rows["optimized_verdict"]
    return rows["reference_verdict"].where(rows["reference_verdict"] != "steady", optimized)


def _batch_words(implementations: pd.DataFrame) -> str:
    """The batches of both sides, and what is compared where there are any."""
    batch, others = implementations["batch"].iloc[0], implementations["reference_batch"].unique()
    if batch == 1:
        return "batch 1"
    of_one = f" against batch {' or '.join(map(str, sorted(others)))} of the reference"
    return f"batch {batch}{'' if list(others) == [batch] else of_one}, times per image"


def _unsteady_words(implementations: pd.DataFrame) -> str:
    """A sentence on the runs that were not steady, or nothing."""
    named = []
    for side in ("reference", "optimized"):
        runs = implementations[["resolution", f"{side}_verdict"]].dropna().drop_duplicates()
        for verdict, of_one in runs.groupby(f"{side}_verdict", sort=False):
            if verdict != "steady":
                at = resolution_words(of_one["resolution"])
                named.append(f"{side} at {at} px ({verdict})")
    return f" Not steady (crossed out): {'; '.join(named)}." if named else ""


def _range(images: pd.DataFrame) -> str:
    low, high = images.min().min(), images.max().max()
    return f"{low}" if low == high else f"{low}–{high}"


FIGURES = (
    FigureKind(
        begins="launch_bound",
        labels=("device", "variant"),
        reads=(RUNTIME,),
        draw=launch_bound,
        category="Runs",
        subcategory="Waiting for launches",
        quantity="share of time without a kernel",
        caption="""The share of each submodule's time on the GPU in which none of its kernels
ran, because the next one was not launched yet.

Measured: 1 − ``busy`` / ``span``, mean over the images.""",
        shows="how long a GPU waits for launches",
        when="gpu",
    ),
    FigureKind(
        begins="implementations",
        labels=("device", "method", "precision"),
        reads=(IMPLEMENTATIONS,),
        draw=implementation_ratios,
        category="Runtime",
        subcategory="Reference and optimized",
        quantity="time and memory of optimized over reference",
        caption="""Time and memory of ``optimized`` over those of ``reference``, which gives the
same results, or of a variant in another precision, layout or engine over those of
``reference-fp32``, over the resolution. Below 1, it takes less.

Times are measured, by the main clock of the device (``busy`` on a GPU, ``host`` on a CPU), with
the 95 % interval of the ratio; memory is counted.""",
        shows="time of optimized, or of another variant, over that of its reference",
    ),
)
"""The figures of this module."""
