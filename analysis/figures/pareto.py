"""What precision, engine and pruning gain, against how far the results are off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from adscale.figures import FigureKind
from adscale.variant import CHANNELS_LAST, EAGER, Variant

from ..deviations import BASE
from ..ratios import IMPLEMENTATIONS
from ..runtime_table import RUNTIME
from .axes import row_count
from .canvas import OKABE_ITO, Drawing, Style, columns_that_fit, log_numbers, new_figure
from .captions import sample_size

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL_MM = 58
PANEL_FROM_MM = 40

COLOURS = {
    EAGER: OKABE_ITO[0],
    f"{EAGER}, {CHANNELS_LAST}": OKABE_ITO[4],
    "compile": OKABE_ITO[1],
    "onnxruntime": OKABE_ITO[2],
    "openvino": OKABE_ITO[5],
    "cudagraph": OKABE_ITO[3],
    "tensorrt": OKABE_ITO[7],
}
"""Of what computes the networks."""

MARKERS = {"fp32": "o", "tf32": "P", "fp16": "D", "bf16": "s", "int8": "^"}
"""Of the precision."""

LEAST = 1e-8
"""Smaller deviations, and none, stand at this one: fp32 itself knows no difference below it."""

SIZE = 6.0


class Point(NamedTuple):
    """A variant at a resolution."""

    variant: Variant
    deviation: float
    latency_ms: float
    exceeds: bool
    unsteady: bool

    @property
    def place(self) -> float:
        """Where it stands to the right."""
        return max(self.deviation, LEAST)


def pareto(implementations: pd.DataFrame, runtime: pd.DataFrame, style: Style) -> Drawing:
    """Latency of the variants of a method over their deviation, a panel for each resolution.

    Args:
        implementations: its rows of ``implementations.csv`` on one device.
        runtime: its rows of ``runtime.csv`` on that device.
        style: sizes and fonts.
    """
    data = _points(implementations, runtime)
    sizes = list(dict.fromkeys(data.sort_values("pixels", kind="stable")["resolution"]))
    rows = row_count(max(len(sizes), 1), style, PANEL_FROM_MM)
    figure = new_figure(style, PANEL_MM * rows, _caption(implementations, data))
    columns = -(-max(len(sizes), 1) // rows)
    grid = list(figure.subplots(rows, columns, squeeze=False, sharex=True).flat)
    shown: list[Point] = []
    for number, axes in enumerate(grid):
        if number >= len(sizes):
            axes.set_visible(False)
            continue
        of_size = data[data["resolution"] == sizes[number]]
        points = [_point(row) for row in of_size.to_dict("records")]
        _draw(axes, points, style)
        axes.set_title(f"{sizes[number]} px", loc="left")
        if number % columns == 0:
            axes.set_ylabel("latency in ms")
        if number + columns >= len(sizes):
            axes.set_xlabel("largest deviation of the map")
        shown += points
    _legend(figure, style, shown)
    first = implementations.iloc[0]
    name = f"pareto_{first['device']}_{first['method']}"
    return Drawing(name, figure, data.drop(columns="pixels").assign(basis="measured"))


def _points(implementations: pd.DataFrame, runtime: pd.DataFrame) -> pd.DataFrame:
    """Variants of one image with latency and deviation, the reference without any among them."""
    of_image = implementations[implementations["role"] == "image"]
    columns = ["variant", "resolution", "map_deviation_max", "exceeds_bound"]
    timed = runtime[(runtime["clock"] == "latency") & (runtime["role"] == "end_to_end")]
    timed = timed[timed["mean_ms"].notna()]
    found = timed.merge(of_image[columns], on=["variant", "resolution"], how="left")
    is_base = found["variant"] == str(BASE)
    found.loc[is_base, "map_deviation_max"] = 0.0
    single = found["variant"].map(lambda name: Variant.of(name).batch == 1).astype(bool)
    kept = found[single & found["map_deviation_max"].notna()]
    return kept[[
        "device", "hardware", "method", "variant", "resolution", "pixels", "status", "clock",
        "images", "processes", "verdict", "mean_ms", "ci95_low_ms", "ci95_high_ms",
        "map_deviation_max", "exceeds_bound",
    ]]  # fmt: skip


def _point(row: Any) -> Point:
    import pandas as pd

    exceeds, verdict = row["exceeds_bound"], row["verdict"]
    return Point(
        Variant.of(row["variant"]),
        float(row["map_deviation_max"]),
        float(row["mean_ms"]),
        exceeds=bool(pd.notna(exceeds) and exceeds),
        unsteady=bool(pd.notna(verdict) and verdict != "steady"),
    )


def front(points: list[Point]) -> list[Point]:
    """Those than which none is both nearer and faster, by deviation."""
    best: list[Point] = []
    for point in sorted(points, key=lambda one: (one.deviation, one.latency_ms)):
        if not best or point.latency_ms < best[-1].latency_ms:
            best.append(point)
    return best


def _draw(axes: Axes, points: list[Point], style: Style) -> None:
    best = front(points)
    axes.plot(
        [one.place for one in best], [one.latency_ms for one in best], drawstyle="steps-post",
        color="#BBBBBB", linewidth=1, zorder=1,
    )  # fmt: skip
    for point in points:
        at = ([point.place], [point.latency_ms])
        axes.plot(*at, linestyle="", zorder=3, **_look(point.variant))
        if point.exceeds:
            axes.plot(*at, "o", markersize=SIZE + 5, markerfacecolor="none", color="black")
        if point.unsteady:
            axes.plot(*at, "x", markersize=SIZE - 1, markeredgewidth=0.8, color="black", zorder=4)
        if point.variant.pruned_percent:
            axes.annotate(
                f"−{point.variant.pruned_percent} %", (point.place, point.latency_ms),
                xytext=(0, -7), textcoords="offset points", ha="center", va="top",
                fontsize=style.font_pt - 2,
            )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(LEAST / 2, 5)
    axes.set_xticks([1e-8, 1e-6, 1e-4, 1e-2, 1], ["≤1e-8", "1e-6", "1e-4", "0.01", "1"])
    axes.minorticks_off()
    times = [one.latency_ms for one in points]
    if times:
        axes.set_ylim(min(times) / 1.4, max(times) * 1.25)
    axes.minorticks_on()
    axes.xaxis.minorticks_off()
    log_numbers(axes.yaxis)
    axes.grid(visible=True, axis="both")


def _engine(variant: Variant) -> str:
    layout = f", {CHANNELS_LAST}" if variant.channels_last and variant.engine == EAGER else ""
    return f"{variant.engine}{layout}"


def _look(variant: Variant) -> dict[str, Any]:
    """Colour by engine, shape by precision; a star for the reference; others of it are hollow."""
    if variant == BASE:
        return {"marker": "*", "color": "black", "markersize": SIZE + 4}
    colour = COLOURS[_engine(variant)]
    own = variant.implementation == BASE.implementation
    return {
        "marker": MARKERS[variant.precision], "color": colour, "markersize": SIZE,
        "markerfacecolor": "white" if own else colour,
    }  # fmt: skip


def _legend(figure: Figure, style: Style, points: list[Point]) -> None:
    """What there is of engines and precisions, and what the marks mean that are there."""
    from matplotlib.lines import Line2D

    def entry(label: str, **look: Any) -> Line2D:
        return Line2D([], [], linestyle="", label=label, **{"markersize": SIZE, **look})

    others = [one for one in points if one.variant != BASE]
    engines = {_engine(one.variant) for one in others}
    precisions = {one.variant.precision for one in others}
    handles = [entry(str(BASE), **_look(BASE))]
    handles += [entry(one, marker="o", color=COLOURS[one]) for one in COLOURS if one in engines]
    handles += [
        entry(one, marker=MARKERS[one], color="#555555") for one in MARKERS if one in precisions
    ]
    if any(one.exceeds for one in points):
        handles.append(entry("above its bound", marker="o", color="black", markerfacecolor="none"))
    if any(one.unsteady for one in points):
        handles.append(entry("not steady", marker="x", color="black"))
    labels = [str(one.get_label()) for one in handles]
    columns = columns_that_fit(labels, style, 6)
    figure.legend(handles=handles, loc="outside upper center", ncols=columns)


def _caption(implementations: pd.DataFrame, data: pd.DataFrame) -> str:
    first = implementations.iloc[0]
    pruned = any(Variant.of(name).pruned_percent for name in data["variant"])
    caution = " −N %: channels pruned, and nothing trained again." if pruned else ""
    size = f", {sample_size(data)}" if len(data) else ""
    return (
        f"{first['method']}: latency without a profiler over the largest deviation from {BASE}, of "
        f"the map's largest value.{caution} Grey: none is nearer and faster. "
        f"{first['hardware']} (device “{first['device']}”){size}."
    )


FIGURES = (
    FigureKind(
        begins="pareto",
        labels=("device", "method"),
        reads=(IMPLEMENTATIONS, RUNTIME),
        draw=pareto,
        category="Runtime",
        subcategory="Variants",
        quantity="latency against deviation",
        caption="""What precision, layout, engine and pruning gain, against how far the results are
off: a point for each variant, a panel for each resolution.

Latency is measured, by the clock ``latency``; the deviation is found in the same images with the
same weights as ``reference-fp32``.""",
        shows="latency against deviation, a point per variant",
        when="compared",
    ),
)
"""The figures of this module."""
