"""Variants: how they are written, what is refused, and that nothing else says the batch."""

from __future__ import annotations

import pytest

from adscale.errors import ConfigError
from adscale.methods.registry import get_spec, parse_variant
from adscale.models import adapter, checked, jsonable
from adscale.request import RunRequest, Sampling
from adscale.variant import NoVariantError, Variant
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


@pytest.mark.parametrize("text", ["optimized-bf16-b8", "plain-fp32-b8"])
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
