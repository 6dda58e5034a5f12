#!/usr/bin/env bash
# In an execution trace a layer under autocast stands twice, and the outer entry has the wrong type.
#
# torch's ExecutionTraceObserver, the reader's source for shapes and types of operators, records aten::conv2d
# with the caller's float32 tensors, and inside of it, as its child, aten::conv2d once more with the bfloat16
# tensors that autocast has made of them. The kernels run in bfloat16. Whoever takes the outermost entry of a
# layer calls the network float32; whoever counts entries by name counts each such layer twice. Without
# autocast there is one.
#
# Seen: torch 2.14.1, Python 3.11, CPU. Fails if that changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.14.1 numpy

FOLDER="$folder" "$folder/venv/bin/python" - <<'PYTHON'
import json
import os
from contextlib import nullcontext

import torch
from torch.profiler import ExecutionTraceObserver


def convolutions(around) -> list[dict]:
    file = os.path.join(os.environ["FOLDER"], "trace.json")
    layer, image = torch.nn.Conv2d(3, 4, 3), torch.ones(1, 3, 8, 8)
    observer = ExecutionTraceObserver().register_callback(file)
    observer.start()
    with torch.inference_mode(), around:
        layer(image)
    observer.stop()
    observer.unregister_callback()
    with open(file) as stream:
        nodes = json.load(stream)["nodes"]
    return sorted((node for node in nodes if node["name"] == "aten::conv2d"), key=lambda node: node["id"])


print(torch.__version__)
plain = convolutions(nullcontext())
outer, inner = convolutions(torch.autocast("cpu", dtype=torch.bfloat16))
for node in (*plain, outer, inner):
    print(node["id"], "in", node["ctrl_deps"], node["inputs"]["types"][:2])
assert len(plain) == 1
assert inner["ctrl_deps"] == outer["id"], "no longer nested"
assert outer["inputs"]["types"][0] == "Tensor(float)"
assert inner["inputs"]["types"][0] == "Tensor(c10::BFloat16)"
PYTHON
