#!/usr/bin/env bash
# On a CPU, ONNX Runtime computes a convolution in fp16 in fp32, between casts that it adds itself.
#
# A network whose input, weights and output are all FLOAT16 loads and runs without a word, so its type and
# its halved file suggest that fp16 is what is measured. The graph that the session really executes (written
# with optimized_model_filepath) has a Cast to FLOAT before the convolution, a convolution with FLOAT weights,
# and a Cast back: the CPU provider has no kernel for it in fp16. So neither the time nor the memory of its
# weights and activations are those of fp16; only the executed graph tells.
#
# Seen: onnxruntime 1.32.0, onnx 1.23.2, Python 3.11, x86. Fails if that changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet onnxruntime==1.32.0 onnx==1.23.2 numpy

cd "$folder" && venv/bin/python - <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

weights = np.random.default_rng(0).normal(size=(8, 3, 3, 3)).astype(np.float16)
graph = helper.make_graph(
    [helper.make_node("Conv", ["image", "weights"], ["features"], pads=[1, 1, 1, 1])],
    "network",
    [helper.make_tensor_value_info("image", TensorProto.FLOAT16, [1, 3, 32, 32])],
    [helper.make_tensor_value_info("features", TensorProto.FLOAT16, [1, 8, 32, 32])],
    [numpy_helper.from_array(weights, "weights")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
onnx.checker.check_model(model, full_check=True)

options = onnxruntime.SessionOptions()
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
options.optimized_model_filepath = "executed.onnx"
session = onnxruntime.InferenceSession(
    model.SerializeToString(), options, providers=["CPUExecutionProvider"]
)
(given,) = session.run(None, {"image": np.ones((1, 3, 32, 32), np.float16)})
executed = onnx.load("executed.onnx").graph
kinds = {one.name: TensorProto.DataType.Name(one.data_type) for one in executed.initializer}
nodes = [(node.op_type, [kinds.get(name, "-") for name in node.input]) for node in executed.node]
print(onnxruntime.__version__, "output", given.dtype, "executed", nodes)
assert given.dtype == np.float16
assert [kind for kind, _ in nodes if kind == "Cast"], "no cast was added"
(of_convolution,) = [types for kind, types in nodes if "Conv" in kind]
weights_are_cast = any(kind == "Cast" and "FLOAT16" in types for kind, types in nodes)
assert "FLOAT" in of_convolution or weights_are_cast, "the convolution is computed in fp16 now"
PYTHON
