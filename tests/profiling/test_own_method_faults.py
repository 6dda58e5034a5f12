"""Places and classes of the user's that are not what they should be end in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from adscale.errors import ConfigError
from adscale.methods.registry import get_spec
from adscale.methods.spec import check_settings
from adscale.resolution import square
from profiling.memory.counting import count_memory
from profiling.methods.foreign import method_around
from profiling.methods.loading import load_method_class, resolve
from tests.profiling.test_own_methods import BLUR, in_the_checkout  # noqa: F401 - a fixture


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("nowhere_at_all:Class", ["there is no module 'nowhere_at_all'"]),
        ("examples.blur_distance:BlurDistanze", ["defines no BlurDistanze", "mean BlurDistance?"]),
        ("examples.blur_distance:", ["names no class", "write examples.blur_distance:Class"]),
        (":", ["names no class", "write package.module:Class or anomalib:Model"]),
        ("a b:C", ["names no class"]),
        ("net.Net", ["no method 'net.Net'", "allowed: ddad, ", "of your own: write net:Net"]),
        ("torchvision.models.resnet18", ["write torchvision.models:resnet18"]),
        ("examples.small_autoencoder", ["write examples.small_autoencoder:Class"]),
        ("examples/net.py:Net", ["names no class", "write examples.net:Net"]),
        ("net.py:Net", ["no module 'net.py'", "write net:Net"]),
        ("net.py", ["write net:Class"]),
        ("net:Net()", ["write net:Net"]),
        ("/a/b/net.py:Net", ["write net:Net, with /a/b in PYTHONPATH"]),
        ("my-net:Net", ["letters, digits and _ only: rename its file"]),
        ("anomalib.models.Padim", ["write anomalib:Padim"]),
        ("patchcor", ["did you mean patchcore?"]),
    ],
)
def test_a_wrong_place_ends_in_one_line(target: str, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        get_spec(target, where="methods.Mine.target")
    message = str(caught.value)
    assert message.startswith("methods.Mine.target: ")
    assert "\n" not in message
    assert [part for part in parts if part not in message] == []


@pytest.mark.parametrize(
    ("code", "part"),
    [
        ("raise RuntimeError('broken')", "cannot be imported (RuntimeError: broken)"),
        ("Mine = 3", "is no class or function"),
    ],
)
def test_a_module_that_is_of_no_use_ends_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, part: str
) -> None:
    (tmp_path / "of_no_use.py").write_text(f"Mine = 1\n{code}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("of_no_use", None)
    with pytest.raises(ConfigError) as caught:
        resolve(get_spec("of_no_use:Mine"))
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("TextForTuple", "has submodules = 'blur'; name each once, as texts in a tuple"),
        ("Twice", "has submodules = ('blur', 'blur')"),
        ("Numbers", "has submodules = (1, 2)"),
        ("ImplementationText", "has implementations = 'reference'"),
        ("PrecisionText", "has precisions = 'fp32'"),
        ("Unfinished", "does not define build, infer, prepare"),
        ("SettingsOfADict", "has settings that are no dataclass of pydantic (TypeError)"),
        ("SettingsOfAnyClass", "has settings that are no dataclass of pydantic"),
        ("ProblemAsText", "says 'only multiples of 32' in resolution_problem; return None"),
        ("BuildsNothing", "is built as a NoneType; return the method from `build`"),
    ],
)
def test_a_class_that_is_not_as_it_should_be_ends_in_one_line(name: str, part: str) -> None:
    def counted() -> None:
        spec = resolve(get_spec(f"tests.profiling.odd_methods:{name}"))
        given = check_settings(spec, {})
        count_memory(spec, given, resolution=square(32), implementation="reference")

    with pytest.raises(ConfigError) as caught:
        counted()
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_returns_no_network_is_refused() -> None:
    made = method_around("dict", dict)
    with pytest.raises(ConfigError, match=r"returned a dict, not a torch\.nn\.Module"):
        made.build({}, resolution=square(8), implementation="reference", seed=0)


def test_a_complexity_that_there_is_not_ends_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = get_spec(BLUR)
    assert resolve(spec).complexity == {}
    cls = load_method_class(spec)
    monkeypatch.setattr(cls, "complexity", {"blur": "pixels"})
    assert resolve(spec).complexity == {"blur": "pixels"}
    monkeypatch.setattr(cls, "complexity", {"blur": "cubic"})
    with pytest.raises(ConfigError, match=r"'cubic' of the complexity of 'blur'.*pixels_squared"):
        resolve(spec)
