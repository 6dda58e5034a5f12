"""Timelines, read strictly by the rules of the Trace Event Format, and pages with a flame graph.

Perfetto's own trace processor is a program that is fetched when it first runs, so it plays no part.
"""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings

from analysis.nsys.reading import read_profile
from analysis.profiles.timeline import write_timeline
from analysis.profiles.work import work_of
from tests.analysis.reference import KERNEL_NAMES, Events, Reference, events
from tests.analysis.report_study import unpacked
from tests.gpu_profiles import GpuRun, ProfileWriter, record

Analysis = Callable[..., tuple[int, str, str]]


class Slice(NamedTuple):
    """A complete event: its group and track by their names, and its times in ns."""

    group: str
    track: str
    name: str
    category: str
    start: int
    end: int
    range: str | None


class Trace:
    """A trace, whose events are refused where Perfetto would drop them or draw them elsewhere."""

    def __init__(self, path: Path) -> None:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")
        document = json.loads(text, parse_float=Decimal)
        self.groups: dict[int, str] = {}
        self.tracks: dict[tuple[int, int], str] = {}
        slices: dict[tuple[int, int], list[Slice]] = defaultdict(list)
        flows: dict[str, dict[int, Any]] = {"s": {}, "f": {}}
        for event in document["traceEvents"]:
            place = event["pid"], event["tid"]
            assert all(0 <= number < 2**31 for number in place)
            if event["ph"] == "M":
                self._name(event, place)
            elif event["ph"] == "X":
                slices[place].append(self._slice(event, place))
            else:
                assert event["ph"] == "s" or event["bp"] == "e"
                assert event["id"] not in flows[event["ph"]], "a flow begins and ends once"
                flows[event["ph"]][event["id"]] = place, self._ns(event["ts"]), event["name"]
        self.slices = [one for of_track in slices.values() for one in of_track]
        for of_track in slices.values():
            self._check_nesting(of_track)
        assert flows["s"].keys() == flows["f"].keys()
        self.arrows = [self._arrow(slices, flows["s"][one], flows["f"][one]) for one in flows["s"]]

    def _name(self, event: Any, place: tuple[int, int]) -> None:
        name = event["args"]["name"]
        if event["name"] == "process_name":
            assert self.groups.setdefault(place[0], name) == name
        else:
            assert event["name"] == "thread_name"
            assert place not in self.tracks
            self.tracks[place] = name

    def _slice(self, event: Any, place: tuple[int, int]) -> Slice:
        start, duration = self._ns(event["ts"]), self._ns(event["dur"])
        assert duration >= 0
        told = event.get("args", {}).get("range")
        where = self.groups[place[0]], self.tracks[place]
        return Slice(*where, event["name"], event["cat"], start, start + duration, told)

    @staticmethod
    def _ns(value: Any) -> int:
        ns = Decimal(value) * 1000
        assert ns == int(ns)
        return int(ns)

    @staticmethod
    def _check_nesting(of_track: list[Slice]) -> None:
        stack: list[Slice] = []
        for one in sorted(of_track, key=lambda one: (one.start, -one.end)):
            while stack and stack[-1].end <= one.start:
                stack.pop()
            assert not stack or one.end <= stack[-1].end, "events of a track nest"
            stack.append(one)

    @staticmethod
    def _arrow(slices: Any, begin: Any, end: Any) -> tuple[Slice, Slice]:
        """The slices that a flow joins: those that begin at its ends, the innermost of each."""
        assert begin[1] <= end[1]
        assert begin[2] == end[2]
        found = []
        for place, moment, _ in (begin, end):
            around = [one for one in slices[place] if one.start <= moment <= one.end]
            assert around, "a flow begins and ends in an event"
            found.append([one for one in around if one.start == moment])
        first = [one for one in found[0] if one.category == "launch"]
        return first[0], found[1][-1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("timeline")


@settings(max_examples=15)
@given(events())
def test_every_range_and_operation_is_drawn_where_it_was(folder: Path, drawn: Events) -> None:
    work = work_of(read_profile(drawn.write(folder / "p.sqlite"), with_streams=True))
    write_timeline(work, folder / "p.trace.json")
    trace, expected = Trace(folder / "p.trace.json"), Reference(drawn)

    def thread(number: int) -> tuple[str, str]:
        return f"process {number >> 24 & 0xFFFFFF}", f"thread {number & 0xFFFFFF}"

    def cut(track: str) -> str:
        return track.removesuffix(", overlapping")

    ranges = [
        (one.group, cut(one.track), one.name, one.start, one.end)
        for one in trace.slices
        if one.category == "range"
    ]
    assert sorted(ranges) == sorted(
        (*thread(row.thread), row.label, row.start, row.end or 0) for row in expected.ranges
    )
    of_gpu = [
        (one.group, cut(one.track).split(" ")[1], one.category, one.start, one.end, one.range)
        for one in trace.slices
        if one.group.startswith("GPU")
    ]
    words = {"kernels": "kernel", "copies": "copy", "memsets": "memset", "graphs": "graph"}
    own = {
        id(op): path
        for at, path in enumerate(expected.paths)
        for kind in words
        for op in expected.own(at, kind)
    }
    assert sorted(of_gpu, key=str) == sorted(
        (
            (f"GPU {op.device}", str(op.stream), words[op.kind], op.start, op.end, own.get(id(op)))
            for op in expected.operations
        ),
        key=str,
    )
    launches = zip(expected.operations, expected.launches, strict=True)
    arrows = sorted(
        (*thread(call.thread), call.start, op.start, f"GPU {op.device}")
        for op, call in launches
        if call is not None and op.start >= call.start
    )
    assert arrows == sorted(
        (begin.group, cut(begin.track), begin.start, end.start, end.group)
        for begin, end in trace.arrows
    )
    kernels = {one.name for one in trace.slices if one.category == "kernel"}
    assert kernels <= set(KERNEL_NAMES)


RUN = GpuRun("M", 256, ("teacher", "student"), lambda name, image: 400_000)


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    record(RUN).write(tmp_path / "p.sqlite")
    return tmp_path / "p.sqlite"


def test_a_timeline_holds_what_was_asked(analysis: Analysis, profile: Path) -> None:
    """Compressed by its name; only work inside, and ranges up to a depth."""
    output = profile.with_name("p.trace.json.gz")
    code, out, err = analysis(
        "attribute", profile, "--inside", "*:student", "--depth", 3, "-o", output
    )
    assert (code, out, err) == (0, "", "")
    trace = Trace(output)
    assert {one.name for one in trace.slices if one.category == "range"} == {"adscale:student"}
    kernels = [one for one in trace.slices if one.category == "kernel"]
    assert {one.name.partition("_")[0] for one in kernels} == {"student"}
    assert len(kernels) == len(trace.arrows) == 4 * (RUN.warmup_images + RUN.measured_images)
    assert {one.track for one in kernels} == {"stream 7", "stream 13"}


def test_what_is_for_tables_is_refused_for_a_timeline(analysis: Analysis, profile: Path) -> None:
    for arguments in (["--kernels"], ["--by", "stream"], ["--top", 3]):
        output = profile.with_name("p.trace.json")
        code, _, err = analysis("attribute", profile, *arguments, "-o", output)
        assert code == 2
        assert err.startswith(f"error: {arguments[0]}: is for tables, and ")
        assert not output.exists()


def flame_of(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(unpacked(path.read_text("utf-8"), "flame-data"))
    return data


def test_the_flame_graph_is_as_wide_as_the_kernels_took(analysis: Analysis, profile: Path) -> None:
    output = profile.with_name("p.html")
    assert analysis("attribute", profile, "-o", output) == (0, "", "")
    data = flame_of(output)
    images = RUN.warmup_images + RUN.measured_images
    kernel_ms = 2 * images * 400_000 * 5 / 4 / 1e6
    assert sum(data["values"]) == pytest.approx(kernel_ms)
    number = {label: at for at, label in zip(data["ids"], data["labels"], strict=True)}
    parents = dict(zip(data["ids"], data["parents"], strict=True))
    assert set(number) == {
        f"adscale:{name}" for name in ("warmup", "measure", "image", "teacher", "student")
    }
    assert [one for one in data["parents"] if one == ""] == ["", ""]
    assert parents[parents[number["adscale:teacher"]]] in {
        at for at, up in parents.items() if up == ""
    }


def test_without_kernels_it_is_as_wide_as_the_ranges(analysis: Analysis, tmp_path: Path) -> None:
    writer = ProfileWriter()
    with writer.range("outer"):
        writer.cpu_ns += 1_000_000
        with writer.range("<b>inner</b>"):
            writer.cpu_ns += 3_000_000
    writer.write(tmp_path / "p.sqlite")
    assert analysis("attribute", tmp_path / "p.sqlite", "-o", tmp_path / "p.html")[0] == 0
    data = flame_of(tmp_path / "p.html")
    assert data["labels"] == ["adscale:outer", "adscale:&lt;b&gt;inner&lt;/b&gt;"]
    assert data["values"] == pytest.approx([1.0002, 3.0001], abs=2e-4)
    assert "<b>inner" not in (tmp_path / "p.html").read_text("utf-8")
