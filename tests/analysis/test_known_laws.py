"""A generated study of all methods on a GPU, from profiles to figures: are its laws found?"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.analysis.known_laws import (
    LAST_PX,
    METHODS,
    STUDY_PX,
    VARIANTS,
    analyse,
    true_ms,
    write_study,
)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With seven resolutions."""
    root = tmp_path_factory.mktemp("laws")
    analyse(root, *write_study(root, STUDY_PX))
    return root


def busy_fits(root: Path) -> pd.DataFrame:
    fits = pd.read_csv(root / "fits.csv")
    return fits[(fits["quantity"] == "runtime") & (fits["clock"] == "busy")]


def truth_ms(method: str, variant: str, submodule: str) -> float:
    return VARIANTS[variant] * true_ms(METHODS[method], submodule, LAST_PX)


def test_the_truth_lies_in_the_bands(study: Path) -> None:
    """One study of 22 submodules is no proof of a rate; most have to hold, and none by far."""
    fits = busy_fits(study)
    parts = fits[~fits["submodule"].isin(["image", "method"])]
    truth = [truth_ms(row.method, row.variant, row.submodule) for row in parts.itertuples()]
    assert len(truth) == 22
    held = (parts["band_low"] <= truth) & (truth <= parts["band_high"])
    assert held.sum() >= 20
    near = (parts["band_low"] * 0.7 <= truth) & (truth <= parts["band_high"] * 1.4)
    assert near.all()


def test_the_studys_parabola_misses_what_is_quartic(study: Path) -> None:
    fits = busy_fits(study).set_index(["method", "variant", "submodule"])
    search = fits.loc[("PatchCore-10", "reference-fp32", "nn_search")]
    truth = truth_ms("PatchCore-10", "reference-fp32", "nn_search")
    assert search["study_high"] < truth / 2
    assert search["band_low"] <= truth <= search["band_high"]


def test_every_figure_is_drawn(study: Path) -> None:
    names = {path.stem for path in (study / "figures").glob("*.pdf")}
    assert {path.stem for path in (study / "figures").glob("*.csv")} == names
    kinds = {"clocks", "launch_bound", "fit_check", "implementations", "scaling_runtime",
             "scaling_needed", "runtime_share", "memory_share"}  # fmt: skip
    assert all(any(name.startswith(kind) for name in names) for kind in kinds)


def test_three_resolutions_carry_no_band(tmp_path: Path) -> None:
    """The study's own shape of data."""
    analyse(tmp_path, *write_study(tmp_path, (256, 512, 1024)))
    fits = busy_fits(tmp_path)
    assert fits["band_low"].isna().all()
    assert fits["study_predicted"].notna().all()
    words = "3 resolutions: a prediction interval needs at least 5"
    assert fits["interval_refused"].str.contains(words).all()
