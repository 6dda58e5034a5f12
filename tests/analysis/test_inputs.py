"""Profiles that are no SQLite files, and several at once."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adscale.files import cache_folder
from analysis.nsys.inputs import FOLDER, sqlite_of
from tests.analysis.conftest import FIXTURES
from tests.gpu_profiles import ProfileWriter

Analysis = Callable[..., tuple[int, str, str]]
FORMATS = ("parquet", "arrow folder", "arrow")
UNSIGNED = ("globalTid", "globalPid", "endGlobalTid", "domainId", "category", "rangeId", "bytes")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADSCALE_CACHE", str(tmp_path / "cache"))


def tables(sqlite: Path) -> Iterator[tuple[str, pa.Table]]:
    """The tables of an export with the types that nsys 2023.4.4 gives them in Arrow."""
    with closing(sqlite3.connect(sqlite)) as connection:
        connection.text_factory = lambda text: text.decode("utf-8", "replace")
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in names:
            columns = connection.execute(f'PRAGMA table_info("{name}")').fetchall()
            rows = connection.execute(f'SELECT * FROM "{name}"').fetchall()
            values = list(zip(*rows, strict=True)) or [()] * len(columns)
            fields = [pa.field(row[1], stored(row), not (row[3] or row[5])) for row in columns]
            arrays = [pa.array(list(v), f.type) for v, f in zip(values, fields, strict=True)]
            yield name, pa.table(arrays, schema=pa.schema(fields))


def stored(column: tuple[Any, ...]) -> pa.DataType:
    _, name, kind, *_ = column
    if name in UNSIGNED:
        return pa.uint64()
    if name in ("eventType", "deviceId", "textId"):
        return pa.uint32()
    return {"TEXT": pa.string(), "REAL": pa.float64()}.get(kind, pa.int64())


def export(sqlite: Path, output: Path, kind: str) -> Path:
    """What `nsys export` makes in another format."""
    if kind != "arrow":
        output.mkdir()
    with (output if kind == "arrow" else output / "unused").open("wb") as single:
        for name, table in tables(sqlite):
            if kind == "parquet":
                pq.write_table(table, output / f"{name}.parquet")
                continue
            named = table.replace_schema_metadata({"table_name": name})
            stream = single if kind == "arrow" else (output / f"{name}.arrow").open("wb")
            with pa.ipc.new_stream(stream, named.schema) as writer:
                writer.write_table(named)
            if kind != "arrow":
                stream.close()
    return output


@pytest.mark.fixtures
def test_arrow_and_parquet_give_the_same_numbers(
    analysis: Analysis, tmp_path: Path, real_profile: Path
) -> None:
    """Of each profile, and of the largest in all formats."""
    kinds = FORMATS if "9threads" in real_profile.name else (FORMATS[len(real_profile.name) % 3],)
    question = ("--json", "--copies", "--depth", "5")
    code, expected, told = analysis("attribute", real_profile, *question)
    assert code == 0, told
    for kind in kinds:
        exported = export(real_profile, tmp_path / f"p.{kind.split()[0]}-{len(kind)}", kind)
        code, out, told = analysis("attribute", exported, *question)
        assert code == 0, told
        assert json.loads(out) == json.loads(expected)


def generated(path: Path, name: str = "step", steps: int = 1) -> Path:
    writer = ProfileWriter()
    for number in range(steps):
        with writer.range(name):
            writer.submodule("net", 4000 * (number + 1))
    writer.write(path)
    return path


def paths_of(out: str) -> set[str]:
    return {row["path"][-1] for row in json.loads(out)["ranges"]}


def test_a_stale_export_is_never_used(analysis: Analysis, tmp_path: Path) -> None:
    exported = export(generated(tmp_path / "a.sqlite", "one"), tmp_path / "p.arrows", "arrow")
    before = exported.stat()
    _, out, told = analysis("attribute", exported, "--json")
    assert paths_of(out) == {"adscale:one", "adscale:net"}
    assert "exporting" in told
    _, out, told = analysis("attribute", exported, "--json")
    assert (paths_of(out), told) == ({"adscale:one", "adscale:net"}, "")  # made once
    other = export(generated(tmp_path / "b.sqlite", "two"), tmp_path / "q.arrows", "arrow")
    assert other.stat().st_size == before.st_size
    exported.write_bytes(other.read_bytes())
    os.utime(exported, ns=(before.st_atime_ns, before.st_mtime_ns))  # same size, same time
    _, out, _ = analysis("attribute", exported, "--json")
    assert paths_of(out) == {"adscale:two", "adscale:net"}
    old = [copy for copy in (tmp_path / FOLDER).iterdir() if copy.name.startswith("p.arrows-")]
    assert len(old) == 2
    for copy in old:
        os.utime(copy, (0, 0))  # nobody is reading it any more
    generated(tmp_path / "c.sqlite", "three")
    shutil.copy(export(tmp_path / "c.sqlite", tmp_path / "r.arrows", "arrow"), exported)
    analysis("attribute", exported, "--json")
    (left,) = [copy for copy in (tmp_path / FOLDER).iterdir() if copy.name.startswith("p.arrows-")]
    assert left not in old


def test_where_copies_are_kept(analysis: Analysis, tmp_path: Path) -> None:
    exported = export(generated(tmp_path / "a.sqlite"), tmp_path / "p.arrows", "arrow")
    assert analysis("attribute", exported, "--exports", tmp_path / "given", "--json")[0] == 0
    assert len(list((tmp_path / "given").iterdir())) == 1
    assert not (tmp_path / FOLDER).exists()
    (tmp_path / FOLDER).write_text("")  # no folder can be made there
    assert analysis("attribute", exported, "--json")[0] == 0
    assert len(list((cache_folder() / "exports").iterdir())) == 1
    code, _, told = analysis("attribute", exported, "--exports", tmp_path / FOLDER)
    assert (code, told.count("\n")) == (2, 1)
    assert "--exports" in told


def test_damaged_exports(analysis: Analysis, tmp_path: Path) -> None:
    sqlite = generated(tmp_path / "a.sqlite")
    exported = export(sqlite, tmp_path / "p.arrows", "arrow")
    exported.write_bytes(exported.read_bytes()[:-200])
    folder = export(sqlite, tmp_path / "p.parquet", "parquet")
    (folder / "NVTX_EVENTS.parquet").write_bytes(b"PAR1 and no more")
    for damaged in (exported, folder):
        code, _, told = analysis("attribute", damaged)
        assert code == 2
        assert "cannot be read" in told
    assert not list((tmp_path / FOLDER).iterdir())
    (tmp_path / "empty").mkdir()
    for wrong, what in ((tmp_path / "empty", "without tables"), (
        folder / "StringIds.parquet", "whole folder"
    )):  # fmt: skip
        code, _, told = analysis("attribute", wrong)
        assert (code, told.count("\n")) == (2, 1)
        assert what in told


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o755)
    return path


def test_an_nsys_that_fails(
    analysis: Analysis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may leave a part of a file behind, or end with 0 and none."""
    report = tmp_path / "p.nsys-rep"
    report.write_bytes(b"a report")
    writes = 'for a in "$@"; do case $a in --output=*) echo x > "${a#--output=}";; esac; done'
    for text in ("echo too new; exit 1", "echo too new", f"{writes}; echo too new; exit 1"):
        monkeypatch.setenv("ADSCALE_NSYS", str(program(tmp_path / "nsys", text)))
        code, _, told = analysis("attribute", report)
        assert code == 2
        assert "too new" in told
        assert not list((tmp_path / FOLDER).iterdir())
    monkeypatch.setenv("ADSCALE_NSYS", "")
    monkeypatch.setenv("PATH", str(tmp_path / FOLDER))
    monkeypatch.setattr("adscale.nsys_program.USUAL_PATHS", ())
    code, _, told = analysis("attribute", report)
    assert code == 2
    assert "which only nsys can read" in told


def without_reasons(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: row[name] for name in row if name != "unknown"} for row in rows]


@pytest.mark.nsys
def test_a_report_of_this_nsys(
    analysis: Analysis, tmp_path: Path, nsys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recorded here; and the same in all formats that this nsys exports."""
    monkeypatch.setenv("ADSCALE_NSYS", str(nsys))
    script = "import nvtx\nfor n in range(3):\n  with nvtx.annotate(f'step {n}'): pass\n"
    record = ["profile", "-t", "nvtx", "--sample=none", "--cpuctxsw=none", "-f", "true"]
    report = tmp_path / "p.nsys-rep"
    command = [str(nsys), *record, "-o", str(report), sys.executable, "-c", script]
    subprocess.run(command, check=True, capture_output=True)
    code, out, _ = analysis("attribute", report, "--json")
    assert code == 0
    steps = {f"step {number}" for number in range(3)}
    assert paths_of(out) == steps
    rows = json.loads(out)["ranges"]
    exported = []
    for kind in ("arrow", "arrowdir", "parquetdir"):
        exported.append(tmp_path / f"p.{kind}")
        done = [str(nsys), "export", "-q", "true", "-t", kind, "-o", str(exported[-1]), str(report)]
        subprocess.run(done, check=True, capture_output=True)
        code, out, _ = analysis("attribute", exported[-1], "--json")
        # these exports do not tell whether CUDA was traced
        assert without_reasons(json.loads(out)["ranges"]) == without_reasons(rows)
    assert analysis("diff", report, exported[-1], "--json", "--figure", "calls")[0] == 0
    old = tmp_path / "p.qdrep"
    old.write_bytes(b"no report at all")
    code, _, told = analysis("attribute", old)
    assert code == 2
    assert f"{nsys} could not export it (" in told
    assert [copy.name[:11] for copy in (tmp_path / FOLDER).iterdir() if "qdrep" in copy.name] == []


def test_ranks_side_by_side(analysis: Analysis, tmp_path: Path) -> None:
    ranks = [generated(tmp_path / f"rank{n}.sqlite", steps=n + 1) for n in range(3)]
    generated(tmp_path / "other.sqlite", "other")
    files = [*ranks, tmp_path / "other.sqlite"]
    code, out, _ = analysis("attribute", *files, "--json", "--kernels")
    assert code == 0
    document = json.loads(out)
    assert [one["profile"] for one in document["profiles"]] == [str(path) for path in files]
    alone = [json.loads(analysis("attribute", path, "--json", "--kernels")[1]) for path in files]
    assert document["coverage"]["kernels"] == sum(one["coverage"]["kernels"] for one in alone)
    for table in ("ranges", "kernels"):
        for path, one in zip(files, alone, strict=True):
            own = [row for row in document[table] if row.pop("profile", str(path)) == str(path)]
            assert [row for row in own if row in one[table]] == one[table]
    by_path = defaultdict(list)
    for one in alone:
        for row in one["ranges"]:
            by_path[tuple(row["path"])].append(row)
    spread = {(tuple(row["path"]), row["figure"]): row for row in document["spread"]}
    for path, rows in by_path.items():
        for figure in ("calls", "host_ms", "busy_ms"):
            values = [row[figure] for row in rows]
            row = spread[path, figure]
            assert row["profiles"] == len(rows)
            assert row["mean"] == pytest.approx(sum(values) / len(values))
            assert (row["min"], row["max"]) == (min(values), max(values))
            assert row["imbalance"] == pytest.approx(max(values) / (sum(values) / len(values)) - 1)
    assert spread[("adscale:step",), "busy_ms"]["slowest"] == str(ranks[2])
    _, out, _ = analysis("attribute", *files)
    assert f"[2] {ranks[2]}" in out
    line = next(line for line in out.splitlines() if line.startswith("adscale:step "))
    assert line.split()[-1] == "[2]"
    _, out, _ = analysis("attribute", *files, "--csv", "--top", "1")
    assert len(out.splitlines()) == 4  # the path with the most time, of three profiles


def test_profiles_named_twice(analysis: Analysis, tmp_path: Path) -> None:
    path = generated(tmp_path / "a.sqlite")
    code, _, told = analysis("attribute", path, path)
    assert code == 2
    assert "named twice" in told
    code, _, told = analysis("attribute", path, path, "--run", path, "-o", tmp_path / "x.parquet")
    assert code == 2
    assert "--run" in told


@pytest.mark.fixtures
def test_a_copy_has_all_that_is_read(tmp_path: Path) -> None:
    """Cell by cell, but for the environment of who recorded it."""
    real = FIXTURES / "nsys" / "nsysai_mfu2gpu_2proc_2026.2.1.sqlite"
    copy = sqlite_of(export(real, tmp_path / "p.parquets", "parquet"), tell=lambda _text: None)
    with closing(sqlite3.connect(copy)) as ours, closing(sqlite3.connect(real)) as theirs:
        names = {row[0] for row in ours.execute("SELECT name FROM sqlite_master")}
        assert {"NVTX_EVENTS", "CUPTI_ACTIVITY_KIND_KERNEL", "StringIds"} <= names
        for name in names - {"TARGET_INFO_SYSTEM_ENV"}:
            query = f'SELECT * FROM "{name}"'
            assert ours.execute(query).fetchall() == theirs.execute(query).fetchall(), name
