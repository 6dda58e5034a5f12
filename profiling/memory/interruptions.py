"""Errors of a count: whether one came only for want of contents, and its words in a line."""

from __future__ import annotations

import re

from torch._subclasses import fake_tensor

from adscale.errors import one_line

MOST_LETTERS = 300
"""Of an error that is quoted."""

_OF_THE_COUNT: tuple[type[Exception], ...] = (
    fake_tensor.DataDependentOutputException,
    fake_tensor.DynamicOutputShapeException,
    fake_tensor.MetadataMismatchError,
    fake_tensor.UnsupportedFakeTensorException,
    fake_tensor.UnsupportedOperatorException,
    MemoryError,
    *(
        error
        for name in ("FakeTensorDeviceMismatchError", "UnsupportedMutationAliasingException")
        if (error := getattr(fake_tensor, name, None)) is not None  # not in torch 2.6
    ),
)
"""Errors for want of contents, or of what torch can do without them."""

_WORDS_OF_THE_COUNT = re.compile(
    r"fake ?(tensor|impl)|meta tensor|'meta' backend|tensor subclass|data pointer|\bNYI\b|pickle"
    r"|cuda|nvidia|triton|primary ?context|shape_env|symint|couldn't swap|rule registered for"
    r"|(sparse|nested|opaque)\w*tensorimpl|mkldnn|higherorderoperator"
    r"|torchscript interpreter.*RuntimeError:?$",
    re.IGNORECASE,
)
"""The same where torch raises an error of Python's own, such as RuntimeError."""


_SCRIPT = re.compile("TorchScript")


def is_of_the_count(problem: BaseException | None) -> bool:
    """Whether an error, or one behind it, has come only because there are no contents."""
    while problem is not None:
        if isinstance(problem, _OF_THE_COUNT) or _WORDS_OF_THE_COUNT.search(one_line(problem)):
            return True
        problem = problem.__cause__ or problem.__context__
    return False


def in_a_line(problem: BaseException) -> str:
    """Return what went wrong in at most some `MOST_LETTERS` letters."""
    words = one_line(problem)
    if len(words) <= MOST_LETTERS:
        return words
    if _SCRIPT.search(words):  # what went wrong comes last there
        return f"{type(problem).__name__}: … {words[-MOST_LETTERS:]}"
    return f"{words[:MOST_LETTERS]} …"
