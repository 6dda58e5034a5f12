"""``python -m profiling memory``: exact counts at any resolution, without running an image.

They become the record ``memory.json`` and a table for the terminal.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import pickle
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adscale.command_line import restored_streams
from adscale.devices import DeviceType
from adscale.errors import ConfigError, OutputError, UnsupportedResolutionError, UserError, one_line
from adscale.files import output_file, write_output, write_record
from adscale.memory_record import MemoryCount, MemoryRecord, RefusedCount, SubmoduleCount
from adscale.methods.registry import TARGETS, check_settings, get_spec, parse_variant
from adscale.methods.spec import MethodSpec, check_countable
from adscale.models import as_listed, jsonable, read_json
from adscale.parts import COMMANDS, program
from adscale.resolution import Resolution, resolution_argument
from adscale.run_record import SCHEMA_VERSION
from adscale.tables import text_table
from adscale.variant import NoVariantError, Variant

from ..processes import how_ended, run_forwarding
from .study import VARIANT_HELP, add_method_arguments, find_method

if TYPE_CHECKING:
    from ..memory.replay import Allocations

MIB = 2**20
GIGA = 10**9
LISTED = 4
"""Groups of tensors of a peak that are told in words."""
HEAD = (
    "resolution", "submodule", "parameters_mib", "buffers_mib", "activations_mib", "peak_mib",
    "kept_mib", "libraries_mib", "gflop",
)  # fmt: skip


def count_report(
    label: str,
    spec: MethodSpec,
    settings: Mapping[str, Any],
    variant: Variant,
    resolutions: Iterable[Resolution],
    device_type: DeviceType,
    *,
    each: bool = False,
    keep: Callable[[Allocations], None] | None = None,
) -> MemoryRecord:
    """Counts a method at several resolutions.

    Args:
        label: the user's name of the method.
        spec: of the method.
        settings: of the method, defaults filled in.
        variant: how it is computed, in which batch.
        resolutions: of the image; each is counted once.
        device_type: see ``count_memory``.
        each: whether a resolution that cannot be counted is left out, and why is written down.
        keep: receives the allocations at each resolution.

    Raises:
        UnsupportedResolutionError: the architecture does not run at one of the resolutions (of a
            method of the user's, or with `each`: at none of them); nothing is counted then.
        ConfigError: a method of the user's cannot be built at any of them.
    """
    from ..memory.counting import count_memory  # torch comes with it

    asked = list(dict.fromkeys(resolutions))
    # of a user's method a study asks for sizes that nobody knows it to have
    for resolution in () if each or spec.foreign else asked:
        check_countable(spec, settings, resolution)
    count = partial(
        count_memory, spec, settings,
        implementation=variant.implementation, batch=variant.batch, device_type=device_type,
        variant=variant, keep=keep,
    )  # fmt: skip
    counts, refused = _counted(count, asked, _leave_out(spec, each))
    return MemoryRecord(
        schema_version=SCHEMA_VERSION,
        method=label,
        target=spec.target,
        settings=settings,
        variant=variant,
        device_type=device_type,
        resolutions=counts,
        refused=refused,
    )


def _leave_out(spec: MethodSpec, each: bool) -> tuple[type[Exception], ...]:
    """Errors that leave out a resolution."""
    if each:
        return (Exception,)
    return (UserError,) if spec.foreign else ()


def _counted(
    count: Callable[..., MemoryCount],
    asked: Sequence[Resolution],
    leave_out: tuple[type[Exception], ...],
) -> tuple[tuple[MemoryCount, ...], tuple[RefusedCount, ...]]:
    counts: list[MemoryCount] = []
    refused: list[RefusedCount] = []
    for resolution in asked:
        try:
            counts.append(count(resolution=resolution))
        except leave_out as error:
            if resolution == asked[-1] and not counts:
                raise
            # what to do about a size that is refused is plain: ask for others
            is_size = isinstance(error, UnsupportedResolutionError)
            reason = " ".join(error.args[1].split()) if is_size else one_line(error)
            by_method = isinstance(error, UserError)
            refused.append(RefusedCount(resolution, reason, by_method=by_method))
    return tuple(counts), tuple(refused)


def format_table(report: MemoryRecord) -> str:
    """The report as lines of text: by resolution and submodule, and what decides the peak."""
    rows: list[tuple[str, ...]] = []
    for count in report.resolutions:
        resolution = str(count.resolution)
        rows += [_row(resolution, part.submodule, [part]) for part in count.submodules]
        rows.append(_row(resolution, "method", count.submodules))
    for one in report.refused:
        rows.append((str(one.resolution), "refused", *[""] * (len(HEAD) - 2)))
    head = (
        f"{report.method} ({report.target}), {report.variant}, batch "
        f"{report.variant.batch}, counted for {report.device_type}"
    )
    notes = [line for count in report.resolutions for line in _peak_words(count)]
    # of what depends on the resolution, what the last one has
    listed = "; ".join(report.resolutions[-1].not_counted)
    return "\n".join(
        [head, text_table(HEAD, rows, ["submodule"]), "", *notes, f"not counted: {listed}"]
    )


def _peak_words(count: MemoryCount) -> list[str]:
    """Says what the device must hold, and what the largest peak consists of."""
    part = count.largest_peak
    peak = part.peak
    where = f"{part.submodule}, {peak.operator}"
    if peak.layer:
        where += f" in {peak.layer}"
    groups = ", ".join(
        f"{group.tensors} x {group.operator}"
        f"{' of ' + group.layer if group.layer else ''} {_mib(group.bytes)}"
        for group in peak.alive[:LISTED]
    )
    words = (
        f"{count.resolution} px: needs {_mib(count.needed_bytes)} MiB; peak {_mib(peak.bytes)} "
        f"MiB in {where}"
    )
    more = " ..." if len(peak.alive) > LISTED else ""
    return [words, f"  alive in MiB: {groups}{more}"] if groups else [words]


def warnings_of(report: MemoryRecord) -> list[str]:
    """A line for each resolution of which something is not in the count."""
    told = [(count.resolution, count.incomplete) for count in report.resolutions]
    told += [(one.resolution, f"not counted: {one.reason}") for one in report.refused]
    return [f"warning: {report.method} at {one} px: {why}" for one, why in told if why]


def _row(resolution: str, name: str, parts: Sequence[SubmoduleCount]) -> tuple[str, ...]:
    """Sums over one submodule or over all of them, but of peaks the largest."""
    largest = max((part.peak for part in parts), key=lambda peak: peak.bytes)
    return (
        resolution,
        name,
        _mib(sum(part.parameters_bytes for part in parts)),
        _mib(sum(part.buffers_bytes for part in parts)),
        _mib(sum(part.activations_bytes for part in parts)),
        _mib(largest.bytes),
        _mib(largest.kept_bytes),
        _mib(sum(part.library_bytes for part in parts)),
        f"{sum(part.flops for part in parts) / GIGA:,.2f}",
    )


def _mib(size_bytes: int) -> str:
    text = f"{size_bytes / MIB:,.2f}"
    return "<0.01" if text == "0.00" and size_bytes else text


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser("memory", help=COMMANDS["profiling"]["memory"])
    add_method_arguments(parser)
    parser.add_argument(
        "--label", default=None, help="name in the output; --method is then a target"
    )
    parser.add_argument("--settings", default=None, help="settings as one JSON object")
    parser.add_argument("--variant", default="reference-fp32", help=VARIANT_HELP)
    parser.add_argument(
        "--resolution",
        type=resolution_argument,
        nargs="+",
        required=True,
        metavar="PX",
        help="side lengths in px, or width x height such as 2448x2048",
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
    parser.add_argument(
        "-o", "--output", type=output_file(".json"), default=None, help="write memory.json there"
    )
    parser.add_argument(
        "--snapshot",
        type=output_file(".pickle"),
        default=None,
        metavar="FILE.pickle",
        help="write the allocations of two inferences for torch's viewer of CUDA memory; of one "
        "resolution, for cuda",
    )
    parser.add_argument(
        "--each",
        action="store_true",
        help="leave out resolutions that cannot be counted, and write down why",
    )
    parser.add_argument(
        "--keep-going",
        action="store_true",
        help="with --label, --settings and -o: where counting fails, write down why, and end "
        "without an error",
    )
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Counts, writes and prints.

    Raises:
        UserError: the method, a setting, the variant, a resolution or the file cannot be used.
    """
    if args.keep_going:
        if None in (args.label, args.settings, args.output):
            what = "goes with --label, --settings and -o"
            raise ConfigError("--keep-going", what, "leave it out, or add them")
        return _count_or_note(args)
    if args.output is not None and (args.output.is_dir() or not args.output.name):
        raise OutputError(f"-o {args.output}", "is a folder", "name a file")
    # a method may change the working directory
    output = None if args.output is None else Path(args.output).absolute()
    label, spec, settings = _find(args)
    parse_variant(args.variant, spec, where="--variant")
    with restored_streams(aside=True):
        report = _report(args, label, spec, settings)
    if output is not None:
        write_output(output, lambda file: write_record(file, report))
    print(json.dumps(jsonable(report), indent=1) if args.json else format_table(report))
    for warning in warnings_of(report):
        print(warning, file=sys.stderr)
    return 0


def _report(
    args: argparse.Namespace, label: str, spec: MethodSpec, settings: Mapping[str, Any]
) -> MemoryRecord:
    # torch comes with them: imported here, faults of the command line are told at once
    from ..memory.counting import is_gpu_imaginable
    from ..methods.loading import load_method_class, resolve

    if spec.foreign:
        spec = resolve(spec)
        settings = check_settings(spec, settings)
    variant = parse_variant(args.variant, spec, where="--variant")
    device_type = args.device_type
    if device_type == "auto":
        device_type = "cuda" if is_gpu_imaginable() else "cpu"
    if not spec.foreign:
        load_method_class(spec)
    gc.freeze()  # to look through all that is imported, again and again, takes a fifth of the time
    if args.snapshot is None:
        return count_report(
            label, spec, settings, variant, args.resolution, device_type, each=args.each
        )
    from ..memory.replay import snapshot

    file = Path(args.snapshot).absolute()
    if device_type != "cuda" or len(set(args.resolution)) > 1:
        what = "is of one resolution on a CUDA device"
        raise ConfigError("--snapshot", what, "give one resolution and --device-type cuda")
    kept: list[Allocations] = []
    report = count_report(
        label, spec, settings, variant, args.resolution, device_type, keep=kept.append
    )
    write_output(file, lambda path: path.write_bytes(pickle.dumps(snapshot(kept[0]))))
    return report


def _count_or_note(args: argparse.Namespace) -> int:
    """Counts in a process of its own: whatever ends that, a method of the user's has its record."""
    try:
        Variant.of(args.variant)
    except NoVariantError as error:
        raise ConfigError("--variant", error.what, error.remedy) from None
    command = [word for word in sys.argv[1:] if word != "--keep-going"]
    with tempfile.TemporaryFile() as said:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = run_forwarding(program("profiling", *command, "--each"), environment, output=said)
        said.seek(0)
        text = said.read().decode(errors="replace")
    print(text, end="", flush=True)
    if done.received is not None:
        return 128 + done.received
    if done.returncode == 0 and args.output.is_file():
        return 0
    lines = text.strip().splitlines() if done.returncode > 0 else []
    problem = (
        lines[-1].removeprefix("error: ")
        if lines
        else f"it ended with {how_ended(done.returncode)}"
    )
    write_record(args.output, failed_record(args, problem))
    print(f"study: {args.label} {args.variant} cannot be counted: {problem}", flush=True)
    return 0


def failed_record(args: argparse.Namespace, problem: str) -> MemoryRecord:
    """A record that tells of each resolution why it is not counted.

    Args:
        args: of a command that gives ``--label``, ``--settings`` and ``-o``.
        problem: in one line.
    """
    return MemoryRecord(
        schema_version=SCHEMA_VERSION,
        method=args.label,
        target=args.method,
        settings=read_json(args.settings),
        variant=Variant.of(args.variant),
        device_type="cpu" if args.device_type == "cpu" else "cuda",
        resolutions=(),
        refused=tuple(RefusedCount(resolution, problem) for resolution in args.resolution),
    )


def _find(args: argparse.Namespace) -> tuple[str, MethodSpec, Mapping[str, Any]]:
    if args.method is None or (args.label is None and args.settings is None):
        return find_method(args)
    if args.set or args.config is not None:
        raise ConfigError(
            "--label, --settings", "do not go with --set or --config", "leave out the one or other"
        )
    spec = get_spec(as_listed(args.method, TARGETS), where="--method")
    given = _json_object(args.settings or "{}")
    return args.label or spec.target, spec, check_settings(spec, given, where="--settings")


def _json_object(text: str) -> Mapping[str, Any]:
    try:
        data = read_json(text)
    except ValueError as problem:
        raise ConfigError("--settings", f"is no JSON ({problem})", "quote it") from problem
    if not isinstance(data, dict):
        raise ConfigError("--settings", "is no JSON object", 'write e.g. {"size": "S"}')
    return data
