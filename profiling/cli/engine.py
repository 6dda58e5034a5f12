"""``python -m profiling engine``: exports the networks of a run. ``run`` starts it."""

from __future__ import annotations

import argparse
from contextlib import ExitStack, suppress
from pathlib import Path

from adscale.errors import UserError, one_line
from adscale.files import write_text
from adscale.names import PROBLEM_NAME
from adscale.parts import COMMANDS
from adscale.request import RunRequest

from ..lock import measurement_lock
from .measure import gpu_key

CALIBRATION_IMAGES = 10
"""From which int8 has the ranges of its numbers, at most."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand."""
    parser = subparsers.add_parser("engine", help=COMMANDS["profiling"]["engine"])
    parser.add_argument("--request", required=True, help="the run, as JSON")
    parser.add_argument("--out", required=True, type=Path, help="folder for the files")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Holds the lock of the CPU, which exporting keeps busy, and that of the GPU, and exports.

    Raises:
        UserError: the images, weights or settings cannot be used, or the engine does not take a
            network.
    """
    request = RunRequest.from_json(args.request)
    folder: Path = args.out.absolute()
    holder = f"export of {request.method}/{request.variant}/{request.resolution}"
    try:
        with ExitStack() as held:
            if request.device_type == "cuda":  # where it is tried out, and TensorRT times kernels
                held.enter_context(measurement_lock(gpu_key(request.gpu), holder))
            held.enter_context(measurement_lock("cpu", holder))
            _export(request, folder)
    except Exception as error:
        with suppress(OSError):
            write_text(folder / PROBLEM_NAME, _said(request, error))
        raise
    return 0


def _said(request: RunRequest, error: Exception) -> str:
    if isinstance(error, UserError):
        return one_line(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = (lines or [type(error).__name__])[0][:300]
    return f"{request.variant.engine} does not take a network of {request.method}: {said}"


def _export(request: RunRequest, folder: Path) -> None:
    # torch comes with them
    import torch

    from ..engines.takeover import export
    from ..image_reading import decode_as, limit_images
    from ..images import ImageSet
    from ..runner import built, resolved

    limit_images(request.max_image_megapixels)
    decode_as(request.decoding)
    images = ImageSet.open(request.images)
    spec, request = resolved(request)
    method = built(request, spec)
    batch = request.variant.batch

    def prepared(number: int) -> torch.Tensor:
        indices = range(number * batch, (number + 1) * batch)
        joined = torch.cat([method.prepare(images[index]) for index in indices])
        return joined.to(request.device_type)

    quantises = request.variant.precision == "int8"
    count = max(1, min(len(images), CALIBRATION_IMAGES) // batch) if quantises else 0
    calibration = [prepared(number) for number in range(count)]
    export(method, spec, request, prepared(0), folder, calibration)
