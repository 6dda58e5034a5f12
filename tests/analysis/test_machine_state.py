"""Reading the state of the machine, as the schema of run.json has it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from adscale.errors import ConfigError, ResultsError
from adscale.models import checked, jsonable
from adscale.run_record import Machine, MachineSamples
from analysis.machine import QUANTITIES, held_down_by, is_idle
from tests.analysis.machines import SAMPLES, cpu, gpu, state


@pytest.mark.parametrize("document", [gpu(), cpu(), gpu(sm_clock_mhz=None), cpu(others_share=[])])
def test_made_up_machines_are_those_of_the_record(document: dict[str, Any]) -> None:
    assert jsonable(checked(Machine, document)) == document


def test_the_record_knows_the_quantities_and_refuses_others() -> None:
    assert {field.name for field in fields(MachineSamples)} == {"time_ms", *QUANTITIES}
    with pytest.raises(ConfigError, match=r"samples.fan_percent: unknown key"):
        checked(Machine, gpu(fan_percent=[1] * SAMPLES))


def test_missing_samples_and_missing_quantities() -> None:
    found = state(gpu(sm_clock_mhz=[None, *[1410] * (SAMPLES - 1)], power_w=None))
    assert found.size == SAMPLES
    assert np.isnan(found.sm_clock_mhz).tolist() == [True] + [False] * (SAMPLES - 1)
    assert np.isnan(found.power_w).all()
    assert np.isnan(found.cpu_frequency_mhz).all()
    assert found.locked_sm_clock_mhz is None


def test_only_samples_taken_while_images_were_measured_count() -> None:
    document = gpu(sm_clock_mhz=list(range(SAMPLES)))
    document["measured_ms"] = [500.0, 1000.0]
    assert state(document).sm_clock_mhz.tolist() == list(range(10, 21))
    document["measured_ms"] = None
    assert state(document).size == 0


def test_what_was_no_sample_is_told_in_words() -> None:
    document = gpu()
    document["lock_problem"] = "1410 MHz could not be locked: no permission"
    document["unavailable"] = {"others_share": "not supported"}
    document["foreign_processes"] = [
        {"pid": 12, "name": "python", "used_bytes": 1, "seen": "throughout"},
        {"pid": 13, "name": None, "used_bytes": None, "seen": "after"},
    ]
    found = state(document)
    assert found.lock_problem == document["lock_problem"]
    assert found.unavailable == document["unavailable"]
    assert found.foreign_processes == (
        "python (12, before and after the measured images)",
        "a process (13, after the measured images)",
    )


@pytest.mark.parametrize(
    ("document", "what"),
    [
        (gpu(power_w=[1.0]), "power_w has 1 samples, time_ms 100"),
        (gpu(time_ms=[0.0, *range(SAMPLES, 1, -1)]), "order of time"),
    ],
)
def test_what_cannot_be_used(document: dict[str, Any], what: str) -> None:
    with pytest.raises(ResultsError, match=f"^machine.json: .*{what}.*; measure again$"):
        state(document)


def test_bits_are_those_of_nvml() -> None:
    """Held against the driver's own Python binding."""
    nvml = pytest.importorskip("pynvml")
    bits = {
        "heat": (
            nvml.nvmlClocksThrottleReasonSwThermalSlowdown,
            nvml.nvmlClocksThrottleReasonHwThermalSlowdown,
        ),
        "power": (
            nvml.nvmlClocksThrottleReasonSwPowerCap,
            nvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown,
        ),
        "the hardware": (nvml.nvmlClocksThrottleReasonHwSlowdown,),
    }
    for cause, values in bits.items():
        for value in values:
            named = held_down_by(np.array([float(value)]))
            assert [name for name, held in named.items() if held[0]] == [cause]
    harmless = (
        nvml.nvmlClocksThrottleReasonNone
        | nvml.nvmlClocksThrottleReasonGpuIdle
        | nvml.nvmlClocksThrottleReasonApplicationsClocksSetting
        | nvml.nvmlClocksThrottleReasonSyncBoost
        | nvml.nvmlClocksThrottleReasonDisplayClockSetting
    )
    assert not any(held[0] for held in held_down_by(np.array([float(harmless)])).values())
    assert is_idle(np.array([float(nvml.nvmlClocksThrottleReasonGpuIdle), 0, np.nan])).tolist() == [
        True,
        False,
        False,
    ]


def test_heat_that_the_hardware_tells_is_not_two_causes() -> None:
    causes = held_down_by(np.array([8.0, 8 + 64, 8 + 128, 4 + 32, np.nan]))
    assert causes["heat"].tolist() == [False, True, False, True, False]
    assert causes["power"].tolist() == [False, False, True, True, False]
    assert causes["the hardware"].tolist() == [True, False, False, False, False]
