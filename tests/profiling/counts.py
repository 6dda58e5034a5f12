"""Counts of memory, each made once: many tests look at the same one."""

from __future__ import annotations

from functools import cache

from adscale.memory_record import MemoryCount, SubmoduleCount
from adscale.methods.registry import check_settings, get_spec
from adscale.resolution import Resolution, square
from profiling.memory.counting import count_memory


def counted_anew(
    target: str,
    size: int | Resolution,
    /,
    implementation: str = "reference",
    device_type: str = "cpu",
    batch: int = 1,
    **given: object,
) -> MemoryCount:
    """The count of a method with settings."""
    spec = get_spec(target)
    return count_memory(
        spec, check_settings(spec, given),
        resolution=size if isinstance(size, Resolution) else square(size),
        implementation=implementation, batch=batch, device_type=device_type,
    )  # fmt: skip


counted = cache(counted_anew)


def submodules(count: MemoryCount) -> dict[str, SubmoduleCount]:
    return {part.submodule: part for part in count.submodules}
