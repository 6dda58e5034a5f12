"""Aligned text: what is printed for people."""

from __future__ import annotations

from adscale.text_table import text_table


def test_names_to_the_left_numbers_to_the_right() -> None:
    rows = [("teacher", "1.500"), ("student", "12.250")]
    assert text_table(("range", "busy ms"), rows, ["range"]).splitlines() == [
        "range    busy ms",
        "teacher    1.500",
        "student   12.250",
    ]


def test_no_digit_and_no_blank_is_changed() -> None:
    cells = ["007", "1.50", "1e5", "1,024.00", "0x10", "nan", "True", " > deep", "–", ""]
    lines = text_table(("n", "cell"), [("", cell) for cell in cells]).split("\n")
    assert [line.strip() for line in lines[1:]] == [cell.strip() for cell in cells]
    left = text_table(("path",), [(cell,) for cell in cells], ["path"]).split("\n")
    assert left == ["path", *(cell.rstrip() for cell in cells)]


def test_a_table_without_rows_is_its_head() -> None:
    assert text_table(("range", "busy ms"), []) == "range  busy ms"
