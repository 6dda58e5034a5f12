#!/usr/bin/env bash
# The first operation on a tensor without contents imports torch's compiler.
#
# Tensors on the device "meta" are the cheap way to learn shapes and bytes of a network, and making one is
# cheap. The first addition of two of them, though, imports torch._dynamo and some 900 modules with it, which
# takes about a second of CPU, although nothing is compiled: Python kernels of the meta device are wrapped
# with torch._disable_dynamo. The same addition on the CPU imports nothing. A process that counts one small
# network pays more for this import than for the count, so many counts belong in one process.
#
# Seen: torch 2.14.1, Python 3.11: 893 modules. Fails if that changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.14.1 numpy

"$folder/venv/bin/python" - <<'PYTHON'
import sys
import time

import torch


def imported() -> tuple[int, bool]:
    return len(sys.modules), "torch._dynamo" in sys.modules


print(torch.__version__)
real = torch.ones(2, 3)
real + real
empty = torch.empty(2, 3, device="meta")
before = imported()
began = time.process_time()
empty + empty
after = imported()
print(f"{after[0] - before[0]} modules in {time.process_time() - began:.1f} s of CPU; dynamo {after[1]}")
assert not before[1], "the device alone imports it by now"
assert after[1] and after[0] - before[0] > 500, "the operation no longer imports it"
PYTHON
