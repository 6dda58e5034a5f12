"""Image models of an installed anomalib as methods."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

import timm
import torch
from torch import nn
from torch._guards import detect_fake_mode
from torch._subclasses.fake_tensor import unset_fake_temporarily

from adscale.errors import ConfigError, WeightsError

from ..images import ImageSet
from ..progress import Progress
from .base import Method
from .module_method import ModuleMethod
from .preparation import imagenet_tensor

FITTED_TO = 8
"""Images to which a model with a memory bank is fitted where no folder of images is given."""


class AnomalibMethod(ModuleMethod):
    """A model of anomalib, without its training loop: its torch model's children are submodules.

    A checkpoint brings a trained state. Without one, a model that only
    collects statistics of normal images (a memory bank, Gaussians) collects them from a few; every
    other model keeps the weights that it is made with.
    """

    model_class: ClassVar[type]

    settings_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {
            "checkpoint": {
                "type": ["string", "null"],
                "default": None,
                "description": "File with the `state_dict` of a trained model; null: untrained.",
            },
            "normal_images": {
                "type": ["string", "null"],
                "default": None,
                "description": (
                    "Folder of normal images for models that collect statistics; null: some "
                    "photographs that come with scikit-image."
                ),
            },
        },
    }

    @classmethod
    def build(
        cls, settings: Mapping[str, Any], *, resolution_px: int, implementation: str, seed: int
    ) -> ModuleMethod:
        """Makes the model; see ``Method.build``. Every other setting is an argument of its class.

        Raises:
            ConfigError: the model does not accept the settings.
            WeightsError: the checkpoint cannot be read.
            ImageFolderError: no normal image can be read.
        """
        del implementation
        own = ("checkpoint", "normal_images")
        arguments = {key: value for key, value in settings.items() if key not in own}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            with unset_fake_temporarily():  # where memory is counted; its building needs contents
                model = cls._make(arguments)
            if settings["checkpoint"] is not None:
                _load(model, Path(settings["checkpoint"]))
            elif hasattr(model, "fit") and detect_fake_mode() is None:
                _collect(model, settings["normal_images"], resolution_px)
        return cls(model.model, resolution_px)

    @classmethod
    def _make(cls, arguments: Mapping[str, Any]) -> Any:
        downloads = arguments.get("pre_trained", False)
        try:
            with nullcontext() if downloads else _drawn_backbones():
                return cls.model_class(**arguments)
        except (TypeError, ValueError, OSError, RuntimeError) as problem:
            what = f"anomalib's {cls.model_class.__name__} does not accept these settings"
            raise ConfigError(
                "settings", f"{what} ({problem})", "see its documentation"
            ) from problem


def anomalib_method(name: str) -> type[Method]:
    """A method around an image model of anomalib.

    Args:
        name: of its class in ``anomalib.models``, such as ``Padim``.

    Raises:
        ConfigError: anomalib is not installed, or has no such model.
    """
    try:
        from anomalib import models
    except ImportError as problem:
        what = f"anomalib cannot be imported ({problem})"
        raise ConfigError("target", what, "pip install -r envs/anomalib.txt") from problem
    found = getattr(models, name, None)
    if not inspect.isclass(found):
        raise ConfigError("target", f"anomalib has no model {name}", "see anomalib.models")
    method = type(name, (AnomalibMethod,), {"model_class": found})
    method.__doc__ = f"anomalib's {name}."
    return method


@contextmanager
def _drawn_backbones() -> Iterator[None]:
    """Has timm draw the weights that a model asks it to download: cost does not depend on them.

    Some models ask for them whatever their settings say.
    """
    create = timm.create_model

    def draw(name: str, *_pretrained: bool, **arguments: Any) -> nn.Module:
        made: nn.Module = create(name, **{**arguments, "pretrained": False})
        return made

    with patch.object(timm, "create_model", draw):
        yield


def _load(model: nn.Module, file: Path) -> None:
    try:
        # weights_only: a checkpoint from elsewhere must not run code
        state = torch.load(file, map_location="cpu", weights_only=True)["state_dict"]
        # statistics such as a memory bank have the size of their training set
        for key, tensor in state.items():
            _resize(model, key, tensor)
        model.load_state_dict(state)
    except (OSError, KeyError, RuntimeError, ValueError, pickle.UnpicklingError) as problem:
        remedy = (
            "give a file of torch.save({'state_dict': model.state_dict()}, file), "
            "from this version of anomalib"
        )
        raise WeightsError(str(file), f"cannot be loaded ({problem})", remedy) from problem


def _resize(model: nn.Module, key: str, tensor: torch.Tensor) -> None:
    path, _, name = key.rpartition(".")
    owner = model.get_submodule(path)
    found = dict(owner.named_buffers(recurse=False)).get(name)
    if found is not None and found.shape != tensor.shape:
        setattr(owner, name, torch.empty_like(tensor))  # it stays a buffer


def _collect(model: Any, folder: str | None, resolution_px: int) -> None:
    """Lets a model with statistics see normal images, as its training would."""
    from anomalib.data import ImageBatch

    images = (
        ImageSet.photographs()
        if folder is None
        else ImageSet.from_folder(Path(folder), select="normal")
    )
    count = FITTED_TO if folder is None else len(images)
    model.train()
    with torch.no_grad(), Progress(type(model).__name__) as progress:
        for index in range(count):
            batch = ImageBatch(image=imagenet_tensor(images[index], resolution_px))
            model.training_step(batch, index)
            progress.update("fit", index + 1, count, None)
        model.fit()
