"""Energy per image, from made-up counters."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.machine.energy import EnergyPerImage, energy_per_image
from tests.analysis.machines import gpu


def document(idle_power_w: float | None = 50.0, **energy: float) -> dict[str, Any]:
    return {**gpu(), "energy": energy or None, "idle_power_w": idle_power_w}


def test_energy_per_image() -> None:
    found = energy_per_image(document(joules=2000.0, window_s=10.0, images=100))
    assert found == EnergyPerImage(joules=20.0, above_idle_joules=15.0)
    found = energy_per_image(document(None, joules=2000.0, window_s=10.0, images=100))
    assert found == EnergyPerImage(joules=20.0, above_idle_joules=None)


@pytest.mark.parametrize(
    "energy",
    [{}, {"joules": 2000.0, "window_s": 4.9, "images": 100},
     {"joules": 2000.0, "window_s": 10.0, "images": 0}],
)  # fmt: skip
def test_what_says_nothing_is_none(energy: dict[str, float]) -> None:
    assert energy_per_image(document(**energy)) is None
