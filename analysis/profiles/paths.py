"""Paths of ranges as texts, and back."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from adscale.errors import ArgumentError

from ..attribution.range_tree import PathTree

SEPARATOR = " > "
"""Stands between the names of a path."""


def path_texts(paths: PathTree, levels: int | None = None) -> npt.NDArray[np.object_]:
    r"""Each path as text, from which `path_names` gets its names back.

    In a name `\` stands before each `\`, and before a `>` that stands alone, between spaces.

    Args:
        paths: the paths.
        levels: those of more names get no text; None: all get one.

    Raises:
        ArgumentError: they would take more memory than there is.
    """
    shown = paths.depths() < (len(paths.label) if levels is None else levels)
    texts: list[str] = []
    characters = 0
    for parent, label, is_shown in zip(
        paths.parent.tolist(), paths.label.tolist(), shown.tolist(), strict=True
    ):
        text = escaped(str(label)) if is_shown else ""
        texts.append(f"{texts[parent]}{SEPARATOR}{text}" if is_shown and parent >= 0 else text)
        characters += len(texts[-1])
        if characters > _MOST_CHARACTERS:
            what = f"the paths of ranges up to {paths.depths().max() + 1} deep do not fit in memory"
            raise ArgumentError("--depth", what, "show fewer levels, such as --depth 32")
    found = np.empty(len(texts), object)
    found[:] = texts
    return found


def path_numbers(paths: PathTree, levels: int | None = None) -> dict[str, int]:
    """The number of each path by its text, see `path_texts`; of those that get one."""
    shown = paths.depths() < (len(paths.label) if levels is None else levels)
    texts = path_texts(paths, levels)
    return {texts[number]: number for number in np.flatnonzero(shown).tolist()}


def escaped(name: str) -> str:
    """The name as it stands in the text of a path."""
    return _TO_ESCAPE.sub(r"\\\g<0>", name) if ">" in name or "\\" in name else name


_MOST_CHARACTERS = 200_000_000
_TO_ESCAPE = re.compile(r"\\|(?:(?<=\s)|\A)>(?=\s|\Z)")


def path_in_run(*names: str) -> str:
    r"""A path in one of our runs, below its phase: the names with `/` between them.

    In a name `\` stands before each `\` and each `/`: a submodule `a/b` is not a range `b` in `a`.
    """
    return "/".join(map(_escaped_in_run, names))


def paths_in_run(paths: PathTree) -> npt.NDArray[np.object_]:
    """Each path without its outermost name, which is the phase, as `path_in_run` writes it."""
    texts: list[str] = []
    for parent, label in zip(paths.parent.tolist(), paths.label.tolist(), strict=True):
        own = _escaped_in_run(str(label)) if parent >= 0 else ""
        is_below = parent >= 0 and paths.parent[parent] >= 0
        texts.append(f"{texts[parent]}/{own}" if is_below else own)
    found = np.empty(len(texts), object)
    found[:] = texts
    return found


def _escaped_in_run(name: str) -> str:
    return re.sub(r"[\\/]", r"\\\g<0>", name)


def path_names(text: str) -> list[str]:
    """The names of a path that `path_texts` wrote."""
    names = text.split(SEPARATOR)
    return [re.sub(r"\\([\\>])", r"\1", name) for name in names] if "\\" in text else names
