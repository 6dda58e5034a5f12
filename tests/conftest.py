"""What this machine has for tests, and how they are dealt out to several workers."""

from __future__ import annotations

import os
from pathlib import Path

# Before torch or numpy is imported: two workers on two cores have one each. A run that is
# measured takes the threads of its request, whatever stands here.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from profiling.collectors.nsys import find_nsys
from tests.shared_folders import Share, share_in, shared_base

CHECKOUT = Path(__file__).parents[1]
FIXTURES = CHECKOUT.parent / "shared" / "fixtures"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skips, with the reason, what this machine cannot run; deals out the rest."""
    _skip(items)
    if config.getoption("dist", "no") == "loadgroup":
        _deal_out(items)


def _skip(items: list[pytest.Item]) -> None:
    reasons = {
        "gpu": None if _has_gpu() else "no NVIDIA GPU here",
        "nsys": None if find_nsys(None) else "no nsys here (ADSCALE_NSYS, PATH)",
        "fixtures": None if FIXTURES.is_dir() else "../shared/fixtures is absent",
    }
    for item in items:
        for marker, reason in reasons.items():
            if reason and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


DEALT_OUT_SINGLY = ("tests/workflow/test_study.py",)
"""Long files without a fixture of their own: each of their tests goes where there is room."""


def _deal_out(items: list[pytest.Item]) -> None:
    """What takes longest comes first, and a file stays on one worker with its fixtures."""
    for item in items:
        file = item.nodeid.split("::")[0]
        if file not in DEALT_OUT_SINGLY and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(file))
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    """Studies, then what starts processes that measure, then all that runs within pytest."""
    if item.get_closest_marker("study"):
        return 0
    return 1 if "checkout_environment" in getattr(item, "fixturenames", ()) else 2


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.fixture(scope="session")
def share(tmp_path_factory: pytest.TempPathFactory) -> Share:
    """Makes a folder once for all workers; tests that change it take a copy."""
    return share_in(shared_base(tmp_path_factory))


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
