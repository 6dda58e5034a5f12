"""What the first convolution of somebody else's network is given.

Networks may resize inside, as exported ones with their preprocessing do, and compute at one size
whatever they are given; or compute in another type. Hooks and modes of torch do not see into
compiled, exported and scripted networks, and break some of them. Torch's own record of what it
executes does see, and leaves them alone.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from torch.profiler import ExecutionTraceObserver

from adscale.first_convolution import FirstConvolution
from adscale.names import IMAGE

from .annotation import Annotate

CONVOLUTION = re.compile(r"::(conv2d|_?convolution)")
"""Names of operators; what these call in turn comes behind them."""

RESIZING = re.compile(r"::_?(upsample|grid_sampler|adaptive_|avg_pool|max_pool|fractional_max)")
"""Names of operators that change the size of an image, other than by cutting."""

PRODUCT = re.compile(
    r"::(conv|_?convolution|_?linear|addmm|addbmm|addmv|mm|bmm|baddbmm|mv|dot|vdot|bilinear|"
    r"_?cdist|_euclidean_dist|_?scaled_dot_product|_?(lstm|gru|rnn)|mkldnn_rnn|_?scaled_mm|"
    r"_native_multi_head|_transformer_encoder)"
)
"""Names of operators in which a network does its work."""


LESS_PRECISE = ("bfloat16", "float16", "float8", "qint", "quint")
"""Beginnings of types."""

STANDARD_ERROR = 2


class FirstConvolutionWatch:
    """Takes the place of what opens ranges for one image, and looks into its inference.

    Args:
        opening: opens the ranges.
    """

    def __init__(self, opening: Annotate) -> None:
        self._opening = opening
        self._inside = False
        self.found: FirstConvolution | None = None
        """None where neither a convolution of an image nor a product was seen."""

    def __call__(self, name: str) -> AbstractContextManager[object]:
        """The range of that name."""
        # once: torch ends the process where a record is begun within another
        is_whole = name == IMAGE and not self._inside
        return self._watched(name) if is_whole else self._opening(name)

    @contextmanager
    def _watched(self, name: str) -> Iterator[None]:
        self._inside = True
        with tempfile.TemporaryDirectory(prefix="adscale-") as folder:
            file = Path(folder) / "operators.json"
            with _observed(str(file)), self._opening(name):
                yield
            with suppress(OSError, ValueError):  # torch has not written it, or not whole
                self.found = _first(json.loads(file.read_text(encoding="utf-8"))["nodes"])


@contextmanager
def _observed(file: str) -> Iterator[None]:
    observer = ExecutionTraceObserver()
    observer.register_callback(file)
    with _silent():
        observer.start()
    try:
        yield
    finally:
        with _silent():
            observer.stop()
            observer.unregister_callback()


@contextmanager
def _silent() -> Iterator[None]:
    """Keeps quiet what torch says from C++ of beginning and ending a record."""
    saved = os.dup(STANDARD_ERROR)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), STANDARD_ERROR)
        yield
    finally:
        os.dup2(saved, STANDARD_ERROR)
        os.close(saved)


def _first(nodes: Sequence[Mapping[str, Any]]) -> FirstConvolution | None:
    resizing: dict[str, None] = {}
    in_order = sorted(nodes, key=lambda one: int(one["id"]))  # numbered when they begin
    for node in in_order:
        shapes = node["inputs"]["shapes"]
        if CONVOLUTION.search(node["name"]) and shapes and len(shapes[0]) == 4:
            return FirstConvolution(
                shape=tuple(shapes[0]),
                dtype=_less_precise(in_order) or _type(node),
                resized_by=tuple(resizing),
            )
        if RESIZING.search(node["name"]):
            resizing.setdefault(node["name"].partition("::")[2])
    products = [_type(node) for node in in_order if PRODUCT.search(node["name"])]
    # a grid of positions may be computed in float64 before anything else
    floating = sorted({"float32", "float64"} & set(products))
    dtype = _less_precise(in_order) or (floating[0] if floating else None)
    return None if dtype is None else FirstConvolution(None, dtype, ())


def _type(node: Mapping[str, Any]) -> str:
    """The type of an operator's first input, as torch names it in Python."""
    types = node["inputs"]["types"] or [""]
    name = str(types[0]).removeprefix("Tensor(").removesuffix(")").removeprefix("c10::").lower()
    return {"float": "float32", "double": "float64", "half": "float16"}.get(name, name)


def _less_precise(nodes: Sequence[Mapping[str, Any]]) -> str | None:
    """The first type of less precision in which something is multiplied; None: there is none.

    Autocast converts within an operator, and so do those of quantized layers: what they were called
    with is of the type asked for.
    """
    for node in nodes:
        if PRODUCT.search(node["name"]):
            name, dtype = str(node["name"]), _type(node)
            if name.startswith("quantized::") and dtype == "float32":
                return "float16" if "fp16" in name else "qint8"
            if dtype.startswith(LESS_PRECISE):
                return dtype
    return None
