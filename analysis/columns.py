"""Columns that several tables share, each defined once."""

from __future__ import annotations

from adscale.tables import integer, join, real, text

METHOD = join(
    text("method", means="your label in `methods:` of the configuration"),
    text("variant", means="implementation and precision"),
)
"""Which method, and how it is executed."""

SIZE = join(
    integer("resolution_px", means="side length of the square input image"),
    integer("pixels", means="its square", unit="pixels"),
)
"""Columns of the image."""

SUBMODULE = text("submodule", means="the part of the inference that the row is of, see `role`")

RUN = join(
    text("device", means="your name for the hardware of a run"),
    text("device_type", means="`cpu` or `cuda`"),
    text("hardware", means="model of the GPU, on a CPU device of the CPU"),
    METHOD,
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
    means="processes with a time, and measured images of all of them together; several calls in "
    "one image are added up. Images in which a submodule launches no kernel have no span",
)

MEAN = real(
    "mean_ms",
    "ci95_low_ms",
    "ci95_high_ms",
    means="mean over the images and the ends of its 95 % interval, the lower one never below 0. Of "
    "several processes the mean of their means, and Student's t over them",
)

BASIS = text("basis", means="`counted`, `fitted` or `extrapolated`")

INCOMPLETE = text(
    "incomplete",
    means="up to where a method of yours was counted, and why not further; null: everything is "
    "counted",
)
