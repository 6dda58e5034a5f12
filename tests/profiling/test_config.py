from __future__ import annotations

import math
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from adscale.config import StudyConfigError, load_config, read_config
from adscale.describe import load_schema, reference
from adscale.devices import usable_cpus
from adscale.errors import ConfigError
from adscale.request import Execution
from adscale.resolution import square
from adscale.yaml_text import parse_value, read_yaml
from profiling.sampling import StopRule

CHECKOUT = Path(__file__).parents[2]


def study(**changes: Any) -> dict[str, Any]:
    return {
        "preset": "smoke",
        "device": {"type": "cpu"},
        "methods": {"EfficientAD-S": {"target": "efficientad", "size": "S"}},
        **changes,
    }


def complaints(config: dict[str, Any]) -> list[str]:
    with pytest.raises(StudyConfigError) as caught:
        load_config(config)
    return str(caught.value).splitlines()


def test_the_configuration_we_ship_is_valid() -> None:
    config = read_config(CHECKOUT / "config" / "config.yaml")
    assert [method.label for method in config.methods] == [
        "PatchCore-10",
        "EfficientAD-S",
        "EfficientAD-M",
        "DDAD-10",
    ]
    # a curve of less than five points has no interval
    assert all(len(method.resolutions) >= 5 for method in config.methods)
    variants = [[str(one) for one in method.variants] for method in config.methods]
    assert all(one == ["reference-fp32", "optimized-fp32"] for one in variants)


def test_resolutions_of_a_target_come_from_the_preset_unless_the_user_has_some() -> None:
    methods = {"A": {"target": "ddad"}, "B": {"target": "ddad", "resolutions": [32]}}

    def resolutions(**keys: Any) -> list[tuple[str, ...]]:
        found = load_config({"methods": methods, **keys}).methods
        return [tuple(str(one) for one in method.resolutions) for method in found]

    preset = yaml.safe_load((CHECKOUT / "config" / "presets" / "quick.yaml").read_text())
    of_target = tuple(map(str, preset["resolutions_by_target"]["ddad"]))
    assert resolutions() == [of_target, ("32",)]
    assert resolutions(resolutions=[64]) == [("64",), ("32",)]
    given = resolutions(resolutions=[64], resolutions_by_target={"ddad": [96]})
    assert given == [("96",), ("32",)]


def test_faults_in_resolutions_of_a_target_name_their_place() -> None:
    methods = {"A": {"target": "ddad"}}
    with pytest.raises(StudyConfigError) as caught:
        load_config({"methods": methods, "resolutions_by_target": {"ddad": [100], "dda": [32]}})
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("resolutions_by_target.ddad: ddad does not run at 100 px")
    assert lines[1].startswith("resolutions_by_target: there is no method 'dda'")


@pytest.mark.parametrize("preset", ["smoke", "quick", "paper", "adaptive"])
def test_every_preset_is_valid_and_complete(preset: str) -> None:
    config = load_config(study(preset=preset))
    given = yaml.safe_load((CHECKOUT / "config" / "presets" / f"{preset}.yaml").read_text())
    assert [str(one) for one in config.methods[0].resolutions] == [*map(str, given["resolutions"])]
    assert config.sampling.measured_images == given["sampling"]["measured_images"]


def test_presets_are_those_of_the_schema() -> None:
    files = {path.stem for path in (CHECKOUT / "config" / "presets").glob("*.yaml")}
    assert files == set(load_schema("config")["properties"]["preset"]["enum"])


def test_the_paper_preset_is_the_studys_sampling() -> None:
    sampling = load_config(study(preset="paper")).sampling
    assert (sampling.warmup_images, sampling.measured_images) == (100, 1000)
    assert (sampling.min_images, sampling.time_budget_s) == (1000, None)
    assert sampling.target_precision is None
    warmup, measured = StopRule.for_warmup(sampling), StopRule.for_measurement(sampling)
    for rule, images in ((warmup, 100), (measured, 1000)):  # exactly, however long it takes
        assert rule.check(images - 1, 1e6) is None
        assert rule.check(images, 0.0) == "image_count"


def test_the_adaptive_preset_measures_what_the_paper_preset_does_until_it_is_precise() -> None:
    adaptive, paper = (
        load_config(study(preset=preset, device={"type": "cuda"}))
        for preset in ("adaptive", "paper")
    )
    assert adaptive.methods == paper.methods
    assert adaptive.processes == paper.processes == 3
    sampling = adaptive.sampling
    assert (sampling.target_precision, sampling.min_images) == (0.01, 30)
    assert (sampling.warmup_images, sampling.measured_images) == (20, 1000)
    assert sampling.time_budget_s is not None


@pytest.mark.parametrize("preset", ["smoke", "quick"])
def test_a_first_study_takes_one_process_per_run_and_its_latency_pass(preset: str) -> None:
    config = load_config(study(preset=preset))
    assert (config.processes, config.latency) == (1, True)
    assert config.sampling.profiled.min_images == config.sampling.min_images


def test_of_a_preset_what_a_cpu_does_not_have_is_left_out_and_said() -> None:
    on_gpu = load_config(study(preset="paper", device={"type": "cuda"}))
    variants = [str(one) for one in on_gpu.methods[0].variants]
    assert variants == ["reference-fp32", "reference-tf32", "optimized-fp32"]
    assert on_gpu.notes == ()
    on_cpu = load_config(study(preset="paper"))
    variants = [str(one) for one in on_cpu.methods[0].variants]
    assert variants == ["reference-fp32", "optimized-fp32"]
    assert len(on_cpu.notes) == 1
    assert "reference-tf32 left out" in on_cpu.notes[0]
    assert load_config(study(preset="paper", variants=["reference-fp32"])).notes == ()


def test_settings_of_the_execution_are_torchs_own_unless_set() -> None:
    assert load_config(study()).execution == Execution(False, False, "warm")
    config = load_config(study(execution={"cache": "cold"}))
    assert config.execution == Execution(False, False, "cold")


def test_the_users_key_takes_the_place_of_the_presets_and_leaves_its_neighbours() -> None:
    config = load_config(study(sampling={"measured_images": 7}, resolutions=[300]))
    assert config.sampling.measured_images == 7
    assert config.sampling.warmup_images == 1
    assert config.methods[0].resolutions == (square(300),)


def test_a_method_can_have_resolutions_of_its_own() -> None:
    methods = {
        "A": {"target": "efficientad", "resolutions": [400, 300]},
        "B": {"target": "efficientad"},
    }
    config = load_config(study(methods=methods, resolutions=[256]))
    assert [method.resolutions for method in config.methods] == [
        (square(300), square(400)),
        (square(256),),
    ]


def test_runs_are_left_out_only_where_the_user_wants_it() -> None:
    assert load_config(study()).skip_margin is None
    assert load_config(study(memory_margin=0.5)).skip_margin is None
    assert load_config(study(skip_predicted_out_of_memory=True)).skip_margin == 0.1
    wanted = study(skip_predicted_out_of_memory=True, memory_margin=0)
    assert load_config(wanted).skip_margin == 0


def test_threads_default_to_the_usable_cpus() -> None:
    assert load_config(study()).devices[0].threads == usable_cpus()
    assert load_config(study(device={"type": "cpu", "threads": 1})).devices[0].threads == 1


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"preste": "quick"}, ["preste: unknown key", "did you mean preset?"]),
        ({"sampling": {"warmup_image": 3}}, ["sampling.warmup_image", "mean warmup_images?"]),
        (
            {"preset": "quik"},
            ["preset: 'quik'", "smoke, quick, paper, adaptive", "did you mean quick?"],
        ),
        ({"resolutions": "256"}, ["resolutions: '256'", "expected: array"]),
        ({"resolutions": [256, "big"]}, ["resolutions.1: 'big'", "such as 2448x2048"]),
        ({"resolutions": []}, ["resolutions", "at least 1"]),
        ({"resolutions": [256, 256]}, ["resolutions", "each value once"]),
        ({"resolutions": ["320x200"]}, ["resolutions", "320x200 px", "supports: 320x256 px"]),
        ({"resolutions": [200]}, ["resolutions", "200 px", "supports: 256 px"]),
        ({"skip_predicted_out_of_memory": "yes"}, ["skip_predicted_out_of_memory", "boolean"]),
        ({"memory_margin": -0.1}, ["memory_margin: -0.1", "at least 0"]),
        ({"memory_margin": "10 %"}, ["memory_margin: '10 %'", "number"]),
        ({"seed": -1}, ["seed: -1", "at least 0"]),
        ({"seed": True}, ["seed: True", "integer"]),
        ({"device": {"name": "a/b"}}, ["device.name", "letters, digits"]),
        ({"device": {"name": "tables"}}, ["device.name", "taken"]),
        ({"methods": {}}, ["methods", "at least 1"]),
        ({"methods": {"a b": {"target": "efficientad"}}}, ["'a b'", "letters, digits"]),
        ({"methods": {"A": {}}}, ["methods.A.target: missing"]),
        ({"methods": {"A": {"target": "eficientad"}}}, ["methods.A.target", "efficientad"]),
        (
            {"methods": {"A": {"target": "efficientad", "sise": "S"}}},
            ["methods.A.sise", "size"],
        ),
        ({"methods": {"A": {"target": "efficientad", "size": "L"}}}, ["methods.A.size", "S, M"]),
        ({"variants": ["reference-fp64"]}, ["variants", "reference-fp64", "reference-fp32"]),
        ({"processes": 0}, ["processes: 0", "at least 1"]),
        ({"latency": "no"}, ["latency: 'no'", "boolean"]),
        ({"execution": {"cache": "hot"}}, ["execution.cache: 'hot'", "warm, cold"]),
        ({"sampling": {"target_precision": 0}}, ["sampling.target_precision: 0", "more than 0"]),
        ({"sampling": {"target_precision": 1}}, ["sampling.target_precision: 1", "less than 1"]),
        (
            {"sampling": {"target_precision": 0.1, "min_images": 1}},
            ["sampling.min_images: 1 is too few", "at least 2"],
        ),
        ({"device": {"type": "cpu", "lock_clocks": 1200}}, ["device.lock_clocks", "is a CPU"]),
        (
            {"device": {"type": "cpu", "foreign_processes": "fail"}},
            ["device.foreign_processes: 'fail'", "flag, error"],
        ),
        ({"preset": "paper", "variants": ["reference-tf32"]}, ["variants", "CPU"]),
        ({"variants": ["reference-tf32"]}, ["variants", "CPU", "device.type: cuda"]),
        ({"sampling": {"min_images": 9, "measured_images": 2}}, ["sampling.min_images", "1 to 2"]),
        ({"images": "no/such/folder"}, ["images", "no folder"]),
        ({"images": ""}, ["images", "expected: at least 1 character"]),
        ({"gpus": {}}, ["gpus: {}", "expected: array"]),
        ({"gpus": [{"name": "A"}]}, ["gpus.0.memory_gib: missing", "GiB"]),
        ({"gpus": [{"name": "A", "memory_gib": 0}]}, ["gpus.0.memory_gib: 0", "more than 0"]),
        ({"gpus": [{"name": "", "memory_gib": 8}]}, ["gpus.0.name: ''", "at least 1 character"]),
        (
            {"gpus": [{"name": "A" * 41, "memory_gib": 8}]},
            ["gpus.0.name", "at most 40 characters"],
        ),
        (
            {"gpus": [{"name": "A", "memory_gb": 8, "memory_gib": 8}]},
            ["gpus.0.memory_gb: unknown key", "did you mean memory_gib?"],
        ),
        (
            {"gpus": [{"name": "A", "memory_gib": gib} for gib in (8, 16)]},
            ["gpus.1.name: 'A' is named already", "a name of its own"],
        ),
        ({"sensors": [{"name": "A", "megapixels": "5"}]}, ["sensors.0.megapixels: '5'", "number"]),
        (
            {"sensors": [{"name": "A", "megapixels": 5}] * 2},
            ["sensors.1.name: 'A' is named already"],
        ),
        ({"figures": {"width_mm": 10}}, ["figures.width_mm: 10", "at least 60"]),
        # kinds that YAML has and nobody means, and numbers that no machine has
        ({"processes": 2.0}, ["processes: 2.0", "integer"]),
        ({"seed": 1.0}, ["seed: 1.0", "integer"]),
        ({"resolutions": [256.0]}, ["resolutions.0: 256.0", "side length in px"]),
        ({"resolutions": [10**6]}, ["resolutions.0: 1000000", "from 1 to 100000"]),
        ({"extrapolate_to_px": 10**12}, ["extrapolate_to_px", "from 1 to 100000"]),
        ({"processes": 10**6}, ["processes: 1000000", "at most 1000"]),
        ({"device": {"type": "cpu", "threads": 2.0}}, ["device.threads: 2.0", "integer"]),
        ({"device": {"type": "cpu", "threads": 12345678}}, ["device.threads", "at most 8192"]),
        ({"methods": {True: {"target": "ddad"}}}, ["methods: the key True", "in quotes"]),
        (
            {"methods": {date(2026, 1, 1): {"target": "ddad"}}},
            ["methods: the key datetime.date(2026, 1, 1)", "in quotes"],
        ),
        ({"figures": {5: 3}}, ["figures: the key 5 is no text", "in quotes"]),
        ({"methods": {"A" * 300: {"target": "ddad"}}}, ["methods", "at most 80 characters"]),
        (
            {"methods": {"A": {"target": "torch.nn:Flatten", "start_dim": date(2026, 1, 1)}}},
            ["methods.A.start_dim: datetime.date(2026, 1, 1)", "expected: text"],
        ),
        ({"sensors": [{"name": "A", "megapixels": math.inf}]}, ["sensors.0.megapixels: inf"]),
        ({"sensors": [{"name": "A", "megapixels": 1e300}]}, ["sensors.0.megapixels: 1e+300"]),
        ({"gpus": [{"name": "A", "memory_gib": math.inf}]}, ["gpus.0.memory_gib: inf"]),
        ({"gpus": [{"name": "A", "memory_gib": math.nan}]}, ["gpus.0.memory_gib: nan"]),
        ({"memory_margin": math.inf}, ["memory_margin: inf"]),
        ({"sampling": {"time_budget_s": math.inf}}, ["sampling.time_budget_s: inf", "finite"]),
        ({"environment": ["A B"]}, ["environment.0: 'A B'", "one such as MY_SWITCH"]),
        ({"device": {"type": "cuda", "gpu": "0"}}, ["device.gpu: '0'", "one such as GPU-"]),
        ({"images": "a\0b"}, ["images", "no folder"]),
    ],
)
def test_each_fault_is_one_line_with_place_and_remedy(
    changes: dict[str, Any], parts: list[str]
) -> None:
    lines = complaints(study(**changes))
    assert len(lines) == 1
    for part in parts:
        assert part in lines[0]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"preset: smoke # caf\xe9\n", "is not in UTF-8 (byte 20)"),
        (b"seed: 1\nseed: 2\n", "'seed' is named twice"),
        (b"methods:\n  A: {target: ddad}\n  A: {target: ddad}\n", "'A' is named twice"),
        (b"resolutions: [0256]\n", "'0256' would be read as 174"),
        (b"extrapolate_to_px: -0_17\n", "'-0_17' would be read as -15"),
        (b"sampling: {time_budget_s: 1:30}\n", "'1:30' would be read as 90"),
        (b"sampling: {time_budget_s: 1:30.5}\n", "'1:30.5' would be read as 90.5"),
        (b"seed: 2026-13-45\n", "is no YAML"),
        (b"seed: [1\n", "is no YAML"),
        (b"- 5\n", "holds no keys"),
        (b"", "holds no keys"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_in_one_line(
    content: bytes, what: str, tmp_path: Path
) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_config(file)
    assert what in str(caught.value)
    assert "\n" not in str(caught.value)


def test_numbers_that_mean_one_thing_are_read(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("a: [0, -0, 0.5, 00.5, 1_000, 0x10, 0b11, 1.5e+3, .inf, '010']\n")
    assert read_yaml(file)["a"] == [0, 0, 0.5, 0.5, 1000, 16, 3, 1500.0, float("inf"), "010"]
    with pytest.raises(ConfigError, match="would be read as 8"):
        parse_value("{layers: [010]}", "--set")


def test_all_faults_are_told_at_once() -> None:
    methods = {"A": {"target": "efficientad", "resolutions": [10, 256]}, "B": {"target": "nothing"}}
    lines = complaints(study(methods=methods, images="no/such/folder"))
    assert len(lines) == 3


def test_the_reference_of_the_configuration_is_that_of_the_schema() -> None:
    """If not: `make docs`, or `python -m adscale.describe`."""
    assert (CHECKOUT / "docs" / "configuration.md").read_text(encoding="utf-8") == reference()


def test_the_reference_has_no_tags_of_html_outside_of_code() -> None:
    prose = re.sub(r"`[^`]*`", "", reference())
    assert r"\<name>" in prose
    assert not re.search(r"(?<!\\)<", prose)


def test_every_key_of_the_schema_is_described() -> None:
    def check(path: str, part: dict[str, Any]) -> None:
        for key, inner in part.get("properties", {}).items():
            assert inner.get("description"), f"{path}{key} has no description"
            check(f"{path}{key}.", inner)

    check("", dict(load_schema("config")))
