"""Times by several clocks: launching, running, waiting; and latency without a profiler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adscale.figures import FigureKind
from adscale.variant import Variant

from ..columns import BY_SIZE, images_in
from ..runtime_table import RUNTIME
from .axes import (
    HEIGHT_MM,
    PANEL_FROM_MM,
    WHOLE_IMAGE,
    name_sizes,
    panels,
    part_colour,
    part_name,
    row_count,
    scaling_axes,
    size_ticks,
)
from .canvas import (
    Drawing,
    Style,
    add_legend,
    columns_that_fit,
    log_numbers,
    mean_number,
    method_look,
    new_figure,
    plain_number,
)
from .captions import (
    STATUS_WORDS,
    batches_in,
    measured_on,
    out_of_memory,
    sample_size,
    slowed_down,
    uncertainty,
)
from .marks import (
    cross_unsteady,
    draw_points,
    half_widths,
    hatch_unsteady,
    is_unsteady,
    settings_words,
    unsteady_words,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL_MM = 38
LEGEND_MM = 8
TICKS = 3

LOOKS: dict[str, dict[str, Any]] = {
    "host": {"marker": "o", "markerfacecolor": "white", "linestyle": "--"},
    "span": {"marker": "s", "linestyle": "-"},
    "latency": {"marker": "^", "markerfacecolor": "white", "linestyle": ":"},
}
"""Clocks shown, and how."""

NAMES = {
    "cpu": {"host": "host range", "latency": "latency without a profiler"},
    "cuda": {
        "host": "host range (launching)",
        "span": "GPU span (running)",
        "latency": "latency without a profiler",
    },
}

HYPOTHESIS = (
    " Work on a GPU is launched and not waited for, so a host range lasts as long as its launches, "
    "whatever the kernels take. Hypothesis: the paper's nearly constant runtimes up to 1,024 px "
    "are such host ranges. It would hold if the host range stayed flat where the span rises, and "
    "rose where copies wait for the GPU, as those of PatchCore's reference do."
)


def clocks(runtime: pd.DataFrame, style: Style) -> Drawing:
    """Host range, GPU span and latency of the parts of one device × method × variant.

    Args:
        runtime: the rows of ``runtime.csv`` of that device, method and variant.
        style: sizes and fonts.
    """
    first = runtime.iloc[0]
    inside = _per_image(runtime[runtime["role"].isin(["submodule", "image"])])
    measured = inside[inside["clock"].isin(LOOKS) & inside["mean_ms"].notna()]
    parts = list(dict.fromkeys(inside["submodule"]))
    named = {key: text for key, text in NAMES[first["device_type"]].items()
             if key in set(measured["clock"])}  # fmt: skip
    rows = row_count(len(parts), style, PANEL_FROM_MM)
    figure = new_figure(style, PANEL_MM * rows + LEGEND_MM, _caption(inside, measured))
    grid = panels(figure, len(parts), style, PANEL_FROM_MM)
    for axes, part in zip(grid, parts, strict=True):
        _draw_part(axes, part, measured[measured["submodule"] == part])
        size_ticks(axes, runtime, TICKS)
    figure.supylabel("time per image in ms", fontsize=style.font_pt)
    _add_legend(figure, named, style)
    name = f"clocks_{first['device']}_{first['method']}_{first['variant']}"
    return Drawing(name, figure, measured.assign(basis="measured"))


def _per_image(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with latencies per image, too: those of batches over their images."""
    import pandas as pd

    batches = rows["variant"].map(lambda text: Variant.of(text).batch)
    is_whole = (rows["clock"] == "latency") & (batches > 1)
    if not is_whole.any():
        return rows
    times = [name for name in rows.columns if name.endswith("_ms")]
    per_image = rows[times].div(batches, axis=0).where(is_whole, rows[times])
    return pd.concat([rows.drop(columns=times), per_image], axis=1)[rows.columns]


def _draw_part(axes: Axes, part: str, rows: pd.DataFrame) -> None:
    colour = part_colour(part)
    axes.set_title(part_name(part), loc="left")
    axes.grid(visible=True, axis="both")
    if rows.empty:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", va="center")
        return
    for clock, look in LOOKS.items():
        of_clock = rows[rows["clock"] == clock]
        if not of_clock.empty:
            axes.errorbar(
                of_clock["side_px"], of_clock["mean_ms"], half_widths(of_clock),
                color=colour, capsize=1.5, elinewidth=0.7, markersize=3.5, linewidth=1, **look,
            )  # fmt: skip
            cross_unsteady(axes, of_clock, of_clock["mean_ms"])
    axes.set_yscale("log")
    axes.set_ylim(rows["mean_ms"].min() / 2, rows["mean_ms"].max() * 2)
    log_numbers(axes.yaxis)


def _add_legend(figure: Figure, named: dict[str, str], style: Style) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color="#444444", markersize=3.5, linewidth=1, label=text, **LOOKS[clock])
        for clock, text in named.items()
    ]
    if handles:
        columns = columns_that_fit(list(named.values()), style, most=3)
        figure.legend(handles=handles, loc="outside upper center", ncols=columns)


def _what(rows: pd.DataFrame) -> str:
    return "an image" if batches_in(rows) == [1] else "a batch, over its images,"


def _caption(inside: pd.DataFrame, measured: pd.DataFrame) -> str:
    first = inside.iloc[0]
    profiled = measured[measured["clock"] != "latency"]
    unprofiled = measured[measured["clock"] == "latency"]
    said = f"{first['method']}, {first['variant']}: "
    said += f"{measured_on(inside if profiled.empty else profiled)}."
    if not unprofiled.empty:
        said += (
            f" Latency: from the start of {_what(unprofiled)} until the device is done, in a pass "
            f"of its own without a profiler, {sample_size(unprofiled)}."
        )
    if first["device_type"] == "cuda":
        said += HYPOTHESIS
    marked = f"{settings_words(measured)}{unsteady_words(measured, 'crossed out')}"
    return f"{said}{_growth(measured)}{out_of_memory(inside)}{marked}"


def _growth(measured: pd.DataFrame) -> str:
    """Say by how much the whole image grows by each clock; nothing with one resolution."""
    whole = measured[measured["submodule"] == WHOLE_IMAGE]
    if whole["pixels"].nunique() < 2:
        return ""
    (low, *_, high) = images_in(whole)
    grown = []
    for clock in LOOKS:
        at = whole[whole["clock"] == clock].set_index("resolution")["mean_ms"]
        if {str(low), str(high)} <= {*at.index}:
            grown.append(f"{clock} ×{at[str(high)] / at[str(low)]:.3g}")
    pixels = high.pixels / low.pixels
    return (
        f" The whole image from {low.words} to {high.words} px, ×{pixels:.3g} in pixels: "
        f"{', '.join(grown)}."
    )


PARTS = {
    "prepare": ("prepare", "#56B4E9"),
    "copy_to_device": ("copy to the device", "#E69F00"),
    "image": ("inference", "#0072B2"),
    "copy_to_host": ("copy to the host", "#D55E00"),
    "load": ("load", "#D0D0D0"),
}
"""Parts with their names and colours, from the bottom up: loading on top of what is end to end."""

END_TO_END = "preparing, copies and inference; loading is not in it"
WIDTH = 0.78
"""The height of a bar."""


def _latency_label(points: pd.DataFrame) -> str:
    return f"latency per {'image' if batches_in(points) in ([], [1]) else 'batch'} in ms"


def scaling_latency(runtime: pd.DataFrame, style: Style) -> Drawing:
    """End-to-end latency of all methods over the resolution, on one device in one variant.

    Args:
        runtime: the rows of ``runtime.csv`` of that device and variant.
        style: sizes and fonts.
    """
    device, variant = runtime["device"].iloc[0], runtime["variant"].iloc[0]
    points = runtime[(runtime["clock"] == "latency") & (runtime["role"] == "end_to_end")]
    has_p99 = bool(points["p99_ms"].notna().any())
    caption = (
        f"{variant}: {measured_on(points)}{uncertainty(points)}. End to end: {END_TO_END}."
        f"{' Thin marks above: 99th percentile (of 67 images and more).' if has_p99 else ''}"
        f"{settings_words(points)}{unsteady_words(points)}{out_of_memory(points)}"
        f"{slowed_down(runtime)}"
    )
    figure = new_figure(style, HEIGHT_MM, caption)
    axes = scaling_axes(figure, _latency_label(points), points, with_pixels=True)
    measured = points[points["status"] == "ok"]
    for number, (method, group) in enumerate(measured.groupby("method", sort=False)):
        draw_points(axes, group, number, str(method))
        colour = method_look(number)["color"]
        axes.plot(group["side_px"], group["mean_ms"], "-", color=colour, linewidth=0.8)
        axes.plot(
            group["side_px"], group["p99_ms"].to_numpy("float64", na_value=float("nan")),
            linestyle=":", marker="_", color=colour, linewidth=0.8, markersize=7,
        )  # fmt: skip
    if measured.empty:
        axes.set_yticks([])
    else:  # a wide interval reaches below zero, which has no place on this axis
        axes.set_ylim(bottom=measured["mean_ms"].min() / 3)
    if has_p99:
        axes.plot([], [], linestyle=":", marker="_", color="#555555", label="99th percentile")
    add_legend(figure, axes, style, most_columns=4)
    return Drawing(f"scaling_latency_{device}_{variant}", figure, points.assign(basis="measured"))


def latency_parts(runtime: pd.DataFrame, style: Style) -> Drawing:
    """Draw the parts of the latency of one device × method × variant, from file to result.

    Args:
        runtime: the rows of ``runtime.csv`` of that device, method and variant.
        style: sizes and fonts.
    """
    import numpy as np

    first = runtime.iloc[0]
    rows = runtime[runtime["clock"] == "latency"]
    end_to_end = rows[rows["role"] == "end_to_end"]
    whole = end_to_end.sort_values(BY_SIZE).set_index("resolution")
    shown = rows[rows["submodule"].isin(PARTS)]
    stack = shown.pivot_table(
        index="resolution", columns="submodule", values="mean_ms", dropna=False
    ).reindex(index=whole.index, columns=list(PARTS))
    has_p99 = bool(end_to_end["p99_ms"].notna().any())
    caption = (
        f"{first['method']}, {first['variant']}: {measured_on(end_to_end)}. "
        f"Bars: mean of each part. Black: end-to-end latency ({END_TO_END})"
        f"{uncertainty(end_to_end)}, as numbers above the bars"
        f"{'; dotted: its 99th percentile (of 67 images and more).' if has_p99 else '.'}"
        f"{settings_words(rows)}{unsteady_words(rows, 'hatched')}{out_of_memory(rows)}"
        f"{slowed_down(rows)}"
    )
    figure = new_figure(style, HEIGHT_MM, caption)
    axes: Axes = figure.subplots()
    base = np.zeros(len(stack))
    for part, (label, colour) in PARTS.items():
        heights = stack[part].astype("float64").fillna(0).to_numpy()
        if heights.any():
            axes.bar(
                range(len(stack)), heights, WIDTH, bottom=base, color=colour, label=label,
                edgecolor="white", linewidth=0.4,
            )  # fmt: skip
            base += heights
    hatch_unsteady(axes, is_unsteady(whole).tolist(), base.tolist())
    _mark_end_to_end(axes, whole, base)
    axes.set_ylabel(f"time per {'image' if batches_in(rows) == [1] else 'batch'} in ms")
    axes.yaxis.set_major_formatter(plain_number)
    axes.margins(y=0.14)
    axes.set_ylim(bottom=0)  # an interval of few images may reach below
    name_sizes(axes, stack.index, style)
    add_legend(figure, axes, style, most_columns=3)
    name = f"latency_parts_{first['device']}_{first['method']}_{first['variant']}"
    return Drawing(name, figure, rows.assign(basis="measured"))


def _mark_end_to_end(axes: Axes, whole: pd.DataFrame, tops: npt.NDArray[np.float64]) -> None:
    """Mean and 99th percentile of what is end to end across each bar, or why there is none."""
    import numpy as np

    measured = np.flatnonzero(whole["status"] == "ok")
    if len(measured):
        rows = whole.iloc[measured]
        ends = (measured - WIDTH / 2, measured + WIDTH / 2)
        axes.hlines(rows["mean_ms"], *ends, color="black", label="end to end")
        p99_ms = rows["p99_ms"].to_numpy("float64", na_value=np.nan)
        if np.isfinite(p99_ms).any():
            axes.hlines(p99_ms, *ends, color="black", linestyle=":", label="99th percentile")
        axes.errorbar(
            measured, rows["mean_ms"], half_widths(rows), linestyle="", color="black", capsize=2.5,
            linewidth=0.8, label="_interval",
        )  # fmt: skip
    else:
        axes.set_yticks([])
    for position, (top_ms, (_, row)) in enumerate(zip(tops, whole.iterrows(), strict=True)):
        if row["status"] == "ok":
            ends_ms = row[["p99_ms", "ci95_high_ms"]].dropna().astype("float64")
            highest_ms = np.nanmax([top_ms, *ends_ms])
            axes.annotate(
                mean_number(row, 3), (position, highest_ms), (0, 2),
                textcoords="offset points", ha="center",
            )  # fmt: skip
        else:
            axes.annotate(
                STATUS_WORDS[row["status"]], (position, 0), (0, 4), textcoords="offset points",
                rotation=90, ha="center", va="bottom",
            )  # fmt: skip


FIGURES = (
    FigureKind(
        begins="clocks",
        labels=("device", "method", "variant"),
        reads=(RUNTIME,),
        draw=clocks,
        category="Runs",
        subcategory="Clocks beside each other",
        quantity="time per image by clock",
        caption="""The time of each submodule and of the whole image by every clock there is,
over the resolution: how far they lie apart says what launching, waiting and the profiler cost.

Measured, by the clocks ``host``, ``kernel_sum``, ``busy`` and ``span`` on a GPU, ``host`` on a
CPU, and ``latency`` of the whole image.""",
        shows="one submodule by several clocks",
    ),
    FigureKind(
        begins="scaling_latency",
        labels=("device", "variant"),
        reads=(RUNTIME,),
        draw=scaling_latency,
        category="Scaling",
        subcategory="Latency",
        quantity="wall time over resolution",
        caption="""Wall time from the decoded image to its result, of all methods in a variant
over the resolution.

All of it is measured, by the clock ``latency``, in a pass of its own without a profiler.""",
        shows="latency of all methods, from the decoded image to the result",
        when="latency",
    ),
    FigureKind(
        begins="latency_parts",
        labels=("device", "method", "variant"),
        reads=(RUNTIME,),
        draw=latency_parts,
        category="Runtime",
        subcategory="Parts of the latency",
        quantity="wall time from decoded image to result",
        caption="""Wall time of what happens to an image from its decoding on: preparing it, the
copies, and the inference.

Measured, by the clock ``latency``: a pass of its own without a profiler.""",
        shows="from the decoded image to the result, by step",
        when="latency",
    ),
)
"""The figures of this module."""
