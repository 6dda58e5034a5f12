"""A generated study from profiles to figures: is what was put in found again?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from analysis.figures.draw import FIGURES
from tests.gpu_profiles import GpuRun, write_gpu_run
from tests.memory_documents import Count, Part, per_pixel

SIDES_PX = (256, 384, 512, 640, 768, 1024)
VARIANT = "reference-fp32"
TIMES_MS = {
    "PatchCore_10": {"feature_extraction": (0.4, 0.0, 9e-7), "nn_search": (0.1, 1e-4, 2.5e-6)},
    "EfficientAD-M": {"teacher": (0.2, 0.0, 5e-7), "student": (0.3, 0.0, 7e-7)},
}
"""b0, b1, b2 of the busy time of each submodule."""
ACTIVATIONS_BYTES = {"feature_extraction": 300, "nn_search": 80, "teacher": 400, "student": 500}
"""Per pixel."""
FLOP_PER_PIXEL = 1000
HARDWARE = (
    '{"gpus": [{"name": "A", "memory_gib": 24}], "sensors": [{"name": "B", "megapixels": 5}]}'
)


def time_ms(method: str, submodule: str, side_px: int) -> float:
    b0, b1, b2 = TIMES_MS[method][submodule]
    return b0 + b1 * side_px + b2 * side_px**2


def work_ns(method: str, side_px: int) -> Callable[[str, int], int]:
    """Images differ by −1, 0 and 1 %, whose mean is the time itself."""

    def work(submodule: str, image: int) -> int:
        return (
            round(time_ms(method, submodule, side_px) * 1e6 * (0.99 + 0.01 * (image % 3)) / 4) * 4
        )

    return work


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables and figures of the generated study."""
    from analysis.__main__ import main

    root = tmp_path_factory.mktemp("study")
    folders, counts = [], []
    for method, submodules in TIMES_MS.items():
        for side_px in SIDES_PX:
            folder = root / "generated" / method / VARIANT / str(side_px)
            run = GpuRun(
                method, side_px, tuple(submodules), work_ns(method, side_px), measured_images=6
            )
            write_gpu_run(folder, run)
            profile, output = folder / "profile.sqlite", folder / "ranges.parquet"
            assert not main(
                ["attribute", str(profile), "--run", f"{folder}/run.json", "-o", str(output),
                 "--kernel-table", f"{folder}/kernels.parquet"]
            )  # fmt: skip
            folders.append(str(folder))
        parts = [
            Part(
                name,
                activations=per_pixel(ACTIVATIONS_BYTES[name]),
                peak=per_pixel(ACTIVATIONS_BYTES[name] / 4),
                flops=per_pixel(FLOP_PER_PIXEL),
            )
            for name in submodules
        ]
        count = Count(method, parts)
        counts.append(count.write(root / "counts" / method / "memory.json", [*SIDES_PX, 3000]))
    runtime, memory, fits, judged = (
        str(root / f"{name}.csv") for name in ("runtime", "memory", "fits", "memory_extrapolation")
    )
    tables = ["--runtime", runtime, "--memory", memory]
    drawn = ["--memory-methods", f"{root}/memory_methods.csv", "--memory-extrapolation", judged]
    implementations = f"{root}/implementations.csv"
    drawn += ["--fits", fits, "--fit-models", f"{root}/fit_models.csv"]
    drawn += ["--fit-curves", f"{root}/fit_curves.csv", "--implementations", implementations]
    runs, kernels = f"{root}/runs.csv", f"{root}/kernels.csv"
    assert not main(["summarize", *folders, "-o", runtime, "--runs", runs, "--kernels", kernels])
    assert not main(["memory", *map(str, counts), "-o", memory])
    assert not main(["fit", *tables, "--extrapolate-to", "3000", "-o", fits])
    assert not main(["implementations", *tables, "-o", implementations])
    assert not main(["flops", *tables, "-o", f"{root}/flops.csv"])
    assert not main(["extrapolation", *tables[2:], "--extrapolate-to", "3000", "-o", judged])
    lines = ["--hardware", HARDWARE, "--runs", runs, "--style", '{"png_dpi": 72}']
    assert not main(["figures", *tables, *drawn, *lines, "-o", f"{root}/figures"])
    return root


@pytest.mark.parametrize("method", TIMES_MS)
def test_times_are_found_again(study: Path, method: str) -> None:
    table = pd.read_csv(study / "runtime.csv")
    busy = table[(table["method"] == method) & (table["clock"] == "busy")]
    found = busy.set_index(["submodule", "side_px"])["mean_ms"]
    for side_px in SIDES_PX:
        whole_ms = 0.0
        for submodule in TIMES_MS[method]:
            expected_ms = time_ms(method, submodule, side_px)
            assert found[submodule, side_px] == pytest.approx(expected_ms, rel=1e-5)
            whole_ms += expected_ms
        assert found["image", side_px] == pytest.approx(whole_ms, rel=1e-5)


def test_no_row_is_missing(study: Path) -> None:
    table = pd.read_csv(study / "runtime.csv")
    # two submodules and the image by four clocks, four ranges outside by the host's; without a
    # profiler the image, these ranges and all together
    assert len(table) == 2 * len(SIDES_PX) * (3 * 4 + 4 + 6)
    assert set(table["images"]) == {6}
    assert table["ci95_low_ms"].notna().all()
    assert set(table["verdict"]) == {"steady"}


def test_every_run_and_every_kernel_has_its_rows(study: Path) -> None:
    runs = pd.read_csv(study / "runs.csv")
    assert len(runs) == 2 * len(SIDES_PX) * 2
    assert runs["energy_per_image_j"].notna().all()
    kernels = pd.read_csv(study / "kernels.csv")
    assert len(kernels) == 2 * len(SIDES_PX) * 2 * 4
    of_part = kernels.groupby(["method", "side_px", "submodule"])["ms_per_image"].sum()
    runtime = pd.read_csv(study / "runtime.csv")
    sums = runtime[(runtime["clock"] == "kernel_sum") & (runtime["role"] == "submodule")]
    found = sums.set_index(["method", "side_px", "submodule"])["mean_ms"]
    assert of_part.sort_index().tolist() == pytest.approx(found.sort_index().tolist())


@pytest.mark.parametrize("method", TIMES_MS)
def test_the_study_s_model_is_found_again(study: Path, method: str) -> None:
    fits = pd.read_csv(study / "fits.csv").set_index(["method", "quantity", "clock", "submodule"])
    for submodule in TIMES_MS[method]:
        row = fits.loc[(method, "runtime", "busy", submodule)]
        expected_ms = time_ms(method, submodule, 3000)
        assert row["study_predicted"] == pytest.approx(expected_ms, rel=1e-3)
        assert row["study_low"] <= row["study_predicted"] <= row["study_high"]
        assert row["study_b2"] == pytest.approx(TIMES_MS[method][submodule][2], rel=1e-2)
    whole = fits.loc[(method, "runtime", "busy", "image")]
    parts = [time_ms(method, submodule, 3000) for submodule in TIMES_MS[method]]
    assert whole["study_predicted"] == pytest.approx(sum(parts), rel=1e-3)


@pytest.mark.parametrize("method", TIMES_MS)
def test_extrapolated_memory_meets_the_exact_count(study: Path, method: str) -> None:
    fits = pd.read_csv(study / "fits.csv")
    rows = fits[(fits["quantity"] == "total_memory") & (fits["method"] == method)]
    assert set(rows["submodule"]) == {*TIMES_MS[method], "method"}
    assert set(rows["largest"]) == {1024}
    for row in rows.itertuples():
        names = TIMES_MS[method] if row.submodule == "method" else [row.submodule]
        exact = sum(1_000_008 + ACTIVATIONS_BYTES[name] * 3000**2 for name in names)
        assert row.counted == exact
        assert row.study_predicted == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("method", TIMES_MS)
def test_rates_are_counted_work_over_measured_time(study: Path, method: str) -> None:
    table = pd.read_csv(study / "flops.csv").set_index(["method", "submodule", "side_px"])
    for submodule in TIMES_MS[method]:
        for side_px in SIDES_PX:
            expected = FLOP_PER_PIXEL * side_px**2 / time_ms(method, submodule, side_px) * 1e-6
            found = table.loc[(method, submodule, side_px), "gflop_per_s"]
            assert found == pytest.approx(expected, rel=1e-5)


def test_every_table_has_its_parquet_file(study: Path) -> None:
    tables = {path.stem for path in study.glob("*.csv")}
    assert {"memory", "memory_methods", "flops", "runs", "kernels"} <= tables
    assert {path.stem for path in study.glob("*.parquet")} == tables


def test_every_figure_of_the_study_is_there(study: Path) -> None:
    left_out = ("sensors", "compared")
    kinds = [
        kind for kind in FIGURES if kind.when not in left_out and "precision" not in kind.labels
    ]
    of = {"device": "generated", "variant": VARIANT}
    names = {kind.name({**of, "method": method}) for kind in kinds for method in TIMES_MS}
    expected = {f"{name}.{kind}" for name in names for kind in ("pdf", "png", "csv")}
    assert {path.name for path in (study / "figures").iterdir()} == expected
    assert all(path.stat().st_size > 0 for path in (study / "figures").iterdir())
