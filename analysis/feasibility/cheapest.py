"""Which of a method's variants is the cheapest that fits and is fast enough, and how far it is off.

Cheapest is what takes the least time per image. Closest is, among the same, what deviates least
from `reference-fp32`. Deviations are those of the measured resolutions: nothing is said of others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from adscale.tables import Schema

from ..deviations import BASE
from ..numbers import known

CHEAPEST, CLOSEST = "cheapest", "closest"

COLUMNS: Schema = {
    **dict.fromkeys(("method", "gpu", "device", "sensor", "choice", "variant"), "string"),
    "sure": "boolean",
    **dict.fromkeys(("image_ms", "image_low_ms", "image_high_ms"), "Float64"),
    **dict.fromkeys(("latency_basis", "verdict", "keeps_cycle"), "string"),
    **dict.fromkeys(("deviation", "deviation_bound"), "Float64"),
    "deviation_at": "string",
}
"""Of a row. `sure` is false where the choice may not fit, or may not keep the cycle time."""


class Deviation(NamedTuple):
    """How far a variant is off, at all resolutions where that was found."""

    largest: float
    bound: float | None
    resolutions: tuple[str, ...]


Deviations = Mapping[tuple[str, str, str], Deviation]
"""By device, method and variant."""


def deviations_of(implementations: pd.DataFrame | None) -> Deviations:
    """The largest deviations of each variant, of maps and scores.

    Args:
        implementations: `implementations.csv`; None: nothing is known.
    """
    if implementations is None:
        return {}
    images = implementations[implementations["role"] == "image"]
    largest = images[["map_deviation_max", "score_deviation_max"]].max(axis=1)
    told = images.assign(largest=largest)[largest.notna()]
    found = {}
    for key, rows in told.groupby(["device", "method", "variant"], sort=False):
        bound = rows["deviation_bound"].iloc[0]
        device, method, variant = map(str, key)
        found[device, method, variant] = Deviation(
            float(rows["largest"].max()),
            None if pd.isna(bound) else float(bound),
            tuple(map(str, rows["resolution"])),
        )
    return found


def cheapest_rows(
    answers: Sequence[Mapping[str, Any]],
    deviations: Deviations,
    most_deviation: float | None = None,
) -> list[dict[str, Any]]:
    """The cheapest variant of each method, and the closest where that is another.

    Args:
        answers: rows of `feasibility.csv` with `keeps_cycle`, which is None where no cycle time was
            asked about.
        deviations: of variants, as `deviations_of` gives them.
        most_deviation: that is admitted; None: any, and also where none is known.

    Returns:
        For each method, GPU, device and sensor with several variants of which a latency is known:
        its choices, or one without a variant where none would do.
    """
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in answers:
        if not pd.isna(row["latency_ms"]):
            key = tuple(row[name] for name in ("method", "gpu", "device", "sensor"))
            groups.setdefault(key, []).append(_candidate(row, deviations))
    rows: list[dict[str, Any]] = []
    for (method, gpu, device, sensor), candidates in groups.items():
        if len(candidates) > 1:
            named = {"method": method, "gpu": gpu, "device": device, "sensor": sensor}
            rows += [{**named, **one} for one in _choices(candidates, most_deviation)]
    return rows


def _candidate(row: Mapping[str, Any], deviations: Deviations) -> dict[str, Any]:
    variant, batch = row["variant"], row["batch"]
    ends = (row[f"latency{end}_ms"] for end in ("", "_low", "_high"))
    value, low, high = (None if pd.isna(end) else end / batch for end in ends)
    found = deviations.get((row["device"], row["method"], variant))
    if variant == str(BASE):
        found = Deviation(0.0, None, ())
    return {
        "variant": variant,
        "image_ms": value,
        "image_low_ms": low,
        "image_high_ms": high,
        "latency_basis": row["latency_basis"],
        "verdict": row["verdict"],
        "keeps_cycle": row["keeps_cycle"],
        "deviation": None if found is None else found.largest,
        "deviation_bound": None if found is None else found.bound,
        "deviation_at": None if found is None else ", ".join(found.resolutions),
    }


def _choices(
    candidates: Sequence[dict[str, Any]], most_deviation: float | None
) -> Iterator[dict[str, Any]]:
    admitted = [one for one in candidates if _is_near(one, most_deviation)]
    sure = [one for one in admitted if one["verdict"] == "fits" and _keeps(one, "yes")]
    maybe = [
        one
        for one in admitted
        if one["verdict"] in ("fits", "uncertain") and _keeps(one, "yes", "uncertain", "unknown")
    ]
    pool = sure or maybe
    if not pool:
        yield {"choice": CHEAPEST, "sure": None, **dict.fromkeys(candidates[0])}
        return
    cheapest = min(pool, key=lambda one: float(one["image_ms"]))
    yield {"choice": CHEAPEST, "sure": bool(sure), **cheapest}
    told = [one for one in pool if one["deviation"] is not None]
    closest = min(told, key=lambda one: (one["deviation"], one["image_ms"]), default=cheapest)
    if closest != cheapest:
        yield {"choice": CLOSEST, "sure": bool(sure), **closest}


def _keeps(candidate: Mapping[str, Any], *admitted: str) -> bool:
    return candidate["keeps_cycle"] is None or candidate["keeps_cycle"] in admitted


def _is_near(candidate: Mapping[str, Any], most: float | None) -> bool:
    off = candidate["deviation"]
    return most is None or (off is not None and off <= most)


def cheapest_words(
    row: Mapping[str, Any], cycle_ms: float | None, most_deviation: float | None
) -> str:
    """A choice in words.

    Args:
        row: of `cheapest_rows`.
        cycle_ms: that was asked about; None: none was.
        most_deviation: that was admitted; None: any.
    """
    asked = [] if cycle_ms is None else [f"keeps {cycle_ms:g} ms"]
    asked += [] if most_deviation is None else [f"deviates by {most_deviation:g} at most"]
    where = f"{row['gpu']}" if row["gpu"] == row["device"] else f"{row['gpu']}, {row['device']}"
    head = f"{row['method']}, {row['sensor']}, {where}: {row['choice']} variant that "
    if row["variant"] is None:
        return f"{head}{' and '.join(['fits', *asked])}: none"
    fits = "fits" if row["sure"] else "may fit"
    if row["keeps_cycle"] in ("uncertain", "unknown"):
        asked[0] = f"may keep {cycle_ms:g} ms"
    interval = (row["image_ms"], row["image_low_ms"], row["image_high_ms"])
    basis = "" if row["latency_basis"] == "measured" else f", {row['latency_basis']}"
    return (
        f"{head}{' and '.join([fits, *asked])}: {row['variant']}, "
        f"{known(*interval, digits=3)} ms per image{basis}; {deviation_words(row)}"
    )


def deviation_words(row: Mapping[str, Any]) -> str:
    """How far a choice is off, and whether that is more than its bound."""
    off, bound = row["deviation"], row["deviation_bound"]
    if off is None:
        return "its deviation is not known"
    if row["variant"] == str(BASE):
        return "others are compared with it"
    over = "" if bound is None or off <= bound else f", more than its bound {bound:g}"
    pruned = ", and with weights that were not trained again" if "pruned" in row["variant"] else ""
    return f"largest deviation {off:.2g} at {row['deviation_at']} px{over}{pruned}"
