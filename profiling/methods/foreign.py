"""Networks and models of others as methods: any ``torch.nn.Module``, any image model of anomalib.

The children of the network are the submodules, see ``division``. Which modules further down have
ranges inside of theirs is a setting, see ``arguments``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from unittest.mock import patch

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import nn
from torch._guards import detect_fake_mode
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.fx import GraphModule
from torch.nn.parameter import is_lazy

from adscale.errors import ConfigError
from adscale.models import OPEN
from adscale.progress import Progress
from adscale.resolution import Resolution

from ..annotation import Annotate
from ..images import ImageSet
from .arguments import Arguments, tell
from .base import Detection, Method
from .division import Depth, Division, division_range_ns
from .preparation import imagenet_tensor
from .results import found_by_network
from .weights import load_statistics, load_weights

if TYPE_CHECKING:
    from PIL.Image import Image


_DEPTH = "Levels of modules that have ranges (1: the children), or names of modules"


@dataclass(frozen=True, config=OPEN)
class ModelSettings:
    """Settings of a model of anomalib; every other key is an argument of its class."""

    checkpoint: str | None = Field(
        default=None,
        description="File with the `state_dict` of a trained model; null: untrained.",
    )
    normal_images: str | None = Field(
        default=None,
        description="Folder of normal images for models that collect statistics; null: some "
        "photographs that come with scikit-image.",
    )
    depth: Any = Field(default=None, description=f"{_DEPTH}; null: 1.")
    range_depth: Any = Field(default=None, description="As depth, where that is an argument.")


@dataclass(frozen=True, config=OPEN)
class ModuleSettings:
    """Settings of a network; every other key is an argument of its class."""

    weights: str | None = Field(
        default=None,
        description="Checkpoint of the network; null: as its own code draws them.",
    )
    depth: Any = Field(default=None, description=f"{_DEPTH}; null: 1.")
    range_depth: Any = Field(default=None, description="As depth, where that is an argument.")


class ModuleMethod(Method):
    """A network whose children each run in a range of their name, see ``Division``.

    A subclass says how the network is made. What the network does between its children runs in a
    range of its own. A network that is compiled or scripted as a whole is one submodule, and the
    name of that says why.

    Args:
        network: in any mode; evaluated here.
        resolution: of the images.
        depth: which modules have ranges inside of those of the children.

    Raises:
        ConfigError: one of them cannot have one.
    """

    takes_batches: ClassVar[bool] = True
    settings: ClassVar[type[Any]] = ModuleSettings
    supported_resolutions: ClassVar[str] = "what the network itself admits"

    weights_key: ClassVar[str] = "weights"
    """The setting that names a checkpoint."""

    make_network: ClassVar[Callable[..., nn.Module]]
    """Makes the network from the settings, other than ``weights``, as keyword arguments."""

    def __init__(self, network: nn.Module, resolution: Resolution, depth: Depth = 1) -> None:
        super().__init__()
        self.resolution = resolution
        self.network = _evaluated(network)
        _make_lazy_layers(network, resolution)
        self._division = Division(network, depth)
        if self._division.whole not in (None, "network"):
            tell(
                f"the network is measured as one submodule, {self._division.whole!r}: what runs in "
                "it cannot be told apart"
            )
        for path, reason in self._division.undivided.items():
            tell(f"{path!r} stays one range: it is {reason}, its parts cannot be told apart")

    @property
    def submodules(self) -> tuple[str, ...]:  # type: ignore[override]
        """What ran so far, in the order of the first call; what runs between children last."""
        return self._division.submodules

    @property
    def inner_ranges(self) -> tuple[tuple[str, ...], ...]:  # type: ignore[override]
        """See ``Method``; modules that have none, though they might, are told."""
        for name in self._division.warmed_up:
            tell(f"{name!r} runs in warm-up images only: it is no submodule")
        for name in self._division.never_opened:
            tell(f"{name!r} has no range: it was never called")
        if elsewhere := self._division.elsewhere:
            tell(f"{', '.join(map(repr, elsewhere))}: no ranges, called in threads of the method's")
        return self._division.inner_ranges

    @classmethod
    def build(
        cls, settings: Mapping[str, Any], *, resolution: Resolution, implementation: str, seed: int
    ) -> ModuleMethod:
        """Makes the network; see ``Method.build``.

        Raises:
            ConfigError: the network does not accept the settings.
            WeightsError: the checkpoint cannot be read or does not fit the network.
        """
        del implementation  # there is one
        arguments = Arguments(settings, ours=("weights",))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                with unset_fake_temporarily():  # where memory is counted: it may read numbers
                    network = arguments.make(cls.make_network, cls.__name__)
            except TypeError as problem:  # an unknown or missing argument
                what = f"{cls.__name__} does not accept these settings ({problem})"
                raise ConfigError("settings", what, "see the arguments of the network") from problem
        if settings.get("weights"):
            load_weights(network, Path(settings["weights"]))
        return cls(network, resolution, **arguments.given_depth)

    def begin_measuring(self) -> None:
        """See ``Method``; a network may call a child once and keep what it has returned."""
        self._division.forget()

    def prepare(self, image: Image) -> torch.Tensor:
        """Fits to the resolution (bilinear, antialiased) and normalises with ImageNet's statistics.

        Returns:
            Shape (1, 3, height, width), float32, contiguous, on the CPU.
        """
        return imagenet_tensor(image, self.resolution)

    def infer(self, image: torch.Tensor, annotate: Annotate) -> Detection:
        """Calls the network.

        Args:
            image: shape (N, 3, height, width), float32.
            annotate: opens a range for each child of the network when it is called.
        """
        return found_by_network(self._division(annotate, image), len(image))

    def empty_range_ns(self, annotate: Annotate) -> float:
        """See ``Method``; what watches the calls of modules is in it."""
        return division_range_ns(annotate)


def depth_fault(
    cls: type[Method], settings: Mapping[str, Any], resolution: Resolution
) -> ConfigError | None:
    """What is wrong with the modules that are to have ranges; None: nothing, or nothing is said.

    Only the network itself knows its modules. What else is wrong with it is told where it is run.

    Args:
        cls: of the method.
        settings: of the method, defaults filled in.
        resolution: at which it is built.
    """
    keys = ("depth", "range_depth")
    if not issubclass(cls, ModuleMethod) or all(settings.get(key) is None for key in keys):
        return None
    unread = {**settings, cls.weights_key: None}
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):  # no memory bank is filled
            cls.build(unread, resolution=resolution, implementation="reference", seed=0)
    except ConfigError as fault:
        return fault if fault.where.startswith(tuple(f"settings.{key}" for key in keys)) else None
    except (Exception, SystemExit):  # noqa: BLE001 - of the user's code
        return None
    return None


def method_around(name: str, make: Callable[..., object]) -> type[ModuleMethod]:
    """A method around a network.

    Args:
        name: of the class that is made.
        make: called with the settings as keyword arguments; must return a ``torch.nn.Module``.
    """

    @functools.wraps(make, updated=())
    def make_network(**settings: Any) -> nn.Module:
        network = make(**settings)
        if not isinstance(network, nn.Module):
            what = f"{name} returned a {type(network).__name__}, not a torch.nn.Module"
            raise ConfigError("target", what, "name what returns a network")
        return network

    method = type(name, (ModuleMethod,), {"make_network": staticmethod(make_network)})
    method.__doc__ = f"The network {name}; its children are the submodules."
    return method


def _evaluated(network: nn.Module) -> nn.Module:
    _set_to_evaluate(network)
    for parameter in network.parameters():  # scripted modules refuse requires_grad_ of their own
        if not is_lazy(parameter):
            parameter.requires_grad_(False)
    return network


def _set_to_evaluate(module: nn.Module) -> None:
    """Leaves the training mode. An exported program, which has none, stays as it was exported.

    Raises:
        NotImplementedError: of the module's own; it would be measured as it is trained.
    """
    try:
        module.eval()
    except NotImplementedError:
        if isinstance(module, GraphModule):
            return
        if not any(isinstance(one, GraphModule) for one in module.modules()):
            raise
        for child in module.children():  # eval() ended at the exported one
            _set_to_evaluate(child)
        module.training = False


def _make_lazy_layers(network: nn.Module, resolution: Resolution) -> None:
    """Has layers that wait for their input's shape make their weights, which moving them needs."""
    if not any(map(is_lazy, (*network.parameters(), *network.buffers()))):
        return
    # where memory is counted as well: weights made of shapes alone cannot be moved
    with unset_fake_temporarily(), torch.no_grad():
        network(torch.zeros(1, 3, *resolution.shape))
    _evaluated(network)


FITTED_TO = 8
"""Images to which a model with a memory bank is fitted where no folder of images is given."""


class AnomalibMethod(ModuleMethod):
    """A model of anomalib, without its training loop: its torch model's children are submodules.

    A checkpoint brings a trained state. Without one, a model that only
    collects statistics of normal images (a memory bank, Gaussians) collects them from a few; every
    other model keeps the weights that it is made with.
    """

    model_class: ClassVar[type]

    weights_key: ClassVar[str] = "checkpoint"
    settings: ClassVar[type[Any]] = ModelSettings

    @classmethod
    def build(
        cls, settings: Mapping[str, Any], *, resolution: Resolution, implementation: str, seed: int
    ) -> ModuleMethod:
        """Makes the model; see ``Method.build``. Every other setting is an argument of its class.

        Raises:
            ConfigError: the model does not accept the settings.
            WeightsError: the checkpoint cannot be read.
            ImageFolderError: no normal image can be read.
        """
        del implementation
        arguments = Arguments(settings, ours=("checkpoint", "normal_images"))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            with unset_fake_temporarily():  # where memory is counted; its building needs contents
                model = cls._make(settings, arguments)
            is_filled = not hasattr(model, "fit")
            if settings["checkpoint"] is not None:
                load_statistics(model, Path(settings["checkpoint"]))
                is_filled = True
            elif not is_filled and detect_fake_mode() is None:
                _collect(model, settings["normal_images"], resolution)
                is_filled = True
        method = cls(model.model, resolution, **arguments.given_depth)
        method.is_filled = is_filled
        return method

    @classmethod
    def _make(cls, settings: Mapping[str, Any], arguments: Arguments) -> Any:
        downloads = settings.get("pre_trained", False)
        try:
            with nullcontext() if downloads else _drawn_backbones():
                return arguments.make(cls.model_class, cls.model_class.__name__)
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
    import timm

    create = timm.create_model

    def draw(name: str, *_pretrained: bool, **arguments: Any) -> nn.Module:
        made: nn.Module = create(name, **{**arguments, "pretrained": False})
        return made

    with patch.object(timm, "create_model", draw):
        yield


def _collect(model: Any, folder: str | None, resolution: Resolution) -> None:
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
            batch = ImageBatch(image=imagenet_tensor(images[index], resolution))
            model.training_step(batch, index)
            progress.update("fit", index + 1, count, None)
        model.fit()
