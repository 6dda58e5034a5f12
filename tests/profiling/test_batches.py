"""Several images at once: results of each, the memory counted and taken, and who takes them."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from adscale.config import StudyConfigError, load_config
from adscale.errors import ConfigError, MethodError
from adscale.methods.registry import check_settings, get_spec, parse_variant
from adscale.models import adapter, jsonable
from adscale.request import Sampling
from adscale.resolution import Resolution, square
from adscale.run_record import RunRecord
from examples.blur_distance import BlurDistance
from profiling.annotation import RangeRecorder, no_range
from profiling.images import ImageSet
from profiling.inference import Inference
from profiling.memory.counting import count_memory
from profiling.memory.tracing import Trace
from profiling.methods.base import Detection, Method
from profiling.methods.loading import load_method_class, resolve
from profiling.runner import measure
from profiling.study.checks import check_foreign_methods
from tests.profiling.running import NOT_COUNTED
from tests.study_requests import plain_request

BATCHES = [2, pytest.param(8, marks=pytest.mark.slow)]
"""Of batch 1 the same is in test_memory_proof."""
CASES: dict[str, tuple[int, dict[str, Any]]] = {
    "efficientad": (256, {"size": "S"}),
    "patchcore": (64, {"training_images": 20}),
    "ddad": (32, {"size": "S", "start_step": 50}),
}
EACH = [(target, one) for target in CASES for one in ("reference", "optimized")]


@cache
def built(target: str, implementation: str) -> Method:
    side_px, given = CASES[target]
    spec = get_spec(target)
    return load_method_class(spec).build(
        check_settings(spec, given), resolution=square(side_px), implementation=implementation,
        seed=0,
    )  # fmt: skip


@pytest.mark.parametrize(("target", "implementation"), EACH)
def test_each_image_of_a_batch_has_the_result_that_it_has_alone(
    target: str, implementation: str
) -> None:
    method, side_px = built(target, implementation), CASES[target][0]
    images = torch.rand(3, 3, side_px, side_px, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        together = method.infer(images, no_range)
        alone = [method.infer(image[None], no_range) for image in images]
    assert together.anomaly_map is not None
    assert together.score is not None
    assert together.anomaly_map.shape == (3, 1, side_px, side_px)
    assert together.score.shape == (3,)
    for image, one in enumerate(alone):
        assert one.anomaly_map is not None
        assert one.score is not None
        largest = float(one.anomaly_map.abs().max())
        difference = (together.anomaly_map[image] - one.anomaly_map[0]).abs().max()
        assert float(difference) <= 1e-5 * max(largest, 1.0)
        assert float(together.score[image]) == pytest.approx(float(one.score), rel=1e-5, abs=1e-5)
    # the images are different ones, so that results mixed up would not have passed
    assert float((alone[0].anomaly_map - alone[1].anomaly_map).abs().max()) > 1e-4  # type: ignore[operator]


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize(("target", "implementation"), EACH)
def test_a_real_batch_has_the_peak_that_was_counted(
    target: str, implementation: str, batch: int
) -> None:
    spec, (side_px, given) = get_spec(target), CASES[target]
    settings, method = check_settings(spec, given), built(target, implementation)
    counted = count_memory(
        spec, settings, resolution=square(side_px), implementation=implementation, batch=batch
    )
    trace = Trace(method, spec.submodules, "cpu")
    images = torch.rand(batch, 3, side_px, side_px)
    with torch.no_grad():
        trace.follow(images)
    assert counted.image_bytes == images.nbytes
    for expected, real in zip(counted.submodules, trace.submodules(), strict=True):
        assert real.peak.bytes == pytest.approx(expected.peak.bytes, rel=0.01)
        assert real.peak.kept_bytes == pytest.approx(expected.peak.kept_bytes, rel=0.01)
        assert real.flops == expected.flops
        assert real.libraries == expected.libraries
        for figure in ("parameters_bytes", "buffers_bytes", "activations_bytes", "layers"):
            assert getattr(real, figure) == getattr(expected, figure)


class OneAtATime(BlurDistance):
    """Says nothing of batches that it takes."""

    takes_batches = False


class FirstOnly(BlurDistance):
    """Says that it takes batches, and looks at the first image."""

    def infer(self, image: torch.Tensor, annotate: Any) -> Detection:
        return super().infer(image[:1], annotate)


class WithoutBatchAxis(BlurDistance):
    """Prepares an image as only batch 1 gets along with."""

    def prepare(self, image: Any) -> torch.Tensor:
        return super().prepare(image)[0]


class WithoutDetection(BlurDistance):
    """Returns what a network would."""

    def infer(self, image: torch.Tensor, annotate: Any) -> Any:
        return super().infer(image, annotate).anomaly_map


def measured(
    target: str, variant: str = "reference-fp32-b3", **changes: Any
) -> tuple[RunRecord, list[str]]:
    """A run of two warm-up batches and four measured ones, and the names of its ranges."""
    given = {
        "device_type": "cpu", "target": target, "variant": variant, "resolution": 32,
        "settings": {}, "threads": torch.get_num_threads(), "collector": "embedded", **changes,
    }  # fmt: skip
    request, recorder = plain_request(Sampling(2, 4, 1, None), **given), RangeRecorder()
    record = measure(request, NOT_COUNTED, recorder, None, lambda _draft: None)
    return record, [one.name for one in recorder.ranges]


BLUR = "examples.blur_distance:BlurDistance"


def test_a_run_has_one_range_for_each_batch_and_its_record_says_how_many_images_that_is() -> None:
    record, names = measured(BLUR)
    counts = Counter(names)
    per_batch = ("load", "prepare", "image", "blur", "distance")
    assert {name: counts[name] for name in per_batch} == dict.fromkeys(per_batch, 6)
    assert record.images.per_range == 3
    assert (record.sampling.warmup_images, record.sampling.measured_images) == (2, 4)
    latency = measured(BLUR, collector="none")[0].latency
    assert latency is not None
    assert len(latency.image_ms) == len(latency.end_to_end_ms) == 4


def test_a_record_without_batches_is_one_of_before_and_none_contradicts_its_variant() -> None:
    record, _ = measured(BLUR, "reference-fp32")
    written = jsonable(record)
    assert written["images"].pop("per_range") == 1
    assert adapter(RunRecord).validate_python(written) == record
    written["request"]["variant"] = "reference-fp32-b3"
    with pytest.raises(ValueError, match="1 images per range, variant reference-fp32-b3"):
        adapter(RunRecord).validate_python(written)


def test_a_batch_goes_on_with_the_images_behind_the_one_before() -> None:
    asked: list[int] = []

    class Noting(BlurDistance):
        def prepare(self, image: Any) -> torch.Tensor:
            asked.append(sizes.index(image.tobytes()))
            return super().prepare(image)

    images = ImageSet.photographs()
    sizes = [images[index].tobytes() for index in range(len(images))]
    inference = Inference(Noting(square(32), 3), images, "cpu", batch=5)
    for index in range(3):
        inference.run(index, no_range)
    assert asked == [*range(12), 0, 1, 2]  # there are twelve
    assert inference.unit == "batches of 5 images"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("FirstOnly", r"FirstOnly: infer returns shape \(1, 1, 32, 32\) for 3 images"),
        ("WithoutDetection", "WithoutDetection: infer returns a Tensor, and not a Detection"),
        ("WithoutBatchAxis", r"WithoutBatchAxis: prepare returns shape \(3, 32, 32\) for an image"),
    ],
)
def test_a_method_that_returns_something_else_is_no_measurement(name: str, words: str) -> None:
    with pytest.raises(MethodError, match=words):
        measured(f"{__name__}:{name}")


def test_a_class_that_takes_one_image_at_a_time_is_refused_before_any_job(tmp_path: Path) -> None:
    target = f"{__name__}:OneAtATime"
    with pytest.raises(ConfigError, match=r"one image at a time.*write reference-fp32, or"):
        parse_variant("reference-fp32-b4", resolve(get_spec(target)), where="--variant")
    entry = {"target": target, "variants": ["reference-fp32-b4"]}
    study = load_config({"preset": "smoke", "methods": {"Mine": entry}})
    with pytest.raises(StudyConfigError, match=r"methods.Mine.variants: .*one image at a time"):
        check_foreign_methods(study, tmp_path)
    with pytest.raises(ConfigError, match="one image at a time"):
        measured(target)


def test_memory_of_a_network_is_counted_with_its_batch() -> None:
    spec = resolve(get_spec("examples.small_autoencoder:SmallAutoencoder"))
    one, four = (
        count_memory(
            spec, check_settings(spec, {}), resolution=Resolution(64, 32),
            implementation="reference", batch=batch,
        )
        for batch in (1, 4)
    )  # fmt: skip
    assert four.image_bytes == 4 * one.image_bytes == 4 * 3 * 64 * 32 * 4
    for single, batched in zip(one.submodules, four.submodules, strict=True):
        assert batched.activations_bytes == 4 * single.activations_bytes
        assert batched.peak.bytes == 4 * single.peak.bytes
        assert batched.flops == 4 * single.flops
        assert batched.parameters_bytes == single.parameters_bytes
