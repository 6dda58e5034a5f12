"""A prediction is a count beside the memory of the device, made in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from adscale.digest import source_digest
from adscale.request import RunRequest, Sampling
from adscale.resolution import Resolution, square
from adscale.run_record import Prediction
from profiling.memory_limits import total_host_bytes
from profiling.prediction import CountingProcess, Need, predict
from tests.profiling.counts import counted
from tests.profiling.running import record
from tests.study_requests import plain_request


def request(**changes: Any) -> RunRequest:
    given = {"resolution": square(256), "threads": 1, "device_type": "cpu", "collector": "embedded"}
    return plain_request(Sampling(1, 2, 2, None), **{**given, **changes})


def need(**changes: Any) -> Need | str:
    return CountingProcess(request(**changes)).need()


def test_it_is_the_count_beside_the_memory_of_the_device() -> None:
    found = need()
    count = counted("efficientad", 256, **request().settings)
    assert found == Need(count.needed_bytes, None)
    prediction = predict(found, "cpu")
    assert isinstance(prediction, Prediction)
    assert prediction.needed_bytes == count.needed_bytes
    assert prediction.device_memory_bytes == total_host_bytes()
    assert 0 < prediction.available_bytes <= prediction.device_memory_bytes
    assert prediction.counted_by == source_digest("profiling.prediction")


def test_a_checkpoint_is_not_read() -> None:
    settings = {**request().settings, "weights": "no/such/file.pt"}
    assert need(settings=settings) == need()


def test_other_sizes_are_counted_in_the_same_process() -> None:
    sizes = [square(288), square(64), Resolution(256, 320)]  # EfficientAD needs 256 px
    counting = CountingProcess(request(), also=sizes)
    assert counting.need() == need()
    assert counting.others == {size: need(resolution=size) for size in sizes if size != square(64)}


def test_what_cannot_be_counted_is_a_reason_and_no_error() -> None:
    told = need(resolution=square(64))  # EfficientAD needs 256 px
    assert isinstance(told, str)
    assert "64 px" in told
    assert "\n" not in told
    assert predict(told, "cpu") == told


class Deadly(nn.Module):
    """Ends the process that builds it."""

    def __init__(self) -> None:
        super().__init__()
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_count_that_dies_is_a_reason() -> None:
    told = need(target=f"{__name__}:Deadly", settings={})
    assert told == "the counting process ended without an answer (SIGKILL)"


def test_what_is_known_is_not_counted() -> None:
    known = Need(12345, "counted up to a")
    deadly = request(target=f"{__name__}:Deadly", settings={})
    assert CountingProcess(deadly, known).need() == known


def test_a_counting_process_that_nobody_asks_ends_with_its_parent() -> None:
    program = (
        "from tests.profiling.test_prediction import request, CountingProcess;"
        "print(CountingProcess(request())._pid)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    until_s = time.monotonic() + 30
    while Path(f"/proc/{int(done.stdout)}/cmdline").exists() and time.monotonic() < until_s:
        time.sleep(0.05)
    assert not Path(f"/proc/{int(done.stdout)}").exists()


@lru_cache
def ramp(size: int) -> torch.Tensor:
    return torch.linspace(0, 1, size)


class Caching(nn.Module):
    """Keeps a tensor from one call to the next, as caches of positions are kept."""

    calls = 0

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        print("called", flush=True)
        Caching.calls += 1
        moved = image + ramp(image.shape[-1])
        if type(moved) is not type(image):
            raise AssertionError(f"computes with a {type(moved).__name__}")
        result: torch.Tensor = self.first(moved)
        return result


def test_what_the_count_leaves_in_caches_is_not_measured(
    tmp_path: Path, checkout_environment: dict[str, str]
) -> None:
    asked = request(target=f"{__name__}:Caching", settings={}, resolution=square(32))
    command = [sys.executable, "-m", "profiling", "measure", "--request", asked.as_json()]
    done = subprocess.run(
        [*command, "--out", str(tmp_path)], cwd=Path(__file__).parents[2],
        env=checkout_environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    data = record(tmp_path)
    assert data["status"] == "ok"
    # the image, and what the layer makes of its sum
    assert data["prediction"]["needed_bytes"] > 2 * 4 * 3 * 32**2
    assert done.stdout.count("called") == 3, "two images and the one before them"


def test_this_process_is_left_as_it_was() -> None:
    Caching.calls = 0
    before = torch.get_rng_state()
    found = need(target=f"{__name__}:Caching", settings={}, resolution=square(32))
    assert isinstance(found, Need), found
    assert Caching.calls == ramp.cache_info().currsize == 0
    assert torch.equal(torch.get_rng_state(), before)
