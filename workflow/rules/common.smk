# What the rules share: the checked configuration, the plan made from it, and how our programs
# are called. Everything of substance is in profiling/study, typed and tested.

import json
import sys
from pathlib import Path

sys.path.insert(0, workflow.basedir)

from profiling.collectors.nsys import choose
from profiling.errors import UserError
from profiling.study.config import load_config
from profiling.study.digest import code_digest
from profiling.study.environment import shell_prefix
from profiling.study.foreign_check import check_foreign_methods
from profiling.study.plan import figure_names, plan_counts, plan_runs
from snakemake.exceptions import WorkflowError

try:
    STUDY = load_config(config)
    check_foreign_methods(STUDY, Path(".snakemake/adscale"))
    COLLECTOR = choose(STUDY.collector, STUDY.nsys, Path(".snakemake/adscale"))
    RUNS = plan_runs(STUDY, COLLECTOR.name)
    COUNTS = plan_counts(STUDY)
except UserError as error:
    raise WorkflowError(f"configuration:\n{error}") from None

shell.prefix(shell_prefix(Path(workflow.basedir), COLLECTOR.nsys))


wildcard_constraints:
    device=r"[^/]+",
    method=r"[^/]+",
    variant=r"[^/]+",
    resolution=r"\d+",
