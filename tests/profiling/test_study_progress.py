"""How far a study has come: what counts as finished, and what the rest is expected to take."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiling.request import RunRequest, Sampling
from profiling.study.config import load_config
from profiling.study.cost import bound, measuring_s
from profiling.study.handover import VARIABLE, Plan, hand_over, read_plan
from profiling.study.plan import plan_runs, planned_records
from profiling.study.progress import (
    NOTES,
    SUMMARY,
    Finished,
    Left,
    Progress,
    closing_words,
    duration,
    finish,
    opening_words,
    planned_measurements,
    read_progress,
    time_left,
    work_of,
)
from tests.workflow.conftest import CHECKOUT

COUNT = Sampling(warmup_images=5, measured_images=20, min_images=20, time_budget_s=None)
IMAGES = 25


def request(**changes: Any) -> RunRequest:
    plain = RunRequest(
        device="a", device_type="cuda", method="M", target="efficientad", settings={"size": "S"},
        variant="reference-fp32", resolution_px=512, seed=0, threads=4, images=None,
        sampling=COUNT, collector="nsys",
    )  # fmt: skip
    return dataclasses.replace(plain, **changes)


def finished(image_s: float, start_s: float = 10.0, **changes: Any) -> Finished:
    return Finished(request(**changes), "ok", start_s + IMAGES * image_s, IMAGES, image_s)


def pixels(one: RunRequest) -> float:
    """Work in proportion to the pixels."""
    return float(one.resolution_px**2)


@given(image_s=st.floats(1e-4, 100), start_s=st.floats(0, 1000), number=st.integers(1, 50))
def test_more_of_the_same_takes_the_same_each(image_s: float, start_s: float, number: int) -> None:
    known = [finished(image_s, start_s)]
    left = time_left([request(process=2)] * number, known, pixels)
    assert left.seconds == pytest.approx(number * (start_s + IMAGES * image_s))
    assert left == Left(left.seconds, 1, (), {})


@given(side_px=st.integers(32, 4096), rate=st.floats(1e-9, 1e-4), start_s=st.floats(0, 500))
def test_an_image_is_scaled_by_its_work_and_the_start_is_not(
    side_px: int, rate: float, start_s: float
) -> None:
    known = [finished(rate * side**2, start_s, resolution_px=side) for side in (256, 512, 1024)]
    left = time_left([request(resolution_px=side_px)], known, pixels)
    assert left.seconds == pytest.approx(start_s + IMAGES * rate * side_px**2)


def test_a_time_budget_ends_what_is_large() -> None:
    """5 s for warm-up and 20 s for images, whatever the resolution, in whole images."""
    sampling = Sampling(1000, 1000, 1, 20.0)
    known = [Finished(request(sampling=sampling, resolution_px=1000), "ok", 36.0, 26, 1.0)]
    left = time_left([request(sampling=sampling, resolution_px=2000)], known, pixels)
    share = 26 / measuring_s(sampling, 1.0)
    assert left.seconds == pytest.approx(10 + share * measuring_s(sampling, 4.0))


def test_a_precision_that_ends_runs_early_is_expected_to_do_so_again() -> None:
    sampling = dataclasses.replace(COUNT, target_precision=0.01)
    known = [Finished(request(sampling=sampling), "ok", 20.0, 10, 1.0)]  # of 25 images
    left = time_left([request(sampling=sampling, process=2)], known, pixels)
    assert left.seconds == pytest.approx(20.0)


def test_the_nearest_run_counts() -> None:
    """Where growth is not that of the work, a neighbour tells more than all of them."""
    known = [finished(1.0, resolution_px=256), finished(2.0, resolution_px=1024)]
    near = time_left([request(resolution_px=1000)], known, pixels)
    assert near.seconds == pytest.approx(10 + IMAGES * 2.0 * (1000 / 1024) ** 2)


def test_processes_of_one_run_are_averaged() -> None:
    known = [finished(image_s, process=number) for number, image_s in enumerate((1.0, 2.0, 6.0), 1)]
    left = time_left([request(process=4)], known, pixels)
    assert left.seconds == pytest.approx(10 + IMAGES * 3.0)


def test_each_pass_is_expected_as_it_was() -> None:
    known = [finished(1.0, 30.0), finished(0.1, 5.0, collector="none")]
    for collector, expected_s in (("nsys", 55), ("none", 7.5)):
        left = time_left([request(process=2, collector=collector)], known, pixels)
        assert left.seconds == pytest.approx(expected_s)


def test_a_long_wait_for_the_device_is_not_expected_of_every_run() -> None:
    known = [finished(1.0, start_s) for start_s in (10.0, 11.0, 3600.0)]
    assert time_left([request()], known, pixels).seconds == pytest.approx(11 + IMAGES)


def test_beyond_a_run_out_of_memory_others_run_out_as_soon() -> None:
    known = [
        finished(1.0),
        Finished(request(resolution_px=1024), "out_of_memory", 7.0, 0, None),
    ]
    sides = [request(resolution_px=side, process=2) for side in (512, 1024, 2048)]
    left = time_left(sides, known, pixels)
    assert left.seconds == pytest.approx(10 + IMAGES + 7 + 7)
    assert left.measured == 1


def test_what_rests_on_other_methods_and_what_nothing_is_known_of_is_told() -> None:
    rest = [request(method="N"), *[request(device="b")] * 2]
    left = time_left(rest, [finished(1.0)], pixels)
    assert left == Left(10 + IMAGES, 1, ("N",), {"b": 2})
    text = Progress(4, 1, left).sentence()
    assert text == (
        "1 of 4 measurements; about 35 s of measuring left (from 1 measured, none of N); "
        "unknown for 2 on b, where nothing was measured yet"
    )


@pytest.mark.parametrize(
    "known", [[], [Finished(request(), "out_of_memory", 7.0, 0, None)]], ids=["nothing", "lost"]
)
def test_before_anything_was_measured_no_time_is_told(known: list[Finished]) -> None:
    left = time_left([request(resolution_px=256)], known, pixels)
    assert Progress(1 + len(known), len(known), left).rest() == (
        "time left unknown, nothing was measured yet"
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (99, "99 s"), (540, "9 min"), (5999, "100 min"),
                          (12600, "3.5 h")]
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


# ---- by files


def study(**changes: Any) -> Plan:
    config = load_config({
        "device": {"name": "d", "type": "cpu", "threads": 1}, "resolutions": [256, 512],
        "variants": ["reference-fp32"], "methods": {"S": {"target": "efficientad", "size": "S"}},
        "sampling": {
            "warmup_images": 5, "measured_images": 20, "min_images": 20, "time_budget_s": None,
        }, **changes,
    })  # fmt: skip
    return Plan.of("embedded", plan_runs(config, "embedded"), config.devices, config.latency)


RUN = "d/S/reference-fp32"


class Folder:
    """A study's files, in which measurements end."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.results, self.cache = folder / "results", folder / "cache"
        environment: dict[str, str] = {}
        hand_over(plan, self.cache / "plans", environment)
        self.plan, self.file = plan, Path(environment[VARIABLE])

    def record(self, name: str, status: str = "ok", image_s: float = 1.0) -> None:
        one = planned_measurements(self.plan)[name].request
        path = self.results / name
        path.parent.mkdir(parents=True, exist_ok=True)
        document = {
            "status": status, "request": one.as_dict(),
            "sampling": {"warmup_images": 5, "measured_images": 20},
            "machine": {"measured_ms": [100.0, 100.0 + 20 * image_s * 1e3]},
            "started_utc": "2026-01-01T00:00:00+00:00", "finished_utc": "2026-01-01T00:00:40+00:00",
        }  # fmt: skip
        path.write_text(json.dumps(document))

    def finish(self, name: str, wall_s: float, **more: Any) -> str:
        self.record(name, **more)
        one = planned_measurements(self.plan)[name].request
        return finish(self.file, one, (self.results / name).parent, wall_s)

    def progress(self) -> Progress:
        return read_progress(read_plan(self.file), self.results, self.cache / NOTES)


def test_a_study_from_its_first_measurement_to_its_last(tmp_path: Path) -> None:
    folder = Folder(tmp_path, study())
    words = opening_words(folder.plan, folder.cache, folder.results)
    assert words == "study: 0 of 4 measurements; time left unknown, nothing was measured yet"
    line = folder.finish(f"{RUN}/256/run.json", 35.0)
    grown = bound(512).flops / bound(256).flops
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


def test_counted_work_takes_the_place_of_the_bound_once_all_is_counted(tmp_path: Path) -> None:
    requests = [request(resolution_px=side) for side in (256, 512)]
    assert work_of(requests, tmp_path)(requests[0]) == bound(256).flops
    part = {
        "parameters_bytes": 0, "buffers_bytes": 0, "host_peak_bytes": 0, "libraries": [],
    }  # fmt: skip
    points = [
        {"resolution_px": side, "image_bytes": 0, "needed_bytes": 0,
         "submodules": [{**part, "flops": side}]}
        for side in (256, 512)
    ]  # fmt: skip
    path = tmp_path / "counts/M/reference-fp32/memory.json"
    path.parent.mkdir(parents=True)
    text = {"target": "efficientad", "settings": {"size": "S"}, "resolutions": points}
    path.write_text(json.dumps(text))
    from profiling.study.cost import read_counts

    read_counts.cache_clear()
    assert work_of(requests, tmp_path)(requests[1]) == 512
    # beside a run that is not counted, the two do not compare
    uncounted = [*requests, request(resolution_px=640)]
    assert work_of(uncounted, tmp_path)(requests[1]) == bound(512).flops


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

    code = "import sys, profiling.study.progress; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=CHECKOUT)
