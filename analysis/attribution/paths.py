"""Where a range stands: the names from the outermost range down to it."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.attribution.nesting import Nesting


def range_paths(nesting: Nesting, names: Sequence[str], separator: str) -> list[str]:
    """The path of each range, outermost name first.

    Args:
        nesting: parents of the ranges.
        names: one name per range.
        separator: what stands between two names.
    """
    paths = [""] * len(names)
    parents = nesting.parent.tolist()
    for position in nesting.order.tolist():  # outer before inner
        parent = parents[position]
        outer = f"{paths[parent]}{separator}" if parent >= 0 else ""
        paths[position] = outer + names[position]
    return paths
