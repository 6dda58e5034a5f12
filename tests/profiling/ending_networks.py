"""Networks that end what runs them, or meddle with its process, by the names of targets."""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
import threading
from collections.abc import Iterator

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor

from tests.profiling.odd_networks import Plain


class Ending(Plain):
    """Ends its process in the third call that is no count; how, a subclass says."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def change(self, image: torch.Tensor) -> torch.Tensor:
        self.calls += not isinstance(image, FakeTensor)
        if self.calls == 3:
            self.end()
        return image

    def end(self) -> None:
        raise NotImplementedError


class Faulting(Ending):
    """As a library that reads where nothing is."""

    def end(self) -> None:
        ctypes.string_at(0)


class FaultingAlways(Plain):
    """Where it is counted, too."""

    def change(self, image: torch.Tensor) -> torch.Tensor:
        ctypes.string_at(0)
        return image


class Leaving(Ending):
    """Without a word, and as if all were well."""

    def end(self) -> None:
        os._exit(0)


class LeavingAtTheEnd(Plain):
    """As libraries whose own ending fails once all work is done."""

    def __init__(self) -> None:
        super().__init__()
        atexit.register(os._exit, 3)


class Exiting(Ending):
    """As scripts end themselves."""

    def end(self) -> None:
        sys.exit(0)


class Printing(Plain):
    """Prints, by Python and past it, and replaces standard output."""

    def __init__(self) -> None:
        super().__init__()
        print("a network is made")
        os.write(1, b"by a library\n")
        sys.stdout = None  # type: ignore[assignment]


class Interrupting(Ending):
    """By what Python raises at Ctrl-C."""

    def end(self) -> None:
        raise KeyboardInterrupt


class ExitingAtOnce(Plain):
    """In every call, also where memory is counted."""

    def change(self, image: torch.Tensor) -> torch.Tensor:
        sys.exit("usage: …")
        return image


class Raising(Ending):
    """With an error of its own."""

    def end(self) -> None:
        torch.zeros(3).view(2)


class _SpeechlessError(Exception):
    def __str__(self) -> str:
        raise ValueError


class Speechless(Ending):
    """With an error that fails when it is asked for its text."""

    def end(self) -> None:
        raise _SpeechlessError


class OtherBytes(Ending):
    """With the name of a file that is no UTF-8, as Python shows it."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution.add_module(os.fsdecode(b"caf\xe9"), nn.Identity())

    def end(self) -> None:
        raise FileNotFoundError(os.fsdecode(b"caf\xe9.png"))


class WithoutMemory(Ending):
    """As Pillow and others say it."""

    def end(self) -> None:
        raise MemoryError


class LosingStreams(Ending):
    """Replaces one stream when it is built, and closes the other while it runs."""

    def __init__(self) -> None:
        super().__init__()
        sys.stderr = None  # type: ignore[assignment]

    def end(self) -> None:
        sys.stdout.close()


class Generating(Plain):
    """Computes when its result is read."""

    def forward(self, image: torch.Tensor) -> Iterator[torch.Tensor]:  # type: ignore[override]
        yield super().forward(image)


class Awaiting(Plain):
    """Computes when its result is awaited, which nobody does."""

    async def forward(self, image: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        found: torch.Tensor = super().forward(image)
        return found


class LeavingThreads(Plain):
    """Starts a thread that never ends."""

    def __init__(self) -> None:
        super().__init__()
        threading.Thread(target=threading.Event().wait, name="endless").start()


made = Plain()
"""A network, where a class is expected."""
