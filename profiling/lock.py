"""One measurement at a time per GPU, or per machine where the CPU is measured.

The measuring process itself holds the lock, so that no scheduler's settings can get round it.
It is an advisory lock of the operating system (flock): it ends with the process, however that
ends, and holds between all containers and users that share the folder of lock files.

That folder is /tmp, or what ``ADSCALE_LOCK_FOLDER`` names where each job has a /tmp of its own.
Anybody may put anything there. So a lock file is opened without following
links; an existing one without O_CREAT, which Linux refuses to all but the owner where
``fs.protected_regular`` is set; and what is no lock file of ours is left as it is.
The file stays when the lock is released: who deletes it takes it from those who wait for it.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from adscale.errors import FORBIDS, DeviceError, reason_of

USUAL_FOLDER = "/tmp"  # noqa: S108 - the one folder all users of a machine share, TMPDIR is not
ENVIRONMENT_VARIABLE = "ADSCALE_LOCK_FOLDER"
_ELSEWHERE = f"name another folder of this machine in {ENVIRONMENT_VARIABLE}"
POLL_S = 0.2
NOTE_EVERY_S = 10.0
NOTE_BYTES = 4096


@contextmanager
def measurement_lock(key: str, holder: str, folder: Path | None = None) -> Iterator[None]:
    """Waits until nobody measures on the device, then holds it.

    Args:
        key: ``cpu``, or the UUID of a GPU.
        holder: who measures, for the message that others see.
        folder: where lock files lie; one folder for the machine. None: the usual one, or that of
            the environment.

    Raises:
        DeviceError: the lock file cannot be opened, or something else has its name.
    """
    path = (folder or lock_folder()) / f"adscale-{key}.lock"
    file = _acquire(path)
    try:
        _write_note(file, json.dumps({"pid": os.getpid(), "holder": holder}))
        yield
    finally:
        _write_note(file, "")
        fcntl.flock(file, fcntl.LOCK_UN)  # also where a child has inherited the file
        os.close(file)


def lock_folder() -> Path:
    """The folder of lock files.

    Raises:
        DeviceError: the environment names one that is not there.
    """
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    if named and not os.path.isdir(named):  # noqa: PTH112 - no error of its own
        remedy = "name one that all measurements on this machine see, or take the variable away"
        raise DeviceError(f"{ENVIRONMENT_VARIABLE}={named}", "there is no such folder", remedy)
    return Path(named or USUAL_FOLDER)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Waits until no other process measures into a folder, such as one that outlived its study.

    Where the file system has no such locks, it does not wait.

    Args:
        folder: of a run; it is made where it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        with suppress(OSError):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                what = f"waiting for another process that measures into {folder}"
                print(what, file=sys.stderr, flush=True)
                fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _acquire(path: Path) -> int:
    """The open lock file, locked."""
    while True:
        file = _open(path)
        try:
            _wait(file, path)
            if _is_still(file, path):
                _check_content(file, path)
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)  # deleted while we waited, by what cleans up /tmp


def _open(path: Path) -> int:
    try:
        file = _open_or_create(path)
    except OSError as error:
        if path.is_symlink():
            raise _no_lock(path, "is a symbolic link, and no lock file of adscale") from None
        if path.is_dir():
            raise _no_lock(path, "is no lock file of adscale") from None
        what = f"cannot be made in this folder ({reason_of(error)})"
        remedy = "see to its permissions" if error.errno in FORBIDS else "see to that"
        raise DeviceError(str(path), what, f"{remedy}, or {_ELSEWHERE}") from None
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(file)
        raise _no_lock(path, "is no lock file of adscale")
    return file


def _open_or_create(path: Path) -> int:
    safely = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    while True:
        with suppress(FileNotFoundError):
            try:
                return os.open(path, os.O_RDWR | safely)
            except PermissionError:  # it can be locked all the same, without a note
                return os.open(path, os.O_RDONLY | safely)
        umask = os.umask(0)  # all users shall write their note
        try:
            with suppress(FileExistsError):
                return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | safely, 0o666)
        finally:
            os.umask(umask)


def _wait(file: int, path: Path) -> None:
    """Says for whom it waits: at first, when that changes, and now and then."""
    told, told_s = "", 0.0
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        except OSError as error:
            what = f"its file system has no locks ({reason_of(error)})"
            raise DeviceError(str(path), what, _ELSEWHERE) from None
        else:
            return
        holder = _read_note(file)
        if holder != told or time.monotonic() - told_s >= NOTE_EVERY_S:
            told, told_s = holder, time.monotonic()
            print(f"waiting for {holder} on this device", file=sys.stderr, flush=True)
        time.sleep(POLL_S)


def _is_still(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.lstat(path))
    except OSError:
        return False


def _check_content(file: int, path: Path) -> None:
    """Refuses a file of somebody else's, which a note would overwrite."""
    content = os.pread(file, NOTE_BYTES, 0)
    if content and _holder(content) is None:
        raise _no_lock(path, "is no lock file of adscale")


def _write_note(file: int, text: str) -> None:
    """Who holds the lock; nothing where the file is another user's and may not be written."""
    data = text.encode()
    with suppress(OSError):
        os.pwrite(file, data, 0)
        os.ftruncate(file, len(data))


def _read_note(file: int) -> str:
    return _holder(os.pread(file, NOTE_BYTES, 0)) or "another measurement"


def _holder(content: bytes) -> str | None:
    try:
        data = json.loads(content)
        return f"the measurement of {data['holder']} (process {data['pid']})"
    except (ValueError, KeyError, TypeError):
        return None


def _no_lock(path: Path, what: str) -> DeviceError:
    remedy = "if it is yours, move it elsewhere: nothing else may have its name"
    return DeviceError(str(path), what, remedy)
