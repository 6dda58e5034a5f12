"""The rule of the workflow that follows from a job of the registry. No torch, no pandas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .marks import Mark
from .tables import Argument, Output, TableJob

TABLES = "results/tables"
"""Folder of the tables."""


@dataclass(frozen=True)
class StudyFiles:
    """What jobs read, by folders and files below the study's.

    Attributes:
        processes: folders of all processes.
        records: what each of them leaves.
        runs: folders of the first process of each run.
        counts: files of counts.
    """

    processes: Sequence[str]
    records: Sequence[str]
    runs: Sequence[str]
    counts: Sequence[str]


@dataclass(frozen=True)
class TableRule:
    """Arguments of a rule.

    Attributes:
        input: files by name.
        output: CSV and Parquet files by name.
        marks: how Snakemake's report files some of the outputs, by name.
        params: what the rule is to be run again for.
        shell: the command, with places for input, output, params and log.
    """

    input: Mapping[str, str | list[str]]
    output: Mapping[str, str]
    marks: Mapping[str, Mark]
    params: Mapping[str, Any]
    shell: str


def table_rule(job: TableJob, files: StudyFiles, settings: Mapping[str, Any]) -> TableRule:
    """The rule of a job.

    Args:
        job: of the registry.
        files: of the study.
        settings: what the configuration says, by the names of the jobs' arguments.
    """
    inputs: dict[str, str | list[str]] = {}
    params: dict[str, Any] = {}
    words = [f"python -m analysis {job.command}"]
    for argument in job.arguments:
        if argument.source == "setting":
            params[argument.name] = _setting(argument, settings[argument.name])
        elif argument.source is not None:
            inputs |= _inputs(argument, files)
            params |= _folders(argument, files)
        words += _words(argument)
    words += [f"{_option(job, output)} {{output.{_key(job, output)}:q}}" for output in job.outputs]
    return TableRule(
        input=inputs,
        output={
            name: f"{TABLES}/{file}"
            for output in job.outputs
            for name, file in _files(job, output).items()
        },
        marks={_key(job, output): output.table.mark for output in job.outputs},
        params=params,
        shell=" ".join([*words, "> {log:q} 2>&1"]),
    )


def _inputs(argument: Argument, files: StudyFiles) -> dict[str, str | list[str]]:
    """Files that an argument stands for."""
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
    return {table.name: f"{TABLES}/{table.file}" for table in argument.reads}


def _folders(argument: Argument, files: StudyFiles) -> dict[str, list[str]]:
    """Folders that the shell takes from a variable, since they may be too many for a command."""
    folders = {"processes": files.processes, "runs": files.runs}.get(argument.source or "")
    return {} if folders is None else {"folders": list(folders)}


def _setting(argument: Argument, value: Any) -> Any:
    """A switch is its flag or nothing."""
    if argument.is_switch:
        return argument.flag if value else ""
    return value


def _words(argument: Argument) -> list[str]:
    """The argument in the command."""
    name = argument.name
    value = {
        "table": f"{{input.{name}:q}}",
        "processes": "$PROCESS_FOLDERS",
        "runs": "$RUN_FOLDERS",
        "counts": "{input.counts:q}",
        "tables": TABLES,
        "setting": f"{{params.{name}}}" if argument.is_switch else f"{{params.{name}:q}}",
    }.get(argument.source or "")
    if value is None:
        return []
    has_flag = argument.flag.startswith("-") and not argument.is_switch
    return [argument.flag, value] if has_flag else [value]


def _option(job: TableJob, output: Output) -> str:
    return "-o" if output == job.outputs[0] else output.option


def _key(job: TableJob, output: Output) -> str:
    """Name of the CSV file among the rule's outputs."""
    return "csv" if output == job.outputs[0] else output.name


def _files(job: TableJob, output: Output) -> dict[str, str]:
    key = _key(job, output)
    parquet = "parquet" if key == "csv" else f"{key}_parquet"
    return {key: output.table.file, parquet: f"{output.table.name}.parquet"}
