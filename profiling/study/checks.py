"""What can be known of a study, or of a run, before it begins. No torch, numpy or Pillow in here.

What of a study needs them is asked of another process, where they are installed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from adscale.config import MethodConfig, StudyConfig, StudyConfigError
from adscale.damage import damage
from adscale.devices import IN_CONTAINER, detect_device_type
from adscale.digest import method_digest
from adscale.engines import machine_problem
from adscale.errors import ConfigError, UserError
from adscale.files import write_text
from adscale.methods.registry import check_files, get_spec
from adscale.models import CLOSED, Text, jsonable
from adscale.parts import ROOT, program
from adscale.plan_file import Plan
from adscale.request import RunRequest
from adscale.resolution import Resolution

from .finished import NOTES, RESULTS, unfinished_measurements


def check_files_of_run(request: RunRequest) -> None:
    """Refuses a run whose images or weights are not there, before it waits for the device.

    Raises:
        UserError: there is no image that can be read, or no such file.
    """
    check_files(get_spec(request.target), request.settings)
    if request.images is not None:
        from ..images import check_folder  # numpy and Pillow come with it

        check_folder(Path(request.images), request.max_image_megapixels, request.decoding)


def check_folders(folders: Iterable[Path]) -> None:
    """Refuses a study in folders that cannot be written, of which Snakemake tells a traceback.

    Args:
        folders: that the study writes to, or makes.

    Raises:
        ConfigError: one cannot be written, or the one above it that is there.
    """
    for folder in folders:
        there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
        if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK, effective_ids=True)):
            remedy = "see to its permissions, or start the study elsewhere; nothing was changed"
            raise ConfigError(str(there), "is no folder that can be written", remedy)


def check_named_files(study: StudyConfig) -> None:
    """Refuses methods whose weights or other files are not there.

    Raises:
        StudyConfigError: every one is listed.
    """
    faults: list[UserError] = []
    for method in study.methods:
        try:
            check_files(method.spec, method.settings, where=f"methods.{method.label}")
        except ConfigError as fault:
            faults.append(fault)
    if faults:
        raise StudyConfigError(faults)


def check_images(study: StudyConfig) -> None:
    """Refuses a folder of images of which none can be read.

    Raises:
        ConfigError: it is such a folder.
    """
    if study.images is None or importlib.util.find_spec("PIL") is None:
        return
    code = (
        "import json, sys; from pathlib import Path; from adscale.request import Decoding; "
        "from profiling.images import check_folder; folder, most, decoding = sys.argv[1:]; "
        "check_folder(Path(folder), float(most), Decoding(**json.loads(decoding)))"
    )
    most, decoding = str(study.max_image_megapixels), json.dumps(jsonable(study.decoding))
    done = _python("-c", code, study.images, most, decoding)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1].partition(": ")[2]
        raise ConfigError("images", last, "name a folder of images, or null")


def check_devices(study: StudyConfig, plan: Plan, cache: Path, *, asks_torch: bool) -> None:
    """Refuses to measure on a GPU where none can be used.

    What is measured already needs none: tables and figures of it can be made anywhere.

    Args:
        study: its configuration.
        plan: of it.
        cache: folder of the notes of finished measurements.
        asks_torch: whether the torch of this Python will measure.

    Raises:
        ConfigError: something is left to be measured on such a device.
    """
    names = {device.name for device in study.devices if device.type == "cuda"}
    if not names:
        return
    left = {one.request.device for one in unfinished_measurements(plan, RESULTS, cache / NOTES)}
    if not names & {name.removesuffix(IN_CONTAINER) for name in left}:
        return
    if detect_device_type() != "cuda":
        what = "cuda was asked for, but no NVIDIA driver is loaded here"
    elif asks_torch and _lacks_gpu():
        what = "cuda was asked for, but the torch that is installed here sees no usable GPU"
    else:
        return
    remedy = "set device.type: cpu, or start the study where a GPU is; nothing was changed"
    raise ConfigError("device.type", what, remedy)


def check_collector(study: StudyConfig, plan: Plan, results: Path = RESULTS) -> None:
    """Refuses to measure all anew because nsys came or went, unless the user says so.

    Args:
        study: its configuration.
        plan: of it.
        results: folder of the records.

    Raises:
        ConfigError: nothing was said of the collector, and what is there is another's.
    """
    if study.collector != "auto":
        return
    for run in plan.runs:
        with suppress(OSError, ValueError, LookupError, TypeError):
            record = json.loads((results / run / "run.json").read_text(encoding="utf-8"))
            before = record["request"]["collector"]
            if before != plan.collector:
                what = f"{results / run} was measured with {before}, which is {_why(before)} now"
                keep = "name it (nsys: PATH)" if before == "nsys" else "say collector: embedded"
                remedy = f"{keep}, or say collector: {plan.collector} to measure all of it again"
                raise ConfigError("collector", what, remedy)
            return


def _why(collector: str) -> str:
    return "not found or cannot be used" if collector == "nsys" else "not the first choice"


def _lacks_gpu() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    done = _python("environment")
    with suppress(ValueError, KeyError):
        return done.returncode == 0 and not json.loads(done.stdout)["gpu"]
    return False


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, *arguments] if arguments[0] == "-c" else program("profiling", *arguments),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )


def remove_damaged(files: Iterable[str]) -> None:
    """Removes files that are cut off and follow from others, so that they are made again.

    Records and what was measured stay; the decisions have these measured again.

    Args:
        files: outputs of jobs that only read what was measured.

    Raises:
        OSError: one cannot be removed.
    """
    for file in map(Path, files):
        fault = damage(file) if file.is_file() else None
        if fault is not None:
            print(f"study: {file} {fault}; it is removed, to be made again", file=sys.stderr)
            file.unlink()


def measurable_here(study: StudyConfig) -> StudyConfig:
    """A study without the variants that this machine lacks something for, which its notes tell.

    Args:
        study: its configuration.

    Raises:
        StudyConfigError: nothing of a method would be left.
    """
    device_types = {device.type for device in study.devices}
    problems = {
        variant: problem
        for method in study.methods
        for variant in method.variants
        for kind in device_types
        if (problem := machine_problem(variant, kind)) is not None
    }
    notes = tuple(f"left out: {what}; {remedy}" for what, remedy in problems.values())
    methods = tuple(
        dataclasses.replace(
            method, variants=tuple(one for one in method.variants if one not in problems)
        )
        for method in study.methods
    )
    nothing_left = [
        ConfigError(f"methods.{kept.label}", *problems[method.variants[0]])
        for method, kept in zip(study.methods, methods, strict=True)
        if not kept.variants
    ]
    if nothing_left:
        raise StudyConfigError(list(nothing_left))
    return dataclasses.replace(study, methods=methods, notes=(*study.notes, *notes))


@dataclass(frozen=True, config=CLOSED)
class MethodQuestion:
    """What ``python -m profiling check`` is asked of a method: will it do what a study wants?"""

    label: Text
    target: Text
    settings: Mapping[str, Any]
    resolutions: Annotated[tuple[Resolution, ...], Field(min_length=1)]
    variants: Annotated[tuple[Text, ...], Field(min_length=1)]


def check_foreign_methods(study: StudyConfig, cache: Path) -> None:
    """Checks settings, resolutions and variants of all foreign methods of a study.

    Args:
        study: its configuration.
        cache: folder for answers.

    Raises:
        StudyConfigError: a method cannot be imported, or does not accept what is asked.
    """
    methods = [method for method in study.methods if method.spec.foreign]
    if not methods or importlib.util.find_spec("torch") is None:
        return
    question = json.dumps([jsonable(_question(method)) for method in methods], sort_keys=True)
    code = "".join(method_digest(method.spec, "profiling.cli.study") for method in methods)
    key = hashlib.sha256(f"{question}{code}".encode()).hexdigest()[:16]
    file = cache / f"foreign-methods-{key}.json"
    if not file.is_file():
        write_text(file, _ask(question))
    faults: list[Sequence[str]] = json.loads(file.read_text(encoding="utf-8"))
    if faults:
        raise StudyConfigError([UserError(*fault) for fault in faults])


def _question(method: MethodConfig) -> MethodQuestion:
    return MethodQuestion(
        label=method.label,
        target=method.spec.target,
        settings=method.settings,
        resolutions=tuple(method.resolutions),
        variants=tuple(map(str, method.variants)),
    )


def _ask(question: str) -> str:
    done = _python("check", question)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ConfigError("methods", f"a method of yours ended the check ({last})", "mend it")
    return done.stdout.splitlines()[-1]
