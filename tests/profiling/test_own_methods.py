"""Methods that are not ours: a user's class, a user's network, a model of anomalib."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from adscale.errors import ConfigError, MethodError, WeightsError
from adscale.methods.registry import get_spec
from adscale.methods.spec import check_settings, parse_variant
from adscale.request import Sampling
from adscale.resolution import square
from profiling.annotation import no_range
from profiling.memory.counting import count_memory
from profiling.methods.foreign import ModuleMethod, method_around
from profiling.methods.loading import load_method_class, resolve
from profiling.runner import measure
from tests.profiling.running import NOT_COUNTED
from tests.profiling.tensors import random_image, recorded_ranges
from tests.study_requests import plain_request

CHECKOUT = Path(__file__).parents[2]
BLUR = "examples.blur_distance:BlurDistance"
AUTOENCODER = "examples.small_autoencoder:SmallAutoencoder"
HAS_ANOMALIB = importlib.util.find_spec("anomalib") is not None


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CHECKOUT)
    monkeypatch.syspath_prepend(str(CHECKOUT))


def ranges_of(target: str, side_px: int = 64, **settings: Any) -> tuple[list[str], Any]:
    spec = resolve(get_spec(target))
    method = load_method_class(spec).build(
        check_settings(spec, settings),
        resolution=square(side_px),
        implementation="reference",
        seed=0,
    )
    opened, annotate = recorded_ranges()
    with torch.inference_mode():
        detection = method.infer(random_image(side_px), annotate)  # type: ignore[arg-type]
    assert tuple(dict.fromkeys(name for name in opened if "/" not in name)) == method.submodules
    return opened, detection


def test_a_class_of_the_user() -> None:
    opened, detection = ranges_of(BLUR, radius_px=2)
    assert opened == ["blur", "distance"]
    assert detection.anomaly_map.shape == (1, 1, 64, 64)
    spec = resolve(get_spec(BLUR))
    assert spec.submodules == ("blur", "distance")
    assert check_settings(spec, {}) == {"radius_px": 8}


def test_a_network_of_the_user() -> None:
    opened, detection = ranges_of(AUTOENCODER, channels=8)
    assert opened == ["encoder", "decoder"]
    assert detection.anomaly_map.shape == (1, 3, 64, 64)
    assert detection.score is None


def test_a_function_of_an_installed_package() -> None:
    opened, _ = ranges_of("torchvision.models:resnet18")
    assert opened == [
        "conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool", "fc",
    ]  # fmt: skip


class Odd(nn.Module):
    """Lists of layers, a layer called twice, one never called, and a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)])
        self.twice = nn.Sequential(nn.Conv2d(3, 3, 1))
        self.never = nn.Linear(10, 10)
        self.offset = nn.Parameter(torch.zeros(7))

    def forward(self, image: torch.Tensor) -> dict[str, Any]:
        for block in self.blocks:
            image = self.twice(block(image))
        return {"text": "a", "anomaly_map": image + self.offset.sum(), "pred_score": image.amax()}


def test_a_network_with_everything_odd() -> None:
    method = method_around("Odd", Odd).build(
        {}, resolution=square(8), implementation="reference", seed=0
    )
    opened, annotate = recorded_ranges()
    detection = method.infer(random_image(8), annotate)  # type: ignore[arg-type]
    assert opened == ["blocks", "twice", "blocks", "twice"]
    assert method.submodules == ("blocks", "twice")
    opened.clear()
    method.infer(random_image(8), annotate)  # type: ignore[arg-type]
    assert opened == ["blocks", "twice", "blocks", "twice", "between submodules"]
    assert method.submodules == ("blocks", "twice", "between submodules")
    assert detection.anomaly_map is not None
    assert detection.anomaly_map.shape == (1, 3, 8, 8)
    assert detection.score is not None


def test_memory_of_a_network_is_counted_by_child() -> None:
    spec = resolve(get_spec(AUTOENCODER))
    counts = count_memory(
        spec,
        {"channels": 8, "weights": None},
        resolution=square(64),
        implementation="reference",
    )
    found = {c.submodule: (c.parameters_bytes, c.activations_bytes) for c in counts.submodules}
    encoder = 8 * 3 * 16 + 8 + 16 * 8 * 16 + 16
    decoder = 16 * 8 * 16 + 8 + 8 * 3 * 16 + 3
    assert found == {
        "encoder": (4 * encoder, 4 * (8 * 32 * 32 + 16 * 16 * 16)),
        "decoder": (4 * decoder, 4 * (8 * 32 * 32 + 3 * 64 * 64)),
    }


def test_tensors_in_no_child_are_counted_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd_network.py").write_text(
        "from tests.profiling.test_own_methods import Odd\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    spec = resolve(get_spec("odd_network:Odd"))
    counts = count_memory(spec, {"weights": None}, resolution=square(8), implementation="reference")
    held = {count.submodule: count.parameters_bytes // 4 for count in counts.submodules}
    assert held == {"blocks": 24, "twice": 12, "between submodules": 7 + 110}


class Reading(nn.Module):
    """A network that looks at a number in a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 5, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.first(image)
        return hidden if float(hidden.max()) > 0 else self.second(hidden)  # type: ignore[no-any-return]


def test_a_network_that_needs_contents_is_counted_up_to_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "reading_network.py").write_text(
        "from tests.profiling.test_own_methods import Reading\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    spec = resolve(get_spec("reading_network:Reading"))
    count = count_memory(spec, {"weights": None}, resolution=square(8), implementation="reference")
    assert count.incomplete is not None
    assert "DataDependent" in count.incomplete
    found = {part.submodule: part.activations_bytes for part in count.submodules}
    assert found["first"] == 4 * 4 * 64
    held = sum(part.parameters_bytes for part in count.submodules)
    assert held == 4 * (4 * 3 + 4 + 5 * 4 + 5)


def test_weights_of_a_network_load(tmp_path: Path) -> None:
    made = method_around("Odd", Odd)
    network = Odd()
    torch.save(network.state_dict(), tmp_path / "odd.pth")
    settings = {"weights": str(tmp_path / "odd.pth")}
    loaded = made.build(settings, resolution=square(8), implementation="reference", seed=5)
    assert isinstance(loaded, ModuleMethod)
    assert torch.equal(loaded.network.twice[0].weight, network.twice[0].weight)
    with pytest.raises(WeightsError, match=r"none\.pth"):
        made.build(
            {"weights": "none.pth"},
            resolution=square(8),
            implementation="reference",
            seed=5,
        )


def test_the_seed_decides_the_weights_of_a_network() -> None:
    made = method_around("Odd", Odd)
    before = torch.get_rng_state()
    first, again, other = (
        made.build({}, resolution=square(8), implementation="reference", seed=seed).state_dict()
        for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), before)
    name = "network.twice.0.weight"
    assert torch.equal(first[name], again[name])
    assert not torch.equal(first[name], other[name])


def test_arguments_that_a_network_does_not_take_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"does not accept these settings.*chanels"):
        ranges_of(AUTOENCODER, chanels=8)


def test_before_it_is_imported_everything_is_let_through() -> None:
    spec = get_spec(BLUR)
    assert spec.foreign
    assert check_settings(spec, {"whatever": 1}) == {"whatever": 1}
    assert str(parse_variant("optimized-fp32", spec)) == "optimized-fp32"
    with pytest.raises(ConfigError, match="optimized"):
        parse_variant("optimized-fp32", resolve(spec))


def run_program(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "profiling", *arguments],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("label", "submodules"),
    [("BlurDistance", ["blur", "distance"]), ("SmallAutoencoder", ["encoder", "decoder"])],
)
def test_the_examples_run(tmp_path: Path, label: str, submodules: list[str]) -> None:
    done = run_program(
        tmp_path, "run", "--config", "examples/config.yaml", "--method", label,
        "--resolution", "64", "--device-type", "cpu", "--collector", "embedded",
        "--measured-images", "2", "--warmup-images", "1", "--no-latency", "--out", str(tmp_path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert record["status"] == "ok"
    assert record["submodules"] == submodules


def test_a_setting_that_is_wrong_ends_a_run_in_one_line(tmp_path: Path) -> None:
    done = run_program(
        tmp_path, "run", "--method", BLUR, "--set", "radius_px=0", "--resolution", "64",
        "--device-type", "cpu", "--collector", "embedded", "--out", str(tmp_path / "run"),
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("error: settings.radius_px: 0 ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("Failing", ["KeyError: 'no such thing'", "networks.py, line"]),
    ],
)
def test_an_error_in_a_network_ends_a_run_in_one_line_that_names_its_place(
    tmp_path: Path, name: str, parts: list[str]
) -> None:
    done = run_program(
        tmp_path, "run", "--method", f"tests.profiling.networks:{name}", "--resolution", "64",
        "--device-type", "cpu", "--collector", "embedded", "--out", str(tmp_path / "run"),
    )  # fmt: skip
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"error: tests.profiling.networks:{name}: ")
    assert [part for part in parts if part not in last] == []
    assert "Traceback" not in done.stderr


@pytest.mark.anomalib
@pytest.mark.skipif(not HAS_ANOMALIB, reason="anomalib is not installed (envs/anomalib.txt)")
@pytest.mark.parametrize(
    ("target", "settings"),
    [
        ("anomalib:Padim", {"backbone": "resnet18", "layers": ["layer1", "layer2"]}),
        ("anomalib:Stfpm", {}),
        ("anomalib:Patchcore", {"backbone": "resnet18", "layers": ["layer2", "layer3"]}),
        ("anomalib:EfficientAd", {}),
    ],
)
def test_models_of_anomalib(target: str, settings: dict[str, Any]) -> None:
    opened, detection = ranges_of(target, side_px=256, **settings)
    assert opened
    assert isinstance(detection.anomaly_map, torch.Tensor)
    spec = resolve(get_spec(target))
    count = count_memory(
        spec,
        check_settings(spec, settings),
        resolution=square(512),
        implementation="reference",
    )
    assert sum(part.activations_bytes for part in count.submodules) > 2**20


@pytest.mark.anomalib
@pytest.mark.skipif(not HAS_ANOMALIB, reason="anomalib is not installed (envs/anomalib.txt)")
def test_a_model_that_anomalib_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="anomalib has no model Padimm"):
        resolve(get_spec("anomalib:Padimm"))


@pytest.mark.skipif(HAS_ANOMALIB, reason="anomalib is installed")
def test_without_anomalib_the_remedy_is_named() -> None:
    with pytest.raises(ConfigError, match=r"there is no module 'anomalib'.*pip install"):
        get_spec("anomalib:Padim")


def test_who_asks_for_gradients_is_told_why_there_are_none() -> None:
    request = plain_request(
        Sampling(1, 1, 1, None), device_type="cpu", target="tests.profiling.odd_methods:Gradients",
        resolution=32, settings={}, collector="embedded",
    )  # fmt: skip
    with pytest.raises(MethodError, match=r"odd_methods.py, line .*; images run in torch's infer"):
        measure(request, NOT_COUNTED, no_range, None, lambda _draft: None)
