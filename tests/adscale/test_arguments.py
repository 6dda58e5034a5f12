"""Arguments of the command line as careless users write them, of both parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

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
        (profiling, "memory --method m --resolution 100001", "at most 100000"),
        (profiling, "memory --method m --resolution -1", "no side length"),
        (profiling, "run --method m --out o --resolution 0", "no side length"),
    ],
)
def test_arguments_that_are_refused(
    main: Main, arguments: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ending:
        main(arguments.split())
    assert ending.value.code == 2
    assert told in capsys.readouterr().err.splitlines()[-1]


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
