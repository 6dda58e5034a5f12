"""What a capture has lost or left open, and what exports of other makers lack or name otherwise."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from adscale.errors import ProfileError
from analysis.nsys.reading import read_profile
from analysis.profiles.work import MOST_OPEN
from tests.analysis.reference import PUSH_POP, TABLES, Call, Events, Operation, Range
from tests.gpu_profiles import MAIN_THREAD, GpuRun, ProfileWriter, record, write_run_json
from tests.no_locks import NEEDS_COMPILER, without_locks

Analysis = Callable[..., tuple[int, str, str]]
RUN = GpuRun("M", 256, ("teacher",), lambda name, image: 4000, "d", "reference-fp32", 1, 2)
PROCESS = 1 << 24
THREAD = PROCESS | 1
LOST = "Not all NVTX events might have been collected."


def change(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(";".join(statements))
    return path


def small(path: Path) -> Path:
    """A range with a kernel and a copy."""
    operations = [
        Operation(kind, PROCESS, 20, 30, 1, 0, 7, "gemm", None) for kind in ("kernels", "copies")
    ]
    ranges = [Range(THREAD, 0, 100, PUSH_POP, "a", 1, True, False)]
    return Events(ranges, [Call(THREAD, 10, 12, 1)], operations).write(path)


def document(analysis: Analysis, path: Path, *options: str) -> dict[str, Any]:
    code, out, err = analysis("attribute", path, "--json", *options)
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


# Ranges that were never closed

DETAILS = "CREATE TABLE ANALYSIS_DETAILS (globalVid INTEGER, duration INTEGER)"


@pytest.mark.parametrize(("shift", "end", "are_open"), [(0, 500, 2), (10**18, 500, 2), (0, 499, 0)])
def test_ranges_that_end_with_the_capture_were_never_closed(
    tmp_path: Path, shift: int, end: int, are_open: int
) -> None:
    """There nsys 2023.4.4 closes them; `export --ts-shift` moves them and not the duration."""
    path = Events().write(tmp_path / "p.sqlite")
    rows = [(0, end), (5, end), (10, 490), (20, 30)]
    change(
        path, DETAILS, "INSERT INTO ANALYSIS_DETAILS VALUES (1, 500)",
        "CREATE TABLE IF NOT EXISTS META_DATA_EXPORT (name TEXT, value TEXT)",
        f"INSERT INTO META_DATA_EXPORT VALUES ('EXPORT_CONFIG_TIME_SHIFT', '{shift}')",
        *(
            "INSERT INTO NVTX_EVENTS (start, end, eventType, globalTid, text) "
            f"VALUES ({first + shift}, {last + shift}, 59, {THREAD}, 'a')"
            for first, last in rows
        ),
    )  # fmt: skip
    profile = read_profile(path)
    assert profile.ranges.is_open.tolist() == [are_open > 0, are_open > 0, False, False]
    assert profile.ranges.end_ns[0] == end + shift


def all_outputs(analysis: Analysis, path: Path) -> list[str]:
    """What a reader of each output can see: it, its metadata, and standard error."""
    seen = []
    for options in ([], ["--kernels"], ["--csv"], ["--json"]):
        code, out, err = analysis("attribute", path, *options)
        assert code == 0
        seen.append(out + err)
    for ending in ("csv", "json", "parquet"):
        output = path.with_name(f"table.{ending}")
        code, out, err = analysis("attribute", path, "-o", output)
        assert (code, out) == (0, "")
        seen.append(err)
    coverage = json.loads(pq.read_schema(output).metadata[b"coverage"])
    return [*seen, " ".join(coverage["warnings"])]


def open_writer() -> ProfileWriter:
    writer = record(RUN)
    writer.rows["NVTX_EVENTS"][-1]["end"] = None  # `measure`
    return writer


def lossy_writer() -> ProfileWriter:
    writer = record(RUN)
    writer.string_id(LOST)
    return writer


@pytest.mark.parametrize(
    ("make", "said"),
    [(open_writer, "1 ranges were never closed"), (lossy_writer, "not all NVTX events")],
)
def test_open_and_lost_ranges_are_told_in_every_output_and_a_run_is_refused(
    analysis: Analysis, tmp_path: Path, make: Callable[[], ProfileWriter], said: str
) -> None:
    path = tmp_path / "p.sqlite"
    make().write(path)
    assert all(said in seen for seen in all_outputs(analysis, path))
    write_run_json(tmp_path / "run.json", RUN)
    output = tmp_path / "ranges.parquet"
    code, out, err = analysis("attribute", path, "--run", tmp_path / "run.json", "-o", output)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said.replace("1 ranges", "1 ranges of this run").replace("NVTX events", "NVTX events of"
        ) in err  # fmt: skip
    assert not output.exists()


def test_lost_events_of_other_kinds_and_in_the_table_of_diagnostics(
    analysis: Analysis, tmp_path: Path
) -> None:
    path = small(tmp_path / "p.sqlite")
    change(
        path, "CREATE TABLE DIAGNOSTIC_EVENT (timestamp INTEGER, text TEXT)",
        f"INSERT INTO DIAGNOSTIC_EVENT VALUES (1, '{LOST.replace('NVTX', 'CUDA')}'), (2, '{LOST}')",
    )  # fmt: skip
    coverage = document(analysis, path)["coverage"]
    assert coverage["lost_events"] == ["CUDA", "NVTX"]
    assert "not all CUDA and NVTX events" in coverage["warnings"][0]


def leaking(count: int, name: Callable[[int], str], end: int | None) -> ProfileWriter:
    """Ranges that are opened and never closed, in each of them a closed one with a kernel."""
    writer = ProfileWriter()
    for number in range(count):
        writer.cpu_ns += 100
        writer.add(
            "NVTX_EVENTS", start=writer.cpu_ns, end=end, eventType=PUSH_POP, domainId=0,
            globalTid=MAIN_THREAD, textId=writer.string_id(name(number)),
        )  # fmt: skip
        with writer.range("step"):
            writer.kernel("gemm", 10**9 + 100 * number, 50)
    return writer


@pytest.mark.parametrize(
    "name", [lambda n: "request", lambda n: f"request {n}", lambda n: "ab"[n % 2]]
)
@pytest.mark.parametrize(("end", "is_told"), [(None, True), (10**12, True), (10**12, False)])
def test_ranges_that_are_never_popped_do_not_give_each_later_one_a_path_of_its_own(
    analysis: Analysis, tmp_path: Path, name: Callable[[int], str], end: int | None, is_told: bool
) -> None:
    path = tmp_path / "p.sqlite"
    leaking(3000, name, end).write(path)
    if is_told:  # when the capture ended
        change(path, DETAILS, f"INSERT INTO ANALYSIS_DETAILS VALUES (1, {10**12 - 7})")
    found = document(analysis, path, "--kernels")
    assert [row["path"] for row in found["ranges"]] == [["adscale:step"]]
    assert (found["ranges"][0]["calls"], found["ranges"][0]["kernels"]) == (3000, 3000)
    coverage = found["coverage"]
    assert (coverage["open_ranges"], coverage["open_ranges_left_out"]) == (3000, 3000)
    assert coverage["share"] == 1.0
    named = {one["range"]: one["ranges"] for one in coverage["left_open"]}
    assert named == Counter(map(name, range(3000)))
    assert len({one["thread"] for one in coverage["left_open"]}) == 1
    _, out, _ = analysis("attribute", path)
    assert "3000 ranges were never closed" in out


def test_a_profile_that_was_cut_off_keeps_its_outer_ranges(
    analysis: Analysis, tmp_path: Path
) -> None:
    path = tmp_path / "p.sqlite"
    leaking(MOST_OPEN, lambda n: f"level {n}", None).write(path)
    paths = [row["path"] for row in document(analysis, path)["ranges"]]
    assert paths[-1] == [*(f"level {n}" for n in range(MOST_OPEN)), "adscale:step"]


LEFT_OPEN = """
import nvtx
nvtx.push_range("train")
for _ in range(100):
    with nvtx.annotate("step"):
        pass
"""


@pytest.mark.nsys
@pytest.mark.parametrize(
    ("program", "still_open", "lost"),
    [(LEFT_OPEN, 1, []), (f"{LEFT_OPEN}\nimport os\nos._exit(0)", None, ["NVTX"])],
)
def test_what_nsys_itself_makes_of_them(
    analysis: Analysis, nsys: Path, tmp_path: Path, program: str, still_open: int | None,
    lost: list[str],
) -> None:  # fmt: skip
    report, sqlite = tmp_path / "p.nsys-rep", tmp_path / "p.sqlite"
    python = [sys.executable, "-c", program]
    options = ["-t", "nvtx", "--sample=none", "--cpuctxsw=none", "-f", "true", "-o", str(report)]
    subprocess.run([str(nsys), "profile", *options, *python], check=True, capture_output=True)
    export = ["--type", "sqlite", "-o", str(sqlite), str(report)]
    subprocess.run([str(nsys), "export", *export], check=True, capture_output=True)
    coverage = document(analysis, sqlite)["coverage"]
    assert (coverage["lost_events"], coverage["cuda"]) == (lost, "not traced")
    assert still_open in (None, coverage["open_ranges"])
    assert coverage["warnings"]


# Kernels that are not there

TRACED = (
    "CREATE TABLE META_DATA_CAPTURE (name TEXT, value TEXT)",
    "INSERT INTO META_DATA_CAPTURE VALUES ('PROCESS_0:COLLECT_CUDA_TRACE', '{}')",
)
DROPPED = [f"DROP TABLE {table}" for table in TABLES.values()]
NO_NAMES = "ALTER TABLE CUPTI_ACTIVITY_KIND_RUNTIME DROP COLUMN nameId"
NO_CALLS = "DELETE FROM CUPTI_ACTIVITY_KIND_RUNTIME"


@pytest.mark.parametrize(
    ("statements", "state", "kernels", "said"),
    [
        ([], "no kernels", 0, "CUDA was traced, and no kernel was launched."),
        (
            ["UPDATE StringIds SET value = 'cudaLaunchKernel_v7000' WHERE id = 1"],
            "lost", None, "1 launches of kernels were recorded, but no kernel",
        ),
        ([NO_CALLS], "unknown", None, "holds no table of kernels: GPU times are unknown"),
        ([NO_CALLS, TRACED[0], TRACED[1].format("false")], "not traced", None, "was not traced"),
        (
            [NO_CALLS, TRACED[0], TRACED[1].format("true")],
            "no calls", None, "CUDA was traced, but none of its calls was recorded",
        ),
        ([NO_NAMES], "unknown", None, "GPU times are unknown"),
    ],
)  # fmt: skip
def test_no_kernels_is_zero_only_where_they_would_have_been_recorded(
    analysis: Analysis, tmp_path: Path, statements: list[str], state: str, kernels: int | None,
    said: str,
) -> None:  # fmt: skip
    path = small(tmp_path / "p.sqlite")
    change(path, "INSERT INTO StringIds VALUES (1, 'cudaMalloc')", *DROPPED, *statements)
    found = document(analysis, path)
    assert (found["coverage"]["cuda"], found["ranges"][0]["kernels"]) == (state, kernels)
    _, out, _ = analysis("attribute", path)
    assert said in out


def test_migrations_of_unified_memory_are_no_lost_copies(
    analysis: Analysis, tmp_path: Path
) -> None:
    path = small(tmp_path / "p.sqlite")
    table = TABLES["copies"]
    change(
        path,
        *(f"INSERT INTO {table} (start, end, deviceId, contextId, streamId, bytes, copyKind) "
          f"VALUES (40, 47, 0, 1, 7, 1, {kind})" for kind in (11, 12, 13)),
    )  # fmt: skip
    coverage = document(analysis, path)["coverage"]
    assert coverage["migrations"] == {"count": 3, "sum_ns": 21}
    assert (coverage["copies"]["count"], coverage["copies"]["without_launch"]) == (1, 0)
    _, out, _ = analysis("attribute", path)
    assert "3 copies were migrations of unified memory" in out


# Exports of other versions and makers


@pytest.mark.parametrize("suffix", ["_V2", "_v17"])
@pytest.mark.parametrize(
    "table", ["NVTX_EVENTS", "StringIds", "CUPTI_ACTIVITY_KIND_RUNTIME", *TABLES.values()]
)
def test_a_table_with_a_version_behind_its_name_is_read(
    analysis: Analysis, tmp_path: Path, table: str, suffix: str
) -> None:
    path = small(tmp_path / "p.sqlite")
    expected = document(analysis, path, "--kernels")
    change(path, f"ALTER TABLE {table} RENAME TO {table}{suffix}")
    assert document(analysis, path, "--kernels") == expected
    change(path, f"CREATE TABLE {table} AS SELECT * FROM {table}{suffix} WHERE 0")
    assert document(analysis, path, "--kernels") == expected


@pytest.mark.parametrize("table", ["NVTX_EVENTS", "CUPTI_ACTIVITY_KIND_KERNEL"])
def test_a_table_that_is_unknown_or_there_twice_is_named(
    analysis: Analysis, tmp_path: Path, table: str
) -> None:
    path = small(tmp_path / "p.sqlite")
    change(path, f"CREATE TABLE {table}_V2 AS SELECT * FROM {table}")
    code, out, err = analysis("attribute", path)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"the tables {table}_V2 and {table}, and each has rows" in err
    change(path, f"DROP TABLE {table}_V2", f"ALTER TABLE {table} RENAME TO {table}_EXTENDED")
    code, out, err = analysis("attribute", path)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"the table {table}_EXTENDED is unknown" in err


def test_copies_between_peers_are_no_version_of_copies(analysis: Analysis, tmp_path: Path) -> None:
    path = small(tmp_path / "p.sqlite")
    change(path, f"ALTER TABLE {TABLES['copies']} RENAME TO {TABLES['copies']}2")
    assert document(analysis, path)["ranges"][0]["copies"] == 0


@pytest.mark.parametrize(
    "statements", ["ALTER TABLE {} DROP COLUMN globalPid", "UPDATE {} SET globalPid = NULL"]
)
def test_without_processes_launches_are_found_in_the_only_one(
    analysis: Analysis, tmp_path: Path, statements: str
) -> None:
    path = small(tmp_path / "p.sqlite")
    expected = document(analysis, path)
    change(path, *(statements.format(TABLES[kind]) for kind in ("kernels", "copies")))
    assert document(analysis, path) == expected


def test_without_processes_several_are_refused(tmp_path: Path) -> None:
    path = small(tmp_path / "p.sqlite")
    change(
        path, "ALTER TABLE CUPTI_ACTIVITY_KIND_KERNEL DROP COLUMN globalPid",
        f"INSERT INTO CUPTI_ACTIVITY_KIND_RUNTIME VALUES (1, 2, 0, {2 << 24}, 1, 1, 0, NULL)",
    )  # fmt: skip
    with pytest.raises(ProfileError, match="no column globalPid, and several processes"):
        read_profile(path)


def test_one_kernel_name_with_two_ids_is_one_row(analysis: Analysis, tmp_path: Path) -> None:
    path = small(tmp_path / "p.sqlite")
    kernels = TABLES["kernels"]
    change(
        path, "INSERT INTO StringIds SELECT 99, value FROM StringIds WHERE value = 'gemm'",
        f"CREATE TEMP TABLE more AS SELECT * FROM {kernels}", "UPDATE more SET demangledName = 99",
        f"INSERT INTO {kernels} SELECT * FROM more",
    )  # fmt: skip
    (row,) = document(analysis, path, "--kernels")["kernels"]
    assert (row["kernel"], row["kernels"], row["share"]) == ("gemm", 2, 1.0)


@NEEDS_COMPILER
@pytest.mark.parametrize("problem", ["ENOSYS", "ENOLCK"])
def test_a_file_system_without_locks(tmp_path: Path, problem: str) -> None:
    path = small(tmp_path / "p.sqlite")
    command = [sys.executable, "-m", "analysis", "attribute", str(path)]
    without = without_locks(tmp_path, problem)
    done = subprocess.run(command, env=without, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 of 1 kernels were launched inside ranges" in done.stdout
    path.with_name("p.sqlite-wal").write_text("of a program that writes")
    done = subprocess.run(command, env=without, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "the file system has no locks" in done.stderr
