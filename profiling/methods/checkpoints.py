"""Checkpoints of any maker: named tensors from a file, without running code from it.

Programs that train wrap networks, and their names with them: ``module.`` (data parallel),
``_orig_mod.`` (compiled), ``model.`` (Lightning). What all names have in common, and is not in the
network's own, is taken off, and said.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from adscale.errors import WeightsError

logger = logging.getLogger(__name__)

Tensors = dict[str, torch.Tensor]

COMPILED = "_orig_mod"
"""Part of the names of whatever was compiled, at any place in them."""

STATE = "state_dict"
"""Where Lightning, and many others, keep it."""

EXTRA = "_extra_state"
"""End of the names under which torch keeps what modules have besides tensors."""

SIGNS = {
    b"version https://git-lfs": (
        "is a pointer of Git LFS, not the file itself",
        "fetch it with `git lfs pull`",
    ),
    b"<": ("is a page of the web, not a checkpoint", "download the file itself"),
}
"""First bytes of files that are no checkpoint."""


def read_tensors(file: Path, expected: Collection[str]) -> Tensors:
    """The tensors of a checkpoint by the names of a network.

    Args:
        file: of ``torch.save`` or of safetensors: a flat state_dict, one per child, or either of
            them beside other things, as under ``state_dict``.
        expected: names of the network's tensors.

    Returns:
        By their names in the network, where those of the file differ by what wraps it only; else
        by those of the file.

    Raises:
        WeightsError: the file is missing, damaged, or holds something other than named tensors.
    """
    content = read_checkpoint(file)
    found = [_renamed(place, part, expected) for place, part in _candidates(file, content)]
    # of several that fit, the first: a network before its moving average
    best = max(found, key=lambda one: one.fitting, default=None)
    if best is None or not best.fitting:
        whole = content.get(STATE) if isinstance(content, Mapping) else None
        return _flat(file, whole if isinstance(whole, Mapping) else content)  # says what is wrong
    if best.taken_off:
        logger.warning("%s: read without %s", file, " and ".join(best.taken_off))
    return best.tensors


class _Candidate(NamedTuple):
    tensors: Tensors
    fitting: int
    taken_off: tuple[str, ...]


def _candidates(file: Path, content: Any) -> Iterator[tuple[str, Tensors]]:
    """All of a checkpoint, and the parts of it that hold named tensors and nothing else."""
    parts = content.items() if isinstance(content, Mapping) else ()
    inner = [(str(name), part) for name, part in parts if isinstance(part, Mapping) and part]
    for place, part in [("", content), *inner]:
        try:
            yield place, _flat(file, part)
        except WeightsError:
            continue


def _renamed(place: str, tensors: Tensors, expected: Collection[str]) -> _Candidate:
    """The tensors by the names of the network, as far as a common beginning is in the way."""
    own = {_without_compiled(name): name for name in expected}
    plain = {_without_compiled(name): name for name in tensors}
    if len(own) < len(set(expected)) or len(plain) < len(tensors):
        own, plain = {name: name for name in expected}, {name: name for name in tensors}
    fitting, lost, missing = max(
        (
            (sum(lacking + name[len(begin) :] in own for name in plain), begin, lacking)
            for begin in _beginnings(plain)
            for lacking in _beginnings(own)
        ),
        key=lambda one: one[0],
    )
    if not fitting:
        return _Candidate(tensors, 0, ())
    renamed = {}
    for name, of_file in plain.items():
        key = missing + name[len(lost) :]
        renamed[own.get(key, key)] = tensors[of_file]
    compiled = [f"{COMPILED}."] if any(map(_is_compiled, tensors)) else []
    around = [f"{place!r} around it"] if place else []
    said = [*around, *(f"{one!r} in its names" for one in [lost, *compiled] if one)]
    return _Candidate(renamed, fitting, tuple(said))


def _beginnings(names: Iterable[str]) -> Iterator[str]:
    """Nothing, and what all names begin with, part by part; the last part stays."""
    parts = [name.split(".")[:-1] for name in names]
    begin = ""
    yield begin
    for same in zip(*parts):  # noqa: B905 - as far as all of them go
        if len(set(same)) > 1:
            return
        begin += f"{same[0]}."
        yield begin


def _is_compiled(name: str) -> bool:
    return COMPILED in name.split(".")


def _without_compiled(name: str) -> str:
    return ".".join(part for part in name.split(".") if part != COMPILED)


def read_checkpoint(file: Path) -> Any:
    """The content of a checkpoint, without running code from it.

    Raises:
        WeightsError: the file is missing, damaged, or holds objects other than tensors.
    """
    try:
        _check_is_file(file)
        begin = _begin_of(file)
        if _is_safetensors(begin, file.stat().st_size):
            from safetensors.torch import load_file

            return load_file(file, device="cpu")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of TorchScript; it becomes an error of ours
            return torch.load(file, weights_only=True, map_location="cpu")
    except (MemoryError, WeightsError):
        raise
    except OSError as problem:
        raise unreadable(file, problem) from problem
    except Exception as problem:  # of any class: the unpickler meets whatever a damaged file holds
        raise _useless(file, problem) from problem


def unreadable(file: Path, problem: OSError) -> WeightsError:
    """The error for a file that the system does not give."""
    what = problem.strerror or str(problem)
    remedy = "set `weights` to a checkpoint that can be read, or to null"
    return WeightsError(str(file), what, remedy)


def _check_is_file(file: Path) -> None:
    if file.is_file():
        return
    what = "is a folder" if file.is_dir() else "no such file"
    if file.is_symlink() and not file.exists():
        what = f"is a link to {file.readlink()}, where there is no such file"
    raise WeightsError(str(file), what, "set `weights` to a checkpoint, or to null")


def _begin_of(file: Path) -> bytes:
    with file.open("rb") as stream:
        begin = stream.read(64)
    if not begin:
        raise WeightsError(str(file), "is empty", "copy or download it again")
    for sign, (what, remedy) in SIGNS.items():
        if begin.startswith(sign):
            raise WeightsError(str(file), what, remedy)
    return begin


def _is_safetensors(begin: bytes, size: int) -> bool:
    """Whether a file begins as one of safetensors: the length of a JSON object, and the object."""
    return begin[8:9] == b"{" and int.from_bytes(begin[:8], "little") <= size


def _useless(file: Path, problem: Exception) -> WeightsError:
    """The error for a file without tensors that can be read; torch's own advises to run code."""
    said = str(problem)
    if "TorchScript" in said:
        what = "is a network of TorchScript, not a checkpoint"
        return WeightsError(str(file), what, "name a function that loads it as `target`")
    objects = re.search(r"GLOBAL (\S+)", said)
    kind = f"objects of {objects[1]}" if objects else type(problem).__name__
    damaged = "" if objects else "is damaged or "
    what = f"{damaged}holds more than plain tensors ({kind})"
    remedy = "where it was made, save its tensors alone: torch.save(model.state_dict(), file)"
    return WeightsError(str(file), what, remedy)


def _flat(file: Path, content: Any) -> Tensors:
    """Named tensors, names joined by dots.

    Raises:
        WeightsError: there is anything else.
    """
    if not isinstance(content, Mapping):
        raise _not_tensors(file, "the checkpoint", content)
    tensors: Tensors = {}
    for name, value in content.items():
        if str(name).endswith(EXTRA):
            continue
        inner = value if isinstance(value, Mapping) else {"": value}
        for key, tensor in inner.items():
            full = f"{name}.{key}" if key != "" else str(name)
            if not isinstance(tensor, torch.Tensor):
                raise _not_tensors(file, full, tensor)
            if full in tensors:
                raise WeightsError(f"{file}: {full}", "is there twice", "keep one of them")
            tensors[full] = tensor
    return tensors


def _not_tensors(file: Path, name: str, value: object) -> WeightsError:
    return WeightsError(
        f"{file}: {name}",
        f"is of type {type(value).__name__}, not a tensor or a state_dict",
        "save the state_dict of the method and nothing else",
    )
