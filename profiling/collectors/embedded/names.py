"""Names of kernels."""

from __future__ import annotations

ANONYMOUS = "(anonymous namespace)"


def base_name(demangled: str) -> str:
    """The bare name of a kernel, without namespace, template arguments and parameters.

    >>> base_name("void at::native::fill<4, at::Functor<float>>(int, float*)")
    'fill'
    >>> base_name("ampere_sgemm_128x64_tn")
    'ampere_sgemm_128x64_tn'
    """
    plain = _outside_angles(demangled.replace(ANONYMOUS, ""))
    name = plain.partition("(")[0].strip().rpartition(" ")[2].rpartition("::")[2]
    return name or demangled


def _outside_angles(text: str) -> str:
    kept, depth = [], 0
    for character in text:
        depth += character == "<"
        if depth <= 0:
            kept.append(character)
        depth -= character == ">"
    return "".join(kept)
