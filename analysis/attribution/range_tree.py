"""The paths of ranges: the names from the outermost one down, numbered as a tree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..nsys.records import Coded, Int64s, Integers, factorized
from .chains import index_type


class PathTree(NamedTuple):
    """The different paths of ranges; parents come before their children.

    Attributes:
        code: number of each range's path.
        parent: number of the path around each path, −1 for none.
        label: the last label of each path.
    """

    code: Integers
    parent: Int64s
    label: npt.NDArray[np.generic]

    def depths(self) -> Int64s:
        """Number of labels above the last one of each path."""
        depths: list[int] = []
        for parent in self.parent.tolist():
            depths.append(depths[parent] + 1 if parent >= 0 else 0)
        return np.array(depths, np.int64)


def path_tree(
    parent: Integers, levels: Sequence[Integers], labels: npt.ArrayLike | Coded
) -> PathTree:
    """Number the paths of nodes, level by level.

    Args:
        parent: position of the node around each node, −1 for none.
        levels: positions of the nodes of each depth, the outermost first.
        labels: a label per node; integers, strings, or either of them encoded.
    """
    coded = labels if isinstance(labels, Coded) else Coded.of(_array(labels))
    kind = index_type(len(parent))
    code: Integers = np.full(len(parent) + 1, -1, kind)
    number = max(len(coded.distinct), 1)
    parents, last_labels, paths = [], [], 0
    for level in levels:
        keys = code[parent[level]].astype(np.int64)  # the last one is that of the parent −1
        keys += 1
        keys *= number
        keys += coded.code[level]
        own, found = factorized(keys)
        code[level] = own + np.int64(paths)
        parents.append(found // number - 1)
        last_labels.append(found % number)
        paths += len(found)
    none = [np.empty(0, np.int64)]
    labels_used = coded.distinct[np.concatenate(last_labels or none)]
    return PathTree(code[:-1], np.concatenate(parents or none), labels_used)


def _array(labels: npt.ArrayLike) -> npt.NDArray[np.generic]:
    found = np.asarray(labels)
    return found if found.dtype.kind in "iu" else found.astype(object)


def levels_of(depth: Integers) -> list[Integers]:
    """Positions of each depth, the outermost first."""
    deepest = int(depth.max(initial=-1))
    if deepest < 0:
        return []
    small = depth.astype(np.int16) if deepest < 2**15 else depth  # sorted by digits
    order = np.argsort(small, kind="stable").astype(index_type(len(depth)))
    sizes = np.bincount(depth, minlength=deepest + 1)
    return np.split(order, np.cumsum(sizes)[:-1])
