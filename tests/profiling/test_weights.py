from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from adscale.errors import WeightsError
from adscale.resolution import square
from profiling.methods.checkpoints import read_tensors
from profiling.methods.efficientad.method import EfficientAD
from profiling.methods.weights import (
    draw_weights,
    file_sha256,
    load_weights,
    weights_record,
)

State = dict[str, Any]


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU(), nn.Linear(3, 2, bias=False))
        self.statistics = nn.BatchNorm1d(2, affine=False)


class Unknown(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(2)


def filled() -> State:
    module = Small()
    draw_weights(module, seed=1)
    module.statistics.running_mean.fill_(4.0)
    module.statistics.num_batches_tracked.fill_(7)
    return dict(module.state_dict())


def nested(state: State) -> State:
    groups: State = {}
    for name, tensor in state.items():
        child, _, inner = name.partition(".")
        groups.setdefault(child, {})[inner] = tensor
    return groups


def saved(folder: Path, content: object) -> Path:
    file = folder / "weights.pth"
    torch.save(content, file)
    return file


def refusal(file: Path, optional: tuple[str, ...] = ()) -> str:
    module = Small()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_weights(module, file, optional=optional)
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name]), "a refused checkpoint must change nothing"
    message = str(caught.value)
    assert "\n" not in message
    assert str(file) in message
    return message


@pytest.mark.parametrize("form", [dict, nested])
def test_both_forms_of_a_checkpoint_are_loaded(
    tmp_path: Path, form: Callable[[State], State]
) -> None:
    module, state = Small(), filled()
    load_weights(module, saved(tmp_path, form(state)))
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, state[name])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_point_precisions_are_converted(tmp_path: Path, dtype: torch.dtype) -> None:
    state = {k: t.to(dtype) if t.is_floating_point() else t for k, t in filled().items()}
    module = Small()
    load_weights(module, saved(tmp_path, state))
    assert module.net[0].weight.dtype == torch.float32
    assert torch.equal(module.net[0].weight, state["net.0.weight"].float())


@pytest.mark.parametrize("form", [dict, nested])
def test_an_optional_child_may_be_absent_and_keeps_its_values(
    tmp_path: Path, form: Callable[[State], State]
) -> None:
    state = {name: t for name, t in filled().items() if not name.startswith("statistics.")}
    file = saved(tmp_path, form(state))
    module = Small()
    module.statistics.running_mean.fill_(9.0)
    load_weights(module, file, optional=("statistics",))
    assert module.statistics.running_mean.tolist() == [9.0, 9.0]
    assert torch.equal(module.net[2].weight, state["net.2.weight"])
    assert "statistics.running_mean: is missing" in refusal(file)


def test_an_optional_child_is_whole_or_absent(tmp_path: Path) -> None:
    state = filled()
    del state["statistics.running_var"]
    message = refusal(saved(tmp_path, state), optional=("statistics",))
    assert "statistics.running_var: is missing (expected shape 2)" in message


@pytest.mark.parametrize("form", [dict, nested])
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"net.2.weight": None}, "net.2.weight: is missing (expected shape 2×3)"),
        (
            {"net.9.weight": torch.zeros(4, 5)},
            "net.9.weight: is not part of the method (found shape 4×5)",
        ),
        (
            {"net.0.weight": torch.zeros(3, 2, 1, 2)},
            "net.0.weight: expected shape 3×2×1×1, found 3×2×1×2",
        ),
        ({"net.0.bias": torch.tensor(1.0)}, "net.0.bias: expected shape 3, found scalar"),
        (
            {"net.0.bias": torch.zeros(3, dtype=torch.int64)},
            "net.0.bias: expected dtype torch.float32, found torch.int64",
        ),
        (
            {"net.0.bias": torch.zeros(3, dtype=torch.complex64)},
            "net.0.bias: expected dtype torch.float32, found torch.complex64",
        ),
        (
            {"statistics.num_batches_tracked": torch.tensor(1.0)},
            "num_batches_tracked: expected dtype torch.int64, found torch.float32",
        ),
        ({"net.0.bias": torch.tensor([0, float("nan"), 0])}, "net.0.bias: holds NaN or infinity"),
        ({"net.0.bias": torch.tensor([0, 0, -float("inf")])}, "net.0.bias: holds NaN or infinity"),
        (
            {"net.0.bias": torch.tensor([1e300, 0, 0], dtype=torch.float64)},
            "net.0.bias: holds NaN or infinity",
        ),
        ({"net.0.bias": torch.zeros(3, device="meta")}, "net.0.bias: holds no plain values"),
        ({"net.0.bias": torch.zeros(3).to_sparse()}, "net.0.bias: holds no plain values"),
        ({"net.0.bias": [0.0, 0.0, 0.0]}, "net.0.bias: is of type list"),
        ({"net.epoch": 3}, "net.epoch: is of type int"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_a_checkpoint_that_does_not_fit_is_refused(
    tmp_path: Path, form: Callable[[State], State], change: State, expected: str
) -> None:
    state = {k: t for k, t in {**filled(), **change}.items() if t is not None}
    assert expected in refusal(saved(tmp_path, form(state)))


def test_the_same_tensor_in_both_forms_is_refused(tmp_path: Path) -> None:
    content = {**nested(filled()), "net.0.bias": torch.zeros(3)}
    assert "net.0.bias: is there twice" in refusal(saved(tmp_path, content))


@pytest.mark.parametrize("content", [torch.zeros(3), [1, 2], 3, "weights", None])
def test_something_else_than_a_dict_is_refused(tmp_path: Path, content: object) -> None:
    assert "not a tensor or a state_dict" in refusal(saved(tmp_path, content))


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "absent.pth")
    assert "is a folder" in refusal(tmp_path)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("evil-was-here"),))


@pytest.mark.parametrize("dump", [torch.save, lambda x, f: Path(f).write_bytes(pickle.dumps(x))])
def test_code_in_a_checkpoint_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dump: Callable[[object, Path], object]
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "evil.pth"
    dump({"net.0.weight": Evil()}, file)
    assert "holds more than plain tensors" in refusal(file)
    assert not (tmp_path / "evil-was-here").exists()


@pytest.mark.parametrize("content", [b"\x80", b"PK\x03\x04", b"not a checkpoint at all"])
def test_files_that_are_no_checkpoint_are_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(content)
    assert "damaged" in refusal(file)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_read_whole(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    file = saved(folder, filled())
    content = bytearray(file.read_bytes())
    start = data.draw(st.integers(0, len(content) - 1))
    junk = data.draw(st.binary(min_size=1, max_size=12))
    content[start : start + len(junk)] = junk
    file.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    module = Small()
    try:
        load_weights(module, file)
    except WeightsError:
        pass  # any other exception would fail the test
    else:
        assert all(torch.isfinite(tensor).all() for tensor in module.state_dict().values())


def test_sha256(tmp_path: Path) -> None:
    file = tmp_path / "big.bin"
    content = bytes(range(256)) * 9000  # more than two blocks
    file.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    assert file_sha256(file) == digest
    assert weights_record(str(file)) == {"source": str(file), "sha256": digest}
    assert weights_record(None) == {"source": "seeded random", "sha256": None}
    with pytest.raises(WeightsError, match="absent"):
        file_sha256(tmp_path / "absent")
    with pytest.raises(WeightsError, match="directory"):
        file_sha256(tmp_path)


def test_drawn_weights_have_the_variance_of_he_2015() -> None:
    module = nn.Sequential(nn.Conv2d(16, 64, 4), nn.Linear(300, 500))
    draw_weights(module, seed=0)
    for layer, fan_in in zip(module, (16 * 4 * 4, 300), strict=True):
        assert float(layer.weight.detach().var()) == pytest.approx(2 / fan_in, rel=0.03)
        assert float(layer.weight.detach().abs().max()) <= (6 / fan_in) ** 0.5
        assert 0 < float(layer.bias.detach().abs().max()) <= fan_in**-0.5


def test_a_layer_without_a_rule_is_not_left_uninitialised() -> None:
    with pytest.raises(TypeError, match=r"norm \(LayerNorm\)"):
        draw_weights(Unknown(), seed=0)


def efficientad(weights: Path) -> EfficientAD:
    settings_ = {"size": "S", "padding": False, "weights": str(weights)}
    return EfficientAD.build(settings_, resolution=square(256), implementation="reference", seed=0)


@pytest.fixture(scope="module")
def state() -> State:
    method = EfficientAD.build(
        {"size": "S"}, resolution=square(256), implementation="reference", seed=42
    )
    return dict(method.state_dict())


def test_efficientad_loads_its_checkpoint(tmp_path: Path, state: State) -> None:
    changed = {**state, "map_quantiles.ae_end": torch.tensor(0.7)}
    loaded = efficientad(saved(tmp_path, nested(changed)))
    found = loaded.state_dict()
    assert all(torch.equal(found[name], changed[name]) for name in changed)
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_efficientad_does_without_statistics(tmp_path: Path, state: State) -> None:
    networks = ("teacher", "student", "autoencoder")
    given_ = {name: t for name, t in state.items() if name.split(".")[0] in networks}
    found = efficientad(saved(tmp_path, given_)).state_dict()
    assert torch.equal(found["student.8.weight"], state["student.8.weight"])
    assert not found["teacher_statistics.mean"].any()
    assert bool((found["teacher_statistics.std"] == 1).all())


def test_efficientad_refuses_the_other_size(tmp_path: Path, state: State) -> None:
    file = saved(tmp_path, state)
    with pytest.raises(
        WeightsError, match=r"teacher\.10\.weight: is missing \(expected shape 384×512×4×4"
    ):
        EfficientAD.build(
            {"size": "M", "weights": str(file)},
            resolution=square(256),
            implementation="reference",
            seed=0,
        )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("teacher_statistics.std", torch.zeros(1, 384, 1, 1)),
        ("teacher_statistics.std", -torch.ones(1, 384, 1, 1)),
        ("map_quantiles.st_end", torch.tensor(0.0)),
        ("map_quantiles.ae_start", torch.tensor(0.5)),
    ],
)
def test_statistics_that_divide_by_zero_are_refused(
    tmp_path: Path, state: State, name: str, value: torch.Tensor
) -> None:
    file = saved(tmp_path, {**state, name: value})
    with pytest.raises(WeightsError, match=name.partition(".")[0]) as caught:
        efficientad(file)
    assert str(file) in str(caught.value)


def test_names_are_joined_by_dots(tmp_path: Path) -> None:
    content = {"a": {"0.weight": torch.ones(1)}, "b.1.bias": torch.zeros(2)}
    assert sorted(read_tensors(saved(tmp_path, content), ["a.0.weight"])) == [
        "a.0.weight",
        "b.1.bias",
    ]


def test_normalisations_are_drawn_as_after_a_training() -> None:
    module = nn.Sequential(nn.BatchNorm2d(500), nn.GroupNorm(2, 500), nn.Conv1d(500, 4, 1))
    draw_weights(module, seed=3)
    batch, group, convolution = module
    limits = {
        "0.weight": (0.5, 1), "0.bias": (-0.1, 0.1), "0.running_mean": (-0.1, 0.1),
        "0.running_var": (0.5, 1.5), "1.weight": (0.5, 1), "1.bias": (-0.1, 0.1),
        "2.weight": (-((6 / 500) ** 0.5), (6 / 500) ** 0.5),
    }  # fmt: skip
    for name, (low, high) in limits.items():
        tensor = module.state_dict()[name]
        span = high - low
        assert low <= tensor.min() <= low + 0.05 * span, name
        assert high - 0.05 * span <= tensor.max() <= high, name
    assert not torch.equal(batch.weight, group.weight)
    assert convolution.bias.abs().max() <= 500**-0.5
