"""``python -m profiling memory``: exact counts at any resolution, without running an image."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adscale.errors import ConfigError
from adscale.files import write_record
from adscale.methods.registry import check_settings, get_spec, parse_variant
from adscale.methods.spec import MethodSpec
from adscale.models import jsonable

from ..cli.methods import add_method_arguments, find_method


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser("memory", help="count memory without running an image")
    add_method_arguments(parser)
    parser.add_argument(
        "--label", default=None, help="name in the output; --method is then a target"
    )
    parser.add_argument("--settings", default=None, help="settings as one JSON object")
    parser.add_argument("--variant", default="reference-fp32")
    parser.add_argument(
        "--resolution", type=int, nargs="+", required=True, metavar="PX", help="side lengths in px"
    )
    parser.add_argument(
        "--device-type",
        choices=["auto", "cuda", "cpu"],
        default="auto",
        help=(
            "where the inference is thought to happen; auto: cuda, for which no GPU is needed "
            "unless torch is as old as 2.6, else cpu"
        ),
    )
    parser.add_argument("--json", action="store_true", help="print memory.json instead of a table")
    parser.add_argument("-o", "--output", type=Path, default=None, help="write memory.json there")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Counts, writes and prints.

    Raises:
        UserError: the method, a setting, the variant, a resolution or the file cannot be used.
    """
    label, spec, settings = _find(args)
    variant = parse_variant(args.variant, spec, where="--variant")
    # torch comes with them: imported here, faults of the command line are told at once
    from ..methods.loading import resolve
    from .counting import is_gpu_imaginable
    from .report import count_report, format_table, warnings_of

    if spec.foreign:
        spec = resolve(spec)
        settings = check_settings(spec, settings)
        variant = parse_variant(args.variant, spec, where="--variant")

    device_type = args.device_type
    if device_type == "auto":
        device_type = "cuda" if is_gpu_imaginable() else "cpu"
    report = count_report(label, spec, settings, variant, args.resolution, device_type)
    if args.output is not None:
        try:
            write_record(args.output, report)
        except OSError as problem:
            what = f"cannot be written ({problem.strerror})"
            raise ConfigError(str(args.output), what, "name another file with -o") from problem
    print(json.dumps(jsonable(report), indent=1) if args.json else format_table(report))
    for warning in warnings_of(report):
        print(warning, file=sys.stderr)
    return 0


def _find(args: argparse.Namespace) -> tuple[str, MethodSpec, Mapping[str, Any]]:
    if args.method is None or (args.label is None and args.settings is None):
        return find_method(args)
    if args.set or args.config is not None:
        raise ConfigError(
            "--label, --settings", "do not go with --set or --config", "leave out the one or other"
        )
    spec = get_spec(args.method, where="--method")
    given = _json_object(args.settings or "{}")
    return args.label or spec.target, spec, check_settings(spec, given, where="--settings")


def _json_object(text: str) -> Mapping[str, Any]:
    try:
        data = json.loads(text)
    except json.JSONDecodeError as problem:
        raise ConfigError("--settings", f"is no JSON ({problem})", "quote it") from problem
    if not isinstance(data, dict):
        raise ConfigError("--settings", "is no JSON object", 'write e.g. {"size": "S"}')
    return data
