"""What methods and networks return, in the forms in which people write it, and what is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from adscale.errors import MethodError
from adscale.resolution import square
from examples.blur_distance import BlurDistance
from profiling.annotation import no_range
from profiling.methods.base import Detection
from profiling.methods.foreign import method_around
from profiling.methods.results import results_of
from profiling.outputs import OutputWatch
from tests.profiling.test_batches import measured

IMAGES, SIDE_PX = 3, 32


@dataclass
class Found:
    """As of transformers or anomalib."""

    anomaly_map: Any
    pred_score: Any = None
    more: Any = None


class Pair(NamedTuple):
    """Has neither name."""

    loss: torch.Tensor
    result: torch.Tensor


Form = Callable[[torch.Tensor, torch.Tensor], Any]
NAMED: dict[str, Form] = {
    "object": Found,
    "dictionary": lambda maps, scores: {"pred_score": scores, "anomaly_map": maps},
    "namespace": lambda maps, scores: SimpleNamespace(anomaly_map=maps, pred_score=scores),
    "lists": lambda maps, scores: Found(list(maps), list(scores)),
    "tuples in a dictionary": lambda maps, scores: {
        "anomaly_map": tuple(maps[:, 0]), "pred_score": scores.tolist(),
    },
    "objects of each": lambda maps, scores: list(map(Found, maps, scores)),
    "dictionaries of each": lambda maps, scores: tuple(
        {"anomaly_map": one[None], "pred_score": float(score)}
        for one, score in zip(maps, scores, strict=True)
    ),
    "arrays": lambda maps, scores: Found(maps.numpy(), scores.numpy()),
}  # fmt: skip
UNNAMED: dict[str, Form] = {
    "tensor": lambda maps, _scores: maps,
    "list": lambda maps, _scores: list(maps),
    "pair": lambda maps, _scores: Pair(maps.mean(), maps),
    "nested": lambda maps, _scores: {"loss": maps.mean(), "of": [{"scales": (maps, maps[:1])}]},
    "object in an object": lambda maps, _scores: SimpleNamespace(of=Found(None, more=maps)),
    "dictionaries of each": lambda maps, _scores: [{"boxes": (one, 1)} for one in maps],
    "lists in an object": lambda maps, _scores: SimpleNamespace(maps=list(maps), loss=maps.mean()),
}


class Network(nn.Module):
    """Returns a map and a score of each image."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self.form = form

    def forward(self, image: torch.Tensor) -> Any:
        maps = image.mean(1, keepdim=True)
        return self.form(maps, maps.amax((1, 2, 3)))


def images() -> torch.Tensor:
    return torch.rand(IMAGES, 3, SIDE_PX, SIDE_PX, generator=torch.Generator().manual_seed(0))


def kept(form: Form) -> Any:
    """What is kept of a batch of a network."""
    method = method_around("Network", lambda: Network(form)).build(
        {}, resolution=square(SIDE_PX), implementation="reference", seed=0
    )
    watch = OutputWatch(IMAGES)
    watch.take(0, IMAGES, results_of(method.infer(images(), no_range), IMAGES, "Network"))
    return watch.found()


@pytest.mark.parametrize("form", [*NAMED.values()], ids=[*NAMED])
def test_named_maps_and_scores_are_found_in_every_form(form: Form) -> None:
    expected, found = kept(Found), kept(form)
    assert len(expected.scores) == IMAGES
    assert expected.map_points == (IMAGES, SIDE_PX, SIDE_PX)
    assert found == expected


@pytest.mark.parametrize("form", [*UNNAMED.values()], ids=[*UNNAMED])
def test_else_the_first_output_of_each_image_counts(form: Form) -> None:
    expected, found = kept(Found), kept(form)
    assert (found.map_points, found.maps) == (expected.map_points, expected.maps)
    assert found.scores == ()


ODD: dict[str, Form] = {
    "none": lambda _maps, _scores: None,
    "text": lambda _maps, _scores: "done",
    "sparse": lambda maps, scores: Found(maps.to_sparse(), scores.to_sparse()),
    "complex": lambda maps, scores: Found(maps + 0j, scores + 0j),
    "quantized": lambda maps, scores: Found(
        torch.quantize_per_tensor(maps, 0.1, 0, torch.qint8),
        torch.quantize_per_tensor(scores, 0.1, 0, torch.qint8),
    ),
    "nested": lambda maps, _scores: torch.nested.nested_tensor(
        [one[:, : number + 2] for number, one in enumerate(maps)]
    ),
    "empty": lambda maps, _scores: maps[..., :0],
    "no boxes": lambda maps, _scores: [{"boxes": one.reshape(-1, 4)[:0]} for one in maps],
    "scores of classes": lambda maps, scores: {
        "features": maps.expand(-1, 2, -1, -1), "pred_score": scores[:, None].expand(-1, 5),
    },
}  # fmt: skip


@pytest.mark.parametrize("form", [*ODD.values()], ids=[*ODD])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_of_what_cannot_be_compared_nothing_is_kept(form: Form) -> None:
    found = kept(form)
    assert found is None or (found.scores, found.map_points) == ((), None)


def test_rows_of_all_images_are_those_of_each() -> None:
    """As of a network that flattens patches, such as for a search of neighbours."""
    found = kept(lambda maps, _scores: {"patches": maps.flatten(0, 2)})
    assert found == kept(lambda maps, _scores: maps[:, 0])


def test_an_object_that_holds_itself() -> None:
    one = SimpleNamespace()
    one.itself = [one]
    assert kept(lambda _maps, _scores: one) is None


class Lists(BlurDistance):
    """Takes a batch, and tells of each image in a list."""

    def infer(self, image: torch.Tensor, annotate: Any) -> Detection:
        found = super().infer(image, annotate)
        assert found.anomaly_map is not None
        assert found.score is not None
        return Detection(list(found.anomaly_map), found.score.tolist())  # type: ignore[arg-type]


def test_a_class_may_return_lists() -> None:
    mine, _ = measured(f"{__name__}:Lists")
    expected, _ = measured("examples.blur_distance:BlurDistance")
    assert expected.outputs is not None
    assert mine.outputs == expected.outputs


@pytest.mark.parametrize(
    ("detection", "words"),
    [
        (Detection({"map": 1}, None), "infer returns a dict as anomaly_map; return a tensor of"),
        (Detection(None, ["high"]), "infer returns a str as score"),
        (Detection([torch.ones(1, 2, 2)] * 5, None), r"shape \(1, 2, 2\), .*, … for 3 images"),
        (Detection(np.ones((1, 2, 2)), None), r"infer returns shape \(1, 2, 2\) for 3 images"),
    ],
)  # type: ignore[misc]
def test_what_is_neither_is_refused(detection: Detection, words: str) -> None:
    with pytest.raises(MethodError, match=words):
        results_of(detection, IMAGES, "Mine")
