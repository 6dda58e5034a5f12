from __future__ import annotations

import io
import os
import pty

from adscale.progress import Progress


def test_without_a_terminal_a_line_now_and_then() -> None:
    stream = io.StringIO()
    with Progress("M 256 px", stream) as progress:
        for done in range(1, 200):
            progress.update("measure", done, 1000, left_s=12.3)
    lines = stream.getvalue().splitlines()
    assert lines == ["M 256 px: measure, 1 of at most 1000 images, about 12 s left"]


def test_each_phase_begins_with_a_line() -> None:
    stream = io.StringIO()
    with Progress("M", stream) as progress:
        progress.update("warmup", 1, 3, None)
        progress.update("measure", 1, 9, None)
    assert [line.split(",")[0] for line in stream.getvalue().splitlines()] == [
        "M: warmup", "M: measure",
    ]  # fmt: skip


def test_on_a_terminal_a_bar_with_the_images_done() -> None:
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as stream:
        with Progress("M 256 px", stream) as progress:
            progress.update("measure", 3, 10, left_s=7.0)
        shown = ""
        while "left" not in shown:  # it comes in parts
            shown += os.read(leader, 10_000).decode()
    os.close(leader)
    assert "M 256 px measure" in shown
    assert "3/10" in shown
    assert "about 7 s left" in shown
