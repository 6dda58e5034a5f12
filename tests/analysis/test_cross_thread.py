"""Ranges that cross threads, and work of helper threads, against a quadratic reading."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.nsys.reading import read_profile
from analysis.profiles.cross_thread import CROSS, HELPED, SCOPES, Scope, cross_thread
from analysis.profiles.paths import path_names
from analysis.profiles.work import work_of
from tests.analysis.reference import Events, Operation, Range, Reference, covered, events
from tests.gpu_profiles import MAIN_THREAD, OTHER_THREAD, ProfileWriter

Analysis = Callable[..., tuple[int, str, str]]
Row = dict[str, Any]
COLUMNS = {"kernels": "kernel", "copies": "copy", "memsets": "memset", "graphs": "graph"}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("crossed") / "p.sqlite"


def label(thread: int) -> str:
    return f"{thread >> 24 & 0xFFFFFF}/{thread & 0xFFFFFF}"


def inferred(reference: Reference, row: Range, scope: Scope, *, own: bool) -> list[Operation]:
    """Work of the process of a range that was launched while it was open, by other threads."""
    found = []
    for operation, call in zip(reference.operations, reference.launches, strict=True):
        if call is None or call.thread >> 24 != row.thread >> 24:
            continue
        if call.thread == row.thread and not own:
            continue
        everything = range(len(reference.ranges))
        is_in_range = reference._innermost(call.thread, call.start, call.end, everything) >= 0
        if scope == "launch" and is_in_range:
            continue
        assert row.end is not None
        if row.start <= call.start and call.end <= row.end:
            found.append(operation)
    return found


def add(row: Row, given: Range, operations: list[Operation]) -> None:
    assert given.end is not None
    row["calls"] += 1
    row["host"] += given.end - given.start
    for kind, word in COLUMNS.items():
        some = [one for one in operations if one.kind == kind]
        row[f"inferred_{kind}"] += len(some)
        row[f"inferred_{word}_sum_ms"] += sum(one.duration for one in some)
    row["inferred_busy_ms"] += covered(one for one in operations if one.kind == "kernels")


def expected(given: Events, scope: Scope) -> dict[tuple[str, ...], Row]:
    reference = Reference(given)
    ends = [moment for row in given.ranges for moment in (row.start, row.end)]
    latest = max((moment for moment in ends if moment is not None), default=0)
    rows: dict[tuple[str, ...], Row] = defaultdict(lambda: defaultdict(int))
    for crossing in (row for row in given.ranges if row.ends_elsewhere):
        whole = crossing._replace(end=latest if crossing.end is None else crossing.end)
        key = (CROSS, crossing.label, label(crossing.thread), label(crossing.thread + 1))
        add(rows[key], whole, inferred(reference, whole, scope, own=True))
    helped: dict[tuple[str, ...], Row] = defaultdict(lambda: defaultdict(int))
    for at, row in enumerate(reference.ranges):
        key = (HELPED, reference.paths[at], label(row.thread), "")
        add(helped[key], row, inferred(reference, row, scope, own=False))
    worked = {key: row for key, row in helped.items() if any(row[f"inferred_{k}"] for k in COLUMNS)}
    return {**rows, **worked}


def found(path: Path, scope: Scope) -> dict[tuple[str, ...], Row]:
    table = cross_thread(work_of(read_profile(path)), scope).table
    rows = {}
    for row in table.to_pylist():
        end = row["end_thread"] if isinstance(row["end_thread"], str) else ""
        key = (row["kind"], " > ".join(path_names(row["path"])), row["thread"], end)
        assert key not in rows
        rows[key] = row
    return rows


def check(ours: dict[tuple[str, ...], Row], wanted: dict[tuple[str, ...], Row]) -> None:
    assert set(ours) == set(wanted)
    for key, row in wanted.items():
        assert ours[key]["calls"] == row["calls"]
        assert ours[key]["host_ms"] * 1e6 == pytest.approx(row["host"])
        for name in (name for name in row if name.startswith("inferred_")):
            own = ours[key][name] * (1e6 if name.endswith("_ms") else 1)
            assert own == pytest.approx(row[name]), (key, name)


@given(events(), st.sampled_from(SCOPES), st.randoms())
def test_random_profiles(file: Path, drawn: Events, scope: Scope, order: Any) -> None:
    drawn.write(file)
    wanted = expected(drawn, scope)
    check(found(file, scope), wanted)
    ends = [(row.thread, row.start, row.end) for row in drawn.ranges]
    calls = [(call.thread, call.start, call.end, call.correlation) for call in drawn.calls]
    if len(set(ends)) == len(ends) and len({call[3] for call in calls}) == len(calls):
        for rows in (drawn.ranges, drawn.calls, drawn.operations):
            order.shuffle(rows)
        drawn.write(file)
        check(found(file, scope), wanted)


def backward(path: Path) -> Path:
    """A step whose backward pass another thread launches, and a request that ends on that one."""
    writer = ProfileWriter()
    with writer.range("step"):
        writer.submodule("forward", 4000)
        with writer.range("backward"):
            writer.kernel("gemm", writer.gpu_ns, 3000, thread=OTHER_THREAD)
            writer.kernel("gemm", writer.gpu_ns + 1000, 3000, thread=OTHER_THREAD)
        writer.add(
            "NVTX_EVENTS", start=writer.cpu_ns - 3000, end=writer.cpu_ns, eventType=60,
            globalTid=MAIN_THREAD, endGlobalTid=OTHER_THREAD, textId=writer.string_id("request"),
        )  # fmt: skip
    writer.write(path)
    return path


def test_on_the_command_line(analysis: Analysis, tmp_path: Path) -> None:
    path = backward(tmp_path / "p.sqlite")
    _, out, _ = analysis("attribute", path, "--json")
    exact = json.loads(out)
    (request,) = exact["cross_thread"]
    assert (request["path"], request["host_ms"], request["inferred_kernels"]) == (
        ["request"], 0.003, None,
    )  # fmt: skip
    assert "--cross-thread" in request["unknown"]["inferred_kernels"]
    _, out, _ = analysis("attribute", path, "--json", "--cross-thread", "launch")
    asked = json.loads(out)
    assert asked["ranges"] == exact["ranges"]  # nothing inferred among the exact ones
    rows = {tuple(row["path"]): row for row in asked["cross_thread"]}
    step = ("adscale:step", "adscale:backward")
    assert set(rows) == {("request",), step[:1], step}
    assert rows[step]["inferred_kernels"] == rows[step[:1]]["inferred_kernels"] == 2
    assert rows[step]["inferred_busy_ms"] == 0.004
    assert rows["request",]["inferred_kernels"] == 1
    code, out, _ = analysis("attribute", path, "--cross-thread", "launch")
    assert code == 0
    assert "Inferred from times alone" in out
    _, out, _ = analysis("attribute", path, "--cross-thread", "launch", "--csv")
    assert out.startswith("path,kind,thread,end_thread,calls")
    assert len(out.splitlines()) == 4


def test_questions_hold(analysis: Analysis, tmp_path: Path) -> None:
    path = backward(tmp_path / "p.sqlite")
    asked = ("attribute", path, "--json", "--cross-thread", "process")
    _, out, _ = analysis(*asked, "--inside", "*:backward")
    assert [row["path"][-1] for row in json.loads(out)["cross_thread"]] == ["adscale:backward"]
    _, out, _ = analysis(*asked, "--window", "0:0.5ms")
    whole = {tuple(row["path"]) for row in json.loads(out)["ranges"]} if out else set()
    assert not whole  # nothing of the profile lies there
    _, out, _ = analysis(*asked, "--top", "1")
    kept = {tuple(row["path"]) for row in json.loads(out)["cross_thread"]}
    assert kept == {("adscale:step",), ("request",)}
