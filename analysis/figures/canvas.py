"""A drawing with its caption and its data, and how the three are stored."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from analysis.figures.style import Style
from analysis.tables import write_atomically, write_csv

CAPTION_LINE = 1.35
"""Height of a line of the caption in font sizes."""


@dataclass(frozen=True)
class Drawing:
    """A finished figure."""

    name: str
    figure: Figure
    data: pd.DataFrame
    """What is drawn, a row per point or segment."""


def new_figure(style: Style, height_mm: float, caption: str) -> Figure:
    """An empty figure whose caption stands beneath it, with the space it needs.

    Args:
        style: width and font.
        height_mm: height of the drawing without the caption.
        caption: what was measured on what; broken into lines here.
    """
    # an average character of DejaVu Sans is a bit more than half as wide as the font is high
    per_line = int(style.width_in * 72 / ((style.font_pt - 1) * 0.56))
    lines = textwrap.wrap(caption, per_line)
    caption_in = (len(lines) + 0.7) * (style.font_pt - 1) * CAPTION_LINE / 72
    height_in = height_mm / 25.4 + caption_in
    figure = Figure(figsize=(style.width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    share = caption_in / height_in
    figure.get_layout_engine().set(rect=(0, share, 1, 1 - share))  # type: ignore[union-attr,call-arg]
    figure.text(
        0.012, share - 0.01, "\n".join(lines), va="top", ha="left",
        fontsize=style.font_pt - 1, color="#333333", linespacing=CAPTION_LINE,
    )  # fmt: skip
    return figure


def save(drawing: Drawing, folder: Path, style: Style) -> list[Path]:
    """Writes ``name.pdf``, ``name.png`` and ``name.csv``, each whole or not at all."""
    figure = drawing.figure
    paths = [folder / f"{drawing.name}.{kind}" for kind in ("pdf", "png", "csv")]
    # no date in the file: the same data give the same bytes
    write_atomically(paths[0], lambda path: figure.savefig(path, metadata={"CreationDate": None}))
    write_atomically(paths[1], lambda path: figure.savefig(path, dpi=style.png_dpi))
    write_csv(drawing.data, paths[2])
    return paths
