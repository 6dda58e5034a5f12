# What the rules share: the checked configuration, the plan made from it, and how our programs
# are called. Everything of substance is in profiling/study, typed and tested.

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, workflow.basedir)

from adscale.config import check_submission, load_config
from adscale.devices import scheduler_resources
from adscale.digest import code_digest
from adscale.errors import UserError
from adscale.plan import (
    figure_names,
    first_processes,
    plan_counts,
    plan_runs,
    planned_records,
    process_pattern,
)
from adscale.plan_file import (
    VARIABLE,
    Plan,
    folder_lists,
    hand_over,
    take_over,
)
from profiling.collectors.nsys import choose, planned_choice
from profiling.study.decisions import Decisions, run_options
from profiling.study.environment import (
    choose_in_image,
    container_prefix,
    exports,
    find_image,
    host_prefix,
    prepare_environment,
)
from profiling.study.estimates import Costs
from profiling.study.finished import closing_words, opening_words
from profiling.study.report_marks import figure_marks, summary_mark, table_mark
from profiling.study.setup import check_foreign_methods
from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

CACHE = Path(".snakemake/adscale")
CHECKOUT = Path(workflow.basedir)
# whether Snakemake was called with --use-singularity, by that or another of its names
IN_CONTAINER = (
    DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method
)

# A job on another machine carries out the plan that was made on this one.
IS_JOB = not workflow.is_main_process
# Both come from a profile for a cluster; which executor will run is not known yet.
SUBMITTED = (
    workflow.resource_settings.nodes is not None
    and workflow.resource_settings.default_resources is not None
)

try:
    STUDY = load_config(config)
    if SUBMITTED and not IS_JOB:
        check_submission(config, IN_CONTAINER)
    if IN_CONTAINER:
        IMAGE = find_image(STUDY.container, CACHE)
        prepare_environment(STUDY, CHECKOUT, os.environ)
    if IS_JOB:
        PLAN = take_over(os.environ)
        COLLECTOR = planned_choice(PLAN.collector, STUDY.nsys)
    elif IN_CONTAINER:
        COLLECTOR = choose_in_image(STUDY.collector, IMAGE, CACHE)
        PLAN = Plan.of(
            COLLECTOR.name,
            plan_runs(STUDY, COLLECTOR.name, IMAGE.digest),
            STUDY.devices,
            STUDY.latency,
        )
    else:
        check_foreign_methods(STUDY, CACHE)
        COLLECTOR = (
            planned_choice(
                STUDY.collector, STUDY.nsys
            )  # the machines that measure test it
            if SUBMITTED
            else choose(STUDY.collector, STUDY.nsys, CACHE)
        )
        PLAN = Plan.of(
            COLLECTOR.name,
            plan_runs(STUDY, COLLECTOR.name),
            STUDY.devices,
            STUDY.latency,
        )
    PREFIX = (
        container_prefix(CHECKOUT, CACHE)
        if IN_CONTAINER
        else host_prefix(CHECKOUT, COLLECTOR.nsys)
    )
    RUNS = PLAN.runs
    COUNTS = plan_counts(STUDY)
    FIGURES = figure_names(RUNS, COUNTS, STUDY.latency, bool(STUDY.sensors))
    HARDWARE_JSON = json.dumps({"gpus": STUDY.gpus, "sensors": STUDY.sensors})
    RECORDS = planned_records(RUNS, STUDY.latency)
    DECISIONS = Decisions(STUDY.skip_margin, Path("results"), CACHE / "decided")
    if not IS_JOB:
        hand_over(PLAN, CACHE / "plans", os.environ)
        DECISIONS.write(RECORDS)
    # in the prefix, which Snakemake does not compare: these options must not cause a measurement
    OPTIONS = f"{run_options(STUDY)} --plan {os.environ[VARIABLE]}"
    shell.prefix(PREFIX + exports(RUN_OPTIONS=OPTIONS, **folder_lists(os.environ)))
except UserError as error:
    raise WorkflowError(f"configuration:\n{error}") from None

# what to ask a cluster for; on one machine nothing comes of it
COSTS = Costs(RUNS, Path("results"))
SCHEDULER = scheduler_resources(STUDY.devices)


wildcard_constraints:
    method=r"[^/]+",
    variant=r"[^/]+",
    run=r"[^/]+/[^/]+/[^/]+/\d+(/process-\d+)?",
