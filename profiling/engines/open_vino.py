"""OpenVINO on its CPU plugin."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .base import Engine, Loaded
from .parts import Inputs

FILE = "network.xml"
HEAVY = ("Convolution", "MatMul", "FullyConnected", "GroupConvolution", "ScaledDotProductAttention")
"""Operators that are worth telling the type of, as a compiled model names them."""
NAMES = {"f32": "fp32", "f16": "fp16", "bf16": "bf16", "i8": "int8", "u8": "int8"}


class OpenVino(Engine):
    """Converts by OpenVINO itself, and asks for the precision, which it would choose otherwise."""

    casts = False

    def export(
        self, network: nn.Module, inputs: Inputs, folder: Path, calibration: Sequence[Inputs] = ()
    ) -> None:
        """See ``Engine``. Weights stay in fp32: by default they are rounded to 16 bits."""
        import openvino

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.jit.trace tells of constants, which sizes are
            shapes = [tuple(one.shape) for one in inputs]
            model = openvino.convert_model(network, example_input=inputs, input=shapes)
        if self.order.precision == "int8":
            model = _quantised(model, calibration)
        openvino.save_model(model, str(folder / FILE), compress_to_fp16=False)

    def load(self, network: nn.Module, inputs: Inputs, folder: Path) -> Loaded:
        """See ``Engine``."""
        import openvino
        from openvino import properties
        from openvino.properties import hint

        del network, inputs
        # what of an int8 network is not quantised is computed in fp32
        asked = openvino.Type.bf16 if self.order.precision == "bf16" else openvino.Type.f32
        core = openvino.Core()
        compiled = core.compile_model(
            core.read_model(str(folder / FILE)),
            "CPU",
            {
                hint.inference_precision: asked,
                hint.performance_mode: hint.PerformanceMode.LATENCY,
                hint.num_requests: 1,
                properties.inference_num_threads: self.order.threads,
                properties.num_streams: 1,
            },
        )
        request = compiled.create_infer_request()

        def call(*given: torch.Tensor) -> tuple[torch.Tensor, ...]:
            arrays = [tensor.contiguous().numpy() for tensor in given]
            results = request.infer(arrays, share_inputs=True)
            return tuple(torch.from_numpy(results[one]) for one in range(len(compiled.outputs)))

        return Loaded(call, _precisions(compiled))


def _quantised(model: Any, calibration: Sequence[Inputs]) -> Any:
    """Weights and activations to 8 bits, with the ranges of the calibration."""
    import nncf

    nncf.set_log_level(logging.ERROR)  # it wants 300 images
    data = nncf.Dataset([[one.numpy() for one in given] for given in calibration])
    return nncf.quantize(model, data, subset_size=len(calibration))


def _precisions(compiled: Any) -> dict[str, int]:
    """In which type each convolution and product is computed, as the compiled model tells."""
    found: dict[str, int] = {}
    for node in compiled.get_runtime_model().get_ops():
        told = node.get_rt_info()
        kind = str(told["layerType"].astype(str)) if "layerType" in told else node.get_type_name()
        if kind in HEAVY and "runtimePrecision" in told:
            name = str(told["runtimePrecision"].astype(str)).lower()
            name = NAMES.get(name, name)
            found[name] = found.get(name, 0) + 1
    return found
