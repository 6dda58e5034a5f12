"""What this machine has for tests, and how they are dealt out to several workers."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

# Before torch or numpy is imported: two workers on two cores have one each. A run that is
# measured takes the threads of its request, whatever stands here.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from profiling.collectors.nsys import find_nsys
from profiling.lock import ENVIRONMENT_VARIABLE as LOCKS
from tests.shared_folders import Share, share_in, shared_base

CHECKOUT = Path(__file__).parents[1]
FIXTURES = CHECKOUT.parent / "shared" / "fixtures"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips, with the reason, what this machine cannot run; what takes longest comes first."""
    _skip(items)
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=_turn)


def _skip(items: list[pytest.Item]) -> None:
    reasons = {
        "gpu": None if _has_gpu() else "no NVIDIA GPU here",
        "nsys": None if find_nsys(None) else "no nsys here (ADSCALE_NSYS, PATH)",
        "engines": _absent_engines(),
        "fixtures": None if FIXTURES.is_dir() else "../shared/fixtures is absent",
    }
    for item in items:
        for marker, reason in reasons.items():
            if reason and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


def _turn(item: pytest.Item) -> int:
    """Studies, then what starts other processes, then all that runs within pytest.

    One file makes the shared study, while the other process runs studies that do not need it.
    """
    needs = getattr(item, "fixturenames", ())
    if item.nodeid.startswith(SHARED_STUDY_FIRST):
        return 0
    if item.get_closest_marker("study"):
        return 2 if "finished_study" in needs else 1
    starts_processes = "checkout_environment" in needs or item.nodeid.startswith("tests/workflow/")
    return 3 if starts_processes else 4


SHARED_STUDY_FIRST = "tests/workflow/test_left_out.py"

SINGLY = ("tests/workflow/test_study.py",)
"""Long files without a fixture of their own: each of their tests goes where there is room."""

COUNTS = tuple(
    f"tests/profiling/test_{name}.py"
    for name in ("memory_counting", "memory_methods", "memory_peaks", "efficientad_forms")
)
"""Files that look at the same counts, which each process makes for itself."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Deals tests out to processes: a file stays in one of them, with its fixtures."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::", maxsplit=1)[0]
            return nodeid if file in SINGLY else COUNTS[0] if file in COUNTS else file

    return Scheduling(config, log)


def _absent_engines() -> str | None:
    names = ("nncf", "onnx", "onnxruntime", "onnxscript", "openvino", "torch_pruning")
    absent = [name for name in names if importlib.util.find_spec(name) is None]
    return f"no {', '.join(absent)} here (envs/engines.txt)" if absent else None


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Locks of each worker, so that it waits for no other measurement on this machine; one cache.

    What they check of a run are its record and its files, which a busy machine does not change.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(LOCKS, str(tmp_path_factory.mktemp("locks")))
        # what one process has made there, all can use; a user's own is left alone
        patch.setenv("ADSCALE_CACHE", str(shared_base(tmp_path_factory) / "cache"))
        yield


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may read, unlike those of pytest."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


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
