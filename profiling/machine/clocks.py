"""Locking the clock of a GPU for the time of a measurement, and setting it free whatever comes.

What a process sets on a machine and has to set back outlasts it where it is killed outright. So a
small process (``python -m profiling.machine.clocks UUID``) waits for the end of a pipe that only
its owner can write to, which Linux closes with the owner, and then sets the clock free. It is kept
out of the clean-up of a run (``profiling.processes``): it has a session of its own and an
environment without the run's mark, and without what a profiler puts there to follow a program's
children. It holds no output of its owner's open, and ignores the signals that ask to end.

Nobody can act for a process where everything is killed at once: a container that is stopped
outright, a batch job whose control group is.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

from adscale.parts import ROOT, program

from .nvml import Gpu, GpuError, open_gpu

READY = b"ready"
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
START_S = 30.0
END_S = 30.0


class RestorerError(Exception):
    """The process that would act did not come up."""


class Restorer:
    """Has a small process act when this one ends, however it ends.

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
                env={**kept, "PYTHONPATH": str(ROOT)},
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
    """Runs in that process: says that it is there, waits for its owner's end, and acts.

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


STEP_MHZ = 15
"""Distance between two clocks of a GPU: what is asked for may lie so far from one it has."""


class ClockLock:
    """The clock of a GPU, locked where that is possible, until :meth:`release`.

    Attributes:
        locked_mhz: what it is locked to; None where it is not.
        problem: why not.

    Args:
        gpu: the GPU.
        asked_mhz: clock to lock it to; None: it is left to the driver.
        unlock_command: program that calls ``restore_at_end`` with what sets the clock free.
    """

    def __init__(self, gpu: Gpu, asked_mhz: int | None, unlock_command: Sequence[str]) -> None:
        self.locked_mhz: int | None = None
        self.problem: str | None = None
        self._gpu = gpu
        self._restorer: Restorer | None = None
        if asked_mhz is None:
            return
        try:
            self._lock(choose_clock(asked_mhz, self._supported()), unlock_command)
        except (GpuError, RestorerError) as error:
            self.problem = f"{asked_mhz} MHz could not be locked: {error}"
            self.release()

    def release(self) -> None:
        """Leaves the clock to the driver again."""
        if self._restorer is None:
            return
        if self.locked_mhz is not None:
            with suppress(GpuError):  # it may have been killed
                self._gpu.unlock_sm_clock()
        self._restorer.release()
        self._restorer = None

    def _lock(self, mhz: int, unlock_command: Sequence[str]) -> None:
        try:
            self._restorer = Restorer(unlock_command)
        except RestorerError as error:
            text = f"the process that would set it free again did not come up ({error})"
            raise RestorerError(text) from None
        self._gpu.lock_sm_clock(mhz)
        self.locked_mhz = mhz

    def _supported(self) -> Sequence[int]:
        try:
            return self._gpu.supported_sm_clocks_mhz()
        except GpuError:
            return []


def choose_clock(asked_mhz: int, supported_mhz: Sequence[int]) -> int:
    """The supported clock next to the one asked for.

    Args:
        asked_mhz: what was asked for.
        supported_mhz: what the GPU knows; none: it does not tell.

    Raises:
        GpuError: there is none near it. A driver would take the highest or lowest in its place.
    """
    if not supported_mhz:
        return asked_mhz
    nearest = min(supported_mhz, key=lambda mhz: abs(mhz - asked_mhz))
    if abs(nearest - asked_mhz) > STEP_MHZ:
        low, high = min(supported_mhz), max(supported_mhz)
        raise GpuError(f"the GPU knows clocks from {low} to {high} MHz")
    return nearest


def unlock_command(uuid: str) -> list[str]:
    """The program that sets the clock of a GPU free at the end of this process."""
    return program("profiling.machine.clocks", uuid)


def main(uuid: str) -> None:
    """Leaves the clock of a GPU to its driver at the end of the process that started this one.

    It opens the GPU first: where it could not act, it shall not come up.
    """
    with open_gpu(uuid) as gpu:
        restore_at_end(gpu.unlock_sm_clock)


if __name__ == "__main__":
    main(sys.argv[1])
