"""Paths of ranges: one text for one path, names and parents as nsys has them, depth, any stream."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adscale.errors import ArgumentError
from adscale.nsys_program import find_nsys
from analysis.__main__ import main
from analysis.attribution.nesting import nest
from analysis.attribution.range_tree import PathTree
from analysis.nsys.reading import read_profile
from analysis.profiles import paths
from analysis.profiles.paths import path_names, path_texts
from tests.analysis.reference import PUSH_POP, Call, Events, Operation, Range
from tests.gpu_profiles import ProfileWriter

Analysis = Callable[..., tuple[int, str, str]]
PROCESS = 1 << 24
THREAD = PROCESS | 1


def paths_of(*paths: list[str]) -> PathTree:
    """A tree of its own for each path."""
    parents, labels = [], []
    for path in paths:
        for number, label in enumerate(path):
            parents.append(len(labels) - 1 if number else -1)
            labels.append(label)
    names = np.empty(len(labels), object)
    names[:] = labels
    return PathTree(np.arange(len(labels)), np.array(parents, np.int64), names)


names = st.lists(st.text("ab >\\\n", max_size=5), min_size=1, max_size=4)


@given(names, names)
def test_two_paths_have_one_text_only_if_they_are_one(first: list[str], second: list[str]) -> None:
    texts = path_texts(paths_of(first, second))
    one, other = texts[len(first) - 1], texts[-1]
    assert (one == other) == (first == second)
    assert (path_names(one), path_names(other)) == (first, second)


def test_ordinary_names_are_not_escaped() -> None:
    path = ["std::vector<int>", "a->b", "x>=2"]
    assert path_texts(paths_of(path))[-1] == "std::vector<int> > a->b > x>=2"


def write(path: Path, *rows: str) -> Path:
    """An export of one kernel, launched at 70; rows: start, end, event type, text, domain."""
    launch = [Call(THREAD, 70, 71, 1)]
    Events([], launch, [Operation("kernels", PROCESS, 80, 90, 1, 0, 7, "gemm", None)]).write(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM NVTX_EVENTS")
        for row in rows:
            connection.execute(
                "INSERT INTO NVTX_EVENTS (start, end, eventType, text, domainId, globalTid) "
                f"VALUES ({row}, {THREAD})"
            )
    return path


def test_a_name_like_a_path_is_another_path(analysis: Analysis, tmp_path: Path) -> None:
    path = write(
        tmp_path / "p.sqlite", "0, 10, 59, 'a > b', 0", "20, 100, 59, 'a', 0", "30, 99, 59, 'b', 0"
    )
    _, out, _ = analysis("attribute", path, "--json", "--kernels")
    found = json.loads(out)
    assert [row["path"] for row in found["ranges"]] == [["a > b"], ["a"], ["a", "b"]]
    assert [row["path"] for row in found["kernels"]] == [["a"], ["a", "b"]]
    _, out, _ = analysis("attribute", path, "--csv")
    assert pd.read_csv(io.StringIO(out))["path"].tolist() == [r"a \> b", "a", "a > b"]


DOMAINS = ("1, NULL, 75, 'D', 1", "2, NULL, 75, 'D:a', 2", "3, NULL, 75, 'E', 3")


@pytest.mark.parametrize(
    ("ranges", "labels"),
    [
        (["'a', 1", "'D:a', 0"], ["D:a (domain D)", "D:a (no domain)"]),
        (["'a:b', 1", "'b', 2"], ["D:a:b (domain D)", "D:a:b (domain D:a)"]),
        (["'a', 1", "'D:a', 0", "'D:a (no domain)', 0"],
         ["D:a (domain D)", "D:a (no domain)'", "D:a (no domain)"]),
        (["'a', 1", "'a', 3", "'a', 0", "'E:b', 0"], ["D:a", "E:a", "a", "E:b"]),
    ],
)  # fmt: skip
def test_ranges_of_several_domains_that_would_be_called_alike_are_told_apart(
    analysis: Analysis, tmp_path: Path, ranges: list[str], labels: list[str]
) -> None:
    rows = [f"{at}, {100 - at}, 59, {text}" for at, text in enumerate(ranges)]
    path = write(tmp_path / "p.sqlite", *DOMAINS, *rows)
    _, out, _ = analysis("attribute", path, "--json")
    found = json.loads(out)["ranges"]
    assert [row["path"][-1] for row in found] == labels
    assert [row["calls"] for row in found] == [1] * len(labels)
    whole = " > ".join(labels[:2])
    _, out, _ = analysis("attribute", path, "--csv", "--inside", whole)
    assert pd.read_csv(io.StringIO(out))["path"][0] == whole, "what is printed can be asked for"


CROSSING = ("0, 100, 60, 'A', 0", "50, 200, 60, 'B', 0", "60, 90, 60, 'C', 0")
"""C lies in A, which is shorter, and in B, which starts later."""

NAMES = ("50, NULL, 75, 'LATE', 1", "10, NULL, 75, 'EARLY', 1", "0, 100, 59, 'a', 1",
         "1, 99, 59, NULL, 1", "2, 98, 59, NULL, 0")  # fmt: skip


def test_of_two_ranges_that_overlap_the_later_is_the_parent_and_the_shorter_one_is_told(
    analysis: Analysis, tmp_path: Path
) -> None:
    path = write(tmp_path / "p.sqlite", *CROSSING)
    _, out, _ = analysis("attribute", path, "--json")
    found = json.loads(out)
    assert [row["path"] for row in found["ranges"]] == [["A"], ["B"], ["B", "C"]]
    assert found["coverage"]["nested_otherwise_by_nsys"] == [
        {"path": ["B", "C"], "nsys_parent": ["A"], "calls": 1}
    ]
    _, out, _ = analysis("attribute", path)
    assert "1 calls lie in two ranges that overlap" in out
    assert "B > C in A." in out


def test_the_earliest_row_names_a_domain_and_a_range_without_a_name_has_none(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "p.sqlite", *NAMES)
    assert read_profile(path).ranges.labels() == ["EARLY:a", "", ""]


@pytest.mark.nsys
@pytest.mark.parametrize("rows", [CROSSING, NAMES], ids=["crossing", "names"])
def test_names_and_parents_are_those_of_nsys(tmp_path: Path, rows: tuple[str, ...]) -> None:
    nsys = find_nsys(None)
    path = write(tmp_path / "p.sqlite", *rows)
    report = subprocess.run(
        [str(nsys), "stats", "--quiet", "-r", "nvtx_gpu_proj_trace", "-f", "csv", str(path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = report.stdout.strip().splitlines()
    found = {row["RangeId"]: (row["Name"], row["ParentId"]) for row in csv.DictReader(lines)}
    ranges = read_profile(path).ranges
    ids = [*map(str, ranges.row_id.tolist()), ""]
    parents = [ids[at] for at in nest(ranges).tightest.tolist()]
    assert found == dict(zip(ids, zip(ranges.labels(), parents, strict=True), strict=False))


def deep(path: Path, levels: int) -> Path:
    """Ranges inside each other, with a kernel in the innermost."""
    rows = [
        Range(THREAD, level, 10**6 - level, PUSH_POP, "a", 0, True, False)
        for level in range(levels)
    ]
    calls = [Call(THREAD, levels + 1, levels + 2, 1)]
    operations = [Operation("kernels", PROCESS, 1, 2, 1, 0, 7, "gemm", None)]
    return Events(rows, calls, operations).write(path)


def test_text_shows_the_outer_levels_and_says_so(analysis: Analysis, tmp_path: Path) -> None:
    path = deep(tmp_path / "p.sqlite", 400)
    for options, shown in ((), 32), (("--depth", "3"), 3), (("--depth", "0"), 400):
        for kernels in ((), ("--kernels",)):
            _, out, _ = analysis("attribute", path, *options, *kernels)
            assert (f"{400 - shown} paths are not shown" in out) == (shown < 400)
            assert len(out) < 100_000 or shown == 400
    _, out, _ = analysis("attribute", path, "--json")
    assert len(json.loads(out)["ranges"]) == 400
    _, out, _ = analysis("attribute", path, "--json", "--depth", "5")
    found = json.loads(out)
    assert (len(found["ranges"]), found["coverage"]["deeper_paths"]) == (5, 395)


def test_what_does_not_fit_in_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "_MOST_CHARACTERS", 100)
    with pytest.raises(ArgumentError, match=r"ranges up to 40 deep.*--depth 32"):
        path_texts(paths_of(["abc"] * 40))


def test_a_name_of_any_length(analysis: Analysis, tmp_path: Path) -> None:
    writer = ProfileWriter()
    with writer.range("x" * 60_000):
        pass
    writer.write(tmp_path / "p.sqlite")
    _, out, _ = analysis("attribute", tmp_path / "p.sqlite")
    assert len(out) < 5000
    assert "(59008 characters)" in out.replace("\n", "")


class Stream(io.TextIOWrapper):
    """Standard output of one's own, with an encoding."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding)

    def text(self) -> str:
        self.flush()
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode(self.encoding)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
@pytest.mark.parametrize("options", [(), ("--kernels",), ("--csv",), ("--json",)])
def test_streams_that_are_no_utf_8(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, options: tuple[str, ...]
) -> None:
    writer = ProfileWriter()
    with writer.range("图像"), writer.range("Ω" * 500):
        writer.submodule("µ", 4000)
    writer.write(tmp_path / "p.sqlite")
    monkeypatch.setattr(sys, "stdout", stream := Stream(encoding))
    monkeypatch.setattr(sys, "stderr", Stream(encoding))
    assert main(["attribute", str(tmp_path / "p.sqlite"), *options]) == 0
    assert ("??" in stream.text()) == (options != ("--json",))
    output = tmp_path / "table.csv"
    assert main(["attribute", str(tmp_path / "p.sqlite"), "-o", str(output)]) == 0
    assert "图像" in output.read_text(encoding="utf-8")
