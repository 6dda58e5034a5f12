"""`fits.csv`, `fit_models.csv` and `fit_curves.csv`: what is said beyond the measured sizes.

A row per series; per series and law; per series and side. All from one fit of every series.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from adscale.errors import ArgumentError
from adscale.resolution import Resolution, resolution_argument, side_argument
from adscale.tables import (
    Argument,
    Output,
    Table,
    TableJob,
    flag,
    integer,
    join,
    real,
    table_argument,
    text,
)

from .columns import BASIS, METHOD, SIZE
from .memory_table import MEMORY
from .runtime_table import RUNTIME

if TYPE_CHECKING:
    import pandas as pd

    from .fits.growth import Fitted

SERIES = join(
    text("quantity", means="`runtime`, `activations` or `total_memory`"),
    text("unit", means="of all values of the row: `ms` or `bytes`"),
    text("clock", means="of a runtime; null for memory"),
    text("device", means="your name for the hardware; null for memory, which does not depend on "
         "it"),
    METHOD,
    text("submodule", means="`image` is the whole inference as it was measured, `end_to_end` with "
         "preparation and copies; `method` is of runtimes the sum of the submodules' fits, of "
         "memory the fit of the submodules' sum"),
)  # fmt: skip
"""Which series a row is of."""

LAW = join(
    text("law", "formula", means="the law of growth chosen, in the pixels n or half the perimeter "
         "s, of a square its side"),
    text("coefficients", means="its coefficients in words with their units"),
    real("f", "a", "b", "c", "d", means="the same as numbers, per pixel or px as the law has it",
         unit=""),
    real("p", means="exponent of the pixels where the law has a free one", unit=""),
    real("knee_px", means="square root of the pixels at which it leaves its floor, or becomes "
         "steeper"),
    real("max_relative_residual", means="largest |observed − fitted| / observed"),
)  # fmt: skip
"""Columns of a fitted law."""

BACK_TEST = join(
    real("back_test_one_out", means="predicted / observed − 1 of the largest resolution, by the "
         "law fitted without it"),
    real("back_test_two_out_lower", "back_test_two_out_upper", means="the same of the second "
         "largest and of the largest, fitted without both; informs, and decides nothing"),
)  # fmt: skip
"""Columns of a law's errors at the largest resolutions, fitted without them."""

STUDY = join(
    real("study_b0", "study_b1", "study_b2", means="its coefficients", unit=""),
    real("study_max_relative_residual", means="its largest |observed − fitted| / observed"),
)
"""Columns of the paper's model, fitted."""

BOUNDS = join(
    real("interval_low", "interval_high",
         means="where one more measurement lies with 95 % if that law is true"),
    real("spread_low", "spread_high", means="of the estimates of all laws that are not refuted"),
    real("band_low", "band_high", means="where one more measurement lies, whichever of these laws "
         "is true: what figures and decisions use"),
)  # fmt: skip
"""Between what a value lies, and if what is true."""

FACTOR = real("extrapolation_factor_pixels", means="the pixels there over those of the largest "
              "resolution fitted", unit="")  # fmt: skip

TO_SIDE = integer("extrapolate_to_px", means="where it is predicted")


def extrapolate_to(means: str) -> Argument:
    """The argument that says how far is extrapolated."""
    settings = {"type": side_argument, "required": True, "metavar": "PX", "help": means}
    return Argument("--extrapolate-to", settings, "setting")


FITS = Table(
    name="fits",
    row="a series extrapolated: prediction and band ([extrapolation.md](extrapolation.md))",
    columns=join(
        SERIES,
        integer("resolutions", means="at how many it was fitted"),
        text("smallest", "largest", means="from, to"),
        text("fitted_at", means="which"),
        TO_SIDE,
        FACTOR,
        text("study_model", means="the paper's model: y = b0 + b1·s + b2·s² over the side s in "
             "px (square root of the pixels), ordinary least squares"),
        STUDY,
        real("study_predicted", "study_low", "study_high", means="its prediction and 95 % "
             "prediction interval (Student's t) if that model is right, which it does not test"),
        LAW,
        real("relative_scatter",
             means="of one measurement around the law that explains the points best"),
        BACK_TEST,
        text("why_chosen", means="in words"),
        real("predicted", means="of the law chosen; of the paper's model where none could be"),
        BOUNDS,
        text("fit_refused", "interval_refused", "refused", means="why there is no fit (fewer than "
             "three resolutions); no law chosen and no band (fewer than five); neither at this "
             "side (too far). Else empty"),
        text("problems", means="what else has to be known of the prediction, in words"),
        BASIS,
        integer("counted", means="exact count there (memory only)", unit="bytes"),
    ),
    category="Scaling",
    contents="laws of growth and predictions",
    caption="""The law of growth of every series, its back-test, and its prediction with a band.

Extrapolated, from times that were measured by the clock in the column ``clock`` and from
counts.""",
    in_report=True,
)  # fmt: skip

FIT_MODELS = Table(
    name="fit_models",
    row="a law that was tried on a series, and one for the paper's model",
    columns=join(
        SERIES,
        LAW,
        real("score", means="misfit in squared scatters plus a price for each complication, less "
             "that of the law chosen; null for the paper's model, which is not weighed"),
        BACK_TEST,
        real("band_share", means="share of its interval with which the law is in the band, 0 to "
             "1"),
        flag("chosen", means="whether it is the one"),
        TO_SIDE,
        real("predicted", means="by this law; null where it is refused"),
        text("verdict", means="what became of it in words"),
    ),
    category="Scaling",
    contents="all laws that were tried",
    caption="""All laws that were tried, and what became of them.

Extrapolated, from times that were measured by the clock in the column ``clock`` and from
counts.""",
    in_report=True,
)  # fmt: skip

FIT_CURVES = Table(
    name="fit_curves",
    row="what figures draw of a series at a side",
    columns=join(
        SERIES,
        SIZE,
        FACTOR,
        real("observed", means="what the fit goes through: the mean time or the count; null but "
             "at resolutions that were measured or counted"),
        real("study_predicted", means="by the paper's model"),
        real("predicted", means="of the law chosen; of the paper's model where none could be"),
        BOUNDS,
        text("refused", means="why something is null here, else empty"),
        BASIS,
    ),
    category="Scaling",
    contents="curves with their bands",
    caption="""What figures draw: observed values, predictions, and the ends of their bands.

Measured or counted where ``observed`` is filled in, else fitted or extrapolated.""",
    in_report=True,
    not_in_report=frozenset({
        "unit", "pixels", "extrapolation_factor_pixels", "observed", "interval_low",
        "interval_high", "spread_low", "spread_high",
    }),
)  # fmt: skip


def fits_table(fitted: Sequence[Fitted], extrapolate_to_px: int) -> pd.DataFrame:
    """Return the predictions of every series at one resolution.

    Args:
        fitted: see `analysis.fits.growth`.
        extrapolate_to_px: side length to predict.
    """
    from .fits.table_rows import fit_rows

    return _picked(fit_rows(fitted, extrapolate_to_px), FITS)


def fit_models_table(fitted: Sequence[Fitted], extrapolate_to_px: int) -> pd.DataFrame:
    """The laws of every series. Sums have no laws of their own.

    Args:
        fitted: see `analysis.fits.growth`.
        extrapolate_to_px: side length to predict.
    """
    from .fits.table_rows import model_rows

    return _picked(model_rows(fitted, extrapolate_to_px), FIT_MODELS)


def fit_curves_table(fitted: Sequence[Fitted], extrapolate_to_px: int) -> pd.DataFrame:
    """The curves of every series; of one without any fit only what was observed.

    Args:
        fitted: see `analysis.fits.growth`.
        extrapolate_to_px: the last side.
    """
    from .fits.table_rows import curve_rows

    return _picked(curve_rows(fitted, extrapolate_to_px), FIT_CURVES)


def _picked(rows: Iterable[Mapping[str, Any]], table: Table) -> pd.DataFrame:
    from .tables import make_table

    return make_table(
        [{name: row.get(name) for name in table.schema} for row in rows], table.schema
    )


def _fit(
    *,
    runtime: pd.DataFrame | None,
    memory: pd.DataFrame | None,
    extrapolate_to: int,
    beyond_limit: bool,
    resolutions: Sequence[Resolution] | None,
) -> tuple[list[Fitted], int]:
    """All series fitted, and where they are predicted."""
    if runtime is None and memory is None:
        raise ArgumentError("fit", "no table is named", "give --runtime, --memory, or both")
    from .fits.growth import fit_all
    from .fits.series import memory_series, runtime_series

    series = [runtime_series(runtime, memory)] if runtime is not None else []
    if memory is not None:
        series.append(memory_series(memory, runtime, resolutions, extrapolate_to))
    return fit_all(chain(*series), beyond_limit=beyond_limit), extrapolate_to


FIT = TableJob(
    command="fit",
    rule="fits_table",
    description="Fit laws of growth and the paper's model (y = b0 + b1 s + b2 s², s: side in px) "
    "to every series and extrapolate them. Three tables: predictions, all laws, curves.",
    arguments=(
        table_argument(RUNTIME, required=False),
        table_argument(MEMORY, required=False),
        extrapolate_to("side length to predict"),
        Argument("--beyond-limit", {"action": "store_true", "help": "predict times beyond 10 times "
                 "the pixels of the largest measured resolution, too"}, "setting"),
        Argument("--resolutions", {"type": resolution_argument, "nargs": "+",
                 "metavar": "RESOLUTION",
                 "help": "resolutions whose counts of memory are fitted (default: those at which "
                 "the method was run)"}),
    ),
    outputs=(
        Output(FITS, fits_table),
        Output(FIT_MODELS, fit_models_table, "--models", beside=FIT_MODELS.file),
        Output(FIT_CURVES, fit_curves_table, "--curves", beside=FIT_CURVES.file),
    ),
    step=_fit,
)  # fmt: skip
