"""What a study lacks: runs and counts that failed, named in each table, figure and page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adscale.failure import FAILED, read_failure
from adscale.files import read_record
from adscale.memory_record import MemoryRecord
from adscale.resolution import resolution_words
from adscale.tables import Argument, Table, TableJob, names_of
from adscale.variant import Variant

from .columns import SIZE, size_values

if TYPE_CHECKING:
    import pandas as pd

    from adscale.failure import Failure

Missing = Mapping[str, Any]
"""Columns that name a run or count, and the problem in `missing`."""

NAMES = ("device", "method", "variant", "resolution", "process", "pass")
BEGIN = "missing: "
NOT_COUNTED = "not counted: "
REFUSED = f"{NOT_COUNTED}refused: "
"""Begins what is said of a resolution at which a method does not run."""
MOST_SIZES = 3
"""So many resolutions are named one by one."""

NAMED = 6
"""So many are named in a caption one by one."""


def missing_of_job(job: TableJob, given: Mapping[str, Any]) -> list[Missing]:
    """What the inputs of a job lack.

    Args:
        job: of the registry.
        given: values of its arguments by their names, as the command line has them.

    Raises:
        ResultsError: an input cannot be read.
    """
    found: list[Missing] = []
    by_tables = any(argument.source == "table" for argument in job.arguments)
    for argument in job.arguments:
        value = given.get(argument.name)
        if value is None or (by_tables and argument.source == "runs"):  # the tables tell it
            continue
        if argument.source in ("processes", "runs"):
            # jobs that read runs alone may be carried out while latency passes are under way
            reads_latency = argument.source == "processes" and not given.get("no_latency")
            found += _of_folders(value, with_latency=reads_latency)
        elif argument.source in ("counts", "cpu_counts"):
            found += _of_counts(value)
        else:
            found += _of_tables(argument, value)
    return found


def _of_folders(folders: Iterable[Path], with_latency: bool) -> Iterator[Missing]:
    for folder in folders:
        for name, by_pass in (("run.json", "profiled"), ("latency.json", "latency")):
            failure = read_failure(folder / name) if with_latency or name == "run.json" else None
            if failure is not None:
                yield _of_failure(failure, by_pass)


def _of_failure(failure: Failure, by_pass: str) -> Missing:
    request = failure.request
    return {
        "device": request.device,
        "device_type": request.device_type,
        "method": request.method,
        "variant": str(request.variant),
        **size_values(request.resolution),
        "process": request.process,
        "pass": by_pass,
        "status": FAILED,
        "missing": failure.problem,
    }


def _of_counts(files: Iterable[Path]) -> Iterator[Missing]:
    for file in files:
        record = read_record(file, MemoryRecord, "count again with python -m profiling memory")
        for one in record.refused:
            yield {
                "method": record.method,
                "variant": str(record.variant),
                **size_values(one.resolution),
                "missing": f"{REFUSED if one.by_method else NOT_COUNTED}{one.reason}",
            }


def _of_tables(argument: Argument, value: Any) -> Iterator[Missing]:
    if argument.source == "table":
        yield from read_rows(value, argument.reads[0])
    elif argument.source == "tables":
        for table in argument.reads:
            if (value / table.file).exists():
                yield from read_rows(value / table.file, table)


def read_rows(file: Path, table: Table) -> list[Missing]:
    """What a table of a study says is missing.

    Raises:
        ResultsError: the table cannot be read.
    """
    import pandas as pd

    from .tables import read_missing

    rows = read_missing(file, table.schema).to_dict("records")
    known = (*NAMES, *names_of(SIZE), "device_type", "status", "missing")
    return [
        {
            **{str(k): v for k, v in row.items() if k in known and not pd.isna(v)},
            "missing": str(row["missing"]).removeprefix(BEGIN),
        }
        for row in rows
    ]


def refusal(one: Missing) -> str | None:
    """Why a method does not run at a resolution; None where something else is missing."""
    said = str(one["missing"])
    return said.removeprefix(REFUSED) if said.startswith(REFUSED) else None


def add_missing(table: pd.DataFrame, missing: Sequence[Missing]) -> pd.DataFrame:
    """A table with a row behind the others for each run or count that is missing.

    What the table has no column for is said in words.

    Args:
        table: with the column `missing`.
        missing: what its job lacks.
    """
    import pandas as pd

    from .tables import make_table

    schema = {str(name): str(kind) for name, kind in table.dtypes.items()}
    if not {"method", "missing"} <= schema.keys():
        return table
    rows = [_row(one, sizes, schema) for one, sizes in _alike(missing, schema)]
    if not rows:
        return table
    more = make_table(rows, schema)  # type: ignore[arg-type] # types of our own tables
    return pd.concat([table, more.drop_duplicates()], ignore_index=True)


def _alike(
    missing: Iterable[Missing], schema: Mapping[str, str]
) -> Iterator[tuple[Missing, list[str]]]:
    """What is told in one row, and the resolutions that it tells of in words."""
    groups: dict[tuple[Any, ...], tuple[Missing, list[str]]] = {}
    for one in missing:
        key = tuple(one.get(name) for name in (*NAMES, "missing") if _own_row(name, schema))
        _, sizes = groups.setdefault(key, (one, []))
        size = one.get("resolution")
        if "resolution" not in schema and size is not None and size not in sizes:
            sizes.append(str(size))
    yield from groups.values()


def _own_row(name: str, schema: Mapping[str, str]) -> bool:
    return name != "resolution" or name in schema


def _row(one: Missing, sizes: Sequence[str], schema: Mapping[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(schema)
    row |= {name: value for name, value in one.items() if name in schema}
    if "precision" in schema:
        row["precision"] = Variant.comparison_of(str(one.get("variant"))) or None
    said = [f"{', '.join(sizes)} px"] if sizes else []
    if "pass" not in schema and one.get("pass") == "latency":
        said.append("latency pass")
    if "process" not in schema and one.get("process", 1) > 1:
        said.append(f"process {one['process']}")
    row["missing"] = BEGIN + ": ".join([*said, one["missing"]])
    return row


def missing_names(missing: Iterable[Missing], named: int = NAMED) -> list[str]:
    """What is missing, without the reasons: ``Small reference-fp32 (not measured at 288 px)``.

    Args:
        missing: as tables say it; the same failure may stand in several of them.
        named: so many methods are named; of the others their number.
    """
    found: dict[str, dict[str, set[str]]] = {}
    for one in missing:
        name = " ".join(str(one[key]) for key in ("method", "variant") if one.get(key))
        said = str(one["missing"])
        what = "not counted" if NOT_COUNTED in said else "not measured"
        what = "refused" if REFUSED in said else what
        found.setdefault(name, {}).setdefault(what, set()).update(_size(one))
    words = [
        f"{name} ({', '.join(f'{what}{_at(px)}' for what, px in parts.items())})"
        for name, parts in found.items()
    ]
    more = len(words) - named
    return words if more <= 0 else [*words[:named], f"{more} more"]


def _size(one: Missing) -> list[str]:
    return [] if one.get("resolution") is None else [str(one["resolution"])]


def _at(sizes: set[str]) -> str:
    if len(sizes) > MOST_SIZES:
        return f" at {len(sizes)} resolutions"
    return f" at {resolution_words(sizes)} px" if sizes else ""


def missing_words(missing: Iterable[Missing], named: int = NAMED) -> list[str]:
    """What is missing in words such as ``Small reference-fp32 at 256, 288 px (problem)``."""
    sizes: dict[tuple[str, ...], set[str]] = {}
    passes: dict[tuple[str, ...], set[str]] = {}
    for one in missing:
        problem = str(one["missing"]).removeprefix("latency pass: ")
        by_pass = "latency" if problem != one["missing"] else str(one.get("pass", "profiled"))
        key = (*(str(one.get(name, "")) for name in ("method", "variant", "device")), problem)
        passes.setdefault(key, set()).add(by_pass)
        sizes.setdefault(key, set()).update(_size(one))
    words = [_words(*key, passes=passes[key], sizes=of) for key, of in sizes.items()]
    more = len(words) - named
    return words if more <= 0 else [*words[:named], f"{more} more"]


def _words(
    method: str, variant: str, device: str, problem: str, *, passes: set[str], sizes: set[str]
) -> str:
    name = " ".join(filter(None, (method, variant)))
    at = f" at {resolution_words(sizes)} px" if sizes else ""
    by_pass = "latency pass" if passes == {"latency"} else ""
    where = ", ".join(filter(None, (by_pass, f"on {device}" if device else "")))
    return f"{name}{at}{f', {where}' if where else ''} ({problem})"
