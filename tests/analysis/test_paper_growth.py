"""All methods at the paper's resolutions on a generated GPU: are the laws found again?"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from adscale.methods.registry import get_spec
from analysis.__main__ import main
from tests.analysis.known_laws import (
    LAST_PX,
    METHODS,
    STUDY_PX,
    VARIANTS,
    analyse,
    true_ms,
    write_study,
)

pytestmark = pytest.mark.slow

THREE_PX = (256, 512, 1024)
"""The paper's shape of data."""
CLOCKS = {"busy": 1.0, "kernel_sum": 1.25, "span": 1.0}
"""With their times relative to the busy time, but for two gaps of a microsecond in the span."""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("growth")
    analyse(root, *write_study(root, STUDY_PX))
    return root


@pytest.fixture(scope="module")
def fits(study: Path) -> pd.DataFrame:
    return pd.read_csv(study / "fits.csv", keep_default_na=False, na_values=[""])


def whole(method: str, variant: str) -> float:
    target = METHODS[method]
    names = get_spec(target).submodules
    return VARIANTS[variant] * sum(true_ms(target, name, LAST_PX) for name in names)


def test_every_law_is_within_its_band_at_3000_px(fits: pd.DataFrame) -> None:
    """The band is to hold 95 %: of 66 true values hardly more than three lie outside."""
    held = []
    for method, target in METHODS.items():
        for variant, share in VARIANTS.items():
            for clock, times in CLOCKS.items():
                of_run = fits[(fits["method"] == method) & (fits["variant"] == variant)]
                rows = of_run[of_run["clock"] == clock].set_index("submodule")
                for name in get_spec(target).submodules:
                    true = times * share * true_ms(target, name, LAST_PX)
                    held.append(rows.loc[name, "band_low"] <= true <= rows.loc[name, "band_high"])
                    assert rows.loc[name, "predicted"] == pytest.approx(true, rel=0.12)
    assert len(held) == 66
    assert sum(held) >= 60


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_sum_of_the_submodules_holds_the_whole(
    fits: pd.DataFrame, method: str, variant: str
) -> None:
    rows = fits[(fits["method"] == method) & (fits["variant"] == variant)]
    total = rows[(rows["clock"] == "busy") & (rows["submodule"] == "method")].iloc[0]
    true = whole(method, variant)
    assert total["band_low"] <= true <= total["band_high"]
    assert total["predicted"] == pytest.approx(true, rel=0.06)
    assert total["band_high"] / total["band_low"] < 1.4
    image = rows[(rows["clock"] == "busy") & (rows["submodule"] == "image")].iloc[0]
    assert image["band_low"] <= true <= image["band_high"]
    # wider: of a sum of laws a power of the pixels and two slopes are not refuted
    assert image["band_high"] / image["band_low"] < 1.7


def test_the_study_s_model_misses_what_grows_with_the_pixels_squared(fits: pd.DataFrame) -> None:
    for method, name in (("PatchCore-10", "nn_search"), ("DDAD-10", "denoising_unet")):
        rows = fits[(fits["method"] == method) & (fits["submodule"] == name)]
        row = rows[(rows["clock"] == "busy") & (rows["variant"] == "reference-fp32")].iloc[0]
        true = true_ms(METHODS[method], name, LAST_PX)
        assert row["law"] == "quadratic in pixels"
        assert "declared to compare each position with every other" in row["why_chosen"]
        assert row["study_high"] < true / 2
        assert row["band_low"] <= true <= row["band_high"]


def test_floors_are_left_where_they_were_put(fits: pd.DataFrame) -> None:
    rows = fits[(fits["clock"] == "busy") & (fits["law"] == "floor, then linear")]
    found = {(row.method, row.submodule): row.knee_px for row in rows.itertuples()}
    assert found["PatchCore-10", "feature_extraction"] == pytest.approx(486, rel=0.05)
    assert found["EfficientAD-M", "autoencoder"] == pytest.approx(512, rel=0.05)


def test_with_three_resolutions_the_interval_is_refused_with_seven_it_is_given(
    study: Path, fits: pd.DataFrame, tmp_path: Path
) -> None:
    times = fits[fits["quantity"] == "runtime"]
    assert times[["interval_refused", "refused"]].isna().all(axis=None)
    assert times[["band_low", "band_high", "predicted"]].notna().all(axis=None)
    runtime = pd.read_csv(study / "runtime.csv")
    three = tmp_path / "runtime.csv"
    runtime[runtime["side_px"].isin(THREE_PX)].to_csv(three, index=False)
    output, memory = tmp_path / "fits.csv", study / "memory.csv"
    asked = ["--runtime", str(three), "--memory", str(memory), "--extrapolate-to", "3000"]
    assert main(["fit", *asked, "-o", str(output)]) == 0
    few = pd.read_csv(output)
    few = few[few["quantity"] == "runtime"]
    assert (
        few["interval_refused"]
        .str.endswith("3 resolutions: a prediction interval needs at least 5")
        .all()
    )
    assert few["study_predicted"].notna().all()
    assert few["predicted"].tolist() == pytest.approx(few["study_predicted"].tolist())
    assert few[["law", "band_low", "interval_low", "study_low"]].isna().all(axis=None)


def test_figures_of_both_kinds_of_clock_are_drawn_with_their_data(study: Path) -> None:
    folder = study / "figures"
    for method in METHODS:
        clocks = pd.read_csv(folder / f"clocks_generated_{method}_reference-fp32.csv")
        assert set(clocks["clock"]) == {"host", "span", "latency"}
        host = clocks[(clocks["clock"] == "host") & (clocks["submodule"] == "image")]["mean_ms"]
        assert host.max() / host.min() < 1.01  # four launches each, whatever the kernels take
        ratios = pd.read_csv(folder / f"implementations_generated_{method}_fp32.csv")
        assert ratios["time_ratio"].tolist() == pytest.approx([0.6] * len(ratios), rel=0.1)
        check = pd.read_csv(folder / f"fit_check_generated_{method}_reference-fp32.csv")
        assert set(check["model"]) == {"law chosen", "paper's model"}
    shares = pd.read_csv(folder / "launch_bound_generated_reference-fp32.csv")
    assert set(shares["method"]) == set(METHODS)
    assert shares["launch_bound_share"].between(0, 0.2).all()
    for figure in folder.glob("*.pdf"):
        assert b"/FontFile2" in figure.read_bytes()
