# What the rules share: the checked configuration, the plan made from it, and how our programs
# are called. Everything of substance is in profiling/study, typed and tested.

import json
import shlex
import sys
from pathlib import Path

sys.path.insert(0, workflow.basedir)

from profiling.collectors.nsys import choose
from profiling.errors import UserError
from profiling.study.config import load_config
from profiling.study.digest import code_digest
from profiling.study.plan import plan_counts, plan_runs
from snakemake.exceptions import WorkflowError

try:
    STUDY = load_config(config)
    COLLECTOR = choose(STUDY.collector, STUDY.nsys, Path(".snakemake/adscale"))
    RUNS = plan_runs(STUDY, COLLECTOR.name)
    COUNTS = plan_counts(STUDY)
except UserError as error:
    raise WorkflowError(f"configuration:\n{error}") from None

RUN_GROUPS = list(dict.fromkeys(run.group for run in RUNS.values()))
NSYS_OPTION = f"--nsys {shlex.quote(str(COLLECTOR.nsys))}" if COLLECTOR.nsys else ""

# The working directory need not be the checkout, and `python` on PATH need not be ours.
PYTHON = f"PYTHONPATH={shlex.quote(str(workflow.basedir))} {shlex.quote(sys.executable)}"


wildcard_constraints:
    device=r"[^/]+",
    method=r"[^/]+",
    variant=r"[^/]+",
    resolution=r"\d+",
