"""One word for a run: made-up machines, and the thresholds on both sides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.machine import SEVERITY, RunVerdict, judge, judge_processes
from analysis.statistics.steadiness import Steadiness
from tests.analysis.machines import (
    HARDWARE,
    HARDWARE_HEAT,
    IDLE,
    LOCKED,
    POWER_CAP,
    SAMPLES,
    SOFTWARE_HEAT,
    cpu,
    gpu,
    state,
)

STEADY = Steadiness("steady", "the last third differs from the first by +0.1%", 0)
DRIFTING = Steadiness("drifting", "the images become 4.0% slower over the run", 0)


def on_gpu(steadiness: Steadiness = STEADY, **changes: Any) -> RunVerdict:
    return judge(state(gpu(**changes)), steadiness, "cuda")


def on_cpu(steadiness: Steadiness = STEADY, **changes: Any) -> RunVerdict:
    return judge(state(cpu(**changes)), steadiness, "cpu")


def first(count: int, value: float | None, rest: float | None) -> list[float | None]:
    return [value] * count + [rest] * (SAMPLES - count)


def test_steady() -> None:
    assert on_gpu() == RunVerdict(
        "steady",
        "SM clock 1410 to 1410 MHz; used by others 0 to 0 %; "
        "the last third differs from the first by +0.1%",
    )
    found = on_cpu()
    assert (found.verdict, found.remarks) == ("steady", ())
    assert "CPU clock 3450 to 3550 MHz" in found.evidence


def test_throttled_by_heat() -> None:
    found = on_gpu(
        slowdown_reasons=first(30, HARDWARE | HARDWARE_HEAT, 0),
        sm_clock_mhz=first(30, 1005, 1410),
        temperature_c=first(30, 91, 88),
    )
    assert found.verdict == "throttled"
    assert found.evidence == (
        "heat held the clocks down in 30 of 100 samples "
        "(SM clock 1005 to 1410 MHz, temperature 88 to 91 °C, power 200 to 200 W)"
    )


def test_throttled_by_power() -> None:
    found = on_gpu(slowdown_reasons=first(100, POWER_CAP, 0), power_w=None, temperature_c=None)
    assert found.verdict == "throttled"
    assert found.evidence.startswith("power held the clocks down in 100 of 100 samples (SM clock")


def test_throttled_by_both_names_the_more_frequent_first() -> None:
    reasons = [POWER_CAP] * 10 + [SOFTWARE_HEAT] * 20 + [0] * 70
    found = on_gpu(slowdown_reasons=reasons)
    assert found.evidence.startswith("heat and power held the clocks down in 30 of 100")


def test_throttled_by_the_hardware() -> None:
    found = on_gpu(slowdown_reasons=first(50, HARDWARE, 0))
    assert found.evidence.startswith("the hardware held the clocks down in 50 of 100")


def test_a_clock_that_drops_without_a_reason() -> None:
    found = on_gpu(sm_clock_mhz=first(80, 1410, 1200))
    assert found.verdict == "throttled"
    assert found.evidence == (
        "the SM clock fell to 1200 MHz and lay more than 5% below its usual 1410 MHz "
        "in 20 of 100 samples"
    )
    assert on_gpu(memory_clock_mhz=first(80, 1215, 810)).verdict == "throttled"
    assert on_cpu(cpu_frequency_mhz=first(80, 3500, 2000)).verdict == "throttled"


def test_below_a_locked_clock_all_along() -> None:
    document = gpu(sm_clock_mhz=[1200] * SAMPLES, slowdown_reasons=[LOCKED] * SAMPLES)
    assert judge(state(document), STEADY, "cuda").verdict == "steady"
    document["locked_sm_clock_mhz"] = 1410.0
    found = judge(state(document), STEADY, "cuda")
    assert found.verdict == "throttled"
    assert "its locked 1410 MHz in 100 of 100 samples" in found.evidence


def test_shared() -> None:
    found = on_gpu(others_share=first(30, 0.8, 0.0))
    assert found.verdict == "shared"
    assert found.evidence == (
        "other processes used 24% of the device on average, at least 25% of it in 30 of 100 samples"
    )
    assert on_cpu(others_share=[0.5] * SAMPLES).verdict == "shared"
    found = on_gpu(others_share=[0.1] * SAMPLES)
    assert found.evidence == (
        "other processes used 10% of the device on average, never 25% of it in 100 samples"
    )


def test_drifting() -> None:
    found = on_gpu(DRIFTING)
    assert (found.verdict, found.evidence) == ("drifting", DRIFTING.evidence)


def test_what_explains_the_rest_comes_first_and_the_rest_is_remarked() -> None:
    throttled: dict[str, Any] = {"slowdown_reasons": first(50, SOFTWARE_HEAT, 0)}
    found = on_gpu(DRIFTING, **throttled)
    assert found.verdict == "throttled"
    assert found.remarks == (DRIFTING.evidence,)
    found = on_gpu(DRIFTING, others_share=[0.3] * SAMPLES, **throttled)
    assert found.verdict == "shared"
    assert len(found.remarks) == 2
    assert found.remarks[0].startswith("heat held the clocks down")


@pytest.mark.parametrize(
    ("changes", "disturbed"),
    [
        ({"slowdown_reasons": first(4, SOFTWARE_HEAT, 0)}, False),
        ({"slowdown_reasons": first(5, SOFTWARE_HEAT, 0)}, True),
        ({"others_share": first(4, 0.9, 0.0)}, False),
        ({"others_share": first(5, 0.9, 0.0)}, True),
        ({"others_share": [0.04] * SAMPLES}, False),
        ({"others_share": [0.06] * SAMPLES}, True),
        ({"sm_clock_mhz": first(20, 1345, 1410)}, False),  # 4.6 % below
        ({"sm_clock_mhz": first(20, 1335, 1410)}, True),  # 5.3 % below
        ({"sm_clock_mhz": first(4, 900, 1410)}, False),
        ({"sm_clock_mhz": first(5, 900, 1410)}, True),
    ],
)
def test_thresholds(changes: dict[str, Any], disturbed: bool) -> None:
    assert (on_gpu(**changes).verdict != "steady") == disturbed


@pytest.mark.parametrize(
    ("frequency_mhz", "count", "disturbed"),
    [(3200, 50, False), (3000, 50, True), (2000, 9, False), (2000, 10, True)],
)
def test_thresholds_of_a_cpu(frequency_mhz: float, count: int, disturbed: bool) -> None:
    found = on_cpu(cpu_frequency_mhz=first(count, frequency_mhz, 3500))
    assert (found.verdict != "steady") == disturbed


def test_an_idle_gpu_says_nothing_of_its_clocks() -> None:
    """Between images, while the next one is decoded."""
    idle = [IDLE, 0] * (SAMPLES // 2)
    clocks = [210, 1410] * (SAMPLES // 2)
    assert on_gpu(slowdown_reasons=idle, sm_clock_mhz=clocks).verdict == "steady"
    assert on_gpu(slowdown_reasons=[0] * SAMPLES, sm_clock_mhz=clocks).verdict == "throttled"
    all_idle = on_gpu(slowdown_reasons=[IDLE] * SAMPLES, sm_clock_mhz=clocks)
    assert all_idle.verdict == "steady"


def test_missing_samples_are_no_evidence() -> None:
    """Shares are of the samples that have a value: 3 of 30 held down are 10 %."""
    reasons = [SOFTWARE_HEAT] * 3 + [0] * 27 + [None] * 70
    found = on_gpu(slowdown_reasons=reasons)
    assert found.verdict == "throttled"
    assert "3 of 30 samples" in found.evidence
    assert found.remarks == ("hardly or not recorded: reasons for low clocks",)
    clocks = first(50, None, 1410)
    assert on_gpu(sm_clock_mhz=clocks).verdict == "steady"


def test_what_was_not_seen_is_said() -> None:
    expected = "the share of other processes, the SM clock, reasons for low clocks"
    nothing = judge(None, STEADY, "cuda")
    assert nothing == RunVerdict("steady", STEADY.evidence, (f"not recorded: {expected}",))
    before = gpu()
    before["measured_ms"] = [1e9, 2e9]  # no sample while images were measured
    assert judge(state(before), STEADY, "cuda").remarks == nothing.remarks
    found = on_cpu(cpu_frequency_mhz=None, others_share=first(40, 0.0, None))
    assert found.remarks == (
        "hardly or not recorded: the share of other processes, the CPU's frequency",
    )


def test_why_something_was_not_seen_is_said_too() -> None:
    document = cpu(cpu_frequency_mhz=None)
    document["unavailable"] = {"cpu_frequency_mhz": "a virtual machine does not tell it"}
    assert judge(state(document), STEADY, "cpu").remarks == (
        "hardly or not recorded: the CPU's frequency (a virtual machine does not tell it)",
    )
    document = gpu()
    document["lock_problem"] = "1410 MHz could not be locked: no permission"
    assert judge(state(document), STEADY, "cuda").remarks == (document["lock_problem"],)


def test_other_processes_on_the_gpu_are_shared_unless_they_are_known_to_rest() -> None:
    other = {"pid": 12, "name": "python", "used_bytes": 1, "seen": "throughout"}
    document = gpu()
    document["foreign_processes"] = [other]
    found = judge(state(document), STEADY, "cuda")
    assert found.verdict == "steady"
    assert found.remarks == ("on the GPU, too: python (12, before and after the measured images)",)
    document = gpu(others_share=None)
    document["foreign_processes"] = [other]
    found = judge(state(document), STEADY, "cuda")
    assert found.verdict == "shared"
    assert found.evidence == (
        "others had the GPU open, how much they used of it was not recorded: "
        "python (12, before and after the measured images)"
    )


@pytest.mark.parametrize("verdict", ["bimodal", "too_short"])
def test_other_findings_of_the_times_are_remarks(verdict: Any) -> None:
    found = on_gpu(Steadiness(verdict, "some words", 3))
    assert found.verdict == "steady"
    assert found.remarks == ("some words", "outliers among the images, kept: 3")


def test_of_several_processes_the_most_disturbed_counts() -> None:
    steady, drifting = on_gpu(), on_gpu(DRIFTING)
    shared = on_gpu(others_share=[0.5] * SAMPLES)
    assert judge_processes([steady]) == steady
    assert judge_processes([steady, drifting, shared, shared]).evidence.startswith(
        "2 of 4 processes, such as process 3: other processes used 50%"
    )
    assert judge_processes([steady, drifting]).verdict == "drifting"
    with pytest.raises(ValueError, match="no process"):
        judge_processes([])


samples = st.lists(st.none() | st.floats(0, 3000), min_size=20, max_size=20)
shares = st.lists(st.none() | st.floats(0, 1), min_size=20, max_size=20)
masks = st.lists(st.none() | st.integers(0, 0x7FF), min_size=20, max_size=20)


@given(samples, samples, masks, shares, st.sampled_from([STEADY, DRIFTING]))
def test_any_series_gets_a_verdict_with_a_sentence(
    clock: Any, memory: Any, reasons: Any, others: Any, steadiness: Steadiness
) -> None:
    document = gpu(
        time_ms=list(range(20)),
        sm_clock_mhz=clock,
        memory_clock_mhz=memory,
        slowdown_reasons=reasons,
        others_share=others,
        temperature_c=None,
        power_w=None,
    )
    found = judge(state(document), steadiness, "cuda")
    assert found.verdict in SEVERITY
    assert found.evidence
    assert "nan" not in found.evidence
    assert "\n" not in found.evidence
    known = [value for value in others if value is not None]
    if known and np.mean(known) >= 0.05:
        assert found.verdict == "shared"
    if steadiness is DRIFTING:
        assert found.verdict != "steady"
