"""Counts what a run will need of its device's memory, in a process of its own, before it is begun.

The measurement must not notice. Counting calls the network with tensors that have shapes and no
contents (``profiling.memory``), and a network may keep what it has computed: a cache of positions
filled by the count would have nothing in it when images are measured. So the count never runs in
the process that measures. That process forks once torch is imported, before it has used anything of
it, for importing torch takes longer than counting; of a method of ours once its libraries are, too.
It waits while its child counts.
"""

from __future__ import annotations

import json
import os
import signal
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

import torch

from adscale.digest import source_digest
from adscale.errors import one_line
from adscale.interrupts import end_with_parent
from adscale.methods.registry import check_settings, get_spec
from adscale.request import RunRequest
from adscale.resolution import Resolution
from adscale.run_record import Prediction

from .memory_limits import available_host_bytes, total_host_bytes
from .methods.loading import load_method_class


@dataclass(frozen=True)
class Need:
    """What the device must hold for one inference, as counted."""

    needed_bytes: int
    incomplete: str | None
    """What is not in it, and why; None: nothing."""


class CountingProcess:
    """Counts one inference of a run, when it is asked, in a child of this process.

    It is forked at once, so this has to be before anything of CUDA is used here: what a process has
    of it does not outlive a fork.

    Args:
        request: of the run.
        known: what another process has counted of the same run; then none is forked.
        also: other resolutions of the same method to count; those that cannot be are left out.
    """

    def __init__(
        self, request: RunRequest, known: Need | None = None, also: Sequence[Resolution] = ()
    ) -> None:
        self.others: Mapping[Resolution, Need] = {}
        """Of `also`, once `need` has been called."""
        spec = get_spec(request.target)
        if not spec.foreign:  # both processes need its libraries, which take seconds to import
            load_method_class(spec)
        self._known = known
        if known is None:
            self._fork(request, also)

    def _fork(self, request: RunRequest, also: Sequence[Resolution]) -> None:
        asked, self._ask = os.pipe()
        self._told, tell = os.pipe()
        with warnings.catch_warnings():
            # Python warns of threads, which libraries start when they are imported; the child
            # uses none
            warnings.simplefilter("ignore", DeprecationWarning)
            self._pid = os.fork()
        if self._pid == 0:
            os.close(self._ask)
            os.close(self._told)
            _serve(request, also, asked, tell)
        os.close(asked)
        os.close(tell)

    def need(self) -> Need | str:
        """Has it count, and waits until it has ended. To be called once.

        Neither checkpoints nor fitted memory banks are read.

        Returns:
            The count; or why there is none. A method that cannot be counted can be run all the
            same, so that is no error.
        """
        if self._known is not None:
            return self._known
        with suppress(BrokenPipeError):  # it has ended before; its status tells how
            os.write(self._ask, b"x")
        os.close(self._ask)
        with os.fdopen(self._told, "rb") as pipe:
            told = pipe.read()
        _, status = os.waitpid(self._pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code or not told:
            how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            return f"the counting process ended without an answer ({how})"
        answer, *others = json.loads(told)
        self.others = {Resolution.of(size): Need(**counted) for size, counted in others}
        problem: str | None = answer.get("problem")
        return Need(**answer) if problem is None else problem


def predict(need: Need | str, device_type: str) -> Prediction | str:
    """Looks up what the device has beside what a run needs.

    Args:
        need: as counted; or why it could not be.
        device_type: ``cpu`` or ``cuda``, the current CUDA device.

    Returns:
        The prediction; or why there is none.
    """
    if isinstance(need, str):
        return need
    total_bytes, available_bytes = _device_memory(device_type)
    return Prediction(
        needed_bytes=need.needed_bytes,
        device_memory_bytes=total_bytes,
        available_bytes=available_bytes,
        incomplete=need.incomplete,
        counted_by=source_digest("profiling.prediction"),
    )


def _device_memory(device_type: str) -> tuple[int, int]:
    """Memory of the device in all and what of it is free, in bytes."""
    if device_type == "cuda":
        available_bytes, total_bytes = torch.cuda.mem_get_info()
        return total_bytes, available_bytes
    return total_host_bytes(), available_host_bytes()


def _serve(request: RunRequest, also: Sequence[Resolution], asked: int, tell: int) -> NoReturn:
    """All that the child does. It leaves without ending what it shares with its parent."""
    status = 1
    try:
        end_with_parent()
        if os.read(asked, 1):  # nothing: the parent has ended
            answer = json.dumps(_answers(request, also)).encode()
            while answer:
                answer = answer[os.write(tell, answer) :]
        status = 0
    finally:
        os._exit(status)


def _answers(request: RunRequest, also: Sequence[Resolution]) -> list[Any]:
    """What the run needs, then the other resolutions, each with what it needs."""
    # what the user's code prints it prints again where it is measured
    silent = os.open(os.devnull, os.O_RDWR)
    for shared in (0, 1, 2):
        os.dup2(silent, shared)
    torch.set_num_threads(1)  # threads that libraries have started in the parent are not here
    answers: list[Any] = [_answer(request, request.resolution)]
    for resolution in also:
        answer = _answer(request, resolution)
        if "problem" not in answer:
            answers.append((str(resolution), answer))
    return answers


def _answer(request: RunRequest, resolution: Resolution) -> dict[str, Any]:
    try:
        return asdict(_need(request, resolution))
    except Exception as problem:  # noqa: BLE001 - of whatever class: the run shall go on
        return {"problem": one_line(problem)}


def _need(request: RunRequest, resolution: Resolution) -> Need:
    # imported here: the process that measures does not need them
    from .memory.counting import count_memory
    from .methods.loading import resolve

    spec = resolve(get_spec(request.target))
    count = count_memory(
        spec,
        check_settings(spec, request.settings),
        resolution=resolution,
        implementation=request.variant.implementation,
        batch=request.variant.batch,
        device_type=request.device_type,
        variant=request.variant,
    )
    return Need(count.needed_bytes, count.incomplete)
