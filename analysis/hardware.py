"""GPUs and image sensors of the configuration, which memory is read against."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adscale.errors import ArgumentError


@dataclass(frozen=True)
class Gpu:
    """A GPU with its nominal memory in GiB."""

    name: str
    memory_gib: float

    @property
    def label(self) -> str:
        """The text at its line."""
        return f"{self.name}, {self.memory_gib:g} GiB"


@dataclass(frozen=True)
class Sensor:
    """An image sensor with its pixels in millions."""

    name: str
    megapixels: float

    @property
    def side_px(self) -> float:
        """Side of the square image with as many pixels."""
        return 1000 * math.sqrt(self.megapixels)

    @property
    def label(self) -> str:
        """The text at its mark, in two lines."""
        return f"{self.name}\n{self.megapixels:.1f} MP"


@dataclass(frozen=True)
class Hardware:
    """The memories and sensors that are drawn as lines; none by default."""

    gpus: tuple[Gpu, ...] = ()
    sensors: tuple[Sensor, ...] = ()

    @classmethod
    def from_json(cls, text: str | None) -> Hardware:
        """Reads ``{"gpus": [{"name": …, "memory_gib": …}], "sensors": [{…, "megapixels": …}]}``.

        Args:
            text: the lists of the configuration; other keys of an entry, such as its source, are
                passed over. None: no lines.

        Raises:
            ArgumentError: the text does not have this form.
        """
        if text is None:
            return cls()
        try:
            lists = json.loads(text)
            gpus = tuple(Gpu(*_entry(gpu, "memory_gib")) for gpu in lists["gpus"])
            sensors = tuple(Sensor(*_entry(sensor, "megapixels")) for sensor in lists["sensors"])
        except (KeyError, TypeError, ValueError) as error:
            what = f"is not what config.yaml has ({type(error).__name__}: {error})"
            remedy = (
                'give {"gpus": [{"name": …, "memory_gib": …}], '
                '"sensors": [{"name": …, "megapixels": …}]} with positive numbers'
            )
            raise ArgumentError("--hardware", what, remedy) from None
        return cls(gpus, sensors)


def _entry(given: Mapping[str, Any], number: str) -> tuple[str, float]:
    size = float(given[number])
    if not (0 < size < math.inf):
        raise ValueError(f"{number} of {given['name']} is {size:g}")
    return str(given["name"]), size
