"""How all figures look: sizes, fonts and colours."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from adscale.errors import ArgumentError

MM_PER_INCH = 25.4

OKABE_ITO = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#8C8C8C",
)  # fmt: skip
"""Colours that remain apart for colour-blind readers (Okabe and Ito 2008), the black left out."""

PARAMETERS_COLOUR = "#D0D0D0"
SUBMODULE_COLOURS = {
    "teacher": "#0072B2",
    "student": "#E69F00",
    "autoencoder": "#009E73",
    "anomaly_map": "#CC79A7",
    "feature_extraction": "#56B4E9",
    "patch_embedding": "#D55E00",
    "nn_search": "#F0E442",
    "denoising_unet": "#0072B2",
}
"""Of the submodules that we know; two of one method never share a colour."""
METHOD_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


@dataclass(frozen=True)
class Style:
    """What the user may choose; see ``figures`` in the configuration."""

    width_mm: float = 130.0
    font_pt: float = 8.0
    png_dpi: int = 200

    @property
    def width_in(self) -> float:
        """Width in inches, as matplotlib wants it."""
        return self.width_mm / MM_PER_INCH

    @classmethod
    def from_json(cls, text: str | None) -> Style:
        """Reads ``{"width_mm": …}``; what is absent keeps its default.

        Raises:
            ArgumentError: the text is no JSON object with these keys.
        """
        if text is None:
            return cls()
        try:
            return cls(**json.loads(text))
        except (json.JSONDecodeError, TypeError) as error:
            allowed = ", ".join(cls.__dataclass_fields__)
            raise ArgumentError("--style", str(error), f"give a JSON object of {allowed}") from None


def submodule_colour(name: str) -> str:
    """The same colour for a submodule in every figure, also for one we do not know."""
    if name in SUBMODULE_COLOURS:
        return SUBMODULE_COLOURS[name]
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    return OKABE_ITO[number % len(OKABE_ITO)]


def darker(colour: str) -> str:
    """The colour as an ink that stands out from white paper."""
    parts = (int(int(colour[k : k + 2], 16) * 0.7) for k in (1, 3, 5))
    return "#" + "".join(f"{part:02X}" for part in parts)


def method_look(number: int) -> dict[str, Any]:
    """Colour and marker of the method that comes at this place in the tables."""
    return {
        "color": OKABE_ITO[number % len(OKABE_ITO)],
        "marker": METHOD_MARKERS[number % len(METHOD_MARKERS)],
    }


def rc_parameters(style: Style) -> dict[str, Any]:
    """Matplotlib settings; fonts are embedded, and ``$`` in a user's label is only a character."""
    return {
        "font.size": style.font_pt,
        "axes.titlesize": style.font_pt,
        "legend.fontsize": style.font_pt - 1,
        "xtick.labelsize": style.font_pt - 1,
        "ytick.labelsize": style.font_pt - 1,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "grid.color": "#DDDDDD",
        "grid.linewidth": 0.5,
        "hatch.linewidth": 0.4,
        "legend.frameon": False,
        "lines.linewidth": 1.2,
        "lines.markersize": 4,
        "pdf.fonttype": 42,
        "text.parse_math": False,
    }
