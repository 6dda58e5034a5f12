"""Share of the time in which the GPU waits for launches, over the resolution."""

from __future__ import annotations

import pandas as pd

from .canvas import Drawing, new_figure
from .captions import measured_on, out_of_memory
from .edge_labels import EdgeLabel, EdgeLabels, add_edge_labels, settle
from .marks import cross_unsteady, settings_words, unsteady_words
from .side_panels import panels, part_colour, part_name, row_count, side_ticks
from .style import Style

PANEL_MM = 48
PANEL_FROM_MM = 60
TICKS = 3
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
            axes.plot(of_part["resolution_px"], percent, "o-", color=colour, markersize=3)
            cross_unsteady(axes, of_part, percent)
            ends.append(EdgeLabel(float(percent.iloc[-1]), part_name(str(part)), colour))
        axes.set_title(method, loc="left")
        axes.set_ylim(0, top)
        axes.set_ylabel("share in %")
        side_ticks(axes, runtime["resolution_px"], TICKS)
        labels.append(add_edge_labels(axes, "right", ends, style.font_pt - 2))
    settle(figure, labels)
    columns = ["device", "hardware", "method", "variant", "resolution_px", "pixels", "submodule"]
    data = shown[[*columns, "role", "status", "verdict", "images", "launch_bound_share"]]
    name = f"launch_bound_{first['device']}_{first['variant']}"
    return Drawing(name, figure, data.assign(basis="measured"))
