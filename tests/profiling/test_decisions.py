"""Options that measure nothing again: what a run is told, and when one that was left out is due."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from adscale.config import load_config
from adscale.digest import source_digest
from adscale.failure import end, fail
from adscale.request import Sampling
from profiling.study.setup import Decisions, run_options
from tests.study_requests import plain_request


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, []),
        (
            {"skip_predicted_out_of_memory": True},
            ["--skip-predicted-out-of-memory", "--memory-margin", "0.1"],
        ),
        (
            {"device": {"type": "cpu", "foreign_processes": "error"}},
            ["--foreign-processes", "error"],
        ),
    ],
)
def test_what_a_run_is_told(changes: dict[str, Any], words: list[str]) -> None:
    methods = {"A": {"target": "efficientad"}}
    study = load_config({"device": {"type": "cpu"}, "methods": methods, **changes})
    assert run_options(study).split() == words


def measured(images: int) -> Sampling:
    return Sampling(0, images, 1, None)


RECORD = "local/M/reference-fp32/256/run.json"
GIB = 2**30


def write_record(
    folder: Path, status: str = "predicted_out_of_memory", *, counted_by: str | None = None
) -> Path:
    """A record of a run that needs 1.5 times of what its device has."""
    file = folder / "results" / RECORD
    file.parent.mkdir(parents=True, exist_ok=True)
    prediction = {
        "needed_bytes": 15 * GIB,
        "device_memory_bytes": 10 * GIB,
        "available_bytes": GIB,
        "incomplete": None,
        "counted_by": counted_by or source_digest("profiling.prediction"),
    }
    file.write_text(json.dumps({"status": status, "prediction": prediction}))
    return file


def decide(folder: Path, margin: float | None) -> Path:
    decisions = Decisions(margin, folder / "results", folder / "decisions")
    decisions.write([RECORD])
    return decisions.file(RECORD)


def is_new(decision: Path, record: Path) -> bool:
    return decision.stat().st_mtime_ns >= record.stat().st_mtime_ns


@pytest.mark.parametrize("margin", [0.0, 0.1, 0.49])
def test_a_run_that_would_be_left_out_again_is_left_alone(tmp_path: Path, margin: float) -> None:
    record = write_record(tmp_path)
    assert not is_new(decide(tmp_path, margin), record)


@pytest.mark.parametrize("margin", [None, 0.5, 3.0])
def test_a_run_that_would_not_be_left_out_any_more_is_run_again(
    tmp_path: Path, margin: float | None
) -> None:
    record = write_record(tmp_path)
    before = decide(tmp_path, 0.1).read_text()
    decision = decide(tmp_path, margin)
    assert is_new(decision, record)
    other = decide(tmp_path, 2.0).read_text()
    decide(tmp_path, margin)
    # Snakemake passes over a new file with the content that it knows
    assert len({before, other, decision.read_text()}) == 3
    assert is_new(decide(tmp_path, margin), record), "until it has been run"
    assert not is_new(decide(tmp_path, 0.1), record), "or the option is as it was"


def test_a_run_that_other_code_has_counted_is_run_again(tmp_path: Path) -> None:
    record = write_record(tmp_path, counted_by="0" * 16)
    assert is_new(decide(tmp_path, 0.1), record)


@pytest.mark.parametrize("status", ["ok", "out_of_memory"])
@pytest.mark.parametrize("margin", [None, 0.0, 0.1])
def test_what_was_measured_stays_whatever_the_option(
    tmp_path: Path, status: str, margin: float | None
) -> None:
    record = write_record(tmp_path, status)
    assert not is_new(decide(tmp_path, margin), record)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"status": "failed"}'])
def test_a_record_that_is_damaged_is_measured_again(tmp_path: Path, content: str) -> None:
    record = write_record(tmp_path)
    record.write_text(content)
    assert is_new(decide(tmp_path, None), record)


@pytest.mark.parametrize("cut", [0, 50, 4096])
def test_a_profile_that_is_cut_is_measured_again(tmp_path: Path, cut: int) -> None:
    record = write_record(tmp_path, "ok")
    profile = record.with_name("profile.sqlite")
    with closing(sqlite3.connect(profile)) as database:
        database.execute("CREATE TABLE t (a)")
        database.commit()
    assert not is_new(decide(tmp_path, None), record)
    with profile.open("r+b") as file:
        file.truncate(cut)
    assert is_new(decide(tmp_path, None), record)


def test_what_failed_is_tried_again_each_time(tmp_path: Path) -> None:
    record = write_record(tmp_path, "ok")
    said = []
    for problem in ("first", "second"):
        fail(record, plain_request(measured(5)), problem)
        decision = decide(tmp_path, None)
        assert is_new(decision, record)
        said.append(decision.read_text())
    assert said[0] != said[1], "Snakemake passes over a file with the content that it knows"
    end(record)
    assert not is_new(decide(tmp_path, None), record)


@pytest.mark.parametrize(
    ("content", "again"),
    [('{"resolutions": []}', True), ("{", True), ('{"resolutions": [1]}', False)],
)
def test_a_count_that_failed_is_tried_again(tmp_path: Path, content: str, again: bool) -> None:
    record = tmp_path / "results" / "counts/M/reference-fp32/memory.json"
    record.parent.mkdir(parents=True)
    record.write_text(content)
    decisions = Decisions(None, tmp_path / "results", tmp_path / "decisions")
    decisions.write(["counts/M/reference-fp32/memory.json"])
    assert is_new(decisions.file("counts/M/reference-fp32/memory.json"), record) == again


@pytest.mark.parametrize("content", [None, '{"status": "predicted_out_of_memory"}'])
def test_a_record_that_is_not_there_or_says_no_more_decides_nothing(
    tmp_path: Path, content: str | None
) -> None:
    record = write_record(tmp_path)
    if content is None:
        record.unlink()
    else:
        record.write_text(content)
    decision = decide(tmp_path, None)
    assert decision.stat().st_mtime == 0


def test_each_record_of_a_run_is_decided_on_by_itself(tmp_path: Path) -> None:
    """The profiled run, its latency pass, and a second process, whose folder is in the first's."""
    folder = RECORD.rpartition("/")[0]
    records = [RECORD, *(f"{folder}/{name}" for name in ("latency.json", "process-2/run.json"))]
    left_out = write_record(tmp_path)
    decisions = Decisions(None, tmp_path / "results", tmp_path / "decisions")
    decisions.write(records)
    assert [is_new(decisions.file(record), left_out) for record in records] == [True, False, False]
