"""Arguments that ask for a part of a profile; commands that read profiles share them."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..profiles.questions import Numbers, Question, Window

_NS = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "": 1_000_000_000}
_MOMENT = re.compile(r"([-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)\s*(ns|us|µs|ms|s|)")
_LARGEST_NS = 2**62

QUESTIONS = ("inside", "exclude", "window", "calls", "iteration", "normalize")
"""Their names among the parsed arguments."""


def add_questions(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    asked = parser.add_argument_group(
        "questions",
        "which part of the profile; RANGE is a path as the table prints it, or a glob for the last "
        "names of paths, such as 'step > conv*' (** for any number of names, '> ' in front for the "
        "outermost level). May be given several times",
    )
    asked.add_argument(
        "--inside",
        action="append",
        metavar="RANGE",
        help="only what was launched inside it: its rows, and those of what is inside",
    )
    asked.add_argument(
        "--exclude",
        action="append",
        metavar="RANGE",
        help="without what was launched inside it, which counts in no range around it either",
    )
    asked.add_argument(
        "--window",
        type=window,
        metavar="A:B",
        help="only what was launched from A up to B, by the profile's clock: 1.5:2 in seconds, or "
        "with units as in 200ms:1.5s; either may be left out",
    )
    numbered = asked.add_mutually_exclusive_group()
    numbered.add_argument(
        "--calls",
        type=numbers,
        metavar="I:J",
        help="only the calls I to J - 1 of each path that --inside names, else of each outermost "
        "range; counted from 0 on each thread; either may be left out",
    )
    numbered.add_argument(
        "--iteration", type=_number, metavar="N", help="the N-th of these calls, from 0"
    )
    asked.add_argument(
        "--normalize",
        action="store_true",
        help="numbers that stand alone in names of ranges become #: op_id = 17 and op_id = 18 are "
        "one name; conv2d and fp16 stay",
    )


def question_of(options: argparse.Namespace) -> Question:
    """What was asked."""
    from ..profiles.questions import Numbers, Question

    calls = options.calls
    if options.iteration is not None:
        calls = Numbers(options.iteration, options.iteration + 1)
    return Question(
        inside=tuple(options.inside or ()),
        exclude=tuple(options.exclude or ()),
        window=options.window,
        calls=calls,
        normalize=options.normalize,
    )


def is_asked(options: argparse.Namespace) -> bool:
    """Whether a part of the profile was asked for."""
    return any(getattr(options, name) not in (None, False) for name in QUESTIONS)


def window(text: str) -> Window:
    """A window of time, such as `1.5:2` or `200ms:`.

    Raises:
        argparse.ArgumentTypeError: the text is none, or its end is not behind its begin.
    """
    from ..profiles.questions import Window

    first, colon, end = text.partition(":")
    if not colon or not (first.strip() or end.strip()):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no window of time, such as 1.5:2 or 200ms:1s"
        )
    found = Window(_moment(first, text), _moment(end, text))
    if None not in found and found[0] >= found[1]:  # type: ignore[operator]
        raise argparse.ArgumentTypeError(f"{text!r} does not end behind its begin")
    return found


def _moment(text: str, whole: str) -> int | None:
    text = text.strip()
    if not text:
        return None
    found = _MOMENT.fullmatch(text)
    if not found:
        what = f"{text!r} in {whole!r} is no time; units are s (default), ms, us and ns"
        raise argparse.ArgumentTypeError(what)
    number, unit = found.groups()
    # whole nanoseconds stay exact: a float of seconds has 53 bits
    value = int(number) * _NS[unit] if re.fullmatch(r"[-+]?\d{1,18}", number) else None
    if value is None:
        value = round(min(max(float(number) * _NS[unit], -_LARGEST_NS), _LARGEST_NS))
    return min(max(value, -_LARGEST_NS), _LARGEST_NS)


def numbers(text: str) -> Numbers:
    """Numbers of calls, such as `2:5` or `10:`.

    Raises:
        argparse.ArgumentTypeError: the text is none, or holds no number.
    """
    from ..profiles.questions import Numbers

    found = re.fullmatch(r"\s*(\d{,18})\s*:\s*(\d{,18})\s*", text, re.ASCII)
    if not found or not any(found.groups()):
        what = f"{text!r} is no range of calls, such as 2:5 (calls 2, 3 and 4) or 10:"
        raise argparse.ArgumentTypeError(what)
    first, end = found.groups()
    calls = Numbers(int(first or 0), int(end) if end else None)
    if calls.end is not None and calls.first >= calls.end:
        raise argparse.ArgumentTypeError(f"{text!r} holds no call: J itself is not one of them")
    return calls


def _whole(text: str, what: str, least: int = 0) -> int:
    if not re.fullmatch(r"\d{1,18}", text, re.ASCII) or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of {what}")
    return int(text)


def _number(text: str) -> int:
    return _whole(text, "a call, such as 0")


def levels(text: str) -> int:
    """A number of levels of ranges; 0 stands for all.

    Raises:
        argparse.ArgumentTypeError: the text is none.
    """
    return _whole(text, "levels, such as 32")


def count(text: str) -> int:
    """A number of rows, at least 1.

    Raises:
        argparse.ArgumentTypeError: the text is none.
    """
    return _whole(text, "rows, such as 20", least=1)
