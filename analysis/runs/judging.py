"""The verdict on one process of a run: its times, and the machine's state beside them."""

from __future__ import annotations

from ..machine.state import MachineState, read_state
from ..machine.verdict import RunVerdict, judge
from ..statistics.steadiness import check_steadiness
from .record import Run
from .times import PassTimes


def judge_process(run: Run, times: PassTimes, processes: int) -> RunVerdict:
    """Judge one pass of a process by its whole images.

    Args:
        run: its record.
        times: what it found.
        processes: how many are judged for one verdict on the run.

    Raises:
        ResultsError: the state of the machine cannot be used.
    """
    return judge(machine_state(run), check_steadiness(times.image_ms, processes), run.device_type)


def machine_state(run: Run) -> MachineState | None:
    """What the machine did while images were measured; None where that was not recorded.

    Raises:
        ResultsError: the samples contradict each other.
    """
    machine = run.record.machine
    if machine is None or machine.measured_ms is None:
        return None
    return read_state(machine, run.path, run.remeasure)
