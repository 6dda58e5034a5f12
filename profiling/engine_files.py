"""The files of engines: named by all that they follow from, and there as a whole or not at all.

An engine is exported in a process of its own, before the one that measures is started. It writes
into a folder that gets its name once all is in it, so what was killed halfway is never used.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from adscale.digest import run_digest
from adscale.engines import check_machine, cpu_features, has_engine_files, package_versions
from adscale.methods.registry import get_spec
from adscale.names import PROBLEM_NAME
from adscale.parts import program
from adscale.request import RunRequest

from .lock import alone_in

FACTS_NAME = "facts.json"
"""What the exporting process tells; the last file that it writes."""

START = "unfinished-"


def has_files(request: RunRequest) -> bool:
    """Whether the variant of a run has an engine that is exported."""
    return has_engine_files(request.variant)


def engine_key(request: RunRequest) -> str:
    """Names the files of a run's engine, by what they follow from: 24 hexadecimal digits.

    Args:
        request: of the run.

    Raises:
        OSError: the checkpoint cannot be read.
    """
    variant, spec = request.variant, get_spec(request.target)
    follows_from = {
        "target": request.target,
        "settings": request.as_dict()["settings"],
        "weights": None if request.checkpoint is None else _sha256(Path(request.checkpoint)),
        "variant": str(variant),
        "resolution": str(request.resolution),
        "seed": request.seed,
        "device_type": request.device_type,
        "threads": request.threads,
        "code": run_digest(spec, variant),
        "versions": package_versions(variant),
        "cpu": sorted(cpu_features()),
    }
    text = json.dumps(follows_from, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        for block in iter(lambda: stream.read(2**20), b""):
            digest.update(block)
    return digest.hexdigest()


Start = Callable[[Sequence[str]], int]
"""Runs a command to its end, and returns its exit code."""


class ExportFailedError(Exception):
    """An engine could not be exported.

    Args:
        returncode: of the process.
        problem: what ended it, in one line.
    """

    def __init__(self, returncode: int, problem: str) -> None:
        super().__init__(problem)
        self.returncode = returncode
        self.problem = problem


def engine_files(request: RunRequest, folder: Path, start: Start) -> Path:
    """The folder of the files of a run's engine, which are made where they are not there.

    Args:
        request: of the run.
        folder: of all engines of its results.
        start: runs the exporting process.

    Raises:
        ConfigError: this machine lacks what the engine needs.
        ExportFailedError: it could not be exported.
    """
    check_machine(request.variant, request.device_type, where="variant")
    key = engine_key(request)
    place = folder / key
    if (place / FACTS_NAME).is_file():
        return place
    with alone_in(folder):  # another process may have made it meanwhile
        for left_over in folder.glob(f"{START}*"):
            shutil.rmtree(left_over, ignore_errors=True)
        if not (place / FACTS_NAME).is_file():
            _export(request, place, start)
    return place


def _export(request: RunRequest, place: Path, start: Start) -> None:
    variant, resolution = request.variant, request.resolution
    print(f"exporting {request.method} {variant} {resolution} px", flush=True)
    with tempfile.TemporaryDirectory(prefix=START, dir=place.parent) as name:
        unfinished = Path(name)
        command = program("profiling", "engine", "--request", request.as_json())
        returncode = start([*command, "--out", str(unfinished)])
        if returncode != 0 or not (unfinished / FACTS_NAME).is_file():
            raise ExportFailedError(returncode, _problem(unfinished, returncode))
        shutil.rmtree(place, ignore_errors=True)  # without facts: damaged by hand
        shutil.copymode(place.parent, unfinished)
        unfinished.rename(place)
        unfinished.mkdir()  # what leaves the context removes a folder of this name
        _flush(place)


def _problem(unfinished: Path, returncode: int) -> str:
    said = unfinished / PROBLEM_NAME
    if said.is_file():
        return said.read_text(encoding="utf-8")
    return f"the exporting process ended with exit code {returncode}"


def _flush(place: Path) -> None:
    """Has the disk hold the folder under its name."""
    descriptor = os.open(place.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_facts(place: Path) -> Mapping[str, Mapping[str, object]]:
    """What the exporting process told, by submodule.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    facts: Mapping[str, Mapping[str, object]] = json.loads(
        (place / FACTS_NAME).read_text(encoding="utf-8")
    )
    return facts
