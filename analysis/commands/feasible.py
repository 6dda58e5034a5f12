"""`feasible`: does a method fit a camera on a GPU, and within a cycle time?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.errors import ArgumentError

if TYPE_CHECKING:
    import pandas as pd

    from analysis.commands.arguments import Subparsers
    from analysis.feasibility.table import StudyTables
    from analysis.figures.hardware import Hardware

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
    parser.add_argument("--sensor-mp", type=_positive, metavar="MP", help="pixels in millions")
    parser.add_argument("--vram-gib", type=_positive, metavar="GIB", help="memory of the GPU")
    parser.add_argument(
        "--device", help="measured device whose latency counts; without it, memory alone"
    )
    parser.add_argument("--cycle-ms", type=_positive, metavar="MS", help="time between two images")
    parser.add_argument("--hardware", metavar="JSON", help="gpus and sensors of the configuration")
    parser.add_argument("-o", "--output", type=Path, metavar="feasibility.csv")
    parser.add_argument("--limits", type=Path, metavar="feasibility_limits.csv")
    parser.set_defaults(run_command=_main)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return value


def _main(options: argparse.Namespace) -> None:
    from analysis.feasibility.table import feasibility_table, limits_table
    from analysis.figures.hardware import Hardware
    from analysis.tables import write_both

    if options.output is None:
        _print_answers(options)
        return
    if options.hardware is None:
        what = "no GPUs and sensors are given"
        raise ArgumentError("--hardware", what, "give those of the configuration")
    hardware: Hardware = Hardware.from_json(options.hardware)
    table = feasibility_table(_read(options.tables), hardware)
    write_both(table, options.output)
    if options.limits:
        write_both(limits_table(table), options.limits)


def _print_answers(options: argparse.Namespace) -> None:
    from analysis.feasibility.answer import answer
    from analysis.feasibility.table import Target, feasibility_rows
    from analysis.figures.hardware import Gpu, Sensor

    for option in ("sensor_mp", "vram_gib"):
        if getattr(options, option) is None:
            name = f"--{option.replace('_', '-')}"
            raise ArgumentError(name, "missing", "say what is asked, or name -o for a table")
    tables = _chosen(_read(options.tables), options)
    gpu = Gpu(f"{options.vram_gib:g} GiB", options.vram_gib)
    target = Target(gpu, options.device, _hardware_of(tables.runtime, options.device))
    sensor = Sensor(f"{options.sensor_mp:g} MP", options.sensor_mp)
    for row in feasibility_rows(tables, [target], [sensor]):
        print(answer(row, options.cycle_ms))


def _chosen(tables: StudyTables, options: argparse.Namespace) -> StudyTables:
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


def _hardware_of(runtime: pd.DataFrame | None, device: str | None) -> str | None:
    if device is None:
        return None
    known = {} if runtime is None else dict(runtime[["device", "hardware"]].to_numpy())
    if device not in known:
        remedy = f"choose from: {', '.join(known) or 'none was measured'}"
        raise ArgumentError("--device", f"{device} was not measured", remedy)
    return str(known[device])


def _read(folder: Path) -> StudyTables:
    from analysis.feasibility.table import StudyTables
    from analysis.measured_memory_table import MEASURED_MEMORY_COLUMNS
    from analysis.memory_methods_table import MEMORY_METHODS_COLUMNS
    from analysis.memory_table import MEMORY_COLUMNS
    from analysis.runtime_table import RUNTIME_COLUMNS
    from analysis.tables import Schema, read_csv

    def optional(name: str, columns: Schema) -> pd.DataFrame | None:
        file = folder / name
        return read_csv(file, columns) if file.exists() else None

    return StudyTables(
        counts=read_csv(folder / "memory_methods.csv", MEMORY_METHODS_COLUMNS),
        memory=optional("memory.csv", MEMORY_COLUMNS),
        runtime=optional("runtime.csv", RUNTIME_COLUMNS),
        measured=optional("memory_measured.csv", MEASURED_MEMORY_COLUMNS),
    )
