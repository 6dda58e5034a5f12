"""TensorRT, from ONNX, in the types of the exported network. Never run on a GPU yet."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from .base import Engine, Loaded
from .onnx_runtime import export_onnx, quantise
from .parts import Inputs

FILE = "network.plan"
HEAVY = ("conv", "gemm", "matmul", "matrixmultiply", "mha")
"""In the names of the kinds of layers that are worth telling the type of."""
NAMES = {"float": "fp32", "half": "fp16", "bf16": "bf16", "bfloat16": "bf16", "int8": "int8"}


class TensorRt(Engine):
    """Builds a plan for the very size and GPU; TensorRT may choose TF32 only where it is asked."""

    def export(
        self, network: nn.Module, inputs: Inputs, folder: Path, calibration: Sequence[Inputs] = ()
    ) -> None:
        """See ``Engine``.

        Raises:
            RuntimeError: TensorRT does not take the network, with what it says.
        """
        with TemporaryDirectory() as name:
            plain, file = Path(name) / "plain.onnx", Path(name) / "network.onnx"
            if self.order.precision == "int8":
                export_onnx(network, inputs, plain)
                quantise(plain, file, calibration, symmetric=True)
            else:
                export_onnx(network, inputs, file)
            (folder / FILE).write_bytes(self._plan(file))

    def _plan(self, file: Path) -> bytes:
        import tensorrt as trt

        builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
        # the types are those of the ONNX network; newer versions know no other way, and no flag
        typed = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
        definition = builder.create_network(0 if typed is None else 1 << int(typed))
        parser = trt.OnnxParser(definition, trt.Logger(trt.Logger.ERROR))
        if not parser.parse_from_file(str(file)):
            said = "; ".join(str(parser.get_error(one)) for one in range(parser.num_errors))
            raise RuntimeError(said or "TensorRT cannot read the exported network")
        config = builder.create_builder_config()
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
        if self.order.precision != "tf32":
            config.clear_flag(trt.BuilderFlag.TF32)
        plan = builder.build_serialized_network(definition, config)
        if plan is None:
            raise RuntimeError("TensorRT could not build the network")
        return bytes(plan)

    def load(self, network: nn.Module, inputs: Inputs, folder: Path) -> Loaded:
        """See ``Engine``. Torch's tensors are its inputs and outputs: nothing is copied."""
        import tensorrt as trt

        del network, inputs
        runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        engine = runtime.deserialize_cuda_engine((folder / FILE).read_bytes())
        context = engine.create_execution_context()
        names = [engine.get_tensor_name(one) for one in range(engine.num_io_tensors)]
        is_input = {one: engine.get_tensor_mode(one) == trt.TensorIOMode.INPUT for one in names}
        shapes = {one: tuple(engine.get_tensor_shape(one)) for one in names if not is_input[one]}

        def call(*given: torch.Tensor) -> tuple[torch.Tensor, ...]:
            # they live until the call returns, and torch reuses their memory in this stream only
            tensors = [one.contiguous() for one in given]
            outputs = {
                name: torch.empty(shape, device=tensors[0].device) for name, shape in shapes.items()
            }
            for name, tensor in zip(filter(is_input.get, names), tensors, strict=True):
                context.set_tensor_address(name, tensor.data_ptr())
            for name, tensor in outputs.items():
                context.set_tensor_address(name, tensor.data_ptr())
            context.execute_async_v3(torch.cuda.current_stream().cuda_stream)
            return tuple(outputs.values())

        return Loaded(call, _precisions(trt, engine))


def _precisions(trt: Any, engine: Any) -> dict[str, int]:
    """In which type each convolution and product is computed, as the plan tells."""
    told = engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON)
    return layer_types(json.loads(told))


def layer_types(told: dict[str, Any]) -> dict[str, int]:
    """How many convolutions and products have an input of which type.

    Args:
        told: of TensorRT's inspector, with all details.
    """
    found: dict[str, int] = {}
    for layer in told.get("Layers", ()):
        kinds = ("LayerType", "ParameterType")
        words = " ".join(str(layer.get(one, "")) for one in kinds).lower().replace("_", "")
        given = layer.get("Inputs") or ()
        if not given or not any(heavy in words for heavy in HEAVY):
            continue
        formats = str(given[0].get("Format/Datatype", "")).lower().split()
        name = next((NAMES[one] for one in formats if one in NAMES), "unknown")
        found[name] = found.get(name, 0) + 1
    return found
