"""What is left of a measurement that failed: why, beside its record, until it succeeds.

The rest of a study goes on without it. So each output of such a job is there, without contents,
unless an earlier measurement has left one: that stays, and the note says that it counts no more.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from pydantic.dataclasses import dataclass

from .files import write_text
from .models import CLOSED, Text, checked, jsonable
from .request import RunRequest

FAILED: Literal["failed"] = "failed"


@dataclass(frozen=True, config=CLOSED)
class Failure:
    """A measurement of a run, or the reading of its profile, that came to no end."""

    status: Literal["failed"]
    problem: Text
    request: RunRequest
    failed_utc: str


def note_of(record: Path) -> Path:
    """The file of the note: of ``run.json`` it is ``run.failed.json`` beside it."""
    return record.with_name(f"{record.stem}.failed.json")


def begin(record: Path, request: RunRequest) -> None:
    """Takes note that a measurement has begun: if it is killed, nobody can say so afterwards.

    Raises:
        OSError: the folder cannot be written.
    """
    _write(note_of(record), request, "the measurement was begun and did not end")


def fail(record: Path, request: RunRequest, problem: str) -> None:
    """Takes note that a measurement failed; where no record is, the note is it.

    Args:
        record: ``run.json`` or ``latency.json`` of the process.
        request: what was to be measured.
        problem: why it failed, in a line.

    Raises:
        OSError: the folder cannot be written.
    """
    _write(note_of(record), request, problem)
    if not is_whole(record):
        write_text(record, note_of(record).read_text(encoding="utf-8"))


def end(record: Path) -> None:
    """Takes the note away: the record is that of the measurement asked for."""
    note_of(record).unlink(missing_ok=True)


def read_failure(record: Path) -> Failure | None:
    """Why the record is not that of the latest measurement; None where it is."""
    with suppress(OSError, ValueError):
        return checked(Failure, json.loads(note_of(record).read_text(encoding="utf-8")))
    return None


def is_whole(record: Path) -> bool:
    """Whether a record of a measurement is there, of this one or of an earlier one."""
    return status_of(record) not in (None, FAILED)


def status_of(record: Path) -> object:
    """The status that a record gives; None where it cannot be read."""
    with suppress(OSError, ValueError):
        document = json.loads(record.read_text(encoding="utf-8"))
        return document.get("status") if isinstance(document, dict) else None
    return None


def one_line(error: BaseException) -> str:
    """An exception in a line: one of ours as it stands, else with its class."""
    from .errors import UserError

    text = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split()).removesuffix(":")


def or_note(
    record: Path | None, action: Callable[[], object], otherwise: Callable[[], object]
) -> None:
    """Reads a profile; in a study, what goes wrong there is noted and the study goes on.

    Args:
        record: of the run whose profile it is; None: errors are raised.
        action: reads it, and writes what it finds.
        otherwise: writes outputs without contents where there are none.

    Raises:
        OSError: the record cannot be read, or a file not be written.
    """
    if record is None:
        action()
        return
    if read_failure(record) is not None and not is_whole(record):
        otherwise()  # there is nothing to read
        return
    try:
        action()
    except Exception as error:  # noqa: BLE001 - whatever it is: other runs do not depend on it
        print(f"error: {one_line(error)}", file=sys.stderr)
        if not note_of(record).is_file():
            request = json.loads(record.read_text(encoding="utf-8"))["request"]
            _write(note_of(record), RunRequest.from_dict(request), one_line(error))
        otherwise()


def _write(note: Path, request: RunRequest, problem: str) -> None:
    now = datetime.now(timezone.utc).isoformat(timespec="microseconds")
    failure = Failure(FAILED, " ".join(problem.split()) or "no message", request, now)
    write_text(note, json.dumps(jsonable(failure), indent=1) + "\n")
