"""CPU time of a run: of this process, of others with the run's mark, of children that ended."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

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
