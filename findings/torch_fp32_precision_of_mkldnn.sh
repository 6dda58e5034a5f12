#!/usr/bin/env bash
# torch.backends.mkldnn.fp32_precision is not a switch of oneDNN's alone.
#
# torch.backends.cudnn.fp32_precision sets cuDNN's switch. One would guess that the same name in mkldnn sets
# oneDNN's. It sets torch.backends.fp32_precision, the one that all backends fall back on, so a program that
# lets its CPU compute products in bfloat16 has changed what a GPU may do as well. The switch of one operator,
# torch.backends.mkldnn.matmul.fp32_precision, is what it seems to be.
#
# Seen: torch 2.14.1, Python 3.11. Fails if that changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.14.1 numpy

"$folder/venv/bin/python" - <<'PYTHON'
import torch
from torch import backends


def switches() -> tuple[str, str, str]:
    return backends.fp32_precision, backends.cudnn.fp32_precision, backends.mkldnn.matmul.fp32_precision


print(torch.__version__, "all, cudnn, products of mkldnn")
print("at first:", before := switches())
backends.mkldnn.matmul.fp32_precision = "bf16"
print("after mkldnn.matmul = bf16:", by_operator := switches())
backends.mkldnn.matmul.fp32_precision = "none"
backends.cudnn.fp32_precision = "tf32"
print("after cudnn = tf32:", by_cudnn := switches())
backends.cudnn.fp32_precision = "none"
backends.mkldnn.fp32_precision = "bf16"
print("after mkldnn = bf16:", by_mkldnn := switches())
assert before == ("none", "none", "none")
assert by_operator == ("none", "none", "bf16")
assert by_cudnn == ("none", "tf32", "none")
assert by_mkldnn[0] == "bf16"
PYTHON
