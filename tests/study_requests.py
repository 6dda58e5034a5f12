"""The request of a run of a generated study."""

from __future__ import annotations

import dataclasses
from typing import Any

from adscale.request import RunRequest, Sampling
from adscale.resolution import square


def plain_request(sampling: Sampling, **changes: Any) -> RunRequest:
    """EfficientAD-S on a GPU at 512 px, except for the changes."""
    plain = RunRequest(
        device="a", device_type="cuda", method="M", target="efficientad", settings={"size": "S"},
        variant="reference-fp32", resolution=square(512), seed=0, threads=4, images=None,
        sampling=sampling, collector="nsys",
    )  # fmt: skip
    return dataclasses.replace(plain, **changes)
