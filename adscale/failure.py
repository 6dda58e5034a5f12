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

from .errors import one_line
from .files import write_text
from .models import CLOSED, Text, checked, jsonable, read_json
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
        return checked(Failure, read_json(note_of(record).read_bytes()))
    return None


def is_whole(record: Path) -> bool:
    """Whether a record of a measurement is there, of this one or of an earlier one."""
    return status_of(record) not in (None, FAILED)


def status_of(record: Path) -> object:
    """The status that a record gives; None where it cannot be read."""
    with suppress(OSError, ValueError):
        document = read_json(record.read_bytes())
        return document.get("status") if isinstance(document, dict) else None
    return None


class JobError(Exception):
    """A job of a run came to no end.

    Args:
        problem: what ended it, in one line.
        interrupted: whether it was asked to end, which is no fault of the run.
    """

    def __init__(self, problem: str, *, interrupted: bool) -> None:
        super().__init__(problem)
        self.problem = problem
        self.interrupted = interrupted


def or_note(
    record: Path | None,
    action: Callable[[], object],
    otherwise: Callable[[], object],
    measured: RunRequest | None = None,
) -> str | None:
    """Carries out a job of a run; in a study, what goes wrong is noted and the study goes on.

    Args:
        record: of the run; None: errors are raised.
        action: measures it, or reads its profile, and writes what it finds.
        otherwise: writes outputs without contents where there are none.
        measured: the request that ``action`` measures, of which there is a note from its begin on,
            since nobody can say so if it is killed; None: it reads a profile.

    Returns:
        Why there is nothing, in a line; None where it was carried out.

    Raises:
        JobError: it was asked to end.
        OSError: the record cannot be read, or a file not be written.
    """
    if record is None:
        action()
        return None
    failure = read_failure(record)
    if measured is not None:
        begin(record, measured)
    elif failure is not None and not is_whole(record):
        otherwise()  # there is nothing to read
        return failure.problem
    try:
        action()
    except Exception as error:
        # whatever it is: other runs do not depend on it
        of_job = error if isinstance(error, JobError) else None
        if of_job is not None and of_job.interrupted:
            raise
        problem = one_line(error) if of_job is None else of_job.problem
        print(f"error: {problem}", file=sys.stderr)
        if measured is not None:
            fail(record, measured, problem)
        elif failure is None:
            request = json.loads(record.read_text(encoding="utf-8"))["request"]
            _write(note_of(record), RunRequest.from_dict(request), problem)
        otherwise()
        return problem
    return None


def _write(note: Path, request: RunRequest, problem: str) -> None:
    now = datetime.now(timezone.utc).isoformat(timespec="microseconds")
    failure = Failure(FAILED, " ".join(problem.split()) or "no message", request, now)
    write_text(note, json.dumps(jsonable(failure), indent=1) + "\n")
