"""The rule of the workflow that follows from a job of the registry of tables."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .tables import Argument, Mark, Source, TableJob

TABLES = "results/tables"
"""Folder of the tables."""


@dataclass(frozen=True)
class StudyFiles:
    """The inputs of jobs, by folders and files below the study's.

    Attributes:
        processes: folders of all processes.
        records: what each of them leaves.
        runs: folders of the first process of each run.
        counts: files of counts.
        cpu_counts: files of counts for a CPU; none without such a device.
    """

    processes: Sequence[str]
    records: Sequence[str]
    runs: Sequence[str]
    counts: Sequence[str]
    cpu_counts: Sequence[str] = ()

    @property
    def all(self) -> list[str]:
        """All of these files."""
        inputs = (_inputs(Argument(source, source=source), self) for source in _READ)
        return [file for one in inputs for files in one.values() for file in files]


_READ: tuple[Source, ...] = ("processes", "counts", "cpu_counts")
"""Sources of arguments that stand for files of a study, without those among others."""


@dataclass(frozen=True)
class TableRule:
    """The parts of a rule.

    Attributes:
        input: files by name.
        output: CSV and Parquet files by name.
        marks: how Snakemake's report files some of the outputs, by name.
        folders: those that the command takes from a variable of the shell.
        command: for the shell.
    """

    input: Mapping[str, str | list[str]]
    output: Mapping[str, str]
    marks: Mapping[str, Mark]
    folders: Sequence[str]
    command: str


def table_rule(job: TableJob, files: StudyFiles, settings: Mapping[str, Any]) -> TableRule:
    """The rule of a job.

    Args:
        job: of the registry.
        files: of the study.
        settings: what the configuration says, by the names of the jobs' arguments.
    """
    inputs: dict[str, str | list[str]] = {}
    output: dict[str, str] = {}
    marks: dict[str, Mark] = {}
    folders: list[str] = []
    words = ["python", "-m", "analysis", job.command]
    for argument in job.arguments:
        inputs |= _inputs(argument, files)
        folders += {"processes": files.processes, "runs": files.runs}.get(argument.source or "", [])
        words += _words(argument, inputs, settings)
    for one in job.outputs:
        first = one == job.outputs[0]
        name = "csv" if first else one.name
        output[name] = f"{TABLES}/{one.table.file}"
        output["parquet" if first else f"{name}_parquet"] = f"{TABLES}/{one.table.name}.parquet"
        marks[name] = one.table.mark
        words += ["-o" if first else one.option, shlex.quote(output[name])]
    return TableRule(inputs, output, marks, folders, " ".join(words))


def _inputs(argument: Argument, files: StudyFiles) -> dict[str, str | list[str]]:
    """Files that an argument stands for, by name."""
    if argument.source == "processes":
        return {
            "ranges": [f"{folder}/ranges.parquet" for folder in files.processes],
            "kernels": [f"{folder}/kernels.parquet" for folder in files.processes],
            "records": list(files.records),
        }
    if argument.source == "runs":
        return {"runs": [f"{folder}/run.json" for folder in files.runs]}
    if argument.source == "counts":
        return {"counts": list(files.counts)}
    if argument.source == "cpu_counts":
        return {"cpu_counts": list(files.cpu_counts)}
    return {table.name: f"{TABLES}/{table.file}" for table in argument.reads}


def _words(
    argument: Argument, inputs: Mapping[str, str | list[str]], settings: Mapping[str, Any]
) -> list[str]:
    """The argument in the command; nothing where a study does not give it.

    Run folders are taken from a variable: they may be more than a command can hold.
    """
    if argument.source is None:
        return []
    if argument.is_switch:
        return [argument.flag] if settings[argument.name] else []
    values = {
        "table": [shlex.quote(str(inputs.get(argument.name, "")))],
        "processes": ["$PROCESS_FOLDERS"],
        "runs": ["$RUN_FOLDERS"],
        "counts": [shlex.quote(file) for file in inputs.get("counts", ())],
        "cpu_counts": [shlex.quote(file) for file in inputs.get("cpu_counts", ())],
        "tables": [TABLES],
        "setting": [shlex.quote(str(settings.get(argument.name)))],
    }[argument.source]
    return [argument.flag, *values] if argument.flag.startswith("-") else values
