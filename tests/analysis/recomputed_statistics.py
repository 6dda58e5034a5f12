"""Numbers of a run once more, from the formulas of docs/statistics.md; see `recomputed`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.stats import beta, norm, t

Floats = npt.NDArray[np.float64]
Cells = dict[str, Any]

SHARES = {"median": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


def statistics(series: Sequence[Floats]) -> Cells:
    """Numbers of one or several processes (docs/statistics.md)."""
    everything, several = np.concatenate(series), len(series) > 1
    own = [{"mean": float(one.mean()), **_percentiles(one)} for one in series]
    value = {name: math.fsum(one[name] for one in own) / len(own) for name in own[0]}
    fewest = min(map(len, series))
    stds = [_std(one) for one in series if len(one) > 1]
    cells: Cells = {
        "processes": len(series), "images": len(everything),
        "std_ms": math.fsum(stds) / len(stds) if stds else None,
        "process_std_ms": _std(np.array([one["mean"] for one in own])) if several else None,
        "min_ms": float(everything.min()), "max_ms": float(everything.max()),
        "unseen_ms": min(1.0, 3 / len(everything)) * 9 * value["median"],
    }  # fmt: skip
    errors = {
        name: (_std(np.array([one[name] for one in own])) / len(own) ** 0.5, len(own) - 1)
        if several
        else None
        for name in value
    }
    if not several and fewest > 1:
        errors["mean"] = ewc(series[0])
    cells["effective_images"] = _effective(series[0], errors["mean"]) if not several else None
    for name, center in value.items():
        prefix, error = ("ci95" if name == "mean" else name), errors[name]
        ends: tuple[float | None, float | None] = (None, None)
        if several and name in SHARES and fewest * min(SHARES[name], 1 - SHARES[name]) < 2 - 1e-9:
            error = None
        if not several and name in SHARES:
            ends = _order_interval(series[0], SHARES[name])
            if ends[0] is not None and ends[1] is not None:
                degrees = cosines(fewest)
                error = ((ends[1] - ends[0]) / 2 / t.ppf(0.975, degrees), degrees)
        elif error is not None:
            reach = float(t.ppf(0.975, error[1])) * error[0]
            ends = (center - reach, center + reach)
        told = name in ("mean", "median") or _rank(fewest, SHARES[name]) < fewest
        cells[f"{name}_ms"] = center if told else None
        cells[f"{prefix}_low_ms"] = max(ends[0], 0.0) if told and ends[0] is not None else None
        cells[f"{prefix}_high_ms"] = ends[1] if told else None
        if name in ("mean", "median"):
            prefix = "" if name == "mean" else "median_"
            cells[f"{prefix}standard_error_ms"] = None if error is None else float(error[0])
            cells[f"{prefix}degrees_of_freedom"] = None if error is None else float(error[1])
    return cells


def _std(values: Floats) -> float:
    return float(np.sqrt(np.sum((values - values.mean()) ** 2) / (len(values) - 1)))


def _rank(size: int, share: float) -> float:
    return (size + 1 / 3) * share + 1 / 3


def _percentiles(values: Floats) -> dict[str, float]:
    return {
        name: float(np.quantile(values, share, method="median_unbiased"))
        for name, share in SHARES.items()
    }


def _effective(values: Floats, error: tuple[float, int] | None) -> float | None:
    if error is None:
        return None
    size = float(len(values))
    return min(size, (_std(values) / error[0]) ** 2) if error[0] > 0 else size


def cosines(size: int) -> int:
    """Degrees of freedom of the mean of one process."""
    return min(size - 1, max(4, round(0.4 * math.pow(size, 2 / 3))))


def ewc(values: Floats) -> tuple[float, int]:
    """Standard error of a mean by equal-weighted cosines, corrected by the autocorrelation."""
    size, count = len(values), cosines(len(values))
    deviations = values - values.mean()
    places = (np.arange(size) + 0.5) / size
    squares = [
        2 / size * float(deviations @ np.cos(np.pi * j * places)) ** 2 for j in range(1, count + 1)
    ]
    total = float(deviations @ deviations)
    rho = float(deviations[1:] @ deviations[:-1]) / total if total else 0.0
    rho = min(max(rho + (1 + 3 * rho) / size, 0.0), 0.9)
    fall = [
        (1 + rho**2 - 2 * rho * math.cos(math.pi * j / size)) / (1 - rho) ** 2
        for j in range(1, count + 1)
    ]
    variance = sum(a * b for a, b in zip(squares, fall, strict=True)) / count
    ends = 1 - 2 * rho * (1 - rho**size) / (size * (1 - rho**2))
    return math.sqrt(variance * ends / size), count


def _order_interval(values: Floats, share: float) -> tuple[float | None, float | None]:
    """Between two order statistics: fractional ranks by the beta distribution."""
    size = len(values)
    if size < 2:
        return None, None
    price = float((norm.ppf(0.975) / t.ppf(0.975, cosines(size))) ** 2)
    if size * min(share, 1 - share) * price < 7:
        return None, None
    point = np.quantile(values, share, method="median_unbiased")
    below = (values <= point).astype(float)
    held = float(below.mean())
    independent = held * (1 - held) / (size - 1)
    effect = ewc(below)[0] ** 2 / independent if independent > 0 else 1.0
    effective = size / max(effect, 1e-6) * price
    ordered = np.sort(values)
    ends = []
    for level in (0.975, 0.025):
        u = brentq(
            lambda u, p=level: beta.cdf(share, (effective + 1) * u, (effective + 1) * (1 - u)) - p,
            1e-9, 1 - 1e-9, xtol=1e-14,
        )  # fmt: skip
        rank = u * (size + 1)
        if not 1 <= rank <= size:
            return None, None
        ends.append(float(np.interp(rank, np.arange(1, size + 1), ordered)))
    return ends[0], ends[1]
