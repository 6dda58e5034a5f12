"""The list of GPUs and sensors that we ship, and how a configuration names its entries."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from adscale.config import load_config
from tests.profiling.test_config import complaints, study

CHECKOUT = Path(__file__).parents[2]


def test_gpus_and_sensors_are_those_that_the_file_calls_judged_unless_the_user_has_some() -> None:
    judged = yaml.safe_load((CHECKOUT / "config" / "hardware.yaml").read_text())["judged"]
    config = load_config(study())
    assert [gpu["name"] for gpu in config.gpus] == judged["gpus"]
    assert [sensor["name"] for sensor in config.sensors] == judged["sensors"]
    assert (len(config.gpus), len(config.sensors)) == (6, 7)
    mine = [{"name": "mine", "memory_gib": 11}]
    config = load_config(study(gpus=mine, sensors=[]))
    assert (list(config.gpus), list(config.sensors)) == (mine, [])


def test_names_of_the_file_stand_beside_entries_of_the_user() -> None:
    mine = {"name": "mine", "width_px": 8000, "height_px": 2000, "line_scan": True}
    config = load_config(study(gpus=["jetson orin nano 8gb", "L4"], sensors=["IMX531", mine]))
    assert [(gpu["name"], gpu["memory_gib"]) for gpu in config.gpus] == [
        ("Jetson Orin Nano 8GB", 8),
        ("L4", 24),
    ]
    assert [gpu.get("unified_memory") for gpu in config.gpus] == [True, None]
    listed, own = config.sensors
    assert (listed["name"], listed["width_px"], listed["height_px"]) == ("IMX531", 4504, 4504)
    assert listed["megapixels"] == pytest.approx(20.286016)
    assert own == {**mine, "megapixels": 16.0}


@pytest.mark.parametrize(
    ("megapixels", "agrees"), [(5, True), (5.0, True), (5.01, True), (5.1, False)]
)
def test_megapixels_beside_width_and_height_agree_as_far_as_they_are_rounded(
    megapixels: float, agrees: bool
) -> None:
    """2448 x 2048 are 5 013 504 pixels."""
    sensor = {"name": "A", "width_px": 2448, "height_px": 2048, "megapixels": megapixels}
    if agrees:
        assert load_config(study(sensors=[sensor])).sensors[0]["megapixels"] == 5.013504
    else:
        assert "contradicts" in complaints(study(sensors=[sensor]))[0]


def test_the_lists_we_ship_are_valid() -> None:
    given = yaml.safe_load((CHECKOUT / "config" / "hardware.yaml").read_text())
    gpus, sensors = given["gpus"], given["sensors"]
    for entries in (gpus, sensors):
        assert len(entries) >= 24
        assert len({entry["name"].casefold() for entry in entries}) == len(entries)
        for entry in entries:
            assert entry["source"] is None or re.match(r"https?://[^ ]+\.[^ ]+$", entry["source"])
    config = load_config(study(gpus=gpus, sensors=sensors))
    sizes = [sensor["megapixels"] for sensor in config.sensors]
    assert round(min(sizes), 1) == 0.4
    assert round(max(sizes)) == 151
    for sensor, size in zip(sensors, sizes, strict=True):
        assert size == pytest.approx(sensor["width_px"] * sensor["height_px"] / 1e6, abs=5e-7)
    assert sum(bool(sensor.get("line_scan")) for sensor in sensors) >= 2
    assert min(gpu["memory_gib"] for gpu in gpus) <= 8
    assert max(gpu["memory_gib"] for gpu in gpus) >= 141
    shared = {gpu["name"] for gpu in gpus if gpu.get("unified_memory")}
    assert shared == {
        gpu["name"] for gpu in gpus if gpu["name"].startswith(("Jetson", "DGX Spark"))
    }


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("gpus: [{name: A}]", "gpus.0.memory_gib: missing"),
        ("gpu: []", "gpu: unknown key"),
        ("gpus: [", "hardware.yaml: is no YAML"),
        ("- 1", "hardware.yaml: holds no keys"),
        ("sensors: [{name: A}]", "hardware.yaml: sensors.0.width_px: missing"),
        (
            "gpus: [{name: A1, memory_gib: 8}]\njudged: {gpus: [A2]}",
            "judged.gpus.0: 'A2' is not listed; name entries of gpus below, did you mean A1?",
        ),
    ],
)
def test_a_fault_in_the_file_of_gpus_and_sensors_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, part: str
) -> None:
    (tmp_path / "hardware.yaml").write_text(text)
    monkeypatch.setattr("adscale.hardware_list.HARDWARE_FILE", tmp_path / "hardware.yaml")
    (line,) = complaints(study())
    assert part in line
    assert "\n" not in line


def test_without_a_choice_in_the_file_all_of_it_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hardware.yaml").write_text("sensors: [{name: A, megapixels: 5.07}]")
    monkeypatch.setattr("adscale.hardware_list.HARDWARE_FILE", tmp_path / "hardware.yaml")
    config = load_config(study())
    assert (config.gpus, config.sensors) == ((), ({"name": "A", "megapixels": 5.07},))


def test_the_example_of_gpus_and_sensors_in_our_configuration_is_valid() -> None:
    text = (CHECKOUT / "config" / "config.yaml").read_text()
    lines = text[text.index("# gpus:") :].splitlines()
    lists = yaml.safe_load("\n".join(line.removeprefix("# ") for line in lines))
    assert set(lists) == {"gpus", "sensors"}
    config = load_config(study(**lists))
    assert [gpu["name"] for gpu in config.gpus] == ["RTX 4090", "L4"]
    assert [sensor["width_px"] for sensor in config.sensors] == [2448, 8192]


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"sensors": [{"name": "A"}]}, ["sensors.0.width_px: missing", "height_px"]),
        ({"sensors": [{"name": "A", "width_px": 9}]}, ["sensors.0.height_px: missing"]),
        (
            {"sensors": [{"name": "A", "width_px": 2448, "height_px": 2048, "megapixels": 5.07}]},
            ["sensors.0.megapixels: 5.07 contradicts 2448 x 2048 px", "it follows: 5.013504"],
        ),
        (
            {"sensors": [{"name": "A", "megapixels": 5, "line_scan": True}]},
            ["sensors.0.width_px: missing", "line-scan", "lines of an image"],
        ),
        ({"gpus": ["RTX 409"]}, ["gpus.0: 'RTX 409'", "did you mean RTX 4090?", "memory_gib"]),
        ({"gpus": [4090]}, ["gpus.0: 4090", "expected: string or object"]),
        ({"sensors": ["IMX2640"]}, ["sensors.0: 'IMX2640'", "did you mean IMX264?", "width_px"]),
        ({"sensors": ["IMX264", "imx264"]}, ["sensors.1.name: 'IMX264' is named already"]),
    ],
)
def test_each_fault_of_an_entry_is_one_line_with_place_and_remedy(
    changes: dict[str, Any], parts: list[str]
) -> None:
    (line,) = complaints(study(**changes))
    assert "\n" not in line
    for part in parts:
        assert part in line
