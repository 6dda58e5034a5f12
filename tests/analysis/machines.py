"""Made-up series of a machine's state, in the form of `machine` of run.json."""

from __future__ import annotations

from typing import Any

import numpy as np

from adscale.models import checked
from adscale.run_record import Machine
from analysis.machine import MachineState, read_state

SAMPLES = 100
POWER_CAP, HARDWARE, SOFTWARE_HEAT, HARDWARE_HEAT, IDLE, LOCKED = 0x04, 0x08, 0x20, 0x40, 0x01, 0x02


def gpu(**changes: Any) -> dict[str, Any]:
    """A steady GPU at 1410 MHz; `changes` replace lists, or take a quantity away with None."""
    samples: dict[str, Any] = {
        "time_ms": [50.0 * index for index in range(SAMPLES)],
        "sm_clock_mhz": [1410] * SAMPLES,
        "memory_clock_mhz": [1215] * SAMPLES,
        "temperature_c": [60 + index // 25 for index in range(SAMPLES)],
        "power_w": [200.5] * SAMPLES,
        "slowdown_reasons": [0] * SAMPLES,
        "others_share": [0.0] * SAMPLES,
    }
    return _document(samples, changes)


def cpu(**changes: Any) -> dict[str, Any]:
    """A steady CPU at 3.5 GHz with the usual small load of others."""
    frequencies = 3500 + 50 * np.sin(np.arange(SAMPLES))
    samples: dict[str, Any] = {
        "time_ms": [50.0 * index for index in range(SAMPLES)],
        "cpu_frequency_mhz": frequencies.tolist(),
        "others_share": [0.01 + 0.05 * (index % 10 == 0) for index in range(SAMPLES)],
    }
    return _document(samples, changes)


def state(document: dict[str, Any]) -> MachineState:
    return read_state(checked(Machine, document), "machine.json", "measure again")


def _document(samples: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    kept = {name: values for name, values in {**samples, **changes}.items() if values is not None}
    return {
        "interval_ms": 50,
        "measured_ms": [0.0, 50.0 * SAMPLES],
        "samples": kept,
        "unavailable": {},
        "idle_power_w": None,
        "energy": None,
        "locked_sm_clock_mhz": None,
        "lock_problem": None,
        "foreign_processes": [],
    }
