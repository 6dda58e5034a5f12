"""The tables of an nsys export that matter here, and their rows: schema 3.7.2, of nsys 2023.4.4."""

from __future__ import annotations

from typing import NamedTuple

SCHEMA_VERSION = "3.7.2"


class Column(NamedTuple):
    """A column; its place in the table is that of nsys."""

    name: str
    type: str
    not_null: bool
    primary_key: bool


class Table(NamedTuple):
    """A table."""

    name: str
    columns: tuple[Column, ...]

    def create_sql(self) -> str:
        """The statement that makes the table."""
        return f"CREATE TABLE {self.name} ({', '.join(map(_column_sql, self.columns))})"


def _column_sql(column: Column) -> str:
    rules = (" NOT NULL" if column.not_null else "") + (
        " PRIMARY KEY" if column.primary_key else ""
    )
    return f"{column.name} {column.type}{rules}"


def _table(name: str, columns: str) -> Table:
    """A table from ``name[:TYPE][!|*]``: INTEGER if no type is given, ! not null, * primary key."""
    parsed = []
    for text in columns.split():
        column, _, kind = text.rstrip("!*").partition(":")
        parsed.append(Column(column, kind or "INTEGER", text[-1] in "!*", text[-1] == "*"))
    return Table(name, tuple(parsed))


def _enum(name: str) -> Table:
    return _table(name, "id* name:TEXT label:TEXT")


STRING_IDS = _table("StringIds", "id* value:TEXT!")
PROCESSES = _table("PROCESSES", "globalPid pid name:TEXT")
THREAD_NAMES = _table("ThreadNames", "nameId! priority globalTid")
SESSION_START = _table("TARGET_INFO_SESSION_START_TIME", "utcEpochNs utcTime:TEXT localTime:TEXT")
ANALYSIS_DETAILS = _table("ANALYSIS_DETAILS", "globalVid! duration! startTime! stopTime!")
META_DATA_CAPTURE = _table("META_DATA_CAPTURE", "name:TEXT! value:TEXT")
META_DATA_EXPORT = _table("META_DATA_EXPORT", "name:TEXT! value:TEXT")

NVTX_EVENTS = _table(
    "NVTX_EVENTS",
    """start! end eventType! rangeId category color text:TEXT globalTid endGlobalTid textId domainId
    uint64Value int64Value doubleValue:REAL uint32Value int32Value floatValue:REAL jsonTextId
    jsonText:TEXT""",
)

RUNTIME = _table(
    "CUPTI_ACTIVITY_KIND_RUNTIME",
    "start! end! eventClass! globalTid correlationId nameId! returnValue! callchainId",
)

_GPU_WORK = "start! end! deviceId! contextId! greenContextId streamId! correlationId globalPid"

KERNEL = _table(
    "CUPTI_ACTIVITY_KIND_KERNEL",
    f"""{_GPU_WORK} demangledName! shortName! mangledName launchType cacheConfig
    registersPerThread! gridX! gridY! gridZ! blockX! blockY! blockZ! staticSharedMemory!
    dynamicSharedMemory! localMemoryPerThread! localMemoryTotal! gridId! sharedMemoryExecuted
    graphNodeId sharedMemoryLimitConfig""",
)
MEMCPY = _table(
    "CUPTI_ACTIVITY_KIND_MEMCPY",
    f"""{_GPU_WORK} bytes! copyKind! deprecatedSrcId srcKind dstKind srcDeviceId srcContextId
    dstDeviceId dstContextId migrationCause graphNodeId virtualAddress""",
)
MEMSET = _table("CUPTI_ACTIVITY_KIND_MEMSET", f"{_GPU_WORK} value! bytes! graphNodeId memKind")

TARGET_INFO_GPU = _table(
    "TARGET_INFO_GPU",
    """vmId! id! name:TEXT busLocation:TEXT isDiscrete l2CacheSize totalMemory memoryBandwidth
    clockRate smCount pwGpuId uuid:TEXT luid chipName:TEXT cuDevice ctxswDevPath:TEXT
    ctrlDevPath:TEXT revision nodeMask constantMemory maxIPC maxRegistersPerBlock maxShmemPerBlock
    maxShmemPerBlockOptin maxShmemPerSm maxRegistersPerSm threadsPerWarp asyncEngines maxWarpsPerSm
    maxBlocksPerSm maxThreadsPerBlock maxBlockDimX maxBlockDimY maxBlockDimZ maxGridDimX maxGridDimY
    maxGridDimZ computeMajor computeMinor smMajor smMinor""",
)

PUSH_POP = 59
DOMAIN_CREATE = 75
CUDA_RUNTIME = 0
CUDA_DRIVER = 1

_COPIES = ("HTOD", "DTOH", "HTOA", "ATOH", "ATOA", "ATOD", "DTOA", "DTOD", "HTOH", "PTOP")
COPY_KINDS = {"UNKNOWN": 0, **{name: number for number, name in enumerate(_COPIES, start=1)}}
"""Ids of ENUM_CUDA_MEMCPY_OPER by the end of their symbol."""

MEMORY_KINDS = {
    label: number
    for number, label in enumerate(
        (
            "Pageable",
            "Pinned",
            "Device",
            "Array",
            "Managed",
            "Device Static",
            "Managed Static",
            "Unknown",
        )
    )
}
"""Ids of ENUM_CUDA_MEM_KIND by their label."""

EnumRow = tuple[int, str, str]


def _copy_rows() -> tuple[EnumRow, ...]:
    ends = {"H": "Host", "D": "Device", "A": "Array", "P": "Peer"}
    rows = []
    for name, number in COPY_KINDS.items():
        label = "Unknown" if number == 0 else f"{ends[name[0]]}-to-{ends[name[-1]]}"
        rows.append((number, f"CUDA_MEMCPY_KIND_{name}", label))
    return tuple(rows)


def _memory_rows() -> tuple[EnumRow, ...]:
    symbol = "CUDA_MEMOPR_MEMORY_KIND_{}"
    return tuple(
        (number, symbol.format(label.upper().replace(" ", "_")), label)
        for label, number in MEMORY_KINDS.items()
    )


ENUMS: dict[Table, tuple[EnumRow, ...]] = {
    _enum("ENUM_NSYS_EVENT_TYPE"): (
        (PUSH_POP, "NvtxPushPopRange", "NvtxPushPopRange"),
        (DOMAIN_CREATE, "NvtxDomainCreate", "NvtxDomainCreate"),
    ),
    _enum("ENUM_NSYS_EVENT_CLASS"): (
        (CUDA_RUNTIME, "TRACE_PROCESS_EVENT_CUDA_RUNTIME", "CUDA runtime"),
        (CUDA_DRIVER, "TRACE_PROCESS_EVENT_CUDA_DRIVER", "CUDA driver"),
    ),
    _enum("ENUM_CUDA_MEMCPY_OPER"): _copy_rows(),
    _enum("ENUM_CUDA_MEM_KIND"): _memory_rows(),
}
"""Rows of nsys' tables of labels that our rows refer to."""

TABLES = (
    STRING_IDS,
    PROCESSES,
    THREAD_NAMES,
    SESSION_START,
    ANALYSIS_DETAILS,
    META_DATA_CAPTURE,
    META_DATA_EXPORT,
    NVTX_EVENTS,
    RUNTIME,
    KERNEL,
    MEMCPY,
    MEMSET,
    TARGET_INFO_GPU,
    *ENUMS,
)


UNKNOWN = -1
"""Stands where nsys' schema demands a number and the recorder knows none."""

VM_ID = 1 << 48
"""nsys' id of the machine; the ids of processes and threads lie below it."""

THREAD_ID_LIMIT = 1 << 24
"""nsys has 24 bits for the number of a process and of a thread, more than Linux uses."""

Value = int | str | None


class Rows(NamedTuple):
    """Rows of one table; columns that are not named stay NULL."""

    table: Table
    columns: tuple[str, ...]
    rows: list[tuple[Value, ...]]


class Strings:
    """Gives every distinct string an id, in the order of their coming."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}

    def id_of(self, text: str) -> int:
        """The id of a string."""
        return self._ids.setdefault(text, len(self._ids))

    def rows(self) -> list[tuple[Value, ...]]:
        """(id, value) of all strings so far."""
        return [(number, text) for text, number in self._ids.items()]


def global_pid(process_id: int) -> int:
    """Encodes a process as nsys does: 24 bits, above as many for its threads.

    Raises:
        ValueError: the number has more than 24 bits; Linux gives none such.
    """
    return VM_ID | _in_24_bits(process_id) << 24


def global_tid(process_id: int, thread_id: int) -> int:
    """Encodes a thread as nsys does.

    Raises:
        ValueError: a number has more than 24 bits; Linux gives none such.
    """
    return global_pid(process_id) | _in_24_bits(thread_id)


def _in_24_bits(number: int) -> int:
    if not 0 <= number < THREAD_ID_LIMIT:
        raise ValueError(f"{number} is no number of a process or thread")
    return number
