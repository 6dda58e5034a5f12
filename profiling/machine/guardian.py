"""A small process that undoes something when the process that started it ends, however it ends.

What a process sets on a machine and has to set back outlasts it where it is killed outright. The
guardian waits for the end of a pipe that only its owner can write to, which Linux closes with the
owner, and then acts. It is kept out of the clean-up of a run (``profiling.processes``): it has a
session of its own and an environment without the run's mark, and without what a profiler puts
there to follow a program's children. It holds no output of its owner's open, and ignores the
signals that ask to end.

Nobody can act for a process where everything is killed at once: a container that is stopped
outright, a batch job whose control group is.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
READY = b"ready"
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
START_S = 30.0
END_S = 30.0


class RestorerError(Exception):
    """The guardian did not come up: there is nobody who would act."""


class Restorer:
    """The owner's side.

    Args:
        command: program that calls :func:`restore_at_end`.

    Raises:
        RestorerError: it cannot be started, or ended before it was ready.
    """

    def __init__(self, command: Sequence[str]) -> None:
        kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",  # no folder is kept in use
                env={**kept, "PYTHONPATH": str(CHECKOUT)},
                start_new_session=True,
            )
        except OSError as error:
            raise RestorerError(str(error.strerror)) from None
        if not self._is_ready():
            self._process.kill()
            self._process.wait()
            raise RestorerError("it did not start")

    @property
    def pid(self) -> int:
        """Number of its process."""
        return self._process.pid

    def release(self) -> None:
        """Has it act now, and waits until it has."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)

    def _is_ready(self) -> bool:
        output = self._process.stdout
        assert output is not None
        with output:
            ready, _, _ = select.select([output], [], [], START_S)
            return bool(ready) and os.read(output.fileno(), len(READY)) == READY


def restore_at_end(action: Callable[[], None]) -> None:
    """The guardian's side: says that it is there, waits for its owner's end, and acts.

    Args:
        action: what to do then.
    """
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    os.write(1, READY)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    while os.read(0, 1):  # nobody writes; nothing is read at the end
        pass
    action()
