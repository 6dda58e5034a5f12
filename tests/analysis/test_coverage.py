"""Time of an image that is in no submodule."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.profiles.run_coverage import uncovered_share, uncovered_warning

ROWS = [
    ("warmup", 0, "image", 0, 900.0),
    ("measure", 0, "image", 0, 100.0),
    ("measure", 0, "image/a", 1, 60.0),
    ("measure", 0, "image/a/step", 2, 50.0),  # inside a submodule: counted there
    ("measure", 0, "image/b", 1, 30.0),
    ("measure", 0, "load", 0, 500.0),
    ("measure", 1, "image", 0, 100.0),
    ("measure", 1, "image/a", 1, 99.0),
    ("measure", 2, "image", 0, 200.0),
    ("measure", 2, "image/a", 1, 100.0),
    ("measure", 2, "image/a", 1, 90.0),  # called twice
]


def table(rows: list[tuple[str, int, str, int, float]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["phase", "image_index", "path", "depth", "host_ms"])


def test_the_share_is_the_median_of_the_measured_images() -> None:
    assert uncovered_share(table(ROWS), ("image/a", "image/b")) == pytest.approx(
        0.05
    )  # of 0.10, 0.01 and 0.05


def test_a_range_that_is_no_submodule_covers_nothing() -> None:
    assert uncovered_share(table(ROWS), ["image/a"]) == pytest.approx(
        0.05
    )  # of 0.40, 0.01 and 0.05
    assert uncovered_share(table(ROWS), ["image/b"]) == pytest.approx(1.0)  # of 0.70, 1 and 1


def test_an_image_without_any_submodule_is_wholly_uncovered() -> None:
    assert uncovered_share(table([("measure", 0, "image", 0, 7.0)]), ("image/a", "image/b")) == 1.0


def test_without_measured_images_there_is_no_share() -> None:
    assert uncovered_share(table(ROWS[:1]), ("image/a", "image/b")) is None
    assert uncovered_warning(None) is None


@pytest.mark.parametrize(("share", "warns"), [(0.0, False), (0.0099, False), (0.011, True)])
def test_more_than_one_per_cent_is_warned_about(share: float, warns: bool) -> None:
    warning = uncovered_warning(share)
    assert (warning is not None) == warns
    if warning:
        assert warning.startswith(f"{share:.1%} of the measured images' host time")
