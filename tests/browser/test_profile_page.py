"""The page of a profile in a real browser: the flame graph is drawn, and says what it is told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from analysis.__main__ import main
from tests.browser.conftest import HOSTILE
from tests.gpu_profiles import GpuRun, record

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser


def test_boxes_are_as_wide_as_their_time_and_zoom(browser: Browser, tmp_path: Path) -> None:
    work_ns = {"teacher": 400_000, HOSTILE: 1_200_000}
    record(GpuRun("M", 64, tuple(work_ns), lambda name, _: work_ns[name])).write(
        tmp_path / "p.sqlite"
    )
    page = tmp_path / "p.html"
    assert main(["attribute", str(tmp_path / "p.sqlite"), "-o", str(page)]) == 0
    opened = browser.new_page()
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("dialog", lambda dialog: said.append(dialog.message))
    opened.goto(page.as_uri())
    opened.wait_for_selector("html[data-ready=true]")
    boxes = dict(
        opened.eval_on_selector_all(
            "#flame g.slice",
            """slices => slices.filter(one => one.querySelector('text')).map(one => [
                one.querySelector('text').textContent,
                one.querySelector('path').getBBox().width])""",
        )
    )
    wide, narrow = (boxes[f"adscale:{name}"] for name in (HOSTILE, "teacher"))
    assert wide / narrow == pytest.approx(3, rel=0.05)
    assert boxes["adscale:image"] == pytest.approx(wide + narrow, rel=0.05)
    opened.close()
    assert said == []
