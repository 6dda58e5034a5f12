"""Memory of the submodules: what is alive at their peaks, and extrapolated against counted."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from adscale.figures import FigureKind
from adscale.tables import names_of

from ..columns import SIZE, WHOLE_METHOD, images_in
from ..memory_extrapolation import MEMORY_EXTRAPOLATION, whole_counts
from ..memory_table import COUNTED, MEMORY, MEMORY_METHODS
from .axes import name_sizes
from .canvas import (
    CHARACTER_WIDTH,
    PARAMETERS_COLOUR,
    Drawing,
    Style,
    columns_that_fit,
    darker,
    legend_name,
    log_numbers,
    new_figure,
    submodule_colour,
)
from .captions import counted_in, incomplete, not_counted, on_device
from .edge_labels import EdgeLabel, EdgeLabels, add_edge_labels, settle
from .shares import shown_rows, shown_words

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT_MM = 110
GIB = 2**30
GROUP_WIDTH = 0.84
"""Width of the columns of one resolution, where the next begins at 1."""

HELD = "parameters and buffers"
OTHER = "image and libraries"
KEPT = "kept from before"
NEEDED = "what the device must hold"
OTHER_COLOUR = "#F0F0F0"
FILLS = {HELD: PARAMETERS_COLOUR, OTHER: OTHER_COLOUR}
"""Colour of what belongs to no submodule."""
KEPT_HATCH = "//////"


def memory_peak(memory: pd.DataFrame, methods: pd.DataFrame, style: Style) -> Drawing:
    """Peak of each submodule of one method × variant, upon what the device holds all the time.

    Args:
        memory: the rows of ``memory.csv`` of that method and variant.
        methods: its rows of ``memory_methods.csv``.
        style: sizes and fonts.
    """
    first = memory.iloc[0]
    data = _columns(memory, methods)
    caption = (
        f"{first['method']}, {first['variant']}: memory on {on_device(memory)} counted, not "
        f"measured, at {counted_in(memory)}. Above: the largest sum of tensors "
        "alive at once in each submodule, and what the device must hold. Below: what it holds "
        "when each submodule is at its peak, in per cent of that: the submodule that reaches 100 "
        "% decides. Kept from before: alive when the submodule "
        f"begins.{not_counted(methods)}{shown_words(images_in(memory))}{incomplete(memory)}"
    )
    figure = new_figure(style, HEIGHT_MM, caption)
    top: Axes
    bottom: Axes
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2, 3))
    _draw_lines(top, data)
    _draw_columns(bottom, data, style)
    _add_legend(figure, list(dict.fromkeys(data["submodule"])), style)
    return Drawing(f"memory_peak_{first['method']}_{first['variant']}", figure, data)


def _columns(memory: pd.DataFrame, methods: pd.DataFrame) -> pd.DataFrame:
    """A row per column that is drawn, with its four parts in bytes, and their share of the need."""
    beneath = methods.assign(
        held_bytes=methods["parameters_bytes"] + methods["buffers_bytes"],
        image_and_libraries_bytes=methods["image_bytes"] + methods["library_bytes"],
    )
    names = ["held_bytes", "image_and_libraries_bytes", "needed_bytes"]
    shown = shown_rows(memory)
    rows = shown[[*names_of(COUNTED), "submodule", "peak_bytes", "kept_bytes"]].merge(
        beneath[["resolution", *names]], on="resolution", how="left"
    )
    parts = ("held_bytes", "image_and_libraries_bytes", "peak_bytes")
    share = sum(rows[part] for part in parts) / rows["needed_bytes"]
    return rows.assign(share_of_needed=share, basis="counted")


def _draw_lines(axes: Axes, data: pd.DataFrame) -> None:
    import numpy as np

    positions = {size: number for number, size in enumerate(_sizes(data))}
    for submodule, rows in data.groupby("submodule", sort=False):
        peak = rows["peak_bytes"].where(rows["peak_bytes"] > 0).astype("Float64") / GIB
        axes.plot(
            rows["resolution"].map(positions), peak.to_numpy("float64", na_value=np.nan), "o-",
            color=submodule_colour(str(submodule)), markersize=3,
        )  # fmt: skip
    needed = data.groupby("resolution", sort=False)["needed_bytes"].first() / GIB
    axes.plot(sorted(positions.values()), needed[list(positions)], "-", color="black")
    axes.set_yscale("log")
    log_numbers(axes.yaxis)
    axes.set_ylabel("memory in GiB")


def _draw_columns(axes: Axes, data: pd.DataFrame, style: Style) -> None:
    import numpy as np
    import pandas as pd

    sizes, submodules = _sizes(data), list(dict.fromkeys(data["submodule"]))
    width = GROUP_WIDTH / len(submodules)
    for place, submodule in enumerate(submodules):
        rows = data[data["submodule"] == submodule]
        left = np.array([sizes.index(size) for size in rows["resolution"]])
        position = left - GROUP_WIDTH / 2 + width * (place + 0.5)
        colour = submodule_colour(submodule)
        parts = pd.DataFrame(
            {
                HELD: rows["held_bytes"],
                OTHER: rows["image_and_libraries_bytes"],
                KEPT: rows["kept_bytes"],
                submodule: rows["peak_bytes"] - rows["kept_bytes"],
            }
        )
        percent = parts.div(rows["needed_bytes"], axis=0).astype("float64") * 100
        for part, base in (percent.cumsum(axis=1) - percent).items():
            axes.bar(
                position, percent[part], width * 0.94, bottom=base, label=part,
                color=FILLS.get(str(part), colour), hatch=KEPT_HATCH if part == KEPT else None,
                edgecolor="white", linewidth=0,
            )  # fmt: skip
    for middle, size in enumerate(sizes):
        needed = data.loc[data["resolution"] == size, "needed_bytes"].iloc[0]
        axes.annotate(
            f"{_three_digits(needed / GIB)} GiB", (middle, 100), (0, 2), ha="center",
            textcoords="offset points", fontsize=style.font_pt - 2, annotation_clip=False,
        )  # fmt: skip
    axes.set_ylim(0, 108)
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.set_ylabel("share in %")
    name_sizes(axes, sizes, style)


def _add_legend(figure: Figure, submodules: list[str], style: Style) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Artist] = [
        *(Patch(color=submodule_colour(name), label=legend_name(name)) for name in submodules),
        Patch(facecolor="#777777", edgecolor="white", hatch=KEPT_HATCH, linewidth=0, label=KEPT),
        Patch(facecolor=OTHER_COLOUR, edgecolor="#BBBBBB", linewidth=0.4, label=OTHER),
        Patch(color=PARAMETERS_COLOUR, label=HELD),
        Line2D([], [], color="black", label=NEEDED),
    ]
    columns = columns_that_fit([str(handle.get_label()) for handle in handles], style, most=4)
    figure.legend(handles=handles, loc="outside upper center", ncols=columns)


def _sizes(data: pd.DataFrame) -> list[str]:
    return [str(size) for size in images_in(data)]


def _three_digits(value: float) -> str:
    decimals = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{decimals}f}"


PANEL_MM = {2: 40, 1: 28}
"""Height of a panel, by the number of columns."""

TWO_COLUMNS_FROM_MM = 120
"""A figure less wide than this has its panels below each other."""

TITLE_SHARE = 0.6
"""Share of the width of a column that the title of a panel may take."""

PANELS = {"peak": "peak_bytes", "activations": "activations_bytes"}
"""Quantity of `memory_extrapolation.csv`, and the column of `memory.csv` that it is fitted to."""

TICKS_PX = (256, 512, 1024, 2048)

LONGEST_NAME = 20
"""Characters of a submodule's name; the rest is cut off."""


def memory_extrapolation(memory: pd.DataFrame, judged: pd.DataFrame, style: Style) -> Drawing:
    """All methods of one variant, a row of panels each.

    Args:
        memory: the rows of ``memory.csv`` of that variant.
        judged: its rows of ``memory_extrapolation.csv``.
        style: sizes and fonts.
    """
    import pandas as pd

    variant = memory["variant"].iloc[0]
    parts = judged[judged["submodule"] != WHOLE_METHOD]
    last = parts.groupby(["quantity", "method", "submodule"], sort=False).tail(1)
    caption = (
        f"{variant}: memory on {on_device(memory)} at {counted_in(memory)}. "
        "Peak: the largest sum of tensors alive at once; activations: outputs of all layers that "
        "own parameters (paper, equation 3). Points: counted exactly, no image is run. Lines: "
        "second-degree least-squares fit over the side length (the paper's model) through the "
        "filled points, dashed where extrapolated. Percentages: error of the extrapolation at the "
        f"last point, {_span_words(last['at_px'])}. Submodules of which nothing is counted have no "
        f"curve.{incomplete(memory)}"
    )
    methods = list(dict.fromkeys(memory["method"]))
    columns = len(PANELS) if style.width_mm >= TWO_COLUMNS_FROM_MM else 1
    rows = len(methods) * len(PANELS) // columns
    figure = new_figure(style, PANEL_MM[columns] * rows, caption)
    grid = figure.subplots(rows, columns, sharex=True, squeeze=False)
    panels = grid.reshape(len(methods), len(PANELS))
    labels: list[EdgeLabels] = []
    for row, method in zip(panels, methods, strict=True):
        counts = whole_counts(memory[memory["method"] == method])
        fits = last[last["method"] == method]
        labels.extend(_draw_method(row, counts, fits, style))
    for axes in panels.flat:
        _set_title(axes, style, columns)
    for axes in grid[:, 0]:
        axes.set_ylabel("memory in GiB")
    grid[0][0].set_xticks(TICKS_PX, [f"{side:,}" for side in TICKS_PX])
    grid[0][0].xaxis.minorticks_off()
    figure.align_ylabels(grid[:, 0])
    for axes in grid[-1]:
        axes.set_xlabel("side of the image in px")
    settle(figure, labels)
    names = ["method", "variant", "submodule", *names_of(SIZE), "activations_bytes", "peak_bytes"]
    data = pd.concat([memory[[*names, "basis"]], last], ignore_index=True)
    return Drawing(f"memory_extrapolation_{variant}", figure, data)


def _draw_method(
    row: np.ndarray[tuple[int], np.dtype[np.object_]],
    counts: pd.DataFrame,
    fits: pd.DataFrame,
    style: Style,
) -> Iterator[EdgeLabels]:
    named: set[str] = set()
    for axes, (quantity, column) in zip(row, PANELS.items(), strict=True):
        axes.set_xscale("log")
        axes.set_yscale("log")
        ends = []
        for _, fit in fits[fits["quantity"] == quantity].iterrows():
            submodule = str(fit["submodule"])
            points = counts[(counts["submodule"] == submodule) & (counts[column] > 0)]
            if points.empty:  # a logarithmic axis has no place for it
                continue
            _draw_submodule(axes, points, column, fit)
            # a name stands at the first curve of its colour
            name = "" if submodule in named else _shortened(submodule)
            named.add(submodule)
            end_gib = points[column].iloc[-1] / GIB
            text = " ".join(filter(None, [name, _percent(fit["relative_error"])]))
            ends.append(EdgeLabel(end_gib, text, darker(submodule_colour(submodule))))
        log_numbers(axes.yaxis)
        axes.grid(visible=True, axis="both")
        axes.set_title(f"{counts['method'].iloc[0]}: {quantity}", loc="left")
        yield add_edge_labels(axes, "right", ends, style.font_pt - 1.5)


def _draw_submodule(axes: Axes, points: pd.DataFrame, column: str, fit: pd.Series) -> None:
    """Points and parabola of a submodule."""
    import numpy as np
    import pandas as pd

    colour = submodule_colour(fit["submodule"])
    named = fit["fitted_at_px"]  # null where none of the paper's sides was counted
    fitted_px = [] if pd.isna(named) else [int(side) for side in str(named).split()]
    points = points[points["side_px"] >= min(fitted_px, default=0)]
    is_fitted = points["side_px"].isin(fitted_px)
    for part, face in ((points[is_fitted], colour), (points[~is_fitted], "white")):
        axes.plot(
            part["side_px"], part[column] / GIB, "o", color=colour, markersize=3,
            markerfacecolor=face, zorder=3,
        )  # fmt: skip
    if pd.isna(fit["b0"]):
        return
    limits = (fit["fitted_from_px"], fit["fitted_to_px"], fit["at_px"])
    for start, end, line in ((limits[0], limits[1], "-"), (limits[1], limits[2], "--")):
        side = np.linspace(start, end, 100)
        size = (fit["b0"] + fit["b1"] * side + fit["b2"] * side**2) / GIB
        axes.plot(side, np.where(size > 0, size, np.nan), line, color=colour, linewidth=1)


def _set_title(axes: Axes, style: Style, columns: int) -> None:
    """Breaks the title of a panel where it would reach into the next, or over the edge."""
    size_pt = style.font_pt - 1
    room_pt = style.width_in * 72 / columns * TITLE_SHARE
    lines = textwrap.wrap(axes.get_title("left"), int(room_pt / (size_pt * CHARACTER_WIDTH)))
    axes.set_title("\n".join(lines), loc="left", fontsize=size_pt)


def _span_words(at_px: pd.Series) -> str:
    """Return words such as `3,000 px` or `3,000 to 3,008 px`."""
    if at_px.empty:
        return "which there is none of"
    low, high = at_px.min(), at_px.max()
    return f"{low:,} px" if low == high else f"{low:,} to {high:,} px"


def _percent(error: Any) -> str:
    """Return text such as −77 %, +3 %, 0 %; nothing where the error is unknown."""
    import pandas as pd

    if pd.isna(error):
        return ""
    rounded = round(error * 100)
    sign = "" if rounded == 0 else "+" if rounded > 0 else "\u2212"
    return f"{sign}{abs(rounded):,}\u00a0%"


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}\u2026"


FIGURES = (
    FigureKind(
        begins="memory_peak",
        labels=("method", "variant"),
        reads=(MEMORY, MEMORY_METHODS),
        draw=memory_peak,
        category="Memory",
        subcategory="Alive at the peak",
        quantity="counted memory",
        caption="""What is alive when a submodule's memory is largest, over the resolution.

Counted, not measured; no clock.""",
        shows="what is alive while each submodule is at its peak",
    ),
    FigureKind(
        begins="memory_extrapolation",
        labels=("variant",),
        reads=(MEMORY, MEMORY_EXTRAPOLATION),
        draw=memory_extrapolation,
        category="Scaling",
        subcategory="The paper's parabola",
        quantity="counted and extrapolated memory",
        caption="""Memory extrapolated from small images with the paper's parabola, beside what
is counted there.

Counted and extrapolated, not measured; no clock.""",
        shows="memory extrapolated with the paper's parabola, against counts",
    ),
)
"""The figures of this module."""
