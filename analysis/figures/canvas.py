"""How all figures look, and how a drawing is stored with its caption and its data."""

from __future__ import annotations

import hashlib
import math
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adscale.config_file import FigureStyle
from adscale.errors import ArgumentError
from adscale.files import write_output
from adscale.models import checked, read_json

from ..numbers import known, unsigned_zero

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

MM_PER_INCH = 25.4

OKABE_ITO = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#8C8C8C",
)  # fmt: skip
"""Colours that remain apart for colour-blind readers (Okabe and Ito 2008), the black left out."""

PARAMETERS_COLOUR = "#D0D0D0"
SUBMODULE_COLOURS = {
    "teacher": "#0072B2",
    "student": "#E69F00",
    "autoencoder": "#009E73",
    "anomaly_map": "#CC79A7",
    "feature_extraction": "#56B4E9",
    "patch_embedding": "#D55E00",
    "nn_search": "#F0E442",
    "denoising_unet": "#0072B2",
}
"""Colours of the submodules that we know; two of one method never share one."""
METHOD_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


@dataclass(frozen=True)
class Style:
    """The user's choices; see ``figures`` in the configuration."""

    width_mm: float = 130.0
    font_pt: float = 8.0
    png_dpi: int = 200
    remark: str = ""
    """A sentence behind every caption, which is ours and no choice of the user's."""

    @property
    def width_in(self) -> float:
        """Width in inches, as matplotlib wants it."""
        return self.width_mm / MM_PER_INCH

    @classmethod
    def from_json(cls, text: str | None) -> Style:
        """Reads ``{"width_mm": …}``; what is absent keeps its default.

        Raises:
            UserError: the text is no JSON object with these keys, or a value cannot be drawn.
        """
        if text is None:
            return cls()
        try:
            given = read_json(text)
        except ValueError as error:
            allowed = ", ".join(one.name for one in fields(FigureStyle))
            raise ArgumentError("--style", str(error), f"give a JSON object of {allowed}") from None
        chosen = checked(FigureStyle, given, "--style")
        return cls(chosen.width_mm, chosen.font_pt, chosen.png_dpi)


def submodule_colour(name: str) -> str:
    """The same colour for a submodule in every figure, also for one we do not know."""
    if name in SUBMODULE_COLOURS:
        return SUBMODULE_COLOURS[name]
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    return OKABE_ITO[number % len(OKABE_ITO)]


def darker(colour: str) -> str:
    """The colour as an ink that stands out from white paper."""
    parts = (int(int(colour[k : k + 2], 16) * 0.7) for k in (1, 3, 5))
    return "#" + "".join(f"{part:02X}" for part in parts)


def method_look(number: int) -> dict[str, Any]:
    """Colour and marker of the method that comes at this place in the tables."""
    return {
        "color": OKABE_ITO[number % len(OKABE_ITO)],
        "marker": METHOD_MARKERS[number % len(METHOD_MARKERS)],
    }


def rc_parameters(style: Style) -> dict[str, Any]:
    """Matplotlib settings; fonts are embedded, and ``$`` in a user's label is only a character."""
    return {
        "font.size": style.font_pt,
        "axes.titlesize": style.font_pt,
        "legend.fontsize": style.font_pt - 1,
        "xtick.labelsize": style.font_pt - 1,
        "ytick.labelsize": style.font_pt - 1,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "grid.color": "#DDDDDD",
        "grid.linewidth": 0.5,
        "hatch.linewidth": 0.4,
        "legend.frameon": False,
        "lines.linewidth": 1.2,
        "lines.markersize": 4,
        "pdf.fonttype": 42,
        "text.parse_math": False,
    }


CAPTION_LINE = 1.35
"""Height of a line of the caption in font sizes."""


SHORT_AXIS = 30
"""From end to end of a logarithmic axis, below which powers of ten alone are too few numbers."""

CHARACTER_WIDTH = 0.56
"""Width of an average character of DejaVu Sans in font sizes."""

HANDLE_WIDTH = 2.8
"""Width of a line or patch in a legend with the gap to its label, in font sizes (matplotlib's)."""

PADDING = 2.0
"""Around a legend, both sides together, in font sizes."""

COLUMN_GAP = 2.0
"""Between two columns of a legend, in font sizes (matplotlib's)."""


@dataclass(frozen=True)
class Drawing:
    """A finished figure."""

    name: str
    figure: Figure
    data: pd.DataFrame
    """The drawn data, a row per point or segment."""


def new_figure(style: Style, height_mm: float, caption: str) -> Figure:
    """An empty figure whose caption stands beneath it, with the space it needs.

    Args:
        style: width and font.
        height_mm: height of the drawing without the caption.
        caption: what was measured on what; broken into lines here.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    per_line = int(style.width_in * 72 / ((style.font_pt - 1) * CHARACTER_WIDTH))
    lines = textwrap.wrap(_unbreakable(f"{caption}{style.remark}"), per_line)
    line_in = (style.font_pt - 1) * CAPTION_LINE / 72
    caption_in = (len(lines) + 0.7) * line_in
    height_in = height_mm / 25.4 + caption_in
    figure = Figure(figsize=(style.width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    share = caption_in / height_in
    figure.get_layout_engine().set(rect=(0, share, 1, 1 - share))  # type: ignore[union-attr,call-arg]
    figure.text(
        0.012, share - 0.35 * line_in / height_in, "\n".join(lines), va="top", ha="left",
        fontsize=style.font_pt - 1, color="#333333", linespacing=CAPTION_LINE,
    )  # fmt: skip
    return figure


def legend_name(name: str) -> str:
    """A name that matplotlib shows as it is: it leaves out `_name`, and sets `$x$` as a formula.

    Args:
        name: such as that of a submodule.
    """
    plain = name.replace("$", r"\$")
    return f" {plain}" if plain.startswith("_") else plain


def with_remark(style: Style, remark: str) -> Style:
    """The same style, with a sentence behind every caption."""
    return replace(style, remark=remark)


def empty_drawing(name: str, words: str, style: Style) -> Drawing:
    """A figure for which there are no numbers at all, and which says so."""
    import pandas as pd

    figure = new_figure(style, EMPTY_MM, words)
    axes: Axes = figure.subplots()
    axes.set_axis_off()
    axes.text(0.5, 0.5, "nothing to draw", ha="center", va="center", color="#8C8C8C")
    data = pd.DataFrame({"missing": [style.remark.strip() or words]}, dtype="string")
    return Drawing(name, figure, data)


EMPTY_MM = 30


def add_legend(figure: Figure, axes: Axes, style: Style, most_columns: int) -> None:
    """A legend above the drawing, in as many columns as its width has room for."""
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        columns = columns_that_fit(labels, style, most_columns)
        figure.legend(handles, labels, loc="outside upper center", ncols=columns)


def columns_that_fit(labels: Sequence[str], style: Style, most: int) -> int:
    """How many columns of a legend a figure has room for, from 1 to `most`."""
    import numpy as np

    room = style.width_in * 72 / (style.font_pt - 1) - PADDING  # in font sizes, as all here
    entries = np.array([_text_width(label) + HANDLE_WIDTH for label in labels])
    for count in range(min(most, len(labels)), 1, -1):
        columns = np.array_split(entries, count)  # as matplotlib fills them
        if sum(float(column.max()) for column in columns) + COLUMN_GAP * (count - 1) <= room:
            return count
    return 1


def _text_width(text: str) -> float:
    """Return the width of a text in the font of all figures, in font sizes."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    width, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(size=1), False)
    return float(width)


def _unbreakable(caption: str) -> str:
    """The caption with spaces at which no line ends: `n = 5`, `95 %`, `896 px`."""
    return re.sub(r"(?<=\bn) (?==)|(?<==) (?=\d)|(?<=\d) (?=%|px\b|MP\b)", "\u00a0", caption)


def plain_number(value: float, _position: object = None) -> str:
    """A number at an axis: 0.01, 5, 20,000; never a power of ten.

    Matplotlib's 10^n needs a markup that would misread users' labels, and so is switched off.
    """
    return unsigned_zero(f"{value:,g}" if abs(value) < 1e6 else f"{value:,.0f}")


def mean_number(row: pd.Series, digits: int) -> str:
    """The mean of a row of ``runtime.csv``, in the digits that are known and at most so many."""
    ends = row["ci95_low_ms"], row["ci95_high_ms"]
    return known(row["mean_ms"], *ends, digits=digits, most=digits)


def log_numbers(axis: Axis) -> None:
    """Plain numbers at a logarithmic axis: at powers of ten, and at 2 and 5 where it is short."""

    def minor(value: float, _position: object = None) -> str:
        low, high = axis.get_view_interval()
        digit = round(value / 10 ** math.floor(math.log10(value) + 1e-9))
        return plain_number(value) if digit in {2, 5} and high < SHORT_AXIS * low else ""

    axis.set_major_formatter(plain_number)
    axis.set_minor_formatter(minor)


def save(drawing: Drawing, folder: Path, style: Style) -> list[Path]:
    """Writes ``name.pdf``, ``name.png`` and ``name.csv``, each whole or not at all."""
    from ..tables import write_csv

    figure = drawing.figure
    paths = [folder / f"{drawing.name}.{kind}" for kind in ("pdf", "png", "csv")]
    # no date in the file: the same data give the same bytes
    write_output(paths[0], lambda path: figure.savefig(path, metadata={"CreationDate": None}))
    write_output(paths[1], lambda path: figure.savefig(path, dpi=style.png_dpi))
    write_csv(drawing.data, paths[2])
    return paths
