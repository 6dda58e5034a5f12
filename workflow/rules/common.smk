# What the rules share: the checked configuration, the plan made from it, and how our programs
# are called. Everything of substance is in profiling/study, typed and tested.

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, workflow.basedir)

from profiling.collectors.nsys import choose
from profiling.errors import UserError
from profiling.study.config import load_config
from profiling.study.container import choose_in_image, find_image, prepare_environment
from profiling.study.decisions import Decisions
from profiling.study.digest import code_digest
from profiling.study.environment import container_prefix, exports, host_prefix
from profiling.study.foreign_check import check_foreign_methods
from profiling.study.options import run_options
from profiling.study.plan import (
    figure_names,
    first_processes,
    plan_counts,
    plan_runs,
    planned_records,
    process_pattern,
)
from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

CACHE = Path(".snakemake/adscale")
CHECKOUT = Path(workflow.basedir)
# whether Snakemake was called with --use-singularity, by that or another of its names
IN_CONTAINER = (
    DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method
)

try:
    STUDY = load_config(config)
    if IN_CONTAINER:
        IMAGE = find_image(STUDY.container, CACHE)
        COLLECTOR = choose_in_image(STUDY.collector, IMAGE, CACHE)
        RUNS = plan_runs(STUDY, COLLECTOR.name, IMAGE.digest)
        prepare_environment(STUDY, CHECKOUT, os.environ)
        PREFIX = container_prefix(CHECKOUT, CACHE)
    else:
        check_foreign_methods(STUDY, CACHE)
        COLLECTOR = choose(STUDY.collector, STUDY.nsys, CACHE)
        RUNS = plan_runs(STUDY, COLLECTOR.name)
        PREFIX = host_prefix(CHECKOUT, COLLECTOR.nsys)
    COUNTS = plan_counts(STUDY)
    HARDWARE_JSON = json.dumps({"gpus": STUDY.gpus, "sensors": STUDY.sensors})
    RECORDS = planned_records(RUNS, STUDY.latency)
    DECISIONS = Decisions(STUDY.skip_margin, Path("results"), CACHE / "decided")
    DECISIONS.write(RECORDS)
    # in the prefix, which Snakemake does not compare: these options must not cause a measurement
    shell.prefix(PREFIX + exports(RUN_OPTIONS=run_options(STUDY)))
except UserError as error:
    raise WorkflowError(f"configuration:\n{error}") from None


wildcard_constraints:
    method=r"[^/]+",
    variant=r"[^/]+",
    run=r"[^/]+/[^/]+/[^/]+/\d+(/process-\d+)?",
