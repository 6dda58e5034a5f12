"""Whether a file of a study is whole, told from its ends: cheap enough for thousands of them."""

from __future__ import annotations

import os
from pathlib import Path

SQLITE_HEADER = b"SQLite format 3\0"
PARQUET_MARK = b"PAR1"
ENDS = {".csv": b"\n", ".html": b"</html>", ".png": b"IEND\xaeB`\x82", ".pdf": b"%%EOF"}
"""What whole files end with, but for white space."""


def damage(path: Path) -> str | None:
    """What is wrong with a file, in words; None where nothing is seen to be.

    SQLite files say how long they are; others end in their own way, a table as CSV with a line
    feed. Of files of other kinds only the emptiness is told.

    Args:
        path: a file that is there.

    Raises:
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    if size == 0:
        return "is empty"
    with path.open("rb") as file:
        begin = file.read(100)
        file.seek(-min(size, 16), os.SEEK_END)
        end = file.read()
    if path.suffix == ".sqlite":
        return _sqlite_damage(begin, size)
    if path.suffix == ".parquet":
        is_whole = begin.startswith(PARQUET_MARK) and end.endswith(PARQUET_MARK)
        return None if is_whole else "is cut off: no whole Parquet file"
    expected = ENDS.get(path.suffix, b"")
    is_whole = end.endswith(expected) or end.rstrip().endswith(expected)
    return None if is_whole else "is cut off: it does not end as such files do"


def _sqlite_damage(header: bytes, size: int) -> str | None:
    """Read the header, which says how long the file is (https://sqlite.org/fileformat2.html)."""
    if len(header) < 100 or not header.startswith(SQLITE_HEADER):
        return "is no SQLite database"
    page_bytes = int.from_bytes(header[16:18], "big")
    page_bytes = 65536 if page_bytes == 1 else page_bytes
    expected = page_bytes * int.from_bytes(header[28:32], "big")
    return None if size >= expected else f"is cut off: {size} of {expected} bytes"
