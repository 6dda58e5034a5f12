"""Makes the tables of an nsys export from recorded events: pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import NamedTuple

from adscale.names import DOMAIN

from ...annotation import RecordedRange
from . import schema
from .events import Kernel, Memcpy, Memset, Recording, Summary, summarize
from .schema import UNKNOWN, VM_ID, Rows, Strings, Value, global_pid, global_tid

ANONYMOUS = "(anonymous namespace)"


def base_name(demangled: str) -> str:
    """The bare name of a kernel, without namespace, template arguments and parameters.

    >>> base_name("void at::native::fill<4, at::Functor<float>>(int, float*)")
    'fill'
    >>> base_name("ampere_sgemm_128x64_tn")
    'ampere_sgemm_128x64_tn'
    """
    plain = _outside_angles(demangled.replace(ANONYMOUS, ""))
    name = plain.partition("(")[0].strip().rpartition(" ")[2].rpartition("::")[2]
    return name or demangled


def _outside_angles(text: str) -> str:
    kept, depth = [], 0
    for character in text:
        depth += character == "<"
        if depth <= 0:
            kept.append(character)
        depth -= character == ">"
    return "".join(kept)


GpuWork = Kernel | Memcpy | Memset


def gpu_tables(recording: Recording, strings: Strings) -> list[Rows]:
    """The tables of GPU activity, without those that would be empty, as nsys leaves them out."""
    tables = [
        _launches(recording, strings),
        _kernels(recording, strings),
        _memcpys(recording),
        _memsets(recording),
        _gpus(recording),
    ]
    return [table for table in tables if table.rows]


def _launches(recording: Recording, strings: Strings) -> Rows:
    columns = ("start", "end", "eventClass", "globalTid", "correlationId", "nameId", "returnValue")
    rows: list[tuple[Value, ...]] = [
        (
            launch.start_ns - recording.start_ns,
            launch.end_ns - recording.start_ns,
            schema.CUDA_RUNTIME if launch.name.startswith("cuda") else schema.CUDA_DRIVER,
            global_tid(recording.process_id, launch.thread_id),
            launch.correlation_id,
            strings.id_of(launch.name),
            UNKNOWN,
        )
        for launch in sorted(recording.gpu.launches, key=lambda launch: launch.start_ns)
    ]
    return Rows(schema.RUNTIME, columns, rows)


_WORK = ("start", "end", "deviceId", "contextId", "streamId", "correlationId", "globalPid")


def _work(recording: Recording, operation: GpuWork) -> tuple[Value, ...]:
    """The columns that all GPU activities share."""
    return (
        operation.start_ns - recording.start_ns,
        operation.end_ns - recording.start_ns,
        operation.device_id,
        _known(operation.context_id),
        operation.stream_id,
        operation.correlation_id,
        global_pid(recording.process_id),
    )


def _known(number: int | None) -> int:
    return UNKNOWN if number is None else number


_UNTOLD = (
    "staticSharedMemory",
    "dynamicSharedMemory",
    "localMemoryPerThread",
    "localMemoryTotal",
    "gridId",
)


def _kernels(recording: Recording, strings: Strings) -> Rows:
    sizes = ("gridX", "gridY", "gridZ", "blockX", "blockY", "blockZ")
    columns = (*_WORK, "demangledName", "shortName", "registersPerThread", *sizes, *_UNTOLD)
    nowhere = (UNKNOWN, UNKNOWN, UNKNOWN)
    rows: list[tuple[Value, ...]] = [
        (
            *_work(recording, kernel),
            strings.id_of(kernel.name),
            strings.id_of(base_name(kernel.name)),
            _known(kernel.registers_per_thread),
            *(kernel.grid or nowhere),
            *(kernel.block or nowhere),
            *(UNKNOWN for _ in _UNTOLD),
        )
        for kernel in sorted(recording.gpu.kernels, key=lambda kernel: kernel.start_ns)
    ]
    return Rows(schema.KERNEL, columns, rows)


def _memcpys(recording: Recording) -> Rows:
    columns = (*_WORK, "bytes", "copyKind", "srcKind", "dstKind")
    rows: list[tuple[Value, ...]] = [
        (
            *_work(recording, copy),
            _known(copy.size_bytes),
            copy.copy_kind,
            copy.source_kind,
            copy.target_kind,
        )
        for copy in sorted(recording.gpu.memcpys, key=lambda copy: copy.start_ns)
    ]
    return Rows(schema.MEMCPY, columns, rows)


def _memsets(recording: Recording) -> Rows:
    columns = (*_WORK, "value", "bytes", "memKind")
    rows: list[tuple[Value, ...]] = [
        (*_work(recording, memset), UNKNOWN, _known(memset.size_bytes), memset.memory_kind)
        for memset in sorted(recording.gpu.memsets, key=lambda memset: memset.start_ns)
    ]
    return Rows(schema.MEMSET, columns, rows)


def _gpus(recording: Recording) -> Rows:
    about = ("name", "totalMemory", "smCount", "uuid", "cuDevice")
    capability = ("computeMajor", "computeMinor", "smMajor", "smMinor")
    rows: list[tuple[Value, ...]] = []
    for gpu in recording.gpus:
        known = (gpu.name, gpu.memory_bytes, gpu.sm_count, gpu.uuid, gpu.device_id)
        versions = (gpu.compute_major, gpu.compute_minor)
        rows.append((VM_ID, gpu.device_id, *known, *versions, *versions))
    return Rows(schema.TARGET_INFO_GPU, ("vmId", "id", *about, *capability), rows)


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


DOMAIN_ID = 1


class Converted(NamedTuple):
    """The content of an export."""

    tables: list[Rows]
    summary: Summary


def convert(recording: Recording) -> Converted:
    """Turns a recording into the tables of an nsys export; no event is dropped.

    Times become relative to the start of the recording.

    Raises:
        ValueError: a number of a process or thread is outside 24 bits.
    """
    strings = Strings()
    summary = summarize(recording)
    tables = [
        _ranges(recording, strings),
        *gpu_tables(recording, strings),
        *about_tables(recording, strings, summary),
    ]
    tables.append(Rows(schema.STRING_IDS, ("id", "value"), strings.rows()))
    return Converted(tables, summary)


def _outer_first(ranges: Iterable[RecordedRange]) -> list[RecordedRange]:
    """Sort by start. Of two equal ranges, the one recorded later ended later: it is outer."""
    numbered = enumerate(ranges)
    ordered = sorted(numbered, key=lambda item: (item[1].start_ns, -item[1].end_ns, -item[0]))
    return [recorded for _, recorded in ordered]


def _ranges(recording: Recording, strings: Strings) -> Rows:
    columns = ("start", "end", "eventType", "text", "globalTid", "textId", "domainId")
    pid, zero_ns = recording.process_id, recording.start_ns
    domain = (0, None, schema.DOMAIN_CREATE, DOMAIN, global_tid(pid, pid), None, DOMAIN_ID)
    rows: list[tuple[Value, ...]] = [domain]
    rows += [
        (
            recorded.start_ns - zero_ns,
            recorded.end_ns - zero_ns,
            schema.PUSH_POP,
            None,
            global_tid(pid, recorded.thread_id),
            strings.id_of(recorded.name),
            DOMAIN_ID,
        )
        for recorded in _outer_first(recording.ranges)
    ]
    return Rows(schema.NVTX_EVENTS, columns, rows)
