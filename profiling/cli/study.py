"""``python -m profiling methods``, ``check``, ``plan``, ``export``, ``environment``.

``methods`` lists those there are; ``check`` tells what a user's own methods say to the demands of a
study (internal). ``plan`` lists the runs of a study.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from adscale.command_line import refuse_idle, restored_streams
from adscale.config import (
    MethodConfig,
    StudyConfig,
    load_config,
    read_config,
)
from adscale.devices import IN_CONTAINER
from adscale.engines import engine_lines
from adscale.errors import CollectorError, ConfigError, OutputError, UserError
from adscale.failure import or_note
from adscale.files import output_file, write_output, write_text
from adscale.methods.registry import (
    TARGETS,
    all_specs,
    check_resolution,
    check_settings,
    get_spec,
    parse_variant,
)
from adscale.methods.spec import MethodSpec
from adscale.models import as_listed, checked, json_schema, read_json
from adscale.parts import COMMANDS
from adscale.plan import plan_runs
from adscale.resolution import square
from adscale.variant import Variant
from adscale.yaml_text import parse_value, read_yaml

from ..collectors.nsys import export_report, find_nsys
from ..launcher import MeasurementFailedError
from ..study.checks import MethodQuestion

LISTED = square(256)
"""Any resolution that all of ours admit: their parameters do not depend on it."""
FLOAT_BYTES = 4
DEFAULT_CONFIG = Path("config") / "config.yaml"
VARIANT_HELP = (
    "implementation-precision, such as optimized-fp32, with engine and options behind it; "
    "optimized-fp32-b8: in batches of 8 images (default: %(default)s)"
)


def add_methods_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand ``methods``."""
    parser = subparsers.add_parser("methods", help=COMMANDS["profiling"]["methods"])
    parser.add_argument(
        "targets",
        nargs="*",
        metavar="TARGET",
        help="these only; also one of your own, or anomalib:…",
    )
    parser.set_defaults(main=list_methods)


def list_methods(args: argparse.Namespace) -> int:
    """Prints every method that the configuration can name.

    Raises:
        ConfigError: there is no method of that name.
    """
    targets = [as_listed(target, TARGETS) for target in args.targets]
    specs = [get_spec(target, where="TARGET") for target in targets] or all_specs()
    for spec in specs:
        print("\n".join(_lines(spec)), flush=True)
    print("\n".join(engine_lines()))
    return 0


def add_method_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds ``--method``, ``--set`` and ``--config``, which ``find_method`` reads."""
    parser.add_argument(
        "--method", help="a label of the configuration, or a target that `methods` lists"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the method"
    )
    parser.add_argument(
        "--config", type=Path, default=None, help=f"configuration (default: {DEFAULT_CONFIG})"
    )


def find_method(args: argparse.Namespace) -> tuple[str, MethodSpec, Mapping[str, Any]]:
    """Label, specification and settings of the method that the command line names.

    Raises:
        UserError: it names none, or its settings cannot be used.
    """
    if args.method is None:
        raise ConfigError("--method", "missing", "name a method (`python -m profiling methods`)")
    given: dict[str, Any] = {}
    for key, value in map(_setting, args.set):
        if key in given and given[key] != value:
            raise ConfigError(f"--set {key}", "is given twice", "leave one of them out")
        given[key] = value
    path = args.config or DEFAULT_CONFIG
    is_there = args.config is not None or path.is_file()
    methods = {method.label: method for method in read_config(path).methods} if is_there else {}
    method = methods.get(as_listed(args.method, methods))
    if method is not None:
        settings = check_settings(method.spec, {**method.settings, **given}, where="--set")
        return method.label, method.spec, settings
    target = as_listed(args.method, TARGETS)
    spec = get_spec(target, where="--method", labels=tuple(methods))
    label = target.rpartition(":")[2]  # of a place, the name in it
    return label, spec, check_settings(spec, given, where="--set")


def _setting(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {text}", "is no setting", "write it as key=value")
    return key, parse_value(value, f"--set {key}")


def _lines(spec: MethodSpec) -> list[str]:
    # torch comes with it
    from ..methods.loading import resolve

    spec = resolve(spec)
    schema = json_schema(spec.settings)
    settings = [
        f"    {key}: {part.get('description', '')} Default: {part.get('default')!r}."
        for key, part in schema.get("properties", {}).items()
    ]
    if schema["additionalProperties"]:
        settings.append("    and every argument of the network's class")
    variants = [str(Variant(i, p)) for i in spec.implementations for p in spec.precisions]
    batches = "; each with -b2, -b3, … for batches" if spec.takes_batches else "; one image at once"
    networks = ", ".join(name for name in spec.submodules if name in spec.parts)
    return [
        f"{spec.target}: {spec.summary}",
        f"  submodules: {', '.join(spec.submodules) or 'the children of the network'}",
        f"  implementations: {', '.join(spec.implementations)}",
        f"  variants: {', '.join(variants)}{batches}",
        f"  networks for other precisions and engines: {networks or 'none'}",
        f"  resolutions: {spec.supported_resolutions}",
        f"  parameters: {_parameters(spec)}",
        "  settings:",
        *(settings or ["    none"]),
    ]


def _parameters(spec: MethodSpec) -> str:
    """Parameters by submodule of the reference with default settings."""
    from ..memory.counting import count_memory

    if spec.foreign:
        return "`python -m profiling memory` counts them"
    counts = count_memory(
        spec, check_settings(spec, {}), resolution=LISTED, implementation="reference"
    )
    return ", ".join(
        f"{c.submodule} {c.parameters_bytes // FLOAT_BYTES:,}" for c in counts.submodules
    )


def add_check_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand ``check``: what foreign methods say to a study's demands."""
    parser = subparsers.add_parser("check", help=COMMANDS["profiling"]["check"])
    parser.add_argument("methods", help="a JSON list, see profiling/study/setup.py")
    parser.set_defaults(main=check_methods)


def check_methods(args: argparse.Namespace) -> int:
    """Prints the faults of all methods as one JSON list of place, fault and remedy."""
    try:
        asked = read_json(args.methods)
        if not isinstance(asked, list):
            raise ValueError("a list was expected")  # noqa: TRY004, TRY301 - told as no JSON
        methods = [checked(MethodQuestion, one, f"check.{at}") for at, one in enumerate(asked)]
    except ValueError as error:
        what = f"is no list of methods ({error})"
        raise ConfigError("check", what, "the workflow asks it; there is nothing to do") from error
    with restored_streams(aside=True):
        faults = [fault for method in methods for fault in _faults(method)]
    print(json.dumps([(fault.where, fault.what, fault.remedy) for fault in faults]))
    return 0


def _faults(method: MethodQuestion) -> Iterator[UserError]:
    from ..methods.foreign import depth_fault
    from ..methods.loading import load_method_class, resolve

    where = f"methods.{method.label}"
    try:
        spec = resolve(get_spec(method.target, where=f"{where}.target"))
        settings = check_settings(spec, method.settings, where=where)
    except UserError as fault:
        yield fault
        return
    for variant in method.variants:
        try:
            parse_variant(variant, spec, where=f"{where}.variants")
        except UserError as fault:
            yield fault
    for resolution in method.resolutions:
        try:
            check_resolution(spec, settings, resolution, where=f"{where}.resolutions")
        except UserError as fault:
            yield fault
    depth = depth_fault(load_method_class(spec), settings, min(method.resolutions))
    if depth is not None:
        place = depth.where.replace("settings", where)
        yield ConfigError(place, depth.what, depth.remedy)


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
    return len(method.variants) * len(method.resolutions)


def add_plan_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand ``plan``: the runs of a study, and its division into smaller ones."""
    parser = subparsers.add_parser("plan", help=COMMANDS["profiling"]["plan"])
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
    refuse_idle(args, {"o": "split"})
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
    files = []
    for number, part in enumerate(split(user, study, args.split), 1):
        files.append(args.o / f"part-{number:02}.yaml")
        _write(files[-1], part)
    others = sorted(file.name for file in set(args.o.glob("part-*.yaml")) - set(files))
    if others:
        what = f"warning: {args.o} holds {', '.join(others)} as well, which this call has not made"
        print(f"{what}: leave them out when you start the parts", file=sys.stderr)
    return 0


def _write(path: Path, part: dict[str, Any]) -> None:
    runs = len(plan_runs(load_config(part), "embedded"))
    text = yaml.safe_dump(part, sort_keys=False)
    write_output(path, lambda file: file.write_text(text, encoding="utf-8"))
    print(f"{path}: {runs} runs")


def add_export_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand ``export``: the report of a run as SQLite, by nsys itself."""
    parser = subparsers.add_parser("export", help=COMMANDS["profiling"]["export"])
    parser.add_argument("report", type=Path)
    parser.add_argument("--nsys", default=None, help="path of the nsys program")
    parser.add_argument("-o", "--output", required=True, type=output_file(".sqlite"))
    parser.add_argument(
        "--keep-going",
        action="store_true",
        help="take note of a failure beside the report, and end without an error",
    )
    parser.set_defaults(main=export)


def export(args: argparse.Namespace) -> int:
    """Exports; the file appears when it is complete."""
    record = args.report.with_name("run.json") if args.keep_going else None
    or_note(record, lambda: _export_report(args), lambda: write_empty(args.output))
    return 0


def write_empty(path: Path) -> None:
    """Has a file be there, empty where it was not."""
    if not path.exists():
        write_text(path, "")


def _export_report(args: argparse.Namespace) -> None:
    if args.output.is_dir() or not args.output.name:
        raise OutputError(f"-o {args.output}", "is a folder", "name a file")
    if not args.report.is_file():
        raise CollectorError(str(args.report), "no such file", "name a report of nsys")
    if args.report.stat().st_size == 0:  # of a run that Linux killed, see profiling.launcher
        from ..collectors.embedded import EmbeddedCollector

        write_output(args.output, EmbeddedCollector("cpu").write)
        return
    nsys = find_nsys(args.nsys)
    if nsys is None:
        raise CollectorError(str(args.report), "no nsys was found", "name it with --nsys")
    write_output(args.output, lambda file: _export(nsys, args.report, file))


def _export(nsys: Path, report: Path, output: Path) -> None:
    received = export_report(nsys, report, output)
    if received is not None:
        raise MeasurementFailedError(128 + received, "nsys was asked to end")


def add_environment_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand ``environment``: what a measurement would find here."""
    parser = subparsers.add_parser("environment", help=COMMANDS["profiling"]["environment"])
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
