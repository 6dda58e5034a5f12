"""Whether the nsys of an image records the ranges of the nvtx of that image.

Run with the checkout in PYTHONPATH, while the image is built and by ``envs/image.sh check``.
Prints one line, to standard output where all is well, else to standard error with exit code 1.
"""

from __future__ import annotations

import os
import sys

from adscale.errors import CollectorError
from adscale.nsys_program import ENVIRONMENT_VARIABLE, find_nsys
from profiling.collectors.nsys import self_test


def main() -> int:
    """Tests the nsys on PATH, or where NVIDIA's packages install it."""
    os.environ.pop(ENVIRONMENT_VARIABLE, None)  # may name one of the host
    nsys = find_nsys(None)
    if nsys is None:
        return _fail("there is no nsys in this image", "build it with the argument NSYS_PACKAGE")
    try:
        result = self_test(nsys)
    except CollectorError as error:
        return _fail(str(error))
    if not result.ok:
        return _fail(result.reason)
    print(result.reason)
    return 0


def _fail(*said: str) -> int:
    print("self-test of nsys failed:", "; ".join(said), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
