"""Deviations: of outputs whose differences are known, and what can be told of none."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from adscale.errors import ConfigError
from adscale.models import adapter
from adscale.run_record import RunRecord
from adscale.variant import Variant
from analysis.deviations import RANKED_IMAGES, Bounds, deviations, read_outputs
from analysis.ratios import implementations_table
from tests.analysis.test_batches import memory_rows, runtime_rows
from tests.gpu_profiles import GpuRun, run_document

BASE = "reference-fp32"
OTHER = "optimized-bf16-compile"
RUN = GpuRun("M", 512, ("a",), lambda _submodule, _image: 4)


def outputs(scores: list[float | None], maps: np.ndarray[Any, Any] | None) -> dict[str, Any]:
    if maps is None:
        return {"scores": scores, "map_points": None, "maps": ""}
    content = base64.b64encode(maps.astype("<f4").tobytes()).decode()
    return {"scores": scores, "map_points": list(maps.shape), "maps": content}


def record(variant: str, found: dict[str, Any] | None, **changes: Any) -> RunRecord:
    document = run_document(replace(RUN, variant=variant), outputs=found, **changes)
    return adapter(RunRecord).validate_python(document)


def compared(*records: RunRecord, bounds: str | None = None) -> dict[str, Any]:
    """Of the last record."""
    by_key = {
        (one.request.device, one.request.method, str(one.request.variant), "512"): one
        for one in records
    }
    (*_, last) = deviations(by_key, Bounds.from_json(bounds)).values()
    return last


def test_differences_are_told_over_the_largest_value_of_the_reference() -> None:
    theirs = np.array([[[0.0, 2.0], [4.0, -8.0]], [[1.0, 1.0], [1.0, 2.0]]])
    ours = theirs + np.array([[[0.08, 0.0], [0.0, 0.0]], [[0.0, 0.1], [0.0, 0.0]]])
    found = compared(
        record(BASE, outputs([2.0, 4.0], theirs)), record(OTHER, outputs([2.1, 4.0], ours))
    )
    assert found["map_deviation_max"] == pytest.approx(0.05, rel=1e-5)
    assert found["map_deviation_mean"] == pytest.approx((0.01 + 0.05) / 8, rel=1e-5)
    assert found["score_deviation_max"] == pytest.approx(0.05)
    assert found["score_deviation_mean"] == pytest.approx(0.025)
    assert (found["deviation_map_images"], found["deviation_images"]) == (2, 2)
    assert found["deviation_bound"] == 0.03
    assert found["exceeds_bound"] is True
    assert "2 different images, 30 are needed" in found["deviation_note"]
    assert "score_rank_correlation" not in found


@settings(max_examples=20)
@given(st.lists(st.integers(0, 20), min_size=RANKED_IMAGES, max_size=40), st.randoms())
def test_ranks_are_correlated_as_scipy_does(values: list[int], random: Any) -> None:
    scores = [1.0 + value for value in values]
    others = random.sample(scores, len(scores))
    found = compared(record(BASE, outputs([*scores], None)), record(OTHER, outputs(others, None)))
    if len(set(scores)) == 1:
        assert found["score_rank_correlation"] is None
        assert "all scores of a side are equal" in found["deviation_note"]
        return
    expected = spearmanr(others, scores).statistic
    assert found["score_rank_correlation"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"weights": {"source": "x.pt", "sha256": "0"}}, "other weights"),
        ({"images": {"source": "b", "count": 7, "unreadable": [], "per_range": 1}}, "different"),
    ],
)
def test_what_ran_otherwise_is_not_compared(changes: dict[str, Any], says: str) -> None:
    same = outputs([1.0], np.ones((1, 2, 2)))
    found = compared(record(BASE, same), record(OTHER, same, **changes))
    assert says in found["deviation_note"]
    assert "map_deviation_max" not in found


def test_what_is_not_there_is_said() -> None:
    whole = outputs([1.0], np.ones((1, 2, 2)))
    alone = compared(record(OTHER, whole))
    assert alone["deviation_note"] == "reference-fp32 was not measured at this resolution"
    for first, second in ((None, whole), (whole, None)):
        assert (
            "no outputs" in compared(record(BASE, first), record(OTHER, second))["deviation_note"]
        )
    infinite = outputs([None], np.full((1, 2, 2), np.inf))
    found = compared(record(BASE, whole), record(OTHER, infinite))
    assert "maps that are not finite" in found["deviation_note"]
    assert "exceeds_bound" not in found
    nothing = outputs([0.0], np.zeros((1, 2, 2)))
    found = compared(record(BASE, nothing), record(OTHER, whole))
    assert "0 everywhere" in found["deviation_note"]
    assert (
        "a score of reference-fp32 is 0"
        in compared(record(BASE, outputs([0.0], None)), record(OTHER, whole))["deviation_note"]
    )


def test_bounds_of_a_variant_go_before_those_of_its_way_and_precision() -> None:
    named = {"bf16": 0.1, "bf16-openvino": 0.2, "optimized-bf16-openvino": None, "pruned": 0.5}
    bounds = Bounds.from_json(json.dumps(named))
    expected = {
        "optimized-bf16-openvino": None, "optimized-bf16-openvino-b4": None,
        "reference-bf16-openvino": 0.2, "optimized-bf16": 0.1, "optimized-fp32-compile": 1e-3,
        "optimized-fp16": 3e-2, "optimized-int8-openvino": None, "optimized-fp32-pruned50": 0.5,
    }  # fmt: skip
    assert {name: bounds.of(Variant.of(name)) for name in expected} == expected
    assert Bounds.from_json(None).of(Variant.of("optimized-fp32-pruned50")) is None
    for wrong in ('{"bf16": -1}', '{"bf16": "x"}', "[]"):
        with pytest.raises(ConfigError, match="no mapping of numbers"):
            Bounds.from_json(wrong)


def test_the_deviation_stands_beside_the_cost_of_the_whole_image(tmp_path: Path) -> None:
    theirs = np.ones((1, 2, 2))
    folders = []
    for variant, factor in ((BASE, 1.0), (OTHER, 1.01)):
        folder = tmp_path / variant
        folder.mkdir()
        found = outputs([2.0 * factor], factor * theirs)
        (folder / "run.json").write_text(
            json.dumps(run_document(replace(RUN, variant=variant), outputs=found))
        )
        folders.append(folder)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "run.json").write_text("{")
    records = read_outputs([*folders, tmp_path / "damaged", tmp_path / "absent"])
    assert len(records) == 2
    (key, *_) = records
    runtime = runtime_rows({BASE: 12.0, OTHER: 3.0})
    runtime = runtime.assign(device=key[0], method=key[1], resolution=key[3])
    part = runtime.assign(role="submodule", submodule="a")
    table = implementations_table(
        pd.concat([part, runtime]),
        memory_rows({BASE: 1, OTHER: 1}),
        folders,
    )
    by_role = table.set_index("role")
    assert set(table["variant"]) == {OTHER}
    assert set(table["reference_variant"]) == {BASE}
    assert set(table["precision"]) == {"bf16-compile"}
    assert by_role.loc["image", "map_deviation_max"] == pytest.approx(0.01, rel=1e-4)
    assert not by_role.loc["image", "exceeds_bound"]
    assert pd.isna(by_role.loc["submodule", "map_deviation_max"])
