"""`memory_extrapolation.csv`: is the paper's assumption judged rightly, by closed forms?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from adscale.names import PAPER_SIDES_PX
from analysis.__main__ import main
from analysis.memory_extrapolation import (
    MEMORY_EXTRAPOLATION,
    memory_extrapolation_table,
    whole_counts,
)
from analysis.memory_table import memory_table, read_counts
from analysis.tables import read_csv, write_csv
from tests.memory_documents import Count, Part, Size, constant, per_pixel

MIB = 2**20
SIDES_PX = (*PAPER_SIDES_PX, 1536, 2048, 2560, 3000)


def unet_peak(side_px: int) -> int:
    """Of DDAD's eager U-Net: two copies of one attention matrix, below 512 px a convolution.

    128, 790 and 9,304 MiB at 256, 512 and 1024 px (methods.md, section 4.1).
    """
    scale = side_px / 1024
    return round(max(2048 * scale**2, 8192 * scale**4 + 1112 * scale**2) * MIB)


def fixed_autoencoder_peak(side_px: int) -> int:
    """Of EfficientAD's fixed autoencoder: the decoder's up to some 450 px, then the encoder's."""
    return round(max(7.94, 40 * (side_px / 1024) ** 2) * MIB)


def judged(
    folder: Path, *parts: Part, sides_px: Sequence[int] = SIDES_PX, to_px: int = 3000, **more: Any
) -> pd.DataFrame:
    count = Count("M", parts, **more)
    memory = memory_table(read_counts([count.write(folder / "memory.json", sides_px)]))
    return memory_extrapolation_table(memory, to_px)


def peak_rows(folder: Path, peak: Size, **more: Any) -> pd.DataFrame:
    """The rows of one peak, by the resolution they are judged at."""
    table = judged(folder, Part("a", peak=peak), **more)
    rows = table[(table["quantity"] == "peak") & (table["submodule"] == "a")]
    return rows.set_index("at_px")


def test_the_unet_of_ddad_is_underestimated_as_far_as_was_found_by_hand(tmp_path: Path) -> None:
    """methods.md, section 5: R² 0.9951, residual 175 %, −57 % at 2048 px, −77 % at 3008 px."""
    sides = [*PAPER_SIDES_PX, 2048, 2560, 3008]
    rows = peak_rows(tmp_path, unet_peak, sides_px=sides)
    assert list(rows.index) == [2048, 3008]
    assert rows["r_squared"].tolist() == pytest.approx([0.9951] * 2, abs=5e-5)
    assert rows["max_relative_residual"].tolist() == pytest.approx([1.75] * 2, abs=0.005)
    assert rows["relative_error"].tolist() == pytest.approx([-0.57, -0.77], abs=0.005)
    assert rows["counted_growth_power"].tolist() == pytest.approx([3.954] * 2, abs=1e-3)
    assert rows.loc[3008, "verdict"] == (
        "not quadratic: grows with the power 4.0 of the side; the quadratic gives 77 % too little; "
        "R² of 0.995 raised no alarm"
    )


def test_a_kink_below_the_largest_fitted_resolution_is_told_from_another_power(
    tmp_path: Path,
) -> None:
    """methods.md, section 5: R² 0.9980, +19 % at 2048 px, +28 % at 3000 px."""
    rows = peak_rows(tmp_path, fixed_autoencoder_peak)
    assert rows["r_squared"].tolist() == pytest.approx([0.9980] * 2, abs=5e-4)
    assert rows["relative_error"].tolist() == pytest.approx([0.19, 0.28], abs=0.01)
    assert rows.loc[3000, "counted_growth_power"] == pytest.approx(2)
    assert rows.loc[3000, "verdict"].startswith(
        "not quadratic: grows with the power 2.0 of the side, but not yet from 256 to 1024 px; "
        "the quadratic gives 2"
    )
    assert "too much" in rows.loc[3000, "verdict"]


def test_what_is_quadratic_is_predicted_to_a_byte(tmp_path: Path) -> None:
    table = judged(tmp_path, Part("a", activations=per_pixel(812, fixed=5), peak=per_pixel(52)))
    assert list(table.columns) == list(MEMORY_EXTRAPOLATION.schema)
    assert table["relative_error"].abs().max() < 1e-12
    assert table["counted_growth_power"].tolist() == pytest.approx([2] * len(table), abs=1e-6)
    assert set(table["verdict"]) == {"quadratic: error below 1 %"}
    row = table.iloc[0]
    assert (row["b0"], row["b1"], row["b2"]) == pytest.approx((5, 0, 812), abs=1e-4)
    assert (row["fitted_from_px"], row["fitted_to_px"], row["resolutions"]) == (256, 1024, 7)
    assert row["predicted_bytes"] == pytest.approx(812 * 2048**2 + 5)
    assert row["counted_bytes"] == 812 * 2048**2 + 5


def test_the_whole_method_has_the_sum_of_activations_and_the_largest_peak(tmp_path: Path) -> None:
    parts = (
        Part("a", activations=per_pixel(3), peak=constant(10 * 2048**2)),
        Part("b", activations=per_pixel(4), peak=per_pixel(10)),
    )
    table = judged(tmp_path, *parts).set_index(["quantity", "submodule", "at_px"])
    assert len(table) == 2 * 3 * 2
    assert table.loc[("activations", "method", 3000), "counted_bytes"] == 7 * 3000**2
    assert table.loc[("peak", "method", 2048), "counted_bytes"] == 10 * 2048**2
    assert table.loc[("peak", "method", 3000), "counted_bytes"] == 10 * 3000**2


def test_only_the_studys_resolutions_are_fitted(tmp_path: Path) -> None:
    """Also where a method's own are counted, and where it does not run at the paper's."""
    own = (32, 250, 288, 700, 1100)
    moved = (260, 384, 512, 640, 768, 900, 1024, 1536, 2100, 3008)
    row = peak_rows(tmp_path, per_pixel(1), sides_px=(*own, *moved)).iloc[0]
    assert row["fitted_at_px"] == "260 384 512 640 768 900 1024"
    assert row.name == 2100


def test_less_than_three_counts_are_not_fitted(tmp_path: Path) -> None:
    rows = peak_rows(tmp_path, per_pixel(1), sides_px=(256, 1024, 2048, 3000))
    unknown = ["b0", "r_squared", "max_relative_residual", "predicted_bytes", "relative_error"]
    assert rows[unknown].isna().all(axis=None)
    assert set(rows["verdict"]) == {"not fitted: 2 resolutions, the parabola needs 3"}
    assert rows["counted_bytes"].tolist() == [2048**2, 3000**2]


def test_what_was_not_counted_beyond_is_predicted_and_not_judged(tmp_path: Path) -> None:
    rows = peak_rows(tmp_path, per_pixel(1), sides_px=PAPER_SIDES_PX)
    assert list(rows.index) == [2048, 3000]
    assert rows["predicted_bytes"].tolist() == pytest.approx([2048**2, 3000**2])
    assert rows["verdict"].tolist() == ["not counted at 2048 px", "not counted at 3000 px"]
    assert rows[["counted_bytes", "relative_error", "counted_growth_power"]].isna().all(axis=None)


def test_an_extrapolation_within_the_fitted_range_is_none(tmp_path: Path) -> None:
    rows = peak_rows(tmp_path, unet_peak, to_px=1024)
    assert list(rows.index) == [2048]
    # with one resolution alone, the growth is that from the largest fitted one on
    assert rows["counted_growth_power"].item() == pytest.approx(3.86, abs=0.01)


@pytest.mark.parametrize(
    ("peak", "words"),
    [
        (constant(7), "constant: the same at every resolution"),
        (constant(0), "constant: 0 bytes at every resolution"),
        (
            lambda side_px: 40 * side_px**2 - 20 * side_px**2 * (side_px > 1024),
            "too much",
        ),
        (lambda side_px: side_px**2 if side_px <= 1024 else 0, "nothing is counted where"),
        (
            lambda side_px: 10**8 - 90 * side_px**2 if side_px <= 1024 else 5,
            "the quadratic falls to zero or below",
        ),
    ],
)
def test_other_verdicts(tmp_path: Path, peak: Size, words: str) -> None:
    verdicts = peak_rows(tmp_path, peak)["verdict"]
    assert all(words in verdict for verdict in verdicts)


def test_a_bad_fit_is_not_said_to_have_raised_no_alarm(tmp_path: Path) -> None:
    rows = peak_rows(tmp_path, lambda side_px: side_px**2 * (1 + side_px // 128 % 2))
    assert rows["r_squared"].max() < 0.99
    assert not rows["verdict"].str.contains("alarm").any()


def test_counts_that_are_not_whole_say_so(tmp_path: Path) -> None:
    table = judged(tmp_path, Part("a", peak=per_pixel(1)), incomplete="counted up to a")
    assert set(table["incomplete"]) == {"counted up to a"}


def test_both_implementations_are_judged(tmp_path: Path) -> None:
    eager = Count("M", (Part("a", peak=unet_peak),))
    fused = replace(eager, variant="optimized-fp32", parts=(Part("a", peak=per_pixel(2048)),))
    paths = [count.write(tmp_path / f"{count.variant}.json", SIDES_PX) for count in (eager, fused)]
    write_csv(memory_table(read_counts(paths)), tmp_path / "memory.csv")
    output = tmp_path / "memory_extrapolation.csv"
    arguments = ["--memory", str(tmp_path / "memory.csv"), "--extrapolate-to", "3000"]
    assert main(["extrapolation", *arguments, "-o", str(output)]) == 0
    table = read_csv(output, MEMORY_EXTRAPOLATION.schema)
    peaks = table[(table["quantity"] == "peak") & (table["submodule"] == "a")]
    quadratic = peaks.set_index(["variant", "at_px"])["verdict"].str.startswith("quadratic")
    assert quadratic.to_dict() == {
        ("optimized-fp32", 2048): True,
        ("optimized-fp32", 3000): True,
        ("reference-fp32", 2048): False,
        ("reference-fp32", 3000): False,
    }


def test_sizes_at_which_a_network_ended_early_are_left_out(tmp_path: Path) -> None:
    """A network of one size says nothing of others; without a whole count all are kept."""
    counts = (
        Count("M", (Part("a", peak=per_pixel(1)),), incomplete=why).write(tmp_path / name, sides)
        for name, why, sides in (("one.json", None, [256]), ("more.json", "ended", [512, 1024]))
    )
    memory = memory_table(read_counts(list(counts)))
    assert whole_counts(memory)["side_px"].tolist() == [256]
    assert len(whole_counts(memory[memory["side_px"] > 256])) == 2
    table = memory_extrapolation_table(memory, 3000)
    assert set(table["resolutions"]) == {1}
    assert table["incomplete"].isna().all()
