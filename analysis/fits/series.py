"""Reads the series that are fitted from the tables."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from adscale.resolution import Resolution, square

from ..columns import BY_SIZE
from ..memory_table import complexities_of, counted_parts
from .models import BY_COMPLEXITY, COUNTED, NOTHING_KNOWN, Prior, Sizes, prior_of_whole

LEAST_OF_MEDIAN = 0.5
"""Share of the median standard error of its series that a point's is never taken to be below.

What repeating an image does not show (which kernels are chosen at a resolution, how warm the
machine was then) is no smaller where images agree. Without this one quiet run would decide a fit.
"""

_FITTED_CLOCKS = [
    ("cpu", "host"), ("cpu", "latency"),
    ("cuda", "kernel_sum"), ("cuda", "busy"), ("cuda", "span"), ("cuda", "latency"),
]  # fmt: skip
"""By the type of the device. Host time on a GPU is that of launching, whatever the work."""

_MEMORY_QUANTITIES = {"activations": "activations_bytes", "total_memory": "total_bytes"}


class RelativeErrors(NamedTuple):
    """How far the values of a series are known.

    Attributes:
        std: standard error of each value over the value.
        degrees_of_freedom: of each of these, positive; None where they are known exactly.
    """

    std: Sequence[float]
    degrees_of_freedom: Sequence[float] | None = None


class Series(NamedTuple):
    """One quantity over the resolution.

    Attributes:
        quantity: `runtime`, `activations` or `total_memory`.
        unit: of the values.
        clock: of a runtime, else None.
        device: of a runtime, else None.
        method: the user's label.
        variant: implementation and precision.
        submodule: or `image`, `end_to_end`, `method`.
        resolutions: of the images, ascending.
        values: one per resolution.
        counted: exact value at the resolution extrapolated to, None where unknown.
        errors: how far the values are known; None where not all were measured.
        prior: laws to admit.
        is_part: whether it is a submodule whose runtimes are summed to the method's.
        unsteady: the runs among them that were not steady, in words; empty: none.
    """

    quantity: str
    unit: str
    clock: str | None
    device: str | None
    method: str
    variant: str
    submodule: str
    resolutions: tuple[Resolution, ...]
    values: tuple[float, ...]
    counted: int | None = None
    errors: RelativeErrors | None = None
    prior: Prior = NOTHING_KNOWN
    is_part: bool = False
    unsteady: str = ""


def runtime_series(runtime: pd.DataFrame, memory: pd.DataFrame | None = None) -> Iterator[Series]:
    """Mean times over the resolution, per clock, of the submodules and of the whole image.

    Runs that ran out of memory have no times and are not fitted.

    Args:
        runtime: the table of `analysis.runtime_table`.
        memory: the table of `analysis.memory_table`, for the complexities; None: nothing is known.
    """
    complexities = complexities_of(memory) if memory is not None else {}
    clocks = pd.MultiIndex.from_frame(runtime[["device_type", "clock"]])
    is_fitted = runtime["role"].isin(["submodule", "image", "end_to_end"])
    fitted = runtime[is_fitted & clocks.isin(_FITTED_CLOCKS)]
    key = ["clock", "device", "method", "variant", "submodule"]
    for names, rows in fitted.groupby(key, sort=False):
        measured = rows[rows["mean_ms"].notna()].sort_values(BY_SIZE)
        clock, device, method, variant, submodule = map(str, names)
        known = complexities.get((method, variant), {})
        is_part = rows["role"].iloc[0] == "submodule"
        of_part = BY_COMPLEXITY[known.get(submodule, "unknown")]
        yield Series(
            "runtime", "ms", clock, device, method, variant, submodule,
            tuple(map(Resolution.of, measured["resolution"])), tuple(measured["mean_ms"].tolist()),
            errors=relative_errors(measured), prior=of_part if is_part else prior_of_whole(known),
            is_part=is_part, unsteady=_unsteady_words(measured),
        )  # fmt: skip


def _unsteady_words(measured: pd.DataFrame) -> str:
    """Return words such as ``drifting at 256, 384 px; shared at 512 px``."""
    lost = measured[measured["verdict"].notna() & (measured["verdict"] != "steady")]
    return "; ".join(
        f"{verdict} at {', '.join(rows['resolution'])} px"
        for verdict, rows in lost.groupby("verdict", sort=False)
    )


def relative_errors(measured: pd.DataFrame) -> RelativeErrors | None:
    """Standard errors of means over the means, with their degrees of freedom.

    Args:
        measured: rows of `runtime.csv`, a point each.

    Returns:
        None where a mean has no standard error, or nothing varies.
    """
    names = ["standard_error_ms", "mean_ms", "degrees_of_freedom"]
    error, mean, degrees = measured[names].to_numpy("float64", na_value=np.nan).T
    relative = error / mean
    known = len(relative) and np.all(np.isfinite(relative) & np.isfinite(degrees))
    least = LEAST_OF_MEDIAN * float(np.median(relative)) if known else 0.0
    if least <= 0:
        return None
    return RelativeErrors(tuple(np.maximum(relative, least).tolist()), tuple(degrees.tolist()))


def sizes_of_images(resolutions: Sequence[Resolution]) -> Sizes:
    """Sizes for the laws, of resolutions."""
    both = np.array([(one.side_px, one.half_perimeter_px) for one in resolutions])
    return Sizes(*both.reshape(-1, 2).T)


def memory_series(
    memory: pd.DataFrame,
    runtime: pd.DataFrame | None,
    resolutions: Collection[Resolution] | None,
    extrapolate_to_px: int,
) -> Iterator[Series]:
    """Counted bytes over the resolution, of each submodule and of the whole method.

    Counts exist beyond the resolutions of the study; fitting those too would no longer be the
    paper's extrapolation. The fit uses `resolutions`; without it those at which the method was
    run; and where it was not run, all below the one extrapolated to.

    Args:
        memory: the table of `analysis.memory_table`.
        runtime: the table of `analysis.runtime_table`, None without one.
        resolutions: the resolutions of the study, None to find them as said.
        extrapolate_to_px: where the exact count is compared with the prediction.
    """
    for (method, variant), rows in memory.groupby(["method", "variant"], sort=False):
        studied, last = set(resolutions or ()), square(extrapolate_to_px)
        if not studied and runtime is not None:
            is_own = (runtime["method"] == method) & (runtime["variant"] == variant)
            studied = set(map(Resolution.of, runtime.loc[is_own, "resolution"].unique()))
        for quantity, column in _MEMORY_QUANTITIES.items():
            for submodule, counted in counted_parts(rows, column, "sum"):
                known = sorted(
                    one for one in counted if (one in studied if studied else one < last)
                )
                yield Series(
                    quantity, "bytes", None, None, str(method), str(variant), submodule,
                    tuple(known), tuple(float(counted[one]) for one in known),
                    counted=counted.get(last), prior=COUNTED,
                )  # fmt: skip
