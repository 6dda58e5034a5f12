"""Processes of others that compute on the GPU, before and after the measurement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from adscale.errors import DeviceError

from .proto import ComputeProcess


def of_others(processes: Iterable[ComputeProcess], own: set[int]) -> list[ComputeProcess]:
    """Those that are not the run's.

    Args:
        processes: on the GPU.
        own: numbers of the run's processes.
    """
    return [one for one in processes if one.pid not in own]


def refuse_foreign(found: Sequence[ComputeProcess], when: str) -> None:
    """Stops a run that shall not share its GPU.

    Args:
        found: processes of others.
        when: for the message: ``before`` or ``after`` the measurement.

    Raises:
        DeviceError: there is one.
    """
    if not found:
        return
    named = ", ".join(f"{one.name or 'unknown'} (process {one.pid})" for one in found)
    what = f"others compute on the GPU {when} the measurement: {named}"
    remedy = "wait for their end, or set device.foreign_processes: flag"
    raise DeviceError("device.foreign_processes", what, remedy)


def foreign_records(
    before: Sequence[ComputeProcess], after: Sequence[ComputeProcess]
) -> list[dict[str, Any]]:
    """``foreign_processes`` of ``run.json``.

    Args:
        before: processes of others before the measurement.
        after: the same after it; its figures count where a process was there at both times.
    """
    first, last = {one.pid: one for one in before}, {one.pid: one for one in after}
    return [
        {**one._asdict(), "seen": _seen(one.pid, first, last)} for one in {**first, **last}.values()
    ]


def _seen(pid: int, before: dict[int, ComputeProcess], after: dict[int, ComputeProcess]) -> str:
    if pid in before and pid in after:
        return "throughout"
    return "before" if pid in before else "after"
