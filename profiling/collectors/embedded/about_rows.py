"""Rows of an nsys export about the recording itself: who, when, with what."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone

from . import schema
from .events import Recording
from .rows import UNKNOWN, VM_ID, Rows, Strings, Value, global_pid, global_tid
from .summary import Summary

PRODUCT_NAME = "adscale embedded collector"


def about_tables(recording: Recording, strings: Strings, summary: Summary) -> list[Rows]:
    """Process, threads, session, tables of labels, and who made the file.

    Args:
        recording: what was recorded.
        strings: takes the names of threads.
        summary: its numbers of events.
    """
    session_columns = ("utcEpochNs", "utcTime")
    session = (recording.start_ns, _utc(recording.start_ns))
    details_columns = ("globalVid", "duration", "startTime", "stopTime")
    stop_ns = recording.end_ns - recording.start_ns
    pid = recording.process_id
    process = (global_pid(pid), pid, recording.process_name)
    return [
        Rows(schema.SESSION_START, session_columns, [session]),
        Rows(schema.ANALYSIS_DETAILS, details_columns, [(VM_ID, stop_ns, 0, stop_ns)]),
        Rows(schema.PROCESSES, ("globalPid", "pid", "name"), [process]),
        _thread_names(recording, strings),
        Rows(schema.META_DATA_CAPTURE, ("name", "value"), _named(_capture(recording, summary))),
        Rows(schema.META_DATA_EXPORT, ("name", "value"), _named(_export(recording))),
        *(Rows(table, ("id", "name", "label"), list(rows)) for table, rows in schema.ENUMS.items()),
    ]


def _thread_names(recording: Recording, strings: Strings) -> Rows:
    rows: list[tuple[Value, ...]] = [
        (strings.id_of(name), global_tid(recording.process_id, thread_id))
        for thread_id, name in sorted(recording.thread_names.items())
    ]
    return Rows(schema.THREAD_NAMES, ("nameId", "globalTid"), rows)


def _capture(recording: Recording, summary: Summary) -> dict[str, str]:
    return {
        "CAPTURE_PRODUCT_NAME": PRODUCT_NAME,
        "CAPTURE_PRODUCT_VERSION": recording.adscale_version,
        "RANGE_SOURCE": "time.time_ns() of the process itself, no NVTX",
        "GPU_SOURCE": recording.gpu_source,
        "GPU_OPERATIONS_WITHOUT_LAUNCH": str(summary.orphans),
        "KERNEL_LAUNCHES_WITHOUT_KERNEL": str(summary.without_kernel),
        "UNKNOWN_NUMBER": str(UNKNOWN),
        "PROCESS_0:PID": str(recording.process_id),
        "PROCESS_0:COMMAND": recording.process_name,
    }


def _export(recording: Recording) -> dict[str, str]:
    major, minor, micro = schema.SCHEMA_VERSION.split(".")
    return {
        "EXPORT_PRODUCT_NAME": PRODUCT_NAME,
        "EXPORT_PRODUCT_VERSION": recording.adscale_version,
        "EXPORT_SCHEMA_VERSION": schema.SCHEMA_VERSION,
        "EXPORT_SCHEMA_VERSION_MAJOR": major,
        "EXPORT_SCHEMA_VERSION_MINOR": minor,
        "EXPORT_SCHEMA_VERSION_MICRO": micro,
        "EXPORT_TIME_UTC": _utc(recording.end_ns),
    }


def _named(values: Mapping[str, str]) -> list[tuple[Value, ...]]:
    return list(values.items())


def _utc(time_ns: int) -> str:
    seconds = datetime.fromtimestamp(time_ns // 1_000_000_000, tz=timezone.utc)
    return seconds.strftime("%Y-%m-%dT%H:%M:%S")
