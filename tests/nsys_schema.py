"""Schemas of the exports of nsys: tables and columns of each version, without any row.

`export_schemas.json` holds them as they were found in exports. `python -m tests.nsys_schema
EXPORT.sqlite …` takes them out of further exports. Of versions of which no whole export was at
hand, only the differences are known; these are reconstructed here, and say so.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("export_schemas.json")

Columns = dict[str, str]
"""Declarations of a table's columns by their names, such as `INTEGER NOT NULL`."""

META = ("META_DATA_EXPORT", "EXPORT_META_DATA")
READ = (
    "NVTX_EVENTS", "CUPTI_ACTIVITY_KIND_RUNTIME", "CUPTI_ACTIVITY_KIND_KERNEL",
    "CUPTI_ACTIVITY_KIND_MEMCPY", "CUPTI_ACTIVITY_KIND_MEMSET", "CUPTI_ACTIVITY_KIND_GRAPH_TRACE",
    "StringIds", "TARGET_INFO_GPU",
)  # fmt: skip
"""Tables that are read, besides those of `META`."""


@dataclass(frozen=True)
class ExportSchema:
    """The tables of one version of the schema.

    Attributes:
        version: of the schema; empty where an export does not say.
        nsys: the version of nsys that exported it.
        tables: their columns.
        reconstructed: tables that were not seen in an export of this version: they are those of
            another one, changed by what is known to be different.
    """

    version: str
    nsys: str
    tables: Mapping[str, Columns]
    reconstructed: tuple[str, ...] = ()

    @property
    def sql(self) -> str:
        """Statements that create the tables."""
        return "\n".join(
            f"CREATE TABLE {table} ("
            + ", ".join(f'"{name}" {kind}'.rstrip() for name, kind in columns.items())
            + ");"
            for table, columns in self.tables.items()
        )

    @property
    def meta(self) -> str | None:
        """The table that tells the version; None where there is none."""
        return next((table for table in META if table in self.tables), None)


def schema_of_export(path: Path) -> tuple[str, str, dict[str, Columns]]:
    """Version of the schema, version of nsys, and the tables of an export, in their order."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        select = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid"
        names = [row[0] for row in connection.execute(select)]
        tables = {name: _columns(connection, name) for name in names}
        meta = next(name for name in META if name in tables)
        entries = dict(connection.execute(f"SELECT name, value FROM {meta}").fetchall())
    return entries["EXPORT_SCHEMA_VERSION"], entries["EXPORT_PRODUCT_VERSION"], tables


def _columns(connection: sqlite3.Connection, table: str) -> Columns:
    found = {}
    for _, name, kind, needed, _, key in connection.execute(f"PRAGMA table_info({table})"):
        words = [kind, *(["NOT NULL"] if needed else []), *(["PRIMARY KEY"] if key else [])]
        found[name] = " ".join(words)
    return found


def main(paths: Iterable[str]) -> None:
    """Adds the tables of exports to the file; a version may come from several of them."""
    found = json.loads(FILE.read_text()) if FILE.is_file() else {}
    for path in paths:
        version, nsys, tables = schema_of_export(Path(path))
        entry = found.setdefault(version, {"nsys": nsys, "tables": {}})
        entry["tables"] = {**tables, **entry["tables"]}
    in_order = sorted(found.items(), key=lambda item: [int(part) for part in item[0].split(".")])
    FILE.write_text(_text(dict(in_order)))


def _text(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The file: a table in each line."""
    versions = []
    for version, entry in found.items():
        tables = ",\n  ".join(
            f"{json.dumps(name)}: {json.dumps(columns)}"
            for name, columns in entry["tables"].items()
        )
        nsys = json.dumps(entry["nsys"])
        versions.append(f'{json.dumps(version)}: {{"nsys": {nsys}, "tables": {{\n  {tables}}}}}')
    return "{" + ",\n".join(versions) + "}\n"


def _seen() -> dict[str, ExportSchema]:
    found = json.loads(FILE.read_text())
    return {
        version: ExportSchema(version, entry["nsys"], entry["tables"])
        for version, entry in found.items()
    }


def _completed(seen: dict[str, ExportSchema]) -> dict[str, ExportSchema]:
    """Versions in which tables that are read were not seen, with those of the version before."""
    found: dict[str, ExportSchema] = {}
    latest: dict[str, Columns] = dict(seen["3.7.2"].tables)
    for version, schema in seen.items():
        wanted = [name for name in READ if name != "CUPTI_ACTIVITY_KIND_GRAPH_TRACE"]
        lacking = tuple(name for name in wanted if name not in schema.tables)
        tables = {**schema.tables, **{name: latest[name] for name in lacking}}
        found[version] = ExportSchema(version, schema.nsys, tables, lacking)
        latest |= schema.tables
    return found


def _without(columns: Columns, *names: str) -> Columns:
    return {name: kind for name, kind in columns.items() if name not in names}


def _reconstructed(seen: Mapping[str, ExportSchema]) -> dict[str, ExportSchema]:
    """Versions of which only differences are known, from the nearest one."""
    early = dict(seen["2.9.1"].tables)
    late = dict(seen["3.7.2"].tables)
    first = {name: columns for name, columns in early.items() if name not in META}
    kernels, calls, gpus = READ[2], READ[1], READ[-1]
    first[kernels] = _without(first[kernels], "mangledName", "sharedMemoryLimitConfig")
    first[calls] = _without(first[calls], "callchainId")
    first[gpus] = {"name": "TEXT", "deviceId": "INTEGER NOT NULL"}
    rebuilt = {
        "": ("2020", first),
        "3.0.0": ("2022.4.2", early),
        "3.1.7": ("2023.2.3", early),
        "3.13.2": ("2024.5", late),
    }
    return {
        version: ExportSchema(version, nsys, tables, tuple(tables))
        for version, (nsys, tables) in rebuilt.items()
    }


_SEEN = _seen()
EXPORTS: Mapping[str, ExportSchema] = dict(
    sorted(
        {**_completed(_SEEN), **_reconstructed(_SEEN)}.items(),
        key=lambda item: [int(part) for part in item[0].split(".") if part],
    )
)
"""By version of the schema, from the oldest on."""

SCHEMA = ExportSchema(
    "3.7.2",
    _SEEN["3.7.2"].nsys,
    {name: _SEEN["3.7.2"].tables[name] for name in (*READ[:5], "StringIds", META[0])},
).sql
"""Of the tables that nsys 2023.4.4 exports, those that most tests fill."""

if __name__ == "__main__":
    main(sys.argv[1:])
