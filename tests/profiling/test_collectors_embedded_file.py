"""The written file: against real exports, and against what nsys itself makes of it."""

from __future__ import annotations

import csv
import sqlite3
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from adscale.errors import CollectorError
from profiling.collectors.embedded import EmbeddedCollector, schema
from profiling.collectors.embedded.collector import write_export
from profiling.collectors.embedded.events import Recording
from profiling.collectors.embedded.tables import convert
from profiling.collectors.nsys import export_command, nsys_version, run_profiled
from tests.conftest import CHECKOUT, FIXTURES
from tests.profiling.recordings import GEMM, RELU, cpu_only, two_images

ColumnInfo = tuple[str, str, int, int]


def definitions(sqlite: Path) -> dict[str, list[ColumnInfo]]:
    """Name, type, NOT NULL and primary key of every column, by table."""
    with closing(sqlite3.connect(f"{sqlite.as_uri()}?mode=ro&immutable=1", uri=True)) as database:
        names = [
            name
            for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        return {
            name: [
                (column, kind, not_null, key)
                for _, column, kind, not_null, _, key in database.execute(
                    f"PRAGMA table_info({name})"
                )
            ]
            for name in names
        }


def rows(sqlite: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"{sqlite.as_uri()}?mode=ro&immutable=1", uri=True)) as database:
        return database.execute(query).fetchall()


def written(path: Path, recording: Recording) -> Path:
    write_export(path, convert(recording).tables)
    return path


@pytest.fixture(scope="module")
def real_export(nsys: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What nsys itself exports of a program with ranges."""
    if not nsys_version(nsys).startswith("2023.4.4"):
        pytest.skip(f"schema {schema.SCHEMA_VERSION} is that of nsys 2023.4.4, not of this one")
    folder = tmp_path_factory.mktemp("real")
    program = "import nvtx\nwith nvtx.annotate('image', domain='adscale'): pass"
    report, sqlite = folder / "profile.nsys-rep", folder / "profile.sqlite"
    assert run_profiled(nsys, report, [sys.executable, "-c", program], trace_cuda=False) == 0
    subprocess.run(export_command(nsys, report, sqlite), check=True, capture_output=True)
    return sqlite


def fixtures_of_our_schema() -> Iterator[Path]:
    query = "SELECT value FROM META_DATA_EXPORT WHERE name = 'EXPORT_SCHEMA_VERSION'"
    for path in sorted((FIXTURES / "nsys").glob("*.sqlite")):
        if "META_DATA_EXPORT" in definitions(path) and rows(path, query) == [
            (schema.SCHEMA_VERSION,)
        ]:
            yield path


@pytest.mark.nsys
def test_the_tables_of_a_cpu_run_are_those_of_nsys(real_export: Path, tmp_path: Path) -> None:
    ours = definitions(written(tmp_path / "ours.sqlite", cpu_only()))
    theirs = definitions(real_export)
    assert ours == {name: theirs[name] for name in ours}
    assert {"NVTX_EVENTS", "StringIds", "PROCESSES", "ThreadNames"} <= ours.keys()


@pytest.mark.nsys
def test_the_labels_are_those_of_nsys(real_export: Path, tmp_path: Path) -> None:
    ours = written(tmp_path / "ours.sqlite", cpu_only())
    for table in schema.ENUMS:
        query = f"SELECT id, name, label FROM {table.name}"
        assert rows(ours, query)
        assert set(rows(ours, query)) <= set(rows(real_export, query)), table.name


@pytest.mark.fixtures
def test_the_tables_of_a_gpu_run_are_those_of_nsys(tmp_path: Path) -> None:
    ours = definitions(written(tmp_path / "ours.sqlite", two_images()))
    compared = set()
    for path in fixtures_of_our_schema():
        theirs = definitions(path)
        for name in ours.keys() & theirs.keys():
            assert ours[name] == theirs[name], (name, path.name)
            compared.add(name)
    kinds = ("KERNEL", "RUNTIME", "MEMCPY", "MEMSET")
    assert {f"CUPTI_ACTIVITY_KIND_{kind}" for kind in kinds} <= compared
    assert {"TARGET_INFO_GPU", "NVTX_EVENTS", "StringIds"} <= compared


def test_what_is_read_back_is_what_was_converted(tmp_path: Path) -> None:
    recording = two_images()
    sqlite = written(tmp_path / "ours.sqlite", recording)
    tables = convert(recording).tables
    assert len(tables) > 10
    for table, columns, expected in tables:
        found = rows(sqlite, f"SELECT {', '.join(columns)} FROM {table.name} ORDER BY rowid")
        assert found == expected, table.name


def stats(nsys: Path, sqlite: Path, report: str) -> list[dict[str, str]]:
    """Rows of a report of `nsys stats`, which exits 0 whatever happens."""
    command = [str(nsys), "stats", "--report", report, "--format", "csv", str(sqlite)]
    done = subprocess.run(command, capture_output=True, text=True)
    printed = done.stdout + done.stderr
    assert "ERROR" not in printed, printed
    assert "SKIPPED" not in printed, printed
    lines = done.stdout.splitlines()
    header = next(number for number, line in enumerate(lines) if line.count(",") > 4)
    return list(csv.DictReader(line for line in lines[header:] if line))


@pytest.mark.nsys
def test_nsys_sums_the_ranges_of_a_cpu_run(nsys: Path, tmp_path: Path) -> None:
    sqlite = written(tmp_path / "ours.sqlite", cpu_only())
    report = {row["Range"]: row for row in stats(nsys, sqlite, "nvtx_sum")}
    assert report.keys() == {"adscale:image", "adscale:teacher", "adscale:student"}
    for name, duration_ns in (("image", 450), ("teacher", 100), ("student", 200)):
        row = report[f"adscale:{name}"]
        assert row["Instances"] == "2"
        assert row["Total Time (ns)"] == str(2 * duration_ns)
        assert row["Style"] == "PushPop"


@pytest.mark.nsys
def test_nsys_projects_the_ranges_of_a_gpu_run(nsys: Path, tmp_path: Path) -> None:
    sqlite = written(tmp_path / "ours.sqlite", two_images())
    report = {row["Range"]: row for row in stats(nsys, sqlite, "nvtx_gpu_proj_sum")}
    # first start to last end of what each range launched, for both images
    expected = {
        "adscale:teacher": ([1900 - 1000, 1901 - 1000], 4),
        "adscale:student": ([2650 - 2000] * 2, 6),
        "adscale:image": ([2650 - 1000] * 2, 10),
    }
    assert report.keys() == expected.keys()
    for name, (spans_ns, operations) in expected.items():
        row = report[name]
        assert row["Total Proj Time (ns)"] == str(sum(spans_ns))
        assert float(row["Proj Avg (ns)"]) == statistics.mean(spans_ns)
        assert (row["Range Instances"], row["Total GPU Ops"]) == ("2", str(operations))


@pytest.mark.nsys
def test_nsys_sums_the_kernels_of_a_gpu_run(nsys: Path, tmp_path: Path) -> None:
    sqlite = written(tmp_path / "ours.sqlite", two_images())
    report = {row["Name"]: row for row in stats(nsys, sqlite, "cuda_gpu_kern_sum")}
    # with the kernel of the other thread (5 ns) and the orphan (11 ns)
    expected = {GEMM: (700 + 700 + 5 + 11, 4), RELU: (700 + 701 + 300 + 300, 4)}
    found = {
        name: (int(row["Total Time (ns)"]), int(row["Instances"])) for name, row in report.items()
    }
    assert found == expected


@pytest.mark.nsys
def test_nsys_names_copies_and_calls_of_a_gpu_run(nsys: Path, tmp_path: Path) -> None:
    sqlite = written(tmp_path / "ours.sqlite", two_images())
    memory = {row["Operation"]: row for row in stats(nsys, sqlite, "cuda_gpu_mem_time_sum")}
    totals = {name: row["Total Time (ns)"] for name, row in memory.items()}
    assert totals == {"[CUDA memcpy Host-to-Device]": "200", "[CUDA memset]": "100"}
    calls = {row["Name"]: row["Num Calls"] for row in stats(nsys, sqlite, "cuda_api_sum")}
    assert calls == {"cudaLaunchKernel": "7", "cudaMemcpyAsync": "2", "cuMemsetD8Async": "2"}
    trace = stats(nsys, sqlite, "cuda_gpu_trace")
    assert {row["Device"] for row in trace} == {"NVIDIA Test (0)"}
    assert len(trace) == 12


def test_replaces_what_is_there_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "profile.sqlite"
    path.parent.mkdir()
    path.write_text("an old profile")
    written(path, cpu_only())
    assert rows(path, "SELECT count(*) FROM NVTX_EVENTS") == [(7,)]
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(CollectorError, match="cannot be written"):
        written(blocked / "profile.sqlite", cpu_only())


FULL_DISK = """
import resource, sys
from pathlib import Path
from adscale.errors import CollectorError
from tests.profiling.recordings import cpu_only
from tests.profiling.test_collectors_embedded_file import written
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    written(Path(sys.argv[1]), cpu_only())
except CollectorError as error:
    sys.exit(str(error))
"""


def test_a_full_disk_is_an_error_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "profile.sqlite"
    path.write_text("an old profile")
    command = [sys.executable, "-c", FULL_DISK, str(path)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 1
    assert str(path) in done.stderr
    assert "cannot be written" in done.stderr
    assert "make room" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert path.read_text() == "an old profile"
    assert list(tmp_path.iterdir()) == [path]


def test_the_collector_records_and_writes_without_torch(tmp_path: Path) -> None:
    program = """
import sys, threading
from pathlib import Path
from profiling.collectors.embedded import EmbeddedCollector
with EmbeddedCollector("cpu") as collector:
    with collector.annotate("image"), collector.annotate("teacher"):
        pass
    worker = threading.Thread(target=lambda: collector.annotate("image").__enter__())
    worker.start(); worker.join()
summary = collector.write(Path(sys.argv[1]))
assert summary.ranges == 2, summary
assert "torch" not in sys.modules
"""
    sqlite = tmp_path / "profile.sqlite"
    command = [sys.executable, "-c", program, str(sqlite)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    query = """SELECT value, globalTid >> 24 & 16777215, globalTid & 16777215
               FROM NVTX_EVENTS JOIN StringIds ON id = textId ORDER BY NVTX_EVENTS.rowid"""
    (name, pid, tid), (inner, *_) = rows(sqlite, query)
    assert (name, inner, pid) == ("image", "teacher", tid)
    query = "SELECT pid, globalPid >> 24 & 16777215 FROM PROCESSES"
    assert rows(sqlite, query) == [(pid, pid)]


def test_an_exception_inside_is_not_swallowed_and_what_was_recorded_is_kept(tmp_path: Path) -> None:
    collector = EmbeddedCollector("cpu")
    with pytest.raises(ZeroDivisionError), collector, collector.annotate("image"):
        raise ZeroDivisionError
    assert collector.write(tmp_path / "profile.sqlite").ranges == 1


@pytest.mark.gpu
@pytest.mark.nsys
def test_kernels_of_a_real_gpu_lie_in_their_range(nsys: Path, tmp_path: Path) -> None:
    import torch

    with EmbeddedCollector("cuda") as collector:
        matrix = torch.ones(512, 512, device="cuda")
        with collector.annotate("image"), collector.annotate("teacher"):
            for _ in range(5):
                matrix = matrix @ matrix
        torch.cuda.synchronize()
    summary = collector.write(tmp_path / "profile.sqlite")
    assert summary.kernels >= 5
    assert summary.orphans == summary.without_kernel == 0
    report = stats(nsys, tmp_path / "profile.sqlite", "nvtx_gpu_proj_sum")
    operations = {row["Range"]: int(row["Total GPU Ops"]) for row in report}
    assert operations["adscale:image"] == operations["adscale:teacher"] >= 5
