"""Labels outside of the axes, at the end of the line that each belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from .spreading import spread

DISTANCE_PT = 7.0
"""From the axes to the label."""

AIR = 0.25
"""Between two labels, in font sizes."""


@dataclass(frozen=True)
class EdgeLabel:
    """What is written at an edge.

    Attributes:
        value: where the line ends, on the axis along the edge.
        text: its label; may have several lines.
        colour: of both.
    """

    value: float
    text: str
    colour: str


@dataclass(frozen=True)
class EdgeLabels:
    """Labels on one edge; `settle` moves them apart once the axes have their final size."""

    axes: Axes
    edge: Literal["right", "top"]
    annotations: list[Annotation]


def add_edge_labels(
    axes: Axes, edge: Literal["right", "top"], labels: Sequence[EdgeLabel], size_pt: float
) -> EdgeLabels:
    """Writes labels where they belong, whether they overlap or not.

    Args:
        axes: with its final limits.
        edge: which.
        labels: in any order.
        size_pt: of the font.
    """
    at_right = edge == "right"
    look: dict[str, Any] = {
        "xycoords": ("axes fraction", "data") if at_right else ("data", "axes fraction"),
        "textcoords": "offset points",
        "xytext": (DISTANCE_PT, 0) if at_right else (0, DISTANCE_PT),
        "ha": "left" if at_right else "center",
        "va": "center" if at_right else "bottom",
        "fontsize": size_pt,
        "annotation_clip": False,
    }
    annotations = []
    for label in labels:
        arrow = {
            "arrowstyle": "-", "color": label.colour, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 0,
            "relpos": (0, 0.5) if at_right else (0.5, 0),
        }  # fmt: skip
        end = (1, label.value) if at_right else (label.value, 1)
        annotation = axes.annotate(label.text, end, color=label.colour, arrowprops=arrow, **look)
        annotations.append(annotation)
    return EdgeLabels(axes, edge, annotations)


def settle(figure: Figure, edges: Sequence[EdgeLabels]) -> None:
    """Moves labels apart along their edges. The last thing to be done to a figure."""
    figure.draw_without_rendering()
    turned = [_turn_where_crowded(edge) for edge in edges if edge.edge == "top"]
    if any(turned):  # the axes have become smaller
        figure.draw_without_rendering()
    for edge in edges:
        _spread(edge)


def _turn_where_crowded(edge: EdgeLabels) -> bool:
    """Turns labels upright that do not fit side by side; whether it did."""
    widths = [_extent(annotation, 0) for annotation in edge.annotations]
    if len(widths) * max(widths, default=0) < edge.axes.get_window_extent().width:
        return False
    for annotation in edge.annotations:
        annotation.set_rotation(90)
        annotation.set_text(annotation.get_text().replace("\n", " "))
    return True


def _spread(edge: EdgeLabels) -> None:
    if not edge.annotations:
        return
    box = edge.axes.get_window_extent()
    along = 1 if edge.edge == "right" else 0
    start, length = (box.x0, box.width) if along == 0 else (box.y0, box.height)
    ends = [edge.axes.transData.transform(label.xy)[along] for label in edge.annotations]
    wanted = [min(max((end - start) / length, 0.0), 1.0) for end in ends]
    gap = max(_extent(label, along) for label in edge.annotations) / length
    for label, at, position in zip(edge.annotations, wanted, spread(wanted, gap), strict=True):
        moved_pt = (position - at) * length / _pixels_per_pt(label)
        label.xyann = (DISTANCE_PT, moved_pt) if along == 1 else (moved_pt, DISTANCE_PT)


def _extent(label: Annotation, along: int) -> float:
    """What a label takes along its edge, with some air, in pixels."""
    box = Text.get_window_extent(label)  # that of an annotation has its line in it
    air = float(label.get_fontsize()) * AIR * _pixels_per_pt(label)
    return float((box.width if along == 0 else box.height) + air)


def _pixels_per_pt(label: Annotation) -> float:
    figure = label.get_figure(root=True)
    assert figure is not None
    return float(figure.dpi) / 72
