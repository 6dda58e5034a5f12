"""``python -m profiling methods``, and how the other subcommands name a method."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from adscale.config import read_config
from adscale.errors import ConfigError
from adscale.methods.registry import Variant, all_specs, check_settings, get_spec
from adscale.methods.spec import MethodSpec

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
    settings = [
        f"    {key}: {part.get('description', '')} Default: {part.get('default')!r}."
        for key, part in spec.settings_schema.get("properties", {}).items()
    ]
    if spec.settings_schema.get("additionalProperties", True):
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
