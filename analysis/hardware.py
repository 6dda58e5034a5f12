"""GPUs and image sensors of the configuration, which memory is read against."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from adscale import hardware_list
from adscale.errors import ArgumentError, ConfigError
from adscale.models import checked, read_json
from adscale.resolution import Resolution, sensor_resolution


@dataclass(frozen=True)
class Gpu:
    """A GPU with its nominal memory in GiB, which it shares with the CPU if that is unified."""

    name: str
    memory_gib: float
    unified_memory: bool = False

    @property
    def label(self) -> str:
        """The text at its line."""
        return f"{self.name}, {self.memory_gib:g} GiB{' unified' if self.unified_memory else ''}"


@dataclass(frozen=True)
class Sensor:
    """An image sensor with its pixels in millions, and in px where width and height are known."""

    name: str
    megapixels: float
    width_px: int | None = None
    height_px: int | None = None
    line_scan: bool = False

    @property
    def resolution(self) -> Resolution:
        """Its image; where only its megapixels are known the square with as many pixels."""
        return sensor_resolution(self.megapixels, self.width_px, self.height_px)

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
        """Reads ``{"gpus": [{"name": …, "memory_gib": …}], "sensors": [{…, "width_px": …}]}``.

        Args:
            text: the lists as in the configuration: entries, or names of config/hardware.yaml.
                None: no lines.

        Raises:
            ArgumentError: the text is no JSON, or an entry is not what the configuration has.
        """
        if text is None:
            return cls()
        try:
            lists = checked(hardware_list.HardwareLists, read_json(text))
            for fault in (
                *hardware_list.entry_errors("gpus", lists.gpus),
                *hardware_list.entry_errors("sensors", lists.sensors),
            ):
                raise fault
        except (ConfigError, ValueError) as error:
            remedy = (
                'give {"gpus": [{"name": …, "memory_gib": …}], '
                '"sensors": [{"name": …, "width_px": …, "height_px": …}]}'
            )
            what = f"is not what config.yaml has ({error})"
            raise ArgumentError("--hardware", what, remedy) from None
        return cls(tuple(map(_gpu, lists.gpus)), tuple(map(_sensor, lists.sensors)))


def listed_gpu(name: str) -> Gpu:
    """A GPU of config/hardware.yaml.

    Raises:
        ConfigError: there is none of this name, or the file cannot be used.
    """
    return _gpu(hardware_list.listed_entry("gpus", name, "--gpu", "give --vram-gib"))


def asked_sensor(text: str) -> Sensor:
    """A sensor by its name in config/hardware.yaml, or by its pixels, such as ``2448x2048``.

    Raises:
        ConfigError: there is none of this name, or the file cannot be used; or a side is none.
    """
    sides = re.fullmatch(r" *([0-9]+) *[xX×] *([0-9]+) *", text)
    if sides is None:
        otherwise = "give width x height in px, such as 2448x2048, or --sensor-mp"
        return _sensor(hardware_list.listed_entry("sensors", text, "--sensor", otherwise))
    width_px, height_px = (int(side) for side in sides.groups())
    given = {"name": f"{width_px}x{height_px}"[:40], "width_px": width_px, "height_px": height_px}
    return _sensor(checked(hardware_list.Sensor, given, "--sensor"))


def _gpu(entry: hardware_list.Entry) -> Gpu:
    return Gpu(**_values(entry))


def _sensor(entry: hardware_list.Entry) -> Sensor:
    return Sensor(**_values(entry))


def _values(entry: hardware_list.Entry) -> dict[str, Any]:
    values = hardware_list.entry_values(entry)
    return {key: values[key] for key in values if key != "source"}
