"""Real profiles and their answers, generated runs, and the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from analysis.__main__ import main

FIXTURES = Path(__file__).parents[2].parent / "shared" / "fixtures"


settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with `real_profile` runs on every real profile; skipped where there are none."""
    if "real_profile" in metafunc.fixturenames:
        paths = sorted(FIXTURES.glob("*/*.sqlite"))
        skipped = pytest.param(None, marks=pytest.mark.skip("../shared/fixtures is absent"))
        metafunc.parametrize("real_profile", paths or [skipped], ids=lambda p: p.stem if p else "-")


@pytest.fixture
def analysis(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs the command line; exit code, standard output, standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run
