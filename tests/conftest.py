"""Where tests find what is outside the checkout: nsys, a GPU, the folder of real profiles."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from profiling.collectors.nsys import find_nsys

CHECKOUT = Path(__file__).parents[1]
FIXTURES = CHECKOUT.parent / "shared" / "fixtures"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips, with the reason, what this machine cannot run."""
    reasons = {
        "gpu": None if _has_gpu() else "no NVIDIA GPU here",
        "nsys": None if find_nsys(None) else "no nsys here (ADSCALE_NSYS, PATH)",
        "fixtures": None if FIXTURES.is_dir() else "../shared/fixtures is absent",
    }
    for item in items:
        for marker, reason in reasons.items():
            if reason and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.fixture(scope="session")
def nsys() -> Path:
    """The nsys of this machine; for tests with the marker ``nsys``."""
    found = find_nsys(None)
    assert found is not None
    return found


@pytest.fixture(scope="session")
def checkout_environment() -> dict[str, str]:
    """An environment in which ``python -m profiling`` works from any directory."""
    return {**os.environ, "PYTHONPATH": str(CHECKOUT)}
