"""``python -m profiling methods`` and ``check``, and how the other subcommands name a method.

``methods`` lists those there are; ``check`` tells what a user's own methods say to the demands of a
study (internal).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from adscale.config import read_config
from adscale.errors import ConfigError, UserError
from adscale.methods.registry import (
    Variant,
    all_specs,
    check_resolution,
    check_settings,
    get_spec,
    parse_variant,
)
from adscale.methods.spec import MethodSpec
from adscale.models import json_schema

LISTED_PX = 256
"""Any resolution that all of ours admit: their parameters do not depend on it."""
FLOAT_BYTES = 4
DEFAULT_CONFIG = Path("config") / "config.yaml"


def add_methods_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand ``methods``."""
    parser = subparsers.add_parser(
        "methods", help="list methods, implementations, submodules, resolutions, parameters"
    )
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
    specs = [get_spec(target, where="TARGET") for target in args.targets] or all_specs()
    for spec in specs:
        print("\n".join(_lines(spec)), flush=True)
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
    given = dict(_setting(text) for text in args.set)
    path = args.config or DEFAULT_CONFIG
    if args.config is not None or path.is_file():
        for method in read_config(path).methods:
            if method.label == args.method:
                settings = check_settings(method.spec, {**method.settings, **given}, where="--set")
                return method.label, method.spec, settings
    spec = get_spec(args.method, where="--method")
    label = args.method.rpartition(":")[2]  # of a place, the name in it
    return label, spec, check_settings(spec, given, where="--set")


def _setting(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {text}", "is no setting", "write it as key=value")
    return key, yaml.safe_load(value)


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
    return [
        f"{spec.target}: {spec.summary}",
        f"  submodules: {', '.join(spec.submodules) or 'the children of the network'}",
        f"  implementations: {', '.join(spec.implementations)}",
        f"  variants: {', '.join(variants)}",
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
        spec, check_settings(spec, {}), resolution_px=LISTED_PX, implementation="reference"
    )
    return ", ".join(
        f"{c.submodule} {c.parameters_bytes // FLOAT_BYTES:,}" for c in counts.submodules
    )


def add_check_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand ``check``: what foreign methods say to a study's demands."""
    parser = subparsers.add_parser("check", help="check methods of your own (used by Snakemake)")
    parser.add_argument("methods", help="a JSON list, see profiling/study/setup.py")
    parser.set_defaults(main=check_methods)


def check_methods(args: argparse.Namespace) -> int:
    """Prints the faults of all methods as one JSON list of place, fault and remedy."""
    faults = [fault for method in json.loads(args.methods) for fault in _faults(method)]
    print(json.dumps([(fault.where, fault.what, fault.remedy) for fault in faults]))
    return 0


def _faults(method: Mapping[str, Any]) -> Iterator[UserError]:
    from ..methods.loading import resolve

    where = f"methods.{method['label']}"
    try:
        spec = resolve(get_spec(method["target"], where=f"{where}.target"))
        settings = check_settings(spec, method["settings"], where=where)
    except UserError as fault:
        yield fault
        return
    for variant in method["variants"]:
        try:
            parse_variant(variant, spec, where=f"{where}.variants")
        except UserError as fault:
            yield fault
    for side_px in method["resolutions"]:
        try:
            check_resolution(spec, settings, side_px, where=f"{where}.resolutions")
        except UserError as fault:
            yield fault
