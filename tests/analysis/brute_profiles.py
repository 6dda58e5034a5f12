"""A profile read and asked word by word: no code of ours, quadratic, straight from the tables."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Names = tuple[str, ...]
KINDS = {
    "kernels": "CUPTI_ACTIVITY_KIND_KERNEL",
    "copies": "CUPTI_ACTIVITY_KIND_MEMCPY",
    "memsets": "CUPTI_ACTIVITY_KIND_MEMSET",
    "graphs": "CUPTI_ACTIVITY_KIND_GRAPH_TRACE",
}


class Op(NamedTuple):
    """GPU work with its launch: thread, start and end of the call, or None."""

    kind: str
    start: int
    end: int
    name: str
    launch: tuple[int, int, int] | None
    size: int
    copy_kind: int


@dataclass
class Asked:
    """A question in the words of the test; `inside` and `exclude` are asked of names of a path."""

    inside: Callable[[Names], bool] | None = None
    exclude: Callable[[Names], bool] | None = None
    window: tuple[float, float] = (-np.inf, np.inf)
    numbers: Collection[int] | None = None
    rename: Callable[[str], str] = str


class Brute:
    """The ranges and work of a file."""

    def __init__(self, path: Path, rename: Callable[[str], str] = str) -> None:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
            text = dict(connection.execute("SELECT id, value FROM StringIds").fetchall())
            self._read_ranges(connection, tables, text, rename)
            self.ops = list(_operations(connection, tables, text))
        self.paths = self._paths()

    def _read_ranges(
        self, connection: sqlite3.Connection, tables: set[str], text: dict[int, str],
        rename: Callable[[str], str],
    ) -> None:  # fmt: skip
        events = "SELECT rowid AS id, * FROM NVTX_EVENTS ORDER BY rowid"
        rows = list(connection.execute(events)) if "NVTX_EVENTS" in tables else []
        domains: dict[tuple[int, Any], str] = {}
        for row in sorted((r for r in rows if r["eventType"] == 75), key=lambda r: r["start"]):
            key = (row["globalTid"] >> 24, row["domainId"])
            domains.setdefault(key, row["text"] or text.get(row["textId"], ""))
        rows = [row for row in rows if row["eventType"] in (59, 60, 70, 71)]
        last = max((m for r in rows for m in (r["start"], r["end"]) if m is not None), default=0)
        rows = [row for row in rows if row["endGlobalTid"] is None]
        self.labels = []
        for row in rows:
            name = text.get(row["textId"], row["text"] or "")
            domain = domains.get((row["globalTid"] >> 24, row["domainId"]), "")
            self.labels.append(rename(f"{domain}:{name}" if domain and name else name))
        self.id = np.array([row["id"] for row in rows], np.int64)
        self.thread = np.array([row["globalTid"] for row in rows], np.int64)
        self.start = np.array([row["start"] for row in rows], np.int64)
        self.end = np.array([last if r["end"] is None else r["end"] for r in rows], np.int64)

    def around(self, thread: int, start: int, end: int) -> np.ndarray[Any, Any]:
        """Whether each range encloses an interval of a thread."""
        found: np.ndarray[Any, Any] = (
            (self.thread == thread) & (self.start <= start) & (self.end >= end)
        )
        return found

    def innermost(self, mask: np.ndarray[Any, Any]) -> int:
        """The last started, then the first ended, then the latest row; -1 of none."""
        at = np.flatnonzero(mask)
        keys = [(self.start[one], -self.end[one], self.id[one], one) for one in at]
        return int(max(keys)[3]) if keys else -1

    def inside_of(self, at: int, others: np.ndarray[Any, Any]) -> bool:
        """Whether a range is one of others, or lies in one that is not an equal inner one."""
        mask = others & self.around(self.thread[at], self.start[at], self.end[at])
        equal = (self.start == self.start[at]) & (self.end == self.end[at])
        return bool((mask & ~(equal & (self.id > self.id[at]))).any())

    def _paths(self) -> list[Names]:
        parents = []
        for at in range(len(self.id)):
            mask = self.around(self.thread[at], self.start[at], self.end[at])
            equal = (self.start == self.start[at]) & (self.end == self.end[at])
            parents.append(self.innermost(mask & ~(equal & (self.id >= self.id[at]))))
        paths: dict[int, Names] = {-1: ()}

        def path(at: int) -> Names:
            if at not in paths:
                paths[at] = (*path(parents[at]), self.labels[at])
            return paths[at]

        self.parents = parents
        return [path(at) for at in range(len(parents))]

    def _numbers(self) -> list[int]:
        seen: dict[tuple[int, Names], int] = defaultdict(int)
        found = [0] * len(self.id)
        for at in sorted(range(len(self.id)), key=lambda at: (self.start[at], -self.end[at], at)):
            key = (int(self.thread[at]), self.paths[at])
            found[at] = seen[key]
            seen[key] += 1
        return found

    def ask(self, asked: Asked) -> dict[Names, dict[str, Any]]:
        """The figures of each path that has a row."""
        shown = np.ones(len(self.id), bool)
        if asked.inside or asked.numbers is not None:
            chosen = [asked.inside(p) if asked.inside else len(p) == 1 for p in self.paths]
            if asked.numbers is not None:
                numbered = zip(chosen, self._numbers(), strict=True)
                chosen = [one and number in asked.numbers for one, number in numbered]
            asked_for = np.array(chosen, bool)
            shown &= np.array([self.inside_of(at, asked_for) for at in range(len(self.id))], bool)
        excluded = np.zeros(len(self.id), bool)
        if asked.exclude:
            excluded = np.array([asked.exclude(path) for path in self.paths], bool)
            shown &= ~np.array([self.inside_of(at, excluded) for at in range(len(self.id))], bool)
        low, high = asked.window
        for at in range(len(self.id)):
            # a moment of it lies in the window: of an empty range its only one
            start, end = self.start[at], self.end[at]
            shown[at] &= low <= start < high if start == end else start < high and end > low
        calls: dict[int, list[Op]] = {at: [] for at in np.flatnonzero(shown).tolist()}
        own: dict[int, int] = defaultdict(int)
        for op in self.ops:
            if op.launch is None or not low <= op.launch[1] < high:
                continue
            mask = self.around(*op.launch)
            if (mask & excluded).any():
                continue
            for at in np.flatnonzero(mask & shown).tolist():
                calls[at].append(op)
            if op.kind == "kernels":
                own[self.innermost(mask)] += op.end - op.start
        return self._rows(calls, own, asked.window)

    def _rows(
        self, calls: dict[int, list[Op]], own: dict[int, int], window: tuple[float, float]
    ) -> dict[Names, dict[str, Any]]:
        rows: dict[Names, dict[str, Any]] = {}
        for at, ops in calls.items():
            row = rows.setdefault(self.paths[at], defaultdict(int))
            kernels = [op for op in ops if op.kind == "kernels"]
            row["calls"] += 1
            row["host_ns"] += min(self.end[at], window[1]) - max(self.start[at], window[0])
            row["kernels"] += len(kernels)
            row["kernel_sum_ns"] += sum(op.end - op.start for op in kernels)
            row["exclusive_ns"] += own[at]
            row["busy_ns"] += union(kernels)
            for kind, word in (("copies", "copy"), ("memsets", "memset")):
                some = [op for op in ops if op.kind == kind]
                row[kind] += len(some)
                row[f"{word}_bytes"] += sum(op.size for op in some)
            row["ops"] = [*(row["ops"] or []), *ops]
        return rows


def union(ops: list[Op]) -> int:
    """Length of the union of intervals, one after the other."""
    total, until = 0, -(2**62)
    for op in sorted(ops, key=lambda op: op.start):
        total += max(op.end - max(op.start, until), 0)
        until = max(until, op.end)
    return total


def _operations(connection: sqlite3.Connection, tables: set[str], text: dict[int, str]) -> Any:
    calls: dict[tuple[int, int], list[tuple[int, int, int, int]]] = defaultdict(list)
    if "CUPTI_ACTIVITY_KIND_RUNTIME" in tables:
        select = "SELECT rowid, globalTid, start, end, correlationId FROM "
        for row in connection.execute(select + "CUPTI_ACTIVITY_KIND_RUNTIME"):
            calls[row[1] >> 24, row[4]].append((row[2], -row[3], row[0], row[1]))
    for kind, table in KINDS.items():
        for row in connection.execute(f"SELECT * FROM {table}") if table in tables else ():
            has = row.keys()
            copy_kind = row["copyKind"] if "copyKind" in has else 0
            if copy_kind in (11, 12, 13):
                continue
            made = calls.get((row["globalPid"] >> 24, row["correlationId"]))
            last = max(made) if made else None
            launch = None if last is None else (last[3], last[0], -last[1])
            name = text.get(row["demangledName"], "") if kind == "kernels" else ""
            size = row["bytes"] if "bytes" in has else 0
            yield Op(kind, row["start"], row["end"], name, launch, size, copy_kind)
