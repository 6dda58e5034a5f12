from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from adscale.errors import CollectorError
from profiling.collectors.nsys import (
    export_command,
    find_nsys,
    nsys_version,
    profile_command,
    profile_environment,
)
from tests.no_locks import NEEDS_COMPILER, without_locks


def program(path: Path, body: str = "exit 0") -> Path:
    """An executable script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A root folder without nsys, and an environment that does not name one."""
    monkeypatch.delenv("ADSCALE_NSYS", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "no-programs"))
    return tmp_path / "root"


def test_configured_then_environment_then_path_then_usual_places(
    nowhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_nsys(None, nowhere) is None
    usual = program(nowhere / "usr/local/cuda-12.4/bin/nsys")
    assert find_nsys(None, nowhere) == usual
    on_path = program(tmp_path / "no-programs" / "nsys")
    assert find_nsys(None, nowhere) == on_path
    from_environment = program(tmp_path / "mine")
    monkeypatch.setenv("ADSCALE_NSYS", str(from_environment))
    assert find_nsys(None, nowhere) == from_environment
    configured = program(tmp_path / "configured")
    assert find_nsys(str(configured), nowhere) == configured


def test_the_newest_of_the_usual_places_wins(nowhere: Path) -> None:
    program(nowhere / "opt/nvidia/nsight-systems/2023.4.4/bin/nsys")
    program(nowhere / "usr/local/cuda-13.0/bin/nsys")
    newest = program(nowhere / "opt/nvidia/nsight-systems-cli/2024.10.1/bin/nsys")
    program(nowhere / "opt/nvidia/nsight-systems/2024.9.2/bin/nsys")
    (nowhere / "opt/nvidia/nsight-systems/2099.1.1/bin").mkdir(parents=True)  # without a program
    assert find_nsys(None, nowhere) == newest


def test_the_home_folder_may_be_short(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(nowhere))
    configured = program(nowhere / "nsys")
    assert find_nsys("~/nsys", nowhere) == configured


@pytest.mark.parametrize("from_environment", [False, True])
def test_a_named_path_that_is_wrong_is_an_error(
    nowhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, from_environment: bool
) -> None:
    program(nowhere / "usr/local/cuda/bin/nsys")  # is not taken in its place
    plain = tmp_path / "plain"
    plain.write_text("no program")
    plain.chmod(0o644)
    for path, what in ((tmp_path / "absent", "no such file"), (plain, "not executable")):
        if from_environment:
            monkeypatch.setenv("ADSCALE_NSYS", str(path))
        with pytest.raises(CollectorError, match=what) as error:
            find_nsys(None if from_environment else str(path), nowhere)
        assert str(path) in str(error.value)
        assert ("ADSCALE_NSYS" in str(error.value)) == from_environment


@pytest.mark.nsys
def test_version_of_the_real_one(nsys: Path) -> None:
    assert int(nsys_version(nsys).split(".")[0]) >= 2020


@pytest.mark.parametrize("body", ["exit 1", "echo no numbers", "echo 2023.4.4; exit 1"])
def test_a_program_that_names_no_version_is_an_error(tmp_path: Path, body: str) -> None:
    broken = program(tmp_path / "nsys", body)
    with pytest.raises(CollectorError, match="named no version"):
        nsys_version(broken)


def test_a_file_that_is_no_program_is_an_error(tmp_path: Path) -> None:
    broken = tmp_path / "nsys"
    broken.write_bytes(b"\0\1\2")
    broken.chmod(0o755)
    with pytest.raises(CollectorError, match="does not run"):
        nsys_version(broken)


def test_the_gpu_is_traced_only_where_there_is_one() -> None:
    command = ["python", "-m", "x", "--flag"]
    for trace_cuda, traced in ((True, "--trace=cuda,nvtx"), (False, "--trace=nvtx")):
        line = profile_command(Path("nsys"), Path("a.nsys-rep"), trace_cuda, command)
        assert line[:2] == ["nsys", "profile"]
        assert traced in line
        assert line[-4:] == command


def test_kernels_of_a_graph_are_traced_one_by_one_where_that_is_asked_for() -> None:
    lines = [
        profile_command(Path("nsys"), Path("a"), True, ["true"], graph_nodes=nodes)
        for nodes in (False, True)
    ]
    assert set(lines[1]) - set(lines[0]) == {"--cuda-graph-trace=node"}
    assert lines[1][:2] == ["nsys", "profile"]


def test_a_percent_sign_in_the_path_is_not_a_placeholder() -> None:
    line = profile_command(Path("nsys"), Path("50%p/a.nsys-rep"), False, ["true"])
    assert "--output=50%%p/a.nsys-rep" in line


def test_the_environment_is_the_base_with_another_temporary_folder(tmp_path: Path) -> None:
    base = {"A": "1", "TMPDIR": "/elsewhere"}
    assert profile_environment(tmp_path, base) == {"A": "1", "TMPDIR": str(tmp_path)}
    assert base["TMPDIR"] == "/elsewhere"
    assert "PATH" in profile_environment(tmp_path)


def test_export_overwrites() -> None:
    line = export_command(Path("nsys"), Path("a.nsys-rep"), Path("a.sqlite"))
    assert line[:2] == ["nsys", "export"]
    assert "--force-overwrite=true" in line
    assert line[-2:] == ["--output=a.sqlite", "a.nsys-rep"]


EXPORT = """
import sys
from pathlib import Path
from profiling.collectors.nsys import export_report
export_report(*map(Path, sys.argv[1:]))
"""


@NEEDS_COMPILER
def test_an_export_keeps_no_environment_also_where_a_file_system_has_no_locks(
    tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    """SQLite refuses to write there, and what it would overwrite is somebody's password."""
    made, output = tmp_path / "of nsys", tmp_path / "a #1?.sqlite"
    with closing(sqlite3.connect(made)) as database, database:
        database.execute("CREATE TABLE StringIds (id INTEGER PRIMARY KEY, value TEXT)")
        values = [("HOME=/\0PASSWORD=hunter2\0",), ("image",)]
        database.executemany("INSERT INTO StringIds (value) VALUES (?)", values)
    nsys = program(tmp_path / "nsys", f"cp '{made}' '{output}'")
    subprocess.run(
        [sys.executable, "-c", EXPORT, str(nsys), str(tmp_path / "report"), str(output)],
        env={**checkout_environment, **without_locks(tmp_path)}, check=True,
    )  # fmt: skip
    assert b"hunter2" not in output.read_bytes()
    with closing(sqlite3.connect(output)) as database:
        found = database.execute("SELECT value FROM StringIds").fetchall()
    assert found == [("",), ("image",)]
