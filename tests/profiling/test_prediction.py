"""A prediction is a count beside the device's memory, and leaves the process as it was."""

from __future__ import annotations

import gc
import random
import weakref
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch._guards import detect_fake_mode
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from adscale.digest import source_digest
from adscale.methods.registry import check_settings, get_spec
from adscale.run_record import Prediction
from profiling.annotation import RangeRecorder
from profiling.memory_limits import total_host_bytes
from profiling.methods.base import Method
from profiling.methods.loading import load_method_class
from profiling.prediction import predict

SPEC = get_spec("efficientad")
SMALL = check_settings(SPEC, {"size": "S"})


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    """Garbage collection as the other tests need it."""
    yield
    gc.unfreeze()


def predicted(resolution_px: int = 256, settings: Mapping[str, Any] = SMALL) -> Prediction | str:
    return predict(
        SPEC, settings,
        resolution_px=resolution_px, implementation="reference", device_type="cpu",
    )  # fmt: skip


def test_it_is_the_count_beside_the_memory_of_the_device() -> None:
    small, large = predicted(256), predicted(1024)
    assert isinstance(small, Prediction)
    assert isinstance(large, Prediction)
    # two maps of 128 channels of the first layers, at a quarter of the side and more
    assert large.needed_bytes > small.needed_bytes > 4 * 8_000_000
    assert large.device_memory_bytes == total_host_bytes()
    assert 0 < large.available_bytes <= large.device_memory_bytes
    assert large.incomplete is None
    assert large.counted_by == source_digest("profiling.prediction")


def test_a_checkpoint_is_not_read() -> None:
    assert isinstance(predicted(settings={**SMALL, "weights": "no/such/file.pt"}), Prediction)


def test_what_cannot_be_counted_is_a_reason_and_no_error() -> None:
    told = predicted(64)  # EfficientAD needs 256 px
    assert isinstance(told, str)
    assert "64 px" in told
    assert "\n" not in told


def states() -> list[object]:
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    return [
        random.getstate(),
        [kind, keys.tolist(), *rest],  # type: ignore[union-attr]
        torch.get_rng_state().tolist(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.backends.cudnn.allow_tf32,
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.deterministic,
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.mkldnn.enabled,
        torch.get_float32_matmul_precision(),
        torch.are_deterministic_algorithms_enabled(),
        detect_fake_mode(),
    ]


@pytest.mark.parametrize("resolution_px", [256, 64])
def test_the_state_of_the_process_is_as_before(resolution_px: int) -> None:
    before = states()
    predicted(resolution_px)
    assert states() == before


class Careless(Method):
    """A method of a user that draws from everybody's generators, and holds itself."""

    submodules = ("all",)
    made: ClassVar[weakref.ref[Careless]]

    @classmethod
    def build(cls, *_args: Any, **_more: Any) -> Careless:
        random.random()
        np.random.random()  # noqa: NPY002
        torch.manual_seed(random.randrange(10**6))
        method = cls()
        method.layer = torch.nn.Conv2d(3, 3, 1)
        method.around = [method]
        cls.made = weakref.ref(method)
        return method

    def prepare(self, image: Any) -> torch.Tensor:
        raise NotImplementedError

    def infer(self, image: torch.Tensor, annotate: Any) -> Any:
        with annotate("all"):
            torch.rand(1)
            return self.layer(image)


def test_random_numbers_and_memory_of_a_careless_method_are_as_before() -> None:
    target = "tests.profiling.test_prediction:Careless"
    from tests.profiling.test_prediction import Careless as Built  # as the run imports it

    before = states()
    gc.disable()  # what is gone must have been taken away
    try:
        told = predict(
            get_spec(target), {}, resolution_px=32, implementation="reference", device_type="cpu"
        )
    finally:
        gc.enable()
    assert isinstance(told, Prediction), told
    assert states() == before
    assert Built.made() is None


def test_nothing_of_the_count_stays() -> None:
    predicted()
    gc.unfreeze()  # what is frozen is not listed
    assert not [one for one in gc.get_objects() if issubclass(type(one), FakeTensor)]
    assert len(FakeTensorMode.cache) == 0


def test_objects_of_the_count_do_not_lengthen_garbage_collection() -> None:
    predicted()
    assert gc.get_freeze_count() > 0
    assert len(gc.get_objects()) < gc.get_freeze_count()


def test_an_inference_gives_the_same_to_the_bit_before_and_after() -> None:
    def infer() -> torch.Tensor:
        method = load_method_class(SPEC).build(
            SMALL, resolution_px=256, implementation="reference", seed=3
        )
        image = torch.linspace(-1, 1, 3 * 256 * 256).reshape(1, 3, 256, 256)
        with torch.inference_mode():
            found = method.infer(image, RangeRecorder()).anomaly_map
        assert found is not None
        return found

    before = infer()
    predicted(512)
    assert torch.equal(infer(), before)
