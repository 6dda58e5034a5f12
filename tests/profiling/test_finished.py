"""How far a study has come: what counts as finished, and what is told of it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from adscale.config import load_config
from adscale.digest import source_digest
from adscale.plan import plan_runs, planned_records
from adscale.plan_file import VARIABLE, Plan, pass_plan, read_plan
from adscale.resolution import square
from profiling.study.estimates import bound
from profiling.study.finished import (
    NOTES,
    SUMMARY,
    Completion,
    closing_words,
    counted_need,
    duration,
    finish,
    opening_words,
    planned_measurements,
    read_completion,
)
from tests.conftest import CHECKOUT
from tests.gpu_profiles import GpuRun, machine_document, run_document


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (99, "99 s"), (540, "9 min"), (5999, "100 min"),
                          (12600, "3.5 h")]
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def study(**changes: Any) -> Plan:
    config = load_config({
        "device": {"name": "d", "type": "cpu", "threads": 1}, "resolutions": [256, 512],
        "variants": ["reference-fp32"], "methods": {"S": {"target": "efficientad", "size": "S"}},
        "sampling": {
            "warmup_images": 5, "measured_images": 20, "min_images": 20, "time_budget_s": None,
            "profiled_share": 1,
        }, **changes,
    })  # fmt: skip
    return Plan.of("embedded", plan_runs(config, "embedded"), config.devices, config.latency)


RUN = "d/S/reference-fp32"


class Folder:
    """A study's files, in which measurements end."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.results, self.cache = folder / "results", folder / "cache"
        environment: dict[str, str] = {}
        pass_plan(plan, self.cache / "plans", environment)
        self.plan, self.file = plan, Path(environment[VARIABLE])

    def record(self, name: str, status: str = "ok", image_s: float = 1.0, **more: Any) -> None:
        one = planned_measurements(self.plan)[name].request
        path = self.results / name
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = GpuRun("S", 256, ("a",), lambda _name, _image: 4)
        window_ms = [100.0, 100.0 + 20 * image_s * 1e3]
        document = run_document(
            whole, status=status, request=one.as_dict(),
            sampling={"warmup_images": 5, "measured_images": 20, "stop_reason": "image_count"},
            machine={**machine_document(whole), "measured_ms": window_ms},
            started_utc="2026-01-01T00:00:00+00:00", finished_utc="2026-01-01T00:00:40+00:00",
            **more,
        )  # fmt: skip
        path.write_text(json.dumps(document))

    def finish(self, name: str, wall_s: float, **more: Any) -> str:
        self.record(name, **more)
        one = planned_measurements(self.plan)[name].request
        return finish(self.file, one, (self.results / name).parent, wall_s)

    def progress(self) -> Completion:
        return read_completion(read_plan(self.file), self.results, self.cache / NOTES)


def test_a_study_from_its_first_measurement_to_its_last(tmp_path: Path) -> None:
    folder = Folder(tmp_path, study())
    words = opening_words(folder.plan, folder.cache, folder.results)
    assert words == "study: 0 of 4 measurements; time left unknown, nothing was measured yet"
    line = folder.finish(f"{RUN}/256/run.json", 35.0)
    grown = bound(square(512)).flops / bound(square(256)).flops
    expected_s = (10 + 25) + 2 * (10 + 25 * grown)
    assert line == (
        "study: 1 of 4 measurements, S reference-fp32 256 px took 35 s; "
        f"about {duration(expected_s)} of measuring left (from 1 measured)"
    )
    line = folder.finish(f"{RUN}/512/latency.json", 9.0, status="out_of_memory")
    assert (
        "2 of 4 measurements, S reference-fp32 512 px latency ran out of memory after 9 s" in line
    )
    folder.finish(f"{RUN}/256/latency.json", 30.0)
    line = folder.finish(f"{RUN}/512/run.json", 5.0, status="predicted_out_of_memory")
    assert line == (
        "study: 4 of 4 measurements, S reference-fp32 512 px was left out for its memory; "
        "nothing left to measure"
    )


def test_with_several_devices_each_line_names_its_own(tmp_path: Path) -> None:
    asked = {"type": "cpu", "threads": 1, "hardware": "CPU"}
    devices = [{**asked, "name": name} for name in ("a", "b")]
    folder = Folder(tmp_path, study(device={}, devices=devices, latency=False, processes=2))
    line = folder.finish("b/S/reference-fp32/256/process-2/run.json", 31.0)
    assert "1 of 8 measurements, S reference-fp32 256 px process 2 on b took 31 s" in line
    assert line.endswith("unknown for 4 on a, where nothing was measured yet")


def test_a_measurement_of_another_study_is_not_finished(tmp_path: Path) -> None:
    Folder(tmp_path, study()).finish(f"{RUN}/256/run.json", 35.0)
    sampling = {"warmup_images": 6, "measured_images": 20, "min_images": 20}
    assert Folder(tmp_path, study(sampling=sampling)).progress().finished == 0
    assert Folder(tmp_path, study()).progress().finished == 1


def test_a_measurement_of_other_code_is_not_finished(tmp_path: Path) -> None:
    plan = study()
    Folder(tmp_path, plan).finish(f"{RUN}/256/run.json", 35.0)
    runs = {path: dataclasses.replace(run, code_digest="x") for path, run in plan.runs.items()}
    assert Folder(tmp_path, plan._replace(runs=runs)).progress().finished == 0


def test_a_record_that_is_gone_is_not_finished(tmp_path: Path) -> None:
    folder = Folder(tmp_path, study())
    folder.finish(f"{RUN}/256/run.json", 35.0)
    (folder.results / RUN / "256/run.json").unlink()
    assert folder.progress().finished == 0


@pytest.mark.parametrize("sides", [[256, 512], [256, 512, 640]])
def test_records_without_notes_count_if_they_are_of_this_study(
    tmp_path: Path, sides: list[int]
) -> None:
    """Those of a study that was begun before, or copied from elsewhere."""
    folder = Folder(tmp_path, study(resolutions=sides))
    folder.record(f"{RUN}/256/run.json")
    assert (folder.progress().finished, folder.progress().left.measured) == (1, 1)
    other = Folder(tmp_path, study(resolutions=sides, seed=1))
    folder.record(f"{RUN}/512/run.json")
    assert (other.progress().finished, folder.progress().finished) == (0, 1)


def test_nothing_that_goes_wrong_here_ends_a_measurement(tmp_path: Path) -> None:
    folder = Folder(tmp_path, study())
    one = planned_measurements(folder.plan)[f"{RUN}/256/run.json"].request
    assert "is not known" in finish(folder.file, one, folder.results / RUN / "256", 1.0)
    assert "is not known" in finish(tmp_path / "absent", one, folder.results / RUN / "256", 1.0)
    folder.finish(f"{RUN}/256/run.json", 35.0)
    (folder.cache / NOTES / RUN / "256/run.json").write_text('{"digest": ')
    assert folder.progress().finished == 1  # its record tells the same
    folder.finish(f"{RUN}/256/run.json", 35.0, image_s=0.0)
    assert "is not known" in opening_words(folder.plan, folder.cache, folder.results)


def test_the_three_lines_are_told_only_of_what_was_measured_last(tmp_path: Path) -> None:
    folder = Folder(tmp_path, study(latency=False))
    folder.results.mkdir()
    (folder.results / SUMMARY).write_text("one\ntwo\nthree\n")

    def words() -> str:
        return closing_words(folder.plan, folder.cache, folder.results)

    assert words().startswith("study: 0 of 2 measurements")  # the lines are of another study
    for record in planned_records(folder.plan.runs, latency=False):
        folder.finish(record, 35.0)
    assert words() == "study: 2 of 2 measurements; nothing left to measure"
    (folder.results / SUMMARY).write_text("one\ntwo\nthree\n")
    assert words() == "one\ntwo\nthree"


def test_progress_needs_no_torch() -> None:
    """The plan is made without it."""
    import subprocess
    import sys

    code = "import sys, profiling.study.finished; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=CHECKOUT)


def test_the_second_pass_takes_the_count_of_the_first(tmp_path: Path) -> None:
    """Only what this version has counted of this very run: each change of it is counted anew."""
    folder = Folder(tmp_path, study())
    run, out = folder.plan.runs[f"{RUN}/256"], folder.results / RUN / "256"
    prediction = {
        "needed_bytes": 12345, "device_memory_bytes": 2**30, "available_bytes": 2**29,
        "incomplete": None, "counted_by": source_digest("profiling.prediction"),
    }  # fmt: skip
    assert counted_need(folder.file, run.latency, out) is None, "nothing was measured"
    folder.finish(f"{RUN}/256/run.json", 35.0, prediction=prediction)
    found = counted_need(folder.file, run.latency, out)
    assert found is not None
    assert found.needed_bytes == 12345
    assert counted_need(folder.file, run.request, out) is None, "the latency pass is yet to come"
    folder.finish(f"{RUN}/256/run.json", 35.0, prediction={**prediction, "counted_by": "0" * 16})
    assert counted_need(folder.file, run.latency, out) is None
    folder.finish(f"{RUN}/256/run.json", 35.0, prediction=prediction)
    changed = Folder(tmp_path, study(methods={"S": {"target": "efficientad", "size": "M"}}))
    other = changed.plan.runs[f"{RUN}/256"]
    assert counted_need(changed.file, other.latency, out) is None
