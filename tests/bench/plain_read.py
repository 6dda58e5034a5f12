"""`python -m tests.bench.plain_read FILE READER`: reads what `attribute` needs, and drops it.

The same reader, the same columns, the same parts and threads, and nothing else.
"""

from __future__ import annotations

import sys
from pathlib import Path

from analysis.nsys.bulk import Field, Reader, discard_columns
from analysis.nsys.database import open_database

KERNELS = ("start", '"end"', "globalPid", "correlationId", "demangledName")
TABLES = {
    "CUPTI_ACTIVITY_KIND_RUNTIME": ("start", '"end"', "globalTid", "correlationId"),
    "CUPTI_ACTIVITY_KIND_KERNEL": KERNELS,
    "NVTX_EVENTS": ("rowid", "start", '"end"', "globalTid", "eventType", "domainId", "textId"),
}


def main(path: str, reader: Reader) -> None:
    """Reads them all."""
    with open_database(Path(path), reader) as database:
        for table, columns in TABLES.items():
            query = database.query([Field(column) for column in columns], table)
            discard_columns(database.uri, query, reader)


if __name__ == "__main__":
    main(sys.argv[1], "auto" if sys.argv[2] == "auto" else "sqlite3")
