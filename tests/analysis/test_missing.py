"""How captions name what a study lacks."""

from __future__ import annotations

from typing import Any

from adscale.resolution import square
from analysis.columns import size_values
from analysis.missing import missing_names


def lost(method: str, side_px: int | None, problem: str) -> dict[str, Any]:
    return {
        "method": method, "variant": "reference-fp32", "missing": problem,
        **({} if side_px is None else size_values(square(side_px))),
    }  # fmt: skip


def test_a_failure_that_stands_in_several_tables_is_named_once_and_without_its_reason() -> None:
    found = missing_names([
        lost("A", 64, "ValueError: a long reason"),
        lost("A", None, "64 px: ValueError: a long reason"),
        lost("B", 1096, "latency pass: b"),
        lost("B", 96, "b"),
    ])  # fmt: skip
    assert found == [
        "A reference-fp32 (not measured at 64 px)",
        "B reference-fp32 (not measured at 96, 1,096 px)",
    ]


def test_what_was_not_counted_is_told_apart_and_many_sides_are_a_number() -> None:
    found = missing_names([
        lost("A", 64, "x"), *(lost("A", side_px, "not counted: y") for side_px in range(64, 69)),
    ])  # fmt: skip
    assert found == ["A reference-fp32 (not measured at 64 px, not counted at 5 resolutions)"]


def test_sizes_that_a_method_refuses_are_told_apart_from_those_that_could_not_be_counted() -> None:
    found = missing_names([
        lost("A", 64, "missing: not counted: refused: A does not run at 64 px"),
        lost("A", 96, "missing: not counted: exit code 3"),
    ])  # fmt: skip
    assert found == ["A reference-fp32 (refused at 64 px, not counted at 96 px)"]


def test_of_many_methods_the_others_are_a_number() -> None:
    found = missing_names([lost(name, 64, "x") for name in "ABCDE"], named=2)
    assert found[1:] == ["B reference-fp32 (not measured at 64 px)", "3 more"]
