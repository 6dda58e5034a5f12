"""Labels at the edge of the axes, moved apart; GPUs and sensors as labelled lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..hardware import Hardware, Sensor
from .canvas import Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Positions as near as may be to the wanted ones, in their order, a gap apart.

    Labels that touch form a block around the mean of what they want (the least squares solution,
    by pooling adjacent violators). Positions stay within 0 and 1 as long as there is room.

    Args:
        wanted: between 0 and 1, in any order.
        gap: smallest distance of two labels.
    """
    import numpy as np

    count = len(wanted)
    if count < 2:
        return [float(position) for position in wanted]
    gap = min(gap, 1 / (count - 1))  # more than fit: as far apart as there is room
    order = np.argsort(wanted, kind="stable")
    # with the gaps taken out, only the order is left to be kept
    pooled = _pooled([float(wanted[index]) - gap * rank for rank, index in enumerate(order)])
    lowest, highest = 0.0, 1.0 - gap * (count - 1)
    positions = [0.0] * count
    for rank, index in enumerate(order):
        positions[index] = min(max(pooled[rank], lowest), highest) + gap * rank
    return positions


def _pooled(values: Sequence[float]) -> list[float]:
    """The ascending sequence nearest to the values."""
    blocks: list[tuple[float, int]] = []
    for value in values:
        mean, size = value, 1
        while blocks and blocks[-1][0] > mean:
            other, others = blocks.pop()
            mean, size = (mean * size + other * others) / (size + others), size + others
        blocks.append((mean, size))
    return [mean for mean, size in blocks for _ in range(size)]


DISTANCE_PT = 7.0
"""From the axes to the label."""

AIR = 0.25
"""Between two labels, in font sizes."""


@dataclass(frozen=True)
class EdgeLabel:
    """A text at an edge.

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
    """Return the length of a label along its edge, with some air, in pixels."""
    from matplotlib.text import Text

    box = Text.get_window_extent(label)  # that of an annotation has its line in it
    air = float(label.get_fontsize()) * AIR * _pixels_per_pt(label)
    return float((box.width if along == 0 else box.height) + air)


def _pixels_per_pt(label: Annotation) -> float:
    figure = label.get_figure(root=True)
    assert figure is not None
    return float(figure.dpi) / 72


INK = "#555555"
ROOM = 1.5
"""Between the line of the largest GPU and the upper edge, as a factor."""


def add_hardware_lines(
    axes: Axes, hardware: Hardware, largest_px: int, style: Style
) -> list[EdgeLabels]:
    """Draws the lines and their labels; `edge_labels.settle` moves these apart at the end.

    Args:
        axes: side length in px to the right, memory in GiB upwards; all else is drawn.
        hardware: what to draw.
        largest_px: side beyond which nothing is known; sensors beyond it are left out.
        style: fonts.
    """
    sensors = [sensor for sensor in hardware.sensors if sensor.side_px <= largest_px]
    lowest, highest = axes.get_ylim()
    memory_gib = [gpu.memory_gib for gpu in hardware.gpus]
    axes.set_ylim(min([lowest, *memory_gib]), max([highest, *(ROOM * gib for gib in memory_gib)]))
    axes.set_xlim(axes.get_xlim())  # lines are not to make it wider
    for gpu in hardware.gpus:
        axes.axhline(gpu.memory_gib, color=INK, linewidth=0.6, dashes=(6, 3), zorder=1)
    for sensor in sensors:
        axes.axvline(sensor.side_px, color=INK, linewidth=0.8, linestyle=":", zorder=1)
    size_pt = style.font_pt - 1.5
    at_right = [EdgeLabel(gpu.memory_gib, gpu.label, INK) for gpu in hardware.gpus]
    above = [EdgeLabel(sensor.side_px, sensor.label, INK) for sensor in sensors]
    return [
        add_edge_labels(axes, "right", at_right, size_pt),
        add_edge_labels(axes, "top", above, size_pt),
    ]


def hardware_words(hardware: Hardware, largest_px: int) -> str:
    """Sentences for the caption on what the lines are, or nothing."""
    words = ""
    if hardware.gpus:
        words += (
            " Dashed horizontal lines: nominal memory of GPUs, of which an inference may use "
            "somewhat less."
        )
    if any(gpu.unified_memory for gpu in hardware.gpus):
        words += " Unified memory is shared with the CPU and its operating system."
    if hardware.sensors:
        words += (
            " Dotted vertical lines: sensors, at the square root of their pixels."
            f"{_beyond_words([s for s in hardware.sensors if s.side_px > largest_px], largest_px)}"
        )
    return words


def _beyond_words(sensors: list[Sensor], largest_px: int) -> str:
    if not sensors:
        return ""
    named = ", ".join(sensor.label.replace("\n", " with ") for sensor in sensors)
    return f" Beyond {largest_px:,} px, and so not drawn: {named}."
