"""Memory of all methods over the resolution (the study's figure 8), against GPUs and sensors."""

from __future__ import annotations

import pandas as pd

from ..fits.series import WHOLE_METHOD
from .canvas import Drawing, add_legend, new_figure
from .captions import incomplete, not_counted, on_device
from .edge_labels import settle
from .hardware import Hardware
from .hardware_lines import add_hardware_lines, hardware_words
from .scaling_axes import HEIGHT_MM, STUDY_MODEL, draw_study, finish, scaling_axes
from .style import Style, method_look

GIB = 2**30


def scaling_memory(
    memory: pd.DataFrame, curves: pd.DataFrame, hardware: Hardware, style: Style
) -> Drawing:
    """Memory of all methods in one variant by the study's convention, and its extrapolation.

    Args:
        memory: the rows of ``memory_methods.csv`` of that variant.
        curves: ``fit_curves.csv``.
        hardware: GPUs and sensors to read it against.
        style: sizes and fonts.
    """
    variant, largest_px = memory["variant"].iloc[0], int(memory["resolution_px"].max())
    drawn = curves[
        (curves["quantity"] == "total_memory")
        & (curves["variant"] == variant)
        & (curves["submodule"] == WHOLE_METHOD)
    ]
    caption = (
        f"{variant}: memory at batch 1 in 32-bit floats: parameters, buffers and the outputs of "
        "all layers that own parameters (study, equations 1 to 3). Points: counted exactly at "
        f"every resolution shown, no image is run. Lines: {STUDY_MODEL} through the filled points; "
        f"dashed where extrapolated.{hardware_words(hardware, largest_px)}{incomplete(memory)}"
    )
    figure = new_figure(style, HEIGHT_MM, caption)
    axes = scaling_axes(figure, "memory in GiB", with_pixels=not hardware.sensors)
    for number, (key, group) in enumerate(memory.groupby("method", sort=False)):
        curve = drawn[drawn["method"] == key]
        is_fitted = group["resolution_px"].isin(curve["resolution_px"][curve["observed"].notna()])
        for part, face in ((group[is_fitted], None), (group[~is_fitted], "white")):
            axes.plot(
                part["resolution_px"], part["total_bytes"] / GIB, linestyle="",
                **method_look(number), markerfacecolor=face, zorder=3,
            )  # fmt: skip
        axes.plot([], [], linestyle="", **method_look(number), label=str(key))
        draw_study(axes, curve, number, scale=1 / GIB)
    axes.set_ylim(bottom=memory["total_bytes"].min() / GIB / 2)  # room for what is written there
    lines = add_hardware_lines(axes, hardware, largest_px, style)
    finish(figure, axes, drawn, style)
    settle(figure, lines)
    points = memory[["method", "variant", "resolution_px", "pixels", "total_bytes", "basis"]]
    data = pd.concat([points, drawn], ignore_index=True)
    return Drawing(f"scaling_memory_{variant}", figure, data)


def scaling_needed(memory: pd.DataFrame, hardware: Hardware, style: Style) -> Drawing:
    """What the device must hold for each method in one variant: counted, and nothing fitted.

    Args:
        memory: the rows of ``memory_methods.csv`` of that variant.
        hardware: GPUs and sensors to read it against.
        style: sizes and fonts.
    """
    variant, largest_px = memory["variant"].iloc[0], int(memory["resolution_px"].max())
    caption = (
        f"{variant}: memory that {on_device(memory)} must hold at batch 1 in 32-bit floats: "
        "parameters, buffers, the image, the largest sum of tensors alive at once, and what "
        "libraries take. Points: counted exactly, no image is run; lines join them."
        f"{not_counted(memory)}{hardware_words(hardware, largest_px)}{incomplete(memory)}"
    )
    figure = new_figure(style, HEIGHT_MM, caption)
    axes = scaling_axes(figure, "memory needed in GiB", with_pixels=not hardware.sensors)
    for number, (key, group) in enumerate(memory.groupby("method", sort=False)):
        axes.plot(
            group["resolution_px"], group["needed_bytes"] / GIB,
            **method_look(number), zorder=3, label=str(key),
        )  # fmt: skip
    lines = add_hardware_lines(axes, hardware, largest_px, style)
    add_legend(figure, axes, style, most_columns=4)
    settle(figure, lines)
    columns = ["method", "variant", "device_type", "resolution_px", "pixels", "needed_bytes"]
    data = memory[[*columns, "basis", "not_counted", "incomplete"]]
    return Drawing(f"scaling_needed_{variant}", figure, data)
