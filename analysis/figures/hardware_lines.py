"""GPUs as horizontal lines at their memory, sensors as vertical ones at their pixels."""

from __future__ import annotations

from matplotlib.axes import Axes

from .edge_labels import EdgeLabel, EdgeLabels, add_edge_labels
from .hardware import Hardware, Sensor
from .style import Style

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
    if hardware.sensors:
        words += (
            " Dotted vertical lines: square images with as many pixels as these sensors have."
            f"{_beyond_words([s for s in hardware.sensors if s.side_px > largest_px], largest_px)}"
        )
    return words


def _beyond_words(sensors: list[Sensor], largest_px: int) -> str:
    if not sensors:
        return ""
    named = ", ".join(sensor.label.replace("\n", " with ") for sensor in sensors)
    return f" Beyond {largest_px:,} px, and so not drawn: {named}."
