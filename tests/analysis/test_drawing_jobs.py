"""Figures that several processes draw."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from adscale.errors import OutputError
from analysis.figures.canvas import Drawing, Style, empty_drawing
from analysis.figures.draw import draw_figures

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
