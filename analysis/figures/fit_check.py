"""How well laws fit, and how well they would have predicted the largest resolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adscale.figures import FigureKind
from adscale.tables import names_of

from ..columns import SIZE, WHOLE_METHOD
from ..fit_tables import FIT_CURVES, FIT_MODELS, FITS
from ..runtime_table import RUNTIME
from .axes import SIDE, part_colour, part_name, size_ticks
from .canvas import Drawing, Style, columns_that_fit, legend_name, new_figure
from .captions import refused_words
from .marks import cross_unsteady, unsteady_words

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

RESIDUALS_MM = 45
ROW_MM = 6
BETWEEN_MM = 22
TICKS = 5
LINEAR_TO_PERCENT = 1.0
"""Errors below this are shown linearly, larger ones logarithmically."""
TICKS_PERCENT = (-100, -10, -1, 0, 1, 10, 100)
LAW, PAPER = "law chosen", "paper's model"
BACK_TESTS: dict[str, dict[str, Any]] = {
    "back_test_one_out": {"marker": "o", "label": "largest resolution, from all others"},
    "back_test_two_out_upper": {"marker": "s", "label": "largest, without the two largest"},
    "back_test_two_out_lower": {"marker": "^", "label": "second largest, without the two largest"},
}


def fit_check(
    runtime: pd.DataFrame,
    fits: pd.DataFrame,
    models: pd.DataFrame,
    curves: pd.DataFrame,
    style: Style,
) -> Drawing:
    """Residuals and back-test of the runtimes of one device × method × variant by its main clock.

    Args:
        runtime: its rows of ``runtime.csv``, for which runs were not steady.
        fits: its rows of ``fits.csv``; at least one.
        models: its rows of ``fit_models.csv``.
        curves: its rows of ``fit_curves.csv``.
        style: sizes and fonts.
    """
    import pandas as pd

    from ..profiles.times import MAIN_CLOCK

    clock = MAIN_CLOCK[runtime["device_type"].iloc[0]]
    runtime = runtime[runtime["clock"] == clock]
    fits, models, curves = (
        table[(table["quantity"] == "runtime") & (table["clock"] == clock)]
        for table in (fits, models, curves)
    )
    first = fits.iloc[0]
    residuals = _residuals(curves[curves["submodule"] != WHOLE_METHOD], runtime)
    tests = _back_tests(models)
    parts = [part for part in dict.fromkeys(fits["submodule"]) if part != WHOLE_METHOD]
    caption = (
        f"{first['method']}, {first['variant']}, device “{first['device']}”, clock "
        f"{first['clock']}: fits of mean runtimes. Above: fitted / measured − 1 at every measured "
        "resolution. Below: back-test, predicted / measured − 1 of the largest resolutions from "
        "fits that have not seen them: filled the law chosen, open the paper's model."
        f"{_refused(fits[fits['submodule'] != WHOLE_METHOD])}"
        f"{unsteady_words(runtime, 'crossed out')}"
    )
    height_mm = RESIDUALS_MM + BETWEEN_MM + ROW_MM * len(parts)
    figure = new_figure(style, height_mm, caption)
    heights = (RESIDUALS_MM, height_mm - RESIDUALS_MM)
    halves = figure.subfigures(2, 1, height_ratios=heights, squeeze=False)[:, 0]
    _draw_residuals(halves[0], residuals, style)
    _draw_back_tests(halves[1], tests, parts, style)
    data = pd.concat([residuals, tests], ignore_index=True)
    name = f"fit_check_{first['device']}_{first['method']}_{first['variant']}"
    return Drawing(name, figure, data)


def _residuals(curves: pd.DataFrame, runtime: pd.DataFrame) -> pd.DataFrame:
    """A row per measured resolution × submodule × model; null where it was not fitted."""
    import pandas as pd

    verdicts = runtime.groupby("resolution")["verdict"].first()
    measured = curves[curves["observed"].notna()]
    key = ["device", "method", "variant", "clock", "submodule", *names_of(SIZE), "observed"]
    by_law = measured["predicted"].where(measured["band_low"].notna())
    parts = [
        measured[key].assign(
            model=model,
            relative_residual=fitted / measured["observed"] - 1,
            verdict=measured["resolution"].map(verdicts),
        )
        for model, fitted in ((LAW, by_law), (PAPER, measured["study_predicted"]))
    ]
    return pd.concat(parts, ignore_index=True)


def _back_tests(models: pd.DataFrame) -> pd.DataFrame:
    """A row per submodule × model that was back-tested."""
    import numpy as np

    from ..fits.quadratic import MODEL

    names = np.where(models["law"] == MODEL, PAPER, LAW)
    shown = models.assign(model=names)[
        models["chosen"].fillna(value=False) | (models["law"] == MODEL)
    ]
    key = ["device", "method", "variant", "clock", "submodule", "model", "law"]
    return shown[[*key, *BACK_TESTS]].dropna(subset=list(BACK_TESTS), how="all")


def _draw_residuals(figure: SubFigure, residuals: pd.DataFrame, style: Style) -> None:
    panels = figure.subplots(1, 2, sharey=True)
    for axes, model in zip(panels, (LAW, PAPER), strict=True):
        is_fitted = residuals["relative_residual"].notna()
        rows = residuals[(residuals["model"] == model) & is_fitted]
        for part, of_part in rows.groupby("submodule", sort=False):
            name = legend_name(part_name(str(part)))
            axes.plot(
                of_part["side_px"], of_part["relative_residual"] * 100, "o-",
                color=part_colour(str(part)), markersize=3, linewidth=0.8,
                markerfacecolor=None if model == LAW else "white", label=name,
            )  # fmt: skip
            cross_unsteady(axes, of_part, of_part["relative_residual"] * 100)
        axes.set_title(model, loc="left")
        axes.set_xlabel(SIDE)
        if rows.empty:
            axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", va="center")
            axes.set_xticks([])
        else:
            size_ticks(axes, residuals, TICKS)
    _percent_axis(panels[0], "y", residuals[["relative_residual"]])
    panels[0].set_ylabel("residual in %")
    handles, labels = panels[1].get_legend_handles_labels()
    if labels:
        figure.legend(
            handles,
            labels,
            loc="outside upper center",
            ncols=columns_that_fit(labels, style, most=5),
        )


def _draw_back_tests(
    figure: SubFigure, tests: pd.DataFrame, parts: list[str], style: Style
) -> None:
    from matplotlib.lines import Line2D

    axes = figure.subplots()
    for row, part in enumerate(parts):
        for model, shift in ((LAW, -0.16), (PAPER, 0.16)):
            rows = tests[(tests["submodule"] == part) & (tests["model"] == model)]
            for column, look in BACK_TESTS.items():
                axes.plot(
                    rows[column].astype("float64") * 100, [row + shift] * len(rows), linestyle="",
                    marker=look["marker"], color=part_colour(part), markersize=4,
                    markerfacecolor=None if model == LAW else "white",
                )  # fmt: skip
    axes.axvline(0, color="#555555", linewidth=0.8, zorder=1)
    axes.set_yticks(range(len(parts)), [part_name(part) for part in parts])
    axes.set_ylim(len(parts) - 0.5, -0.5)
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    _percent_axis(axes, "x", tests[list(BACK_TESTS)])
    axes.set_xlabel("error of the back-test in %")
    handles = [
        Line2D([], [], linestyle="", color="#444444", markersize=4, **look)
        for look in BACK_TESTS.values()
    ]
    columns = columns_that_fit([look["label"] for look in BACK_TESTS.values()], style, most=3)
    figure.legend(handles=handles, loc="outside upper center", ncols=columns)


def _percent_axis(axes: Axes, which: str, shares: pd.DataFrame) -> None:
    """Set the axis from the smallest to the largest error, linear around 0, logarithmic beyond."""
    import numpy as np
    from matplotlib.ticker import NullLocator

    largest = float(np.nanmax([0.0, *np.abs(shares.to_numpy("float64", na_value=np.nan)).flat]))
    reach = max(2 * LINEAR_TO_PERCENT, 160 * largest)
    axis = axes.xaxis if which == "x" else axes.yaxis
    getattr(axes, f"set_{which}scale")("symlog", linthresh=LINEAR_TO_PERCENT)
    getattr(axes, f"set_{which}lim")(-reach, reach)
    ticks = [tick for tick in TICKS_PERCENT if abs(tick) <= reach]
    getattr(axes, f"set_{which}ticks")(ticks, [_signed(tick) for tick in ticks])
    axis.set_minor_locator(NullLocator())


def _refused(fits: pd.DataFrame) -> str:
    """Why there is no law, where all submodules share the reason, or each with its own."""
    named = fits.assign(method=fits["submodule"].map(part_name), refused="")
    return refused_words(named)


def _signed(number: int) -> str:
    return f"{number:+d}".replace("-", "\u2212") if number else "0"


FIGURES = (
    FigureKind(
        begins="fit_check",
        labels=("device", "method", "variant"),
        reads=(RUNTIME, FITS, FIT_MODELS, FIT_CURVES),
        draw=fit_check,
        category="Scaling",
        subcategory="Fits and their residuals",
        quantity="error of the fits",
        caption="""How far laws of growth lie from the points they were fitted to, and how well
they would have predicted the largest resolutions had these been left out.

Of times that were measured, by the main clock of the device: ``busy`` on a GPU, ``host`` on a
CPU.""",
        shows="how well fits hold",
    ),
)
"""The figures of this module."""
