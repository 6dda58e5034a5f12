"""Arguments of the command line as careless users write them, of both parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from adscale.command_line import run_command
from analysis.__main__ import main as analysis
from profiling.__main__ import main as profiling

Main = Callable[[list[str]], int]


@pytest.mark.parametrize(
    ("main", "arguments", "told"),
    [
        (
            analysis,
            "attribute p --by stream --by thread",
            "--by: is given twice, with other values",
        ),
        (analysis, "attribute p -o a.csv --output b.csv", "-o/--output: is given twice"),
        (analysis, "claims flops m --at 256 --at 512", "write all values behind one"),
        (profiling, "memory --method m --resolution 8 --resolution 16", "write all values behind"),
        (profiling, "run --out a --out b", "leave one of them out"),
        (profiling, "run --out a --latency --no-latency", "--latency and --no-latency are both"),
        (profiling, "run --out a --environment A=B", "'A=B' is no name of a variable"),
        (profiling, "run --out a --measured 5", "unrecognized arguments: --measured 5"),
        (profiling, "memory --method m --resolution 100001", "to 100000"),
        (profiling, "memory --method m --resolution -1", "no resolution"),
        (profiling, "run --method m --out o --resolution 0", "no resolution"),
    ],
)
def test_arguments_that_are_refused(
    main: Main, arguments: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ending:
        main(arguments.split())
    assert ending.value.code == 2
    assert told in capsys.readouterr().err.splitlines()[-1]


RUN = "run --method efficientad --resolution 256 --device-type cpu --collector embedded --out o"


@pytest.mark.parametrize(
    ("main", "arguments", "told"),
    [
        (profiling, f"{RUN} --set size=S --set size=M", "--set size: is given twice"),
        (profiling, f"{RUN} --time-budget-s nan", "time_budget_s: nan cannot be used"),
        (profiling, f"{RUN} --time-budget-s -1", "time_budget_s: -1.0 cannot be used"),
        (profiling, f"{RUN} --seed {2**63}", "seed: "),
        (profiling, "run --out o --request DEEP", "request: is no JSON (nested too deeply"),
        (profiling, "run --out o --request LONG", "request: is no JSON (Exceeds the limit"),
        (profiling, f"{RUN} --set q=DEEP", "[[…"),
        (
            profiling,
            "memory --method efficientad --resolution 256 --settings DEEP",
            "--settings: is no JSON (nested too deeply)",
        ),
        (profiling, "check 5", "check: is no list of methods (a list was expected)"),
        (profiling, "check [{}]", "check.0.label: missing"),
        (
            profiling,
            'check [{"label":"a","target":"a:b","settings":{},"resolutions":[],"variants":["v"]}]',
            "check.0.resolutions: [] cannot be used",
        ),
        (profiling, f"{RUN} --gpu GPU-1", "--gpu: is for a GPU"),
        (profiling, f"{RUN} --lock-clocks 900", "--lock-clocks: is for a GPU"),
        (profiling, f"{RUN} --keep-going", "--keep-going: is for a run of a study"),
        (profiling, f"{RUN} --plan p", "--plan: is for a run of a study"),
        (profiling, "memory --method m --resolution 8 --keep-going", "--keep-going: goes with"),
        (profiling, f"{RUN} --memory-margin 1", "goes with --skip-predicted-out-of-memory, and"),
        (profiling, f"{RUN} --precision-min-s 1", "goes with --target-precision, and does nothing"),
        (profiling, f"{RUN} --bayer rggb", "--bayer: goes with --images, and does nothing"),
        (profiling, f"{RUN} --nsys n", "--nsys: is for another collector"),
        (profiling, "plan -o parts", "-o: goes with --split, and does nothing"),
        (analysis, "compare a b --style {}", "--style: goes with --figure, and does nothing"),
        (analysis, "claims layers m --tflops 4", "--tflops: is of flops, not of layers"),
        (analysis, "attribute p --keep-going", "--keep-going: "),
    ],
)
def test_arguments_that_contradict_each_other(
    main: Main,
    arguments: str,
    told: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    long = arguments.replace("DEEP", "[" * 99_999).replace("LONG", "1" * 5000)
    assert main(long.split()) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_same_value_twice_is_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert analysis(["attribute", "/nowhere", "--by", "stream", "--by", "stream"]) == 2
    assert "/nowhere: the profile cannot be opened" in capsys.readouterr().err


def test_a_file_of_arguments_that_is_no_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "arguments").write_bytes(b"caf\xe9")
    with pytest.raises(SystemExit):
        analysis(["attribute", f"@{tmp_path / 'arguments'}"])
    assert "not in UTF-8 (byte 4)" in capsys.readouterr().err


def test_what_the_user_interrupts_ends_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    assert run_command(interrupted, {}) == 130
    assert capsys.readouterr().err == (
        "error: interrupted; what was written whole before is kept\n"
    )
