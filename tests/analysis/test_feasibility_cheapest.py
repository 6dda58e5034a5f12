"""Which variant is the cheapest that fits and keeps a cycle time."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from analysis.feasibility.cheapest import (
    Deviation,
    cheapest_rows,
    cheapest_words,
    deviations_of,
)

BF16, INT8, PRUNED = "optimized-bf16-openvino", "optimized-int8-openvino", "optimized-fp32-pruned50"
DEVIATIONS = {
    ("lab", "M", BF16): Deviation(0.01, 0.03, ("256", "512")),
    ("lab", "M", INT8): Deviation(0.2, None, ("256",)),
    ("lab", "M", PRUNED): Deviation(0.9, None, ("256",)),
}


def answer(variant: str, latency_ms: float | None, **changes: Any) -> dict[str, Any]:
    row = {
        "method": "M", "variant": variant, "gpu": "lab (CPU)", "device": "lab", "sensor": "5 MP",
        "batch": 1, "verdict": "fits", "keeps_cycle": "yes", "latency_ms": latency_ms,
        "latency_low_ms": None, "latency_high_ms": None, "latency_basis": "measured",
    }  # fmt: skip
    return {**row, **changes}


def chosen(rows: list[dict[str, Any]], most: float | None = None) -> dict[str, Any]:
    return {row["choice"]: row["variant"] for row in cheapest_rows(rows, DEVIATIONS, most)}


def test_the_least_time_that_is_admitted_decides_and_the_closest_stands_beside_it() -> None:
    rows = [answer("reference-fp32", 900, keeps_cycle="no"), answer(BF16, 300), answer(INT8, 100)]
    assert chosen(rows) == {"cheapest": INT8, "closest": BF16}
    assert chosen(rows, 0.03) == {"cheapest": BF16}
    # a batch of eight takes longer, and an image of it less
    batch = answer("optimized-fp32-b8", 640, batch=8)
    assert chosen([*rows, batch])["cheapest"] == "optimized-fp32-b8"
    # what is not known to be near is not taken where that is asked for
    assert chosen([*rows, batch], 0.03) == {"cheapest": BF16}


def test_what_is_sure_goes_before_what_is_faster() -> None:
    rows = [answer(BF16, 300), answer(INT8, 100, verdict="uncertain")]
    assert chosen(rows) == {"cheapest": BF16}
    unsure = [answer(BF16, 300, keeps_cycle="uncertain"), answer(INT8, 700, keeps_cycle="no")]
    (row,) = cheapest_rows(unsure, DEVIATIONS)
    assert (row["variant"], row["sure"]) == (BF16, False)
    assert cheapest_words(row, 250, None).startswith(
        f"M, 5 MP, lab (CPU), lab: cheapest variant that may fit and may keep 250 ms: {BF16}, 300 "
    )
    gone = [answer(BF16, 300, verdict="does_not_fit"), answer(INT8, 700, keeps_cycle="no")]
    (row,) = cheapest_rows(gone, DEVIATIONS)
    assert row["variant"] is None
    assert cheapest_words(row, 250, 0.1).endswith(
        "that fits and keeps 250 ms and deviates by 0.1 at most: none"
    )


def test_one_variant_or_no_latency_is_no_choice() -> None:
    assert cheapest_rows([answer(BF16, 300)], DEVIATIONS) == []
    assert cheapest_rows([answer(BF16, None), answer(INT8, None)], DEVIATIONS) == []


@pytest.mark.parametrize(
    ("variant", "says"),
    [
        ("reference-fp32", "others are compared with it"),
        (INT8, "largest deviation 0.2 at 256 px"),
        (PRUNED, "largest deviation 0.9 at 256 px, and with weights that were not trained again"),
        ("optimized-fp32", "its deviation is not known"),
    ],
)
def test_a_choice_says_how_far_it_is_off(variant: str, says: str) -> None:
    rows = [answer(variant, 1, latency_low_ms=0.9, latency_high_ms=1.1), answer(BF16, 300)]
    row = cheapest_rows(rows, DEVIATIONS)[0]
    assert cheapest_words(row, None, None).endswith(f"{variant}, 1.00 ms per image; {says}")


def test_deviations_are_the_largest_of_maps_and_scores_at_all_resolutions() -> None:
    known = {"device": "lab", "method": "M", "variant": BF16, "deviation_bound": 0.03}
    table = pd.DataFrame(
        [
            {**known, "role": "image", "resolution": "256", "map_deviation_max": 0.01,
             "score_deviation_max": 0.04},
            {**known, "role": "image", "resolution": "512", "map_deviation_max": None,
             "score_deviation_max": 0.02},
            {**known, "role": "submodule", "resolution": "512", "map_deviation_max": 9.0,
             "score_deviation_max": None},
        ]
    )  # fmt: skip
    found = deviations_of(table)
    assert found == {("lab", "M", BF16): Deviation(0.04, 0.03, ("256", "512"))}
    assert deviations_of(None) == {}
    (row, *_) = cheapest_rows([answer(BF16, 3), answer(INT8, 5)], found)
    assert ", more than its bound 0.03" in cheapest_words(row, None, None)
