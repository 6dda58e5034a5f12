"""Limits on memory, as Linux tells them in files; the files here are written by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from profiling.memory_limits import available_host_bytes, total_host_bytes

GIB = 2**30
UNLIMITED_V1 = 0x7FFFFFFFFFFFF000


@pytest.fixture
def machine(tmp_path: Path) -> tuple[Path, Path]:
    """``/proc`` and ``/sys/fs/cgroup`` of a machine of 64 GiB, half of it free, without limits."""
    proc, cgroup = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    cgroup.mkdir()
    meminfo = f"MemTotal: {64 * 2**20} kB\nMemFree: 1 kB\nMemAvailable: {32 * 2**20} kB\n"
    (proc / "meminfo").write_text(f"{meminfo}HugePages_Total: 0\n")
    (proc / "self" / "cgroup").write_text("0::/\n")
    return proc, cgroup


def write_group(folder: Path, *, limit: str, used: int, cache: int, version: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    one = version == 1
    (folder / ("memory.limit_in_bytes" if one else "memory.max")).write_text(f"{limit}\n")
    (folder / ("memory.usage_in_bytes" if one else "memory.current")).write_text(f"{used}\n")
    name = "total_inactive_file" if one else "inactive_file"
    (folder / "memory.stat").write_text(f"anon 1\n{name} {cache}\n")


def test_without_limits_the_machine_is_the_limit(machine: tuple[Path, Path]) -> None:
    assert total_host_bytes(*machine) == 64 * GIB
    assert available_host_bytes(*machine) == 32 * GIB


def test_a_group_of_version_2_around_the_own_one_limits(machine: tuple[Path, Path]) -> None:
    proc, cgroup = machine
    (proc / "self" / "cgroup").write_text("0::/user/job\n")
    write_group(cgroup / "user", limit=str(8 * GIB), used=3 * GIB, cache=GIB, version=2)
    write_group(cgroup / "user" / "job", limit="max", used=GIB, cache=0, version=2)
    assert total_host_bytes(proc, cgroup) == 8 * GIB
    assert available_host_bytes(proc, cgroup) == 6 * GIB  # file cache can be given up


def test_a_group_of_version_1_limits(machine: tuple[Path, Path]) -> None:
    proc, cgroup = machine
    (proc / "self" / "cgroup").write_text("4:cpuset,memory:/slurm/job\n3:pids:/x\n0::/\n")
    memory = cgroup / "memory"
    write_group(memory, limit=str(UNLIMITED_V1), used=9 * GIB, cache=0, version=1)
    write_group(memory / "slurm" / "job", limit=str(4 * GIB), used=GIB, cache=0, version=1)
    assert total_host_bytes(proc, cgroup) == 4 * GIB
    assert available_host_bytes(proc, cgroup) == 3 * GIB


def test_groups_that_a_container_does_not_show_are_passed_over(machine: tuple[Path, Path]) -> None:
    proc, cgroup = machine
    (proc / "self" / "cgroup").write_text("0::/outside/job\n")
    assert total_host_bytes(proc, cgroup) == 64 * GIB
    (proc / "self" / "cgroup").unlink()
    assert total_host_bytes(proc, cgroup) == 64 * GIB


def test_a_limit_on_the_address_space_counts(checkout_environment: dict[str, str]) -> None:
    code = (
        "from profiling.memory_limits import available_host_bytes, total_host_bytes\n"
        "print(total_host_bytes(), available_host_bytes())"
    )
    limited = f"ulimit -v {2**20}; exec {sys.executable} -c '{code}'"
    done = subprocess.run(
        ["sh", "-c", limited], env=checkout_environment, capture_output=True, text=True, check=True
    )
    total, available = map(int, done.stdout.split())
    assert total == GIB
    assert 0 < available < GIB


def test_this_machine_has_what_it_says() -> None:
    assert 0 < available_host_bytes() <= total_host_bytes()
