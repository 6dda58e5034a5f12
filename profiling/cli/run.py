"""``python -m profiling run``: one run of one method, recorded by nsys or by adscale itself."""

from __future__ import annotations

import argparse
import dataclasses
import math
import platform
import sys
from pathlib import Path

from profiling.cli.methods import add_method_arguments, find_method
from profiling.collectors.nsys import choose
from profiling.errors import ConfigError
from profiling.launcher import check_place, launch
from profiling.methods.registry import check_resolution, parse_variant
from profiling.request import RunRequest, Sampling
from profiling.skipping import DEFAULT_MARGIN
from profiling.study.config import detect_device_type, usable_cpus
from profiling.study.handover import check_sources

CACHE_FOLDER = Path(".snakemake") / "adscale"
"""Where the result of nsys' self-test is kept, below the working directory."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser("run", help="measure one method at one resolution")
    add_method_arguments(parser)
    parser.add_argument("--resolution", type=int, help="side length in px")
    parser.add_argument("--variant", default="reference-fp32")
    parser.add_argument("--device", default="local", help="your name for the hardware")
    parser.add_argument("--device-type", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--gpu", default=None, help="UUID of the GPU; default: the first")
    parser.add_argument("--collector", choices=["auto", "nsys", "embedded"], default="auto")
    parser.add_argument("--nsys", default=None, help="path of the nsys program")
    parser.add_argument("--warmup-images", type=int, default=3)
    parser.add_argument("--measured-images", type=int, default=50)
    parser.add_argument("--min-images", type=int, default=3)
    parser.add_argument("--time-budget-s", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--images", default=None, help="folder of images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--request", help="the whole run as JSON, in place of the options above")
    parser.add_argument(
        "--plan", type=Path, help="plan of the study: refuse to measure with other code than its"
    )
    parser.add_argument(
        "--skip-predicted-out-of-memory",
        action="store_true",
        help="do not begin a run whose count is more than the device's memory; record it as such",
    )
    parser.add_argument(
        "--memory-margin",
        type=float,
        default=DEFAULT_MARGIN,
        metavar="SHARE",
        help="share of the device's memory by which the count must exceed it (%(default)s)",
    )
    parser.add_argument("--out", required=True, type=Path, help="folder of the run's files")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Runs the measuring process and puts its files in place."""
    if args.request is not None:
        request = RunRequest.from_json(args.request)
        check_place(request)
        if args.plan is not None:
            check_sources(args.plan, request.target)
        choice = choose(request.collector, args.nsys, CACHE_FOLDER)
    else:
        choice = choose(args.collector, args.nsys, CACHE_FOLDER)
        request = _request(args, "nsys" if choice.nsys else "embedded")
    if args.skip_predicted_out_of_memory:
        request = dataclasses.replace(request, skip_margin=_margin(args.memory_margin))
    place = "host" if request.container is None else f"container {request.container}"
    python = f"Python {platform.python_version()} ({sys.executable})"
    print(f"{place}, {python}, {choice.reason}", flush=True)
    launch(request, args.out, choice.nsys)
    return 0


def _margin(share: float) -> float:
    if not 0 <= share < math.inf:
        raise ConfigError("--memory-margin", f"{share:g} cannot be used", "expected: at least 0")
    return share


def _request(args: argparse.Namespace, collector: str) -> RunRequest:
    label, spec, settings = find_method(args)
    parse_variant(args.variant, spec, where="--variant")
    if args.resolution is None:
        raise ConfigError("--resolution", "missing", "give the side length of the image in px")
    check_resolution(spec, settings, args.resolution, where="--resolution")
    data = {
        "device": args.device,
        "device_type": detect_device_type() if args.device_type == "auto" else args.device_type,
        "method": label,
        "target": spec.target,
        "settings": settings,
        "variant": args.variant,
        "resolution_px": args.resolution,
        "seed": args.seed,
        "threads": usable_cpus() if args.threads is None else args.threads,
        "images": args.images,
        "sampling": Sampling(
            warmup_images=args.warmup_images,
            measured_images=args.measured_images,
            min_images=min(args.min_images, args.measured_images),
            time_budget_s=args.time_budget_s if args.time_budget_s > 0 else None,
        ),
        "collector": collector,
        "gpu": args.gpu,
    }
    request = RunRequest(**data)
    return RunRequest.from_json(request.as_json())  # the same checks as for a request from outside
