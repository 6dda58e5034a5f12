"""What an export says of the capture itself: its schema, what was traced, and what was lost."""

from __future__ import annotations

import re

import numpy as np

from .database import Database
from .records import CALLS, KERNELS, Calls, Capture, Coded, CudaTrace, Operations, process_of

_LOST = re.compile(r"Not all (.+?) events might have been collected")
_ABOUT_EVENTS = ("events collected", "compatib", "extension", "support", "have been collected")
_LAUNCHES = ("%LaunchKernel%", "%LaunchCooperativeKernel%", "%GraphLaunch%")
"""Names of API calls that launch kernels, as patterns of LIKE."""
_WITHOUT_KERNELS = ("%StreamBeginCapture%", "%ProfilerStop%")
"""Of calls by which launches may rightly have no kernel: a graph is made, recording pauses."""


def read_capture(database: Database, calls: Calls, kernels: Operations, graphs: int) -> Capture:
    """Return what an export says of its capture.

    Args:
        database: the export.
        calls: in it.
        kernels: in it.
        graphs: number of CUDA graphs in it that were traced as a whole.
    """
    messages = _messages(database)
    lost = {found[1] for message in messages if (found := _LOST.search(message))}
    launches = _launches(database) if len(kernels) + graphs == 0 else 0
    return Capture(
        schema_version=_schema_version(database),
        messages=tuple(message for message in messages if "NVTX" in message),
        lost=tuple(sorted(lost)),
        cuda=_cuda_trace(database, len(kernels) + graphs, launches),
        lost_launches=launches or 0,
        missing_kernels=missing_kernels(database, calls, kernels),
    )


def session_end_ns(database: Database) -> int | None:
    """The end of the capture on the clock of the ranges; None where the export does not say.

    To ranges that were never closed nsys 2023.4.4 gives an end at that time or up to 0.2 s later,
    the same one to all of them.
    """
    if "duration" not in database.columns("ANALYSIS_DETAILS"):
        return None
    ((duration_ns,),) = database.rows(["MAX(duration)"], "ANALYSIS_DETAILS")
    if not isinstance(duration_ns, int) or duration_ns <= 0:
        return None
    # what --ts-shift and --ts-normalize of nsys export add to all times
    shift_ns = _metadata(database, "META_DATA_EXPORT", "EXPORT_CONFIG_TIME_SHIFT")
    return duration_ns + sum(int(text) for text in shift_ns[:1] if re.fullmatch(r"-?\d+", text))


def _cuda_trace(database: Database, work: int, launches: int | None) -> CudaTrace:
    if launches:
        return "lost"
    if work or database.has(KERNELS):
        return "recorded"
    cuda_tables = [table for table in database.tables if table.startswith("CUPTI_ACTIVITY_KIND_")]
    if any(database.rows(["1"], table, "1 LIMIT 1") for table in cuda_tables):
        return "unknown" if launches is None else "no kernels"
    traced = _metadata(database, "META_DATA_CAPTURE", "%COLLECT_CUDA_TRACE")
    if "true" in traced:
        return "no calls"
    return "not traced" if traced else "unknown"


def _launches(database: Database) -> int | None:
    """Number of API calls that launch kernels; None where calls have no names."""
    if not database.has(CALLS):
        return 0
    if "nameId" not in database.columns(CALLS) or not database.has("StringIds"):
        return None
    if not {"id", "value"} <= database.columns("StringIds"):
        return None
    ids = ", ".join(_named_like(database, *_LAUNCHES))
    ((count,),) = database.rows(["COUNT(*)"], CALLS, f"nameId IN ({ids})")
    return int(count)


def missing_kernels(database: Database, calls: Calls, kernels: Operations) -> int:
    """Launches whose kernel is missing though it must have run while kernels were recorded.

    A launch at the end of a capture has none, since its kernel ran later; so a launch counts only
    if every stream of its process has a kernel that was launched after it (correlation ids rise
    within a process). Where streams are captured into graphs, calls launch nothing, and none
    counts; nor where recording was paused, nor in exports without the columns to tell. So this is a
    lower bound.

    Args:
        database: the export.
        calls: all of them.
        kernels: all of them.
    """
    streams = ("globalPid", "deviceId", "contextId", "streamId")
    if calls.name_id is None or not len(kernels):
        return 0
    if not {"correlationId", *streams} <= database.columns(KERNELS):
        return 0
    names = _named_like(database, *_LAUNCHES[:2])
    launches = _of_names(calls.name_id, names)
    captures = _of_names(calls.name_id, _named_like(database, *_WITHOUT_KERNELS))
    if captures or launches <= len(kernels):  # none is missing, and a look at each takes time
        return 0
    launching = f"nameId IN ({', '.join(names)})"
    if "returnValue" in database.columns(CALLS):
        launching += " AND returnValue = 0"
    rows = database.rows(["globalTid", "correlationId"], CALLS, launching)
    called = np.array(rows, np.int64).reshape(-1, 2)
    newest: dict[int, int] = {}
    by_stream = f"correlationId IS NOT NULL GROUP BY {', '.join(streams)}"
    for process, last in database.rows(["globalPid", "MAX(correlationId)"], KERNELS, by_stream):
        newest[process] = min(last, newest.get(process, last))
    missing = 0
    for process, last in newest.items():
        own = called[(process_of(called[:, 0]) == process) & (called[:, 1] < last), 1]
        missing += int((~np.isin(own, kernels.correlation[kernels.process[:] == process])).sum())
    return missing


def _of_names(name_id: Coded, ids: list[str]) -> int:
    """Number of the calls whose name is one of some."""
    wanted = np.flatnonzero(np.isin(name_id.distinct, np.array(ids, np.int64)))
    return sum(int(np.count_nonzero(name_id.code == code)) for code in wanted.tolist())


def _named_like(database: Database, *patterns: str) -> list[str]:
    """Ids of the strings that match one of some patterns of LIKE."""
    if not {"id", "value"} <= database.columns("StringIds"):
        return []
    alike = " OR ".join(f"value LIKE '{pattern}'" for pattern in patterns)
    return [str(row[0]) for row in database.rows(["id"], "StringIds", alike)]


def _messages(database: Database) -> list[str]:
    """What nsys left about lost events and about NVTX, among its strings or as diagnostics."""
    about_events = " OR ".join(f"{{0}} LIKE '%{words}%'" for words in _ABOUT_EVENTS)
    wanted = "({0} LIKE '%NVTX%' OR {0} LIKE '%might have been collected%') "
    wanted += f"AND {{0}} LIKE '% % %' AND ({about_events})"
    messages: list[str] = []
    for table, column in (("StringIds", "value"), ("DIAGNOSTIC_EVENT", "text")):
        if column in database.columns(table):
            rows = database.rows([column], table, wanted.format(column))
            messages += [str(row[0]) for row in rows]
    return list(dict.fromkeys(messages))


def _schema_version(database: Database) -> str | None:
    for table in ("META_DATA_EXPORT", "EXPORT_META_DATA"):
        for version in _metadata(database, table, "EXPORT_SCHEMA_VERSION"):
            return version
    return None


def _metadata(database: Database, table: str, name: str) -> list[str]:
    """Values of the entries of a name, which is a pattern of LIKE."""
    if not {"name", "value"} <= database.columns(table):
        return []
    return [str(row[0]) for row in database.rows(["value"], table, f"name LIKE '{name}'")]
