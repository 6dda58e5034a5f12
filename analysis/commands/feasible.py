"""`feasible`: does a method fit a camera on a GPU, and within a cycle time?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from adscale.errors import ArgumentError

from .arguments import json_text, positive

if TYPE_CHECKING:
    import pandas as pd

    from ..feasibility.table import FeasibilityTables
    from ..feasibility.targets import Target
    from .arguments import Subparsers

_DESCRIPTION = """Answers in one line per method and variant, from the tables of a study.
With -o: the table of all GPUs and sensors of the configuration (--hardware) instead.
Sensors stand for the square image with as many pixels; sensors that are not square are outside."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "feasible", help="does it fit, and is it fast enough?", description=_DESCRIPTION
    )
    parser.add_argument(
        "--tables",
        type=Path,
        default=Path("results/tables"),
        metavar="DIR",
        help="tables of the study (%(default)s)",
    )
    parser.add_argument("--method", default="all", help="the user's label of one; all by default")
    parser.add_argument("--variant", help="one variant; all by default")
    parser.add_argument("--sensor-mp", type=positive, metavar="MP", help="pixels in millions")
    parser.add_argument("--vram-gib", type=positive, metavar="GIB", help="memory of the GPU")
    parser.add_argument(
        "--device",
        metavar="NAME",
        help="measured device whose latency counts, and whose memory without --vram-gib; "
        "without it, that of every measured device is told",
    )
    parser.add_argument("--cycle-ms", type=positive, metavar="MS", help="time between two images")
    parser.add_argument(
        "--hardware",
        metavar="JSON",
        help="gpus and sensors as in the configuration: a JSON file, or the JSON text itself",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="feasibility.csv")
    parser.add_argument(
        "--limits",
        type=Path,
        metavar="feasibility_limits.csv",
        help="with -o: the largest sensor of each GPU and the smallest GPU of each sensor",
    )
    parser.set_defaults(run_command=_main)


def _main(options: argparse.Namespace) -> None:
    from ..feasibility.table import feasibility_table, limits_table
    from ..figures.hardware import Hardware
    from ..tables import write_both

    if options.output is None:
        if options.limits is not None:
            raise ArgumentError("--limits", "comes with a table", "name -o, too")
        _print_answers(options)
        return
    if options.hardware is None:
        what = "no GPUs and sensors are given"
        raise ArgumentError("--hardware", what, "give those of the configuration")
    hardware = Hardware.from_json(json_text("--hardware", options.hardware))
    table = feasibility_table(_read(options.tables), hardware)
    write_both(table, options.output)
    if options.limits:
        write_both(limits_table(table), options.limits)


def _print_answers(options: argparse.Namespace) -> None:
    from ..feasibility.answer import answer
    from ..feasibility.table import feasibility_rows
    from ..feasibility.targets import measured_devices, on_device
    from ..figures.hardware import Sensor

    if options.sensor_mp is None:
        raise ArgumentError("--sensor-mp", "missing", "say what is asked, or name -o for a table")
    tables = _chosen(_read(options.tables), options)
    target = _target(tables.runtime, options.device, options.vram_gib)
    sensor = Sensor(f"{options.sensor_mp:g} MP", options.sensor_mp)
    if options.device is not None:
        for row in feasibility_rows(tables, [target], [sensor]):
            print(answer(row, options.cycle_ms))
        return
    # each latency stands with the device it was measured on: none is taken for that of the target
    devices = [on_device(one, one.name, None) for one in measured_devices(tables.runtime)]
    rows = list(feasibility_rows(tables, [target, *devices], [sensor]))
    for first in range(0, len(rows), 1 + len(devices)):
        row, *measured = rows[first : first + 1 + len(devices)]
        print(answer(row, options.cycle_ms, measured))


def _chosen(tables: FeasibilityTables, options: argparse.Namespace) -> FeasibilityTables:
    """The tables with the method and variant that were asked for."""
    from dataclasses import replace

    counts = tables.counts
    for column, wanted in (("method", options.method), ("variant", options.variant)):
        if wanted is None or (column == "method" and wanted == "all"):
            continue
        if wanted not in set(counts[column]):
            known = ", ".join(counts[column].unique())
            raise ArgumentError(f"--{column}", f"{wanted} was not counted", f"choose from: {known}")
        counts = counts[counts[column] == wanted]
    return replace(tables, counts=counts)


def _target(runtime: pd.DataFrame | None, device: str | None, vram_gib: float | None) -> Target:
    from ..feasibility.needs import GIB
    from ..feasibility.targets import Target, measured_devices, on_device

    memory_bytes = None if vram_gib is None else int(vram_gib * GIB)
    size = None if vram_gib is None else f"{vram_gib:g} GiB"
    if device is None:
        if size is None:
            remedy = "give the memory of the GPU, or --device of one that was measured"
            raise ArgumentError("--vram-gib", "missing", remedy)
        return Target(size, "cuda", memory_bytes)
    known = {one.name: one for one in measured_devices(runtime)}
    if device not in known:
        remedy = f"choose from: {', '.join(known) or 'none, nothing was measured'}"
        raise ArgumentError("--device", f"{device} was not measured", remedy)
    return on_device(known[device], size or device, memory_bytes)


def _read(folder: Path) -> FeasibilityTables:
    from ..feasibility.table import FeasibilityTables
    from ..measured_memory_table import MEASURED_MEMORY
    from ..memory_table import MEMORY, MEMORY_METHODS
    from ..runtime_table import RUNTIME
    from ..tables import Schema, read_csv

    def optional(name: str, columns: Schema) -> pd.DataFrame | None:
        file = folder / name
        return read_csv(file, columns) if file.exists() else None

    return FeasibilityTables(
        counts=read_csv(folder / "memory_methods.csv", MEMORY_METHODS.schema),
        memory=optional("memory.csv", MEMORY.schema),
        runtime=optional("runtime.csv", RUNTIME.schema),
        measured=optional("memory_measured.csv", MEASURED_MEMORY.schema),
    )
