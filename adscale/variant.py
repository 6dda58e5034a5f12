"""How a method is computed: ``reference-fp32``, or ``optimized-bf16-openvino-b8``.

``<implementation>-<precision>[-<engine>][-<option>…]``, in this order and in no other spelling.
Which of them a method, a kind of device and a machine have is said in ``engines``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

LARGEST_BATCH = 9999
"""Images of a batch at most."""

IMPLEMENTATIONS = ("reference", "optimized")
PRECISIONS = ("fp32", "tf32", "fp16", "bf16", "int8")
ENGINES = ("eager", "compile", "cudagraph", "onnxruntime", "openvino", "tensorrt")
"""The first is not written."""

EAGER = ENGINES[0]
CHANNELS_LAST = "channels_last"

PATTERN = (
    rf"^[a-z][a-z0-9_]*-({'|'.join(PRECISIONS)})(-({'|'.join(ENGINES[1:])}))?"
    rf"(-{CHANNELS_LAST})?(-b([2-9]|[1-9]\d{{1,3}}))?(-pruned[1-9]\d?)?$"
)

EXPECTED = (
    "implementation-precision such as optimized-fp32, behind it an engine "
    f"({', '.join(ENGINES[1:])}) and options: {CHANNELS_LAST}, -b<N> for batches of N images "
    f"(-b2 to -b{LARGEST_BATCH}), -pruned<N> for N % of the channels removed"
)

_FORM = re.compile(
    rf"(?P<implementation>[^-]+)-(?P<precision>[^-]+)(-(?P<engine>{'|'.join(ENGINES)}))?"
    rf"(?P<channels_last>-{CHANNELS_LAST})?(-b(?P<batch>\d+))?(-pruned(?P<pruned>\d+))?"
)

_BATCH = re.compile(r"(?<![a-z0-9])b(?:atch)?[ =_-]?(\d{1,9})(?![a-z0-9])", re.ASCII)
"""How somebody may write a batch."""
_PRUNED = re.compile(r"(?<![a-z0-9])pruned?[ =_-]?(\d{1,9})(?![a-z0-9.])[ %]*", re.ASCII)
_CHANNELS_LAST = re.compile(r"(?<![a-z0-9])(?:channels?[ =_-]?last|nhwc)(?![a-z0-9])", re.ASCII)

SYNONYMS = {
    "float32": "fp32",
    "float16": "fp16",
    "half": "fp16",
    "bfloat16": "bf16",
    "inductor": "compile",
    "compiled": "compile",
    "cudagraphs": "cudagraph",
    "onnx": "onnxruntime",
    "ort": "onnxruntime",
    "trt": "tensorrt",
}
"""Other words that people have for these."""


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
    """In which numbers: ``fp32``; ``tf32`` in convolutions; ``fp16``, ``bf16``; ``int8``."""
    batch: int = 1
    """Images of one inference."""
    engine: str = EAGER
    """What executes the networks."""
    channels_last: bool = False
    """Whether the values of a pixel lie next to each other in memory."""
    pruned_percent: int = 0
    """Share of the channels that is removed."""

    @classmethod
    def of(cls, value: str | Variant) -> Variant:
        """Reads a variant as ``str`` writes it, and in no other spelling.

        Args:
            value: such as ``reference-fp32`` or ``optimized-bf16-openvino-b8``.

        Raises:
            NoVariantError: it is none.
        """
        if isinstance(value, Variant):
            return value
        found = re.fullmatch(PATTERN, value, re.ASCII) and _FORM.fullmatch(value)
        if not found:
            raise variant_fault(value)
        return cls(
            found["implementation"],
            found["precision"],
            batch=int(found["batch"] or 1),
            engine=found["engine"] or EAGER,
            channels_last=found["channels_last"] is not None,
            pruned_percent=int(found["pruned"] or 0),
        )

    def __str__(self) -> str:
        return "-".join((self.implementation, self.precision, *self._behind()))

    def _behind(self) -> list[str]:
        """What stands behind the precision."""
        return [
            *([] if self.engine == EAGER else [self.engine]),
            *([CHANNELS_LAST] if self.channels_last else []),
            *([] if self.batch == 1 else [f"b{self.batch}"]),
            *([f"pruned{self.pruned_percent}"] if self.pruned_percent else []),
        ]

    @property
    def of_one_image(self) -> Variant:
        """The same way with batch 1."""
        return replace(self, batch=1)

    @property
    def plain(self) -> Variant:
        """The same implementation, precision and batch in eager torch without options."""
        return Variant(self.implementation, self.precision, self.batch)

    @property
    def is_plain(self) -> bool:
        """Whether eager torch computes it as the method was built, in batches or not."""
        return self.plain == self and self.precision in ("fp32", "tf32")

    @property
    def way(self) -> str:
        """All but the implementation: ``fp32``, ``bf16-openvino-b8``."""
        return str(self).partition("-")[2]

    @property
    def references(self) -> tuple[Variant, ...]:
        """What it is compared with, the first that there is: of its batch, of batch 1.

        ``optimized`` in fp32 or TF32 with the reference in the same; whatever is computed in
        another precision, layout or engine, or pruned, with ``reference-fp32``. None of an
        implementation that is neither, and of the reference itself.
        """
        if self.implementation not in IMPLEMENTATIONS:
            return ()
        same = Variant(IMPLEMENTATIONS[0], self.precision, self.batch)
        if not self.is_plain:
            same = replace(same, precision="fp32")
        elif self.implementation == IMPLEMENTATIONS[0]:
            return ()
        return tuple(dict.fromkeys([same, same.of_one_image]))

    @property
    def comparison(self) -> str:
        """The name of the comparison with its references: its way, but of a reference all."""
        is_own = self.implementation == IMPLEMENTATIONS[0] and not self.is_plain
        return str(self) if is_own else self.way

    @classmethod
    def comparison_of(cls, text: str) -> str:
        """``comparison`` of a variant that is read; nothing where it is none."""
        with suppress(NoVariantError):
            return cls.of(text).comparison
        return ""

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
    lower = text.lower()
    meant = _canonical(lower, implementations, precisions)
    instead = f"expected: {EXPECTED}" if meant is None else f"write {meant}"
    out = "leave it out" if meant is None else f"leave it out: {meant}"
    batches = [int(number) for number in _BATCH.findall(lower)]
    if batches and batches[0] < 2:
        what = f"{text!r} names a batch of {batches[0]}, and one image at a time has no name"
        return NoVariantError(what, out, meant)
    if batches and batches[0] > LARGEST_BATCH:
        what = f"{text!r} names a batch of {batches[0]} images, more than {LARGEST_BATCH}"
        return NoVariantError(what, "choose a smaller one")
    shares = [int(number) for number in _PRUNED.findall(lower)]
    if shares and shares[0] == 0:
        return NoVariantError(f"{text!r} removes no channel", out, meant)
    if shares and shares[0] > 99:
        what = f"{text!r} removes {shares[0]} % of the channels, which leaves none"
        return NoVariantError(what, "choose a share of 1 to 99, such as pruned50")
    return NoVariantError(f"{text!r} is no variant", instead, meant)


def _canonical(
    lower: str, implementations: Sequence[str], precisions: Sequence[str]
) -> Variant | None:
    """The variant that a text seems to mean, whatever its order, case and spelling of options.

    None where it names no implementation, two of a kind, or a word that is none of these.
    """
    batches = [int(number) for number in _BATCH.findall(lower)]
    shares = [int(number) for number in _PRUNED.findall(lower)]
    layouts = _CHANNELS_LAST.findall(lower)
    rest = _CHANNELS_LAST.sub(" ", _PRUNED.sub(" ", _BATCH.sub(" ", lower)))
    words = [
        SYNONYMS.get(part, part)
        for word in re.split(r"[^a-z0-9_]+", rest)
        for part in ([word] if word in implementations else word.split("_"))
        if part
    ]
    of_implementation = [word for word in words if word in implementations]
    of_precision = [word for word in words if word in precisions]
    of_engine = [word for word in words if word in ENGINES]
    is_known = len(of_implementation) + len(of_precision) + len(of_engine) == len(words)
    most = max(len(one) for one in (of_precision, of_engine, batches, shares, layouts))
    if not is_known or len(of_implementation) != 1 or most > 1:
        return None
    if max(batches, default=1) > LARGEST_BATCH or max(shares, default=0) > 99:
        return None
    return Variant(
        of_implementation[0],
        (of_precision or precisions)[0],
        batch=max([1, *batches]),
        engine=(of_engine or ENGINES)[0],
        channels_last=bool(layouts),
        pruned_percent=max([0, *shares]),
    )
