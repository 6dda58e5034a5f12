from __future__ import annotations

import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field
from pydantic.dataclasses import dataclass

from adscale.errors import ConfigError, UnsupportedResolutionError
from adscale.methods.registry import (
    all_specs,
    check_implementation,
    check_resolution,
    check_settings,
    get_spec,
    parse_variant,
)
from adscale.methods.spec import MethodSpec, ResolutionProblem
from adscale.models import CLOSED, json_schema
from adscale.resolution import square
from adscale.variant import Variant
from profiling.cli.study import find_method
from profiling.methods.base import Method
from profiling.methods.loading import load_method_class, resolve

EFFICIENTAD = get_spec("efficientad")


@dataclass(frozen=True, config=CLOSED)
class Sizes:
    sizes: list[int] = Field(default=[1], description="Some.")


EVEN = MethodSpec(
    target="even",
    summary="runs at even sides",
    factory="nowhere:Nothing",
    submodules=("all",),
    implementations=("reference", "optimized"),
    precisions=("fp32", "fp16"),
    settings=Sizes,
    resolution_problem=lambda _settings, asked: (
        ResolutionProblem("it is odd", (square(asked.width_px - 1), square(asked.width_px + 1)))
        if asked.width_px % 2
        else None
    ),
    supported_resolutions="even",
)


def test_efficientad_is_registered() -> None:
    assert EFFICIENTAD in all_specs()
    assert EFFICIENTAD.submodules == ("teacher", "student", "autoencoder", "anomaly_map")
    assert EFFICIENTAD.implementations == ("reference", "optimized")
    assert EFFICIENTAD.precisions == ("fp32", "tf32")


@pytest.mark.parametrize("spec", all_specs(), ids=lambda spec: spec.target)
def test_every_spec_keeps_the_contract(spec: MethodSpec) -> None:
    assert get_spec(spec.target) is spec
    method_class = load_method_class(spec)
    assert issubclass(method_class, Method)
    assert method_class.submodules == spec.submodules
    assert resolve(spec) is spec
    schema = json_schema(spec.settings)
    assert schema["additionalProperties"] is False
    for name, part in schema["properties"].items():
        assert part["description"], name
    assert check_settings(spec, {}) == {
        name: part["default"] for name, part in schema["properties"].items()
    }
    assert spec.resolution_problem(check_settings(spec, {}), square(1024)) is None


def test_planning_needs_no_torch(
    checkout_environment: dict[str, str],
) -> None:
    code = (
        "import sys\n"
        "from adscale.methods import registry\n"
        "spec = registry.all_specs()[0]\n"
        "registry.check_settings(spec, {}); registry.parse_variant('reference-fp32', spec)\n"
        "heavy = {'torch', 'numpy', 'pandas', 'PIL'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=checkout_environment
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("target", ["effcientad", "EfficientAD", "efficient_ad"])
def test_an_unknown_target_gets_the_nearest(target: str) -> None:
    with pytest.raises(ConfigError) as caught:
        get_spec(target, where="methods.Mine.target")
    message = str(caught.value)
    assert message.startswith(f"methods.Mine.target: there is no method {target!r}")
    assert message.endswith("did you mean efficientad?")


@pytest.mark.parametrize(
    ("asked", "label", "target"),
    [
        ("efficientad-s", "EfficientAD-S", "efficientad"),
        ("MINE", "mine", "ddad"),
        ("PATCHCORE", "patchcore", "patchcore"),
        ("ddad", "DDAD", "patchcore"),
    ],
)
def test_the_command_line_finds_labels_before_targets_whatever_their_case(
    tmp_path: Path, asked: str, label: str, target: str
) -> None:
    config = tmp_path / "config.yaml"
    methods = {
        "EfficientAD-S": {"target": "efficientad"},
        "mine": {"target": "ddad"},
        "DDAD": {"target": "patchcore"},
    }
    config.write_text(yaml.safe_dump({"device": {"name": "local"}, "methods": methods}))
    found, spec, _ = find_method(Namespace(method=asked, set=[], config=config))
    assert (found, spec.target) == (label, target)


def test_the_command_line_lists_labels_and_targets_for_an_unknown_word(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("device: {name: local}\nmethods: {Mine: {target: ddad}}\n")
    with pytest.raises(ConfigError) as caught:
        find_method(Namespace(method="yours", set=[], config=config))
    assert "allowed: ddad, efficientad, patchcore, Mine" in str(caught.value)


def test_nothing_is_suggested_where_nothing_is_near() -> None:
    with pytest.raises(ConfigError) as caught:
        get_spec("zzz")
    assert "did you mean" not in str(caught.value)
    assert "allowed: " in str(caught.value)


def test_defaults_are_filled_in() -> None:
    assert check_settings(EFFICIENTAD, {}) == {
        "size": "M",
        "autoencoder": "adaptive",
        "padding": False,
        "weights": None,
    }
    given_ = {"weights": "a.pth", "size": "S"}
    assert check_settings(EFFICIENTAD, given_) == {
        "size": "S",
        "autoencoder": "adaptive",
        "padding": False,
        "weights": "a.pth",
    }


def test_a_default_is_not_shared() -> None:
    check_settings(EVEN, {})["sizes"].append(2)
    assert check_settings(EVEN, {}) == {"sizes": [1]}


@pytest.mark.parametrize(
    ("given_", "parts"),
    [
        ({"sise": "S"}, ["methods.Mine.sise", "padding, size, weights", "did you mean size?"]),
        ({"size": "L"}, ["methods.Mine.size", "'L'", "S, M"]),
        ({"size": "s"}, ["methods.Mine.size", "'s'", "S, M", "did you mean S?"]),
        ({"padding": "yes"}, ["methods.Mine.padding", "'yes'", "boolean"]),
        ({"padding": 1}, ["methods.Mine.padding", "1", "boolean"]),
        ({"weights": 3}, ["methods.Mine.weights", "3", "string or null"]),
        ({"weights": ""}, ["methods.Mine.weights"]),
    ],
    ids=str,
)
def test_a_wrong_setting_ends_in_one_line(given_: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        check_settings(EFFICIENTAD, given_, where="methods.Mine")
    message = str(caught.value)
    assert "\n" not in message
    assert [part for part in parts if part not in message] == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@settings(deadline=None)  # models are built when they are first used
@given(
    given_=st.dictionaries(
        st.sampled_from(["size", "padding", "weights"]) | st.text(max_size=8),
        st.sampled_from(["S", "M", True, None]) | json_values,
    )
)
def test_settings_are_complete_and_valid_or_refused(given_: dict[str, Any]) -> None:
    """Held against another implementation of JSON schemas, which comes with Snakemake."""
    jsonschema = pytest.importorskip("jsonschema")
    try:
        found = check_settings(EFFICIENTAD, given_)
    except ConfigError:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(given_, json_schema(EFFICIENTAD.settings))
    else:
        jsonschema.validate(given_, json_schema(EFFICIENTAD.settings))
        assert list(found) == ["size", "autoencoder", "padding", "weights"]
        assert {key: found[key] for key in given_} == given_


def test_variants() -> None:
    variant = parse_variant("optimized-fp16", EVEN)
    assert variant == Variant(implementation="optimized", precision="fp16")
    assert str(variant) == "optimized-fp16"


@pytest.mark.parametrize("text", ["optimal-fp32", "reference", "fp32", "", "reference-fp32-x"])
def test_unknown_variants_are_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_variant(text, EFFICIENTAD, where="variants")
    assert str(caught.value).startswith("variants: ")
    assert "allowed: reference-fp32, reference-tf32" in str(caught.value)


def test_a_misspelt_variant_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"did you mean reference-tf32\?"):
        parse_variant("refrence-tf32", EFFICIENTAD)


def test_implementations() -> None:
    check_implementation(EVEN, "optimized")
    with pytest.raises(ConfigError, match=r"'optimised'.*did you mean optimized\?"):
        check_implementation(EVEN, "optimised")


def test_resolutions() -> None:
    check_resolution(EVEN, {}, square(32))
    with pytest.raises(UnsupportedResolutionError) as caught:
        check_resolution(EVEN, {}, square(33), where="--resolution")
    message = str(caught.value)
    assert message.startswith("--resolution: even does not run at 33 px (it is odd)")
    assert message.endswith("32 px or 34 px")
