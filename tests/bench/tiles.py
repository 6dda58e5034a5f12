"""A large image in tiles, by hand: what the plan says, what the process takes, and the map to see.

    python -m tests.bench.tiles efficientad 5472x3648 "{size: M, tiles: {size: 1024}}" map.png

The image is a photograph of scikit-image, enlarged, with a small black square near its middle
that was not there. Written are the joined map as an image (bright is anomalous), and beside it, as
.json, what was planned and what was seen. `make bench` does not run it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image

from adscale.methods.registry import check_settings, get_spec
from adscale.methods.spec import tile_plan
from adscale.resolution import Resolution
from profiling.images import ImageSet
from profiling.measured_memory import resident
from profiling.memory.counting import count_memory
from profiling.methods.loading import build_method, resolve

SQUARE = 1 / 64
"""Side of the black square, as a share of the image's height."""


def photograph(resolution: Resolution) -> Image.Image:
    """A photograph as large as the resolution, with the square."""
    size = (resolution.width_px, resolution.height_px)
    image = ImageSet.photographs()[0].convert("RGB").resize(size, Image.Resampling.BILINEAR)
    side = round(SQUARE * resolution.height_px)
    image.paste((0, 0, 0), (size[0] // 2, size[1] // 2, size[0] // 2 + side, size[1] // 2 + side))
    return image


class Times(dict[str, float]):
    """Sums of the times of ranges in s, by name."""

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self[name] = self.get(name, 0.0) + time.perf_counter() - start


def run(target: str, resolution: Resolution, settings_text: str, file: Path) -> None:
    """Inspects one image, and writes its map and what was seen."""
    spec = resolve(get_spec(target))
    implementation = spec.implementations[-1]
    settings = check_settings(spec, yaml.safe_load(settings_text))
    plan = tile_plan(spec, settings, resolution)
    count = count_memory(spec, settings, resolution=resolution, implementation=implementation)
    method = build_method(
        spec, settings, resolution=resolution, implementation=implementation, seed=0
    )
    image, times = method.prepare(photograph(resolution)), Times()
    before = resident()
    with torch.inference_mode(), times("image"):
        found = method.infer(image, times)
    assert found.anomaly_map is not None
    values = found.anomaly_map[0, 0].numpy()
    low, high = np.percentile(values, [1, 99.9])
    levels = np.clip((values - low) / (high - low), 0, 1) * 255
    Image.fromarray(levels.astype(np.uint8)).save(file)
    seen = {
        "target": target,
        "settings": settings,
        "resolution": str(resolution),
        "plan": None if plan is None else plan.words,
        "counted_mib": count.needed_bytes / 2**20,
        "resident_before_mib": (before.now_bytes or 0) / 2**20,
        "resident_peak_mib": (resident().peak_bytes or 0) / 2**20,
        "score": None if found.score is None else found.score.tolist(),
        "seconds": dict(times),
    }
    file.with_suffix(".json").write_text(json.dumps(seen, indent=1) + "\n")
    print(json.dumps(seen, indent=1))


if __name__ == "__main__":
    run(sys.argv[1], Resolution.of(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
