"""One measurement at a time per GPU, or per machine where the CPU is measured.

The measuring process itself holds the lock, so that no scheduler's settings can get round it.
It is an advisory lock of the operating system: it ends with the process, however that ends.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from profiling.errors import DeviceError

LOCK_FOLDER = Path("/tmp")  # noqa: S108 - the one folder all users of a machine share, TMPDIR is not
POLL_S = 0.2
NOTE_EVERY_S = 10.0


@contextmanager
def measurement_lock(key: str, holder: str, folder: Path = LOCK_FOLDER) -> Iterator[None]:
    """Waits until nobody measures on the device, then holds it.

    Args:
        key: ``cpu``, or the UUID of a GPU.
        holder: who measures, for the message that others see.
        folder: where lock files lie; one folder for the machine.

    Raises:
        DeviceError: the lock file cannot be opened.
    """
    path = folder / f"adscale-{key}.lock"
    lock = FileLock(path, mode=0o666)
    note = path.with_suffix(".json")
    _acquire(lock, path, note)
    try:
        _write_note(note, holder)
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def _acquire(lock: FileLock, path: Path, note: Path) -> None:
    while True:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            pass
        except OSError as error:
            remedy = "remove that file if it is a left-over of another user"
            raise DeviceError(str(path), f"cannot be locked ({error.strerror})", remedy) from None
        else:
            return
        print(f"waiting for {_read_note(note)} on this device", file=sys.stderr, flush=True)
        try:
            lock.acquire(timeout=NOTE_EVERY_S, poll_interval=POLL_S)
        except Timeout:
            continue
        return


def _write_note(note: Path, holder: str) -> None:
    try:
        note.write_text(json.dumps({"pid": os.getpid(), "holder": holder}), encoding="utf-8")
    except OSError:  # a note left by another user; the lock itself is held
        return


def _read_note(note: Path) -> str:
    try:
        data = json.loads(note.read_text(encoding="utf-8"))
        return f"the measurement of {data['holder']} (process {data['pid']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another measurement"
