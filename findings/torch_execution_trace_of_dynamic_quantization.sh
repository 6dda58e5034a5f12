#!/usr/bin/env bash
# In an execution trace a dynamically quantized linear layer has no tensor of 8 bits.
#
# torch's ExecutionTraceObserver records shapes and types of the tensors that each operator takes and gives.
# Of a layer made by quantize_dynamic with qint8 weights there is quantized::linear_dynamic, with a float
# tensor in and a float tensor out; the packed weights stand as "Object", without shape or type, and what the
# operator makes inside is of 32 bits. So a reader that tells a network's precision from the types of its
# tensors calls it float32, and one that takes a product's size from its operands finds one operand only:
# the operator's name alone tells. The plain layer has aten::linear and aten::addmm with both.
#
# Seen: torch 2.14.1, Python 3.11, CPU (x86). Fails if that changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.14.1 numpy

FOLDER="$folder" "$folder/venv/bin/python" - <<'PYTHON'
import json
import os
import warnings

import torch
from torch.profiler import ExecutionTraceObserver

warnings.simplefilter("ignore")  # the interface is deprecated
network = torch.nn.Sequential(torch.nn.Linear(16, 8)).eval()
quantized = torch.ao.quantization.quantize_dynamic(network, {torch.nn.Linear}, dtype=torch.qint8)


def operators(module) -> dict[str, tuple[list[str], list[str]]]:
    file = os.path.join(os.environ["FOLDER"], "trace.json")
    observer = ExecutionTraceObserver().register_callback(file)
    observer.start()
    with torch.inference_mode():
        module(torch.ones(4, 16))
    observer.stop()
    observer.unregister_callback()
    with open(file) as stream:
        nodes = json.load(stream)["nodes"]
    shown = [node for node in nodes if "::" in node["name"]]
    return {node["name"]: (node["inputs"]["types"], node["outputs"]["types"]) for node in shown}


print(torch.__version__)
plain, of_eight_bits = operators(network), operators(quantized)
print("plain", plain["aten::linear"])
print("quantized", of_eight_bits["quantized::linear_dynamic"])
assert plain["aten::linear"] == (["Tensor(float)"] * 3, ["Tensor(float)"])
assert "aten::linear" not in of_eight_bits
taken, given = of_eight_bits["quantized::linear_dynamic"]
assert taken[:2] == ["Tensor(float)", "Object"], "the weights are told now"
assert given == ["Tensor(float)"]
types = {one for both in of_eight_bits.values() for some in both for one in some if "Tensor" in one}
print("tensors of any kind:", sorted(types))
assert types == {"Tensor(float)", "Tensor(int)"}
PYTHON
