"""Columns that several tables share, each defined once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adscale.resolution import Resolution
from adscale.tables import integer, join, real, text

if TYPE_CHECKING:
    import pandas as pd

METHOD = join(
    text("method", means="your label in `methods:` of the configuration"),
    text("variant", means="implementation and precision, with engine and options behind them: "
         "`-b8` for batches of 8 images"),
)  # fmt: skip
"""Which method, and how it is executed."""

BATCH = integer("batch", means="images of one inference, as the variant says")

SIZE = join(
    text("resolution", means="width × height of the input image in px, such as `2448x2048`; of a "
         "square its side, such as `1024`"),
    integer("width_px", "height_px", means="the same as numbers"),
    integer("pixels", means="their product", unit="pixels"),
    real("side_px", means="square root of the pixels: of a square its side"),
)  # fmt: skip
"""Columns of the image."""

BY_SIZE = ["pixels", "width_px"]
"""Columns by which rows are sorted from small images to large ones."""


def size_values(resolution: Resolution) -> dict[str, Any]:
    """Values of `SIZE`."""
    return {
        "resolution": str(resolution),
        "width_px": resolution.width_px,
        "height_px": resolution.height_px,
        "pixels": resolution.pixels,
        "side_px": resolution.side_px,
    }


def images_in(rows: pd.DataFrame) -> list[Resolution]:
    """The resolutions of a table, each once, small ones first."""
    return sorted(map(Resolution.of, rows["resolution"].dropna().unique()))


WHOLE_METHOD = "method"
"""Name of the sum over all submodules of a method, where theirs stand."""

SUBMODULE = text("submodule", means="the part of the inference that the row is of, see `role`")

RUN = join(
    text("device", means="your name for the hardware of a run"),
    text("device_type", means="`cpu` or `cuda`"),
    text("hardware", means="model of the GPU, on a CPU device of the CPU"),
    METHOD,
    BATCH,
    SIZE,
)
"""Which run a row is of."""

PART = join(
    RUN,
    SUBMODULE,
    text("role", means="`submodule`; `inner` for a range inside of one, which is part of "
         "it; `image` for a whole inference; `outside` for what surrounds "
         "it; `end_to_end`"),
)  # fmt: skip
"""Which run, and which part of it, a row is of."""

CLOCK = text("clock", means="by which the times of the row are measured, see above")

STATUS = text(
    "status",
    means="`ok`, `out_of_memory` or `predicted_out_of_memory`, see below; `failed` "
    "where nothing was measured for another reason, see `missing`",
)

COLLECTOR = text(
    "collector",
    "collector_version",
    means="what recorded the ranges; `none` for the clock `latency`",
)

SAMPLE = integer(
    "processes",
    "images",
    means="processes with a time, and measured images of all of them together, of which a batch "
    "counts as one; several calls in one image are added up. Images in which a submodule launches "
    "no kernel have no span",
)

MEAN = real(
    "mean_ms",
    "ci95_low_ms",
    "ci95_high_ms",
    means="mean over the images and the ends of its 95 % interval, the lower one never below 0. Of "
    "several processes the mean of their means, and Student's t over them. In batches it is per "
    "image, the time of a batch over its images; by the clock `latency` it is of the whole batch, "
    "since no image of it is done sooner. So are all times of the row",
)

BASIS = text("basis", means="`counted`, `fitted` or `extrapolated`")

INCOMPLETE = text(
    "incomplete",
    means="up to where a method of yours was counted, and why not further; null: everything is "
    "counted",
)
