"""The CPUs that the process may use: their frequency, and what others use of them.

What others use is the difference of two counters: the time in which those CPUs were busy
(``/proc/stat``, with what a hypervisor took) less the CPU time of the run's own processes. Linux
counts the first in ticks of 10 ms per CPU, so that between two samples of 100 ms a single tick is
10 % of a CPU. The difference is therefore taken over the last half second, where a tick is 2 %, and
never over less than a quarter. It is left as it is where it is a little below zero, so that the
ticks cancel out in the mean.
"""

from __future__ import annotations

import os
import re
import resource
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

from ..processes import MARK, marked_processes


class OwnTime:
    """Adds up the CPU time of the processes that belong to a run.

    Args:
        proc: where Linux shows processes.
    """

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._tick_s = 1 / os.sysconf("SC_CLK_TCK")
        self._others: dict[int, float] = {}
        self._children: set[int] = set()
        self.look()

    def look(self) -> None:
        """Looks for processes with the run's mark: nsys and its daemon, processes of a method.

        Not at each sample: it takes a look at every process of the machine.
        """
        mark = os.environ.get(MARK)
        for pid in marked_processes(mark, self._proc) if mark else []:
            found = self._read(pid)
            if pid != os.getpid() and found is not None:
                parent, self._others[pid] = found
                if parent == os.getpid():
                    self._children.add(pid)

    def seconds(self) -> float:
        """CPU time until now."""
        for pid in list(self._others):
            found = self._read(pid)
            if found is not None:
                self._others[pid] = found[1]
            elif pid in self._children:  # Linux counts it with the children that ended
                del self._others[pid]
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        # of a process that ended and was no child, the last value stays
        others_s = sum(self._others.values())
        return time.process_time() + ended.ru_utime + ended.ru_stime + others_s

    def _read(self, pid: int) -> tuple[int, float] | None:
        """Parent and CPU time of a process; None where it is no more."""
        try:
            text = (self._proc / str(pid) / "stat").read_bytes()
        except OSError:
            return None
        fields = text[text.rindex(b")") + 1 :].split()  # a name may hold blanks and brackets
        return int(fields[1]), (int(fields[11]) + int(fields[12])) * self._tick_s


WINDOW_S = 0.5
"""Over which the share of others is taken."""

LEAST_WINDOW_S = 0.25
"""Under which it is not told: a tick of each CPU would be more than 4 % of them."""

BUSY_FIELDS = (1, 2, 3, 6, 7, 8)
"""user, nice, system, irq, softirq, steal, in a line of /proc/stat. Guests are in user."""

LINE_BYTES = 256
"""At least what a line of a CPU in /proc/stat has."""

CHUNK_BYTES = 1 << 16

CLOCK_LINE = re.compile(rb"^cpu MHz\s*:\s*([\d.]+)", re.MULTILINE)
NUMBER_LINE = re.compile(rb"^processor\s*:\s*(\d+)", re.MULTILINE)
VIRTUAL = re.compile(rb"^flags\s*:.*\bhypervisor\b", re.MULTILINE)


class RunTime(Protocol):
    """CPU time of the run's own processes."""

    def seconds(self) -> float:
        """Until now."""

    def look(self) -> None:
        """Looks for processes that belong to the run."""


class CpuSource:
    """Quantities of CPUs.

    Args:
        own: CPU time of the run.
        cpus: numbers of the CPUs that the process may use.
        proc: where Linux shows processes.
        cpu_folder: where it shows CPUs.
    """

    def __init__(
        self,
        own: RunTime,
        cpus: Iterable[int],
        proc: Path = Path("/proc"),
        cpu_folder: Path = Path("/sys/devices/system/cpu"),
    ) -> None:
        self.unavailable: dict[str, str] = {}
        self._own = own
        self._cpus = sorted(cpus)
        self._busy = _BusyTime(proc / "stat", self._cpus)
        self._frequency = self._find_frequency(proc / "cpuinfo", cpu_folder)
        self._past: deque[_Counters] = deque()
        if self._busy.seconds() is None:
            self.unavailable["others_share"] = f"{proc / 'stat'} does not show these CPUs"

    def sample(self) -> dict[str, float | None]:
        """Frequency and share of others now."""
        values: dict[str, float | None] = {}
        if self._frequency is not None:
            values["cpu_frequency_mhz"] = self._frequency.highest_mhz()
        if "others_share" not in self.unavailable:
            values["others_share"] = self._others_share()
        return values

    def restart(self) -> None:
        """The measured images begin: no share reaches back before them."""
        self._own.look()
        self._past.clear()
        self._others_share()

    def _others_share(self) -> float | None:
        busy_s = self._busy.seconds()
        if busy_s is None:
            return None
        now = _Counters(time.monotonic(), busy_s, self._own.seconds())
        self._past.append(now)
        while len(self._past) > 1 and now.time_s - self._past[1].time_s >= WINDOW_S:
            self._past.popleft()
        return now.others_since(self._past[0], len(self._cpus))

    def _find_frequency(self, cpuinfo: Path, cpu_folder: Path) -> _Frequency | None:
        files = [cpu_folder / f"cpu{n}" / "cpufreq" / "scaling_cur_freq" for n in self._cpus]
        present = [file for file in files if file.is_file()]
        if present:
            return _ScalingFrequency(present)
        text = _read(cpuinfo)
        listed = _ListedFrequency(cpuinfo, self._cpus)
        mhz = listed.highest_mhz()
        if mhz is None:
            reason = f"neither {cpu_folder} nor {cpuinfo} tells it"
        elif VIRTUAL.search(text):
            reason = f"a virtual machine does not tell it: {cpuinfo} shows a fixed {mhz:.0f} MHz"
        else:
            return listed
        self.unavailable["cpu_frequency_mhz"] = reason
        return None


class _Counters(NamedTuple):
    time_s: float
    busy_s: float
    own_s: float

    def others_since(self, earlier: _Counters, cpus: int) -> float | None:
        elapsed_s = self.time_s - earlier.time_s
        if elapsed_s < LEAST_WINDOW_S:
            return None
        others_s = (self.busy_s - earlier.busy_s) - (self.own_s - earlier.own_s)
        return round(others_s / (elapsed_s * cpus), 4)


class _BusyTime:
    """Reads the time in which CPUs were not idle."""

    def __init__(self, stat: Path, cpus: Iterable[int]) -> None:
        self._stat = stat
        self._names = {f"cpu{number}".encode() for number in cpus}
        self._tick_s = 1 / os.sysconf("SC_CLK_TCK")

    def seconds(self) -> float | None:
        """Their sum; None where one of them is not shown."""
        ticks, seen = 0, 0
        for line in _read(self._stat, LINE_BYTES * ((os.cpu_count() or 1) + 1)).splitlines():
            fields = line.split()
            if fields and fields[0] in self._names:
                seen += 1
                ticks += sum(int(fields[index]) for index in BUSY_FIELDS)
        return ticks * self._tick_s if seen == len(self._names) else None


class _Frequency(Protocol):
    def highest_mhz(self) -> float | None:
        """The highest clock of the CPUs at hand; None where it cannot be read."""


class _ScalingFrequency:
    """Reads the files of the frequency driver, one per CPU, in kHz."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._files = list(files)

    def highest_mhz(self) -> float | None:
        khz = [int(text) for text in map(_read, self._files) if text.strip().isdigit()]
        return max(khz) / 1e3 if khz else None


class _ListedFrequency:
    """Reads the list of processors, on machines without that driver."""

    def __init__(self, cpuinfo: Path, cpus: Iterable[int]) -> None:
        self._cpuinfo = cpuinfo
        self._cpus = set(cpus)

    def highest_mhz(self) -> float | None:
        text = _read(self._cpuinfo)
        numbers = [int(number) for number in NUMBER_LINE.findall(text)]
        clocks = [float(mhz) for mhz in CLOCK_LINE.findall(text)]
        if len(numbers) != len(clocks):
            return None
        mine = [mhz for number, mhz in zip(numbers, clocks, strict=True) if number in self._cpus]
        return max(mine, default=None)


def _read(path: Path, size: int | None = None) -> bytes:
    """A file, or its first bytes in one call; empty where it cannot be read.

    Python's own files take more calls, and each gives up Python's lock and waits for it.
    """
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        if size is not None:
            return os.read(file, size)
        return b"".join(iter(lambda: os.read(file, CHUNK_BYTES), b""))
    except OSError:
        return b""
    finally:
        os.close(file)
