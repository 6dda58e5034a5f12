"""``python -m profiling check``: what foreign methods say to a study's demands (internal)."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import Any

from adscale.errors import UserError
from adscale.methods.registry import check_resolution, check_settings, get_spec, parse_variant


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
