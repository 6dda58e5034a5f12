"""A study from its configuration to what the rules of the workflow work on. No torch.

Foreign methods are asked, before any job starts, whether they accept what the study asks of them.
That needs their code and torch, which planning does without: another process does it, where torch
is installed, and its answer is kept until the code or the question changes. Where torch is not
installed (the study runs in a container), the first job of the method finds the same faults.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from adscale.config import (
    MethodConfig,
    StudyConfig,
    StudyConfigError,
    check_submission,
    load_config,
)
from adscale.digest import method_digest
from adscale.errors import ConfigError, UserError
from adscale.files import write_text
from adscale.plan import plan_runs, planned_records
from adscale.plan_file import VARIABLE, Plan, folder_lists, pass_plan, passed_plan

from ..collectors.nsys import Choice, choose, planned_choice
from .decisions import Decisions, run_options
from .environment import (
    Image,
    choose_in_image,
    container_prefix,
    exports,
    find_image,
    host_prefix,
    prepare_environment,
)
from .finished import RESULTS

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
        collector = _collector(study, image, is_submitted=call.is_submitted)
        runs = plan_runs(study, collector.name, None if image is None else image.digest)
        plan = Plan.of(collector.name, runs, study.devices, study.latency)
        pass_plan(plan, CACHE / "plans", os.environ)
        decisions.write(planned_records(plan.runs, study.latency))
    container = study.container if image is None else image.url
    return Setup(study, collector, plan, decisions, container, _prefix(study, collector, image))


def _collector(study: StudyConfig, image: Image | None, *, is_submitted: bool) -> Choice:
    if image is not None:
        return choose_in_image(study.collector, image, CACHE)
    check_foreign_methods(study, CACHE)
    if is_submitted:  # the machines that measure test it
        assert study.collector != "auto", "check_submission refuses it"
        return planned_choice(study.collector, study.nsys)
    return choose(study.collector, study.nsys, CACHE)


def _prefix(study: StudyConfig, collector: Choice, image: Image | None) -> str:
    on_host = image is None
    place = host_prefix(CHECKOUT, collector.nsys) if on_host else container_prefix(CHECKOUT, CACHE)
    options = f"{run_options(study)} --plan {os.environ[VARIABLE]}"
    return place + exports(RUN_OPTIONS=options, **folder_lists(os.environ))


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
    question = json.dumps([_question(method) for method in methods], sort_keys=True)
    code = "".join(method_digest(method.spec, "profiling.cli.methods") for method in methods)
    key = hashlib.sha256(f"{question}{code}".encode()).hexdigest()[:16]
    file = cache / f"foreign-methods-{key}.json"
    if not file.is_file():
        write_text(file, _ask(question))
    faults: list[Sequence[str]] = json.loads(file.read_text(encoding="utf-8"))
    if faults:
        raise StudyConfigError([UserError(*fault) for fault in faults])


def _question(method: MethodConfig) -> dict[str, Any]:
    return {
        "label": method.label,
        "target": method.spec.target,
        "settings": dict(method.settings),
        "resolutions": method.resolutions_px,
        "variants": method.variants,
    }


def _ask(question: str) -> str:
    path = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "profiling", "check", question],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ConfigError("methods", f"a method of yours ended the check ({last})", "mend it")
    return done.stdout.splitlines()[-1]
