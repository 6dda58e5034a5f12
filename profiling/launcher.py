"""Starts a measuring process, under nsys or alone, and puts what it wrote in place.

One process per measurement: what one leaves behind (memory, caches, a broken CUDA context) cannot
touch the next, and a process that Linux kills for its memory is still seen and recorded.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from adscale.errors import CollectorError, DeviceError, MethodError
from adscale.failure import JobError
from adscale.files import read_record, write_record
from adscale.names import (
    DRAFT_NAME,
    ENGINE_FOLDER,
    MADE_OF_PROFILE,
    PROBLEM_NAME,
    PROFILE_NAMES,
    record_name,
)
from adscale.parts import ROOT, program
from adscale.request import RunRequest
from adscale.run_record import Prediction, Problem, RunRecord

from .collectors.embedded import EmbeddedCollector
from .collectors.nsys import nsys_version, run_profiled
from .engine_files import ExportFailedError, engine_files, has_files
from .forks import ForkServer, can_be_forked
from .memory_limits import kernel_kills
from .processes import FORWARDED, Finished, how_ended, run_forwarding
from .study.shared_counts import SharedCounts
from .trail import fault_place, last_range

INTERRUPTED = tuple(128 + number for number in FORWARDED)
"""Exit codes of a measurement that was asked to end."""


class MeasurementFailedError(JobError):
    """The measuring process ended with an error.

    Args:
        returncode: its exit code, 128 + n where signal n ended it.
        problem: what ended it, in one line.
    """

    def __init__(self, returncode: int, problem: str) -> None:
        super().__init__(problem, interrupted=returncode in INTERRUPTED)
        self.returncode = returncode


def check_container(request: RunRequest) -> None:
    """Refuses to measure on the host what belongs into a container.

    Raises:
        DeviceError: the run belongs into a container, and this is none.
    """
    inside = any(os.environ.get(f"{name}_CONTAINER") for name in ("APPTAINER", "SINGULARITY"))
    if request.container is not None and not inside:
        what = f"this run belongs into the image {request.container}, and this is no container"
        raise DeviceError("container", what, "call snakemake with --use-singularity")


def launch(
    request: RunRequest,
    folder: Path,
    nsys: Path | None,
    hardware: str | None = None,
    log: str | None = None,
    passed_on: Sequence[str] = (),
    counted: Prediction | None = None,
    shared: SharedCounts | None = None,
    engines: Path | None = None,
    study: int | None = None,
) -> None:
    """Carries out a run in a process of its own.

    Its files appear in ``folder`` when the run is complete, its record last.

    Args:
        request: what to run.
        folder: the run's folder.
        nsys: the program, where the request's collector is nsys.
        hardware: part of the name of the hardware that must be here; None: any may be.
        log: file that holds what the process prints; None: it was seen.
        passed_on: names of variables that the process gets besides those of ``PASSED_ON``.
        counted: what the run needs, where another process of it has counted that; None: it is
            counted.
        shared: counts that the runs of other sizes may have left; None: there are none.
        engines: where the files of engines are kept; None: in ``folder``.
        study: the process of the study whose fork servers this one may come from; None: it is
            started anew.

    Raises:
        MeasurementFailedError: it failed for another reason than memory, or an export did.
        ConfigError: this machine lacks what the engine needs.
        CollectorError: the process was killed, or nsys recorded nothing.
    """
    record, kills_before = record_name(request.collector), kernel_kills()
    with _unfinished(folder, record) as unfinished:
        of_engine = _engine(request, engines or folder / ENGINE_FOLDER, passed_on)
        given = [*_counting(counted, shared), *of_engine]
        environment = measured_environment(request, os.environ, passed_on)
        command = _program(request, environment, study)
        command += ["--request", request.as_json(), "--out", str(unfinished)]
        command += [] if hardware is None else ["--hardware", hardware]
        returncode = _start(request, unfinished, nsys, [*command, *given], environment)
        if returncode != 0 and _is_done(returncode, unfinished / record, request):
            ending = _ending(returncode, unfinished, request, log)
            print(f"warning: {ending}; all was measured before, and is kept", file=sys.stderr)
        elif returncode != 0 or not (unfinished / record).is_file():
            _explain(returncode, unfinished, request, kills_before, log)
        _put(unfinished, folder, PROFILE_NAMES.get(request.collector), record)


@contextmanager
def _unfinished(folder: Path, record: str) -> Iterator[Path]:
    """A folder beside the files of a run for those that are not whole; goes away with its end."""
    folder.mkdir(parents=True, exist_ok=True)
    prefix = f".unfinished-{record}-"
    for left_over in folder.glob(f"{prefix}*"):  # of a run that was killed
        shutil.rmtree(left_over, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=folder) as name:
        yield Path(name)


def _put(unfinished: Path, folder: Path, profile: str | None, record: str) -> None:
    """Moves the files of a finished run to where they belong, the record last."""
    for file in filter(None, (profile, record)):
        (unfinished / file).chmod(_usual_mode())
        (unfinished / file).replace(folder / file)
    if profile is not None:
        _remove_older(folder, profile)


def _remove_older(folder: Path, profile: str) -> None:
    """Removes what was made of the measurement before, which would be taken for this one's."""
    for name in {*MADE_OF_PROFILE, *PROFILE_NAMES.values()} - {profile}:
        (folder / name).unlink(missing_ok=True)


def _usual_mode() -> int:
    """Permissions of a new file; what runs under nsys has no umask and lets everybody write."""
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


def _program(request: RunRequest, environment: Mapping[str, str], study: int | None) -> list[str]:
    """The program that measures, or that stands in for one that is forked."""
    if study is not None and can_be_forked(request):
        stand_in = ForkServer(study, request.process, environment).program()
        if stand_in is not None:
            return [*stand_in, "measure", "--forked"]
    return program("profiling", "measure")


def _start(
    request: RunRequest,
    unfinished: Path,
    nsys: Path | None,
    command: list[str],
    environment: Mapping[str, str],
) -> int:
    if nsys is None:
        return _exit_code(run_forwarding(command, environment))
    return run_profiled(
        nsys,
        unfinished / PROFILE_NAMES["nsys"],
        [*command, "--nsys-version", nsys_version(nsys)],
        trace_cuda=request.device_type == "cuda",
        graph_nodes=request.variant.engine == "cudagraph",
        environment=environment,
        secluded=request.lock_clocks is None,
    )


def _counting(counted: Prediction | None, shared: SharedCounts | None) -> list[str]:
    """Arguments that tell a measuring process what the run needs, or have it counted."""
    need: Mapping[str, Any] | None = None
    if counted is not None:
        need = {"needed_bytes": counted.needed_bytes, "incomplete": counted.incomplete}
    elif shared is not None:
        need = shared.known()
    if need is not None:
        return ["--need", json.dumps(need)]
    if shared is None:
        return []
    return ["--counts", str(shared.file), "--also", *map(str, shared.others)]


def _engine(request: RunRequest, folder: Path, passed_on: Sequence[str]) -> list[str]:
    """Arguments that tell a measuring process where its engine is, which is made if need be."""
    if not has_files(request):
        return []
    environment = measured_environment(request, os.environ, passed_on)

    def start(command: Sequence[str]) -> int:
        return _exit_code(run_forwarding(command, environment))

    try:
        return ["--engine", str(engine_files(request, folder, start))]
    except ExportFailedError as error:
        raise MeasurementFailedError(error.returncode, error.problem) from None


PASSED_ON = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TERM", "TMPDIR",
    "LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHON*", "VIRTUAL_ENV", "CONDA_PREFIX", "XDG_CACHE_HOME",
    "XDG_RUNTIME_DIR", "MPLCONFIGDIR", "ADSCALE_*", "COVERAGE_*",
    "CUDA_*", "CUDNN_*", "CUBLAS_*", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES",
    "NVIDIA_TF32_OVERRIDE", "OMP_*", "GOMP_*", "KMP_*", "MKL_*", "DNNL_*", "ONEDNN_*", "OPENBLAS_*",
    "MALLOC_*", "TORCH_*", "TORCHINDUCTOR_*", "PYTORCH_*", "HF_HOME", "HF_HUB_OFFLINE",
    "APPTAINER_CONTAINER", "SINGULARITY_CONTAINER",
)  # fmt: skip
"""Variables of the environment that a measured program gets, where they are set; ``*`` stands for
any ending. nsys writes all variables of a program with their values into its report, and so into
every export of it: what is not needed, such as somebody's password, does not get there."""

SECRET = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|API_?KEY|PRIVATE", re.IGNORECASE)
"""Names that no pattern of ours lets through."""


def measured_environment(
    request: RunRequest, around: Mapping[str, str], passed_on: Sequence[str] = ()
) -> dict[str, str]:
    """All of the environment of a measuring process.

    Threads are set before torch and its libraries start; Snakemake sets them to its own.

    Args:
        request: the run.
        around: the environment of this process.
        passed_on: names that the user adds to ``PASSED_ON``.
    """
    threads = str(request.threads)
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    path = os.pathsep.join([str(ROOT), *filter(None, [around.get("PYTHONPATH")])])
    # nvidia-smi and NVML count GPUs by PCI bus; CUDA shall do so, too
    extra = {"PYTHONPATH": path, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    if request.execution.deterministic:
        extra["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # without it cuBLAS is not, and torch refuses
    if request.gpu is not None:
        extra["CUDA_VISIBLE_DEVICES"] = request.gpu
    needed = {
        name: value
        for name, value in around.items()
        if name in passed_on
        or (not SECRET.search(name) and any(fnmatchcase(name, one) for one in PASSED_ON))
    }
    return {**needed, **dict.fromkeys(names, threads), **extra}


def _exit_code(finished: Finished) -> int:
    """Return the exit code of a shell: 128 + n for a process that signal n ended."""
    if finished.received is not None:
        return 128 + finished.received
    return finished.returncode if finished.returncode >= 0 else 128 - finished.returncode


def _is_done(returncode: int, record: Path, request: RunRequest) -> bool:
    """Whether a process failed only after its files were whole, in what is called at its end.

    nsys writes its report after that, and may lose ranges.
    """
    return record.is_file() and request.collector != "nsys" and returncode not in INTERRUPTED


def _explain(
    returncode: int, unfinished: Path, request: RunRequest, kills: int | None, log: str | None
) -> None:
    """Tells a process that Linux killed for its memory, a result, from every other failure."""
    if returncode != 128 + signal.SIGKILL:
        said = unfinished / PROBLEM_NAME
        if said.is_file():
            words = said.read_text(encoding="utf-8")
            raise MeasurementFailedError(returncode, words)
        ending = _ending(returncode, unfinished, request, log)
        raise MeasurementFailedError(returncode, str(ending))
    kills_after = kernel_kills()
    draft = unfinished / DRAFT_NAME
    if kills is None or kills_after is None or kills_after <= kills or not draft.is_file():
        what = f"the measuring process was killed (SIGKILL) {last_range(unfinished)}"
        remedy = "start the study again; finished runs are kept"
        raise CollectorError("measurement", what, remedy)
    record = read_record(draft, RunRecord, "start the study again")
    message = (
        "Linux killed the measuring process for want of memory (its count of such kills rose from "
        f"{kills} to {kills_after} during the run)"
    )
    problem = Problem(phase="unknown", message=message, requested_bytes=None)
    record = dataclasses.replace(record, problem=problem)
    write_record(unfinished / record_name(request.collector), record)
    write_empty_profile(unfinished, request)


def _ending(returncode: int, unfinished: Path, request: RunRequest, log: str | None) -> MethodError:
    """How a process ended that has said nothing itself."""
    done = (unfinished / record_name(request.collector)).is_file()
    how = f"ended with {how_ended(returncode)}{'' if done else ', its work undone,'}"
    if returncode > 128:
        how = f"was ended by {how_ended(returncode)}"
    place = fault_place(unfinished)
    where = f" ({place})" if place else ""
    when = "behind its last image, by what is called at the end" if done else last_range(unfinished)
    what = f"the measuring process {how} {when}{where}"
    return MethodError(request.target, what, f"see {log or 'what it has printed'}")


def write_empty_profile(folder: Path, request: RunRequest) -> None:
    """The profile of a process that ended early, where there is none.

    Args:
        folder: for it.
        request: names the collector.
    """
    name = PROFILE_NAMES.get(request.collector)
    if name is None or (folder / name).is_file():
        return
    if request.collector == "nsys":
        (folder / name).touch()  # `export` makes a profile without events of it
    else:
        EmbeddedCollector("cpu").write(folder / name)
