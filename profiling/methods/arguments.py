"""Settings of a network: which are arguments of its class, and which are ours.

``depth`` says which modules have ranges. Networks may have an argument of that name, which is then
theirs, as it was before; ``range_depth`` is always ours.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Any

from adscale.errors import ConfigError

from .division import Depth


@cache
def tell(sentence: str) -> None:
    """Tells the user something once."""
    print(sentence, file=sys.stderr, flush=True)


class Arguments:
    """What settings say of ranges, told apart from the arguments of a network's class.

    Args:
        settings: of the method.
        ours: further settings that are no arguments.

    Raises:
        ConfigError: ``range_depth`` cannot be used.
    """

    def __init__(self, settings: Mapping[str, Any], ours: Collection[str]) -> None:
        ours = ("depth", "range_depth", *ours)
        self._arguments = {key: value for key, value in settings.items() if key not in ours}
        self._given = settings.get("depth")
        self._ranges = settings.get("range_depth")
        self.given_depth: dict[str, Depth] = {}
        """``depth`` of the method, where it is given; known once ``make`` has returned."""
        if self._ranges is not None:
            self.given_depth["depth"] = _checked_depth("range_depth", self._ranges)

    def make(self, maker: Callable[..., Any], name: str) -> Any:
        """Makes a network; ``depth`` is its argument where it has one of that name.

        Args:
            maker: makes it from arguments.
            name: of it, for the user.

        Raises:
            ConfigError: ``depth`` is no argument, and cannot be used.
        """
        if self._given is None:
            return maker(**self._arguments)
        names, takes_any = _parameters(maker)
        if "depth" in names or takes_any:
            try:
                made = maker(**self._arguments, depth=self._given)
            except TypeError as problem:
                if "depth" in names or "'depth'" not in str(problem):
                    raise
            else:
                if self._ranges is None:
                    more = "for ranges of its modules there is `range_depth`"
                    tell(f"depth={self._given!r} is taken by {name} itself; {more}")
                return made
        if self._ranges is not None:
            what = "both say which modules have ranges"
            raise ConfigError("settings.depth, settings.range_depth", what, "leave out one of them")
        self.given_depth["depth"] = _checked_depth("depth", self._given)
        return maker(**self._arguments)


def _parameters(maker: Callable[..., Any]) -> tuple[Collection[str], bool]:
    """Names of arguments, and whether others may be given, too."""
    try:
        parameters = inspect.signature(maker).parameters
    except (TypeError, ValueError):  # of a class that is written in C
        return (), True
    return parameters, any(one.kind is one.VAR_KEYWORD for one in parameters.values())


def _checked_depth(key: str, value: Any) -> Depth:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    names = value if isinstance(value, (list, tuple)) else ()
    if names and all(isinstance(name, str) and name for name in names):
        return tuple(names)
    remedy = "expected: a whole number from 1 on, or a list of names of modules"
    raise ConfigError(f"settings.{key}", f"{value!r} cannot be used", remedy)
