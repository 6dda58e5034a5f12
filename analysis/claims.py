"""The claims of the paper, held against counts: the tables that `analysis claims` prints."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from adscale.memory_record import SubmoduleCount
from adscale.names import PAPER_SIDES_PX

from .columns import WHOLE_METHOD
from .fits.quadratic import COEFFICIENTS, fit_quadratic
from .memory_extrapolation import paper_sides
from .memory_table import Count
from .numbers import percent


def is_judged(sizes: Mapping[int, int], fitted_px: Sequence[int]) -> bool:
    """Whether there is a parabola, something it is of, and a side beyond it.

    Args:
        sizes: what is counted, by the side in px.
        fitted_px: the sides that the parabola goes through.
    """
    enough = len(fitted_px) >= COEFFICIENTS and max(sizes) > max(fitted_px)
    return enough and all(sizes[side_px] for side_px in fitted_px)


def growth_rows(sizes: Mapping[int, int], fitted_px: Sequence[int]) -> Iterator[tuple[str, ...]]:
    """Return for each side beyond: R² of the parabola, the side, errors of two laws, the power.

    The laws are a + b·s + c·s² (the paper's) and a + b·s² + c·s⁴, both by least squares. The power
    is that with which the counts grow from the side before. R² is null where nothing varies, the
    others are where nothing is counted.
    """
    values = [sizes[side_px] for side_px in fitted_px]
    parabola = fit_quadratic(fitted_px, values)
    quartic = fit_quadratic([side_px**2 for side_px in fitted_px], values)
    before_px = max(fitted_px)
    for side_px in sorted(side_px for side_px in sizes if side_px > max(fitted_px)):
        counted = sizes[side_px]
        if not counted:
            yield "–", str(side_px), "–", "–", "–"
            continue
        power = math.log(counted / sizes[before_px]) / math.log(side_px / before_px)
        r_squared = parabola.r_squared
        yield (
            "–" if r_squared is None else f"{r_squared:.4f}",
            str(side_px),
            _percent(float(parabola.predict(side_px)) / counted - 1),
            _percent(float(quartic.predict(side_px**2)) / counted - 1),
            f"{power:.2f}",
        )
        before_px = side_px


def _percent(share: float) -> str:
    return percent(share, 1).replace("%", " %")


FLOAT_BYTES = 4
MIB = 2**20
GIB = 2**30
GIGA = 10**9
CONVENTIONS = ("convolution", "not_in_place", "leaf", "torchsummary")
"""Ways to count activations beside the paper's, as in `memory.json`."""

RECONSTRUCTION = "denoising_unet"
EXTRACTION = "feature_extraction"
"""The submodules between which the paper has its ratio of 3.69."""


NAMES = ("method", "variant")


class Table(NamedTuple):
    """A table of text.

    Attributes:
        title: what is counted, with its unit.
        head: names of the columns.
        rows: cells, as they are printed.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def layers_table(counts: Sequence[Count]) -> Table:
    """Layers and parameters of each submodule, at the smallest resolution counted.

    A layer is a module without children that is called: activation functions, poolings, Dropout
    and Upsample are layers, as the paper counts them.
    """
    rows = []
    for names, group in _runs(counts):
        for part in next(group).content.submodules:
            layers = part.leaf_modules
            parameters = part.parameters_bytes // FLOAT_BYTES
            shown = "–" if layers is None else str(layers)
            rows.append((*names, part.submodule, shown, f"{parameters:,}"))
    return Table(
        "Layers (modules without children) and parameters",
        (*NAMES, "submodule", "layers", "parameters"),
        rows,
    )


def activations_table(counts: Sequence[Count]) -> Table:
    """Sums of the outputs of modules in MiB, by convention, of submodules that have any."""
    rows = [
        (
            *_names(count),
            str(count.resolution),
            part.submodule,
            *(f"{size / MIB:,.2f}" for size in _by_convention(part)),
        )
        for count, part in _parts(counts)
        if part.activations_bytes
    ]
    return Table(
        "Activations in MiB, by what counts as one",
        (*NAMES, "px", "submodule", "paper", *_words(CONVENTIONS)),
        rows,
    )


def ratios_table(counts: Sequence[Count]) -> Table:
    """Activations of DDAD's U-Net over those of a feature extraction, one pass of each."""
    rows = []
    for over, unet in _parts(counts, RECONSTRUCTION):
        for under, network in _parts(counts, EXTRACTION):
            if (under.variant, under.resolution) == (over.variant, over.resolution):
                sizes = zip(_by_convention(unet), _by_convention(network), strict=True)
                ratios = (f"{above / below:.3f}" for above, below in sizes)
                names = (over.method, under.method, over.variant)
                rows.append((*names, str(over.resolution), *ratios))
    return Table(
        f"Activations of {RECONSTRUCTION} over those of {EXTRACTION}, one pass of each",
        (RECONSTRUCTION, EXTRACTION, "variant", "px", "paper", *_words(CONVENTIONS)),
        rows,
    )


def flops_table(counts: Sequence[Count], tflop_per_s: float | None) -> Table:
    """GFLOP of each submodule, its share, and the least time at a rate of 10¹² FLOP/s."""
    rows = []
    for count in counts:
        parts = count.content.submodules
        whole = sum(part.flops for part in parts)
        for name, flops in [*((p.submodule, p.flops) for p in parts), (WHOLE_METHOD, whole)]:
            share = f"{100 * flops / whole:.1f} %" if whole else "–"
            cells = [*_names(count), str(count.resolution), name]
            cells += [f"{flops / GIGA:,.2f}", share]
            if tflop_per_s is not None:
                cells.append(f"{flops / GIGA / tflop_per_s:,.2f}")
            rows.append(cells)
    title, head = "GFLOP of one inference", [*NAMES, "px", "submodule", "gflop", "share"]
    if tflop_per_s is not None:
        title += f", and the least time at {tflop_per_s:g} TFLOP/s"
        head.append("least_ms")
    return Table(title, head, rows)


def growth_table(counts: Sequence[Count]) -> Table:
    """The paper's parabola through counts up to 1024 px, against the counts beyond."""
    rows = []
    for names, group in _runs(counts):
        for quantity, submodule, sizes in _series(list(group)):
            fitted_px = paper_sides(sizes)
            if is_judged(sizes, fitted_px):
                head = (quantity, *names, submodule)
                rows += [(*head, *row) for row in growth_rows(sizes, fitted_px)]
    return Table(
        f"Parabola through counts from {PAPER_SIDES_PX[0]} to {PAPER_SIDES_PX[-1]} px, against "
        "counts beyond; quartic: a + b·s² + c·s⁴",
        (
            *("quantity", *NAMES, "submodule"),
            *("r_squared", "at_px", "error", "quartic_error", "power"),
        ),
        rows,
    )


def totals_table(counts: Sequence[Count]) -> Table:
    """Memory of whole methods in GiB: by the paper's equation 1, and what a device must hold."""
    rows = []
    for count in counts:
        parts = count.content.submodules
        held = sum(part.parameters_bytes + part.buffers_bytes for part in parts)
        activations = sum(part.activations_bytes for part in parts)
        sizes = (held, activations, held + activations, count.content.needed_bytes)
        cells = (f"{size / GIB:,.2f}" for size in sizes)
        rows.append((*_names(count), str(count.resolution), *cells))
    return Table(
        "Memory in GiB: paper's equation 1 (held and activations), and what a device must hold",
        (*NAMES, "px", "held", "activations", "equation_1", "needed"),
        rows,
    )


def _names(count: Count) -> tuple[str, str]:
    return count.method, count.variant


def _runs(counts: Sequence[Count]) -> Iterator[tuple[tuple[str, str], Iterator[Count]]]:
    """The counts of each method and variant, by the side in px, as `read_counts` sorts them."""
    return groupby(counts, key=_names)


def _by_convention(part: SubmoduleCount) -> list[int]:
    return [part.activations_bytes, *(getattr(part.conventions, name) for name in CONVENTIONS)]


def _words(names: Sequence[str]) -> list[str]:
    return [name.replace("_", " ") for name in names]


def _parts(
    counts: Sequence[Count], submodule: str | None = None
) -> Iterator[tuple[Count, SubmoduleCount]]:
    for count in counts:
        for part in count.content.submodules:
            if submodule in (None, part.submodule):
                yield count, part


def _series(counts: Sequence[Count]) -> Iterator[tuple[str, str, dict[int, int]]]:
    """Quantity, submodule, and its size by side of the squares that have that submodule.

    What a network does between its children may be there at some sizes only.
    """
    names = dict.fromkeys(part.submodule for _, part in _parts(counts))
    for quantity in ("activations", "peak", "flops"):
        for name in names:
            sizes = {
                count.resolution.width_px: _size(quantity, part)
                for count, part in _parts(counts, name)
                if count.resolution.is_square
            }
            yield quantity, name, sizes


def _size(quantity: str, part: SubmoduleCount) -> int:
    return {
        "activations": part.activations_bytes,
        "peak": part.peak.bytes,
        "flops": part.flops,
    }[quantity]
