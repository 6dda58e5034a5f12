"""Does a search take the same time in a drawn memory bank as in a fitted one of the same size?

If so, `bank: synthetic` measures what a trained PatchCore costs. The bank is fitted to the
photographs that scikit-image ships; queries are the patches of one of them; both searches take
turns.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from adscale.resolution import square
from profiling.images import ImageSet
from profiling.methods.patchcore.embedding import closed_form_embedding
from profiling.methods.patchcore.method import PatchCore
from tests.bench.ratios import median_interval

SIDE_PX = 256
FRACTION = 0.5
PER_BLOCK = 5


def main(rounds: int) -> None:
    """Prints the ratio of both search times."""
    images = ImageSet.photographs()
    with tempfile.TemporaryDirectory() as name:
        for file in images.files:
            (Path(name) / file.name).symlink_to(file)
        fitted = _build(bank="fit", normal_images=name, coreset_fraction=FRACTION)
    drawn = _build(training_images=len(images), coreset_fraction=FRACTION)
    with torch.inference_mode():
        queries = closed_form_embedding(*fitted.stages(fitted.prepare(images[0])))
        blocks = [_block((fitted, drawn), queries) for _ in range(rounds + 1)][1:]
    ratio, low, high = median_interval([after / before for before, after in blocks])
    rows, dimension = fitted.search.bank.shape
    print(
        f"search of {len(queries)} queries in {rows} vectors of {dimension} values, CPU, "
        f"{torch.get_num_threads()} threads, {rounds} blocks of {PER_BLOCK} pairs"
    )
    print(f"fitted bank: median {np.median([before for before, _ in blocks]):.1f} ms")
    print(f"drawn / fitted: {ratio:.3f}, 95 % interval {low:.3f} to {high:.3f}")


def _build(**settings: object) -> PatchCore:
    return PatchCore.build(settings, resolution=square(SIDE_PX), implementation="reference", seed=0)


def _block(
    methods: tuple[PatchCore, PatchCore], queries: torch.Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """Times in ms of both, neighbours in the same place."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(PER_BLOCK):
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            start_s = time.perf_counter()
            methods[which].search(queries)
            times[which].append((time.perf_counter() - start_s) * 1e3)
    return np.array(times[0]), np.array(times[1])
