# The study: measure, count, fit, draw. Edit config/config.yaml; see docs/ for the rest.

import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.0")

CHECKOUT = Path(str(workflow.current_basedir))
sys.path.insert(0, str(CHECKOUT))

from adscale.errors import UserError
from adscale.yaml_text import read_yaml
from snakemake.exceptions import WorkflowError

# A file named on the command line takes the place of ours rather than being mixed with it,
# so that the methods of the one do not appear in the study of the other. As a module of another
# workflow this one gets its configuration from there (docs/running.md).
IS_MODULE = not Path(workflow.main_snakefile).samefile(CHECKOUT / "Snakefile")
CONFIG_FILES = workflow.overwrite_configfiles or (
    [] if IS_MODULE else ["config/config.yaml"]
)

if CONFIG_FILES == ["config/config.yaml"]:
    try:  # what Snakemake says of such a file is a traceback
        read_yaml(Path("config/config.yaml"))
    except UserError as error:
        raise WorkflowError(f"configuration:\n{error}") from None

    configfile: "config/config.yaml"


# The description at the top of Snakemake's own report (snakemake --report FILE).
report: "workflow/report/study.rst"


include: "workflow/rules/common.smk"


# The environment of every job where Snakemake is called with --use-singularity.
container: CONTAINER


include: "workflow/rules/profile.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        # all of it, so that what is missing is made again though what it is for is there
        STUDY_FILES.all,
        [list(rule.output.values()) for _, rule in TABLE_RULES],
        rules.figures.output,
        rules.report.output,
        rules.summary.output,


onstart:
    if (
        workflow.dag_settings.forceall
        or workflow.dag_settings.forcerun
        or workflow.dag_settings.forcetargets
    ):
        os.environ[AGAIN] = "1"
        again = 'RUN_OPTIONS="$RUN_OPTIONS --again"; COUNT_OPTIONS=--again; '
        shell.prefix(PREFIX + again)
    print(*STUDY.notes, COLLECTOR.reason, opening_words(PLAN, CACHE), sep="\n")


onsuccess:
    print(closing_words(PLAN, CACHE))
    if missing := missing_words(PLAN, ALL_COUNTS, since_s=STARTED_S):
        raise WorkflowError("\n".join(missing))


onerror:
    print(
        opening_words(PLAN, CACHE),
        *missing_words(PLAN, ALL_COUNTS, since_s=STARTED_S),
        "study: finished measurements are kept; what failed is told above and in results/logs",
        sep="\n",
    )
