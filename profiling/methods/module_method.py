"""Any ``torch.nn.Module`` as a method: its children are the submodules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

from adscale.errors import ConfigError

from ..annotation import Annotate
from .base import Detection, Method
from .preparation import imagenet_tensor
from .weights import load_weights

if TYPE_CHECKING:
    from PIL.Image import Image


class ModuleMethod(Method):
    """A network whose children each run in a range of their name.

    A subclass says how the network is made. What the network does outside of its children is in no
    submodule; a run of which that takes more than 1 % is reported.

    Args:
        network: in any mode; evaluated here.
        resolution_px: side length of the images.
    """

    settings_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {
            "weights": {
                "type": ["string", "null"],
                "default": None,
                "description": "Checkpoint of the network; null: as its own code draws them.",
            }
        },
    }
    supported_resolutions: ClassVar[str] = "what the network itself admits"

    make_network: ClassVar[Callable[..., nn.Module]]
    """Makes the network from the settings, other than ``weights``, as keyword arguments."""

    def __init__(self, network: nn.Module, resolution_px: int) -> None:
        super().__init__()
        self.resolution_px = resolution_px
        self.network = network.eval().requires_grad_(requires_grad=False)
        self._annotate: Annotate | None = None
        self._open: list[AbstractContextManager[object]] = []
        self._depth = 0
        self._called: dict[str, None] = {}
        for name, module in _ranges(network):
            module.register_forward_pre_hook(self._opener(name))
            module.register_forward_hook(self._close, always_call=True)

    @property
    def submodules(self) -> tuple[str, ...]:  # type: ignore[override]
        """Children that were called so far, in the order of their first call."""
        return tuple(self._called)

    @classmethod
    def build(
        cls, settings: Mapping[str, Any], *, resolution_px: int, implementation: str, seed: int
    ) -> ModuleMethod:
        """Makes the network; see ``Method.build``.

        Raises:
            ConfigError: the network does not accept the settings.
            WeightsError: the checkpoint cannot be read or does not fit the network.
        """
        del implementation  # there is one
        arguments = {key: value for key, value in settings.items() if key != "weights"}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                network = cls.make_network(**arguments)
            except TypeError as problem:  # an unknown or missing argument
                what = f"{cls.__name__} does not accept these settings ({problem})"
                raise ConfigError("settings", what, "see the arguments of the network") from problem
        if settings.get("weights"):
            load_weights(network, Path(settings["weights"]))
        return cls(network, resolution_px)

    def prepare(self, image: Image) -> torch.Tensor:
        """Resizes to s×s (bilinear, antialiased) and normalises with ImageNet's statistics.

        Returns:
            Shape (1, 3, s, s), float32, contiguous, on the CPU.
        """
        return imagenet_tensor(image, self.resolution_px)

    def infer(self, image: torch.Tensor, annotate: Annotate) -> Detection:
        """Calls the network.

        Args:
            image: shape (1, 3, s, s), float32.
            annotate: opens a range for each child of the network when it is called.
        """
        self._annotate = annotate
        try:
            output = self.network(image)
        finally:
            self._annotate = None
        anomaly_map = _find(output, "anomaly_map")
        return Detection(
            anomaly_map=_first(output) if anomaly_map is None else anomaly_map,
            score=_find(output, "pred_score"),
        )

    def _opener(self, name: str) -> Callable[[nn.Module, Any], None]:
        def open_range(_module: nn.Module, _args: Any) -> None:
            self._depth += 1
            if self._depth == 1 and self._annotate is not None:
                self._called.setdefault(name)
                self._open.append(self._annotate(name))
                self._open[-1].__enter__()

        return open_range

    def _close(self, _module: nn.Module, _args: Any, _output: Any) -> None:
        self._depth -= 1
        if self._depth == 0 and self._open:
            self._open.pop().__exit__(None, None, None)


def method_around(name: str, make: Callable[..., object]) -> type[ModuleMethod]:
    """A method around a network.

    Args:
        name: of the class that is made.
        make: called with the settings as keyword arguments; must return a ``torch.nn.Module``.
    """

    def make_network(**settings: Any) -> nn.Module:
        network = make(**settings)
        if not isinstance(network, nn.Module):
            what = f"{name} returned a {type(network).__name__}, not a torch.nn.Module"
            raise ConfigError("target", what, "name what returns a network")
        return network

    method = type(name, (ModuleMethod,), {"make_network": staticmethod(make_network)})
    method.__doc__ = f"The network {name}; its children are the submodules."
    return method


def _ranges(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The modules that are submodules, with their names.

    Lists and dictionaries of modules are never called themselves; their members are.
    """
    for name, child in network.named_children():
        if isinstance(child, (nn.ModuleList, nn.ModuleDict)):
            yield from ((name, inner) for _, inner in _ranges(child))
        else:
            yield name, child


def _find(output: Any, name: str) -> torch.Tensor | None:
    """A named tensor of an output, None where it has none of that name."""
    found = output.get(name) if isinstance(output, Mapping) else getattr(output, name, None)
    return found if isinstance(found, torch.Tensor) else None


def _first(output: Any) -> torch.Tensor | None:
    """The output itself, or the first tensor in it."""
    values = output.values() if isinstance(output, Mapping) else output
    parts = values if isinstance(values, Iterable) and not _is_tensor(output) else [output]
    return next(filter(_is_tensor, parts), None)


def _is_tensor(value: object) -> bool:
    return isinstance(value, torch.Tensor)
