"""With what and on what a profile was recorded, as far as its export says."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from .bulk import Reader
from .database import Database, open_database

_EXPORT = ("META_DATA_EXPORT", "EXPORT_META_DATA")
_ENTRIES = {
    "nsys": "EXPORT_PRODUCT_VERSION",
    "schema": "EXPORT_SCHEMA_VERSION",
    "platform": "EXPORT_PLATFORM",
    "architecture": "EXPORT_ARCH",
}
_GPU = {
    "gpu": "name",
    "gpu memory bytes": "totalMemory",
    "gpu multiprocessors": "smCount",
    "gpu clock Hz": "clockRate",
}
SYSTEM_TABLE = "TARGET_INFO_SYSTEM_ENV"
_SYSTEM = {
    "driver": "NvDriverVersion",
    "cpu": "CpuDescription",
    "cpu cores": "CpuCores",
    "operating system": "OsDescription",
    "kernel": "SoftwareReleaseVersion",
}
"""Entries of `SYSTEM_TABLE`. Others of that table hold the recorder's whole environment,
in which there may be secrets: they are never read."""
SYSTEM_ENTRIES = frozenset(_SYSTEM.values())


def read_fingerprint(path: Path, reader: Reader = "auto") -> dict[str, str]:
    """What an export says of its machine and of nsys, by names for people.

    Args:
        path: the export.
        reader: see `open_database`.

    Raises:
        ProfileError: it cannot be read.
    """
    with open_database(path, reader) as database:
        found: dict[str, str] = {}
        for label, name in _ENTRIES.items():
            values = [one for table in _EXPORT for one in _entries(database, table, name)]
            found |= {label: values[0]} if values else {}
        for label, column in _GPU.items():
            text = _counted(database, "TARGET_INFO_GPU", column)
            found |= {label: text} if text else {}
        for label, name in _SYSTEM.items():
            values = [one for one in _entries(database, SYSTEM_TABLE, name) if one != "0"]
            found |= {label: ", ".join(dict.fromkeys(values))} if values else {}
        return found


def _entries(database: Database, table: str, name: str) -> list[str]:
    if not {"name", "value"} <= database.columns(table):
        return []
    rows = database.rows(["value"], table, f"name = '{name}' AND value IS NOT NULL")
    return [str(row[0]) for row in rows if str(row[0])]


def _counted(database: Database, table: str, column: str) -> str:
    """The values of a column, with how many rows have each: `4 x NVIDIA A100`."""
    if column not in database.columns(table):
        return ""
    values = Counter(str(row[0]) for row in database.rows([f'"{column}"'], table) if row[0])
    return ", ".join(
        value if count == 1 else f"{count} x {value}" for value, count in sorted(values.items())
    )
