"""All checks of a folder of results, in the order in which their remedies are best carried out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from .agreement import check_curves, check_devices, check_labels
from .files import check_files, check_latency, left_overs
from .finding import Finding
from .folders import RecordedRun, read_folder, run_folders
from .grids import check_expected, check_gaps
from .places import check_duplicates, check_place, foreign_place


@dataclass(frozen=True)
class Verification:
    """What was looked at, and what was found.

    Attributes:
        runs: records that could be read; each process of a run has one.
        devices: how many devices they are of.
        findings: the faults.
    """

    runs: int
    devices: int
    findings: tuple[Finding, ...]


def verify(
    results: Path,
    expected: Iterable[str] | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Verification:
    """Check the run folders of a folder of results.

    Args:
        results: the folder that holds a folder per device.
        expected: device/method/variant/resolution of the runs that there should be; None: what
            one curve has, the others of its method should have.
        on_progress: is told how many folders were read, and of how many.

    Raises:
        ResultsError: there is no such folder.
    """
    folders = run_folders(results)
    findings: list[Finding] = []
    if not folders:
        remedy = "name the folder that holds a folder per device"
        findings.append(Finding(str(results), "holds no folder of a run", remedy))
    runs: list[RecordedRun] = []
    for number, folder in enumerate(folders, 1):
        findings += [*foreign_place(folder), *left_overs(folder)]
        record = read_folder(folder)
        if isinstance(record, Finding):
            findings.append(record)
        else:
            runs.append(record)
            findings += [*check_place(record), *check_files(record)]
        on_progress(number, len(folders))
    findings += [*check_duplicates(runs), *check_latency(runs)]
    if expected is None:
        findings += check_gaps([folder.key for folder in folders if folder.key is not None])
    else:
        findings += check_expected(folders, expected)
    findings += [*check_devices(runs), *check_curves(runs), *check_labels(runs)]
    return Verification(len(runs), len({run.key.device for run in runs}), tuple(findings))
