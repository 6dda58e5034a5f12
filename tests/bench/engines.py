"""What do precisions, layouts and engines gain, and how far are their results off?

Every variant has the weights of `reference-fp32`, sees the same image, and takes turns with it, an
inference each, in one process. Two neighbouring inferences give one ratio. Each block builds all
anew. Without `envs/engines.txt` the engines that are absent are left out, which is said.
`ADSCALE_BENCH_METHODS=PatchCore-10,DDAD-10` chooses methods, `ADSCALE_BENCH_VARIANTS` variants.
"""

from __future__ import annotations

import importlib.metadata
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch

from adscale.engines import (
    ENGINE_SPECS,
    PRUNING_PACKAGE,
    cpu_features,
    has_engine_files,
    machine_problem,
)
from adscale.methods.registry import check_settings, get_spec
from adscale.request import RunRequest, Sampling
from adscale.resolution import square
from adscale.variant import Variant
from profiling.engines.parts import cast
from profiling.engines.takeover import deviation, export, take_over
from profiling.fingerprint import hardware_name
from profiling.images import ImageSet
from profiling.methods.base import Method
from profiling.methods.loading import load_method_class
from tests.bench.ratios import median_interval


class Case(NamedTuple):
    """A method, and by how much the best variants of a kind should be faster.

    Attributes:
        target: the method.
        settings: of it.
        side_px: of the image.
        inferences: of each variant in a block.
        network: submodule whose time is meant; None: that of the whole image.
        least: ratio to be reached, by kind of variant.
    """

    target: str
    settings: Mapping[str, Any]
    side_px: int
    inferences: int
    network: str | None
    least: Mapping[str, float]


def _least(fp32: float, bf16: float, int8: float, **more: float) -> Mapping[str, float]:
    return {"fp32 engine": fp32, "bf16": bf16, "int8": int8, **more}


CASES: Mapping[str, Case] = {
    "EfficientAD-S": Case("efficientad", {"size": "S"}, 512, 3, None,
                          _least(1.6, 3.0, 6.0, optimized=1.4)),
    "EfficientAD-M": Case("efficientad", {"size": "M"}, 512, 1, None,
                          _least(1.45, 2.7, 5.0, optimized=1.2)),
    "PatchCore-10": Case("patchcore", {"training_images": 20}, 512, 3, "feature_extraction",
                         _least(1.4, 2.9, 5.0)),
    "DDAD-10": Case("ddad", {}, 256, 1, "denoising_unet", _least(1.4, 2.2, 3.0)),
}  # fmt: skip
"""By label."""

VARIANTS = (
    "optimized-fp32", "optimized-fp32-channels_last", "optimized-fp32-compile",
    "optimized-fp32-onnxruntime", "optimized-fp32-openvino", "optimized-bf16",
    "optimized-bf16-channels_last", "optimized-bf16-openvino", "optimized-int8-onnxruntime",
    "optimized-int8-openvino", "optimized-fp32-pruned50",
)  # fmt: skip
BASE = Variant("reference", "fp32")
CALIBRATION_IMAGES = 3
FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


def main(rounds: int) -> None:
    """Prints a table per method; a round is a block."""
    packages = {name for spec in ENGINE_SPECS.values() for name in spec.packages.get("cpu", ())}
    packages |= {"nncf", PRUNING_PACKAGE}
    named = os.environ.get("ADSCALE_BENCH_VARIANTS", ",".join(VARIANTS)).split(",")
    methods = os.environ.get("ADSCALE_BENCH_METHODS", ",".join(CASES)).split(",")
    variants = [one for one in map(Variant.of, named) if _is_here(one)]
    versions = [f"torch {torch.__version__}", *sorted(filter(None, map(_version, packages)))]
    features = [name for name in FEATURES if name in cpu_features()]
    print(f"{hardware_name('cpu')} ({', '.join(features)}), {torch.get_num_threads()} threads")
    print(f"{', '.join(versions)}; reference-fp32 / variant: above 1 the variant is faster")
    for label in methods:
        case = CASES[label]
        print(f"\n{label}, {case.side_px} px, {rounds} blocks of {case.inferences} inferences each")
        of_network = f", and of {case.network}" if case.network else ""
        print(f"ratios of the whole image{of_network}")
        print(
            f"{'variant':<30}{'ms':>8}{'ratio':>7}{'interval':>14}{'network':>9}{'interval':>14}"
            f"{'≥':>6}{'deviation':>11}{'export s':>10}"
        )
        with TemporaryDirectory() as folder:
            requests = [_request(case, one) for one in (BASE, *variants)]
            export_s = {str(one.variant): _exported(one, Path(folder)) for one in requests}
            blocks = [_block(requests, Path(folder), case) for _ in range(rounds)]
        for variant in variants:
            _print_row(variant, blocks, case, export_s[str(variant)])


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


def _request(case: Case, variant: Variant) -> RunRequest:
    return RunRequest(
        device="bench", device_type="cpu", method="bench", target=case.target,
        settings=check_settings(get_spec(case.target), case.settings), variant=variant,
        resolution=square(case.side_px), seed=0, threads=torch.get_num_threads(), images=None,
        sampling=Sampling(1, 1, 1, None), collector="none",
    )  # fmt: skip


def _built(request: RunRequest) -> Method:
    method = load_method_class(get_spec(request.target)).build(
        request.settings,
        resolution=request.resolution,
        implementation=request.variant.implementation,
        seed=0,
    )
    method.move_to(request.device_type)
    return method


def _exported(request: RunRequest, folder: Path) -> float | None:
    """Seconds that it took; None: there is nothing to export."""
    if not has_engine_files(request.variant):
        return None
    method, images = _built(request), ImageSet.photographs()
    image = method.prepare(images[0])
    count = CALIBRATION_IMAGES if request.variant.precision == "int8" else 0
    calibration = [method.prepare(images[number]) for number in range(count)]
    place = folder / str(request.variant)
    place.mkdir()
    began_s = time.perf_counter()
    export(method, get_spec(request.target), request, image, place, calibration)
    return time.perf_counter() - began_s


def _ready(request: RunRequest, folder: Path) -> Method:
    method, spec = _built(request), get_spec(request.target)
    if not has_engine_files(request.variant):
        cast(method, spec.parts, request.variant)
    else:
        with torch.inference_mode():
            take_over(method, spec, request, folder / str(request.variant))
    return method


def _block(requests: Sequence[RunRequest], folder: Path, case: Case) -> dict[str, Any]:
    methods = {str(one.variant): _ready(one, folder) for one in requests}
    images = ImageSet.photographs()
    base = methods.pop(str(BASE))
    _, expected = _infer(base, images, 0, case.network)
    block: dict[str, Any] = {}
    for name, method in methods.items():
        _, found = _infer(method, images, 0, case.network)
        times = []
        for number in range(case.inferences):
            turns = [base, method][:: (-1) ** number]
            taken = {id(one): _infer(one, images, number, case.network)[0] for one in turns}
            times.append((*taken[id(base)], *taken[id(method)]))
        block[name] = {"times": times, "deviation": deviation([found], [expected])}
    return block


def _infer(
    method: Method, images: ImageSet, number: int, network: str | None
) -> tuple[tuple[float, float], torch.Tensor]:
    """Times in ms, of the whole image and of a submodule, and the map."""
    image = method.prepare(images[number])
    own_s = 0.0

    @contextmanager
    def clock(name: str) -> Iterator[None]:
        nonlocal own_s
        start_s = time.perf_counter()
        yield
        own_s += (time.perf_counter() - start_s) * (name == network)

    with torch.inference_mode():
        start_s = time.perf_counter()
        found = method.infer(image, clock).anomaly_map
        taken_s = time.perf_counter() - start_s
    assert found is not None
    return (taken_s * 1e3, own_s * 1e3), found


def _print_row(
    variant: Variant, blocks: list[dict[str, Any]], case: Case, export_s: float | None
) -> None:
    name = str(variant)
    times = [np.array(block[name]["times"]) for block in blocks]
    whole = median_interval([one[:, 0] / one[:, 2] for one in times])
    network = case.network and median_interval([one[:, 1] / one[:, 3] for one in times])
    off = max(block[name]["deviation"] for block in blocks)
    own_ms = np.median(np.concatenate([one[:, 2] for one in times]))
    words = [f"{found[0]:>7.2f}{f'{found[1]:.2f}–{found[2]:.2f}':>14}" if found else " " * 21
             for found in (whole, network)]  # fmt: skip
    least = case.least.get(_kind(variant))
    print(
        f"{name:<30}{own_ms:>8.1f}{words[0]}  {words[1]}{'' if least is None else least:>6}"
        f"{off:>11.1e}{'' if export_s is None else f'{export_s:.1f}':>10}",
        flush=True,
    )


def _kind(variant: Variant) -> str:
    """Among which variants the best has to reach a ratio."""
    if variant.pruned_percent:
        return "pruned"
    if variant.precision != "fp32":
        return variant.precision
    return "optimized" if variant.is_plain else "fp32 engine"
