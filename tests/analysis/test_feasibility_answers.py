"""Feasibility as it is given: its tables, the command, the figure."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from adscale.resolution import sensor_resolution, square
from analysis.columns import size_values
from analysis.feasibility.answer import answer
from analysis.feasibility.devices import Target, measured_devices, on_device
from analysis.feasibility.process import GIB
from analysis.feasibility.rows import feasibility_rows
from analysis.feasibility.tables import (
    FEASIBILITY,
    FEASIBILITY_LIMITS,
    FeasibilityTables,
    feasibility_table,
    limits_table,
    read_tables,
)
from analysis.figures.canvas import Style, rc_parameters
from analysis.figures.feasibility import LOOKS, feasibility, rate_text
from analysis.hardware import Gpu, Hardware, Sensor
from analysis.memory_table import MEMORY_METHODS
from analysis.missing import add_missing
from analysis.runtime_table import RUNTIME
from analysis.tables import read_csv, write_csv
from tests.analysis.drawings import VARIANT, caption
from tests.analysis.feasibility_tables import (
    HARDWARE,
    NEEDED,
    SIDES_PX,
    counts,
    latency,
    measured,
    tables,
)

Analysis = Callable[..., tuple[int, str, str]]


def test_every_gpu_sensor_and_method_has_a_row_and_latency_is_of_its_own_gpu_only() -> None:
    both = tables()
    both = FeasibilityTables(pd.concat([both.counts, counts(NEEDED, "N")]), runtime=both.runtime)
    table = feasibility_table(both, HARDWARE)
    assert list(table) == list(FEASIBILITY.schema)
    assert len(table) == 2 * 3 * 3
    known = table[table["latency_ms"].notna()]
    assert {(*pair,) for pair in known[["gpu", "method"]].to_numpy()} == {("RTX 4090", "M")}
    others = table[table["gpu"] != "RTX 4090"]
    assert others["latency_problem"].str.contains("never taken from another GPU").all()
    assert others[["device", "images_per_second"]].isna().all(axis=None)
    assert known["images_per_second"].to_numpy() == pytest.approx(1e3 / known["latency_ms"])


def test_a_run_that_was_measured_outweighs_the_count() -> None:
    table = feasibility_table(tables(), HARDWARE).set_index(["gpu", "sensor"])
    ran = table.loc[("RTX 4090", "one")]
    assert (ran["verdict"], ran["verdict_basis"]) == ("fits", "measured")
    assert ran["reason"] == "ran at 1024 px on lab"
    lost = tables(status="out_of_memory", mean_ms=pd.NA)
    found = feasibility_table(lost, HARDWARE).set_index(["gpu", "sensor"])
    assert found.loc[("RTX 4090", "IMX264"), "reason"] == "ran out of memory at 1024 px on lab"
    assert found.loc[("middle", "one"), "verdict_basis"] == "counted"


def test_a_size_that_a_method_refuses_is_said_so_and_has_neither_memory_nor_latency() -> None:
    side = sensor_resolution(5.0)
    known = tables()
    asked = replace(known, refused={("M", VARIANT, str(side)): "it takes multiples of 14"})
    gpu, sensors = [Target("big", "cuda", 999 * GIB)], [Sensor("odd", 5.0), Sensor("one", 1.0)]
    row, other = feasibility_rows(asked, gpu, sensors)
    assert (row["verdict"], row["reason"]) == ("refused", "refused: it takes multiples of 14")
    assert row["latency_problem"] == row["reason"]
    assert {row[name] for name in ("needed_low_bytes", "needed_high_bytes", "latency_ms")} == {None}
    assert answer(row, 50).endswith("px): refused: it takes multiples of 14")
    assert other["verdict"] == "fits"
    ran = replace(asked, runtime=latency((side.width_px,)))
    assert next(feasibility_rows(ran, gpu, sensors))["verdict"] == "fits"
    table = feasibility_table(asked, Hardware((Gpu("big", 999),), (sensors[0],)))
    assert limits_table(table)[["sensor", "gpu"]].isna().any(axis=1).all(), "it is no limit"
    with mpl.rc_context(rc_parameters(Style())):  # type: ignore[arg-type]
        drawing = feasibility(table, Style())
        assert {one.get_text() for one in drawing.figure.axes[0].texts} == {"–"}
        assert "size refused" in str([t.get_text() for t in drawing.figure.legends[0].texts])


def test_refused_sizes_are_read_from_the_counts(tmp_path: Path) -> None:
    about = {"method": "M", "variant": VARIANT, **size_values(square(1001))}
    lost = [
        {**about, "missing": "not counted: refused: no"},
        {**about, **size_values(square(1002)), "missing": "not counted: exit code 3"},
    ]
    write_csv(add_missing(counts({1000: GIB}), lost), tmp_path / MEMORY_METHODS.file)
    assert read_tables(tmp_path).refused == {("M", VARIANT, "1001"): "no"}


@pytest.mark.parametrize("status", ["ok", "out_of_memory"])
def test_more_memory_than_the_measured_device_never_fits_less(status: str) -> None:
    """What ran out with 24 GiB does not fit with 22, whatever its count says."""
    order = {"does_not_fit": 0, "uncertain": 1, "fits": 2}
    seen = tables(status=status, **({} if status == "ok" else {"mean_ms": pd.NA}))
    (device,) = measured_devices(seen.runtime)
    found = []
    for gib in (1, 2, 4, 8, 12, 20, 22, 24, 26, 40, 80, 200):
        target = on_device(device, f"{gib} GiB", gib * GIB)
        (row,) = feasibility_rows(seen, [target], [Sensor("one", 1.0)])
        found.append(order[row["verdict"]])
    assert found == sorted(found)
    assert len(set(found)) > 1


def test_a_cpu_is_judged_by_what_ran_there() -> None:
    cpu = {"device": "local", "device_type": "cpu", "hardware": "EPYC"}
    table = feasibility_table(tables(**cpu), HARDWARE).set_index(["gpu", "sensor"])
    assert table.loc[("local (CPU)", "one"), "verdict"] == "fits"
    large = table.loc[("local (CPU)", "IMX264")]
    assert (large["verdict"], large["reason"]) == ("uncertain", "counted for a CUDA device only")
    assert pd.isna(large["needed_low_bytes"])
    assert large["latency_basis"] == "extrapolated"


def test_a_cpu_is_judged_by_its_own_counts_and_by_what_processes_took_there() -> None:
    """5.07 MP need 4.7 GiB, 7.1 GiB at 1.5 times the count; 12.37 MP need 11.5 GiB."""
    about = {"device": "local", "device_type": "cpu", "hardware": "EPYC"}
    known = tables(**about, device_memory_bytes=10 * GIB)
    on_cpu = counts(NEEDED, device_type="cpu")
    row = {
        "method": "M", **size_values(square(512)), **about, "host_resident_before_build_bytes": GIB,
        "measured_to_counted": 1.5,
    }  # fmt: skip

    def judged(rows: list[dict[str, object]]) -> list[tuple[str, ...]]:
        of = replace(known, on_cpu=on_cpu, measured=measured(rows))
        table = feasibility_table(of, HARDWARE).set_index(["gpu", "sensor"]).loc["local (CPU)"]
        assert table["counted_low_bytes"].notna().all()
        return [tuple(table.loc[one, ["verdict", "verdict_basis"]]) for one in ("IMX264", "IMX304")]

    assert judged([row]) == [("fits", "counted"), ("does_not_fit", "counted")]
    unknown = {**row, "measured_to_counted": None}
    assert judged([unknown]) == [("uncertain", "counted"), ("does_not_fit", "counted")]


def test_limits_are_the_largest_sensor_and_the_smallest_gpu_that_fit_for_certain() -> None:
    """1 MP needs 1.27 to 2.02 GiB, 5.07 MP 4.97 to 6.2 GiB, 12.37 MP 11.8 to 13.7 GiB."""
    cpu = {"device": "local", "device_type": "cpu", "hardware": "EPYC"}
    limits = limits_table(feasibility_table(tables(**cpu), HARDWARE))
    assert list(limits) == list(FEASIBILITY_LIMITS.schema)
    found = {
        limit: rows.set_index(by)[other].to_dict()
        for (limit, rows), by, other in zip(
            limits.groupby("limit", sort=False), ("gpu", "sensor"), ("sensor", "gpu"), strict=True
        )
    }
    largest = found["largest sensor"]
    assert pd.isna(largest.pop("small"))
    assert largest == {"RTX 4090": "IMX304", "middle": "IMX264", "local (CPU)": "one"}
    assert found["smallest GPU"] == {"IMX304": "RTX 4090", "one": "middle", "IMX264": "middle"}


def test_without_sensors_the_tables_are_empty() -> None:
    table = feasibility_table(tables(), Hardware(HARDWARE.gpus))
    assert (len(table), len(limits_table(table))) == (0, 0)
    assert list(limits_table(table)) == list(FEASIBILITY_LIMITS.schema)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Tables of a study, as a user has them: two methods, latency of one of them."""
    written = tables()
    assert written.runtime is not None
    both = pd.concat([written.counts, counts(NEEDED, "N")])
    write_csv(both, tmp_path / "memory_methods.csv")
    write_csv(written.runtime, tmp_path / "runtime.csv")
    return tmp_path


def test_the_command_answers_in_a_line_for_each_method(analysis: Analysis, folder: Path) -> None:
    asked = ("--sensor-mp", 5.07, "--vram-gib", 24, "--cycle-ms", 50)
    code, out, err = analysis("feasible", "--tables", folder, "--method", "all", *asked)
    assert (code, err) == (0, "")
    first, second = out.splitlines()
    at = "5.07 MP (as a square with 2252 px)"
    fits_in = f"{at}, 24 GiB: fits, needs at most 6.196 of 24 GiB; 4.723 GiB counted, "
    assert first.startswith(f"M {VARIANT}, {fits_in}context assumed; ")
    assert "on NVIDIA GeForce RTX 4090 (device lab), extrapolated, 4.84 times the largest" in first
    assert first.endswith(", n = 5, does not keep 50 ms")
    assert second == (
        f"N {VARIANT}, {fits_in}context assumed; no runtime on NVIDIA GeForce RTX 4090 "
        "(device lab): no latency was measured, whether it keeps 50 ms is not known"
    )


def test_a_method_is_found_whatever_its_case(analysis: Analysis, folder: Path) -> None:
    asked = ("--sensor-mp", 5.07, "--vram-gib", 24, "--variant", VARIANT.upper())
    code, out, _ = analysis("feasible", "--tables", folder, "--method", "n", *asked)
    assert code == 0
    assert out.startswith(f"N {VARIANT}, ")


def test_without_a_device_each_measured_one_tells_its_latency(
    analysis: Analysis, folder: Path
) -> None:
    lab = read_csv(folder / "runtime.csv", RUNTIME.schema)
    slow = lab.assign(device="slow", hardware="Tesla T4")
    for column in ("mean_ms", "p99_ms", "p99_low_ms", "p99_high_ms"):
        slow[column] *= 3
    write_csv(pd.concat([lab, slow]), folder / "runtime.csv")
    asked = ("feasible", "--tables", folder, "--method", "M", "--vram-gib", 24, "--cycle-ms", 50)
    _, out, _ = analysis(*asked, "--sensor-mp", 0.262144)
    assert out.count("\n") == 1
    _, on_lab, on_slow = out.split("; ")[-3:]
    assert "(device lab), measured, n = 5, keeps 50 ms" in on_lab
    assert "Tesla T4 (device slow), measured, n = 5, does not keep 50 ms" in on_slow


def test_without_measurements_the_command_says_so(analysis: Analysis, folder: Path) -> None:
    (folder / "runtime.csv").unlink()
    asked = ("feasible", "--tables", folder, "--method", "M", "--vram-gib", 24, "--cycle-ms", 50)
    code, out, _ = analysis(*asked, "--sensor-mp", 5.07)
    assert code == 0
    assert out.endswith("context assumed; no runtime: nothing was measured\n")


def test_with_a_device_its_latency_and_cycle_are_judged(analysis: Analysis, folder: Path) -> None:
    asked = ("feasible", "--tables", folder, "--method", "M", "--device", "lab", "--sensor-mp")
    _, out, _ = analysis(*asked, 0.262144, "--cycle-ms", 50)
    at = "M reference-fp32, 0.262144 MP (as a square with 512 px)"
    assert f"{at}, lab: fits, ran at 512 px on lab" in out
    assert "NVIDIA GeForce RTX 4090 (device lab), measured, n = 5, keeps 50 ms" in out
    _, out, _ = analysis(*asked, 5.07, "--cycle-ms", 50)
    assert "extrapolated, 4.84 times the largest pixels measured, n = 5" in out
    assert out.endswith("does not keep 50 ms\n")
    # the same speed in a GPU with less memory: what ran says nothing there
    _, out, _ = analysis(*asked, 1.0, "--vram-gib", 1)
    assert "1 GiB: does not fit, needs at least" in out


def test_the_command_writes_the_table_and_its_limits(
    analysis: Analysis, folder: Path, tmp_path: Path
) -> None:
    hardware = {
        "gpus": [{"name": "RTX 4090", "memory_gib": 24}],
        "sensors": [{"name": "A", "megapixels": 5.07}],
    }
    text = json.dumps(hardware)
    (tmp_path / "hardware.json").write_text(text)
    out, limits = tmp_path / "out" / "feasibility.csv", tmp_path / "out" / "limits.csv"
    named = ("feasible", "--tables", folder, "-o", out, "--limits", limits, "--hardware")
    for given_as in (text, tmp_path / "hardware.json"):
        assert analysis(*named, given_as) == (0, "", "")
        assert read_csv(out, FEASIBILITY.schema)["method"].tolist() == ["M", "N"]
        assert read_csv(limits, FEASIBILITY_LIMITS.schema)["sensor"].tolist() == ["A"] * 4
    assert {path.suffix for path in out.parent.iterdir()} == {".csv", ".parquet"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--vram-gib", 24], "--sensor-mp: missing"),
        (["--sensor-mp", 5], "--vram-gib: missing"),
        (
            ["--sensor-mp", 5, "--vram-gib", 24, "--method", "X"],
            "X was not counted; choose from: M",
        ),
        (["--sensor-mp", 5, "--vram-gib", 24, "--variant", "X"], "X was not counted"),
        (["--sensor-mp", 5, "--device", "X"], "X was not measured; choose from: lab"),
        (["-o", "x.csv"], "--hardware: no GPUs and sensors"),
        (["-o", "x.csv", "--hardware", "{}"], "--hardware: is not what config.yaml has"),
        (["-o", "x.csv", "--hardware", "/no/file"], "/no/file cannot be read"),
        (["--limits", "x.csv"], "--limits: comes with a table"),
    ],
)
def test_errors_are_one_line(
    analysis: Analysis, folder: Path, arguments: list[object], said: str
) -> None:
    code, out, err = analysis("feasible", "--tables", folder, *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_tables_that_are_absent_are_named(analysis: Analysis, tmp_path: Path) -> None:
    asked = ("--sensor-mp", 5, "--vram-gib", 24)
    code, _, err = analysis("feasible", "--tables", tmp_path, *asked)
    assert code == 2
    assert "memory_methods.csv" in err


@pytest.mark.parametrize("number", ["0", "-1", "nan", "inf", "x"])
def test_numbers_have_to_be_positive(
    analysis: Analysis, capsys: pytest.CaptureFixture[str], number: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        analysis("feasible", "--sensor-mp", number)
    assert caught.value.code == 2
    assert "is no positive number" in capsys.readouterr().err


# the figure


@pytest.mark.parametrize("style", [Style(), Style(width_mm=88, font_pt=7)])
def test_the_figure_has_a_cell_for_each_row_and_frames_what_was_measured(style: Style) -> None:
    table = feasibility_table(tables(sides_px=(*SIDES_PX[:-1], 1000)), HARDWARE)
    with mpl.rc_context(rc_parameters(style)):  # type: ignore[arg-type]
        drawing = feasibility(table, style)
        drawing.figure.draw_without_rendering()
    axes = drawing.figure.axes[0]
    written = {text.get_position(): text.get_text() for text in axes.texts}
    sensors = ["one", "IMX264", "IMX304"]  # by their pixels
    gpus = ["small", "RTX 4090", "middle"]  # as given
    cells = table.set_index(["gpu", "sensor"])
    assert len(written) == len(table)
    for (x, y), text in written.items():
        row = cells.loc[(gpus[int(y)], sensors[int(x)])]
        rate = row["images_per_second"]
        known = pd.notna(rate) and row["verdict"] != "does_not_fit"
        assert text == (rate_text(rate) if known else LOOKS[row["verdict"]].symbol)
    frames = [box for box in axes.patches if isinstance(box, Rectangle) and not box.get_fill()]
    centres = [box.get_center().round(3).tolist() for box in frames]
    assert centres == [[0, 1]]
    assert "NVIDIA GeForce RTX 4090 (device “lab”)" in caption(drawing)
    drawn = drawing.figure.get_tightbbox()
    assert drawn.y0 >= -0.01
    assert drawn.x1 <= drawing.figure.get_figwidth() + 0.01


def test_numbers_stay_in_their_cells_with_four_methods_and_ten_sensors() -> None:
    style = Style()
    hardware = Hardware(
        (*(Gpu(f"RTX {4000 + k}", 24) for k in range(11)), Gpu("RTX 4090", 24)),
        tuple(Sensor(f"IMX{k}", 0.07 + k / 2.5) for k in range(10)),
    )
    names = ("A", "B", "C", "D")
    fast = {"device": "lab", "hardware": "NVIDIA GeForce RTX 4090"}
    runtime = pd.concat([latency(method=name, **fast) for name in names], ignore_index=True)
    all_counts = pd.concat([counts(NEEDED, name) for name in names])
    table = feasibility_table(FeasibilityTables(all_counts, runtime=runtime), hardware)
    with mpl.rc_context(rc_parameters(style)):  # type: ignore[arg-type]
        figure = feasibility(table, style).figure
        figure.draw_without_rendering()
        for axes in figure.axes:
            cell = axes.get_window_extent().width / len(hardware.sensors)
            assert len(axes.texts) == 120
            assert max(Text.get_window_extent(text).width for text in axes.texts) < cell


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (14_400, "14k"), (1440, "1.4k"), (999.6, "1.0k"), (144, "144"), (14.4, "14"), (1.44, "1.4"),
        (0.06, "0.1"), (0.04, "<0.1"),
    ],
)  # fmt: skip
def test_rates_have_at_most_four_characters(rate: float, text: str) -> None:
    assert rate_text(rate) == text
