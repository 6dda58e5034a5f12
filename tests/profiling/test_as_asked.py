"""Whether a run is what was asked for: switches of torch, and the size and type it computes in."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from adscale.errors import ConfigError
from adscale.first_convolution import FirstConvolution
from adscale.methods.registry import get_spec
from adscale.request import Execution, RunRequest, Sampling
from adscale.resolution import square
from adscale.run_record import RunRecord
from adscale.variant import Variant
from analysis.profiles.record import Run
from analysis.profiles.study_runs import altered_words
from profiling.annotation import RangeRecorder, no_range
from profiling.first_convolution import FirstConvolutionWatch
from profiling.images import ImageSet
from profiling.inference import Inference
from profiling.memory.counting import count_memory
from profiling.methods.foreign import method_around
from profiling.methods.loading import load_method_class, resolve
from profiling.runner import measure
from profiling.switches import asked_switches, found_switches, set_switches
from tests.profiling import odd_networks
from tests.profiling.running import NOT_COUNTED
from tests.study_requests import plain_request

SIDE_PX = 64
NEEDS_NEW_SWITCH = pytest.mark.skipif(
    not hasattr(torch.backends, "fp32_precision"), reason="this torch has the older switches only"
)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Sets back what a run sets for its whole process."""
    threads = torch.get_num_threads()
    yield
    asked = plain_request(Sampling(1, 1, 1, None), device_type="cpu", threads=threads)
    set_switches(asked)


def asked_run(name: str, **changes: Any) -> RunRequest:
    usual = {
        "device_type": "cpu", "target": f"tests.profiling.odd_networks:{name}", "threads": 2,
        "settings": {"weights": None}, "resolution": SIDE_PX, "collector": "none",
    }  # fmt: skip
    sampling = Sampling(warmup_images=1, measured_images=1, min_images=1, time_budget_s=None)
    return plain_request(sampling, **{**usual, **changes})


def measured(name: str, **changes: Any) -> RunRecord:
    return measure(asked_run(name, **changes), NOT_COUNTED, no_range, None, lambda _draft: None)


def verdict_words(record: RunRecord) -> str | None:
    return altered_words(Run(Path("latency.json"), record))


@pytest.mark.parametrize(
    "name", ["SwitchingFirst", pytest.param("NewSwitch", marks=NEEDS_NEW_SWITCH)]
)
def test_what_a_network_sets_when_it_is_built_is_set_back(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    record = measured(name)
    assert record.status == "ok"
    assert (record.flags.tf32_matmul, record.flags.tf32_cudnn) == (False, False)
    assert (record.flags.cpu_precision, record.flags.cudnn_benchmark) == ("ieee", False)
    assert record.hardware.threads == 2
    assert record.changed_switches == ()
    assert verdict_words(record) is None
    if name == "SwitchingFirst":
        assert "tf32_matmul was to be off and is on" in caplog.text
        assert "set back" in caplog.text


def test_what_a_network_sets_in_every_inference_is_told(caplog: pytest.LogCaptureFixture) -> None:
    record = measured("SwitchingLater")
    found = verdict_words(record)
    assert found is not None
    for words in (
        "tf32_matmul was to be off and is on", "tf32_cudnn was to be off and is on",
        "cudnn_benchmark was to be off and is on", "cpu_precision was to be ieee and is bf16",
        "deterministic_algorithms was to be off and is on", "threads was to be 2 and is 1",
        "gradients was to be off and is on", "autocast was to be off and is on",
        "default_dtype was to be float32 and is float64",
    ):  # fmt: skip
        assert words in found
        assert words in caplog.text
    assert record.hardware.threads == 1
    assert record.flags.gradients


def test_a_run_as_asked_has_its_switches(caplog: pytest.LogCaptureFixture) -> None:
    record = measured("Plain", execution=Execution(cudnn_benchmark=True, deterministic=True))
    assert record.flags.cudnn_benchmark
    assert record.flags.deterministic_algorithms
    assert record.changed_switches == ()
    assert not caplog.text


@NEEDS_NEW_SWITCH
@pytest.mark.parametrize("variant", ["reference-fp32", "reference-tf32"])
@pytest.mark.parametrize("before", ["none", "tf32", "bf16"])
def test_older_and_newer_switches_agree_whatever_was_set_before(variant: str, before: str) -> None:
    request = plain_request(Sampling(1, 1, 1, None), variant=variant, threads=2)
    torch.backends.fp32_precision = before  # type: ignore[attr-defined]
    set_switches(request)
    found = {**found_switches(), "gradients": False}
    assert found == asked_switches(request)
    # torch raises an error where they contradict each other
    assert torch.backends.cudnn.allow_tf32 is found["tf32_cudnn"] is variant.endswith("tf32")
    assert torch.backends.cuda.matmul.allow_tf32 is False
    with torch.backends.cudnn.flags(enabled=False):  # reads the older ones
        pass
    torch.backends.cudnn.conv.fp32_precision = "tf32"  # type: ignore[attr-defined]
    assert found_switches()["tf32_cudnn"]


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("Plain", (1, 3, 64, 64), None),
        ("Resizing", (1, 3, 32, 32), "32 x 32 px, not 64 x 64 px (behind _upsample_bilinear2d_aa"),
        ("Cropping", (1, 3, 32, 32), "32 x 32 px, not 64 x 64 px"),
        ("Padding", (1, 3, 68, 68), None),
        ("Tiling", (4, 3, 32, 32), None),
        ("Pooling", (1, 3, 16, 16), None),
        ("OwnType", (1, 3, 64, 64), "computes in bfloat16, not float32"),
        ("Autocasting", (1, 3, 64, 64), "computes in bfloat16, not float32"),
        ("traced", (1, 3, 32, 32), "32 x 32 px, not 64 x 64 px"),
        ("exported", (1, 3, 32, 32), "32 x 32 px, not 64 x 64 px"),
        ("compiled", (1, 3, 32, 32), "32 x 32 px, not 64 x 64 px"),
    ],
)
def test_what_the_first_convolution_is_given(
    name: str, shape: tuple[int, ...], words: str | None
) -> None:
    request = asked_run(name)
    spec = get_spec(request.target)
    method = load_method_class(spec).build(
        request.settings, resolution=square(SIDE_PX), implementation="reference", seed=0
    )
    watch = FirstConvolutionWatch(no_range)
    with torch.inference_mode():
        Inference(method, ImageSet.open(None), "cpu").run(0, watch)
    assert watch.found is not None
    assert watch.found.shape == shape
    said = watch.found.sentence(square(SIDE_PX), Variant.of("reference-fp32"))
    assert (said is None) if words is None else (said is not None and words in said)


def test_a_network_that_resizes_is_told(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    record = measured("Resizing")
    assert record.first_convolution is not None
    assert record.first_convolution.shape == (1, 3, 32, 32)
    assert "32 x 32 px, not 64 x 64 px" in str(verdict_words(record))
    assert "32 x 32 px, not 64 x 64 px" in caplog.text
    assert "Execution Trace Observer" not in capfd.readouterr().err


def test_children_of_the_names_of_our_ranges_are_told_apart() -> None:
    """In the ranges of a run, in its record, and in the count."""
    recorder = RangeRecorder()
    record = measure(
        asked_run("OurNames", collector="embedded"), NOT_COUNTED, recorder, None, lambda _: None
    )
    expected = ("network.image", "network.method", "network.load", "_neck", "head")
    assert record.submodules == expected
    calls = Counter(one.name for one in recorder.ranges)
    assert (calls["image"], calls["load"], calls["method"]) == (2, 2, 0)
    assert [calls[name] for name in expected] == [2, 2, 4, 2, 2]
    assert record.first_convolution is not None
    spec = resolve(get_spec("tests.profiling.odd_networks:OurNames"))
    count = count_memory(spec, {"weights": None}, resolution=square(8), implementation="reference")
    assert tuple(part.submodule for part in count.submodules) == expected


@pytest.mark.parametrize(("collector", "images"), [("embedded", 2), ("none", 3)])
def test_the_profiled_pass_measures_its_share_of_the_images(collector: str, images: int) -> None:
    sampling = Sampling(2, 3, 1, None, profiled_share=0.5)
    request = dataclasses.replace(
        asked_run("NoConvolution", collector=collector), sampling=sampling
    )
    record = measure(request, NOT_COUNTED, no_range, None, lambda _draft: None)
    assert record.sampling.warmup_images == 2
    assert record.sampling.measured_images == images


def test_the_whole_image_is_timed_beside_a_child_of_that_name() -> None:
    """Where the stop rule and the watch for the first convolution look at names."""
    request = asked_run("OurNames", collector="embedded")
    sampling = dataclasses.replace(request.sampling, target_precision=0.5, measured_images=2)
    sampling = dataclasses.replace(sampling, min_images=2)
    request = dataclasses.replace(request, sampling=sampling)
    assert measure(request, NOT_COUNTED, RangeRecorder(), None, lambda _: None).status == "ok"


def test_a_range_that_a_method_calls_image_itself_does_not_end_the_process() -> None:
    watch = FirstConvolutionWatch(no_range)
    with watch("image"), watch("image"):
        torch.nn.functional.conv2d(torch.ones(1, 3, 8, 8), torch.ones(1, 3, 1, 1))
    assert watch.found is not None


def test_a_method_that_names_a_submodule_as_we_name_a_range_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = get_spec("examples.blur_distance:BlurDistance")
    monkeypatch.setattr(load_method_class(spec), "submodules", ("image", "distance"))
    with pytest.raises(ConfigError, match=r"calls a submodule 'image'.*call it otherwise"):
        resolve(spec)


@pytest.mark.parametrize(
    ("inside", "dtype"),
    [
        ("as it is", "float32"),
        ("own type", "float16"),
        ("autocast", "bfloat16"),
        ("recurrent", "bfloat16"),
        ("distances", "bfloat16"),
        ("quantized", "qint8"),
        ("stored", "float32"),  # halves that are converted before they are multiplied
        ("nothing", None),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_without_a_convolution_the_type_of_products_is_told(inside: str, dtype: str | None) -> None:
    network, image = odd_networks.NoConvolution(inside).eval(), torch.rand(1, 3, 8, 8)
    watch = FirstConvolutionWatch(no_range)
    with torch.inference_mode(), watch("image"):
        network(image)
    if dtype is None:
        assert watch.found is None
        return
    assert watch.found == FirstConvolution(None, dtype, ())
    words = None if dtype == "float32" else f"the network computes in {dtype}, not float32"
    assert watch.found.sentence(square(8), Variant.of("reference-fp32")) == words


def test_a_run_without_a_convolution_that_computes_in_16_bits_is_told() -> None:
    record = measured("NoConvolution", settings={"weights": None, "inside": "autocast"})
    assert verdict_words(record) == "the network computes in bfloat16, not float32"
    assert verdict_words(measured("NoConvolution")) is None


@pytest.mark.parametrize(
    ("shape", "variant", "other_size", "other_type"),
    [
        ((1, 12, 32, 32), "reference-fp32", False, False),  # pixels become channels
        ((1, 1, 64, 64), "reference-tf32", False, False),  # gray
        ((1, 3, 128, 128), "reference-fp32", True, False),
        ((2, 3, 64, 64), "reference-fp32", False, False),  # two views
        ((8, 3, 64, 64), "reference-fp32-b8", False, False),
        ((8, 12, 32, 32), "reference-fp32-b8", False, False),
        ((8, 3, 32, 32), "reference-fp32-b8", True, False),
        ((8, 3, 128, 128), "reference-fp32-b8", True, False),
    ],
)
def test_what_counts_as_another_size(
    shape: tuple[int, int, int, int], variant: str, other_size: bool, other_type: bool
) -> None:
    found = FirstConvolution(shape, "float32", ())
    assert found.is_of_another_size(square(SIDE_PX), Variant.of(variant)) is other_size
    assert found.is_of_another_type(Variant.of(variant)) is other_type


class Untrainable(nn.Module):
    """Refuses to leave the training mode."""

    def eval(self) -> Untrainable:
        raise NotImplementedError("this network is always trained")


def test_an_exported_program_within_a_network_leaves_nothing_in_training_mode() -> None:
    whole = nn.Sequential(odd_networks.exported(), nn.Dropout())
    method_around("Whole", lambda: whole).build(
        {}, resolution=square(64), implementation="reference", seed=0
    )
    assert not whole[1].training
    assert not whole.training


def test_a_network_that_stays_in_training_mode_is_refused() -> None:
    method = method_around("Untrainable", Untrainable)
    with pytest.raises(NotImplementedError, match="always trained"):
        method.build({}, resolution=square(64), implementation="reference", seed=0)
