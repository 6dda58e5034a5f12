"""Counts of a method as the record ``memory.json`` and as a table for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from adscale.devices import DeviceType
from adscale.memory_record import MemoryCount, MemoryRecord, SubmoduleCount
from adscale.methods.checks import Variant, check_countable
from adscale.methods.spec import MethodSpec
from adscale.run_record import SCHEMA_VERSION

from .counting import count_memory

MIB = 2**20
GIGA = 10**9
LISTED = 4
"""Groups of tensors of a peak that are told in words."""
HEAD = (
    "resolution_px", "submodule", "parameters_mib", "buffers_mib", "activations_mib", "peak_mib",
    "kept_mib", "libraries_mib", "gflop",
)  # fmt: skip


def count_report(
    label: str,
    spec: MethodSpec,
    settings: Mapping[str, Any],
    variant: Variant,
    resolutions_px: Iterable[int],
    device_type: DeviceType,
) -> MemoryRecord:
    """Counts a method at several resolutions.

    Args:
        label: the user's name of the method.
        spec: of the method.
        settings: of the method, defaults filled in.
        variant: its precision does not matter here: fp32 and TF32 both occupy four bytes.
        resolutions_px: side lengths of the square image; each is counted once.
        device_type: see ``count_memory``.

    Raises:
        UnsupportedResolutionError: the architecture does not run at one of the resolutions;
            nothing is counted then.
    """
    sides_px = list(dict.fromkeys(resolutions_px))
    for side_px in sides_px:
        check_countable(spec, settings, side_px)
    counts = (
        count_memory(
            spec,
            settings,
            resolution_px=side_px,
            implementation=variant.implementation,
            device_type=device_type,
        )
        for side_px in sides_px
    )
    return MemoryRecord(
        schema_version=SCHEMA_VERSION,
        method=label,
        target=spec.target,
        settings=settings,
        variant=str(variant),
        device_type=device_type,
        resolutions=tuple(counts),
    )


def format_table(report: MemoryRecord) -> str:
    """The report as lines of text: by resolution and submodule, and what decides the peak."""
    rows: list[tuple[str, ...]] = [HEAD]
    for count in report.resolutions:
        side_px = str(count.resolution_px)
        rows += [_row(side_px, part.submodule, [part]) for part in count.submodules]
        rows.append(_row(side_px, "method", count.submodules))
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    head = (
        f"{report.method} ({report.target}), {report.variant}, batch 1, counted for "
        f"{report.device_type}"
    )
    notes = [line for count in report.resolutions for line in _peak_words(count)]
    listed = "; ".join(report.resolutions[0].not_counted)
    return "\n".join(
        [head, *(_align(row, widths) for row in rows), "", *notes, f"not counted: {listed}"]
    )


def _peak_words(count: MemoryCount) -> list[str]:
    """What the device must hold, and what the largest peak consists of."""
    part = count.largest_peak
    peak = part.peak
    where = f"{part.submodule}, {peak.operator}"
    if peak.layer:
        where += f" in {peak.layer}"
    groups = ", ".join(
        f"{group.tensors} x {group.operator}"
        f"{' of ' + group.layer if group.layer else ''} {_mib(group.bytes)}"
        for group in peak.alive[:LISTED]
    )
    words = (
        f"{count.resolution_px} px: needs {_mib(count.needed_bytes)} MiB; peak {_mib(peak.bytes)} "
        f"MiB in {where}"
    )
    more = " ..." if len(peak.alive) > LISTED else ""
    return [words, f"  alive in MiB: {groups}{more}"] if groups else [words]


def warnings_of(report: MemoryRecord) -> list[str]:
    """A line for each resolution of which something is not in the count."""
    return [
        f"warning: {report.method} at {count.resolution_px} px: {count.incomplete}"
        for count in report.resolutions
        if count.incomplete is not None
    ]


def _row(side_px: str, name: str, parts: Sequence[SubmoduleCount]) -> tuple[str, ...]:
    """Sums over one submodule or over all of them, but of peaks the largest."""
    largest = max((part.peak for part in parts), key=lambda peak: peak.bytes)
    return (
        side_px,
        name,
        _mib(sum(part.parameters_bytes for part in parts)),
        _mib(sum(part.buffers_bytes for part in parts)),
        _mib(sum(part.activations_bytes for part in parts)),
        _mib(largest.bytes),
        _mib(largest.kept_bytes),
        _mib(sum(part.library_bytes for part in parts)),
        f"{sum(part.flops for part in parts) / GIGA:,.2f}",
    )


def _mib(size_bytes: int) -> str:
    text = f"{size_bytes / MIB:,.2f}"
    return "<0.01" if text == "0.00" and size_bytes else text


def _align(row: Sequence[str], widths: Sequence[int]) -> str:
    texts = [
        text.ljust(width) if column == 1 else text.rjust(width)
        for column, (text, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(texts).rstrip()
