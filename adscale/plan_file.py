"""The plan of a study, from the process that makes it to the jobs that carry it out.

Snakemake starts itself again in every job that it submits, on another machine and perhaps hours
later. Planned there anew, a study would be that of the machine (its CPUs, its nsys) and of what
configuration and checkout have become meanwhile. So the plan is made once, on the submitting
machine; jobs read it from a file that a variable of their environment names.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .devices import IN_CONTAINER, DeviceConfig
from .digest import run_sources
from .errors import ConfigError
from .files import write_text
from .methods.registry import get_spec
from .models import read_json
from .plan import PlannedCount, PlannedRun, first_processes
from .request import CollectorName, RunRequest

VARIABLE = "ADSCALE_PLAN"
"""Variable of the environment: the file of the plan, below the working directory."""

PROCESS_FOLDERS, RUN_FOLDERS = "PROCESS_FOLDERS", "RUN_FOLDERS"
"""Names in shell commands: the folders of all processes of all runs, and of the first ones."""


class Plan(NamedTuple):
    """The plan as it was written."""

    collector: CollectorName
    runs: Mapping[str, PlannedRun]
    """By their path, as ``plan_runs`` gives them."""
    sources: Mapping[str, str]
    """The digest of the files behind a measurement, by target of the method."""
    hardware: Mapping[str, str]
    """Required part of the name of the hardware, by name of the device, where one is required."""
    latency: bool
    """Whether each process has a latency pass."""

    @classmethod
    def of(
        cls,
        collector: CollectorName,
        runs: Mapping[str, PlannedRun],
        devices: Iterable[DeviceConfig],
        latency: bool = True,
    ) -> Plan:
        """The plan of some runs, with the files as they are now."""
        targets = {run.request.target for run in runs.values()}
        sources = {name: run_sources(get_spec(name)) for name in targets}
        asked = {device.name: device.hardware for device in devices if device.hardware}
        inside = {f"{name}{IN_CONTAINER}": hardware for name, hardware in asked.items()}
        return cls(collector, runs, sources, {**inside, **asked}, latency)


def pass_plan(plan: Plan, folder: Path, environment: MutableMapping[str, str]) -> None:
    """Writes the plan and names its file in the environment that jobs inherit.

    Args:
        plan: of the study.
        folder: for files of plans, below the working directory, in which jobs start as well.
        environment: of this process; changed.

    Raises:
        OSError: the folder cannot be written.
    """
    runs = {path: _as_dict(run) for path, run in plan.runs.items()}
    text = json.dumps({**plan._asdict(), "runs": runs}, sort_keys=True)
    # named by its content: jobs of an earlier call may still wait for theirs
    file = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    if not file.is_file():
        for name, folders in _folders(plan).items():
            write_text(_list_file(file, name), "".join(f"results/{path}\n" for path in folders))
        write_text(file, text)
    environment[VARIABLE] = str(file)


def folder_lists(environment: Mapping[str, str]) -> dict[str, str]:
    """Arguments that stand for run folders, by the names of shell variables.

    ``@FILE`` rather than the folders themselves: Linux takes no argument of more than 128 KiB, and
    a shell command is one; three thousand folders are more.

    Args:
        environment: names the plan.
    """
    file = Path(environment[VARIABLE])
    return {name: f"@{_list_file(file, name)}" for name in (PROCESS_FOLDERS, RUN_FOLDERS)}


def figure_list(names: Iterable[str], environment: Mapping[str, str] = os.environ) -> str:
    """An argument that stands for names of figures, ``@FILE`` for the reason above.

    The file is named by its content, so that other names are another argument.

    Args:
        names: of the figures.
        environment: names the plan, beside which the file is.

    Raises:
        OSError: the folder cannot be written.
    """
    text = "".join(f"{name}\n" for name in names)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    file = Path(environment[VARIABLE]).with_name(f"figures-{digest}.txt")
    if not file.is_file():
        write_text(file, text)
    return f"@{file}"


class ListedCount(NamedTuple):
    """A count of a study, as ``python -m profiling counts`` reads it."""

    path: str
    """Folder below the results."""
    target: str
    """Of the method."""
    arguments: Sequence[str]
    """Of ``python -m profiling memory``."""
    digest: str
    """Of the arguments and of the code behind the count."""

    @property
    def name(self) -> str:
        """Its method and variant: method/variant."""
        return self.path.partition("/")[2]


def count_list(counts: Iterable[PlannedCount], environment: Mapping[str, str] = os.environ) -> str:
    """A file that lists the counts of a study.

    It is named by its content: another count, or other code, is another argument.

    Args:
        counts: of the study.
        environment: names the plan, beside which the file is.

    Raises:
        OSError: the folder cannot be written.
    """
    listed = [ListedCount(one.path, one.target, one.arguments, _digest(one)) for one in counts]
    text = json.dumps([one._asdict() for one in listed], indent=0)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    file = Path(environment[VARIABLE]).with_name(f"counts-{digest}.json")
    if not file.is_file():
        write_text(file, text)
    return str(file)


def _digest(count: PlannedCount) -> str:
    text = json.dumps([*count.arguments, count.code_digest])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_count_list(file: Path) -> list[ListedCount]:
    """Read what ``count_list`` wrote.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        listed = read_json(file.read_bytes())
        if not isinstance(listed, list):
            raise TypeError("it is no list")  # noqa: TRY301 - told as any other fault of the file
        return [ListedCount(**one) for one in listed]
    except (OSError, ValueError, TypeError) as error:
        what = f"the list of counts cannot be read ({error})"
        raise ConfigError(str(file), what, "call snakemake again, which writes it") from None


def _folders(plan: Plan) -> dict[str, list[str]]:
    return {PROCESS_FOLDERS: list(plan.runs), RUN_FOLDERS: first_processes(plan.runs)}


def _list_file(plan: Path, name: str) -> Path:
    return plan.with_name(f"{plan.stem}-{name.lower()}.txt")


def passed_plan(environment: Mapping[str, str]) -> Plan:
    """The plan that the submitting process made.

    Raises:
        ConfigError: the environment does not name it, or it cannot be read.
    """
    return read_plan(_plan_file(environment))


def read_plan(file: Path) -> Plan:
    """Read what ``pass_plan`` wrote.

    Raises:
        ConfigError: the file cannot be read.
    """
    data = _read(file)
    runs = {path: _from_dict(run) for path, run in data["runs"].items()}
    return Plan(data["collector"], runs, data["sources"], data["hardware"], data["latency"])


def _plan_file(environment: Mapping[str, str]) -> Path:
    name = environment.get(VARIABLE)
    if name is None:
        what = "did not reach this job with the environment of the process that submitted it"
        raise ConfigError(VARIABLE, what, "have the scheduler pass the environment on (--export)")
    return Path(name)


def check_sources(plan: Path, target: str) -> None:
    """Refuses to measure with other code than that of the plan: results must not be mixed.

    Args:
        plan: file of the plan.
        target: of the method.

    Raises:
        ConfigError: the files behind the measurement have changed since the study was called.
    """
    planned = _read(plan)["sources"].get(target)
    if planned != run_sources(get_spec(target)):
        what = f"the code that measures {target} has changed since this study was called"
        remedy = "end the study and call it again; what the change concerns is measured anew"
        raise ConfigError("checkout", what, remedy)


def expected_hardware(plan: Path, device: str) -> str | None:
    """Return the required part of a device's hardware name; None: it may be any.

    Args:
        plan: file of the plan.
        device: its name.

    Raises:
        ConfigError: the plan cannot be read.
    """
    hardware: str | None = _read(plan)["hardware"].get(device)
    return hardware


def _read(file: Path) -> Mapping[str, Any]:
    try:
        data = read_json(file.read_bytes())
        if not isinstance(data, dict) or set(data) != set(Plan._fields):
            raise ValueError("it is no plan")  # noqa: TRY301 - told as any other fault of the file
    except (OSError, ValueError) as error:
        what = f"the plan {file} cannot be read ({error})"
        remedy = "call snakemake in a folder that all machines share"
        raise ConfigError(VARIABLE, what, remedy) from None
    return data


def _as_dict(run: PlannedRun) -> dict[str, Any]:
    return {"request": run.request.as_dict(), "code_digest": run.code_digest}


def _from_dict(data: Mapping[str, Any]) -> PlannedRun:
    return PlannedRun(RunRequest.from_dict(data["request"]), data["code_digest"])
