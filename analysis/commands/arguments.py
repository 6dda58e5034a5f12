"""Types of arguments that several subcommands share."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001


def side_px(text: str) -> int:
    """A side length in px.

    Raises:
        argparse.ArgumentTypeError: the text is no positive integer.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no side length in px, such as 1024")
    return int(text)
