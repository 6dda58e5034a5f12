"""Where a range stands: the names from the outermost range down to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..nsys.records import Int64s
from .nesting import Nesting


class PathTree(NamedTuple):
    """The different paths of ranges; parents come before their children.

    Attributes:
        code: number of each range's path.
        parent: number of the path around each path, −1 for none.
        label: the last label of each path.
    """

    code: Int64s
    parent: Int64s
    label: npt.NDArray[np.generic]

    def texts(self, separator: str) -> list[str]:
        """Each path as text, the outermost label first."""
        texts: list[str] = []
        for parent, label in zip(self.parent.tolist(), self.label.tolist(), strict=True):
            texts.append(f"{texts[parent]}{separator}{label}" if parent >= 0 else str(label))
        return texts


def path_tree(parent: Int64s, levels: Sequence[Int64s], labels: npt.ArrayLike) -> PathTree:
    """Number the paths of nodes, level by level.

    Args:
        parent: position of the node around each node, −1 for none.
        levels: positions of the nodes of each depth, the outermost first.
        labels: a label per node.
    """
    label_code, label = pd.factorize(np.asarray(labels))
    code = np.zeros(len(parent) + 1, np.int64)
    code[-1] = -1  # for the parent −1
    parents, last_labels, paths = [], [], 0
    for level in levels:
        keys = (code[parent[level]] + 1) * len(label) + label_code[level]
        number, found = pd.factorize(keys)
        code[level] = number + paths
        parents.append(np.asarray(found) // len(label) - 1)
        last_labels.append(np.asarray(found) % len(label))
        paths += len(found)
    none = [np.empty(0, np.int64)]
    labels_used = np.asarray(label)[np.concatenate(last_labels or none)]
    return PathTree(code[:-1], np.concatenate(parents or none), labels_used)


def levels_of(depth: Int64s) -> list[Int64s]:
    """Positions of each depth, the outermost first."""
    order = np.argsort(depth, kind="stable")
    deepest = int(depth.max(initial=-1))
    edges = np.searchsorted(depth[order], np.arange(1, deepest + 1))
    return np.split(order, edges) if deepest >= 0 else []


def range_paths(nesting: Nesting, names: Sequence[str], separator: str) -> list[str]:
    """The path of each range, outermost name first.

    Args:
        nesting: parents of the ranges.
        names: one name per range.
        separator: what stands between two names.
    """
    labels = np.empty(len(names), object)
    labels[:] = names
    tree = path_tree(nesting.parent, levels_of(nesting.depth), labels)
    texts = tree.texts(separator)
    return [texts[code] for code in tree.code.tolist()]
