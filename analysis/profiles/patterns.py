"""Which ranges a text means: a path as tables print it, or a glob."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

import numpy as np

from adscale.errors import ArgumentError, shown

from ..attribution.range_tree import PathTree
from ..nsys.records import Bools
from .paths import SEPARATOR, path_names, path_texts

ANY_NAMES = "**"
"""Stands for any number of names of a path, also none."""

OUTERMOST = "> "
"""Before the first name of a pattern: that name is an outermost one."""

_NAMED = 3


def matching_paths(paths: PathTree, patterns: Sequence[str], option: str) -> Bools:
    r"""The paths that any of some texts means.

    A text that is a whole path means this path. Any other is a pattern: names with ` > ` between
    them, each a glob (`*`, `?`, `[ab]`) or `**` for any number of names. It means every path that
    ends in names like these; with `> ` in front, every path that consists of them. A name is like
    one of the pattern where both are equal, or where the glob matches.

    Args:
        paths: of a profile.
        patterns: the texts; `\` stands in them as in paths.
        option: whose argument they are.

    Raises:
        ArgumentError: a text means no path of the profile.
    """
    found = np.zeros(len(paths.parent), np.bool_)
    for text in patterns:
        own = _meant(paths, text)
        if not own.any():
            raise _nothing_matches(paths, text, option)
        found |= own
    return found


def _meant(paths: PathTree, text: str) -> Bools:
    exact = _of_names(paths, path_names(text), is_whole=True, is_literal=True)
    if exact.any():
        return exact
    is_whole = text.startswith(OUTERMOST)
    names = path_names(text.removeprefix(OUTERMOST))
    return _of_names(paths, names, is_whole=is_whole)


def _of_names(
    paths: PathTree, names: Sequence[str], *, is_whole: bool, is_literal: bool = False
) -> Bools:
    """Paths that match a sequence of names.

    Args:
        paths: of a profile; parents come before their children.
        names: of the pattern.
        is_whole: whether the pattern is of the whole path, or of its end.
        is_literal: whether names are compared as they are, without globs.
    """
    fits: dict[str, int] = {}  # by label: a bit for each name of the pattern that is like it
    many = 0 if is_literal else _bits(name == ANY_NAMES for name in names)
    last = 1 << len(names)
    # bits of a state: how many names of the pattern may have been matched so far
    start = _skipped(1, many)
    states: list[int] = []
    found = np.zeros(len(paths.parent), np.bool_)
    for number, (parent, label) in enumerate(
        zip(paths.parent.tolist(), paths.label.tolist(), strict=True)
    ):
        if label not in fits:
            fits[label] = _bits(
                name == label or (not is_literal and fnmatchcase(label, name)) for name in names
            )
        before = states[parent] if parent >= 0 else start
        after = (before & fits[label]) << 1 | before & many
        if not is_whole:
            after |= start & ~last
        state = _skipped(after, many)
        states.append(state)
        found[number] = bool(state & last)
    return found


def _bits(flags: Iterable[bool]) -> int:
    return sum(1 << at for at, flag in enumerate(flags) if flag)


def _skipped(state: int, many: int) -> int:
    """The state with `**` that stand for no name."""
    while (more := state | (state & many) << 1) != state:
        state = more
    return state


def _nothing_matches(paths: PathTree, text: str, option: str) -> ArgumentError:
    if not len(paths.label):
        what = "the profile has no ranges"
        return ArgumentError(f"{option} {shown(text)}", what, "leave the option out")
    labels = sorted({str(label) for label in paths.label})
    wanted = path_names(text)[-1]
    near = [label for label in labels if wanted and (wanted in label or label.endswith(wanted))]
    near = (near or get_close_matches(wanted, labels[:10_000], cutoff=0.5))[:_NAMED]
    outermost = path_texts(paths, 1)[paths.parent < 0].tolist()[:_NAMED]
    named = near or outermost
    kind = "names like it" if near else "outermost ranges"
    what = "no range of the profile matches"
    return ArgumentError(
        f"{option} {shown(text)}",
        what,
        f"{kind}: {', '.join(shown(name) for name in named)} (names of a path are joined by "
        f"{SEPARATOR!r}, * stands for any text)",
    )
