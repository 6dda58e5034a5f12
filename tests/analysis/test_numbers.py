"""Numbers as people read them."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.numbers import known, known_interval, percent, unsigned_zero
from analysis.tables import csv_text


@pytest.mark.parametrize(
    ("half_width", "shown"),
    [(0.119, "0.83"), (0.367, "0.8"), (0.0119, "0.827"), (0.9, "0.8"), (3.0, "0.8")],
)
def test_digits_follow_the_uncertainty(half_width: float, shown: str) -> None:
    """The first two are the examples of the Particle Data Group's rule: 0.83 ± 0.12, 0.8 ± 0.4."""
    assert known(0.827, 0.827 - half_width, 0.827 + half_width) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [((69.92, 0.0, 142.1), ("70", "0", "140")),
     ((300.0, 0.0, 506_400.0), ("300", "0", "510,000")),
     ((1234.6, 1200.0, 1269.0), ("1,235", "1,200", "1,269")),
     ((5.0, None, None), ("5.000", "", "")), ((None, None, None), ("", "", ""))],
)  # fmt: skip
def test_an_interval_is_shown_to_the_same_place(
    number: tuple[float, float | None, float | None], shown: tuple[str, str, str]
) -> None:
    assert known_interval(*number) == shown


def test_a_zero_has_no_sign() -> None:
    assert [percent(share) for share in (-0.001, -0.0, 0.004, -0.02)] == ["0%", "0%", "0%", "-2%"]
    assert [percent(share, 1, signed=True) for share in (-0.0001, 0.003)] == ["0.0%", "+0.3%"]
    assert [unsigned_zero(text) for text in ("-0.00", "-0", "-0.01")] == ["0.00", "0", "-0.01"]


def test_tables_keep_whole_numbers_exact_and_have_no_negative_zero() -> None:
    table = pd.DataFrame({
        "flops": pd.array([1_234_567_890_123_457, None], "Int64"),
        "real": pd.array([123_456_789_012_345.0, -0.0], "Float64"),
        "ms": [1 / 3, -0.0],
    })  # fmt: skip
    assert csv_text(table) == (
        "flops,real,ms\n1234567890123457,123456789012345,0.333333333333\n,0,0\n"
    )
