"""Processes that a method ends, or keeps from ending: what is said of it."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from adscale.errors import ConfigError, MethodError
from adscale.methods.registry import get_spec
from adscale.methods.spec import MethodSpec
from adscale.names import PROBLEM_NAME
from adscale.request import RunRequest, Sampling
from profiling.__main__ import main
from profiling.annotation import no_range
from profiling.launcher import _ending
from profiling.methods.loading import resolve
from profiling.runner import measure
from profiling.trail import FAULT_NAME, Trail, fault_place, last_range
from tests.conftest import CHECKOUT
from tests.profiling.odd_networks import Plain
from tests.profiling.running import NOT_COUNTED
from tests.profiling.test_as_asked import as_before, asked_run  # noqa: F401 - a fixture

NETWORKS = "tests.profiling.ending_networks"


def run_of(name: str, out: Path, *arguments: str) -> int:
    target = name if ":" in name else f"{NETWORKS}:{name}"
    collector = [] if "--collector" in arguments else ["--collector", "embedded"]
    return main(
        ["run", "--method", target, "--device-type", "cpu", "--threads", "1",
         "--warmup-images", "1", "--measured-images", "4", "--resolution", "32", "--no-latency",
         *collector, "--out", str(out), *arguments]
    )  # fmt: skip


def three_images(name: str) -> RunRequest:
    sampling = Sampling(warmup_images=1, measured_images=3, min_images=3, time_budget_s=None)
    return dataclasses.replace(asked_run(name), target=f"{NETWORKS}:{name}", sampling=sampling)


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("Faulting", 128 + signal.SIGSEGV,
         ["ended by signal 11 (SIGSEGV)", "ending_networks.py, line ", "in end", "see some.log"]),
        ("Leaving", 1, ["ended with exit code 0, its work undone,", "see some.log"]),
        ("Exiting", 2, ["calls sys.exit(0)", "ending_networks.py, line ", "in end"]),
        ("Interrupting", 2, ["raises KeyboardInterrupt", "ending_networks.py, line ", "in end"]),
    ],
)  # fmt: skip
def test_a_method_that_ends_the_process_is_told_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, code: int, words: list[str]
) -> None:
    assert run_of(name, tmp_path / "run", "--log", "some.log") == code
    said = capfd.readouterr().err
    (line,) = [one for one in said.splitlines() if one.startswith("error: ")]
    assert line.startswith(f"error: {NETWORKS}:{name}: ")
    assert [one for one in words if one not in line] == []
    assert "in or behind the range 'image' of measured image 2" in line
    assert "Traceback" not in said
    assert list((tmp_path / "run").iterdir()) == []


def test_a_count_that_a_fault_ends_says_by_which_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "memory.json"
    arguments = [
        "memory", "--method", f"{NETWORKS}:FaultingAlways", "--label", "A", "--settings", "{}",
        "--resolution", "32", "--device-type", "cpu", "-o", str(out), "--keep-going",
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["profiling", *arguments])
    assert main(arguments) == 0
    (refused,) = json.loads(out.read_text())["refused"]
    assert refused["reason"] == "it ended with signal 11 (SIGSEGV)"


def test_what_fails_when_all_is_measured_loses_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_of("LeavingAtTheEnd", tmp_path / "run") == 0
    warnings = [one for one in capfd.readouterr().err.splitlines() if one.startswith("warning: ")]
    (line,) = warnings
    assert "ended with exit code 3 behind its last image, by what is called at the end" in line
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "ok"
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"run.json", "profile.sqlite"}


@pytest.mark.nsys
def test_under_nsys_it_may_lose_ranges_and_is_an_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_of("LeavingAtTheEnd", tmp_path / "run", "--collector", "nsys") == 3
    said = capfd.readouterr().err.splitlines()
    (line,) = [one for one in said if one.startswith("error: ")]
    assert "ended with exit code 3 behind its last image, by what is called at the end" in line
    assert list((tmp_path / "run").iterdir()) == []


def test_threads_that_a_method_leaves_running_do_not_hold_a_finished_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_of("LeavingThreads", tmp_path / "run") == 0
    assert "not waited for: endless" in capfd.readouterr().err
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "ok"


@pytest.mark.nsys
def test_nor_does_nsys_lose_ranges_of_such_a_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from tests.profiling.running import ranges

    out = tmp_path / "run"
    assert run_of("LeavingThreads", out, "--collector", "nsys") == 0
    assert main(["export", str(out / "profile.nsys-rep"), "-o", str(out / "profile.sqlite")]) == 0
    names = [name for name, _, _ in ranges(out / "profile.sqlite")]
    assert names.count("image") == names.count("convolution") == 5
    capfd.readouterr()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Raising", "RuntimeError: shape '[2]' is invalid"),
        ("Speechless", "_SpeechlessError: its text cannot be read"),
        ("OtherBytes", "FileNotFoundError: caf?.png"),
    ],
)
def test_an_error_of_the_method_is_one_line_with_its_place(name: str, words: str) -> None:
    with pytest.raises(MethodError) as caught:
        measure(three_images(name), NOT_COUNTED, no_range, None, lambda _draft: None)
    line = str(caught.value)
    assert line.startswith(f"{NETWORKS}:{name}: {words}")
    assert "ending_networks.py, line " in line
    assert "in end)" in line


def test_streams_that_a_method_replaces_or_closes_are_ours_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    record = measure(
        three_images("LosingStreams"), NOT_COUNTED, no_range, None, lambda _draft: None
    )
    assert record.status == "ok"
    assert out.closed
    print("still taken", end="", flush=True)
    assert sys.stderr is err
    assert "measure, 1 of at most 3 images" in err.getvalue()


@pytest.mark.parametrize(("name", "told"), [("Generating", None), ("Awaiting", "a coroutine")])
def test_what_computes_only_later_is_measured_or_refused(name: str, told: str | None) -> None:
    if told is not None:
        with pytest.raises(ConfigError, match=told):
            measure(three_images(name), NOT_COUNTED, no_range, None, lambda _draft: None)
        return
    record = measure(three_images(name), NOT_COUNTED, no_range, None, lambda _draft: None)
    assert record.submodules == ("convolution",)


def test_out_of_memory_without_a_word_is_recorded_as_such() -> None:
    record = measure(
        three_images("WithoutMemory"), NOT_COUNTED, no_range, None, lambda _draft: None
    )
    assert record.status == "out_of_memory"
    assert record.problem is not None
    assert record.problem.message == "MemoryError without a word of its size"
    assert record.problem.phase == "measure"


@pytest.mark.parametrize("code", ["import sys; sys.exit(0)", "raise SystemExit('usage')"])
def test_a_module_that_exits_when_it_is_imported_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    (tmp_path / "exiting_module.py").write_text(f"Net = 1\n{code}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("exiting_module", None)
    spec: MethodSpec = get_spec("exiting_module:Net")
    with pytest.raises(ConfigError, match=r"cannot be imported \(SystemExit"):
        resolve(spec)


def test_a_method_that_exits_while_it_is_counted_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["memory", "--method", f"{NETWORKS}:ExitingAtOnce", "--resolution", "32"]) != 0
    said = capsys.readouterr().err
    assert "SystemExit: usage: …" in said
    assert "ending_networks.py, line " in said


def test_what_a_network_prints_is_not_in_the_output(capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["--method", f"{NETWORKS}:Printing", "--resolution", "32", "--device-type", "cpu"]
    assert main(["memory", *arguments, "--json"]) == 0
    said = capfd.readouterr()
    assert json.loads(said.out)["method"] == "Printing"
    assert "a network is made\nby a library" in said.err


def test_a_network_in_place_of_its_class_is_refused() -> None:
    with pytest.raises(ConfigError, match="name its class, or a function that returns it"):
        resolve(get_spec(f"{NETWORKS}:made"))


DYING = """
import os, sys, signal
from pathlib import Path
from profiling.annotation import no_range
from profiling.trail import Trail
folder = Path(sys.argv[1])
annotate = Trail(folder).follow(no_range)
def forward():
    {end}
for phase, images in {phases}:
    with annotate(phase):
        for number in range(images):
            with annotate("load"):
                pass
            with annotate("image"), annotate("x" * 300):
                pass
forward()
"""


@pytest.mark.parametrize(
    ("end", "phases", "where", "number"),
    [
        ("os.abort()", [("warmup", 2)], "of warm-up image 2", signal.SIGABRT),
        ("os.kill(os.getpid(), signal.SIGKILL)", [("warmup", 2), ("measure", 7)],
         "of measured image 7", signal.SIGKILL),
        ("os.kill(os.getpid(), signal.SIGTERM)", [], "before the first range", signal.SIGTERM),
        ("os._exit(3)", [("measure", 1)], "of measured image 1", None),
    ],
)  # fmt: skip
def test_the_last_range_outlasts_a_process_however_it_ends(
    tmp_path: Path, end: str, phases: list[tuple[str, int]], where: str, number: int | None
) -> None:
    code = DYING.format(end=end, phases=phases)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=CHECKOUT, check=False, capture_output=True
    )
    assert done.returncode == (3 if number is None else -number)
    assert where in last_range(tmp_path)
    shell_code = 3 if number is None else 128 + number
    line = str(_ending(shell_code, tmp_path, asked_run("Plain"), None))
    assert where in line
    if number is not None:
        assert f"signal {int(number)} ({signal.Signals(number).name})" in line
    assert ("in forward" in line) == (end == "os.abort()")


def test_without_a_trail_the_words_say_so(tmp_path: Path) -> None:
    assert last_range(tmp_path) == "before it had begun"
    assert fault_place(tmp_path) is None
    assert "signal 99 " in str(_ending(128 + 99, tmp_path, asked_run("Plain"), "a.log"))


def test_the_place_of_a_fault_is_that_in_code_of_the_users(tmp_path: Path) -> None:
    (tmp_path / FAULT_NAME).write_text(
        "Fatal Python error: Segmentation fault\n\nCurrent thread 0x1 (most recent call first):\n"
        f'  File "{Path(json.__file__)}", line 3 in loads\n'
        '  File "/home/me/my net.py", line 40 in forward\n'
        '  File "/home/me/other.py", line 1 in <module>\n'
    )
    assert fault_place(tmp_path) == "/home/me/my net.py, line 40, in forward"


def test_ranges_are_opened_as_without_a_trail(tmp_path: Path) -> None:
    opened: list[str] = []

    def annotate(name: str) -> object:
        opened.append(name)
        return no_range(name)

    follow: Callable[[str], object] = Trail(tmp_path).follow(annotate)  # type: ignore[arg-type]
    for name in ("measure", "image", "ä/b", "image"):
        follow(name)
    assert opened == ["measure", "image", "ä/b", "image"]
    assert last_range(tmp_path) == "in or behind the range 'image' of measured image 2"
    assert not (tmp_path / PROBLEM_NAME).exists()


MOVING = """
import os
os.chdir("/")
from tests.profiling.odd_networks import Moving, Plain
class MovedOnce(Plain): pass
"""


@pytest.mark.parametrize("name", ["Moving", "MovedOnce"])
def test_files_are_where_they_were_named_though_the_method_changes_the_working_directory(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it is imported, and Moving also when it is built and in every inference."""
    (tmp_path / "moving_network.py").write_text(MOVING)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{CHECKOUT}")
    monkeypatch.delitem(sys.modules, "moving_network", raising=False)
    Path("images").mkdir()
    Image.new("RGB", (40, 40)).save("images/one.png")
    torch.save(Plain().state_dict(), "some.pt")
    given = ("--images", "images", "--set", "weights=some.pt")
    target = f"moving_network:{name}"
    assert run_of(target, Path("out/run"), *given) == 0
    assert {file.name for file in Path("out/run").iterdir()} >= {"run.json", "profile.sqlite"}
    count = ["memory", "--method", target, "--set", "weights=some.pt"]
    assert main([*count, "--resolution", "32", "-o", "memory.json"]) == 0
    assert (tmp_path / "memory.json").is_file()
