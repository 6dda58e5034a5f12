"""docs/paper.md: each number is printed by the commands beside it, or published by the paper."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from profiling.memory.counting import is_gpu_imaginable
from tests.documents import sections, shell_blocks, split_fences

CHECKOUT = Path(__file__).parents[2]
PAGE = CHECKOUT / "docs" / "paper.md"
PAPER = CHECKOUT.parent / "shared" / "study"
SECTIONS = dict(sections(PAGE.read_text(encoding="utf-8")))
COUNTS = "Counts"

PUBLISHED = {
    "3.69", "4,267,392", "1,096,320", "9", "39", "94", "6", "10", "5", "256", "512", "1024",
}  # fmt: skip
"""Numbers of the paper that the page quotes."""

NUMBER = re.compile(r"(?<![\w.,-])[-−]?\d[\d,]*(?:\.\d+)?(?!\w)")
"""A number as a word of its own: the 101 of WideResNet101 and the 10 of DDAD-10 are none."""

NAMES = re.compile(r"`[^`]*`|\]\([^)]*\)|RTX \d+|\d+-bit")
"""Words with numbers in them that claim nothing: code, links, a card, a type."""


def numbers(text: str) -> set[str]:
    """The numbers of a text, with the hyphen as minus sign."""
    found = NUMBER.findall(NAMES.sub(" ", text))
    return {number.rstrip(",").replace("−", "-") for number in found}


def told(section: str) -> tuple[set[str], set[str]]:
    """Numbers that are ours, and those that are the paper's: in quotations and its columns."""
    ours: set[str] = set()
    published: set[str] = set()
    for line, columns in _with_columns(split_fences(section)[0]):
        if line.startswith(">"):
            published |= numbers(line)
            continue
        cells = line.strip("|").split("|") if line.startswith("|") else [line]
        for at, cell in enumerate(cells):
            is_published = at < len(columns) and columns[at].startswith("the paper")
            (published if is_published else ours).update(numbers(cell))
    return ours, published


def _with_columns(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Each line with the heads of its table's columns; none outside of tables."""
    columns: list[str] = []
    for line in lines:
        if not line.startswith("|"):
            columns = []
        elif not columns:
            columns = [cell.strip() for cell in line.strip("|").split("|")]
        yield line, columns


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the counts of the page lie, and what their commands print."""
    if not is_gpu_imaginable():
        pytest.skip("this torch counts for a GPU only where there is one")
    folder = tmp_path_factory.mktemp("page")
    printed = [run(block, folder) for block in shell_blocks(SECTIONS[COUNTS])]
    (folder / COUNTS).write_text("\n".join(printed), encoding="utf-8")
    return folder


def run(block: str, folder: Path) -> str:
    """What a block prints, run as it is written, with the Python of the tests."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["sh", "-eu", "-c", block], cwd=folder, capture_output=True, text=True, timeout=600,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_numbers_are_told_apart() -> None:
    text = (
        "A WideResNet101 of 3.5 GiB, −1 % on an RTX 4090.\n> 7 or `8`\n\n"
        "| | the paper | x |\n|---|---|---|\n| 5 | 6 | 1,024 |\n\n```sh\n9\n```\nin 2, or 3."
    )
    assert told(text) == ({"3.5", "-1", "5", "1,024", "2", "3"}, {"7", "6"})


def test_numbers_of_the_paper_are_published() -> None:
    found = {number for section in SECTIONS.values() for number in told(section)[1]}
    assert found <= PUBLISHED


@pytest.mark.skipif(not PAPER.is_dir(), reason="the text of the paper is absent")
def test_published_numbers_are_in_the_paper() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in PAPER.glob("*.txt"))
    # German: a comma before decimals, a point between thousands
    swapped = str.maketrans(",.", ".,")
    missing = {n for n in PUBLISHED if not re.search(rf"(?<!\d){n.translate(swapped)}(?!\d)", text)}
    assert missing == set()


def test_the_table_at_the_top_has_no_numbers_of_ours() -> None:
    assert told(SECTIONS[""])[0] == set()


@pytest.mark.slow
@pytest.mark.parametrize("heading", [heading for heading in SECTIONS if heading])
def test_each_number_of_ours_is_printed_by_a_command_beside_it(heading: str, folder: Path) -> None:
    ours, _ = told(SECTIONS[heading])
    blocks = shell_blocks(SECTIONS[heading])
    if heading == COUNTS:
        printed = (folder / COUNTS).read_text(encoding="utf-8")
    else:
        printed = "\n".join(run(block, folder) for block in blocks)
    asked_for = "\n".join(blocks).replace("=", " ")
    assert ours <= numbers(printed) | numbers(asked_for)
