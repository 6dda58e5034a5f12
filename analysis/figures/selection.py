"""Which of many counted resolutions a figure with a bar for each shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

MOST = 8
"""Bars that remain legible beside each other."""

ENOUGH = 4
"""Of the preferred resolutions, for a choice of them to be a fair picture."""


def shown_sides(counted_px: Iterable[int]) -> list[int]:
    """All sides if they are few; else those next to 256, 384, 512, 768, 1024, … and the largest.

    Each is about √2 times the one before. Where a user's own counts hold too few of these, eight
    are taken evenly from all.

    Args:
        counted_px: sides at which memory was counted, in any order, also repeatedly.
    """
    sides = sorted(set(counted_px))
    if len(sides) <= MOST:
        return sides
    preferred = {
        min((side for side in sides if low <= side < high), default=sides[-1])
        for low, high in _steps(sides[-1])
    }
    if len(preferred) >= ENOUGH:
        return sorted({*preferred, sides[-1]})
    return [sides[round(number * (len(sides) - 1) / (MOST - 1))] for number in range(MOST)]


def shown_words(counted_px: Iterable[int]) -> str:
    """A sentence for the caption where not all are shown, or nothing."""
    counted = set(counted_px)
    shown = shown_sides(counted)
    if len(shown) == len(counted):
        return ""
    return f" Shown are {len(shown)} of {len(counted)} counted resolutions; memory.csv has all."


def _steps(largest_px: int) -> Iterator[tuple[int, int]]:
    """From each preferred side to the next."""
    side_px = 256
    while side_px <= largest_px:
        yield side_px, side_px * 3 // 2
        yield side_px * 3 // 2, side_px * 2
        side_px *= 2
