"""All counts of a study from one process: each by itself, and none twice."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from adscale.config import load_config
from adscale.errors import ConfigError
from adscale.files import read_record
from adscale.memory_record import MemoryRecord
from adscale.plan import plan_counts
from adscale.plan_file import VARIABLE, ListedCount, count_list, read_count_list
from profiling.__main__ import main
from profiling.cli import memory
from profiling.study.counts import Counts, is_made, places
from tests.profiling.counts import counted

BOTH = ["reference-fp32", "optimized-fp32"]


def listed(folder: Path, code: Mapping[str, str] | None = None, **changes: object) -> Path:
    """The list of a study with two counts at 256 px, in its folder."""
    given = {
        "device": {"type": "cpu"}, "resolutions": [256], "variants": BOTH, "sensors": [],
        "methods": {"S": {"target": "efficientad", "size": "S"}}, "extrapolate_to_px": 256,
    }  # fmt: skip
    counts = plan_counts(load_config({**given, **changes}))
    texts = code or {}
    smaller = [
        replace(
            count,
            resolutions=count.resolutions[:1],
            code_digest=texts.get(str(count.variant), "code"),
        )
        for count in counts.values()
    ]
    plan = folder / "adscale" / "plans" / "plan.json"
    return Path(count_list(smaller, {VARIABLE: str(plan)}))


def records(folder: Path) -> dict[str, Path]:
    return {file.parent.name: file for file in folder.rglob("results/counts/*/*/memory.json")}


def test_each_count_has_the_record_that_it_has_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["counts", str(listed(tmp_path)), "-j", "2"]) == 0
    assert capfd.readouterr().out == "2 of 2 counts are due\n"
    assert set(records(tmp_path)) == set(BOTH)
    for variant, file in records(tmp_path).items():
        record = read_record(file, MemoryRecord, "")
        implementation = variant.partition("-")[0]
        assert record.resolutions == (
            counted("efficientad", 256, implementation, record.device_type, size="S"),
        )
        log = tmp_path / f"results/logs/count_memory/S/{variant}.log"
        assert "256 px: needs " in log.read_text()


def test_only_what_is_not_there_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    first = listed(tmp_path)
    main(["counts", str(first)])
    times = {name: file.stat().st_mtime_ns for name, file in records(tmp_path).items()}

    def due(*arguments: str) -> tuple[str, list[str]]:
        """How many were, and which records are new."""
        capfd.readouterr()
        assert main(["counts", *arguments]) == 0
        said = capfd.readouterr().out.partition(" ")[0]
        now = {name: file.stat().st_mtime_ns for name, file in records(tmp_path).items()}
        new = [name for name in BOTH if now[name] != times[name]]
        times.update(now)
        return said, new

    assert due(str(first)) == ("0", [])
    other_code = listed(tmp_path, {"optimized-fp32": "other"})
    assert other_code != first
    assert due(str(other_code)) == ("1", ["optimized-fp32"])
    records(tmp_path)["reference-fp32"].write_text('{"resolutions": [1]}')
    assert due(str(other_code)) == ("1", ["reference-fp32"])
    records(tmp_path)["optimized-fp32"].unlink()
    assert due(str(other_code)) == ("1", ["optimized-fp32"])
    assert due(str(other_code), "--again") == ("2", BOTH)


def made(folder: Path, count: object, at_once: int = 1) -> tuple[int, dict[str, str]]:
    """How counting ended, by a function that counts, and what each record says."""
    file = listed(folder)
    where = places(file, folder / "results")

    def fail(one: ListedCount, record: Path, problem: str) -> None:
        record.write_text(json.dumps({"resolutions": [], "problem": problem}))

    code = Counts(where, count, fail).make(read_count_list(file), at_once)  # type: ignore[arg-type]
    assert not any(is_made(one, where) for one in read_count_list(file) if "optim" in one.name)
    found = {name: file.read_text() for name, file in records(folder).items()}
    return code, found


def raise_it() -> None:
    raise ValueError("no such thing")


@pytest.mark.parametrize(
    ("end", "problem"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "exit code -9"),
        (raise_it, "ValueError: no such thing"),
        (lambda: print("error: what it says"), "what it says"),
    ],
)
@pytest.mark.parametrize("at_once", [1, 2])
def test_what_ends_one_count_ends_no_other(
    tmp_path: Path, end: object, problem: str, at_once: int
) -> None:
    def count(one: ListedCount, record: Path) -> int:
        if "optimized" in one.name:
            end()  # type: ignore[operator]
            return 2
        record.write_text('{"resolutions": [1]}')
        return 0

    code, found = made(tmp_path, count, at_once)
    assert code == 0
    assert found["reference-fp32"] == '{"resolutions": [1]}'
    assert json.loads(found["optimized-fp32"])["problem"] == problem
    log = tmp_path / "results/logs/count_memory/S/optimized-fp32.log"
    assert log.read_text().endswith(f"S/optimized-fp32 cannot be counted: {problem}\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_of_them_and_is_no_result(tmp_path: Path, number: signal.Signals) -> None:
    def count(one: ListedCount, record: Path) -> int:
        (tmp_path / record.parent.name).write_text(str(os.getpid()))
        time.sleep(60)
        return 0

    def interrupt() -> None:
        while len(list(tmp_path.glob("*-fp32"))) < 2:
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    threading.Thread(target=interrupt, daemon=True).start()
    assert made(tmp_path, count, 2) == (128 + number, {})
    assert signal.getsignal(number) is before
    for file in tmp_path.glob("*-fp32"):
        with pytest.raises(ProcessLookupError):
            os.kill(int(file.read_text()), 0)


def test_a_count_that_fails_has_a_record_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(memory, "count_report", lambda *_, **__: raise_it())
    for _ in range(2):  # it is tried again each time
        assert main(["counts", str(listed(tmp_path, variants=BOTH[:1]))]) == 0
        record = read_record(records(tmp_path)["reference-fp32"], MemoryRecord, "")
        assert record.resolutions == ()
        assert [one.reason for one in record.refused] == ["ValueError: no such thing"]
        log = tmp_path / "results/logs/count_memory/S/reference-fp32.log"
        assert "Traceback" in log.read_text()


@pytest.mark.parametrize("text", [None, "", "{}", '[{"path": 1}]'])
def test_a_list_that_cannot_be_read_is_told_in_a_line(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "counts.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(f"{file}: the list of counts cannot be read")):
        read_count_list(file)
