"""From recorded events to the tables of an nsys export: a pure function."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from adscale.names import DOMAIN

from ...annotation import RecordedRange
from . import schema
from .about_rows import about_tables
from .events import Recording
from .gpu_rows import gpu_tables
from .rows import Rows, Strings, Value, global_tid
from .summary import Summary, summarize

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
    """By start. Of two equal ranges the one that was recorded later ended later: it is outer."""
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
