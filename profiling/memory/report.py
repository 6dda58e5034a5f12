"""Counts as ``memory.json`` and as a table for the terminal."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from adscale.files import write_json
from adscale.methods.checks import Variant, check_countable
from adscale.methods.spec import MethodSpec

from .counting import count_memory
from .records import MemoryCount

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
    device_type: str,
) -> dict[str, Any]:
    """Counts a method at several resolutions.

    Args:
        label: the user's name of the method.
        spec: of the method.
        settings: of the method, defaults filled in.
        variant: its precision does not matter here: fp32 and TF32 both occupy four bytes.
        resolutions_px: side lengths of the square image; each is counted once.
        device_type: ``cpu`` or ``cuda``, see ``count_memory``.

    Returns:
        The content of ``memory.json``, see ``workflow/schemas/memory.schema.json``.

    Raises:
        UnsupportedResolutionError: the architecture does not run at one of the resolutions;
            nothing is counted then.
    """
    sides_px = list(dict.fromkeys(resolutions_px))
    for side_px in sides_px:
        check_countable(spec, settings, side_px)
    return {
        "schema_version": 3,
        "method": label,
        "target": spec.target,
        "settings": dict(settings),
        "variant": str(variant),
        "device_type": device_type,
        "resolutions": [
            _entry(
                count_memory(
                    spec,
                    settings,
                    resolution_px=side_px,
                    implementation=variant.implementation,
                    device_type=device_type,
                ),
                spec,
                side_px,
            )
            for side_px in sides_px
        ],
    }


def _entry(count: MemoryCount, spec: MethodSpec, side_px: int) -> dict[str, Any]:
    data = json.loads(json.dumps(dataclasses.asdict(count)))  # lists for tuples, all the way down
    for part in data["submodules"]:
        part["complexity"] = spec.complexity.get(part["submodule"], "unknown")
    return {"resolution_px": side_px, **data, "needed_bytes": count.needed_bytes}


def write_report(path: Path, report: Mapping[str, Any]) -> None:
    """Checks a report against its schema and writes it, whole or not at all.

    Raises:
        OSError: the file cannot be written.
        jsonschema.ValidationError: the report does not fit: a fault of ours.
    """
    write_json(path, report, "memory")


def format_table(report: Mapping[str, Any]) -> str:
    """The report as lines of text: by resolution and submodule, and what decides the peak."""
    rows: list[tuple[str, ...]] = [HEAD]
    for entry in report["resolutions"]:
        side_px, submodules = str(entry["resolution_px"]), entry["submodules"]
        rows += [_row(side_px, part["submodule"], [part]) for part in submodules]
        rows.append(_row(side_px, "method", submodules))
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    head = (
        f"{report['method']} ({report['target']}), {report['variant']}, batch 1, counted for "
        f"{report['device_type']}"
    )
    notes = [line for entry in report["resolutions"] for line in _peak_words(entry)]
    listed = "; ".join(report["resolutions"][0]["not_counted"])
    return "\n".join(
        [head, *(_align(row, widths) for row in rows), "", *notes, f"not counted: {listed}"]
    )


def _peak_words(entry: Mapping[str, Any]) -> list[str]:
    """What the device must hold, and what the largest peak consists of."""
    part = max(entry["submodules"], key=lambda part: part["peak"]["bytes"])
    peak = part["peak"]
    where = f"{part['submodule']}, {peak['operator']}"
    if peak["layer"]:
        where += f" in {peak['layer']}"
    groups = ", ".join(
        f"{group['tensors']} x {group['operator']}"
        f"{' of ' + group['layer'] if group['layer'] else ''} {_mib(group['bytes'])}"
        for group in peak["alive"][:LISTED]
    )
    side_px, needed_mib = entry["resolution_px"], _mib(entry["needed_bytes"])
    words = f"{side_px} px: needs {needed_mib} MiB; peak {_mib(peak['bytes'])} MiB in {where}"
    more = " ..." if len(peak["alive"]) > LISTED else ""
    return [words, f"  alive in MiB: {groups}{more}"] if groups else [words]


def warnings_of(report: Mapping[str, Any]) -> list[str]:
    """A line for each resolution of which something is not in the count."""
    return [
        f"warning: {report['method']} at {entry['resolution_px']} px: {entry['incomplete']}"
        for entry in report["resolutions"]
        if entry["incomplete"] is not None
    ]


def _row(side_px: str, name: str, parts: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Of one submodule, or of all together: sums, but of peaks the largest."""
    largest = max((part["peak"] for part in parts), key=lambda peak: peak["bytes"])
    libraries = sum(one["device_bytes"] for part in parts for one in part["libraries"])
    return (
        side_px,
        name,
        *(
            _mib(sum(part[column] for part in parts))
            for column in ("parameters_bytes", "buffers_bytes", "activations_bytes")
        ),
        _mib(largest["bytes"]),
        _mib(largest["kept_bytes"]),
        _mib(libraries),
        f"{sum(part['flops'] for part in parts) / GIGA:,.2f}",
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
