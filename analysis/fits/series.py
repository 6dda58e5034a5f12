"""From the tables to the series that are fitted."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import pandas as pd

from analysis.fits.table import WHOLE_METHOD, Series

_RUNTIME_KEY = ["clock", "device", "method", "variant", "submodule"]
_MEMORY_QUANTITIES = {"activations": "activations_bytes", "total_memory": "total_bytes"}


def runtime_series(runtime: pd.DataFrame) -> Iterator[Series]:
    """Mean times over the resolution, per clock, of the submodules and of the whole image.

    Runs that ran out of memory have no times and are not fitted.

    Args:
        runtime: the table of `analysis.runtime_table`.
    """
    inside = runtime[runtime["role"].isin(["submodule", "image"])]
    for key, rows in inside.groupby(_RUNTIME_KEY, sort=False):
        measured = rows[rows["mean_ms"].notna()].sort_values("resolution_px")
        clock, device, method, variant, submodule = (str(part) for part in key)
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
            counted=None,
        )


def memory_series(
    memory: pd.DataFrame,
    runtime: pd.DataFrame | None,
    resolutions_px: Collection[int] | None,
    extrapolate_to_px: int,
) -> Iterator[Series]:
    """Counted bytes over the resolution, of each submodule and of the whole method.

    Counts exist beyond the resolutions of the study; fitting those too would no longer be the
    study's extrapolation. The fit uses `resolutions_px`; without it those at which the method was
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
    counted_at: dict[int, Any],
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
    )
