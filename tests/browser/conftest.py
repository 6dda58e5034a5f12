"""A real browser, and a report opened in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from analysis.__main__ import main
from tests.analysis.report_study import write_study

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SIDES = (256, 384, 512, 640, 768)
HOSTILE = "<b onmouseover=alert(1)>bold</b>\"'</script>"
"""A method's label, as no configuration would take it, but a foreign table may hold."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no Chromium here (apt: chromium)")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        # without its sandbox: root, as in most containers, has none
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_study(
        tmp_path_factory.mktemp("tables"), ["PatchCore-10", HOSTILE], SIDES, kernel=HOSTILE
    )
    path = folder / "report.html"
    assert main(["report", str(folder), "-o", str(path)]) == 0
    return path


@pytest.fixture
def page(browser: Browser, report: Path) -> Iterator[Page]:
    """The report at the width of a desktop; anything on its console fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    opened = context.new_page()
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: said.extend(_foreign(request.url)))
    opened.goto(report.as_uri())
    opened.wait_for_selector("html[data-ready=true]")
    yield opened
    context.close()
    assert said == []


def _foreign(url: str) -> list[str]:
    """The address, where it is not part of the page itself."""
    return [] if url.startswith(("file:", "data:", "blob:")) else [url]
