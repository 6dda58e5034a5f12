"""Questions to a profile: which of its ranges are shown, and which of its work counts.

A question changes neither who encloses whom nor what a path is called: these follow from all
ranges. It hides rows, and leaves out work by where and when it was launched.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from adscale.errors import ArgumentError

from ..attribution.attribute import launch_of
from ..attribution.nesting import Nesting
from ..attribution.range_tree import PathTree
from ..nsys.records import Bools, Calls, Int64s, Operations, Profile, Ranges
from .patterns import matching_paths

NS_PER_S = 1e9
KINDS = ("kernels", "copies", "memsets", "graphs")


class Window(NamedTuple):
    """Moments from the first up to the second, which is not one of them; None: open."""

    first_ns: int | None
    end_ns: int | None


class Numbers(NamedTuple):
    """Calls from the first up to the second, which is not one of them; None: open."""

    first: int
    end: int | None


@dataclass(frozen=True)
class Question:
    """What is asked of a profile.

    Attributes:
        inside: only ranges in a range that one of these texts means, see
            `analysis.profiles.patterns.matching_paths`; none: all ranges.
        exclude: without the work, and the ranges, inside ranges that one of these texts means.
        window: only work that was launched in it, and ranges that were open in it.
        calls: of the ranges that `inside` means, or else of the outermost ones, only the calls
            with these numbers; each path is numbered from 0 on each thread.
        normalize: whether numbers in names become one name, see `normalized`.
    """

    inside: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    window: Window | None = None
    calls: Numbers | None = None
    normalize: bool = False

    def as_dict(self) -> dict[str, object]:
        """What was asked, for JSON; nothing where all was."""
        asked: dict[str, object] = {}
        if self.inside:
            asked["inside"] = list(self.inside)
        if self.exclude:
            asked["exclude"] = list(self.exclude)
        if self.window:
            asked["window_ns"] = list(self.window)
        if self.calls:
            asked["calls"] = list(self.calls)
        if self.normalize:
            asked["normalize"] = True
        return asked


_NUMBER = re.compile(
    r"(?:(?:(?<=[\s=(\[,:;])|\A)[-+])?(?<![^\W_])"
    r"(?:0[xX][0-9a-fA-F]+|(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)(?![^\W_])"
)


def normalized(name: str) -> str:
    """The name with `#` in place of each number that stands alone.

    A number stands alone where neither a letter nor a digit is next to it: those in `op_id = 17`,
    `iter_3`, `layer.2`, `[[8, 3]]`, `1.5e-3` and `0x7f` become `#`, those in `conv2d`, `fp16` and
    `layer12` stay. A sign goes with it, but not one that joins it to a word, as in `stage-3`.
    """
    return _NUMBER.sub("#", name)


class Selection(NamedTuple):
    """What a question leaves of a profile.

    Attributes:
        question: what was asked.
        profile: with the work that counts; all ranges and calls are still in it.
        shown: whether each range has a row.
        inside: whether each API call was made inside a range that was asked for; None: any may.
        window: to which host times are cut.
        left_out: operations of each kind that the question leaves out of everything.
        partial: shown ranges of which a part lies outside of the window.
    """

    question: Question
    profile: Profile
    shown: Bools
    inside: Bools | None
    window: Window | None
    left_out: dict[str, int]
    partial: int


def select(question: Question, profile: Profile, nesting: Nesting, paths: PathTree) -> Selection:
    """Find what a question asks for.

    Args:
        question: the question.
        profile: with all of its ranges and work.
        nesting: of its ranges.
        paths: of its ranges, with normalised names where that was asked.

    Raises:
        ArgumentError: a text means no range, no call has such a number, nothing is in the window,
            or nothing is left.
    """
    ranges, calls = profile.ranges, profile.calls
    shown = np.ones(len(ranges), np.bool_)
    inside = None
    if question.inside or question.calls:
        asked = _asked(question, ranges, nesting, paths)
        shown, inside = _enclosed(ranges, nesting, asked), _made_inside(ranges, calls, asked)
    keep: Bools | None = None
    if question.exclude:
        excluded = matching_paths(paths, question.exclude, "--exclude")[paths.code]
        shown &= ~_enclosed(ranges, nesting, excluded)
        keep = ~_made_inside(ranges, calls, excluded)
    partial = 0
    if question.window:
        check_window(question.window, extent_of(profile))
        shown &= open_in(question.window, ranges)
        partial = int((shown & ~_within(question.window, ranges)).sum())
    if len(ranges) and not shown.any():
        raise nothing_left(question)
    kept, left_out = _working(profile, keep, question.window)
    return Selection(question, kept, shown, inside, question.window, left_out, partial)


def nothing_left(question: Question) -> ArgumentError:
    """The error of a question after which no range has a row."""
    options = ", ".join(f"--{name.removesuffix('_ns')}" for name in question.as_dict())
    return ArgumentError(options, "leaves no range of the profile", "ask for less at once")


def _asked(question: Question, ranges: Ranges, nesting: Nesting, paths: PathTree) -> Bools:
    """The ranges in which work counts."""
    if question.inside:
        asked = matching_paths(paths, question.inside, "--inside")[paths.code]
    else:
        asked = nesting.parent < 0
    if question.calls is None:
        return asked
    number = _call_numbers(ranges, nesting, paths)
    first, end = question.calls
    chosen = asked & (number >= first)
    if end is not None:
        chosen &= number < end
    if not chosen.any():
        most = int(number[asked].max(initial=-1)) + 1
        which = "ranges asked for" if question.inside else "outermost ranges"
        what = f"no call has such a number: the {which} are called at most {most} times on a thread"
        if most:
            what += f", 0 to {most - 1}"
        remedy = "choose among these" if question.inside else "name a range with --inside as well"
        raise ArgumentError("--calls", what, remedy)
    return chosen


def _call_numbers(ranges: Ranges, nesting: Nesting, paths: PathTree) -> Int64s:
    """Number of each range among those of its path on its thread, by their starts."""
    order = nesting.order  # by threads, and there by starts
    order = order[np.argsort(paths.code[order], kind="stable")]
    path, thread = paths.code[order], ranges.thread[order]
    is_first = np.r_[True, (path[1:] != path[:-1]) | (thread[1:] != thread[:-1])][: len(order)]
    heads = np.flatnonzero(is_first)
    number = np.empty(len(order), np.int64)
    number[order] = np.arange(len(order)) - np.repeat(heads, np.diff(np.r_[heads, len(order)]))
    return number


def _enclosed(ranges: Ranges, nesting: Nesting, outer: Bools) -> Bools:
    """Whether each range is one of some ranges, or lies wholly in one, on the same thread.

    Of ranges that are equal the one with the larger rowid is the inner one.
    """
    order = nesting.order  # outer before inner
    until_ns = _latest_ends(ranges.thread[order], ranges.end_ns[order], outer[order])
    found = np.empty(len(order), np.bool_)
    found[order] = until_ns >= ranges.end_ns[order]
    return found


def _latest_ends(thread: Int64s, end_ns: Int64s, counts: Bools) -> Int64s:
    """The latest end so far, on each thread, of those that count; the least integer before that."""
    least = np.iinfo(np.int64).min
    heads = np.flatnonzero(np.r_[True, thread[1:] != thread[:-1]][: len(thread)])
    ends, rank = np.unique(np.where(counts, end_ns, least), return_inverse=True)
    # a running maximum that starts anew on each thread: each has numbers of its own
    number = np.repeat(np.arange(len(heads)), np.diff(np.r_[heads, len(thread)]))
    highest = np.maximum.accumulate(number * len(ends) + rank)
    latest: Int64s = np.r_[ends, least][highest - number * len(ends)]
    return latest


def _made_inside(ranges: Ranges, calls: Calls, outer: Bools) -> Bools:
    """Whether each API call lies wholly in one of some ranges of its thread, ends included."""
    found = np.zeros(len(calls), np.bool_)
    at = np.flatnonzero(outer)
    at = at[np.lexsort((ranges.start_ns[at], ranges.thread[at]))]
    latest_ns = _latest_ends(ranges.thread[at], ranges.end_ns[at], np.ones(len(at), np.bool_))
    first = np.searchsorted(ranges.thread[at], calls.thread.distinct, side="left")
    last = np.searchsorted(ranges.thread[at], calls.thread.distinct, side="right")
    for code, (begin, end) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        if begin == end:
            continue
        own = np.flatnonzero(calls.thread.code == code)
        starts_ns = ranges.start_ns[at[begin:end]]
        started = np.searchsorted(starts_ns, calls.start_ns[own], side="right") - 1
        until_ns = latest_ns[begin + np.maximum(started, 0)]
        found[own] = (started >= 0) & (until_ns >= calls.end_ns[own])
    return found


def open_in(window: Window, ranges: Ranges) -> Bools:
    """Whether each range was open at a moment of the window."""
    found = np.ones(len(ranges), np.bool_)
    if window.end_ns is not None:
        found &= ranges.start_ns < window.end_ns
    if window.first_ns is not None:
        found &= (ranges.end_ns > window.first_ns) | (ranges.start_ns >= window.first_ns)
    return found


def _within(window: Window, ranges: Ranges) -> Bools:
    """Whether each range lies wholly in the window."""
    found = np.ones(len(ranges), np.bool_)
    if window.end_ns is not None:
        found &= ranges.end_ns <= window.end_ns
    if window.first_ns is not None:
        found &= ranges.start_ns >= window.first_ns
    return found


def clipped_ns(start_ns: Int64s, end_ns: Int64s, window: Window) -> Int64s:
    """Duration of ranges, of which only the part in the window counts."""
    if window.first_ns is not None:
        start_ns = np.maximum(start_ns, window.first_ns)
    if window.end_ns is not None:
        end_ns = np.minimum(end_ns, window.end_ns)
    return end_ns - start_ns


def extent_of(profile: Profile) -> tuple[int, int] | None:
    """The first and the last moment of all that a profile holds; None where it is empty."""
    parts = [profile.ranges, profile.calls, *(getattr(profile, kind) for kind in KINDS)]
    parts = [part for part in parts if len(part)]
    if not parts:
        return None
    first_ns = min(int(part.start_ns.min()) for part in parts)
    return first_ns, max(int(part.end_ns.max()) for part in parts)


def check_window(window: Window, extent_ns: Sequence[int] | None) -> None:
    """Refuse a window in which nothing of the profile lies.

    Args:
        window: the window.
        extent_ns: see `extent_of`.

    Raises:
        ArgumentError: it is outside.
    """
    if extent_ns is None:
        raise ArgumentError("--window", "the profile is empty", "leave the option out")
    first_ns, last_ns = extent_ns
    before = window.end_ns is not None and window.end_ns <= first_ns
    behind = window.first_ns is not None and window.first_ns > last_ns
    if before or behind:
        where = "before" if before else "behind"
        what = (
            f"lies {where} everything in the profile, which goes from {first_ns / NS_PER_S:.6f} s "
            f"to {last_ns / NS_PER_S:.6f} s"
        )
        raise ArgumentError("--window", what, "choose a time in between")


def _working(
    profile: Profile, keep: Bools | None, window: Window | None
) -> tuple[Profile, dict[str, int]]:
    """The profile with the work that counts, and how much of each kind does not."""
    if keep is None and window is None:
        return profile, dict.fromkeys(KINDS, 0)
    counted: dict[str, Operations] = {}
    left_out = {}
    for kind in KINDS:
        operations: Operations = getattr(profile, kind)
        counts = _counts(operations, profile.calls, keep, window)
        counted[kind] = operations.select(counts)
        left_out[kind] = int((~counts).sum())
    return replace(profile, **counted), left_out  # type: ignore[arg-type]


def _counts(
    operations: Operations, calls: Calls, keep: Bools | None, window: Window | None
) -> Bools:
    """Whether each operation counts.

    Args:
        operations: of one kind.
        calls: API calls.
        keep: whether the work that each call has launched counts; None: all does.
        window: in which it must have been launched, or begun where the launch is unknown.
    """
    launch = launch_of(calls, operations)
    counts = np.ones(len(operations), np.bool_)
    if keep is not None:
        counts = np.append(keep, True)[launch]  # at its end, for no launch
    if window is not None:
        moment_ns = operations.start_ns.copy()
        moment_ns[launch >= 0] = calls.start_ns[launch[launch >= 0]]
        if window.first_ns is not None:
            counts &= moment_ns >= window.first_ns
        if window.end_ns is not None:
            counts &= moment_ns < window.end_ns
    return counts
