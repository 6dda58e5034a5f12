"""Runtime, memory (figures 8 and 9 of the paper) and energy of all methods over the resolution."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from adscale.figures import FigureKind
from adscale.tables import names_of

from ..columns import BY_SIZE, SIZE, WHOLE_METHOD
from ..fit_tables import FIT_CURVES, FITS
from ..hardware import Hardware
from ..memory_table import MEMORY_METHODS
from ..runs_table import RUNS
from ..runtime_table import RUNTIME
from .axes import (
    HEIGHT_MM,
    WHOLE_IMAGE,
    draw_law,
    draw_paper_model,
    draw_paper_model_beside,
    finish,
    paper_model,
    scaling_axes,
)
from .canvas import Drawing, Style, add_legend, method_look, new_figure
from .captions import (
    band_words,
    batch_words,
    counted_in,
    incomplete,
    measured_on,
    not_counted,
    on_device,
    out_of_memory,
    paper_words,
    refused_words,
    sample_size,
    slowed_down,
    uncertainty,
)
from .edge_labels import add_hardware_lines, hardware_words, settle
from .marks import draw_points, settings_words, unsteady_words, with_runs

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

ROOM = 3.0
"""Between the outermost points and laws and the edges; a band may reach beyond them."""

UNCOVERED = 0.02
"""Share of an image's time in no submodule up to which the sum of the submodules stands for it."""


def scaling_runtime(
    runtime: pd.DataFrame,
    fits: pd.DataFrame,
    curves: pd.DataFrame,
    hardware: Hardware,
    style: Style,
) -> Drawing:
    """Runtime of whole images on one device, of all methods in one variant.

    Args:
        runtime: the rows of ``runtime.csv`` of that device and variant.
        fits: ``fits.csv``.
        curves: ``fit_curves.csv``.
        hardware: sensors to mark; GPUs say nothing of times.
        style: sizes and fonts.
    """
    import pandas as pd

    from ..profiles.times import MAIN_CLOCK

    device, variant = runtime["device"].iloc[0], runtime["variant"].iloc[0]
    clocks = runtime["device_type"].map(MAIN_CLOCK)
    points = runtime[(runtime["role"] == "image") & (runtime["clock"] == clocks)]
    summed = _summed(curves, points)
    shown, drawn = (_of_methods(table, points, summed) for table in (fits, curves))
    sensors = Hardware((), hardware.sensors)
    largest_px = _end_of_lines(drawn)
    lines = (
        f"Lines: laws of growth (fits.csv), {_law_words(shown)}; dotted: {paper_model(points)}"
        if drawn["band_low"].notna().any()
        else f"Lines: {paper_model(points)}"
    )
    caption = (
        f"{variant}: {measured_on(points)}{uncertainty(points)}. {lines}; dashed where "
        f"extrapolated.{band_words(shown)}{refused_words(shown)}{paper_words(shown)}"
        f"{out_of_memory(points)}{hardware_words(sensors, largest_px)}"
        f"{settings_words(points)}{unsteady_words(points)}{slowed_down(runtime)}"
    )
    figure = new_figure(style, HEIGHT_MM, caption)
    axes = scaling_axes(figure, "runtime per image in ms", points, with_pixels=not sensors.sensors)
    measured = points[points["status"] == "ok"]
    _draw_methods(axes, measured, drawn)
    if not measured.empty:  # what reaches below zero or very far has no place on this axis
        highest = max(measured["mean_ms"].max(), drawn["predicted"].fillna(0).max())
        axes.set_ylim(measured["mean_ms"].min() / ROOM, highest * ROOM)
    marks = add_hardware_lines(axes, sensors, largest_px, style)
    finish(figure, axes, drawn, style)
    settle(figure, marks)
    data = pd.concat([points.assign(basis="measured"), drawn], ignore_index=True)
    return Drawing(f"scaling_runtime_{device}_{variant}", figure, data)


def _draw_methods(axes: Axes, measured: pd.DataFrame, drawn: pd.DataFrame) -> None:
    """Draw the points of each method, and its law or, without a band, the paper's model."""
    for number, (key, group) in enumerate(measured.groupby("method", sort=False)):
        draw_points(axes, group, number, str(key))
        curve = drawn[drawn["method"] == key]
        if curve["band_low"].notna().any():
            draw_law(axes, curve, number)
            draw_paper_model_beside(axes, curve, number)
        else:
            draw_paper_model(axes, curve, number)


def _summed(curves: pd.DataFrame, points: pd.DataFrame) -> set[str]:
    """Methods whose submodules are all of the image, so that their laws make up its law."""
    key = ["method", "device", "variant", "clock", "resolution"]
    sums = curves[(curves["submodule"] == WHOLE_METHOD) & curves["observed"].notna()]
    both = points[[*key, "mean_ms"]].dropna().merge(sums[[*key, "observed"]], on=key)
    apart = (both["observed"] / both["mean_ms"] - 1).abs()
    worst = apart.groupby(both["method"]).max()
    return set(worst[worst <= UNCOVERED].index)


def _of_methods(table: pd.DataFrame, points: pd.DataFrame, summed: set[str]) -> pd.DataFrame:
    """The rows of a table of fits that are of the same images by the same clock."""
    key = ["device", "variant", "clock"]
    wanted = points[key].drop_duplicates()
    found = table[table["quantity"] == "runtime"].merge(wanted, on=key)
    part = found["method"].isin(summed).map({True: WHOLE_METHOD, False: WHOLE_IMAGE})
    return found[found["submodule"] == part]


def _end_of_lines(curves: pd.DataFrame) -> int:
    """The largest side in px at which anything is drawn: beyond the limit nothing is; 0 without."""
    told = curves[["study_predicted", "predicted", "observed"]].notna().any(axis=1)
    return math.ceil(curves.loc[told, "side_px"].max()) if told.any() else 0


def _law_words(fits: pd.DataFrame) -> str:
    """Which laws the lines are: sums of the submodules' laws, or of whole images."""
    given = fits[fits["interval_refused"].fillna("") == ""]
    whole = given.loc[given["submodule"] == WHOLE_IMAGE, "method"]
    if whole.empty:
        return "summed over the submodules"
    if len(whole) == len(given):
        return "of whole images"
    return f"summed over the submodules, and of whole images of {', '.join(whole)}"


GIB = 2**30


def scaling_memory(
    memory: pd.DataFrame, curves: pd.DataFrame, hardware: Hardware, style: Style
) -> Drawing:
    """Memory of all methods in one variant by the paper's convention, and its extrapolation.

    Args:
        memory: the rows of ``memory_methods.csv`` of that variant.
        curves: ``fit_curves.csv``.
        hardware: GPUs and sensors to read it against.
        style: sizes and fonts.
    """
    import pandas as pd

    variant, largest_px = memory["variant"].iloc[0], math.ceil(memory["side_px"].max())
    drawn = curves[
        (curves["quantity"] == "total_memory")
        & (curves["variant"] == variant)
        & (curves["submodule"] == WHOLE_METHOD)
    ]
    caption = (
        f"{variant}: memory at {counted_in(memory)}: parameters, buffers and the "
        "outputs of all layers that own parameters (paper, equations 1 to 3). Points: "
        "counted exactly at every resolution shown, no image is run. Lines: "
        f"{paper_model(memory)} through the filled points; dashed where extrapolated."
        f"{hardware_words(hardware, largest_px)}{incomplete(memory)}"
    )
    figure = new_figure(style, HEIGHT_MM, caption)
    axes = scaling_axes(figure, "memory in GiB", memory, with_pixels=not hardware.sensors)
    for number, (key, group) in enumerate(memory.groupby("method", sort=False)):
        curve = drawn[drawn["method"] == key]
        is_fitted = group["resolution"].isin(curve["resolution"][curve["observed"].notna()])
        for part, face in ((group[is_fitted], None), (group[~is_fitted], "white")):
            axes.plot(
                part["side_px"], part["total_bytes"] / GIB, linestyle="",
                **method_look(number), markerfacecolor=face, zorder=3,
            )  # fmt: skip
        axes.plot([], [], linestyle="", **method_look(number), label=str(key))
        draw_paper_model(axes, curve, number, scale=1 / GIB)
    axes.set_ylim(bottom=memory["total_bytes"].min() / GIB / 2)  # room for what is written there
    lines = add_hardware_lines(axes, hardware, largest_px, style)
    finish(figure, axes, drawn, style)
    settle(figure, lines)
    points = memory[["method", "variant", *names_of(SIZE), "total_bytes", "basis"]]
    data = pd.concat([points, drawn], ignore_index=True)
    return Drawing(f"scaling_memory_{variant}", figure, data)


def scaling_needed(memory: pd.DataFrame, hardware: Hardware, style: Style) -> Drawing:
    """Draw what the device must hold for each method in one variant: counted, nothing fitted.

    Args:
        memory: the rows of ``memory_methods.csv`` of that variant.
        hardware: GPUs and sensors to read it against.
        style: sizes and fonts.
    """
    variant, largest_px = memory["variant"].iloc[0], math.ceil(memory["side_px"].max())
    caption = (
        f"{variant}: memory that {on_device(memory)} must hold at {counted_in(memory)}: "
        "parameters, buffers, the image, the largest sum of tensors alive at once, and "
        "what libraries take. Points: counted exactly, no image is run; lines join them."
        f"{not_counted(memory)}{hardware_words(hardware, largest_px)}{incomplete(memory)}"
    )
    figure = new_figure(style, HEIGHT_MM, caption)
    axes = scaling_axes(figure, "memory needed in GiB", memory, with_pixels=not hardware.sensors)
    for number, (key, group) in enumerate(memory.groupby("method", sort=False)):
        axes.plot(
            group["side_px"], group["needed_bytes"] / GIB,
            **method_look(number), zorder=3, label=str(key),
        )  # fmt: skip
    lines = add_hardware_lines(axes, hardware, largest_px, style)
    add_legend(figure, axes, style, most_columns=4)
    settle(figure, lines)
    columns = ["method", "variant", "device_type", *names_of(SIZE), "needed_bytes"]
    data = memory[[*columns, "basis", "not_counted", "incomplete"]]
    return Drawing(f"scaling_needed_{variant}", figure, data)


ENERGY_COLUMNS = [
    *("device", "hardware", "method", "variant", *names_of(SIZE), "process", "pass"),
    *("status", "verdict", "measured_images", "idle_power_w", "energy_window_s"),
    *("energy_per_image_j", "energy_per_image_error_j"),
]


def energy(runs: pd.DataFrame, style: Style) -> Drawing:
    """Energy per image on one device, of all methods in one variant.

    Args:
        runs: the rows of ``runs.csv`` of that device and variant. Drawn are those of the latency
            pass, or of the profiled one where that has no energy.
        style: sizes and fonts.
    """
    of_latency = runs["pass"].eq("latency")
    known = runs["energy_per_image_j"].notna()
    rows = runs[of_latency if (known & of_latency).any() else ~of_latency]
    told = with_runs(rows[ENERGY_COLUMNS].assign(clock=rows["pass"]), runs)
    looked_at = told.drop(columns="clock").assign(**{"pass": rows["pass"].tolist()})
    shown = looked_at[looked_at["energy_per_image_j"].notna()]
    figure = new_figure(style, HEIGHT_MM, _energy_caption(runs, shown))
    axes = scaling_axes(figure, "energy per image in J", runs, with_pixels=True)
    low_px, high_px = runs["side_px"].min(), runs["side_px"].max()
    axes.set_xlim(low_px - 0.04 * high_px, 1.04 * high_px)
    for number, (method, of_runs) in enumerate(runs.groupby("method", sort=False)):
        points = shown[shown["method"] == method].sort_values(BY_SIZE)
        reason = f": {_no_energy(of_runs)}" if points.empty else ""
        if not shown.empty:
            _draw_energy(axes, points, number, f"{method}{reason}")
    if shown.empty:
        axes.set_yscale("linear")
        axes.set_yticks([])
        reason = f"no energy measured: {_no_energy(runs)}"
        axes.text(0.5, 0.5, reason, transform=axes.transAxes, ha="center")
    else:
        _show_a_decade(axes)
    add_legend(figure, axes, style, most_columns=4)
    device, variant = runs[["device", "variant"]].iloc[0]
    return Drawing(f"energy_{device}_{variant}", figure, looked_at.assign(basis="measured"))


def _show_a_decade(axes: Axes) -> None:
    """Widen a logarithmic axis that is so short that no number would stand at it."""
    low, high = axes.get_ylim()
    if high < 10 * low:
        middle = (low * high) ** 0.5
        axes.set_ylim(middle / 10**0.5, middle * 10**0.5)


def _energy_caption(runs: pd.DataFrame, shown: pd.DataFrame) -> str:
    first = runs.iloc[0]
    what = f"{first['variant']}: energy that the whole GPU takes per image, with what it draws idle"
    where = f"{first['hardware']} (device “{first['device']}”)"
    if shown.empty:
        methods = ", ".join(dict.fromkeys(runs["method"]))
        reason = f"{_no_energy(runs)}.{out_of_memory(runs)}"
        return f"{what}. None was measured of {methods} on {where}: {reason}"
    how = "without a profiler" if shown["pass"].eq("latency").any() else "with its profiler"
    size = sample_size(shown.assign(images=shown["measured_images"], processes=1))
    return (
        f"{what}, measured on {where} {how}, {batch_words(runs)}, {size}. A point for each "
        "process, with the largest error from the steps of the GPU's counter; lines join means."
        f"{settings_words(shown)}{unsteady_words(shown)}{out_of_memory(runs)}"
    )


def _draw_energy(axes: Axes, rows: pd.DataFrame, number: int, label: str) -> None:
    """Draw points of processes with their errors, and the line of means of a method."""
    colour = method_look(number)["color"]
    draw_points(axes, rows, number, label, "energy_per_image_j")
    axes.errorbar(
        rows["side_px"], rows["energy_per_image_j"].astype("float64"),
        rows["energy_per_image_error_j"].astype("float64"),
        linestyle="", color=colour, capsize=2, elinewidth=0.7, zorder=1,
    )  # fmt: skip
    mean = rows.groupby("side_px")["energy_per_image_j"].mean()
    axes.plot(mean.index, mean, "-", color=colour, linewidth=0.8, zorder=1)


def _no_energy(runs: pd.DataFrame) -> str:
    """Why none was measured in these runs."""
    from ..profiles.times import SHORTEST_WINDOW_S

    if (runs["device_type"] == "cpu").all():
        return "only the counters of GPUs are read"
    if runs["energy_window_s"].notna().any():
        return f"the images took less than {SHORTEST_WINDOW_S:g} s"
    return (
        "no image measured" if (runs["status"] != "ok").all() else "the GPU's counter was not read"
    )


FIGURES = (
    FigureKind(
        begins="scaling_runtime",
        labels=("device", "variant"),
        reads=(RUNTIME, FITS, FIT_CURVES),
        draw=scaling_runtime,
        category="Scaling",
        subcategory="Runtime",
        quantity="time per image over resolution",
        caption="""Time of a whole image of all methods in a variant over the resolution, with
the laws of growth that explain it, and their bands beyond what was measured.

Points are measured, by the main clock of the device (``busy`` on a GPU, ``host`` on a CPU);
lines and bands beyond the largest of them are extrapolated.""",
        shows="time of all methods, measured and extrapolated",
        with_hardware=True,
    ),
    FigureKind(
        begins="scaling_memory",
        labels=("variant",),
        reads=(MEMORY_METHODS, FIT_CURVES),
        draw=scaling_memory,
        category="Scaling",
        subcategory="Memory of activations",
        quantity="counted memory over resolution",
        caption="""Activations of whole methods over the resolution by the paper's convention,
with the memory of GPUs as lines.

Counted, where points are; lines beyond them are extrapolated. No clock.""",
        shows="memory of all methods by the paper's convention, against GPUs and sensors",
        with_hardware=True,
    ),
    FigureKind(
        begins="scaling_needed",
        labels=("variant",),
        reads=(MEMORY_METHODS,),
        draw=scaling_needed,
        category="Scaling",
        subcategory="Memory needed",
        quantity="counted memory over resolution",
        caption="""What a device must hold at least for whole methods over the resolution:
parameters, buffers, the image, the largest peak and libraries, with the memory of GPUs as
lines.

Counted, not measured; no clock.""",
        shows="memory that a device must hold for all methods, against GPUs and sensors",
        with_hardware=True,
    ),
    FigureKind(
        begins="energy",
        labels=("device", "variant"),
        reads=(RUNS,),
        draw=energy,
        category="Scaling",
        subcategory="Energy",
        quantity="energy per image over resolution",
        caption="""Energy that a whole GPU takes per image, of all methods in a variant over the
resolution, with what it draws idle. Empty, with the reason in it, where none was measured.

Measured as the difference of the GPU's counter over the images; no clock.""",
        shows="energy per image of all methods on a GPU",
    ),
)
"""The figures of this module."""
