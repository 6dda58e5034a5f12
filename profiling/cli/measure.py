"""``python -m profiling measure``: the process that measures. ``run`` starts it; users need not."""

from __future__ import annotations

import argparse
import dataclasses
import json
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from adscale.errors import DeviceError, MethodError, UserError, one_line
from adscale.files import write_record, write_text
from adscale.models import read_json
from adscale.names import DRAFT_NAME, PROBLEM_NAME, PROFILE_NAMES, record_name
from adscale.parts import COMMANDS
from adscale.request import RunRequest
from adscale.resolution import Resolution, resolution_argument
from adscale.run_record import RunRecord

from ..annotation import NvtxAnnotator, no_range
from ..lock import measurement_lock
from ..trail import Trail, error_place, last_range

if TYPE_CHECKING:
    from ..prediction import CountingProcess, Need


FAILED = 2
"""Exit code where a fault of the user's has ended the run."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser("measure", help=COMMANDS["profiling"]["measure"])
    parser.add_argument("--request", required=True, help="the run, as JSON")
    parser.add_argument("--out", required=True, type=Path, help="folder for the record")
    parser.add_argument("--nsys-version", default=None, help="version of the nsys that records")
    parser.add_argument("--hardware", default=None, help="part of its name, or the run fails")
    parser.add_argument(
        "--need", type=read_json, default=None, help="what the run needs, where it was counted"
    )
    parser.add_argument(
        "--counts", default=None, type=Path, help="where to leave counts that other runs take"
    )
    parser.add_argument(
        "--also",
        type=resolution_argument,
        nargs="*",
        default=(),
        metavar="PX",
        help="resolutions of these runs",
    )
    parser.add_argument(
        "--forked", action="store_true", help="it comes from a server (`profiling.fork_server`)"
    )
    parser.add_argument(
        "--engine", default=None, type=Path, help="folder of the files of the variant's engine"
    )
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Holds the device's lock, measures, and writes the record (and the embedded profile)."""
    request = RunRequest.from_json(args.request)
    args.out = args.out.absolute()  # a method may change the working directory
    try:
        _hold_and_measure(request, args)
    except UserError as error:
        if not _keep_problem(args.out, error):
            raise
        return FAILED
    except Exception as error:
        _keep_problem(args.out, error)
        raise
    except BaseException as ending:  # of the method's: signals to us arrive as SIGTERM
        ended = _exit_error(request, ending, args.out)
        if not _keep_problem(args.out, ended):
            raise ended from ending
        return FAILED
    return 0


def _hold_and_measure(request: RunRequest, args: argparse.Namespace) -> None:
    # torch is imported under the lock where the CPU is measured: importing it is work, too. On a
    # GPU the counting process is forked before anything asks for one, and counts under the lock.
    counting = None if request.device_type == "cpu" else _counting(request, args)
    key = "cpu" if counting is None else gpu_key(request.gpu)
    holder = f"{request.device}/{request.method}/{request.variant}/{request.resolution}"
    with measurement_lock(key, holder):
        if args.hardware is not None:
            check_hardware(args.hardware, request.device_type)
        counting = counting or _counting(request, args)
        need = counting.need()
        _leave_counts(args.counts, need, request.resolution, counting)
        _measure(request, need, args)


def _exit_error(request: RunRequest, ending: BaseException, folder: Path) -> MethodError:
    does = f"raises {one_line(ending)}"
    if isinstance(ending, SystemExit):
        does = f"calls sys.exit({ending.code!r})"
    what = f"{does} {last_range(folder)} ({error_place(ending)})"
    return MethodError(request.target, what, "take that out: nothing was measured")


def _keep_problem(folder: Path, error: Exception) -> bool:
    """Keeps what ends the run for the process that has started this one, which tells it.

    This one may have no standard error any more. Returns whether it is kept: a disk may be full.
    """
    with suppress(OSError):
        write_text(folder / PROBLEM_NAME, one_line(error))
        return True
    return False


def _counting(request: RunRequest, args: argparse.Namespace) -> CountingProcess:
    from ..prediction import CountingProcess, Need

    known = None if args.need is None else Need(**args.need)
    return CountingProcess(request, known, args.also)


def _leave_counts(
    file: Path | None, need: Need | str, resolution: Resolution, counting: CountingProcess
) -> None:
    """Leaves what was counted for the other runs; without it they count themselves."""
    if file is None or isinstance(need, str):
        return
    found = {resolution: need, **counting.others}
    with suppress(OSError):
        counts = {str(size): dataclasses.asdict(one) for size, one in found.items()}
        write_text(file, json.dumps(counts) + "\n")


def check_hardware(expected: str, device_type: str) -> None:
    """Refuses to measure on another kind of machine than the device's.

    Args:
        expected: part of the name of the GPU, or of the model of the CPU; upper case is lower case.
        device_type: of the device.

    Raises:
        DeviceError: this is another one.
    """
    from ..fingerprint import hardware_name

    found = hardware_name(device_type)
    if expected.lower() not in found.lower():
        what = f"this run landed on {found}, not on {expected}"
        remedy = "ask the scheduler for nodes that have it (gpu_model, constraint, partition)"
        raise DeviceError("devices", what, remedy)


def gpu_key(asked: str | None) -> str:
    """UUID of the GPU that will be measured."""
    import torch

    if not torch.cuda.is_available():
        if asked is not None and torch.version.cuda is not None:
            what = f"{asked} is not to be seen here"
            raise DeviceError("device.gpu", what, "`nvidia-smi -L` lists the GPUs of this machine")
        build = "is a build for CPUs" if torch.version.cuda is None else "sees no usable GPU"
        remedy = "set device.type: cpu, or install another build of torch (TORCH_INDEX, see README)"
        raise DeviceError("device.type", f"cuda was asked for, but torch {build}", remedy)
    from ..fingerprint import gpu_uuid

    return gpu_uuid()


def _measure(request: RunRequest, need: Need | str, args: argparse.Namespace) -> None:
    from ..runner import measure

    folder: Path = args.out
    forked: bool = args.forked

    def keep_draft(record: RunRecord) -> None:
        write_record(folder / DRAFT_NAME, dataclasses.replace(record, forked=forked))

    trail = Trail(folder)
    run = partial(measure, on_start=keep_draft, engine=args.engine and args.engine.absolute())
    if request.collector == "nsys":
        record = run(request, need, trail.follow(NvtxAnnotator()), args.nsys_version)
    elif request.collector == "none":
        record = run(request, need, trail.follow(no_range), None)
    else:
        from ..collectors.embedded import EmbeddedCollector

        with EmbeddedCollector(request.device_type) as collector:
            record = run(request, need, trail.follow(collector.annotate), None)
        collector.write(folder / PROFILE_NAMES["embedded"])
    if record.status == "predicted_out_of_memory" and record.problem is not None:
        print(record.problem.message, flush=True)
    record = dataclasses.replace(record, forked=forked)
    write_record(folder / record_name(request.collector), record)
