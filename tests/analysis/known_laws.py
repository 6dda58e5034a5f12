"""A generated study of all methods on a GPU: every submodule follows a law that is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from adscale.methods.registry import get_spec
from tests.gpu_profiles import GpuRun, write_gpu_run
from tests.memory_documents import Count, Part, per_pixel

STUDY_PX = (256, 384, 512, 640, 768, 896, 1024)
COUNTED_PX = (*STUDY_PX, 1536, 2048, 2560, 3000)
LAST_PX = 3000
NOISE = 0.01
DEVICE = "generated"
METHODS = {"PatchCore-10": "patchcore", "EfficientAD-M": "efficientad", "DDAD-10": "ddad"}
VARIANTS = {"reference-fp32": 1.0, "optimized-fp32": 0.6}
"""With the time relative to the reference's."""

Law = Callable[[float], float]
"""ms at g, the pixels over those of 1024 px."""

LAWS: dict[str, Law] = {
    "patchcore feature_extraction": lambda g: max(1.2, 0.3 + 4 * g),
    "patchcore patch_embedding": lambda g: 0.05 + 0.8 * g,
    "patchcore nn_search": lambda g: 0.1 + 0.6 * g + 5 * g**2,
    "patchcore anomaly_map": lambda g: 0.02 + 0.1 * g,
    "efficientad teacher": lambda g: 0.1 + 5 * g,
    "efficientad student": lambda g: 0.1 + 6 * g,
    "efficientad autoencoder": lambda g: max(0.5, 0.1 + 1.6 * g),
    "efficientad anomaly_map": lambda g: 0.05 + 0.4 * g,
    "ddad denoising_unet": lambda g: 2 + 20 * g + 14 * g**2,
    "ddad feature_extraction": lambda g: 0.4 + 3 * g,
    "ddad anomaly_map": lambda g: 0.05 + 0.3 * g,
}
"""By target and submodule."""


def true_ms(target: str, submodule: str, side_px: int) -> float:
    """The law's value, of the reference."""
    return LAWS[f"{target} {submodule}"]((side_px / 1024) ** 2)


def write_study(root: Path, sides_px: Sequence[int]) -> tuple[list[Path], list[Path]]:
    """Profiles, `run.json` and `memory.json` of all methods.

    Returns:
        the folders of the runs, and the counts.
    """
    random = np.random.default_rng(5)
    folders, counts = [], []
    for method, target in METHODS.items():
        for variant, share in VARIANTS.items():
            for side_px in sides_px:
                folder = root / DEVICE / method / variant / str(side_px)
                names = get_spec(target).submodules
                means_ms = {
                    name: share * true_ms(target, name, side_px) * (1 + NOISE * random.normal())
                    for name in names
                }
                run = GpuRun(
                    method, side_px, names, _work(means_ms), variant=variant, device=DEVICE
                )
                write_gpu_run(folder, run)
                folders.append(folder)
            counts.append(_write_counts(root, method, target, variant))
    return folders, counts


def _work(means_ms: dict[str, float]) -> Callable[[str, int], int]:
    """Five images, of which the outermost differ from the mean by 1 %; without a drift."""
    return lambda name, image: (
        round(means_ms[name] * 1e6 * (0.99 + 0.005 * (3 * image % 5)) / 4) * 4
    )


def _write_counts(root: Path, method: str, target: str, variant: str) -> Path:
    spec = get_spec(target)
    parts = [
        Part(
            name,
            activations=per_pixel(200 + 100 * number),
            peak=per_pixel(60),
            flops=per_pixel(1000),
            complexity=spec.complexity[name],
        )
        for number, name in enumerate(spec.submodules)
    ]
    file = root / "counts" / method / variant / "memory.json"
    return Count(method, parts, variant).write(file, COUNTED_PX)


def analyse(root: Path, folders: Sequence[Path], counts: Sequence[Path]) -> None:
    """From profiles to tables and figures by the commands that the workflow calls."""
    from analysis.__main__ import main

    def run(*arguments: object) -> None:
        assert main([str(argument) for argument in arguments]) == 0

    for folder in folders:
        run(
            "attribute", folder / "profile.sqlite", "--run", folder / "run.json",
            "-o", folder / "ranges.parquet",
        )  # fmt: skip
    table = {name: root / f"{name}.csv" for name in (
        "runtime", "memory", "memory_methods", "fits", "fit_models", "fit_curves",
        "implementations", "memory_extrapolation",
    )}  # fmt: skip
    both = ("--runtime", table["runtime"], "--memory", table["memory"])
    last = ("--extrapolate-to", LAST_PX)
    run("summarize", *folders, "-o", table["runtime"])
    run("memory", *counts, "-o", table["memory"])
    run("fit", *both, *last, "-o", table["fits"])
    run("implementations", *both, "-o", table["implementations"])
    run("extrapolation", *both[2:], *last, "-o", table["memory_extrapolation"])
    options = (part for name, path in table.items() if name not in {"runtime", "memory"}
               for part in (f"--{name.replace('_', '-')}", path))  # fmt: skip
    only = (part for name in FIGURES for part in ("--only", name))
    run("figures", *both, *options, *only, "--hardware", HARDWARE, "-o", root / "figures")


FIGURES = [
    f"launch_bound_{DEVICE}_reference-fp32",
    *(
        f"{kind}_{DEVICE}_{method}_{ending}"
        for kind, ending in (
            ("clocks", "reference-fp32"),
            ("fit_check", "reference-fp32"),
            ("implementations", "fp32"),
        )
        for method in METHODS
    ),
]
"""Those that show what these runs have and small studies do not; test_study draws all kinds."""

HARDWARE = (
    '{"gpus": [{"name": "RTX 4090", "memory_gib": 24}, {"name": "L4", "memory_gib": 24.5}], '
    '"sensors": [{"name": "IMX264", "megapixels": 5.07}, {"name": "IMX304", "megapixels": 12.4}]}'
)
