"""Counts as ``memory.json`` and as a table for the terminal."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from profiling.files import write_json
from profiling.memory.counting import SubmoduleCount, count_memory
from profiling.methods.checks import Variant, check_countable
from profiling.methods.spec import MethodSpec

MIB = 2**20
COLUMNS = ("parameters_bytes", "buffers_bytes", "activations_bytes")


def count_report(
    label: str,
    spec: MethodSpec,
    settings: Mapping[str, Any],
    variant: Variant,
    resolutions_px: Iterable[int],
) -> dict[str, Any]:
    """Counts a method at several resolutions.

    Args:
        label: the user's name of the method.
        spec: of the method.
        settings: of the method, defaults filled in.
        variant: its precision does not matter here: fp32 and TF32 both occupy four bytes.
        resolutions_px: side lengths of the square image; each is counted once.

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
        "schema_version": 1,
        "method": label,
        "target": spec.target,
        "settings": dict(settings),
        "variant": str(variant),
        "resolutions": [
            _entry(spec, settings, side_px, variant.implementation) for side_px in sides_px
        ],
    }


def _entry(
    spec: MethodSpec, settings: Mapping[str, Any], side_px: int, implementation: str
) -> dict[str, Any]:
    count = count_memory(spec, settings, resolution_px=side_px, implementation=implementation)
    return {
        "resolution_px": side_px,
        "submodules": [_as_json(part) for part in count.submodules],
        "incomplete": count.incomplete,
    }


def write_report(path: Path, report: Mapping[str, Any]) -> None:
    """Checks a report against its schema and writes it, whole or not at all.

    Raises:
        OSError: the file cannot be written.
        jsonschema.ValidationError: the report does not fit: a fault of ours.
    """
    write_json(path, report, "memory")


def format_table(report: Mapping[str, Any]) -> str:
    """The report as lines of text: MiB by resolution and submodule, with a total."""
    rows = [("resolution_px", "submodule", "parameters_mib", "buffers_mib", "activations_mib")]
    for entry in report["resolutions"]:
        side_px, submodules = str(entry["resolution_px"]), entry["submodules"]
        rows += [_row(side_px, part["submodule"], [part]) for part in submodules]
        rows.append(_row(side_px, "total", submodules))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    head = f"{report['method']} ({report['target']}), {report['variant']}"
    return "\n".join([head, *(_align(row, widths) for row in rows)])


def warnings_of(report: Mapping[str, Any]) -> list[str]:
    """A line for each resolution of which something is not in the count."""
    return [
        f"warning: {report['method']} at {entry['resolution_px']} px: {entry['incomplete']}"
        for entry in report["resolutions"]
        if entry["incomplete"] is not None
    ]


def _row(
    side_px: str, name: str, parts: Sequence[Mapping[str, Any]]
) -> tuple[str, str, str, str, str]:
    parameters, buffers, activations = (
        _mib(sum(part[column] for part in parts)) for column in COLUMNS
    )
    return side_px, name, parameters, buffers, activations


def _mib(size_bytes: int) -> str:
    text = f"{size_bytes / MIB:,.2f}"
    return "<0.01" if text == "0.00" and size_bytes else text


def _align(row: Sequence[str], widths: Sequence[int]) -> str:
    texts = [
        text.ljust(width) if column == 1 else text.rjust(width)
        for column, (text, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(texts).rstrip()


def _as_json(count: SubmoduleCount) -> dict[str, Any]:
    data = dataclasses.asdict(count)
    for layer in data["layers"]:
        layer["output_shape"] = list(layer["output_shape"])
    data["layers"] = list(data["layers"])
    return data
