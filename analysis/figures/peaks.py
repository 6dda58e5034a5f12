"""What the device holds while each submodule is at its peak, over the resolution."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from .canvas import Drawing, columns_that_fit, log_numbers, new_figure
from .captions import incomplete, not_counted, on_device
from .selection import shown_sides, shown_words
from .style import PARAMETERS_COLOUR, Style, submodule_colour

HEIGHT_MM = 110
GIB = 2**30
GROUP_WIDTH = 0.84
"""Of the columns of one resolution, where the next begins at 1."""

HELD = "parameters and buffers"
OTHER = "image and libraries"
KEPT = "kept from before"
NEEDED = "what the device must hold"
OTHER_COLOUR = "#F0F0F0"
FILLS = {HELD: PARAMETERS_COLOUR, OTHER: OTHER_COLOUR}
"""Of what is no submodule's own."""
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
        "measured, at batch 1 in 32-bit floats. Above: the largest sum of tensors alive at once in "
        "each submodule, and what the device must hold. Below: what it holds when each submodule "
        "is at its peak, in per cent of that: the submodule that reaches 100 % decides. Kept from "
        "before: alive when the submodule begins."
        f"{not_counted(methods)}{shown_words(memory['resolution_px'])}{incomplete(memory)}"
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
    shown = memory[memory["resolution_px"].isin(shown_sides(memory["resolution_px"]))]
    key = ["method", "variant", "device_type", "resolution_px"]
    rows = shown[[*key, "submodule", "peak_bytes", "kept_bytes"]].merge(
        beneath[["resolution_px", *names]], on="resolution_px", how="left"
    )
    parts = ("held_bytes", "image_and_libraries_bytes", "peak_bytes")
    share = sum(rows[part] for part in parts) / rows["needed_bytes"]
    return rows.assign(share_of_needed=share, basis="counted")


def _draw_lines(axes: Axes, data: pd.DataFrame) -> None:
    positions = {side_px: number for number, side_px in enumerate(_sides(data))}
    for submodule, rows in data.groupby("submodule", sort=False):
        peak = rows["peak_bytes"].where(rows["peak_bytes"] > 0).astype("Float64") / GIB
        axes.plot(
            rows["resolution_px"].map(positions), peak.to_numpy("float64", na_value=np.nan), "o-",
            color=submodule_colour(str(submodule)), markersize=3,
        )  # fmt: skip
    needed = data.groupby("resolution_px")["needed_bytes"].first() / GIB
    axes.plot([positions[side] for side in needed.index], needed, "-", color="black")
    axes.set_yscale("log")
    log_numbers(axes.yaxis)
    axes.set_ylabel("memory in GiB")


def _draw_columns(axes: Axes, data: pd.DataFrame, style: Style) -> None:
    sides, submodules = _sides(data), list(dict.fromkeys(data["submodule"]))
    width = GROUP_WIDTH / len(submodules)
    for place, submodule in enumerate(submodules):
        rows = data[data["submodule"] == submodule]
        left = np.array([sides.index(side) for side in rows["resolution_px"]])
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
    for middle, side_px in enumerate(sides):
        needed = data.loc[data["resolution_px"] == side_px, "needed_bytes"].iloc[0]
        axes.annotate(
            f"{_three_digits(needed / GIB)} GiB", (middle, 100), (0, 2), ha="center",
            textcoords="offset points", fontsize=style.font_pt - 2, annotation_clip=False,
        )  # fmt: skip
    axes.set_ylim(0, 108)
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.set_ylabel("share in %")
    axes.set_xlabel("side of the image in px")
    axes.set_xticks(range(len(sides)), [f"{side:,}" for side in sides])


def _add_legend(figure: Figure, submodules: list[str], style: Style) -> None:
    handles: list[Artist] = [
        *(Patch(color=submodule_colour(name), label=name) for name in submodules),
        Patch(facecolor="#777777", edgecolor="white", hatch=KEPT_HATCH, linewidth=0, label=KEPT),
        Patch(facecolor=OTHER_COLOUR, edgecolor="#BBBBBB", linewidth=0.4, label=OTHER),
        Patch(color=PARAMETERS_COLOUR, label=HELD),
        Line2D([], [], color="black", label=NEEDED),
    ]
    columns = columns_that_fit([str(handle.get_label()) for handle in handles], style, most=4)
    figure.legend(handles=handles, loc="outside upper center", ncols=columns)


def _sides(data: pd.DataFrame) -> list[int]:
    return sorted(set(data["resolution_px"].tolist()))


def _three_digits(value: float) -> str:
    decimals = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{decimals}f}"
