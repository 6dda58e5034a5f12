"""``python -m profiling plan``, ``export`` and ``environment``: what a study needs beside runs."""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from adscale.config import MethodConfig, StudyConfig, load_config, read_yaml
from adscale.devices import IN_CONTAINER
from adscale.errors import CollectorError, ConfigError
from adscale.files import write_text
from adscale.plan import plan_runs

from ..collectors.nsys import export_command, find_nsys
from .methods import DEFAULT_CONFIG


def split(user: Mapping[str, Any], study: StudyConfig, most_runs: int) -> list[dict[str, Any]]:
    """Configurations that together have the runs of one, each of them once.

    A part has one device and whole methods, so that every curve lies in one part.

    Args:
        user: the content of ``config.yaml``.
        study: the same, checked.
        most_runs: processes of runs in a part, at most; a method that alone has more is a part.
    """
    return [
        {**user, **device, "methods": {label: user["methods"][label] for label in labels}}
        for device in _devices(user)
        for labels in _packed(study, most_runs)
    ]


def _devices(user: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    entries = user.get("devices")
    if not entries:
        yield {}
        return
    for entry in entries:
        yield {"devices": [entry]}


def _packed(study: StudyConfig, most_runs: int) -> Iterator[list[str]]:
    """Labels of methods, in their order, as many together as a part may have."""
    labels: list[str] = []
    runs = 0
    for method in study.methods:
        more = _runs_of(method) * study.processes
        if labels and runs + more > most_runs:
            yield labels
            labels, runs = [], 0
        labels.append(method.label)
        runs += more
    yield labels


def _runs_of(method: MethodConfig) -> int:
    """The runs of one device, in one process."""
    return len(method.variants) * len(method.resolutions_px)


def add_plan_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand ``plan``: the runs of a study, and its division into smaller ones."""
    parser = subparsers.add_parser("plan", help="list the runs of a study, or split it")
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG, help="default: %(default)s")
    parser.add_argument(
        "--use-singularity", action="store_true", help="of a study that is called so"
    )
    parser.add_argument(
        "--split",
        type=int,
        metavar="RUNS",
        help="write configurations of at most so many runs each, in place of the list",
    )
    parser.add_argument("-o", type=Path, metavar="FOLDER", help="where to write them")
    parser.set_defaults(main=plan)


def plan(args: argparse.Namespace) -> int:
    """Prints the folders of all runs below the results, or writes configurations.

    Raises:
        ConfigError: an argument cannot be used.
    """
    user = read_yaml(args.config)
    study = load_config(user)
    if args.split is None:
        for run in plan_runs(study, "embedded").values():
            device, _, rest = run.path.partition("/")
            print(f"{device}{IN_CONTAINER if args.use_singularity else ''}/{rest}")
        return 0
    if args.split < 1 or args.o is None:
        remedy = "such as --split 5000 -o parts"
        raise ConfigError("--split", "takes a number of runs, and -o a folder", remedy)
    for number, part in enumerate(split(user, study, args.split), 1):
        _write(args.o / f"part-{number:02}.yaml", part)
    return 0


def _write(path: Path, part: dict[str, Any]) -> None:
    runs = len(plan_runs(load_config(part), "embedded"))
    write_text(path, yaml.safe_dump(part, sort_keys=False))
    print(f"{path}: {runs} runs")


def add_export_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand ``export``: the report of a run as SQLite, by nsys itself."""
    parser = subparsers.add_parser("export", help="export a report of nsys to SQLite")
    parser.add_argument("report", type=Path)
    parser.add_argument("--nsys", default=None, help="path of the nsys program")
    parser.add_argument("-o", "--output", required=True, type=Path)
    parser.set_defaults(main=export)


def export(args: argparse.Namespace) -> int:
    """Exports; the file appears when it is complete."""
    if not args.report.is_file():
        raise CollectorError(str(args.report), "no such file", "name a report of nsys")
    if args.report.stat().st_size == 0:  # of a run that Linux killed, see profiling.launcher
        from ..collectors.embedded import EmbeddedCollector

        EmbeddedCollector("cpu").write(args.output)
        return 0
    nsys = find_nsys(args.nsys)
    if nsys is None:
        raise CollectorError(str(args.report), "no nsys was found", "name it with --nsys")
    _export(nsys, args.report, args.output)
    return 0


def _export(nsys: Path, report: Path, output: Path) -> None:
    unfinished = output.with_name(f".{output.name}.unfinished")
    try:
        done = subprocess.run(
            export_command(nsys, report, unfinished), capture_output=True, text=True, check=False
        )
        if done.returncode != 0 or not unfinished.is_file():
            said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
            remedy = f"remove {report.parent} and start the study again"
            raise CollectorError(str(report), f"nsys could not export it ({said})", remedy)
        unfinished.replace(output)
    finally:
        unfinished.unlink(missing_ok=True)


def add_environment_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand ``environment``: what a measurement would find here."""
    parser = subparsers.add_parser(
        "environment", help="print torch, its GPU and nsys as JSON (used by gpu-check)"
    )
    parser.set_defaults(main=print_environment)


def print_environment(_args: argparse.Namespace) -> int:
    """Prints one JSON object; null stands for what is not there.

    Raises:
        CollectorError: ``ADSCALE_NSYS`` names no program.
    """
    nsys = find_nsys(None)
    print(json.dumps({**_torch(), "nsys": None if nsys is None else str(nsys)}))
    return 0


def _torch() -> dict[str, Any]:
    """Versions of torch and of the CUDA it was built for, and whether it can use a GPU."""
    try:
        import torch
    except ImportError:
        return {"torch": None, "cuda": None, "gpu": False}
    gpu = torch.cuda.is_available()
    return {"torch": torch.__version__, "cuda": torch.version.cuda, "gpu": gpu}
