"""ONNX Runtime on its CPU provider, or on its CUDA provider: that has never run on a GPU yet."""

from __future__ import annotations

import functools
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from .base import Call, Engine, Loaded
from .parts import Inputs

FILE, OPERATORS = "network.onnx", "operators.json"
CUDA = "CUDAExecutionProvider"

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
            export_onnx(network, inputs, plain)
            if plain != folder / FILE:
                quantise(plain, folder / FILE, calibration)
            optimised = Path(name) / "optimised.onnx"
            self._session(folder / FILE, optimised)
            found = _operators(optimised)
        (folder / OPERATORS).write_text(json.dumps(found), encoding="utf-8")

    def load(self, network: nn.Module, inputs: Inputs, folder: Path) -> Loaded:
        """See ``Engine``."""
        del network
        told = json.loads((folder / OPERATORS).read_text(encoding="utf-8"))
        session = self._session(folder / FILE)
        if self.order.device_type == "cuda":
            return Loaded(_bound(session, self._stream, inputs), told)
        names = [one.name for one in session.get_inputs()]

        def call(*given: torch.Tensor) -> tuple[torch.Tensor, ...]:
            arrays = {
                name: tensor.contiguous().numpy() for name, tensor in zip(names, given, strict=True)
            }
            return tuple(map(torch.from_numpy, session.run(None, arrays)))

        return Loaded(call, told)

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
        session = onnxruntime.InferenceSession(str(file), options, providers=self._providers())
        if self.order.device_type == "cuda" and session.get_providers()[0] != CUDA:
            raise RuntimeError(f"ONNX Runtime has no {CUDA} here, and would compute on the CPU")
        return session

    def _providers(self) -> list[Any]:
        """The provider asked for; behind that of CUDA the CPU's, for what is about shapes."""
        if self.order.device_type != "cuda":
            return ["CPUExecutionProvider"]
        asked = {
            "device_id": torch.cuda.current_device(),
            "use_tf32": int(self.order.precision == "tf32"),
            "user_compute_stream": str(self._stream.cuda_stream),
        }
        return [(CUDA, asked), "CPUExecutionProvider"]

    @functools.cached_property
    def _stream(self) -> Any:
        """For the kernels of ONNX Runtime: that of torch is 0, which means none to it."""
        return torch.cuda.Stream()  # type: ignore[no-untyped-call]


def _bound(session: Any, stream: Any, inputs: Inputs) -> Call:
    """Calls a session with torch's own memory on the GPU, so that nothing is copied.

    Args:
        session: on the CUDA provider.
        stream: in which it computes.
        inputs: an example.
    """
    import numpy as np
    import onnxruntime

    names = [one.name for one in session.get_inputs()]
    shapes = {one.name: tuple(one.shape) for one in session.get_outputs()}
    device, number = inputs[0].device, inputs[0].device.index or 0
    options = onnxruntime.RunOptions()
    # as torch does: who needs the result waits, and not the host
    options.add_run_config_entry("disable_synchronize_execution_providers", "1")

    def call(*given: torch.Tensor) -> tuple[torch.Tensor, ...]:
        tensors = [one.contiguous() for one in given]
        outputs = {name: torch.empty(shape, device=device) for name, shape in shapes.items()}
        binding = session.io_binding()
        for name, one in zip(names, tensors, strict=True):
            binding.bind_input(name, "cuda", number, np.float32, tuple(one.shape), one.data_ptr())
        for name, one in outputs.items():
            binding.bind_output(name, "cuda", number, np.float32, tuple(one.shape), one.data_ptr())
        stream.wait_stream(torch.cuda.current_stream())
        session.run_with_iobinding(binding, options)
        torch.cuda.current_stream().wait_stream(stream)
        return tuple(outputs.values())

    return call


def export_onnx(network: nn.Module, inputs: Inputs, file: Path) -> None:
    """Exports a network for the sizes of its inputs.

    Args:
        network: returns a tuple of tensors.
        inputs: an example.
        file: to be written.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own deprecations
        program = torch.onnx.export(network, inputs, dynamo=True, verbose=False)
    assert program is not None, "it is told to return one"
    size = sum(one.numel() * one.element_size() for one in network.state_dict().values())
    program.save(str(file), external_data=size >= LARGEST_BYTES)


def quantise(
    plain: Path, file: Path, calibration: Sequence[Inputs], *, symmetric: bool = False
) -> None:
    """Weights per channel and activations to 8 bits, with the ranges of the calibration.

    Args:
        plain: the exported network.
        file: to be written.
        calibration: what the network is given in some inferences.
        symmetric: activations with a sign and without an offset, as TensorRT wants them.
    """
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
            return {name: one.cpu().numpy() for name, one in zip(names, given, strict=True)}

    logging.getLogger().setLevel(logging.ERROR)  # it recommends a step that is for its own tools
    quantize_static(
        str(plain), str(file), Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
        weight_type=QuantType.QInt8, extra_options={"ActivationSymmetric": symmetric},
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
