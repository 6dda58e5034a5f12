"""Reads the series that are fitted from the tables."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from .models import BY_COMPLEXITY, COUNTED, NOTHING_KNOWN, Prior, prior_of_whole

WHOLE_METHOD = "method"
"""Name of the sum over all submodules of a method."""

LEAST_OF_MEDIAN = 0.5
"""Share of the median standard error of its series that a point's is never taken to be below.

What repeating an image does not show (which kernels are chosen at a resolution, how warm the
machine was then) is no smaller where images agree. Without this one quiet run would decide a fit.
"""

MEAN_COLUMNS = ("mean_ms", "ci95_low_ms", "ci95_high_ms")
"""Columns of a mean with its interval in `runtime.csv`."""

_RUNTIME_KEY = ["clock", "device", "method", "variant", "submodule"]
_FITTED_CLOCKS = {"cpu": {"host", "latency"}, "cuda": {"kernel_sum", "busy", "span", "latency"}}
"""By the type of the device. Host time on a GPU is that of launching, whatever the work."""
_FITTED_ROLES = {"submodule", "image", "end_to_end"}
_MEMORY_QUANTITIES = {"activations": "activations_bytes", "total_memory": "total_bytes"}


class RelativeErrors(NamedTuple):
    """How far the points of a series are known.

    Attributes:
        std: standard error of each value over the value.
        degrees_of_freedom: of each of these.
    """

    std: tuple[float, ...]
    degrees_of_freedom: tuple[float, ...]


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
        side_px: resolutions, ascending.
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
    side_px: tuple[int, ...]
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
    clocks = runtime["device_type"].map(_FITTED_CLOCKS)
    fitted = runtime["role"].isin(_FITTED_ROLES) & np.array(
        [clock in some for clock, some in zip(runtime["clock"], clocks, strict=True)], np.bool_
    )
    for key, rows in runtime[fitted].groupby(_RUNTIME_KEY, sort=False):
        measured = rows[rows["mean_ms"].notna()].sort_values("resolution_px")
        clock, device, method, variant, submodule = (str(part) for part in key)
        is_part = rows["role"].iloc[0] == "submodule"
        known = complexities.get((method, variant), {})
        yield Series(
            quantity="runtime",
            unit="ms",
            clock=clock,
            device=device,
            method=method,
            variant=variant,
            submodule=submodule,
            side_px=tuple(int(side) for side in measured["resolution_px"]),
            values=tuple(float(value) for value in measured["mean_ms"]),
            errors=relative_errors(measured),
            prior=BY_COMPLEXITY[known.get(submodule, "unknown")]
            if is_part
            else prior_of_whole(known),
            is_part=is_part,
            unsteady=_unsteady_words(measured),
        )


def _unsteady_words(measured: pd.DataFrame) -> str:
    """Return words such as ``drifting at 256, 384 px; shared at 512 px``."""
    lost = measured[measured["verdict"].notna() & (measured["verdict"] != "steady")]
    return "; ".join(
        f"{verdict} at {', '.join(map(str, rows['resolution_px']))} px"
        for verdict, rows in lost.groupby("verdict", sort=False)
    )


def complexities_of(memory: pd.DataFrame) -> dict[tuple[str, str], dict[str, str]]:
    """Return the complexities of the submodules of each method and variant."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in memory.drop_duplicates(["method", "variant", "submodule"]).itertuples():
        of_method = found.setdefault((str(row.method), str(row.variant)), {})
        of_method[str(row.submodule)] = str(row.complexity)
    return found


def relative_errors(measured: pd.DataFrame) -> RelativeErrors | None:
    """Standard errors of means over the means, with their degrees of freedom.

    Args:
        measured: rows of `runtime.csv`, a point each.

    Returns:
        None where a mean has no standard error, or nothing varies.
    """
    degrees = measured["degrees_of_freedom"].to_numpy("float64", na_value=np.nan)
    relative = (measured["standard_error_ms"] / measured["mean_ms"]).to_numpy(
        "float64", na_value=np.nan
    )
    if not len(relative) or not np.all(np.isfinite(relative) & np.isfinite(degrees)):
        return None
    least = LEAST_OF_MEDIAN * float(np.median(relative))
    if least <= 0:
        return None
    return RelativeErrors(
        tuple(float(value) for value in np.maximum(relative, least)),
        tuple(float(value) for value in degrees),
    )


def memory_series(
    memory: pd.DataFrame,
    runtime: pd.DataFrame | None,
    resolutions_px: Collection[int] | None,
    extrapolate_to_px: int,
) -> Iterator[Series]:
    """Counted bytes over the resolution, of each submodule and of the whole method.

    Counts exist beyond the resolutions of the study; fitting those too would no longer be the
    paper's extrapolation. The fit uses `resolutions_px`; without it those at which the method was
    run; and where it was not run, all below the one extrapolated to.

    Args:
        memory: the table of `analysis.memory_table`.
        runtime: the table of `analysis.runtime_table`, None without one.
        resolutions_px: the resolutions of the study, None to find them as said.
        extrapolate_to_px: where the exact count is compared with the prediction.
    """
    for (method, variant), rows in memory.groupby(["method", "variant"], sort=False):
        studied = resolutions_px or _run_at(runtime, str(method), str(variant))
        if not studied:
            studied = {int(side) for side in rows["resolution_px"] if side < extrapolate_to_px}
        whole = rows.groupby("resolution_px", as_index=False)[
            ["activations_bytes", "total_bytes"]
        ].sum()
        parts = [*rows.groupby("submodule", sort=False), (WHOLE_METHOD, whole)]
        for quantity, column in _MEMORY_QUANTITIES.items():
            for submodule, part in parts:
                names = (str(method), str(variant), str(submodule))
                at = dict(zip(part["resolution_px"].tolist(), part[column].tolist(), strict=True))
                yield _memory_series(quantity, names, at, studied, extrapolate_to_px)


def _run_at(runtime: pd.DataFrame | None, method: str, variant: str) -> set[int]:
    if runtime is None:
        return set()
    rows = runtime[(runtime["method"] == method) & (runtime["variant"] == variant)]
    return {int(side) for side in rows["resolution_px"]}


def _memory_series(
    quantity: str,
    names: tuple[str, str, str],
    counted_at: Mapping[int, Any],
    studied: Collection[int],
    extrapolate_to_px: int,
) -> Series:
    sides = sorted(side for side in counted_at if side in studied)
    counted = counted_at.get(extrapolate_to_px)
    method, variant, submodule = names
    return Series(
        quantity=quantity,
        unit="bytes",
        clock=None,
        device=None,
        method=method,
        variant=variant,
        submodule=submodule,
        side_px=tuple(int(side) for side in sides),
        values=tuple(float(counted_at[side]) for side in sides),
        counted=None if counted is None else int(counted),
        prior=COUNTED,
    )
