"""What a GPU tells, from a made-up one; and, where there is one, the thin layer to a real one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adscale.errors import DeviceError
from profiling.machine.clocks import ClockLock, choose_clock
from profiling.machine.gpu import (
    QUANTITIES,
    GpuSource,
    GpuWatch,
    foreign_records,
    in_first_namespace,
    numbers_differ,
    others_share,
)
from profiling.machine.nvml import ComputeProcess, GpuError, Utilisation, open_gpu
from tests.profiling.gpus import OTHER, OURS, MadeUpGpu

OWN = {OURS.pid}
UNLOCK = """
import sys
from pathlib import Path
from profiling.machine.clocks import restore_at_end
restore_at_end(lambda: Path(sys.argv[1]).unlink(missing_ok=True))
"""


def source(gpu: MadeUpGpu, first_namespace: bool = True) -> GpuSource:
    return GpuSource(gpu, lambda: OWN, first_namespace)


def watch(gpu: MadeUpGpu, refuse: bool = False, first_namespace: bool = True) -> GpuWatch:
    return GpuWatch(gpu, refuse, lambda: OWN, first_namespace)


def soon_us() -> int:
    return time.time_ns() // 1000 + 1000


def test_all_quantities() -> None:
    gpu = MadeUpGpu()
    gpu.periods = [Utilisation(OURS.pid, soon_us(), 0.9), Utilisation(OTHER.pid, soon_us(), 0.3)]
    found = source(gpu)
    assert found.sample() == {
        "sm_clock_mhz": 1410.0, "memory_clock_mhz": 1215.0, "temperature_c": 60.0,
        "power_w": 55.5, "slowdown_reasons": 0, "others_share": 0.3,
    }  # fmt: skip
    assert found.unavailable == {}


@pytest.mark.parametrize("name", [*QUANTITIES, "utilisation"])
def test_each_quantity_may_be_refused_by_itself(name: str) -> None:
    gpu = MadeUpGpu()
    gpu.periods = [Utilisation(OURS.pid, soon_us(), 0.9)]
    gpu.refused = {name: "NVML: Not Supported"}
    column = "others_share" if name == "utilisation" else name
    found = source(gpu)
    first, second = found.sample(), found.sample()
    assert found.unavailable == {column: "NVML: Not Supported"}
    assert [key for key, value in first.items() if value is None] == [column]
    assert column not in second
    assert gpu.asked.count(name) == 1


def test_a_quantity_that_fails_for_once_is_a_missing_sample() -> None:
    gpu = MadeUpGpu()
    found = source(gpu)
    found.sample()
    gpu.refused = {"power_w": "NVML: Unknown Error"}
    assert found.sample()["power_w"] is None
    gpu.refused = {}
    assert found.sample()["power_w"] == 55.5
    assert found.unavailable == {}


def test_the_share_of_others_stands_until_the_driver_has_a_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpu = MadeUpGpu()
    found = source(gpu)
    assert found.sample()["others_share"] is None
    gpu.periods = [Utilisation(OTHER.pid, soon_us(), 0.5)]
    assert found.sample()["others_share"] == 0.5
    assert found.sample()["others_share"] == 0.5
    now_s = time.monotonic()
    monkeypatch.setattr("profiling.machine.gpu.time.monotonic", lambda: now_s + 3)
    assert found.sample()["others_share"] is None


def test_old_periods_do_not_count() -> None:
    gpu = MadeUpGpu()
    found = source(gpu)
    gpu.periods = [Utilisation(OTHER.pid, 0, 0.5)]  # the driver fills up with zeros
    assert found.sample()["others_share"] is None


def test_the_share_of_others() -> None:
    periods = [
        Utilisation(OURS.pid, 1, 1.0),
        Utilisation(12, 1, 0.2),
        Utilisation(12, 2, 0.4),
        Utilisation(13, 2, 0.1),
    ]
    assert others_share(periods, OWN) == pytest.approx(0.3 + 0.1)
    assert others_share(periods, {*OWN, 12}) == pytest.approx(0.1)
    assert others_share(periods[:1], OWN) == 0.0
    assert others_share([Utilisation(14, 1, 0.9), Utilisation(15, 1, 0.9)], OWN) == 1.0


def test_in_a_container_numbers_count_only_where_the_driver_translates_them() -> None:
    gpu = MadeUpGpu()
    assert numbers_differ(gpu, OWN, first_namespace=False) is None
    gpu.processes = [OTHER]
    assert numbers_differ(gpu, OWN, first_namespace=True) is None
    assert "other numbers" in (numbers_differ(gpu, OWN, first_namespace=False) or "")
    found = source(gpu, first_namespace=False)
    assert "other numbers" in found.unavailable["others_share"]
    assert "others_share" not in found.sample()
    gpu.processes = [OTHER, OURS]  # CUDA has been started meanwhile
    found.restart()
    assert "others_share" in found.sample()


def test_the_namespace_of_this_process() -> None:
    """Held against what Linux writes for the machine's own namespace."""
    assert in_first_namespace() == (str(Path("/proc/self/ns/pid").readlink()) == "pid:[4026531836]")
    assert not in_first_namespace(Path("/absent"))


def test_energy_and_idle_power() -> None:
    found = watch(MadeUpGpu())
    found.begin()
    found.end()
    document = found.as_dict(7, {"power_w": "why"})
    assert document["energy"]["joules"] == 300.0
    assert document["energy"]["images"] == 7
    assert 0 <= document["energy"]["window_s"] < 60
    assert document["idle_power_w"] == 55.5
    assert document["unavailable"] == {"power_w": "why"}


def test_energy_that_is_not_told() -> None:
    gpu = MadeUpGpu()
    gpu.refused = dict.fromkeys(("energy_j", "power_w", "compute_processes"), "Not Supported")
    found = watch(gpu, refuse=True)
    found.begin()
    found.end()
    document = found.as_dict(7, {})
    assert document["energy"] is None
    assert document["idle_power_w"] is None
    assert set(document["unavailable"]) == {"energy", "idle_power_w", "foreign_processes"}


def test_others_on_the_gpu_are_recorded() -> None:
    gpu = MadeUpGpu()
    gpu.processes = [OURS, OTHER, ComputeProcess(12, None, None)]
    found = watch(gpu)
    found.begin()
    gpu.processes = [OURS, OTHER._replace(used_bytes=5), ComputeProcess(13, "x", 1)]
    found.end()
    found.refuse_foreign()
    assert found.as_dict(1, {})["foreign_processes"] == [
        {"pid": OTHER.pid, "name": "blender", "used_bytes": 5, "seen": "throughout"},
        {"pid": 12, "name": None, "used_bytes": None, "seen": "before"},
        {"pid": 13, "name": "x", "used_bytes": 1, "seen": "after"},
    ]
    assert foreign_records([], []) == []


def test_a_process_of_ours_that_ended_meanwhile_is_no_other() -> None:
    gpu, own = MadeUpGpu(), {OURS.pid, 12}
    gpu.processes = [OURS, ComputeProcess(12, "worker", 1)]
    found = GpuWatch(gpu, False, lambda: set(own), True)
    found.begin()
    own.remove(12)
    gpu.processes = [OURS]
    found.end()
    assert found.as_dict(1, {})["foreign_processes"] == []


def test_others_on_the_gpu_are_an_error_where_asked_for() -> None:
    gpu = MadeUpGpu()
    gpu.processes = [OTHER]
    with pytest.raises(DeviceError, match=rf"before .*blender \(process {OTHER.pid}\); wait"):
        watch(gpu, refuse=True)
    gpu.processes = [OURS]
    found = watch(gpu, refuse=True)
    found.begin()
    gpu.processes = [OURS, OTHER]
    found.end()
    with pytest.raises(DeviceError, match=r"after .*blender"):
        found.refuse_foreign()


def test_others_that_cannot_be_told_from_us_are_no_error() -> None:
    gpu = MadeUpGpu()
    gpu.processes = [OTHER]
    found = watch(gpu, refuse=True, first_namespace=False)
    found.begin()
    found.end()
    found.refuse_foreign()
    document = found.as_dict(1, {})
    assert document["foreign_processes"] == []
    assert "other numbers" in document["unavailable"]["foreign_processes"]


@pytest.mark.parametrize(
    ("asked", "supported", "expected"),
    [(1400, [210, 1395, 1410], 1395), (1410, [210, 1410], 1410), (1234, [], 1234)],
)
def test_the_clock_next_to_the_one_asked_for(
    asked: int, supported: list[int], expected: int
) -> None:
    assert choose_clock(asked, supported) == expected


def test_a_clock_that_the_gpu_has_not() -> None:
    with pytest.raises(GpuError, match="from 210 to 1410 MHz"):
        choose_clock(5000, [210, 1395, 1410])


def lock(gpu: MadeUpGpu, asked_mhz: int | None) -> ClockLock:
    return ClockLock(gpu, asked_mhz, [sys.executable, "-c", UNLOCK, str(gpu.clock_file)])


def test_a_clock_is_locked_and_set_free(tmp_path: Path) -> None:
    gpu = MadeUpGpu(tmp_path / "clock")
    found = lock(gpu, 1400)
    assert (found.locked_mhz, found.problem) == (1395, None)
    assert (tmp_path / "clock").read_text() == "1395"
    found.release()
    assert not (tmp_path / "clock").exists()
    found.release()


def test_no_clock_asked_for_is_none_touched(tmp_path: Path) -> None:
    gpu = MadeUpGpu(tmp_path / "clock")
    found = ClockLock(gpu, None, ["/absent"])
    found.release()
    assert (found.locked_mhz, found.problem, gpu.asked) == (None, None, [])


def test_where_the_owner_does_not_set_it_free_the_restorer_does(tmp_path: Path) -> None:
    gpu = MadeUpGpu(tmp_path / "clock")
    found = lock(gpu, 1410)
    gpu.refused = {"unlock_sm_clock": "no"}
    found.release()
    assert not (tmp_path / "clock").exists()


@pytest.mark.parametrize("name", ["lock_sm_clock", "supported_sm_clocks_mhz"])
def test_what_is_not_permitted_is_told_and_the_run_goes_on(name: str, tmp_path: Path) -> None:
    gpu = MadeUpGpu(tmp_path / "clock")
    gpu.refused = {name: "NVML: Insufficient Permissions"}
    found = lock(gpu, 1410)
    if name == "lock_sm_clock":
        assert found.locked_mhz is None
        assert found.problem == "1410 MHz could not be locked: NVML: Insufficient Permissions"
    else:
        assert (found.locked_mhz, found.problem) == (1410, None)
    found.release()


def test_without_a_restorer_nothing_is_locked() -> None:
    gpu = MadeUpGpu()
    found = ClockLock(gpu, 1410, ["/absent"])
    assert found.locked_mhz is None
    assert "set it free again did not come up" in (found.problem or "")
    assert gpu.locked == []


def test_a_machine_without_such_a_gpu_is_a_reason() -> None:
    with pytest.raises(GpuError), open_gpu("GPU-00000000-0000-0000-0000-000000000000"):
        pass
    with pytest.raises(GpuError, match="not known"), open_gpu(None):
        pass


@pytest.fixture
def uuid() -> str:
    from profiling.fingerprint import gpu_uuid

    return gpu_uuid()


@pytest.mark.gpu
def test_on_a_gpu_every_quantity_has_a_value_or_a_reason(uuid: str) -> None:
    import torch

    matrix = torch.rand(4096, 4096, device="cuda")
    with open_gpu(uuid) as gpu:
        found = GpuSource(gpu, lambda: {os.getpid()})
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            for _ in range(20):
                matrix = (matrix @ matrix).clamp(0, 1)
            torch.cuda.synchronize()
            values = found.sample()
        for name in (*QUANTITIES, "others_share"):
            assert values.get(name) is not None or found.unavailable.get(name), name
        print(values, found.unavailable)
        if values.get("sm_clock_mhz") is not None:
            assert 100 < values["sm_clock_mhz"] < 5000
        if values.get("power_w") is not None:
            assert 1 < values["power_w"] < 2000


@pytest.mark.gpu
def test_on_a_gpu_the_name_of_the_wrong_kind_finds_it_too(uuid: str) -> None:
    number = uuid.partition("-")[2]
    with open_gpu(f"GPU-{number}") as one, open_gpu(f"MIG-{number}") as other:
        assert one.temperature_c() == pytest.approx(other.temperature_c(), abs=5)


@pytest.mark.gpu
def test_on_a_gpu_another_process_is_seen(uuid: str) -> None:
    import torch

    torch.zeros(1, device="cuda")
    script = "import torch; x = torch.zeros(1, device='cuda'); print(1, flush=True); input()"
    other = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    other.stdout.readline()
    with open_gpu(uuid) as gpu:
        differ = numbers_differ(gpu, {os.getpid()})
        found = {one.pid for one in gpu.compute_processes()} if differ is None else set()
    other.communicate(b"\n", timeout=60)
    assert differ or other.pid in found


@pytest.mark.gpu
def test_on_a_gpu_a_study_that_waits_for_its_turn_is_no_process_that_computes(uuid: str) -> None:
    """It asks for the UUID before it waits for the lock, and must not disturb who holds it."""
    script = "from profiling.cli.measure import gpu_key; print(gpu_key(None), flush=True); input()"
    waiting = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert waiting.stdout is not None
    assert waiting.stdout.readline().strip()
    with open_gpu(uuid) as gpu:
        computing = {one.pid for one in gpu.compute_processes()}
    waiting.communicate(b"\n", timeout=60)
    assert waiting.pid not in computing


@pytest.mark.gpu
def test_on_a_gpu_a_clock_is_locked_or_a_reason_given(uuid: str) -> None:
    from profiling.machine.clocks import unlock_command

    with open_gpu(uuid) as gpu:
        found = ClockLock(gpu, min(gpu.supported_sm_clocks_mhz()), unlock_command(uuid))
        assert (found.locked_mhz is None) != (found.problem is None)
        found.release()
