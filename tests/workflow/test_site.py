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


def test_each_fault_ends_the_build(docs: Path) -> None:
    """A warning is an error, and of one build all of them are told."""
    faults = {
        "[x](no-such-page.md)": "no-such-page.md",
        "[x](memory.md#no-such-heading)": "no-such-heading",
        "[x](#no-heading-here)": "no-heading-here",
    }
    with (docs / "methods.md").open("a", encoding="utf-8") as page:
        page.write("".join(f"\n{text}\n" for text in faults))
    (docs / "lost.md").write_text("# Lost\n", encoding="utf-8")
    done = build(docs)
    assert done.returncode != 0
    warnings = [line for line in done.stderr.splitlines() if "WARNING" in line]
    for problem in (*faults.values(), "lost.md"):
        assert [line for line in warnings if problem in line], problem
