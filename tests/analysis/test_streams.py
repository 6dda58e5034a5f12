"""`--by stream`: equal numbers of several processes and CUDA contexts are several streams."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.nsys.reading import read_profile
from analysis.nsys.records import Coded, Operations
from analysis.profiles.work import Stream, positions, stream_labels
from tests.analysis.reference import PUSH_POP, TABLES, Call, Events, Operation, Range

Analysis = Callable[..., tuple[int, str, str]]
FIRST, SECOND = 4242 << 24, 4243 << 24


def profile(*streams: tuple[int, int, int, int]) -> Events:
    """A call of `step` in each process, and in it an operation on each stream, all at one time.

    Args:
        streams: process, device, context and stream of each operation.
    """
    events = Events()
    for process in dict.fromkeys(stream[0] for stream in streams):
        events.ranges.append(Range(process | 1, 0, 100, PUSH_POP, "a", 0, False, False))
    for number, (process, device, context, stream) in enumerate(streams):
        events.calls.append(Call(process | 1, number, number, number))
        kind = list(TABLES)[number % len(TABLES)]
        for each in {kind, "kernels"}:
            events.operations.append(
                Operation(each, process, 0, 10, number, device, stream, "gemm", None, context)
            )
    return events


def rows(analysis: Analysis, path: Path) -> dict[str, tuple[int, int, float]]:
    """Calls, kernels and their union in ns, by the label of the stream."""
    code, out, _ = analysis("attribute", path, "--by", "stream", "--json")
    assert code == 0
    found = json.loads(out)["ranges"]
    return {row["stream"]: (row["calls"], row["kernels"], row["busy_ms"] * 1e6) for row in found}


EACH = (1, 1, pytest.approx(10))


@pytest.mark.parametrize(
    ("streams", "labels"),
    [
        ([(FIRST, 0, 1, 7), (FIRST, 0, 1, 13), (FIRST, 1, 2, 7)], ["0/7", "0/13", "1/7"]),
        ([(FIRST, 0, 1, 7), (SECOND, 1, 1, 7)], ["0/7", "1/7"]),
        ([(FIRST, 0, 1, 7), (SECOND, 0, 1, 7)], ["0/7 process 4242", "0/7 process 4243"]),
        ([(FIRST, 0, 1, 7), (SECOND, 0, 2, 7)], ["0/7 process 4242", "0/7 process 4243"]),
        ([(FIRST, 0, 2, 7), (FIRST, 0, 1, 7)], ["0/7 context 1", "0/7 context 2"]),
        (
            [(FIRST, 0, 1, 7), (FIRST, 0, 2, 7), (SECOND, 0, 1, 7), (SECOND, 0, 1, 13)],
            ["0/7 process 4242 context 1", "0/7 process 4242 context 2", "0/7 process 4243",
             "0/13"],
        ),
    ],
)  # fmt: skip
def test_a_stream_is_named_by_what_tells_it_apart(
    analysis: Analysis, tmp_path: Path, streams: list[tuple[int, int, int, int]], labels: list[str]
) -> None:
    path = profile(*streams).write(tmp_path / "p.sqlite")
    assert rows(analysis, path) == dict.fromkeys(labels, EACH)


def test_every_output_has_the_label(analysis: Analysis, tmp_path: Path) -> None:
    path = profile((FIRST, 0, 1, 7), (SECOND, 0, 1, 7)).write(tmp_path / "p.sqlite")
    labels = ["0/7 process 4242", "0/7 process 4243"]
    _, text, _ = analysis("attribute", path, "--by", "stream")
    assert [line[7:23] for line in text.splitlines()[1:3]] == labels
    _, csv, _ = analysis("attribute", path, "--by", "stream", "--csv")
    assert pd.read_csv(io.StringIO(csv))["stream"].tolist() == labels
    analysis("attribute", path, "--by", "stream", "-o", tmp_path / "t.parquet")
    assert pd.read_parquet(tmp_path / "t.parquet")["stream"].tolist() == labels


def test_a_schema_without_contexts(analysis: Analysis, tmp_path: Path) -> None:
    path = profile((FIRST, 0, 1, 7), (FIRST, 0, 2, 7)).write(tmp_path / "p.sqlite")
    with closing(sqlite3.connect(path)) as connection, connection:
        for table in TABLES.values():
            connection.execute(f"ALTER TABLE {table} DROP COLUMN contextId")
    assert rows(analysis, path) == {"0/7": (1, 2, pytest.approx(10))}


def test_contexts_are_read_only_for_streams(tmp_path: Path) -> None:
    path = profile((FIRST, 0, 1, 7)).write(tmp_path / "p.sqlite")
    assert read_profile(path).kernels.context is None
    context = read_profile(path, with_streams=True).kernels.context
    assert context is not None
    assert context[:].tolist() == [1]


def test_labels_are_never_equal() -> None:
    """Two machines may have one process id; what is unknown is not what is -2."""
    far = 1 << 48 | FIRST
    streams = [Stream(0, 7, process, 1) for process in (FIRST, far, -1)]
    streams += [Stream(device, 7, FIRST, context) for device in (-1, -2) for context in (-1, 1)]
    labels = stream_labels(streams)
    assert len(set(labels.values())) == len(streams)
    assert labels[streams[0]] == f"0/7 process {FIRST}"
    assert labels[streams[1]] == f"0/7 process {far}"
    assert labels[streams[2]] == "0/7 process ?"
    assert labels[streams[3]] == "?/7 context ?"


def test_columns_of_many_different_values_are_not_mixed_up() -> None:
    """Codes of four columns, multiplied, pass 64 bits: here the last stream would be the first."""
    many = 1 << 17
    device = Coded.of([*range(many), 1 << 13])
    other = Coded.of([*range(many), 0])
    times = np.zeros(many + 1, np.int64)
    operations = Operations(times, times, other, times, other, device, other, other)
    found = positions(operations, "stream")
    assert len(found) == many + 1
    assert found[Stream(1 << 13, 0, 0, 0)].tolist() == [many]
