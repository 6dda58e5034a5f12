"""GPUs and image sensors: entries of a list, and the list of ``config/hardware.yaml``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from .errors import ConfigError
from .models import (
    CLOSED,
    EachOnce,
    Finite,
    Flag,
    Label,
    Side,
    Text,
    adapter,
    config_errors,
    jsonable,
    nearest,
)
from .parts import DATA
from .yaml_text import parse_yaml

HARDWARE_FILE = DATA / "config" / "hardware.yaml"
"""The list that studies take names from, and whose choice of them is judged by default."""

Kind = Literal["gpus", "sensors"]
SINGULAR: Mapping[Kind, str] = {"gpus": "GPU", "sensors": "sensor"}
OWN_ENTRY: Mapping[Kind, str] = {
    "gpus": "give name and memory_gib",
    "sensors": "give name, width_px and height_px",
}


@dataclass(frozen=True, kw_only=True, config=CLOSED)
class Gpu:
    """A GPU by whose memory methods are judged."""

    name: Label = Field(description="Written at the line.")
    memory_gib: Annotated[Finite, Field(gt=0, le=1_000_000)] = Field(
        description="Memory in GiB (2^30 bytes)."
    )
    unified_memory: Flag = Field(
        default=False,
        description="Whether CPU and GPU share this memory, as in a Jetson: the operating system "
        "and the process on the CPU take some of it, too.",
    )
    source: Text | None = Field(
        default=None,
        description="Where that is stated, such as the manufacturer's page; drawn nowhere.",
    )


@dataclass(frozen=True, kw_only=True, config=CLOSED)
class Sensor:
    """An image sensor by whose pixels methods are judged."""

    name: Label = Field(description="Written at the mark.")
    width_px: Side | None = Field(
        default=None,
        description="Pixels of a row as a camera records them; of a line-scan sensor those of its "
        "line.",
    )
    height_px: Side | None = Field(
        default=None,
        description="Rows of an image; of a line-scan sensor the lines that make one.",
    )
    megapixels: Annotated[Finite, Field(gt=0, le=10_000)] | None = Field(
        default=None,
        description="Pixels in millions, in place of width and height: those of the square image "
        "with as many. Beside them they have to agree, rounded; left out, they follow.",
    )
    line_scan: Flag = Field(
        default=False,
        description="Whether it is a line-scan sensor, whose height is your choice.",
    )
    source: Text | None = Field(
        default=None,
        description="Where that is stated, such as the manufacturer's page; drawn nowhere.",
    )


Entry = Gpu | Sensor


def _named(kind: Kind) -> BeforeValidator:
    """Puts an entry of the list in the place of its name."""

    def entry(given: object) -> object:
        if not isinstance(given, str):
            return given
        try:
            return entry_values(listed_entry(kind, given, kind, OWN_ENTRY[kind]))
        except ConfigError as error:
            said = {"said": error.remedy}
            raise PydanticCustomError("not_listed", "{said}", said) from None

    own = Gpu if kind == "gpus" else Sensor
    return BeforeValidator(entry, json_schema_input_type=str | own)


ListedGpu = Annotated[Gpu, _named("gpus")]
"""A GPU, or its name in the list."""
ListedSensor = Annotated[Sensor, _named("sensors")]
"""A sensor, or its name in the list."""


@dataclass(frozen=True, kw_only=True, config=CLOSED)
class HardwareLists:
    """GPUs and sensors as ``--hardware`` takes them."""

    gpus: tuple[ListedGpu, ...] = Field(description="a list of GPUs; empty: none")
    sensors: tuple[ListedSensor, ...] = Field(description="a list of sensors; empty: none")


@dataclass(frozen=True, kw_only=True, config=CLOSED)
class Judged:
    """Names of those entries that a study judges by if it names no others; None: all."""

    gpus: Annotated[tuple[str, ...], EachOnce] | None = None
    sensors: Annotated[tuple[str, ...], EachOnce] | None = None


@dataclass(frozen=True, kw_only=True, config=CLOSED)
class HardwareFile:
    """The content of ``config/hardware.yaml``, which users may edit, too."""

    gpus: tuple[Gpu, ...] = ()
    sensors: tuple[Sensor, ...] = ()
    judged: Judged = Judged()


def listed_entry(kind: Kind, name: str, where: str, otherwise: str) -> Entry:
    """An entry of the list.

    Args:
        kind: of which list.
        name: its name; upper and lower case are the same.
        where: the name was given, for the error.
        otherwise: what else can be given there.

    Raises:
        ConfigError: the list has no such entry, or its file cannot be used.
    """
    entries = _named_in(getattr(read_hardware(), kind))
    found = entries.get(name.casefold())
    if found is None:
        guess = nearest(name, (entry.name for entry in entries.values()))
        listed = f"config/{HARDWARE_FILE.name} lists no such {SINGULAR[kind]}{guess}"
        raise ConfigError(where, f"{name!r} is not known", f"{listed}; else {otherwise}")
    return found


def judged_by_default() -> dict[str, list[dict[str, Any]]]:
    """The GPUs and sensors of a study that names none, by ``gpus`` and ``sensors``.

    Raises:
        ConfigError: the file cannot be used.
    """
    file = read_hardware()
    chosen: dict[str, list[dict[str, Any]]] = {}
    for kind in SINGULAR:
        entries = _named_in(getattr(file, kind))
        names = getattr(file.judged, kind)
        keys = entries if names is None else [name.casefold() for name in names]
        chosen[kind] = [entry_values(entries[key]) for key in keys]
    return chosen


def read_hardware() -> HardwareFile:
    """The list of ``HARDWARE_FILE``, checked; it is read again when it was changed.

    Raises:
        ConfigError: it cannot be read, is no YAML, or has a fault, of which the first is told.
    """
    try:
        changed = HARDWARE_FILE.stat().st_mtime_ns
    except OSError:
        changed = 0  # reading it tells what is wrong
    return _read(HARDWARE_FILE, changed)


@lru_cache(maxsize=2)
def _read(path: Path, _changed: int) -> HardwareFile:
    data = parse_yaml(path) or {}
    if not isinstance(data, dict):
        raise ConfigError(str(path), "holds no keys", "name gpus and sensors in it")
    try:
        file = adapter(HardwareFile).validate_python(data)
    except ValidationError as error:
        raise _in_file(path, config_errors(error, HardwareFile)[0]) from None
    faults = [
        *entry_errors("gpus", file.gpus),
        *entry_errors("sensors", file.sensors),
        *_judged_errors(file),
    ]
    if faults:
        raise _in_file(path, faults[0])
    return file


def _in_file(path: Path, error: ConfigError) -> ConfigError:
    return ConfigError(f"{path}: {error.where}", error.what, error.remedy)


def _judged_errors(file: HardwareFile) -> Iterator[ConfigError]:
    for kind in SINGULAR:
        entries = _named_in(getattr(file, kind))
        for number, name in enumerate(getattr(file.judged, kind) or ()):
            if name.casefold() not in entries:
                guess = nearest(name, (entry.name for entry in entries.values()))
                remedy = f"name entries of {kind} below{guess}"
                yield ConfigError(f"judged.{kind}.{number}", f"{name!r} is not listed", remedy)


def _named_in(entries: Iterable[Entry]) -> dict[str, Entry]:
    return {entry.name.casefold(): entry for entry in entries}


def entry_values(entry: Entry) -> dict[str, Any]:
    """An entry's keys that say something; of a sensor with width and height the megapixels, too."""
    values = {key: value for key, value in jsonable(entry).items() if value}
    if isinstance(entry, Sensor) and entry.width_px and entry.height_px:
        values["megapixels"] = entry.width_px * entry.height_px / 1e6
    return values


def entry_errors(kind: Kind, entries: Sequence[Entry]) -> Iterator[ConfigError]:
    """What is wrong with entries that are right key by key.

    Names that another entry has: their lines could not be told apart. Sensors without a size, or
    with two sizes that contradict each other.
    """
    names: set[str] = set()
    for number, entry in enumerate(entries):
        where = f"{kind}.{number}"
        if entry.name.casefold() in names:
            what = f"{entry.name!r} is named already"
            yield ConfigError(f"{where}.name", what, "give each a name of its own, once")
        names.add(entry.name.casefold())
        if isinstance(entry, Sensor):
            yield from _size_errors(where, entry)


def _size_errors(where: str, sensor: Sensor) -> Iterator[ConfigError]:
    sides = {"width_px": sensor.width_px, "height_px": sensor.height_px}
    absent = [key for key, side in sides.items() if side is None]
    if len(absent) == 1:
        yield ConfigError(f"{where}.{absent[0]}", "missing", "give both sides of the image")
    elif absent and sensor.line_scan:
        what = "missing, a line-scan sensor has no square image"
        remedy = "give the pixels of its line, and as height_px the lines of an image"
        yield ConfigError(f"{where}.width_px", what, remedy)
    elif absent and sensor.megapixels is None:
        yield ConfigError(f"{where}.width_px", "missing", "give width_px and height_px")
    elif sensor.width_px and sensor.height_px and sensor.megapixels is not None:
        exact = Decimal(sensor.width_px * sensor.height_px) / 10**6
        given = Decimal(repr(float(sensor.megapixels)))
        half = Decimal((0, (5,), given.as_tuple().exponent - 1))  # type: ignore[operator]
        if abs(given - exact) > half:
            what = f"{given} contradicts {sensor.width_px} x {sensor.height_px} px"
            remedy = f"leave it out, it follows: {exact.normalize():f}"
            yield ConfigError(f"{where}.megapixels", what, remedy)
