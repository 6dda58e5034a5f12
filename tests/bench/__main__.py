"""`python -m tests.bench [NAME …]`: runs the benches of that name, or all."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from tests.bench import (
    annotation,
    attribution,
    banks,
    collectors,
    depth,
    engines,
    fits,
    forked,
    implementations,
    machine,
    memory,
    networks,
    scale,
    statistics,
    truth,
)

BENCHES: dict[str, Callable[[int], None]] = {
    "collectors": collectors.main,
    "forked": forked.main,
    "implementations": implementations.main,
    "engines": engines.main,
    "banks": banks.main,
    "memory": memory.main,
    "networks": networks.main,
    "attribution": attribution.main,
    "annotation": annotation.main,
    "depth": depth.main,
    "statistics": statistics.main,
    "fits": fits.main,
    "truth": truth.main,
    "machine": machine.main,
    "scale": scale.main,
}


def main() -> None:
    """Runs benches one after the other."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHES))
    parser.add_argument("--rounds", type=int, default=16, help="repetitions of each comparison")
    options = parser.parse_args()
    for name in options.names or BENCHES:
        print(f"## {name}")
        BENCHES[name](options.rounds)


if __name__ == "__main__":
    main()
