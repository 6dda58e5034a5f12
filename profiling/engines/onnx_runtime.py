"""ONNX Runtime on its CPU provider."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from .base import Engine, Inputs, Loaded

FILE, OPERATORS = "network.onnx", "operators.json"

LARGEST_BYTES = 2**31 - 2**20
"""Of a message of protobuf, less what stands beside the weights."""

HEAVY = (
    "Conv", "FusedConv", "ConvTranspose", "MatMul", "FusedMatMul", "Gemm", "FusedGemm", "Attention",
    "MultiHeadAttention", "LSTM", "GRU",
)  # fmt: skip
"""Operators that are worth telling the type of, as an optimised graph has them."""
INTEGER = ("QLinearConv", "QLinearMatMul", "QGemm", "MatMulInteger", "MatMulIntegerToFloat",
           "ConvInteger", "DynamicQuantizeMatMul")  # fmt: skip


class OnnxRuntime(Engine):
    """Exports by torch.onnx for the very size; the session has the threads of the run."""

    def export(
        self, network: nn.Module, inputs: Inputs, folder: Path, calibration: Sequence[Inputs] = ()
    ) -> None:
        """See ``Engine``. Weights lie in the same file, but for networks of 2 GB and more."""
        with TemporaryDirectory() as name:
            plain = Path(name) / FILE if self.order.precision == "int8" else folder / FILE
            _export(network, inputs, plain)
            if plain != folder / FILE:
                _quantise(plain, folder / FILE, calibration)
            optimised = Path(name) / "optimised.onnx"
            self._session(folder / FILE, optimised)
            found = _operators(optimised)
        (folder / OPERATORS).write_text(json.dumps(found), encoding="utf-8")

    def load(self, network: nn.Module, inputs: Inputs, folder: Path) -> Loaded:
        """See ``Engine``."""
        del network, inputs
        session = self._session(folder / FILE)
        names = [one.name for one in session.get_inputs()]

        def call(*given: torch.Tensor) -> tuple[torch.Tensor, ...]:
            arrays = {
                name: tensor.contiguous().numpy() for name, tensor in zip(names, given, strict=True)
            }
            return tuple(map(torch.from_numpy, session.run(None, arrays)))

        return Loaded(call, json.loads((folder / OPERATORS).read_text(encoding="utf-8")))

    def _session(self, file: Path, optimised: Path | None = None) -> Any:
        """A session, which writes its graph as it has optimised it where that is asked for."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.order.threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        if optimised is not None:
            options.optimized_model_filepath = str(optimised)
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _export(network: nn.Module, inputs: Inputs, file: Path) -> None:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own deprecations
        program = torch.onnx.export(network, inputs, dynamo=True, verbose=False)
    assert program is not None, "it is told to return one"
    size = sum(one.numel() * one.element_size() for one in network.state_dict().values())
    program.save(str(file), external_data=size >= LARGEST_BYTES)


def _quantise(plain: Path, file: Path, calibration: Sequence[Inputs]) -> None:
    """Weights per channel and activations to 8 bits, with the ranges of the calibration."""
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    names = [one.name for one in onnx.load(str(plain), load_external_data=False).graph.input]

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left: Iterator[Inputs] = iter(calibration)

        def get_next(self) -> dict[str, Any] | None:
            given = next(self._left, None)
            if given is None:
                return None
            return {name: one.numpy() for name, one in zip(names, given, strict=True)}

    logging.getLogger().setLevel(logging.ERROR)  # it recommends a step that is for its own tools
    quantize_static(
        str(plain), str(file), Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip


def _operators(file: Path) -> dict[str, int]:
    """How many convolutions and products of an optimised graph are computed in which type."""
    import onnx

    model: Any = onnx.load(str(file), load_external_data=False)
    types = {one.name: one.data_type for one in model.graph.initializer}
    types |= {one.name: one.type.tensor_type.elem_type for one in model.graph.value_info}
    types |= {one.name: one.type.tensor_type.elem_type for one in model.graph.input}
    names = {onnx.TensorProto.FLOAT: "fp32", onnx.TensorProto.FLOAT16: "fp16"}
    found: dict[str, int] = {}
    for node in model.graph.node:
        if node.op_type in INTEGER:
            name = "int8"
        elif node.op_type in HEAVY:
            known = next((types[one] for one in reversed(node.input) if types.get(one)), 0)
            name = names.get(known, onnx.TensorProto.DataType.Name(known))
        else:
            continue
        found[name] = found.get(name, 0) + 1
    return found
