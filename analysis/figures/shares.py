"""Stacked shares of the submodules over the resolution (figures 2 to 7 of the paper)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from adscale.figures import FigureKind
from adscale.resolution import Resolution

from ..columns import images_in
from ..memory_table import MEMORY
from ..runtime_table import RUNTIME
from .axes import name_sizes
from .canvas import (
    PARAMETERS_COLOUR,
    Drawing,
    Style,
    add_legend,
    darker,
    legend_name,
    mean_number,
    new_figure,
    plain_number,
    submodule_colour,
)
from .captions import (
    STATUS_WORDS,
    costly_ranges,
    counted_in,
    incomplete,
    measured_on,
    out_of_memory,
    slowed_down,
    uncertainty,
    uncovered,
)
from .marks import hatch_unsteady, is_unsteady, settings_words, unsteady_words

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 8
"""Bars that remain legible beside each other."""

ENOUGH = 4
"""Share of the preferred resolutions that makes a choice of them a fair picture."""


def shown_sizes(counted: Iterable[Resolution]) -> list[Resolution]:
    """All sizes if they are few; else those next to 256, 384, 512, 768, 1024, … and the largest.

    Each is about √2 times the one before. Where a user's own counts hold too few of these, eight
    are taken evenly from all.

    Args:
        counted: resolutions at which memory was counted, in any order, also repeatedly.
    """
    sizes = sorted(set(counted))
    if len(sizes) <= MOST:
        return sizes
    preferred = {
        min((size for size in sizes if low <= size.side_px < high), default=sizes[-1])
        for low, high in _steps(sizes[-1].side_px)
    }
    if len(preferred) >= ENOUGH:
        return sorted({*preferred, sizes[-1]})
    return [sizes[round(number * (len(sizes) - 1) / (MOST - 1))] for number in range(MOST)]


def shown_words(counted: Iterable[Resolution]) -> str:
    """A sentence for the caption where not all are shown, or nothing."""
    every = set(counted)
    shown = shown_sizes(every)
    if len(shown) == len(every):
        return ""
    return f" Shown are {len(shown)} of {len(every)} counted resolutions; memory.csv has all."


def _steps(largest_px: float) -> Iterator[tuple[int, int]]:
    """Return the steps from each preferred side to the next."""
    side_px = 256
    while side_px <= largest_px:
        yield side_px, side_px * 3 // 2
        yield side_px * 3 // 2, side_px * 2
        side_px *= 2


HEIGHT_MM = 105
LABELLED_INSIDE_FROM = 0.08
"""A share below this has its label above the bar, in its colour."""
PARAMETERS = "parameters and buffers"
MIB = 2**20


def runtime_share(runtime: pd.DataFrame, style: Style) -> Drawing:
    """Runtime per submodule of one device × method × variant.

    Args:
        runtime: the rows of ``runtime.csv`` of that device, method and variant.
        style: sizes and fonts.
    """
    from ..profiles.times import MAIN_CLOCK

    first = runtime.iloc[0]
    rows = runtime[runtime["clock"] == MAIN_CLOCK[first["device_type"]]]
    submodules = rows[rows["role"] == "submodule"]
    stack = _pivot(submodules, "mean_ms")
    whole = rows[rows["role"] == "image"].set_index("resolution").reindex(stack.index)
    caption = (
        f"{first['method']}, {first['variant']}: {measured_on(rows)}. Above: whole image"
        f"{uncertainty(rows)}; below: share of each submodule."
        f"{settings_words(rows)}{unsteady_words(rows, 'hatched')}"
        f"{uncovered(runtime)}{costly_ranges(runtime)}{out_of_memory(rows)}{slowed_down(runtime)}"
    )
    figure = new_figure(style, HEIGHT_MM, caption)
    top = _stacks(figure, stack, "runtime per image in ms", style)
    hatch_unsteady(top, is_unsteady(whole).tolist(), stack.sum(axis=1).tolist())
    _whole_image(top, whole)
    top.set_ylim(bottom=0)  # an interval of few images may reach below, a time cannot
    name = f"runtime_share_{first['device']}_{first['method']}_{first['variant']}"
    return Drawing(name, figure, _with_share(submodules, "mean_ms"))


def memory_share(memory: pd.DataFrame, style: Style) -> Drawing:
    """Memory per submodule of one method × variant: equations 1 to 3 of the paper.

    Args:
        memory: the rows of ``memory.csv`` of that method and variant.
        style: sizes and fonts.
    """
    first = memory.iloc[0]
    rows = shown_rows(memory)
    rows = rows.assign(mib=rows["activations_bytes"] / MIB)
    held = rows.groupby("resolution")[["parameters_bytes", "buffers_bytes"]].sum().sum(axis=1)
    stack = _pivot(rows, "mib")
    stack.insert(0, PARAMETERS, held / MIB)
    stack = stack.loc[:, stack.any()]  # what owns no layer has nothing to show
    caption = (
        f"{first['method']}, {first['variant']}: memory counted, not measured, at "
        f"{counted_in(memory)}. Parameters and buffers, and the sum of the "
        "outputs of all layers that own parameters (paper, equations 1 to 3). Not all of these "
        "are alive at once, and what layers without parameters put out is not in "
        f"it.{shown_words(images_in(memory))}{incomplete(memory)}"
    )
    figure = new_figure(style, HEIGHT_MM, caption)
    top = _stacks(figure, stack, "memory in MiB", style)
    for position, total in enumerate(stack.sum(axis=1)):
        top.annotate(
            f"{total:,.0f}", (position, total), (0, 2), textcoords="offset points",
            ha="center", fontsize=style.font_pt - 2,
        )  # fmt: skip
    long = stack.reset_index().melt("resolution", var_name="submodule", value_name="mib")
    name = f"memory_share_{first['method']}_{first['variant']}"
    data = _with_share(long, "mib").assign(basis="counted")
    return Drawing(name, figure, data)


def shown_rows(memory: pd.DataFrame) -> pd.DataFrame:
    """The counts at the resolutions that are shown."""
    shown = [str(size) for size in shown_sizes(images_in(memory))]
    return memory[memory["resolution"].isin(shown)]


def _pivot(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Resolutions down, submodules across, in the order of the inference."""
    table = rows.pivot_table(index="resolution", columns="submodule", values=column, dropna=False)
    sizes = [str(size) for size in images_in(rows)]
    return table.loc[sizes, list(dict.fromkeys(rows["submodule"]))].astype("float64")


def _with_share(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    import numpy as np

    total = rows.groupby("resolution")[column].transform("sum")
    return rows.assign(share=np.where(total > 0, rows[column] / total, np.nan))


def _stacks(figure: Figure, stack: pd.DataFrame, label: str, style: Style) -> Axes:
    top: Axes
    bottom: Axes
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    share = stack.div(stack.sum(axis=1).where(lambda total: total > 0), axis=0)
    _bars(top, stack)
    _bars(bottom, share * 100)
    _label_shares(bottom, share, style)
    top.set_ylabel(label)
    top.yaxis.set_major_formatter(plain_number)
    top.margins(y=0.12)
    bottom.set_ylabel("share in %")
    bottom.set_yticks([0, 25, 50, 75, 100])
    name_sizes(bottom, stack.index, style)
    add_legend(figure, top, style, most_columns=3 if len(stack.columns) > 4 else 4)
    return top


def _bars(axes: Axes, stack: pd.DataFrame) -> None:
    import numpy as np

    base = np.zeros(len(stack))
    for submodule in stack.columns:
        heights, name = stack[submodule].fillna(0).to_numpy(), legend_name(submodule)
        axes.bar(
            range(len(stack)), heights, 0.78, bottom=base,
            color=_colour(submodule), label=name, edgecolor="white", linewidth=0.4,
        )  # fmt: skip
        base += heights


def _label_shares(axes: Axes, share: pd.DataFrame, style: Style) -> None:
    """Every share in per cent: inside its segment, or above the bar where that is too thin."""
    size = style.font_pt - (2 if len(share) <= 8 else 3)
    middle = share.cumsum(axis=1) - share / 2
    above = 0
    for position, resolution in enumerate(share.index):
        outside = 0
        for submodule in share.columns:
            value = share.loc[resolution, submodule]
            if value >= LABELLED_INSIDE_FROM:
                axes.text(
                    position, middle.loc[resolution, submodule] * 100, f"{value:.0%}",
                    ha="center", va="center", fontsize=size, color=_ink(submodule),
                )  # fmt: skip
            elif value > 0:
                axes.annotate(
                    f"{value:.1%}", (position, 100), (0, 1 + outside * (size + 1)),
                    textcoords="offset points", ha="center", fontsize=size,
                    color=darker(_colour(submodule)), annotation_clip=False,
                )  # fmt: skip
                outside += 1
        above = max(above, outside)
    axes.set_ylim(0, 102 + 13 * above)


def _colour(submodule: str) -> str:
    return PARAMETERS_COLOUR if submodule == PARAMETERS else submodule_colour(submodule)


def _ink(submodule: str) -> str:
    """Black or white, whichever is read better on the submodule's colour (WCAG luminance)."""
    colour = _colour(submodule)
    red, green, blue = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
    return (
        "black" if 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2 > 0.18 else "white"
    )


def _whole_image(axes: Axes, whole: pd.DataFrame) -> None:
    import pandas as pd

    for position, (_, row) in enumerate(whole.iterrows()):
        if row["status"] != "ok":
            axes.annotate(
                STATUS_WORDS[row["status"]], (position, 0), (0, 4), textcoords="offset points",
                rotation=90, ha="center", va="bottom",
            )  # fmt: skip
            continue
        highest_ms = row["mean_ms"]
        if pd.notna(row["ci95_low_ms"]):  # one image alone has no interval, not one of zero
            highest_ms = row["ci95_high_ms"]
            below_above = [[row["mean_ms"] - row["ci95_low_ms"]], [highest_ms - row["mean_ms"]]]
            axes.errorbar(
                position, row["mean_ms"], below_above, color="black", capsize=2.5, linewidth=0.8
            )
        axes.annotate(
            mean_number(row, 4), (position, highest_ms), (0, 2),
            textcoords="offset points", ha="center", fontsize="small",
        )  # fmt: skip
    if (whole["status"] != "ok").all():
        axes.set_yticks([])  # numbers on an axis on which nothing was measured


FIGURES = (
    FigureKind(
        begins="runtime_share",
        labels=("device", "method", "variant"),
        reads=(RUNTIME,),
        draw=runtime_share,
        category="Runtime",
        subcategory="Shares of the submodules",
        quantity="time per image and submodule",
        caption="""Time per image of each submodule, and its share of the whole image, over the
resolution, with the 95 % interval of the whole image's mean.

Measured, by the main clock of the device: ``busy`` on a GPU, ``host`` on a CPU.""",
        shows="time of each submodule, and its share of the whole image",
    ),
    FigureKind(
        begins="memory_share",
        labels=("method", "variant"),
        reads=(MEMORY,),
        draw=memory_share,
        category="Memory",
        subcategory="Shares of the submodules",
        quantity="counted memory",
        caption="""Parameters and buffers, and the sum of the outputs of all layers that own
parameters, by submodule and over the resolution: the paper's convention. Not all of it is alive
at once.

Counted, not measured; no clock.""",
        shows="counted parameters and activations of each submodule, and their shares",
    ),
)
"""The figures of this module."""
