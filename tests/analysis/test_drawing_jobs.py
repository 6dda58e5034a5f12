"""Figures that several processes draw."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from adscale.errors import OutputError
from analysis.figures.canvas import Drawing, Style, empty_drawing
from analysis.figures.draw import draw_figures
from tests.conftest import CHECKOUT

STYLE = Style()


def small(name: str = "small") -> Drawing:
    return empty_drawing(name, "Nothing.", STYLE)


def killed() -> Drawing:
    os.kill(os.getpid(), signal.SIGKILL)
    return small()


def test_a_process_that_is_killed_is_told_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"was killed, .* --jobs 1"):
        draw_figures({"small": small, "killed": killed}, tmp_path, STYLE, jobs=2)


def test_a_folder_that_cannot_be_written_is_told_as_by_one_process(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    told = []
    for jobs in (1, 2):
        with pytest.raises(OutputError) as caught:
            draw_figures({"small": small, "again": small}, file, STYLE, jobs=jobs)
        told.append(str(caught.value))
    assert told[0] == told[1]


HALF_DRAWN = """
import signal, sys, time
from functools import partial
from pathlib import Path

from adscale.command_line import run_command
from analysis.figures.canvas import Drawing, Style
from analysis.figures.draw import draw_figures

class Half:
    def savefig(self, path, **_settings):
        path.write_bytes(b"half of a figure")
        time.sleep(300)

figures = {name: partial(Drawing, name, Half(), None) for name in ("one", "two", "three")}
draw = partial(draw_figures, figures, Path(sys.argv[1]), Style(), jobs=2)
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a parent may have switched off
sys.exit(run_command(lambda: draw() and None, {}, [signal.SIGTERM]))
"""


def until(holds: Callable[[], bool]) -> bool:
    end_s = time.monotonic() + 60
    while not holds() and time.monotonic() < end_s:
        time.sleep(0.05)
    return holds()


@pytest.mark.parametrize(
    ("signum", "returncode"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_who_ends_a_drawing_command_ends_all_of_it_and_nothing_is_half_written(
    tmp_path: Path, signum: signal.Signals, returncode: int
) -> None:
    command = [sys.executable, "-c", HALF_DRAWN, str(tmp_path)]
    with subprocess.Popen(command, cwd=CHECKOUT, stderr=subprocess.PIPE, text=True) as drawing:
        assert until(lambda: len([*tmp_path.iterdir()]) == 2)
        found = Path(f"/proc/{drawing.pid}/task/{drawing.pid}/children").read_text().split()
        assert len(found) == 2
        drawing.send_signal(signum)
        said = drawing.communicate(timeout=60)[1]
    assert drawing.returncode == returncode
    assert until(lambda: not any(Path(f"/proc/{child}").exists() for child in found))
    assert [*tmp_path.iterdir()] == []
    told = "error: interrupted; what was written whole before is kept\n"
    assert said == ("" if signum == signal.SIGKILL else told)
