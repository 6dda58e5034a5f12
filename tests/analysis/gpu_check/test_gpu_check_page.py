"""The page, the commands behind it, and the exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from adscale.models import adapter
from adscale.run_record import RunRecord
from analysis.gpu_check.session import Session
from analysis.gpu_check.steps import CASES, PARTS, Outcome, Steps, checked, failed, page, unchecked
from profiling.collectors.nsys import find_nsys
from tests.conftest import CHECKOUT
from tests.gpu_profiles import GPU_NAME, GpuRun, run_document

DOCUMENT = run_document(GpuRun("M", 256, ("a",), lambda _name, _image: 4))
RUN = adapter(RunRecord).validate_json(json.dumps(DOCUMENT))
GOOD = checked("coverage", "M, nsys", True, "99.9%", "at least 99%")
BAD = checked("coverage", "M, embedded", False, "97.0%", "at least 99%")
UNKNOWN = unchecked("clock", "M, nsys", "no GPU", "3 samples")
DONE, BROKEN = Outcome("M nsys run", 12.3, None), Outcome("M export", 1.0, "exit code 1: oh")


def test_the_page_has_machine_numbers_and_reasons() -> None:
    text = page({"M": [GOOD, BAD, UNKNOWN]}, [DONE, BROKEN], RUN, None)
    lines = text.splitlines()
    assert GPU_NAME in lines[1]
    good, bad, unknown = lines[lines.index("## M") + 1 :][:3]
    assert good.startswith("pass ")
    assert good.endswith("99.9%  [wanted: at least 99%]")
    assert bad.startswith("FAIL ")
    assert unknown.startswith("not checked clock ")
    assert unknown.endswith(" no GPU")
    assert lines[-1] == "1 pass, 1 FAIL, 1 not checked; 1 of 2 commands failed; 13 s"
    assert "NOT FINISHED" not in text


def test_a_failed_check_or_command_is_a_failure() -> None:
    assert not failed({"M": [GOOD, UNKNOWN]}, [DONE])
    assert failed({"M": [GOOD, BAD]}, [DONE])
    assert failed({"M": [GOOD]}, [DONE, BROKEN])


def test_commands_have_limits_and_leave_their_output(tmp_path: Path) -> None:
    steps = Steps(tmp_path, budget_s=60)
    python = [sys.executable, "-c"]
    assert steps.run("fine", [*python, "print('hello')"], budget_s=30) == ["hello\n"]
    assert steps.run("wrong", [*python, "print('why'); raise SystemExit(4)"], budget_s=30) is None
    sleeper = [*python, "import time; print('on it', flush=True); time.sleep(60)"]
    assert steps.run("long", sleeper, budget_s=5) is None
    problems = [outcome.problem or "" for outcome in steps.outcomes]
    assert problems[:2] == ["", "exit code 4: why"]
    assert problems[2].startswith("stopped after 5 s: ")
    assert (tmp_path / "wrong-0.log").read_text() == "why\n"


def test_nothing_is_begun_without_time(tmp_path: Path) -> None:
    steps = Steps(tmp_path, budget_s=1)
    assert steps.run("late", [sys.executable, "-c", "print(1)"], budget_s=30) is None
    assert steps.outcomes == [Outcome("late", 0.0, "not begun: no time left")]


def test_every_part_is_on_the_page_when_time_has_run_out(tmp_path: Path) -> None:
    session = Session(tmp_path, "cuda", budget_s=0)
    assert not session.run()
    text = (tmp_path / "page.txt").read_text()
    problems = [outcome.problem for outcome in session.steps.outcomes]
    assert problems == ["not begun: no time left"] * len(problems) != []
    for title in PARTS:
        assert f"## {title}" in text
    assert not any(line.startswith("pass ") for line in text.splitlines())


def test_a_cut_off_leaves_a_page_that_says_so(tmp_path: Path) -> None:
    class CutOff(Session):
        def _lock(self) -> list[object]:  # type: ignore[override]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CutOff(tmp_path, "cpu", budget_s=0).run()
    text = (tmp_path / "page.txt").read_text()
    assert "NOT FINISHED: two at once was under way" in text
    assert "not reached" in text.split("## tests")[1]


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "analysis", "gpu-check", *arguments]
    hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command, cwd=CHECKOUT, env=hidden, capture_output=True, text=True)


def test_without_a_gpu_it_says_so_in_one_line(tmp_path: Path) -> None:
    done = run_command("--out", str(tmp_path / "out"))
    assert done.returncode == 3
    assert len((done.stdout + done.stderr).splitlines()) == 1
    assert "no usable NVIDIA GPU here" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("part", "code"), [("tests", 0), ("ddad", 1)])
def test_the_exit_code_tells_a_failure(part: str, code: int, tmp_path: Path) -> None:
    """Without time every command fails; the tests begin none on a CPU."""
    arguments = ["--out", str(tmp_path), "--device-type", "cpu", "--budget-s", "0"]
    done = run_command(*arguments, "--only", part)
    assert done.returncode == code
    assert f"## {part}" in done.stdout
    assert done.stdout.count("## ") == 2  # and the commands


def test_an_nsys_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADSCALE_NSYS", "/nowhere/nsys")
    done = run_command("--device-type", "cpu", "--only", "tests")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ADSCALE_NSYS=/nowhere/nsys: there is no such file")
    assert len(done.stderr.splitlines()) == 1


def test_bench_and_pytest_run_only_in_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.gpu_check.session.ROOT", tmp_path)
    session = Session(tmp_path, "cuda", budget_s=0, only=["cost of ranges", "tests"])
    assert session.run()
    checks = [check for checks in session.parts.values() for check in checks]
    assert [check.result for check in checks] == ["not checked"] * 2
    assert all("no checkout" in check.found for check in checks)
    assert session.steps.outcomes == []


def test_nothing_that_measures_is_imported() -> None:
    code = "import sys, analysis.gpu_check.session; print('torch' in sys.modules)"
    code += "; print(any(name.split('.')[0] == 'profiling' for name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True
    )
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.slow
@pytest.mark.study
def test_a_whole_page_on_a_cpu(tmp_path: Path) -> None:
    """Real commands; what needs a GPU is not checked, the rest holds."""
    # others may measure meanwhile
    session = Session(tmp_path, "cpu", find_nsys(None), cases=CASES[:1], slack=4)
    session.run()
    text = (tmp_path / "page.txt").read_text()
    assert [outcome for outcome in session.steps.outcomes if outcome.problem] == []
    checks = [check for checks in session.parts.values() for check in checks]
    by_name = {(check.name, check.where): check for check in checks}
    for (name, _), check in by_name.items():
        if name in {"ranges recorded", "device lock"}:
            assert check.result == "pass", text
        elif name not in {"image recorded / unrecorded", "machine undisturbed", "run"}:
            assert (check.result, check.found) == ("not checked", "no GPU"), text
    assert "device:   no GPU" in text
    assert by_name["ranges recorded", "efficientad, embedded"]
