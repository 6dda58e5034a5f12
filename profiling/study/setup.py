"""A study from its configuration to what the rules of the workflow work on. No torch.

Foreign methods are asked, before any job starts, whether they accept what the study asks of them.
That needs their code and torch, which planning does without: another process does it, where torch
is installed, and its answer is kept until the code or the question changes. Where torch is not
installed (the study runs in a container), the first job of the method finds the same faults.

Options that must not cause a measurement when they are switched. They are told to ``python -m
profiling run`` besides the request, which Snakemake compares: what has been measured stays
measured, with any option. One kind of run does depend on one of them: that which was left out for
its memory. Each record has a small file among its job's inputs, its decision. It is as old as can
be, so it causes nothing, unless the run was left out and would not be now: then it is new, and
Snakemake runs the job again. The same has what failed, or is damaged, tried again.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from adscale.config import (
    StudyConfig,
    check_submission,
    load_config,
)
from adscale.digest import source_digest
from adscale.files import write_text
from adscale.plan import plan_counts, plan_cpu_counts, plan_runs, planned_records
from adscale.plan_file import VARIABLE, Plan, folder_lists, pass_plan, passed_plan
from adscale.run_record import Prediction
from adscale.yaml_text import read_yaml, typed

from ..collectors.nsys import Choice, choose, planned_choice
from .checks import (
    check_collector,
    check_devices,
    check_folders,
    check_foreign_methods,
    check_images,
    check_named_files,
    measurable_here,
)
from .environment import (
    Image,
    choose_in_image,
    container_prefix,
    exports,
    find_image,
    host_prefix,
    prepare_environment,
)
from .finished import RESULTS, due_again


def run_options(study: StudyConfig) -> str:
    """Return the options of every run, for a shell.

    Args:
        study: its configuration.
    """
    options = []
    if study.skip_margin is not None:
        options.append(f"--skip-predicted-out-of-memory --memory-margin {study.skip_margin!r}")
    if study.environment:
        options.append(f"--environment {' '.join(study.environment)}")
    if study.foreign_processes != "flag":
        options.append(f"--foreign-processes {study.foreign_processes}")
    return " ".join(options)


AGAIN = "ADSCALE_AGAIN"
"""Variable of the environment: Snakemake was told to make again what is there. A measurement that
is there as it is planned is not taken then. Jobs on a cluster inherit it."""


STANDS = "What was recorded of this run, if anything, stands.\n"


class Decisions:
    """The decisions of a study, as files.

    Args:
        margin: share of the device's memory by which a count must exceed it for a run to be left
            out; None: no run is left out.
        results: folder of the records.
        folder: where the decisions lie.
    """

    def __init__(self, margin: float | None, results: Path, folder: Path) -> None:
        self._margin = margin
        self._results = results
        self._folder = folder
        self._counting = source_digest("profiling.prediction")

    def file(self, record: str) -> Path:
        """The decision on a record.

        Args:
            record: below the results: a run's folder/run.json or latency.json, or memory.json of
            a count.
        """
        return self._folder / record

    def write(self, records: Iterable[str]) -> None:
        """Brings the files up to date. They follow from the records: doing it twice is the same.

        Raises:
            OSError: the folder cannot be written.
        """
        for record in records:
            file = self.file(record)
            reason = self._outdated(self._results / record)
            if reason is not None:
                # Snakemake takes a new file for an old one where its content is
                _write(file, f"Decide anew: {reason}.\n")
            else:
                _write(file, STANDS)
                os.utime(file, (0, 0))

    def _outdated(self, record: Path) -> str | None:
        """Why a record that is there is to be made anew; None: it stands, or there is none."""
        if record.name == "memory.json":
            return _count_failed(record)
        again = due_again(record)
        if again is not None:
            return again
        prediction = _left_out(record)
        if prediction is None:
            return None
        if prediction.counted_by == self._counting and prediction.rules_out(self._margin):
            return None
        return f"margin {self._margin}, counting {self._counting}"


def _count_failed(record: Path) -> str | None:
    """Why a count is to be made anew: it failed as a whole, or its file is damaged."""
    if not record.is_file():
        return None
    with suppress(OSError, ValueError, LookupError, TypeError):
        if json.loads(record.read_text(encoding="utf-8"))["resolutions"]:
            return None
    return f"nothing is counted, of {record.stat().st_mtime_ns}"


def _left_out(path: Path) -> Prediction | None:
    """Why a run was left out; None where it was not, or there is no record that can be read."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["status"] == "predicted_out_of_memory":
            return Prediction(**record["prediction"])
    return None


def _write(file: Path, content: str) -> None:
    with suppress(OSError):
        if file.read_text(encoding="utf-8") == content:
            return
    write_text(file, content)


CHECKOUT = Path(__file__).parents[2]

CACHE = Path(".snakemake") / "adscale"
"""Files that are kept between calls, below the working directory of a study."""


class Call(NamedTuple):
    """How Snakemake was called."""

    in_container: bool
    """With ``--use-singularity``, by that or another of its names."""
    is_job: bool
    """By itself, on the machine that measures."""
    is_submitted: bool
    """With a profile for a cluster, whose machines measure."""
    is_dry: bool = False
    """Only to tell what would be done."""
    files: Sequence[Path] = ()
    """The configuration files that it has read."""
    given: Mapping[str, Any] = {}
    """Keys that the command line puts over them."""


class Setup(NamedTuple):
    """The objects that the rules of the workflow use."""

    study: StudyConfig
    collector: Choice
    plan: Plan
    decisions: Decisions
    container: str
    """The container of every job, where Snakemake runs jobs in one."""
    prefix: str
    """The beginning of every shell command. Snakemake does not compare it: what is told in it must
    not cause a measurement."""


def set_up(user: Mapping[str, Any], call: Call) -> Setup:
    """Checks a configuration and plans its study; in a job, takes the plan that was made.

    It writes the plan and the decisions, and changes variables of this process' environment, which
    jobs inherit.

    Args:
        user: the content of ``config.yaml``.
        call: of Snakemake, in the working directory.

    Raises:
        UserError: the configuration cannot be used, or what it names is not there.
        OSError: the working directory cannot be written.
    """
    user = _read(user, call)
    study = load_config(user)
    if call.is_submitted and not call.is_job:
        check_submission(user, call.in_container)
    image = None
    if call.in_container:
        image = find_image(study.container, CACHE)
        prepare_environment(study, CHECKOUT, os.environ)
    decisions = Decisions(study.skip_margin, RESULTS, CACHE / "decided")
    if call.is_job:
        plan = passed_plan(os.environ)
        assert plan.collector != "none", "a plan says who records the profiled pass"
        collector = planned_choice(plan.collector, study.nsys)
    else:
        check_named_files(study)
        check_images(study)
        collector = _collector(study, image, is_submitted=call.is_submitted)
        # of a container, or a cluster, nothing is known here
        here = study if call.in_container or call.is_submitted else measurable_here(study)
        study = dataclasses.replace(study, notes=here.notes)
        runs = plan_runs(here, collector.name, None if image is None else image.digest)
        plan = Plan.of(collector.name, runs, study.devices, study.latency)
        all_counts = (*plan_counts(study), *plan_cpu_counts(study))
        counts = [f"{count}/memory.json" for count in all_counts]
        written = [*planned_records(plan.runs, study.latency), *counts, "tables/x", "figures/x"]
        check_folders((RESULTS / file).parent for file in written)
        pass_plan(plan, CACHE / "plans", os.environ)
        check_collector(study, plan)
        if not (call.is_dry or call.is_submitted):
            check_devices(study, plan, CACHE, asks_torch=image is None)
        decisions.write([*planned_records(plan.runs, study.latency), *counts])
    container = study.container if image is None else image.url
    # who is on the machine that measures, in the process that sees the study through
    forks = not (call.in_container or call.is_job or call.is_submitted)
    prefix = _prefix(study, collector, image, os.getpid() if forks else None)
    return Setup(study, collector, plan, decisions, container, prefix)


def _read(user: Mapping[str, Any], call: Call) -> Mapping[str, Any]:
    """The configuration with what the command line says over it."""
    for file in () if call.is_job else call.files:
        read_yaml(file)  # Snakemake, which has read it, keeps the last of two keys of one name
    given = {key: typed(value) for key, value in call.given.items()}
    if not call.is_job:
        check_folders([CACHE.parent, CACHE, RESULTS])
    return {**user, **{key: _over(user.get(key), value) for key, value in given.items()}}


def _over(below: Any, given: Any) -> Any:
    """A key of the command line over that of the file, as Snakemake puts it there."""
    if isinstance(below, Mapping) and isinstance(given, Mapping):
        return {**below, **{key: _over(below.get(key), value) for key, value in given.items()}}
    return given


def _collector(study: StudyConfig, image: Image | None, *, is_submitted: bool) -> Choice:
    if image is not None:
        return choose_in_image(study.collector, image, CACHE)
    check_foreign_methods(study, CACHE)
    if is_submitted:  # the machines that measure test it
        assert study.collector != "auto", "check_submission refuses it"
        return planned_choice(study.collector, study.nsys)
    return choose(study.collector, study.nsys, CACHE)


def _prefix(study: StudyConfig, collector: Choice, image: Image | None, process: int | None) -> str:
    on_host = image is None
    place = host_prefix(CHECKOUT, collector.nsys) if on_host else container_prefix(CHECKOUT, CACHE)
    options = f"{run_options(study)} --plan {os.environ[VARIABLE]}"
    again = "--again" if os.environ.get(AGAIN) else ""
    options += f" {again}" if again else ""
    options += "" if process is None else f" --study {process}"
    lists = folder_lists(os.environ)
    return place + exports(RUN_OPTIONS=options, COUNT_OPTIONS=again, **lists)
