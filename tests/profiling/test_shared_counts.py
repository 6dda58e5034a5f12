"""One run of a curve counts for those of its other sizes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from adscale.config import load_config
from adscale.plan import plan_runs
from adscale.plan_file import Plan, pass_plan
from adscale.resolution import square
from profiling.launcher import _counting
from profiling.study.shared_counts import SharedCounts, shared_counts
from tests.conftest import CHECKOUT
from tests.profiling.counts import counted

SMALL = {"S": {"target": "efficientad", "size": "S"}}
RUN = "d/S/reference-fp32/256"


def shared(
    folder: Path, run: str = RUN, latency: bool = False, **changes: Any
) -> SharedCounts | None:
    config = load_config({
        "device": {"name": "d", "type": "cpu", "threads": 1}, "resolutions": [256, 288, 320],
        "variants": ["reference-fp32"], "methods": SMALL, "processes": 2, **changes,
    })  # fmt: skip
    runs = plan_runs(config, "embedded")
    environment: dict[str, str] = {}
    pass_plan(Plan.of("embedded", runs, config.devices), folder / "plans", environment)
    request = runs[run].latency if latency else runs[run].request
    return shared_counts(Path(environment["ADSCALE_PLAN"]), request)


def test_all_passes_processes_and_sizes_of_a_curve_share_a_file(tmp_path: Path) -> None:
    found = shared(tmp_path)
    other = shared(tmp_path, "d/S/reference-fp32/320/process-2", latency=True)
    assert found is not None
    assert other is not None
    assert found.others == (square(288), square(320))
    assert (other.file, other.others) == (found.file, (square(256), square(288)))


@pytest.mark.parametrize(
    ("run", "changes"),
    [
        ("d/S/optimized-fp32/256", {"variants": ["optimized-fp32"]}),
        (RUN, {"methods": {"S": {"target": "efficientad", "size": "M"}}}),
        (RUN, {"device": {"name": "d", "type": "cuda", "threads": 1}}),
    ],
)
def test_what_would_count_otherwise_has_another_file(
    tmp_path: Path, run: str, changes: dict[str, Any]
) -> None:
    found, other = shared(tmp_path), shared(tmp_path, run, **changes)
    assert found is not None
    assert other is not None
    assert other.file != found.file


def test_a_method_of_the_users_counts_for_itself(tmp_path: Path) -> None:
    own = {"S": {"target": "examples.blur_distance:BlurDistance"}}
    assert shared(tmp_path, methods=own) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"256": 3}', '{"256": {"needed_bytes": "x"}}'])
def test_a_file_that_cannot_be_read_has_it_counted(tmp_path: Path, text: str) -> None:
    counts = SharedCounts(tmp_path / "counts.json", square(256), (square(288),))
    assert _counting(None, counts) == ["--counts", str(counts.file), "--also", "288"]
    counts.file.write_text(text)
    assert counts.known() is None


def test_a_run_leaves_the_counts_that_the_next_one_takes(tmp_path: Path) -> None:
    counts = shared(tmp_path)
    assert counts is not None
    plan = next(file for file in (tmp_path / "plans").glob("*.json"))
    request = json.loads(plan.read_text())["runs"][RUN]["request"]
    request["sampling"].update(warmup_images=0, measured_images=1, min_images=1)
    out = tmp_path / "out"
    out.mkdir()
    asked = ["measure", "--request", json.dumps(request), "--out", str(out)]
    measuring = [sys.executable, "-m", "profiling", *asked, *_counting(None, counts)]
    subprocess.run(measuring, check=True, cwd=CHECKOUT)
    expected = {
        str(side): {
            "needed_bytes": counted("efficientad", side, size="S").needed_bytes,
            "incomplete": None,
        }
        for side in (256, 288, 320)
    }
    assert json.loads(counts.file.read_text()) == expected
    larger = shared(tmp_path, "d/S/reference-fp32/320")
    assert _counting(None, larger) == ["--need", json.dumps(expected["320"])]
