"""Files that appear whole or not at all."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from jsonschema import Draft202012Validator

from .validation import load_schema


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Writes a file under a temporary name beside it, then renames it.

    Args:
        path: the file; its folder is made where it is missing.
        write: writes the content to the stream that it is given.

    Raises:
        OSError: the folder cannot be written or the disk is full; no file is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # several machines may write to one folder, and processes of theirs have the same number
    temporary = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}")
    try:
        with temporary.open("wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically, in UTF-8.

    Raises:
        OSError: the folder cannot be written or the disk is full; no file is left behind.
    """
    write_atomically(path, lambda stream: stream.write(text.encode("utf-8")))


def write_json(path: Path, data: Mapping[str, Any], schema: str) -> None:
    """Checks ``data`` against ``workflow/schemas/<schema>.schema.json`` and writes it atomically.

    Raises:
        jsonschema.ValidationError: the data does not fit: a fault of ours, not of the user.
    """
    Draft202012Validator(load_schema(schema)).validate(data)
    write_text(path, json.dumps(data, indent=1, sort_keys=False) + "\n")
