"""`python -S -E launcher.py REPORT COMMAND …`: runs a command and writes what it took as JSON.

The peak of memory that Linux reports for a process begins with that of its parent, so that a
large parent hides it; this one is small.
"""

import json
import os
import sys
import time


def main(report: str, command: list[str]) -> int:
    """Runs the command to its end; its exit code."""
    started_s = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    took = {
        "wall_s": time.perf_counter() - started_s,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * 1024,
    }
    with open(report, "w") as file:  # noqa: PTH123 (pathlib takes memory)
        json.dump(took, file)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
