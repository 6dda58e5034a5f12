"""``python -m profiling run``: one run of one method, recorded by nsys or by adscale itself.

By hand the latency pass follows, a second process that nobody records. A study asks for each
process by itself, with ``--request``.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import platform
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from adscale.command_line import Switch, flag, named_folder, refuse_idle
from adscale.config_file import DEFAULT_MARGIN
from adscale.devices import detect_device_type, usable_cpus
from adscale.engines import check_machine, device_problem
from adscale.errors import ConfigError, OutputError
from adscale.failure import end, or_note
from adscale.files import read_record
from adscale.methods.registry import check_resolution, parse_variant
from adscale.names import ENGINE_FOLDER, record_name
from adscale.parts import COMMANDS
from adscale.plan_file import check_sources, expected_hardware
from adscale.request import (
    MAX_IMAGE_MEGAPIXELS,
    PRECISION_IMAGES,
    VARIABLE_NAME,
    Bayer,
    Fit,
    RunRequest,
)
from adscale.resolution import resolution_argument
from adscale.run_record import Prediction, RunRecord

from ..collectors.nsys import Choice, choose, records_adopted
from ..launcher import (
    check_container,
    launch,
    write_empty_profile,
)
from ..lock import alone_in
from ..study.checks import check_files_of_run
from ..study.finished import RESULTS, counted_need, finish, is_measured
from ..study.shared_counts import SharedCounts, shared_counts
from .study import VARIANT_HELP, add_method_arguments, find_method

PRECISION_S = 5.0
"""Seconds before which a precision ends no run, unless an option says otherwise."""

IDLE_WITHOUT = {
    "memory_margin": "skip_predicted_out_of_memory",
    "precision_min_images": "target_precision",
    "precision_min_s": "target_precision",
}
"""Options that say how another is meant."""

CACHE_FOLDER = Path(".snakemake") / "adscale"
"""Where the result of nsys' self-test is kept, below the working directory."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser("run", help=COMMANDS["profiling"]["run"])
    add_method_arguments(parser)
    parser.add_argument(
        "--resolution", type=resolution_argument, help="side length in px, or width x height"
    )
    parser.add_argument("--variant", default="reference-fp32", help=VARIANT_HELP)
    parser.add_argument("--device", default="local", help="your name for the hardware")
    parser.add_argument("--device-type", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--gpu", default=None, help="UUID of the GPU; default: the first")
    parser.add_argument("--collector", choices=["auto", "nsys", "embedded"], default="auto")
    parser.add_argument("--nsys", default=None, help="path of the nsys program")
    _add_sampling_arguments(parser)
    parser.add_argument("--cudnn-benchmark", action="store_true")
    parser.add_argument("--deterministic", action="store_true")
    parser.add_argument("--cache", choices=["warm", "cold"], default="warm")
    parser.add_argument("--lock-clocks", type=int, default=None, metavar="MHZ")
    parser.add_argument(
        "--foreign-processes",
        choices=["flag", "error"],
        default=None,
        help="whether processes of others on the GPU are recorded (flag), or end the run",
    )
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--images", default=None, help="folder of images")
    parser.add_argument(
        "--max-image-megapixels", type=float, default=MAX_IMAGE_MEGAPIXELS, metavar="MP",
        help="leave out images with more pixels, in millions (%(default)g)",
    )  # fmt: skip
    parser.add_argument(
        "--bit-depth", type=int, default=None, metavar="BITS",
        help="bits that the camera delivers, of files with more than 8 (default: the file says)",
    )  # fmt: skip
    parser.add_argument(
        "--bayer", choices=get_args(Bayer), default=None,
        help="gray images are Bayer-raw, with these colours in the first two rows",
    )  # fmt: skip
    parser.add_argument(
        "--page", type=int, default=None, metavar="N", help="page of files with several, from 1"
    )
    parser.add_argument(
        "--fit", choices=get_args(Fit), default=None,
        help="how images get the aspect ratio of the resolution (default: the method's rule)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0)
    _add_study_arguments(parser)
    parser.add_argument("--log", default=None, help="file of what it prints, named if it fails")
    parser.add_argument("--out", required=True, type=named_folder, help="folder of the run's files")
    parser.set_defaults(main=main)


def _add_study_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--environment",
        nargs="+",
        type=_variable,
        default=(),
        metavar="NAME",
        help="further variables that the measured program gets (docs/running.md has the others)",
    )
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
        default=None,
        metavar="SHARE",
        help=f"share of the device's memory by which the count must exceed it ({DEFAULT_MARGIN})",
    )
    parser.add_argument(
        "--keep-going",
        action="store_true",
        help="with --request: take note of a failure beside the record, and end without an error",
    )
    parser.add_argument(
        "--again", action="store_true", help="with --plan: also where it is measured as planned"
    )
    parser.add_argument(
        "--study",
        type=int,
        default=None,
        metavar="PID",
        help="with --request: the process of the study; measuring processes may be forked from one "
        "that ends with it (docs/running.md)",
    )


def _add_sampling_arguments(parser: argparse.ArgumentParser) -> None:
    batches = "; of a variant with batches, batches (default: %(default)s)"
    parser.add_argument(
        "--warmup-images", type=int, default=3, help=f"before the measured ones{batches}"
    )
    parser.add_argument("--measured-images", type=int, default=50, help=f"at most{batches}")
    parser.add_argument("--min-images", type=int, default=3, help=f"at least{batches}")
    parser.add_argument("--time-budget-s", type=float, default=10.0, help="0: no limit")
    parser.add_argument(
        "--target-precision",
        type=float,
        default=None,
        metavar="SHARE",
        help="stop once the 95%% interval of every median is within this share of it",
    )
    parser.add_argument(
        "--precision-min-images",
        type=int,
        default=None,
        metavar="N",
        help=f"but not before so many images (default: {PRECISION_IMAGES})",
    )
    parser.add_argument(
        "--precision-min-s",
        type=float,
        default=None,
        metavar="S",
        help=f"nor before so many seconds (default: {PRECISION_S:g})",
    )
    parser.add_argument(
        "--latency",
        action=Switch,
        default=True,
        help="run the images again without a profiler, in a process of its own (default: yes)",
    )


def main(args: argparse.Namespace) -> int:
    """Runs the measuring process, by hand both of them, and puts their files in place."""
    if args.request is not None:
        return _planned(args, RunRequest.from_json(args.request))
    for option in ("plan", "keep_going", "again", "study"):
        if getattr(args, option):
            what = "is for a run of a study"
            raise ConfigError(flag(option), what, "leave it out, or add --request")
    refuse_idle(args, IDLE_WITHOUT)
    if args.nsys is not None and args.collector == "embedded":
        raise ConfigError("--nsys", "is for another collector", "leave it out, or --collector")
    choice = choose(args.collector, args.nsys, CACHE_FOLDER)
    requests = [_request(args, "nsys" if choice.nsys else "embedded")]
    if args.latency:
        requests.append(dataclasses.replace(requests[0], collector="none"))
    with alone_in(_folder(args.out)):
        _launch(args, requests, choice)
    return 0


def _planned(args: argparse.Namespace, request: RunRequest) -> int:
    """One process of a study, unless it was measured while this one waited for its folder."""
    record = args.out / record_name(request.collector)
    began_s = time.monotonic()
    if not args.keep_going:
        _check(args, request)  # before a folder is made
    with alone_in(_folder(args.out)):
        if args.plan is not None and not args.again and is_measured(args.plan, request, args.out):
            end(record)
            print(f"{record}: measured already as it is planned", flush=True)
            return 0
        problem = or_note(
            record if args.keep_going else None,
            lambda: _measure(args, request),
            lambda: write_empty_profile(args.out, request),
            measured=request,
        )
        if problem is not None:
            what = f"{request.method} {request.variant} {request.resolution} px"
            print(f"study: {what} failed: {problem}; the rest of the study goes on", flush=True)
            return 0
        end(record)  # first, since what is noted as failed is not counted as measured
        if args.plan is not None:
            print(finish(args.plan, request, args.out, time.monotonic() - began_s), flush=True)
    return 0


def _check(args: argparse.Namespace, request: RunRequest) -> None:
    check_container(request)
    if args.plan is not None:
        check_sources(args.plan, request.target)


def _measure(args: argparse.Namespace, request: RunRequest) -> None:
    _check(args, request)
    hardware = None if args.plan is None else expected_hardware(args.plan, request.device)
    counted = (
        None if args.plan is None or args.again else counted_need(args.plan, request, args.out)
    )
    shared = None if args.plan is None or args.again else shared_counts(args.plan, request)
    _launch(args, [request], _choice(request, args.nsys), hardware, counted, shared)


def _launch(
    args: argparse.Namespace,
    requests: Sequence[RunRequest],
    choice: Choice | None,
    hardware: str | None = None,
    counted: Prediction | None = None,
    shared: SharedCounts | None = None,
) -> None:
    check_files_of_run(requests[0])
    check_threads(requests[0].threads)
    place = "host" if requests[0].container is None else f"container {requests[0].container}"
    python = f"Python {platform.python_version()} ({sys.executable})"
    print(f"{place}, {python}, {'no profiler' if choice is None else choice.reason}", flush=True)
    study: int | None = args.study
    if study and choice and choice.nsys and not records_adopted(choice.nsys, CACHE_FOLDER):
        study = None
    for request in requests:
        nsys = choice.nsys if choice and request.collector == "nsys" else None
        asked = dataclasses.replace(request, **_options(args))
        engines = None if args.plan is None else RESULTS / ENGINE_FOLDER
        launch(
            asked, args.out, nsys, hardware, args.log, args.environment, counted, shared, engines,
            study,
        )  # fmt: skip
        record = args.out / record_name(request.collector)
        counted = counted or read_record(record, RunRecord, "run again").prediction


def check_threads(threads: int) -> None:
    """Refuses more threads than could be of use, which exhaust what the machine can start.

    Raises:
        ConfigError: they are too many.
    """
    most = max(64, 4 * (os.cpu_count() or 1))
    if threads > most:
        what = f"{threads} is far more than this machine has CPUs"
        raise ConfigError("threads", what, f"expected: at most {most}, better {usable_cpus()}")


def _folder(out: Path) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"is no folder and cannot be made one ({error.strerror})"
        raise OutputError(f"--out {out}", what, "name another folder") from None
    return out


def _variable(text: str) -> str:
    if not re.fullmatch(VARIABLE_NAME, text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a variable, such as MY_SWITCH")
    return text


def _options(args: argparse.Namespace) -> dict[str, Any]:
    """Options that a study switches without measuring anything again: they are in no digest."""
    options: dict[str, Any] = {}
    if args.skip_predicted_out_of_memory:
        options["skip_margin"] = _margin(_given(args.memory_margin, DEFAULT_MARGIN))
    if args.foreign_processes is not None:
        options["foreign_processes"] = args.foreign_processes
    return options


def _choice(request: RunRequest, nsys: str | None) -> Choice | None:
    """Who records; None: nobody."""
    return None if request.collector == "none" else choose(request.collector, nsys, CACHE_FOLDER)


def _given(value: float | None, default: float) -> float:
    return default if value is None else value


def _margin(share: float) -> float:
    if not 0 <= share < math.inf:
        raise ConfigError("--memory-margin", f"{share:g} cannot be used", "expected: at least 0")
    return share


def _request(args: argparse.Namespace, collector: str) -> RunRequest:
    label, spec, settings = find_method(args)
    if not settings.get("normal_images"):  # of which they hold, too
        refuse_idle(args, dict.fromkeys(("bit_depth", "bayer", "page"), "images"))
    variant = parse_variant(args.variant, spec, where="--variant")
    if args.resolution is None:
        raise ConfigError("--resolution", "missing", "give it, such as 1024 or 2448x2048")
    check_resolution(spec, settings, args.resolution, where="--resolution")
    device_type = detect_device_type() if args.device_type == "auto" else args.device_type
    problem = None if variant.is_plain else device_problem(variant, device_type)
    if problem is not None:
        raise ConfigError("--variant", *problem)
    check_machine(variant, device_type, where="--variant")
    for option in ("gpu", "lock_clocks") if device_type == "cpu" else ():
        if getattr(args, option) is not None:
            raise ConfigError(flag(option), "is for a GPU, and a CPU is measured", "leave it out")
    data = {
        "device": args.device,
        "device_type": device_type,
        "method": label,
        "target": spec.target,
        "settings": settings,
        "variant": args.variant,
        "resolution": args.resolution,
        "seed": args.seed,
        "threads": usable_cpus() if args.threads is None else args.threads,
        "images": args.images,
        "max_image_megapixels": args.max_image_megapixels,
        "decoding": {name: getattr(args, name) for name in ("bit_depth", "bayer", "page", "fit")},
        "sampling": _sampling(args),
        "execution": {
            "cudnn_benchmark": args.cudnn_benchmark,
            "deterministic": args.deterministic,
            "cache": args.cache,
        },
        "lock_clocks": args.lock_clocks,
        "collector": collector,
        "gpu": args.gpu,
    }
    return RunRequest.from_dict(data)


def _sampling(args: argparse.Namespace) -> dict[str, Any]:
    least = min(args.min_images, args.measured_images)
    if args.target_precision is not None and least < 2:
        what = f"{least} image tells no precision, which --target-precision asks for"
        raise ConfigError("--min-images", what, "expected: at least 2, better 30")
    return {
        "warmup_images": args.warmup_images,
        "measured_images": args.measured_images,
        "min_images": least,
        "time_budget_s": args.time_budget_s or None,
        "target_precision": args.target_precision,
        "precision_min_images": _given(args.precision_min_images, PRECISION_IMAGES),
        "precision_min_s": _given(args.precision_min_s, PRECISION_S),
    }
