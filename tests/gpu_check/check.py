"""What one check found."""

from __future__ import annotations

from typing import Literal, NamedTuple

Verdict = Literal["pass", "FAIL", "not checked"]

NO_GPU = "no GPU"


class Check(NamedTuple):
    """A line of the page.

    Attributes:
        name: what is checked.
        where: of which run; empty for the whole.
        verdict: what came of it.
        found: the number; where nothing was checked, why.
        wanted: what the number should be.
    """

    name: str
    where: str
    verdict: Verdict
    found: str
    wanted: str


def checked(name: str, where: str, holds: bool, found: str, wanted: str) -> Check:
    """A check that was made."""
    return Check(name, where, "pass" if holds else "FAIL", found, wanted)


def unchecked(name: str, where: str, reason: str, wanted: str) -> Check:
    """A check that could not be made."""
    return Check(name, where, "not checked", reason, wanted)
