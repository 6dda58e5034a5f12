"""How large the caches are that have to be overwritten."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from profiling.inference import CacheFlush, last_level_bytes

MIB = 2**20


def describe(folder: Path, cpu: int, caches: list[tuple[int, str, str]]) -> None:
    """Level, size and CPUs that share it, of each cache of a CPU, as Linux has them in /sys."""
    for number, (level, size, shared) in enumerate(caches):
        place = folder / f"cpu{cpu}" / "cache" / f"index{number}"
        place.mkdir(parents=True)
        for name, text in (("level", str(level)), ("size", size), ("shared_cpu_list", shared)):
            (place / name).write_text(f"{text}\n")


def test_a_cache_that_cpus_share_counts_once_and_those_of_other_cpus_not(tmp_path: Path) -> None:
    for cpu, shared in ((0, "0-1"), (1, "0-1"), (2, "2-3"), (3, "2-3")):
        caches = [(1, "32K", str(cpu)), (1, "48K", str(cpu)), (2, "1024K", str(cpu))]
        describe(tmp_path, cpu, [*caches, (3, "32M", shared)])
    assert last_level_bytes([0, 1], tmp_path) == 32 * MIB
    assert last_level_bytes([1, 2], tmp_path) == 64 * MIB


def test_without_a_third_level_the_last_one_counts(tmp_path: Path) -> None:
    for cpu in (0, 1):
        describe(tmp_path, cpu, [(1, "32K", str(cpu)), (2, "512K", str(cpu))])
    assert last_level_bytes([0, 1], tmp_path) == MIB


def test_where_linux_does_not_tell_nothing_is_made_up(tmp_path: Path) -> None:
    assert last_level_bytes([0], tmp_path) is None
    place = tmp_path / "cpu0" / "cache" / "index0"
    place.mkdir(parents=True)
    (place / "level").write_text("3\n")
    assert last_level_bytes([0], tmp_path) is None


def test_every_byte_of_the_buffer_is_written() -> None:
    flush = CacheFlush("cpu")
    known = last_level_bytes(os.sched_getaffinity(0))
    assert len(flush._buffer) == (64 * MIB if known is None else 2 * known)
    before = flush._buffer.clone()
    flush()
    assert torch.all(flush._buffer == before + 1)


@pytest.mark.gpu
def test_on_a_gpu_the_buffer_is_twice_the_second_level() -> None:
    flush = CacheFlush("cuda")
    flush()
    size = torch.cuda.get_device_properties(0).L2_cache_size
    assert size > 0
    assert len(flush._buffer) == 2 * size
