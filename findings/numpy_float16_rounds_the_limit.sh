#!/usr/bin/env bash
# numpy compares a float16 with a Python number after rounding that number to float16.
#
# One would guess that 4096 <= 4095.0 is false whatever holds the 4096. Since numpy 2 a Python number takes the
# type of the array that it meets (NEP 50), so 4095.0 becomes float16's 4096, and the comparison is true: a
# check of a largest level, such as 4095 of 12 bits, lets one too high pass. float(level) first is right.
#
# Seen: numpy 2.4.6, Python 3.11. Fails if that changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6

"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np

level = np.array([4096], np.float16).max()
print(f"numpy {np.__version__}: float16 4096 <= 4095.0: {level <= 4095.0}; as a float: {float(level) <= 4095.0}")
assert level <= 4095.0
assert not float(level) <= 4095.0
PYTHON
