"""Rows of an nsys export about the GPU: calls, kernels, copies, memsets, devices."""

from __future__ import annotations

from . import schema
from .events import Kernel, Memcpy, Memset, Recording
from .names import base_name
from .rows import UNKNOWN, VM_ID, Rows, Strings, Value, global_pid, global_tid

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
