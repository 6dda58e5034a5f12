"""What do precisions, layouts and engines gain, and how far are their results off?

Every variant has the weights of `reference-fp32`, sees the same image, and takes turns with it, an
inference each, in one process. Two neighbouring inferences give one ratio. Each block builds all
anew. Without `envs/engines.txt` the engines that are absent are left out, which is said.
"""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from adscale.engines import ENGINE_SPECS, cpu_features, machine_problem
from adscale.methods.registry import check_settings, get_spec
from adscale.request import RunRequest, Sampling
from adscale.resolution import square
from adscale.variant import EAGER, Variant
from profiling.annotation import no_range
from profiling.engines.parts import cast
from profiling.engines.takeover import deviation, export, take_over
from profiling.fingerprint import hardware_name
from profiling.images import ImageSet
from profiling.methods.base import Method
from profiling.methods.loading import load_method_class
from tests.bench.ratios import median_interval

CASES: Mapping[str, tuple[str, Mapping[str, Any], int, int]] = {
    "EfficientAD-S": ("efficientad", {"size": "S"}, 512, 3),
    "EfficientAD-M": ("efficientad", {"size": "M"}, 512, 1),
    "PatchCore-10": ("patchcore", {"training_images": 20}, 512, 3),
    "DDAD-10": ("ddad", {}, 256, 1),
}
"""By label: target, settings, side in px, and inferences of each variant per block."""

VARIANTS = (
    "optimized-fp32", "optimized-fp32-channels_last", "optimized-fp32-compile",
    "optimized-fp32-onnxruntime", "optimized-fp32-openvino", "optimized-bf16",
    "optimized-bf16-channels_last", "optimized-bf16-openvino",
)  # fmt: skip
BASE = Variant("reference", "fp32")
FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


def main(rounds: int) -> None:
    """Prints a table per method; a round is a block."""
    packages = {name for spec in ENGINE_SPECS.values() for name in spec.packages}
    versions = [f"torch {torch.__version__}", *sorted(filter(None, map(_version, packages)))]
    features = [name for name in FEATURES if name in cpu_features()]
    print(f"{hardware_name('cpu')} ({', '.join(features)}), {torch.get_num_threads()} threads")
    print(f"{', '.join(versions)}; reference-fp32 / variant: above 1 the variant is faster")
    for label, (target, settings, side_px, per_block) in CASES.items():
        variants = [one for one in map(Variant.of, VARIANTS) if _is_here(one)]
        print(f"\n{label}, {side_px} px, {rounds} blocks of {per_block} inferences each")
        print(
            f"{'variant':<32}{'ms':>9}{'ref./variant':>14}{'interval':>17}{'deviation':>11}"
            f"{'export s':>10}"
        )
        with TemporaryDirectory() as folder:
            requests = [_request(target, settings, side_px, one) for one in (BASE, *variants)]
            export_s = {str(one.variant): _exported(one, Path(folder)) for one in requests}
            blocks = [_block(requests, Path(folder), per_block) for _ in range(rounds)]
        for variant in variants:
            _print_row(str(variant), blocks, export_s[str(variant)])


def _version(name: str) -> str | None:
    try:
        return f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return None


def _is_here(variant: Variant) -> bool:
    problem = machine_problem(variant)
    if problem is not None:
        print(f"left out: {problem.what}")
    return problem is None


def _request(
    target: str, settings: Mapping[str, Any], side_px: int, variant: Variant
) -> RunRequest:
    return RunRequest(
        device="bench", device_type="cpu", method="bench", target=target,
        settings=check_settings(get_spec(target), settings), variant=variant,
        resolution=square(side_px), seed=0, threads=torch.get_num_threads(), images=None,
        sampling=Sampling(1, 1, 1, None), collector="none",
    )  # fmt: skip


def _built(request: RunRequest) -> Method:
    return load_method_class(get_spec(request.target)).build(
        request.settings,
        resolution=request.resolution,
        implementation=request.variant.implementation,
        seed=0,
    )


def _exported(request: RunRequest, folder: Path) -> float | None:
    """Seconds that it took; None: there is nothing to export."""
    if request.variant.engine == EAGER:
        return None
    method = _built(request)
    image = method.prepare(ImageSet.photographs()[0])
    place = folder / str(request.variant)
    place.mkdir()
    began_s = time.perf_counter()
    export(method, get_spec(request.target), request, image, place)
    return time.perf_counter() - began_s


def _ready(request: RunRequest, folder: Path) -> Method:
    method, spec = _built(request), get_spec(request.target)
    if request.variant.engine == EAGER:
        cast(method, spec.parts, request.variant)
    else:
        with torch.inference_mode():
            take_over(method, spec, request, folder / str(request.variant))
    return method


def _block(requests: Sequence[RunRequest], folder: Path, inferences: int) -> dict[str, Any]:
    methods = {str(one.variant): _ready(one, folder) for one in requests}
    images = ImageSet.photographs()
    base = methods.pop(str(BASE))
    _, expected = _infer(base, images, 0)
    block: dict[str, Any] = {}
    for name, method in methods.items():
        _, found = _infer(method, images, 0)
        times = []
        for number in range(inferences):
            turns = [base, method][:: (-1) ** number]
            taken = {id(one): _infer(one, images, number)[0] for one in turns}
            times.append((taken[id(base)], taken[id(method)]))
        block[name] = {"times": times, "deviation": deviation([found], [expected])}
    return block


def _infer(method: Method, images: ImageSet, number: int) -> tuple[float, torch.Tensor]:
    image = method.prepare(images[number])
    with torch.inference_mode():
        start_s = time.perf_counter()
        found = method.infer(image, no_range).anomaly_map
        taken_ms = (time.perf_counter() - start_s) * 1e3
    assert found is not None
    return taken_ms, found


def _print_row(name: str, blocks: list[dict[str, Any]], export_s: float | None) -> None:
    times = [np.array(block[name]["times"]) for block in blocks]
    ratio, low, high = median_interval([one[:, 0] / one[:, 1] for one in times])
    off = max(block[name]["deviation"] for block in blocks)
    own_ms = np.median(np.concatenate([one[:, 1] for one in times]))
    print(
        f"{name:<32}{own_ms:>9.1f}{ratio:>14.2f}{f'{low:.2f} to {high:.2f}':>17}{off:>11.1e}"
        f"{'' if export_s is None else f'{export_s:.1f}':>10}",
        flush=True,
    )
