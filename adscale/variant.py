"""How a method is computed: ``reference-fp32``, or ``optimized-fp32-b8`` in batches of 8 images."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

LARGEST_BATCH = 9999
"""Images of a batch at most."""

PATTERN = r"^[a-z][a-z0-9_]*-(?!b\d)[a-z][a-z0-9]*(-b([2-9]|[1-9]\d{1,3}))?$"

EXPECTED = (
    "implementation-precision such as optimized-fp32, with -b<N> behind it for batches of N "
    f"images, from -b2 to -b{LARGEST_BATCH}"
)

IMPLEMENTATIONS = ("reference", "optimized")
PRECISIONS = ("fp32", "tf32")

_BATCH = re.compile(r"(?<![a-z0-9])b(?:atch)?[ =_-]?(\d{1,9})(?![a-z0-9])", re.ASCII)
"""How somebody may write a batch."""


class NoVariantError(ValueError):
    """A text is no variant.

    Args:
        what: is wrong with it.
        remedy: what to write.
        meant: the variant that it seems to mean; None: nothing is near.
    """

    def __init__(self, what: str, remedy: str, meant: Variant | None = None) -> None:
        super().__init__(f"{what}; {remedy}")
        self.what = what
        self.remedy = remedy
        self.meant = meant


@dataclass(frozen=True, order=True)
class Variant:
    """A way to compute a method, and how many images it takes at once; sorted in this order."""

    implementation: str
    """``reference``: the operations of the authors' code; ``optimized``: the same results."""
    precision: str
    """``fp32``, or ``tf32`` in convolutions."""
    batch: int = 1
    """Images of one inference."""

    @classmethod
    def of(cls, value: str | Variant) -> Variant:
        """Reads a variant as ``str`` writes it, and in no other spelling.

        Args:
            value: such as ``reference-fp32`` or ``optimized-fp32-b8``.

        Raises:
            NoVariantError: it is none.
        """
        if isinstance(value, Variant):
            return value
        if not re.fullmatch(PATTERN, value, re.ASCII):
            raise variant_fault(value)
        implementation, precision, *options = value.split("-")
        return cls(implementation, precision, int(options[0][1:]) if options else 1)

    def __str__(self) -> str:
        option = "" if self.batch == 1 else f"-b{self.batch}"
        return f"{self.implementation}-{self.precision}{option}"

    @property
    def of_one_image(self) -> Variant:
        """The same way with batch 1."""
        return replace(self, batch=1)

    @property
    def way(self) -> str:
        """All but the implementation: ``fp32``, ``fp32-b8``."""
        return str(self).partition("-")[2]

    @property
    def references(self) -> tuple[Variant, ...]:
        """What ``optimized`` is compared with, the first that there is: of its batch, of batch 1.

        None of another implementation.
        """
        if self.implementation != "optimized":
            return ()
        same = replace(self, implementation="reference")
        return tuple(dict.fromkeys([same, same.of_one_image]))

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: Any, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validated,
            serialization=core_schema.plain_serializer_function_ser_schema(str),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "pattern": PATTERN}

    @classmethod
    def _validated(cls, value: object) -> Variant:
        try:
            if isinstance(value, (str, Variant)):
                return cls.of(value)
            remedy = f"expected: {EXPECTED}"
        except NoVariantError as error:
            remedy = error.remedy
        raise PydanticCustomError("variant", "{remedy}", {"remedy": remedy})


def variant_fault(
    text: str,
    implementations: Sequence[str] = IMPLEMENTATIONS,
    precisions: Sequence[str] = PRECISIONS,
) -> NoVariantError:
    """What is wrong with a text that is no variant, and what to write in its place.

    Args:
        text: as somebody wrote it.
        implementations: those there are.
        precisions: those there are; the first stands for none.
    """
    meant = _canonical(text, implementations, precisions)
    instead = f"expected: {EXPECTED}" if meant is None else f"write {meant}"
    batches = [int(number) for number in _BATCH.findall(text.lower())]
    if batches and batches[0] < 2:
        what = f"{text!r} names a batch of {batches[0]}, and one image at a time has no name"
        remedy = "leave it out" if meant is None else f"leave it out: {meant}"
        return NoVariantError(what, remedy, meant)
    if batches and batches[0] > LARGEST_BATCH:
        what = f"{text!r} names a batch of {batches[0]} images, more than {LARGEST_BATCH}"
        return NoVariantError(what, "choose a smaller one")
    return NoVariantError(f"{text!r} is no variant", instead, meant)


def _canonical(
    text: str, implementations: Sequence[str], precisions: Sequence[str]
) -> Variant | None:
    """The variant that a text seems to mean, whatever its order, case and spelling of a batch.

    None where it names no implementation, two of a kind, or a word that is none of these.
    """
    lower = text.lower()
    batches = [int(number) for number in _BATCH.findall(lower)]
    words = [
        part
        for word in re.split(r"[^a-z0-9_]+", _BATCH.sub(" ", lower))
        for part in ([word] if word in implementations else word.split("_"))
        if part
    ]
    of_implementation = [word for word in words if word in implementations]
    of_precision = [word for word in words if word in precisions]
    is_known = len(of_implementation) + len(of_precision) == len(words)
    counts = len(of_implementation), len(of_precision or precisions[:1]), len(batches[1:])
    if not is_known or counts != (1, 1, 0) or max(batches, default=1) > LARGEST_BATCH:
        return None
    precision = (of_precision or precisions)[0]
    return Variant(of_implementation[0], precision, max([1, *batches]))
