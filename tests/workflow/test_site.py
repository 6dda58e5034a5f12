"""docs/ builds as a site without a warning; what is broken in it ends the build."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A copy of the pages, to build or to break."""
    pytest.importorskip("sphinx", reason="sphinx is not installed (envs/dev.txt)")
    copy = tmp_path / "docs"
    shutil.copytree(DOCS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def build(docs: Path) -> subprocess.CompletedProcess[str]:
    """As `make docs` does."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going"),
            *("-b", "html", str(docs), str(docs.parent / "site")),
        ],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def test_the_site_builds_without_a_warning(docs: Path) -> None:
    done = build(docs)
    assert done.returncode == 0, done.stderr
    pages = {path.stem for path in docs.glob("*.md")}
    assert pages <= {path.stem for path in (docs.parent / "site").glob("*.html")}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[x](no-such-page.md)", "no-such-page.md"),
        ("[x](memory.md#no-such-heading)", "no-such-heading"),
        ("[x](#no-such-heading)", "no-such-heading"),
    ],
)
def test_a_broken_link_ends_the_build(docs: Path, text: str, problem: str) -> None:
    with (docs / "methods.md").open("a", encoding="utf-8") as page:
        page.write(f"\n{text}\n")
    done = build(docs)
    assert done.returncode != 0
    assert problem in done.stderr


def test_a_page_that_is_not_in_the_navigation_ends_the_build(docs: Path) -> None:
    (docs / "lost.md").write_text("# Lost\n", encoding="utf-8")
    done = build(docs)
    assert done.returncode != 0
    assert "lost.md" in done.stderr
