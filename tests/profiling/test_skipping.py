from __future__ import annotations

import pytest

from adscale.run_record import Prediction

GIB = 2**30


def prediction(needed_bytes: int, device_memory_bytes: int = 10 * GIB) -> Prediction:
    return Prediction(needed_bytes, device_memory_bytes, GIB, None, "0" * 16)


@pytest.mark.parametrize(
    ("needed_bytes", "margin", "out"),
    [
        (10 * GIB, 0.0, False),  # what the device has just fits
        (10 * GIB + 1, 0.0, True),
        (11 * GIB, 0.1, False),
        (11 * GIB + 1024, 0.1, True),
        (14 * GIB, 0.5, False),
        (16 * GIB, 0.5, True),
        (10**15, None, False),  # nobody asked
    ],
)
def test_a_run_is_ruled_out_by_more_than_the_device_and_the_margin(
    needed_bytes: int, margin: float | None, out: bool
) -> None:
    assert prediction(needed_bytes).rules_out(margin) == out


def test_what_is_free_at_the_moment_rules_nothing_out() -> None:
    """It changes from one minute to the next, and a skipped run is not tried again."""
    assert not prediction(9 * GIB).rules_out(0.0)


def test_the_reason_has_both_numbers_and_the_margin() -> None:
    said = prediction(12_000_000_000).sentence(0.1)
    for part in ("12,000,000,000 bytes", "10,737,418,240 bytes", "margin of 0.1", "not run"):
        assert part in said
