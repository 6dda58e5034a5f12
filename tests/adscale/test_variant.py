"""Variants: how they are written, what is refused, and that nothing else says the batch."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adscale.engines import DeviceType, device_problem
from adscale.errors import ConfigError
from adscale.methods.registry import get_spec, parse_variant
from adscale.models import adapter, checked, jsonable
from adscale.request import RunRequest, Sampling
from adscale.variant import ENGINES, PRECISIONS, NoVariantError, Variant
from tests.study_requests import plain_request

PLAIN = plain_request(Sampling(1, 1, 1, None))


@pytest.mark.parametrize(
    ("text", "implementation", "precision", "batch"),
    [
        ("reference-fp32", "reference", "fp32", 1),
        ("optimized-tf32-b2", "optimized", "tf32", 2),
        ("optimized-fp32-b8", "optimized", "fp32", 8),
        ("mine_2-fp32-b9999", "mine_2", "fp32", 9999),
    ],
)
def test_a_variant_is_read_and_written_in_one_spelling(
    text: str, implementation: str, precision: str, batch: int
) -> None:
    assert Variant.of(text) == Variant(implementation, precision, batch)
    assert str(Variant.of(text)) == text


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("optimized-fp32-b1", "leave it out: optimized-fp32"),
        ("optimized-fp32-b0", "leave it out: optimized-fp32"),
        ("optimized-fp32-b08", "write optimized-fp32-b8"),
        ("optimized-b8-fp32", "write optimized-fp32-b8"),
        ("b8-fp32-optimized", "write optimized-fp32-b8"),
        ("Optimized-FP32-B8", "write optimized-fp32-b8"),
        ("optimized-fp32-batch8", "write optimized-fp32-b8"),
        ("optimized fp32 batch=8", "write optimized-fp32-b8"),
        ("optimized_fp32_b8", "write optimized-fp32-b8"),
        ("optimized-fp32_b8", "write optimized-fp32-b8"),
        ("optimized-b8", "write optimized-fp32-b8"),
        ("optimized-fp32-b10000", "choose a smaller one"),
        ("optimized-fp32-b8-b8", "expected: implementation-precision"),
        ("optimized-fp32-b-8-", "write optimized-fp32-b8"),
        ("optimized-fp32-b٨", "expected: implementation-precision"),
        ("optimized-fp32\n", "write optimized-fp32"),
        ("", "expected: implementation-precision"),
    ],
)
def test_any_other_spelling_is_refused_with_the_nearest_that_works(text: str, meant: str) -> None:
    with pytest.raises(NoVariantError) as refused:
        Variant.of(text)
    assert refused.value.remedy.startswith(meant)
    is_near = meant.startswith(("write", "leave"))
    expected = meant if is_near else "allowed: reference-fp32, reference-tf32, optimized-fp32"
    with pytest.raises(ConfigError, match=expected) as told:
        parse_variant(text, get_spec("patchcore"), where="variants")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("text", ["optimized-fp32-b4x", "optimized-fp32-b4.5", "optimized-b10000"])
def test_who_asks_for_a_batch_is_not_advised_to_do_without(text: str) -> None:
    with pytest.raises(ConfigError, match="each with -b<N> for batches of N images") as told:
        parse_variant(text, get_spec("patchcore"))
    assert "did you mean" not in str(told.value)


@pytest.mark.parametrize("text", ["plain-fp32-b8", "plain-bf16-openvino"])
def test_a_method_without_such_a_variant_says_which_it_has(text: str) -> None:
    with pytest.raises(ConfigError, match=r"patchcore has no variant .*allowed: reference-fp32"):
        parse_variant(text, get_spec("patchcore"))


def test_a_request_keeps_the_variant_as_text_and_has_no_second_batch() -> None:
    request = checked(RunRequest, {**jsonable(PLAIN), "variant": "optimized-fp32-b8"})
    assert request.variant.batch == 8
    written = jsonable(request)
    assert written["variant"] == "optimized-fp32-b8"
    assert "batch" not in written
    assert RunRequest.from_json(request.as_json()) == request
    with pytest.raises(ConfigError, match="leave it out: optimized-fp32"):
        checked(RunRequest, {**written, "variant": "optimized-fp32-b1"})
    with pytest.raises(ConfigError, match="variant: 8 cannot be used"):
        checked(RunRequest, {**written, "variant": 8})


def test_optimized_is_compared_with_the_reference_of_its_batch_else_of_one_image() -> None:
    names = [str(one) for one in Variant.of("optimized-fp32-b8").references]
    assert names == ["reference-fp32-b8", "reference-fp32"]
    assert [str(one) for one in Variant.of("optimized-tf32").references] == ["reference-tf32"]
    assert Variant.of("reference-fp32-b8").references == ()
    assert adapter(Variant).validate_python("reference-fp32").way == "fp32"


@given(
    st.sampled_from(("reference", "optimized", "mine_2")),
    st.sampled_from(PRECISIONS),
    st.sampled_from(ENGINES),
    st.booleans(),
    st.sampled_from((1, 2, 8, 9999)),
    st.sampled_from((0, 1, 50, 99)),
)
def test_what_is_written_is_read_again_and_in_any_other_order_refused(
    implementation: str, precision: str, engine: str, layout: bool, batch: int, pruned: int
) -> None:
    variant = Variant(implementation, precision, batch, engine, layout, pruned)
    text = str(variant)
    assert Variant.of(text) == variant
    assert jsonschema_accepts(text)
    words = text.split("-")
    assert words[:2] == [implementation, precision]
    assert len(words) == 2 + (engine != "eager") + layout + (batch > 1) + (pruned > 0)
    turned = "-".join([*reversed(words)])
    with pytest.raises(NoVariantError) as refused:
        Variant.of(turned)
    assert refused.value.meant == (variant if implementation != "mine_2" else None)
    assert not jsonschema_accepts(turned)


def jsonschema_accepts(text: str) -> bool:
    schema = adapter(Variant).json_schema()
    return bool(re.search(schema["pattern"], text))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("optimized-bf16-b8-openvino", "write optimized-bf16-openvino-b8"),
        ("optimized-openvino-bf16", "write optimized-bf16-openvino"),
        ("optimized-fp32-eager", "write optimized-fp32"),
        ("Optimized-BFloat16-OpenVINO", "write optimized-bf16-openvino"),
        ("optimized-half", "write optimized-fp16"),
        ("optimized-ort", "write optimized-fp32-onnxruntime"),
        ("optimized-fp32-NHWC", "write optimized-fp32-channels_last"),
        ("optimized-fp32-channels-last-b4", "write optimized-fp32-channels_last-b4"),
        ("optimized-fp32-pruned50-b4", "write optimized-fp32-b4-pruned50"),
        ("optimized-fp32-pruned-50 %", "write optimized-fp32-pruned50"),
        ("optimized-fp32-pruned05", "write optimized-fp32-pruned5"),
        ("optimized-fp32-pruned0", "leave it out: optimized-fp32"),
        ("optimized-fp32-pruned100", "choose a share of 1 to 99"),
        ("optimized-fp32-compile-openvino", "expected: implementation-precision"),
        ("optimized-fp32-bf16", "expected: implementation-precision"),
        ("optimized-fp64", "expected: implementation-precision"),
        ("optimized-fp32-fast", "expected: implementation-precision"),
        ("optimized-fp32-pruned1.5", "expected: implementation-precision"),
    ],
)
def test_other_spellings_of_engines_and_options(text: str, meant: str) -> None:
    with pytest.raises(NoVariantError) as refused:
        Variant.of(text)
    assert refused.value.remedy.startswith(meant)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "device_type", "says"),
    [
        ("reference-tf32", "cpu", "TF32 is a format of NVIDIA GPUs; use fp32"),
        ("reference-int8", "cpu", "quantised.*: onnxruntime, openvino"),
        ("optimized-bf16-onnxruntime", "cpu", "no convolution in bf16.*: eager, compile, openvino"),
        ("optimized-fp16-openvino", "cpu", "computes bf16 where fp16.*: eager, compile$"),
        ("optimized-fp16-onnxruntime", "cpu", "fp16 network in fp32.*: eager, compile$"),
        (
            "optimized-fp32-openvino",
            "cuda",
            "no plugin for NVIDIA GPUs.*: eager, compile, cudagraph, onnxruntime, tensorrt$",
        ),
        ("optimized-fp32-onnxruntime-channels_last", "cpu", "chooses by itself; leave channels"),
        ("optimized-tf32-compile", "cpu", "TF32"),
        ("optimized-fp32-cudagraph", "cpu", "NVIDIA GPUs.*: eager, compile, onnxruntime, openvino"),
        (
            "optimized-fp32-tensorrt",
            "cpu",
            "for NVIDIA GPUs.*: eager, compile, onnxruntime, openvino",
        ),
        ("optimized-bf16-onnxruntime", "cuda", "fp32 and fp16 only.*: .*tensorrt$"),
        ("optimized-int8-cudagraph", "cuda", "has to be quantised.*: tensorrt$"),
        ("optimized-int8-onnxruntime", "cuda", "on CPUs here.*: tensorrt$"),
        ("optimized-fp16-tensorrt-channels_last", "cuda", "chooses by itself; leave channels"),
    ],
)
def test_what_cannot_be_computed_is_refused_with_what_would_work(
    text: str, device_type: DeviceType, says: str
) -> None:
    problem = device_problem(Variant.of(text), device_type)
    assert problem is not None
    assert re.search(says, "; ".join(problem)), problem


@pytest.mark.parametrize(
    "text", ["reference-int8", "optimized-bf16-onnxruntime", "optimized-int8-compile-pruned50"]
)
def test_what_no_device_computes_is_refused_before_any_job(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^variants: "):
        parse_variant(text, get_spec("ddad"), where="variants")


def test_what_works_on_some_device_is_a_variant_of_our_methods() -> None:
    known = [
        "reference-bf16", "optimized-fp16-channels_last", "optimized-tf32-compile-b2",
        "optimized-fp16-cudagraph", "optimized-int8-tensorrt",
        "optimized-fp16-onnxruntime-pruned30",
        "optimized-fp32-pruned50",
    ]  # fmt: skip
    for text in known:
        assert str(parse_variant(text, get_spec("patchcore"))) == text
        assert device_problem(Variant.of(text), "cuda") is None


def test_other_ways_are_compared_with_the_reference_in_fp32() -> None:
    names = [str(one) for one in Variant.of("optimized-bf16-openvino-b8").references]
    assert names == ["reference-fp32-b8", "reference-fp32"]
    assert [str(one) for one in Variant.of("reference-bf16").references] == ["reference-fp32"]
    assert Variant.of("mine-bf16").references == ()
    compared = ("optimized-bf16-b2", "reference-bf16-compile", "reference-fp32", "optimized-fp32")
    assert [Variant.of(text).comparison for text in compared] == [
        "bf16-b2", "reference-bf16-compile", "fp32", "fp32",
    ]  # fmt: skip
