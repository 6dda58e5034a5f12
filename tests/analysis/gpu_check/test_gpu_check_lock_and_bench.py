"""The lock, the cost of ranges, and the report of pytest."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from analysis.gpu_check import steps
from analysis.gpu_check.cross_checks import WAITED, junit_check, lock_check, range_checks
from tests.bench.range_cost import summary
from tests.gpu_profiles import GpuRun, run_document

RUN = GpuRun("M", 256, ("a",), lambda _name, _image: 4)


def runs(tmp_path: Path, second_begins: int, *, said: str = WAITED) -> list[tuple[Path, str]]:
    found = []
    for number, begin in enumerate((0, second_begins)):
        folder = tmp_path / str(number)
        folder.mkdir()
        times = {
            "started_utc": f"2026-01-01T00:00:{begin:02}+00:00",
            "finished_utc": f"2026-01-01T00:00:{begin + 10:02}+00:00",
        }
        (folder / "run.json").write_text(json.dumps(run_document(RUN, **times)))
        found.append((folder, f"{said} x\n" if number else "measuring\n"))
    return found


@pytest.mark.parametrize(
    ("begin", "said", "verdict"),
    [(10, WAITED, "pass"), (9, WAITED, "FAIL"), (12, "nothing", "FAIL")],
)
def test_two_runs_exclude_each_other(begin: int, said: str, verdict: str, tmp_path: Path) -> None:
    assert lock_check(runs(tmp_path, begin, said=said)).result == verdict


def process(*, range_ns: float, ratio: float, ranges: int = 5) -> dict[str, Any]:
    image = {"ranges": ranges, "ratios": [ratio] * 4, "bare_ms": [2.0] * 8}
    return {
        "empty": {name: [[range_ns, range_ns]] * 10 for name in ("none", "nvtx", "recorder")},
        "images": {"M": {"nvtx": image, "recorder": image}},
    }


def test_cheap_ranges_pass() -> None:
    found = range_checks(
        summary({kind: [process(range_ns=1500, ratio=1.001)] * 5 for kind in ("nsys", "alone")})
    )
    assert {check.result for check in found} == {"pass"}
    assert found[0].found == "median 1.50 µs, mean 1.50 µs"
    # 5 ranges of 1.5 µs in an image of 2 ms
    assert found[1].found == "0.375% by count; measured +0.10% (+0.10% to +0.10%)"


@pytest.mark.parametrize(
    ("costs", "failing"),
    [
        ({"range_ns": 2100.0, "ratio": 1.0}, "cost of a range"),
        ({"range_ns": 1000.0, "ratio": 1.02}, "ranges of an image"),
        ({"range_ns": 1900.0, "ratio": 1.0, "ranges": 11}, "ranges of an image"),
    ],
)
def test_ranges_that_cost_too_much_fail(costs: dict[str, Any], failing: str) -> None:
    found = range_checks(summary({"nsys": [process(**costs)] * 5, "alone": [process(**costs)] * 5}))
    assert {check.name for check in found if check.result == "FAIL"} == {failing}


def test_without_nsys_or_with_too_few_processes_nothing_is_claimed() -> None:
    found = range_checks(summary({"alone": [process(range_ns=1000, ratio=1.0)] * 2}))
    assert found[0].result == "not checked"
    images = [check.result for check in found if check.name == "ranges of an image"]
    assert images == ["not checked"] * 2


TESTS = """
import pytest
def test_good(): pass
def test_bad(): assert {holds}
@pytest.mark.skip("to be counted as skipped")
def test_left_out(): pass
"""


@pytest.mark.parametrize(
    ("holds", "verdict", "found"),
    [
        (True, "pass", "2 passed, 0 failed, 1 skipped"),
        (False, "FAIL", "1 passed, 1 failed, 1 skipped (test_bad)"),
    ],
)
def test_reports_of_pytest_itself(holds: bool, verdict: str, found: str, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS.format(holds=holds))
    junit = tmp_path / "tests.xml"
    command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={junit}", "--rootdir", "."]
    subprocess.run([*command, "test_it.py"], cwd=tmp_path, capture_output=True)
    check = junit_check(junit, None if holds else "exit code 1")
    assert (check.result, check.found) == (verdict, found)


def test_tests_that_were_cut_off_have_not_passed(tmp_path: Path) -> None:
    assert junit_check(tmp_path / "none.xml", "stopped after 200 s").result == "FAIL"
    (tmp_path / "some.xml").write_text("<testsuites><testcase name='a'/></testsuites>")
    check = junit_check(tmp_path / "some.xml", "stopped after 200 s: 1 passed")
    assert (check.result, check.found.split("; ")[1]) == ("FAIL", "stopped after 200 s: 1 passed")


def test_only_skipped_tests_are_no_success(tmp_path: Path) -> None:
    text = "<testsuites><testcase name='a'><skipped/></testcase></testsuites>"
    (tmp_path / "some.xml").write_text(text)
    assert junit_check(tmp_path / "some.xml", None).result == "FAIL"


def test_commands_that_a_check_has_started_end_with_it(tmp_path: Path) -> None:
    """Each is in a session of its own, where Ctrl-C does not reach it."""
    wait = "import os, time; print(os.getpid(), flush=True); time.sleep(300)"
    logs = [tmp_path / "one", tmp_path / "other"]

    def interrupt(*_: object) -> None:
        if all(log.is_file() and log.read_text().strip() for log in logs):
            signal.setitimer(signal.ITIMER_REAL, 0)  # once
            raise KeyboardInterrupt

    earlier = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            steps.run_together([[sys.executable, "-c", wait]] * 2, logs, limit_s=60)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)
    for log in logs:
        with pytest.raises(ProcessLookupError):
            os.kill(int(log.read_text().split()[0]), 0)
