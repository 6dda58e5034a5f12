from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiling.annotation import RecordedRange
from profiling.collectors.embedded.events import GpuEvents, Kernel, Launch, Recording, Summary
from profiling.collectors.embedded.schema import UNKNOWN, global_pid, global_tid
from profiling.collectors.embedded.tables import base_name, convert
from tests.profiling.recordings import (
    GEMM,
    OTHER_THREAD,
    PID,
    START_NS,
    Nested,
    cpu_only,
    nested,
    recordings,
    span,
    two_images,
)

KERNEL = "CUPTI_ACTIVITY_KIND_KERNEL"
RUNTIME = "CUPTI_ACTIVITY_KIND_RUNTIME"
MEMCPY = "CUPTI_ACTIVITY_KIND_MEMCPY"
MEMSET = "CUPTI_ACTIVITY_KIND_MEMSET"

Row = dict[str, Any]


def tables(recording: Recording) -> dict[str, list[Row]]:
    """The rows by table, each as a dictionary."""
    found = {}
    for table, columns, rows in convert(recording).tables:
        assert table.name not in found
        found[table.name] = [dict(zip(columns, row, strict=True)) for row in rows]
    return found


def texts(rows: dict[str, list[Row]]) -> dict[int, str]:
    return {row["id"]: row["value"] for row in rows["StringIds"]}


def range_rows(rows: dict[str, list[Row]]) -> list[Row]:
    return [row for row in rows["NVTX_EVENTS"] if row["eventType"] == 59]


def decode(global_id: int) -> tuple[int, int]:
    """Process and thread, by the rule for reading nsys' exports."""
    return global_id >> 24 & 0xFFFFFF, global_id & 0xFFFFFF


def shifted(recording: Recording, by_ns: int, also_the_session: bool) -> Recording:
    gpu = GpuEvents(
        *(
            tuple(e._replace(start_ns=e.start_ns + by_ns, end_ns=e.end_ns + by_ns) for e in events)
            for events in recording.gpu
        )
    )
    ranges = tuple(
        r._replace(start_ns=r.start_ns + by_ns, end_ns=r.end_ns + by_ns) for r in recording.ranges
    )
    session_ns = by_ns if also_the_session else 0
    return recording._replace(
        start_ns=recording.start_ns + session_ns,
        end_ns=recording.end_ns + session_ns,
        ranges=ranges,
        gpu=gpu,
    )


def test_ranges_become_rows_of_our_domain() -> None:
    rows = tables(cpu_only())
    (domain,) = [row for row in rows["NVTX_EVENTS"] if row["eventType"] == 75]
    assert domain["text"] == "adscale"
    names = texts(rows)
    first = range_rows(rows)[0]
    assert names[first["textId"]] == "image"
    assert first["text"] is None
    assert (first["start"], first["end"]) == (50, 500)
    assert first["domainId"] == domain["domainId"]
    assert decode(first["globalTid"]) == (PID, PID)
    assert domain["globalTid"] >> 24 == first["globalTid"] >> 24


def test_without_a_gpu_there_are_no_tables_of_it() -> None:
    assert not [name for name in tables(cpu_only()) if "CUPTI" in name or "GPU" in name]


def test_known_kernels_calls_copies_and_memsets() -> None:
    rows = tables(two_images())
    names = texts(rows)
    kernel = rows[KERNEL][0]
    assert names[kernel["demangledName"]] == GEMM
    assert names[kernel["shortName"]] == "gemm"
    assert (kernel["start"], kernel["end"]) == (1000, 1700)
    assert (kernel["streamId"], kernel["contextId"], kernel["correlationId"]) == (7, 1, 1)
    assert (kernel["gridX"], kernel["gridY"], kernel["blockX"]) == (32, 2, 128)
    call = rows[RUNTIME][0]
    assert (names[call["nameId"]], call["correlationId"]) == ("cudaLaunchKernel", 1)
    assert call["globalTid"] & 0xFFFFFFFFFF000000 == kernel["globalPid"]
    classes = {names[row["nameId"]]: row["eventClass"] for row in rows[RUNTIME]}
    assert classes == {"cudaLaunchKernel": 0, "cudaMemcpyAsync": 0, "cuMemsetD8Async": 1}
    assert [row["bytes"] for row in rows[MEMCPY]] == [4096, 4096]
    assert [row["bytes"] for row in rows[MEMSET]] == [512, 512]


def test_what_is_unknown_is_not_zero() -> None:
    bare = Kernel("k", 1, 0, 7, START_NS, START_NS + 5)
    (row,) = tables(cpu_only()._replace(gpu=GpuEvents(kernels=(bare,))))[KERNEL]
    unknown = {name for name, value in row.items() if value == UNKNOWN}
    assert unknown >= {"contextId", "gridX", "blockZ", "registersPerThread", "localMemoryTotal"}
    assert row["deviceId"] == 0


def test_orphans_are_kept_and_counted() -> None:
    recording = two_images()
    summary = convert(recording).summary
    assert summary == Summary(
        ranges=6, launches=11, kernels=8, memcpys=2, memsets=2, orphans=1, without_kernel=0
    )
    assert 99 in [row["correlationId"] for row in tables(recording)[KERNEL]]
    lost = recording.gpu._replace(kernels=recording.gpu.kernels[1:])
    assert convert(recording._replace(gpu=lost)).summary.without_kernel == 1
    capture = {row["name"]: row["value"] for row in tables(recording)["META_DATA_CAPTURE"]}
    assert capture["GPU_OPERATIONS_WITHOUT_LAUNCH"] == "1"


def test_the_file_says_who_made_it() -> None:
    rows = tables(two_images())
    for table, key in (
        ("META_DATA_EXPORT", "EXPORT_PRODUCT_NAME"),
        ("META_DATA_CAPTURE", "CAPTURE_PRODUCT_NAME"),
    ):
        values = {row["name"]: row["value"] for row in rows[table]}
        assert values[key] == "adscale embedded collector"
    values = {row["name"]: row["value"] for row in rows["META_DATA_CAPTURE"]}
    assert values["GPU_SOURCE"] == "torch.profiler 2.6.0"


def test_session_process_and_threads() -> None:
    rows = tables(two_images())
    assert rows["TARGET_INFO_SESSION_START_TIME"] == [
        {"utcEpochNs": START_NS, "utcTime": "2023-11-14T22:13:20"}
    ]
    (details,) = rows["ANALYSIS_DETAILS"]
    assert (details["startTime"], details["stopTime"], details["duration"]) == (0, 30_000, 30_000)
    (process,) = rows["PROCESSES"]
    assert (process["pid"], decode(process["globalPid"])) == (PID, (PID, 0))
    names = texts(rows)
    threads = {decode(row["globalTid"])[1]: names[row["nameId"]] for row in rows["ThreadNames"]}
    assert threads == {PID: "MainThread", OTHER_THREAD: "worker"}


def test_of_equal_ranges_the_outer_one_comes_first() -> None:
    recorded = (span("inner", 5, 9), span("outer", 5, 9), span("empty", 9, 9), span("all", 5, 9))
    rows = tables(cpu_only()._replace(ranges=recorded))
    names = texts(rows)
    order = [names[row["textId"]] for row in range_rows(rows)]
    assert order == ["all", "outer", "inner", "empty"]


@pytest.mark.parametrize(("process", "thread"), [(1 << 24, 1), (1, 1 << 24), (-1, 1), (1, -1)])
def test_ids_that_do_not_fit_are_refused(process: int, thread: int) -> None:
    with pytest.raises(ValueError, match="no number of a process or thread"):
        global_tid(process, thread)


@settings(deadline=None)
@given(st.integers(0, 2**24 - 1), st.integers(0, 2**24 - 1))
def test_ids_decode_back(process: int, thread: int) -> None:
    encoded = global_tid(process, thread)
    assert decode(encoded) == (process, thread)
    assert encoded & 0xFFFFFFFFFF000000 == global_pid(process)
    assert encoded < 2**63  # SQLite's integers are signed


@settings(deadline=None)
@given(recordings)
def test_every_event_survives(recording: Recording) -> None:
    rows = tables(recording)
    names, zero_ns, pid = texts(rows), recording.start_ns, recording.process_id
    found_ranges = Counter(
        (names[r["textId"]], r["start"] + zero_ns, r["end"] + zero_ns, *decode(r["globalTid"]))
        for r in range_rows(rows)
    )
    assert found_ranges == Counter(
        (r.name, r.start_ns, r.end_ns, pid, r.thread_id) for r in recording.ranges
    )
    found_calls = Counter(
        Launch(
            names[r["nameId"]],
            r["correlationId"],
            decode(r["globalTid"])[1],
            r["start"] + zero_ns,
            r["end"] + zero_ns,
        )
        for r in rows.get(RUNTIME, [])
    )
    assert found_calls == Counter(recording.gpu.launches)
    for table, events in (
        (KERNEL, recording.gpu.kernels),
        (MEMCPY, recording.gpu.memcpys),
        (MEMSET, recording.gpu.memsets),
    ):
        found = Counter(
            (
                r["correlationId"],
                r["deviceId"],
                r["streamId"],
                r["start"] + zero_ns,
                r["end"] + zero_ns,
            )
            for r in rows.get(table, [])
        )
        assert found == Counter(
            (e.correlation_id, e.device_id, e.stream_id, e.start_ns, e.end_ns) for e in events
        )
    found_names = Counter(names[r["demangledName"]] for r in rows.get(KERNEL, []))
    assert found_names == Counter(k.name for k in recording.gpu.kernels)


@settings(deadline=None)
@given(recordings, st.integers(-(10**15), 10**15))
def test_times_shift_by_a_constant(recording: Recording, by_ns: int) -> None:
    events = ("NVTX_EVENTS", RUNTIME, KERNEL, MEMCPY, MEMSET)
    before = tables(recording)
    with_session = tables(shifted(recording, by_ns, also_the_session=True))
    alone = tables(shifted(recording, by_ns, also_the_session=False))
    for table in events:
        rows = before.get(table, [])
        assert with_session.get(table, []) == rows
        moved = [
            row
            if row.get("eventType") == 75
            else {**row, "start": row["start"] + by_ns, "end": row["end"] + by_ns}
            for row in rows
        ]
        assert alone.get(table, []) == moved


@settings(deadline=None)
@given(recordings)
def test_rows_are_ordered_by_start(recording: Recording) -> None:
    rows = tables(recording)
    for table in (RUNTIME, KERNEL, MEMCPY, MEMSET):
        starts = [row["start"] for row in rows.get(table, [])]
        assert starts == sorted(starts)
    starts = [row["start"] for row in range_rows(rows)]
    assert starts == sorted(starts)


@settings(deadline=None)
@given(nested(PID), nested(OTHER_THREAD))
def test_nesting_is_preserved(main: Nested, other: Nested) -> None:
    rows = tables(cpu_only()._replace(ranges=(*other.ranges, *main.ranges)))
    names = texts(rows)
    parents: dict[str, str | None] = {}
    opened: dict[int, list[Row]] = {}
    for row in range_rows(rows):  # as a reader does: in the order of the rows, per thread
        stack = opened.setdefault(row["globalTid"], [])
        while stack and not (stack[-1]["start"] <= row["start"] and row["end"] <= stack[-1]["end"]):
            stack.pop()
        parents[names[row["textId"]]] = names[stack[-1]["textId"]] if stack else None
        stack.append(row)
    assert parents == main.parents | other.parents


@settings(deadline=None)
@given(recordings)
def test_strings_are_distinct_and_all_are_used(recording: Recording) -> None:
    rows = tables(recording)
    names = texts(rows)
    assert len(set(names.values())) == len(names) == len(rows["StringIds"])
    used = {
        row[column]
        for table in rows.values()
        for row in table
        for column in ("textId", "nameId", "demangledName", "shortName")
        if row.get(column) is not None
    }
    assert used == set(names)


def test_the_recorder_of_ranges_gives_what_is_read_here() -> None:
    from profiling.annotation import RangeRecorder

    recorder = RangeRecorder()
    with recorder("image"), recorder("teacher"):
        pass
    inner, outer = recorder.ranges
    assert isinstance(inner, RecordedRange)
    assert (inner.name, outer.name) == ("teacher", "image")
    rows = tables(cpu_only()._replace(ranges=tuple(recorder.ranges)))
    assert [texts(rows)[row["textId"]] for row in range_rows(rows)] == ["image", "teacher"]


@pytest.mark.parametrize(
    ("demangled", "bare"),
    [
        (GEMM, "gemm"),
        ("ampere_sgemm_128x64_tn", "ampere_sgemm_128x64_tn"),
        ("void at::native::(anonymous namespace)::pool<float, (int)2>(int, float*)", "pool"),
        ("void k<&(f<int>)>(int)", "k"),
        ("a::b::plain(int, std::pair<int, int>)", "plain"),
        ("<lambda>", "<lambda>"),
        ("", ""),
    ],
)
def test_bare_names_of_kernels(demangled: str, bare: str) -> None:
    assert base_name(demangled) == bare
