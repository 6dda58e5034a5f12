"""The registry of tables: read without what makes them, and the rules that follow from it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from adscale.table_rules import StudyFiles, TableRule, table_rule
from adscale.tables import Table
from analysis.registry import TABLE_JOBS, TABLES
from tests.conftest import CHECKOUT

HEAVY = ("pandas", "numpy", "scipy", "matplotlib", "pyarrow", "torch")
FILES = StudyFiles(
    processes=["results/d/M/v/64", "results/d/M/v/64/process-2"],
    records=["results/d/M/v/64/run.json", "results/d/M/v/64/process-2/run.json"],
    runs=["results/d/M/v/64"],
    counts=["results/counts/a b/v/memory.json"],
    cpu_counts=["results/counts/a b/v/cpu/memory.json"],
)
SETTINGS = {
    "no_latency": False,
    "extrapolate_to": 3000,
    "beyond_limit": True,
    "hardware": '{"gpus": []}',
    "bounds": '{"bf16": 0.03}',
}


def rule(command: str, **settings: object) -> TableRule:
    (job,) = (job for job in TABLE_JOBS if job.command == command)
    return table_rule(job, FILES, {**SETTINGS, **settings})


def run_without_heavy_packages(code: str) -> subprocess.CompletedProcess[str]:
    """Run code where importing a heavy package fails."""
    block = f"import sys; sys.modules.update(dict.fromkeys({HEAVY!r}))"
    return subprocess.run(
        [sys.executable, "-c", f"{block}\n{code}"],
        cwd=CHECKOUT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_declarations_are_read_without_what_makes_tables() -> None:
    done = run_without_heavy_packages(
        "from analysis.registry import TABLES; print(*(table.name for table in TABLES))"
    )
    assert done.stdout.split() == [table.name for table in TABLES], done.stderr


@pytest.mark.parametrize("attribute", ["command", "rule"])
def test_no_two_jobs_share_a_name(attribute: str) -> None:
    names = [getattr(job, attribute) for job in TABLE_JOBS]
    assert len(set(names)) == len(names)


def test_no_two_tables_or_columns_of_a_table_share_a_name() -> None:
    assert len({table.name for table in TABLES}) == len(TABLES)
    for table in TABLES:
        assert len(table.schema) == len(table.columns), table.name


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_columns_have_the_unit_that_their_name_ends_in(table: Table) -> None:
    ends = {"ms": "ms", "bytes": "bytes", "px": "px", "mhz": "MHz", "j": "J", "w": "W"}
    for column in table.columns:
        if "_" in column.name and column.type != "string":
            wanted = ends.get(column.name.rpartition("_")[2])
            assert wanted in (None, column.unit), column.name


def test_a_job_reads_tables_that_an_earlier_one_makes() -> None:
    known = {"runtime"}
    for job in TABLE_JOBS:
        needed = {table.name for argument in job.arguments for table in argument.reads}
        assert needed <= known, job.command
        known |= {output.table.name for output in job.outputs}


def test_rule_of_one_step_has_all_its_tables() -> None:
    made = rule("summarize")
    assert made.output == {
        "csv": "results/tables/runtime.csv", "parquet": "results/tables/runtime.parquet",
        "runs": "results/tables/runs.csv", "runs_parquet": "results/tables/runs.parquet",
        "kernels": "results/tables/kernels.csv",
        "kernels_parquet": "results/tables/kernels.parquet",
    }  # fmt: skip
    assert set(made.marks) == {"csv", "runs", "kernels"}
    assert made.marks["runs"]["labels"]["table"] == "runs.csv"
    assert made.folders == FILES.processes
    assert made.input["ranges"] == [f"{folder}/ranges.parquet" for folder in FILES.processes]
    assert made.command == (
        "python -m analysis summarize $PROCESS_FOLDERS -o results/tables/runtime.csv "
        "--runs results/tables/runs.csv --kernels results/tables/kernels.csv"
    )


def test_rule_takes_switches_and_values_from_the_configuration() -> None:
    assert " --no-latency " in rule("summarize", no_latency=True).command
    command = rule("fit").command
    assert " --runtime results/tables/runtime.csv --memory results/tables/memory.csv" in command
    assert " --extrapolate-to 3000 --beyond-limit -o " in command
    assert "--beyond-limit" not in rule("fit", beyond_limit=False).command
    assert "--resolutions" not in command
    feasible = rule("feasible")
    assert " --tables results/tables --hardware '{\"gpus\": []}' -o " in feasible.command
    counted = {"memory", "memory_methods", "memory_cpu", "memory_measured"}
    assert set(feasible.input) == {"runtime", *counted, "tiles"}


def test_rule_quotes_the_names_of_files() -> None:
    made = rule("measured-memory")
    assert "$RUN_FOLDERS --counts 'results/counts/a b/v/memory.json' -o " in made.command
    assert made.folders == FILES.runs


def test_every_argument_that_a_study_sets_is_known_to_the_workflow() -> None:
    wanted = {
        argument.name
        for job in TABLE_JOBS
        for argument in job.arguments
        if argument.source == "setting"
    }
    assert wanted == set(SETTINGS)
    text = (CHECKOUT / "workflow" / "rules" / "common.smk").read_text(encoding="utf-8")
    assert [name for name in wanted if f'"{name}":' not in text] == []
