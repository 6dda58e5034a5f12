"""Tables of text for the terminal."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence


def text_table(
    head: Sequence[str], rows: Iterable[Sequence[str]], left: Collection[str] = ()
) -> str:
    """Lines with aligned columns: names to the left, numbers to the right; no digit is changed.

    Args:
        head: title of each column.
        rows: a text per column, without line feeds.
        left: titles of the columns that are aligned to the left.
    """
    from tabulate import tabulate

    # the head is a row like others: tabulate makes columns two wider than its own heads
    return tabulate(
        [head, *rows],
        tablefmt="plain",
        disable_numparse=True,
        colalign=["left" if title in left else "right" for title in head],
        preserve_whitespace=True,
    )
