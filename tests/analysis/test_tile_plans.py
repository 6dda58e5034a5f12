"""Plans of tiles: memory against counts of cut images, the choice, the command and its document."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from adscale.memory_record import MemoryRecord
from adscale.methods.registry import check_settings, get_spec
from adscale.models import jsonable
from adscale.resolution import Resolution, square
from adscale.variant import Variant
from analysis.feasibility.devices import Target
from analysis.feasibility.process import GIB
from analysis.feasibility.tile_plans import Planner, best_of, cut_bytes
from profiling.memory.counting import count_memory, is_gpu_imaginable

Analysis = Callable[..., tuple[int, str, str]]

SENSOR = Resolution(1000, 700)
GIVEN: dict[str, dict[str, Any]] = {
    "efficientad": {"size": "S"},
    "patchcore": {"training_images": 5},
    "ddad": {"size": "S", "skip": 125},
}


@cache
def counted(
    target: str, variant: str = "optimized-fp32", device_type: str = "cuda", sides: Any = (256, 512)
) -> MemoryRecord:
    if device_type == "cuda" and not is_gpu_imaginable():
        pytest.skip("this torch counts for no absent GPU")
    spec, way = get_spec(target), Variant.of(variant)
    settings = check_settings(spec, GIVEN[target])
    counts = tuple(
        count_memory(
            spec, settings, resolution=square(side), implementation=way.implementation,
            batch=way.batch, device_type=device_type,
        )
        for side in sides
    )  # fmt: skip
    return MemoryRecord(
        schema_version=3, method=target, target=target, settings=settings, variant=way,
        device_type=device_type, resolutions=counts,
    )  # type: ignore[arg-type]  # fmt: skip


def planner(record: MemoryRecord, gib: float, runtime: pd.DataFrame | None = None) -> Planner:
    target = Target("a GPU", record.device_type, int(gib * GIB), "lab", "a GPU")
    return Planner(record, target, runtime, None)


@pytest.mark.parametrize("variant", ["optimized-fp32", "reference-fp32", "optimized-fp32-b3"])
@pytest.mark.parametrize(
    "target",
    ["efficientad", *(pytest.param(one, marks=pytest.mark.slow) for one in ("patchcore", "ddad"))],
)
def test_the_memory_of_a_plan_is_that_of_a_count_of_the_cut_image(
    target: str, variant: str
) -> None:
    record, spec = counted(target, variant), get_spec(target)
    image = Resolution(1024, 768)
    for one in planner(record, 1000).candidates(image):
        tiles = {
            "size": str(one.plan.tile),
            "overlap": one.plan.across.overlap_px,
            "batch": one.plan.batch,
        }
        settings = check_settings(spec, {**GIVEN[target], "tiles": tiles})
        count = count_memory(
            spec, settings, resolution=image, implementation=record.variant.implementation,
            device_type="cuda",
        )  # fmt: skip
        assert one.plan.number > 1
        assert one.counted_bytes == pytest.approx(count.needed_bytes, rel=2e-5)


def test_the_largest_tiles_that_fit_are_taken_where_no_time_is_known() -> None:
    record = counted("efficientad")
    small, large = (one for one in record.resolutions)
    spec = get_spec("efficientad")
    whole = planner(record, 1000).candidates(SENSOR)
    by_size = {one.plan.tile.width_px: one for one in whole}
    assert set(by_size) == {256, 512}
    assert cut_bytes(record, spec, large, by_size[512].plan) == by_size[512].counted_bytes
    best = best_of(planner(record, 1000).candidates(SENSOR))
    assert best is not None
    fewest = min(whole, key=lambda one: one.plan.number * one.plan.tile.pixels)
    assert best.plan == fewest.plan
    nothing = planner(record, 0.1)
    assert best_of(nothing.candidates(SENSOR)) is None
    assert small.needed_bytes < large.needed_bytes


def timed(tile_ms: dict[int, float]) -> pd.DataFrame:
    """Rows of `runtime.csv` as far as latencies are read from them."""
    rows = [
        {
            "device": "lab", "method": "efficientad", "variant": "optimized-fp32",
            "clock": "latency", "submodule": submodule, "resolution": str(side),
            "width_px": side, "height_px": side, "pixels": side**2, "mean_ms": value,
            "ci95_low_ms": 0.9 * value, "ci95_high_ms": 1.2 * value,
            "p99_ms": None, "p99_low_ms": None, "p99_high_ms": None,
            "images": 50, "verdict": "steady",
        }
        for side, mean in tile_ms.items()
        for submodule, value in (("image", mean), ("end_to_end", mean + 1))
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_the_fastest_plan_that_fits_is_taken_and_its_interval_is_a_sum_of_intervals() -> None:
    record = counted("efficientad")
    best = best_of(planner(record, 1000, timed({256: 1.0, 512: 90.0})).candidates(SENSOR))
    assert best is not None
    assert best.plan.tile == square(256)
    assert best.time is not None
    number = best.plan.number
    assert (best.time.value, best.time.low, best.time.high) == pytest.approx(
        (number, 0.9 * number, 1.2 * number)
    )
    assert best.basis == "measured"


def test_batches_of_tiles_take_an_inference_for_as_many() -> None:
    record = counted("efficientad", "optimized-fp32-b3")
    for one in planner(record, 1000).candidates(SENSOR):
        assert one.inferences == -(-one.plan.number // 3)
        assert one.problem is not None


def test_exact_tiles_of_patchcore_are_of_no_use() -> None:
    found = planner(counted("patchcore", sides=(256,)), 1000).exact_is_useless(SENSOR)
    assert found == "944 px would have to be shared, and tiles have up to 256 px"
    assert planner(counted("efficientad"), 1000).exact_is_useless(SENSOR) is None


def test_the_command_answers_in_words_and_as_a_document(analysis: Analysis, tmp_path: Path) -> None:
    file = tmp_path / "memory.json"
    record = {**jsonable(counted("efficientad")), "schema": "memory"}
    record.pop("schema")
    file.write_text(json.dumps(record))
    asked = ("tiles", "--counts", file, "--sensor", "5328x4608", "--cycle-ms", "200")
    code, out, err = analysis(*asked, "--vram-gib", "8")
    assert (code, err) == (0, "")
    first, *others = out.splitlines()
    assert first.startswith("efficientad optimized-fp32, 5328x4608 px, 8 GiB: 120 tiles of 512 px")
    assert "no time: not measured there" in first
    assert all(one.startswith("  or ") for one in others)
    code, out, err = analysis(*asked, "--vram-gib", "0.5")
    assert "no plan: the least, " in out
    assert "needs at least" in out
    code, out, err = analysis(*asked, "--vram-gib", "8", "--json")
    rows = json.loads(out)["rows"]
    assert [row["tiles"] for row in rows if row["is_best"]] == [120]
    assert all(row["unknown"]["time_ms"] for row in rows)
    assert json.loads(out)["document"] == "tiles"


def test_a_question_without_counts_is_refused(
    analysis: Analysis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = analysis("tiles", "--sensor", "2448x2048", "--vram-gib", "8")
    assert code
    assert "results/counts holds no counts" in err
