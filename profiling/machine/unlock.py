"""``python -m profiling.machine.unlock UUID``: leaves a GPU's clock to its driver at the end.

The end is that of the process that started this one; see ``profiling.machine.guardian``.
"""

from __future__ import annotations

import sys

from .guardian import restore_at_end
from .nvml import open_gpu


def main(uuid: str) -> None:
    """Opens the GPU first: a guardian that could not act shall not come up."""
    with open_gpu(uuid) as gpu:
        restore_at_end(gpu.unlock_sm_clock)


if __name__ == "__main__":
    main(sys.argv[1])
