"""Feasibility on entries of the list: sensors with width and height, GPUs that share the memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import pytest

from analysis.feasibility.devices import shares_memory, targets
from analysis.feasibility.process import (
    ASSUMED,
    ASSUMED_SYSTEM_BYTES,
    GIB,
    Context,
    in_unified_memory,
)
from analysis.feasibility.tables import feasibility_table
from analysis.figures.canvas import Style, rc_parameters
from analysis.figures.edge_labels import hardware_words
from analysis.figures.feasibility import feasibility
from analysis.hardware import Gpu, Hardware, Sensor
from analysis.tables import write_csv
from tests.analysis.drawings import VARIANT, caption
from tests.analysis.feasibility_tables import latency, tables

Analysis = Callable[..., tuple[int, str, str]]


def on(hardware: str, gib: float, device: str = "lab") -> pd.DataFrame:
    return latency(device=device, hardware=hardware, device_memory_bytes=int(gib * GIB))


# whose memory


@pytest.mark.parametrize(
    ("name", "nominal", "hardware", "reported", "is_it"),
    [
        ("L4", 24, "NVIDIA L4", 22.5, True),  # error correction takes a sixteenth
        ("T4", 16, "Tesla T4", 14.75, True),
        ("RTX 4090", 24, "NVIDIA GeForce RTX 4090", 23.99, True),
        ("RTX 4060 Ti", 16, "NVIDIA GeForce RTX 4060 Ti", 8, False),  # one name, two sizes
        ("RTX 3060", 8, "NVIDIA GeForce RTX 3060", 12, False),
    ],
)
def test_a_listed_gpu_that_was_measured_has_the_memory_that_its_driver_reports(
    name: str, nominal: float, hardware: str, reported: float, is_it: bool
) -> None:
    first = targets([Gpu(name, nominal)], on(hardware, reported))[0]
    assert (first.name, first.device) == (name, "lab" if is_it else None)
    assert first.memory_bytes == int((reported if is_it else nominal) * GIB)


@pytest.mark.parametrize(
    ("hardware", "shared"),
    [
        ("Orin", True), ("NVIDIA Thor", True), ("NVIDIA GB10", True),
        ("NVIDIA GB200", False), ("NVIDIA GeForce RTX 4090", False),
    ],
)  # fmt: skip
def test_a_measured_module_shares_its_memory_whether_it_is_listed_or_not(
    hardware: str, shared: bool
) -> None:
    assert targets([], on(hardware, 7.4))[0].unified_memory is shared
    assert not shares_memory("cpu", "Tegra Orin")


def test_of_unified_memory_the_system_takes_a_share_that_is_assumed() -> None:
    low, high = ASSUMED_SYSTEM_BYTES
    assert in_unified_memory(ASSUMED) == Context(
        ASSUMED.low + low, ASSUMED.high + high, "assumed", with_system=True
    )
    # what a driver tells may hold it already: never more from below
    known = in_unified_memory(Context(500, 700, "measured"))
    assert (known.low, known.high, known.basis) == (500, 700 + high, "assumed")


def test_a_module_never_fits_where_a_card_with_as_much_memory_does_not() -> None:
    """1 MP needs 0.93 GiB and a tenth and 0.25 to 1 GiB; on a module 0.5 to 4 GiB more."""
    sizes = (1, 1.5, 2, 3, 5, 6, 7, 8)
    gpus = [
        Gpu(f"{kind} {gib}", gib, kind == "module") for gib in sizes for kind in ("card", "module")
    ]
    one = (Sensor("one", 1.0),)
    table = feasibility_table(tables(), Hardware(tuple(gpus), one)).set_index("gpu")
    order = {"does_not_fit": 0, "uncertain": 1, "fits": 2}
    found = {name: order[verdict] for name, verdict in table["verdict"].items()}
    assert all(found[f"module {gib}"] <= found[f"card {gib}"] for gib in sizes)
    assert [found[f"card {gib}"] for gib in sizes] == [0, 1, 1, 2, 2, 2, 2, 2]
    assert [found[f"module {gib}"] for gib in sizes] == [0, 0, 1, 1, 1, 1, 2, 2]
    assert table.loc["module 8", "reason"] == "needs at most 6.024 of 8 GiB that CPU and GPU share"
    assert table.loc["module 2", "reason"] == (
        "needs 1.7 to 6.0 of 2 GiB that CPU and GPU share: CUDA's context with the system's "
        "share is assumed; the allocator's reserve is assumed"
    )
    assert table["unified_memory"].tolist() == [False, True] * 8 + [False]
    assert table.loc["module 8", "needed_high_bytes"] - table.loc[
        "card 8", "needed_high_bytes"
    ] == (4 * GIB)


def test_figures_mark_unified_memory_and_their_captions_say_what_it_is() -> None:
    hardware = Hardware((Gpu("Nano", 8, unified_memory=True),), (Sensor("one", 1.0),))
    assert hardware.gpus[0].label == "Nano, 8 GiB unified"
    assert "shared with the CPU" in hardware_words(hardware, 3000)
    assert "shared" not in hardware_words(Hardware((Gpu("L4", 24),)), 3000)
    with mpl.rc_context(rc_parameters(Style())):  # type: ignore[arg-type]
        drawing = feasibility(feasibility_table(tables(), hardware), Style())
    names = [text.get_text() for text in drawing.figure.axes[0].get_yticklabels()]
    assert names[0] == "Nano, 8 GiB unified"
    assert not any("unified" in name for name in names[1:])
    assert "assumed to take 0.5 to 4 GiB of it" in caption(drawing)


# the image of a sensor


def test_width_and_height_stand_in_the_table_and_are_judged() -> None:
    sensors = (
        Sensor("area", 5.013504, 2448, 2048),
        Sensor("line", 16.0, 8000, 2000, line_scan=True),
        Sensor("square", 1.0),
    )
    table = feasibility_table(tables(), Hardware((Gpu("big", 999),), sensors))
    rows = table[table["gpu"] == "big"].set_index("sensor")
    sides = rows[["sensor_width_px", "sensor_height_px", "sensor_resolution"]]
    assert sides.loc["area"].tolist() == [2448, 2048, "2448x2048"]
    assert sides.loc["line"].tolist() == [8000, 2000, "8000x2000"]
    assert sides.loc["square"].isna().tolist() == [True, True, False]
    # counted at squares with 2252 and 3518 px: 0.93 GiB per megapixel, 2 % for the shape
    assert rows.loc["area", "memory_basis"] == "counted at 2252 px, of about as many pixels"
    assert rows.loc["area", "counted_high_bytes"] == math.ceil(2252**2 * 1000 * 1.02)
    assert rows.loc["line", "memory_basis"] == "counted up to 3518 px"
    assert rows["line_scan"].tolist() == [False, True, False]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    written = tables()
    assert written.runtime is not None
    write_csv(written.counts, tmp_path / "memory_methods.csv")
    write_csv(written.runtime, tmp_path / "runtime.csv")
    return tmp_path


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            ("--sensor", "IMX264", "--gpu", "L4"),
            "IMX264, 2448x2048 px (5.01 MP), L4 (24 GiB): fits, ",
        ),
        (
            ("--sensor", "2448x2048", "--vram-gib", 24),
            "2448x2048 px (5.01 MP), 24 GiB: fits, ",
        ),
        (
            ("--sensor", "imx531", "--gpu", "h100"),
            "IMX531, 4504 px (20.3 MP), H100 (80 GiB): uncertain, not counted at this size",
        ),
        (
            ("--sensor", "1000x1000", "--gpu", "Jetson Orin Nano 8GB"),
            "Jetson Orin Nano 8GB (8 GiB): fits, needs at most 6.024 of 8 GiB that CPU and GPU sha",
        ),
        (("--sensor", "1000x1000", "--gpu", "RTX 4090"), "RTX 4090 (24 GiB): fits, ran at 1024 px"),
        (("--sensor", "1000x1000", "--device", "lab", "--gpu", "RTX 4090"), "lab: fits, ran at"),
        (("--sensor", "1000x1000", "--device", "lab", "--gpu", "L4"), "L4: fits, ran at 1024 px"),
    ],
)
def test_sensors_and_gpus_are_asked_for_by_name_or_by_their_pixels(
    analysis: Analysis, folder: Path, asked: tuple[object, ...], said: str
) -> None:
    code, out, err = analysis("feasible", "--tables", folder, *asked)
    assert (code, err) == (0, "")
    assert out.startswith(f"M {VARIANT}, ")
    assert said in out


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            ("--sensor", "IMX2640", "--gpu", "L4"),
            "--sensor: 'IMX2640' is not known; config/hardware",
        ),
        (("--sensor", "IMX2640", "--gpu", "L4"), "did you mean IMX264?; else give width x height"),
        (
            ("--sensor", "IMX264", "--gpu", "L40Z"),
            "--gpu: 'L40Z' is not known; config/hardware.yaml",
        ),
        (("--sensor", "0x9", "--gpu", "L4"), "--sensor.width_px: 0 cannot be used"),
        (("--sensor", "IMX264", "--sensor-mp", 5, "--gpu", "L4"), "--sensor-mp: --sensor is given"),
        (("--sensor", "IMX264", "--vram-gib", 5, "--gpu", "L4"), "--vram-gib: --gpu is given, too"),
        (("--sensor", "IMX264"), "--gpu or --vram-gib: missing"),
        (("--gpu", "L4"), "--sensor or --sensor-mp: missing"),
        (
            ("-o", "x.csv", "--hardware", '{"gpus": ["L44"], "sensors": []}'),
            "--hardware: is not what config.yaml has (gpus.0: 'L44' cannot be used; ",
        ),
        (
            ("-o", "x.csv", "--hardware", '{"gpus": [], "sensors": [{"name": "A"}]}'),
            "--hardware: is not what config.yaml has (sensors.0.width_px: missing; ",
        ),
    ],
)
def test_questions_that_cannot_be_answered_are_one_line(
    analysis: Analysis, folder: Path, asked: tuple[object, ...], said: str
) -> None:
    code, out, err = analysis("feasible", "--tables", folder, *asked)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_hardware_names_entries_of_the_list_and_holds_entries_of_its_own() -> None:
    found = Hardware.from_json(
        '{"gpus": ["DGX Spark", {"name": "A", "memory_gib": 8}], "sensors": ["IMX264", '
        '{"name": "B", "megapixels": 5.07, "source": "a page"}]}'
    )
    assert found.gpus == (Gpu("DGX Spark", 128, unified_memory=True), Gpu("A", 8))
    assert found.sensors == (Sensor("IMX264", 5.013504, 2448, 2048), Sensor("B", 5.07))
