# What the rules share: the checked configuration, the plan made from it, and how our programs
# are called. Everything of substance is in profiling/study, typed and tested.

import json
import os
import time
from pathlib import Path

from adscale.devices import measurement_resources, scheduler_resources
from adscale.digest import code_digest
from adscale.errors import UserError
from adscale.figures import planned_figures
from adscale.plan import (
    first_processes,
    plan_counts,
    plan_cpu_counts,
    planned_records,
    process_pattern,
)
from adscale.plan_file import count_list, figure_list
from adscale.table_rules import StudyFiles, table_rule
from adscale.tables import summary_mark, table_argument
from analysis.figures.draw import FIGURES as FIGURE_KINDS
from analysis.figures.draw import TABLES as FIGURE_TABLES
from analysis.registry import TABLE_JOBS, TABLES
from profiling.study.checks import remove_damaged
from profiling.study.estimates import Costs
from profiling.study.failed import missing_words
from profiling.study.finished import RESULTS, closing_words, opening_words
from profiling.study.setup import AGAIN, CACHE, Call, set_up
from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

STARTED_S = time.time()
CALL = Call(
    in_container=DeploymentMethod.APPTAINER
    in workflow.deployment_settings.deployment_method,
    is_job=not workflow.is_main_process,
    # both come from a profile for a cluster; which executor will run is not known yet
    is_submitted=workflow.resource_settings.nodes is not None
    and workflow.resource_settings.default_resources is not None,
    is_dry=workflow.dryrun,
    files=[Path(file) for file in CONFIG_FILES],
    given=workflow.config_settings.overwrite_config,
)

try:
    STUDY, COLLECTOR, PLAN, DECISIONS, CONTAINER, PREFIX = set_up(config, CALL)
    COUNTS, CPU_COUNTS = plan_counts(STUDY), plan_cpu_counts(STUDY)
except UserError as error:
    raise WorkflowError(f"configuration:\n{error}") from None

shell.prefix(PREFIX)

RUNS = PLAN.runs
RECORDS = planned_records(RUNS, STUDY.latency)
FIGURES = planned_figures(
    FIGURE_KINDS, RUNS, COUNTS, latency=STUDY.latency, sensors=bool(STUDY.sensors)
)
HARDWARE_JSON = json.dumps({"gpus": STUDY.gpus, "sensors": STUDY.sensors})

# of the first process of each run: what a run takes in memory is not a matter of chance
STUDY_FILES = StudyFiles(
    processes=expand("results/{run}", run=RUNS),
    records=expand("results/{record}", record=RECORDS),
    runs=expand("results/{run}", run=first_processes(RUNS)),
    counts=expand("results/{count}/memory.json", count=COUNTS),
    cpu_counts=expand("results/{count}/memory.json", count=CPU_COUNTS),
)
ALL_COUNTS = {**COUNTS, **CPU_COUNTS}
SETTINGS = {
    "no_latency": not STUDY.latency,
    "extrapolate_to": STUDY.extrapolate_to_px,
    "beyond_limit": STUDY.extrapolate_beyond_limit,
    "hardware": HARDWARE_JSON,
    "bounds": json.dumps(STUDY.deviation_bounds),
}
TABLE_RULES = [(job, table_rule(job, STUDY_FILES, SETTINGS)) for job in TABLE_JOBS]

# What is cut off and follows from what was measured, is made again.
DERIVED = [
    *(file for _, rule in TABLE_RULES for file in rule.output.values()),
    *expand("results/figures/{name}.{kind}", name=FIGURES, kind=["pdf", "csv", "png"]),
    *("results/report.html", "results/summary.txt"),
    *expand("results/{run}/{name}.parquet", run=RUNS, name=["ranges", "kernels"]),
    *(expand("results/{run}/profile.sqlite", run=RUNS) if COLLECTOR.nsys else []),
]
if workflow.is_main_process and not workflow.dryrun:
    remove_damaged(DERIVED)

# what to ask a cluster for; on one machine nothing comes of it
COSTS = Costs(RUNS, RESULTS)
SCHEDULER = scheduler_resources(STUDY.devices)


def needed_by(rule):
    """Resources of a rule that measures, where its jobs are submitted."""
    if not CALL.is_submitted:
        return {}
    overwritten = workflow.resource_settings.overwrite_resources
    return measurement_resources(STUDY.devices, overwritten.get(rule, ()))


wildcard_constraints:
    method=r"[^/]+",
    variant=r"[^/]+",
    run=r"[^/]+/[^/]+/[^/]+/\d+(x\d+)?(/process-\d+)?",
