"""`python -m tests.bench.attribution_stages FILE`: where the time of `attribute` goes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Prints what the block took, and the peak of memory so far."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    yield
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    print(f"{name:<26}{wall_s:>9.2f}{cpu_s:>9.2f}{peak_mib():>10.0f}", flush=True)


def peak_mib() -> float:
    """Largest memory of this process so far; `getrusage` begins with that of its parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024


def main(path: Path) -> None:
    """Does what `attribute --json --kernels 0` does, stage by stage."""
    print(f"{'stage':<26}{'wall s':>9}{'CPU s':>9}{'peak MiB':>10}")
    with stage("imports"):
        import adbc_driver_sqlite
        import pyarrow as pa

        from analysis.nsys.database import open_database
        from analysis.nsys.ranges import read_ranges
        from analysis.nsys.reading import read_profile
        from analysis.profiles.coverage import ProfileCoverage
        from analysis.profiles.kernel_table import kernel_table
        from analysis.profiles.range_table import profile_table
        from analysis.profiles.text import json_text
        from analysis.profiles.work import work_of

        assert pa
        assert adbc_driver_sqlite
    with stage("(ranges alone)"), open_database(path) as database:
        read_ranges(database)
    with stage("reading"):
        profile = read_profile(path)
    with stage("attribution"):
        work = work_of(profile)
    with stage("table of ranges"):
        ranges = profile_table(work)
    with stage("table of kernels"):
        kernels = kernel_table(work, None)
    with stage("JSON"):
        json_text({"ranges": ranges, "kernels": kernels}, ProfileCoverage(work))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
