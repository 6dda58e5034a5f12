"""A profile as a timeline for Perfetto (ui.perfetto.dev): ranges, launches, and work by stream.

The file is in the Trace Event Format ("Trace Event Format", Google, 2016), which Perfetto and
Chromium open: complete events (`X`) on tracks, and flows (`s` and `f`) that lead from a launch to
what it launched. Events of a track must nest. Where ranges of a thread only overlap, or operations
of a stream do, those that do not fit go to further tracks of the thread or stream.
"""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

import numpy as np

from adscale.files import write_output

from ..nsys.records import THREAD_BITS, Int64s, Operations
from .copy_table import DIRECTIONS, UNKNOWN_DIRECTION
from .paths import path_texts
from .work import KINDS, UNKNOWN, Kind, ProfileWork, positions, stream_labels

_WORDS: dict[Kind, str] = {"kernels": "kernel", "copies": "copy", "memsets": "memset",
                           "graphs": "graph"}  # fmt: skip


class Interval(NamedTuple):
    """An event, not yet on a track.

    Attributes:
        start_ns: its begin.
        end_ns: its end.
        name: as a JSON text.
        more: further entries of the event, as JSON with a comma in front.
        flows: numbers of the flows that begin or end here.
    """

    start_ns: int
    end_ns: int
    name: str
    more: str
    flows: tuple[int, ...] = ()


def write_timeline(work: ProfileWork, path: Path, levels: int | None = None) -> None:
    """Write the timeline of a profile, or of what was asked of it.

    Args:
        work: of a profile that was read with its streams.
        path: the file; compressed where its name ends in `.gz`.
        levels: leave out ranges further inside; None for none.
    """

    def write(temporary: Path) -> None:
        opened = gzip.open if path.name.endswith(".gz") else open
        with opened(temporary, "wt", encoding="utf-8") as file:
            file.write('{"displayTimeUnit":"ns","traceEvents":[\n')
            for number, event in enumerate(_events(work, levels)):
                file.write(f",\n{event}" if number else event)
            file.write("\n]}\n")

    write_output(path, write)


def _events(work: ProfileWork, levels: int | None) -> Iterator[str]:
    drawn = _Drawn(work)
    further = count(1 << THREAD_BITS)  # numbers of tracks that are no threads
    largest = 0
    for thread, intervals in sorted(_of_threads(work, levels, drawn).items()):
        process, number = thread >> THREAD_BITS & _NUMBER, thread & _NUMBER
        largest = max(largest, process)
        yield _named("process_name", process, 0, f"process {process}")
        yield from _on_tracks(intervals, process, f"thread {number}", chain([number], further), "s")
    of_kinds = {kind: positions(drawn.operations[kind], "stream") for kind in KINDS}
    streams = sorted({stream for of_kind in of_kinds.values() for stream in of_kind})
    labels = stream_labels(streams)
    for stream in streams:
        is_known = stream.device != UNKNOWN
        process = largest + (stream.device + 2 if is_known else 1)
        yield _named("process_name", process, 0, f"GPU {stream.device}" if is_known else "GPU")
        intervals = _of_stream(work, drawn, {kind: of_kinds[kind].get(stream) for kind in KINDS})
        label = f"stream {labels[stream].partition('/')[2]}"
        yield from _on_tracks(intervals, process, label, further, "f")


_NUMBER = (1 << THREAD_BITS) - 1


class _Drawn:
    """The operations that are drawn, and the flows to those of which the launch is drawn.

    Attributes:
        at: positions of the operations of each kind.
        operations: these.
        flow: number of the flow that ends at each; 0 for none.
        of_call: numbers of the flows that begin at each call, by its position.
    """

    def __init__(self, work: ProfileWork) -> None:
        inside = None if work.selection is None else work.selection.inside
        calls, numbers = work.profile.calls, count(1)
        self.at: dict[Kind, Int64s] = {}
        self.operations: dict[Kind, Operations] = {}
        self.flow: dict[Kind, list[int]] = {}
        self.of_call: dict[int, list[int]] = defaultdict(list)
        for kind in KINDS:
            every, launch = work.kinds[kind].operations, work.kinds[kind].launch
            is_shown = np.ones(len(launch), np.bool_)
            if inside is not None:
                is_shown = np.append(inside, False)[launch]
            at = self.at[kind] = np.flatnonzero(is_shown)
            self.operations[kind] = every.select(at)
            self.flow[kind] = []
            for call, start_ns in zip(
                launch[at].tolist(), every.start_ns[at].tolist(), strict=True
            ):
                # an arrow never leads back in time, which clocks of two devices may say
                follows = call >= 0 and start_ns >= calls.start_ns[call]
                self.flow[kind].append(next(numbers) if follows else 0)
                if call >= 0:
                    self.of_call[call] += self.flow[kind][-1:] if follows else []


def _of_threads(work: ProfileWork, levels: int | None, drawn: _Drawn) -> dict[int, list[Interval]]:
    """Ranges and launches of each thread."""
    found: dict[int, list[Interval]] = defaultdict(list)
    ranges, calls = work.profile.ranges, work.profile.calls
    shown = work.shown
    if levels is not None:
        shown = shown & (work.paths.depths()[work.paths.code] < levels)
    labels, at = ranges.label_codes(), np.flatnonzero(shown)
    names = [json.dumps(label) for label in labels.distinct.tolist()]
    for thread, start, end, label in zip(
        ranges.thread[at].tolist(), ranges.start_ns[at].tolist(), ranges.end_ns[at].tolist(),
        labels.code[at].tolist(), strict=True,
    ):  # fmt: skip
        found[thread].append(Interval(start, end, names[label], ',"cat":"range"'))
    for call, flows in drawn.of_call.items():
        start, end = int(calls.start_ns[call]), int(calls.end_ns[call])
        interval = Interval(start, end, '"launch"', ',"cat":"launch"', tuple(flows))
        found[int(calls.thread[call])].append(interval)
    return found


def _of_stream(work: ProfileWork, drawn: _Drawn, own: dict[Kind, Int64s | None]) -> list[Interval]:
    """The operations of a stream; positions are those among the drawn ones."""
    found = []
    for kind, at in own.items():
        if at is None:
            continue
        operations = drawn.operations[kind].select(at)
        columns = zip(
            operations.start_ns.tolist(),
            operations.end_ns.tolist(),
            _names(work, kind, operations),
            _launched_in(work, kind, drawn.at[kind][at]),
            (drawn.flow[kind][number] for number in at.tolist()),
            strict=True,
        )
        found += [
            Interval(start, end, name, more, (flow,) if flow else ())
            for start, end, name, more, flow in columns
        ]
    return found


def _names(work: ProfileWork, kind: Kind, operations: Operations) -> list[str]:
    """What each operation is called, as JSON."""
    if kind == "kernels":
        known = work.profile.kernel_names
        texts = [json.dumps(known[name]) for name in operations.name_id.distinct.tolist()]
        return [texts[code] for code in operations.name_id.code.tolist()]
    if kind == "copies" and operations.copy_kind is not None:
        return [
            json.dumps(f"copy {DIRECTIONS.get(number, UNKNOWN_DIRECTION)}")
            for number in operations.copy_kind[:].tolist()
        ]
    return [json.dumps(_WORDS[kind])] * len(operations)


def _launched_in(work: ProfileWork, kind: Kind, at: Int64s) -> list[str]:
    """Category and innermost range of operations, as entries of events."""
    texts = path_texts(work.paths, _LEVELS).tolist()
    category = f',"cat":"{_WORDS[kind]}"'
    known = [f'{category},"args":{{"range":{json.dumps(text)}}}' for text in texts]
    innermost = work.kinds[kind].kernel_range[at].tolist()
    return [category if one < 0 else known[work.paths.code[one]] for one in innermost]


_LEVELS = 32
"""Levels of a path that is told; of deeper ones the text would be long."""


def _on_tracks(
    intervals: Iterable[Interval], process: int, label: str, numbers: Iterator[int], phase: str
) -> Iterator[str]:
    """The events of a thread or stream, on as few tracks as they nest on.

    Args:
        intervals: all of them.
        process: number that the format has for a group of tracks.
        label: of the tracks.
        numbers: of the tracks.
        phase: `s` where flows begin, `f` where they end.
    """
    ordered = sorted(intervals, key=lambda one: (one.start_ns, -one.end_ns))
    lanes = list(_lanes(ordered))
    tracks = [next(numbers) for _ in range(max(lanes, default=-1) + 1)]
    for lane, track in enumerate(tracks):
        yield _named("thread_name", process, track, f"{label}, overlapping" if lane else label)
    for one, lane in zip(ordered, lanes, strict=True):
        where = f'"pid":{process},"tid":{tracks[lane]},"ts":{_us(one.start_ns)}'
        duration = _us(one.end_ns - one.start_ns)
        yield f'{{"ph":"X","name":{one.name},{where},"dur":{duration}{one.more}}}'
        binding = ',"bp":"e"' if phase == "f" else ""
        for flow in one.flows:
            yield f'{{"ph":"{phase}","id":{flow},"name":"launch","cat":"launch",{where}{binding}}}'


def _lanes(ordered: Iterable[Interval]) -> Iterator[int]:
    """The first track on which each interval nests with those before it."""
    open_ends: list[list[int]] = []
    for one in ordered:
        for lane, ends in enumerate(open_ends):
            while ends and ends[-1] <= one.start_ns:
                ends.pop()
            if not ends or ends[-1] >= one.end_ns:
                ends.append(one.end_ns)
                yield lane
                break
        else:
            open_ends.append([one.end_ns])
            yield len(open_ends) - 1


def _named(what: str, process: int, track: int, name: str) -> str:
    where = f'"pid":{process},"tid":{track}'
    return f'{{"ph":"M","name":"{what}",{where},"args":{{"name":{json.dumps(name)}}}}}'


def _us(ns: int) -> str:
    """A time in microseconds, all of its nanoseconds kept."""
    whole, rest = divmod(abs(ns), 1_000)
    return f"{'-' if ns < 0 else ''}{whole}.{rest:03d}"
