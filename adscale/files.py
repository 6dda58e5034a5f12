"""Files that appear whole or not at all, and the records among them."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from .errors import OutputError, ResultsError
from .memory_record import MemoryRecord
from .models import adapter, jsonable
from .run_record import RunRecord

AnyRecord = TypeVar("AnyRecord", RunRecord, MemoryRecord)


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Writes a file under a temporary name beside it, then renames it.

    Args:
        path: the file; its folder is made where it is missing.
        write: fills the file that it is given, whose name ends as that of ``path`` does.

    Raises:
        OSError: the folder cannot be written or the disk is full; no file is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # several machines may write to one folder, and processes of theirs have the same number
    writer = f"{platform.node()}.{os.getpid()}"
    temporary = path.with_name(f".{path.stem}.{writer}{path.suffix}")
    try:
        write(temporary)
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_output(path: Path, write: Callable[[Path], object]) -> None:
    """Writes a file that the user has asked for, as ``write_atomically`` does.

    Raises:
        OutputError: the folder does not exist or cannot be written.
    """
    try:
        write_atomically(path, write)
    except OSError as error:
        what = f"cannot be written ({error.strerror or error})"
        raise OutputError(path, what, "choose another output or free the disk") from error


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically, in UTF-8.

    Raises:
        OSError: the folder cannot be written or the disk is full; no file is left behind.
    """
    write_atomically(path, lambda temporary: temporary.write_bytes(text.encode("utf-8")))


def write_record(path: Path, record: RunRecord | MemoryRecord) -> None:
    """Writes a record atomically; its model has checked it when it was made.

    Raises:
        OSError: the folder cannot be written or the disk is full; no file is left behind.
    """
    write_text(path, json.dumps(jsonable(record), indent=1) + "\n")


def read_record(path: Path, model: type[AnyRecord], remedy: str) -> AnyRecord:
    """Reads a record, and checks it.

    Args:
        path: the file.
        model: of the record.
        remedy: what to do about a file that cannot be used.

    Raises:
        ResultsError: the file is missing, is no JSON, or no record of this version.
    """
    try:
        return adapter(model).validate_json(path.read_bytes())
    except OSError as error:
        raise ResultsError(path, f"cannot be opened ({error.strerror})", remedy) from error
    except ValidationError as error:
        raise ResultsError(path, _violation(error, model), remedy) from error


def shown_version(path: Path) -> object:
    """The version that a record gives for itself; None where it gives none that can be read."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document.get("schema_version") if isinstance(document, dict) else None


def _violation(error: ValidationError, model: type[RunRecord | MemoryRecord]) -> str:
    """The first fault, in words; one of the version explains all others."""
    faults = error.errors(include_url=False, include_input=False)
    if faults[0]["type"] == "json_invalid":
        return f"is no JSON ({faults[0]['ctx']['error']})"
    first = min(faults, key=lambda one: one["loc"] != ("schema_version",))
    place = ".".join(str(part) for part in first["loc"]) or "the document"
    return f"{place} violates {model.schema}.schema.json ({first['msg']})"
