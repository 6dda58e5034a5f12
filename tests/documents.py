"""What the tests of documentation read from a Markdown file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_FENCE = re.compile(r"^ *```(\S*)$")


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        language: the word behind the fence; empty where there is none.
        text: the lines between the fences.
    """

    language: str
    text: str


def split_fences(text: str) -> tuple[list[str], list[Block]]:
    """The lines of a page outside of its fenced blocks, and the blocks.

    Raises:
        ValueError: a fence is never closed.
    """
    outside: list[str] = []
    blocks: list[Block] = []
    language: str | None = None
    lines: list[str] = []
    for line in text.splitlines():
        fence = _FENCE.match(line)
        if fence is None:
            (outside if language is None else lines).append(line)
        elif language is None:
            language, lines = fence[1], []
        else:
            blocks.append(Block(language, "\n".join(lines)))
            language = None
    if language is not None:
        raise ValueError(f"a fence with {language!r} is never closed")
    return outside, blocks


def shell_blocks(text: str) -> list[str]:
    """The fenced blocks of shell commands of a page."""
    return [block.text for block in split_fences(text)[1] if block.language == "sh"]


def sections(text: str) -> Iterator[tuple[str, str]]:
    """Heading and text of each part of a page; the part before the first has the page's title."""
    fenced = False
    heading, lines = "", []
    for line in text.splitlines():
        fenced ^= _FENCE.match(line) is not None
        if line.startswith("## ") and not fenced:
            yield heading, "\n".join(lines)
            heading, lines = line.removeprefix("## "), []
        else:
            lines.append(line)
    yield heading, "\n".join(lines)
