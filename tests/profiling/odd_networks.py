"""Small networks that do what networks should not, by the names of targets."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import nn
from torch.nn import functional


class Plain(nn.Module):
    """One convolution, behind whatever a subclass does to the image."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        changed: torch.Tensor = self.convolution(self.change(image))
        return changed

    def change(self, image: torch.Tensor) -> torch.Tensor:
        return image


class SwitchingFirst(Plain):
    """Sets what guides to fast networks advise, by the older switches."""

    def __init__(self) -> None:
        super().__init__()
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
        torch.set_num_threads(7)


class NewSwitch(Plain):
    """Uses the switch that torch has since 2.9, after which it refuses to read older ones."""

    def __init__(self) -> None:
        super().__init__()
        torch.backends.fp32_precision = "tf32"  # type: ignore[attr-defined] # a module of properties


class SwitchingLater(Plain):
    """Sets all of it in each inference."""

    def change(self, image: torch.Tensor) -> torch.Tensor:
        torch.set_float32_matmul_precision("medium")
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
        torch.use_deterministic_algorithms(True)
        torch.set_num_threads(1)
        torch.set_grad_enabled(True)
        torch.set_autocast_enabled("cpu", True)
        torch.set_default_dtype(torch.float64)
        return image


class Resizing(Plain):
    """Computes at 32 px, whatever it is given."""

    def change(self, image: torch.Tensor) -> torch.Tensor:
        return functional.interpolate(image, size=(32, 32), mode="bilinear", antialias=True)


class Cropping(Plain):
    """The same without an operator that resizes."""

    def change(self, image: torch.Tensor) -> torch.Tensor:
        return image[..., :32, :32]


class Padding(Plain):
    """As many networks do, so that layers fit."""

    def change(self, image: torch.Tensor) -> torch.Tensor:
        return functional.pad(image, (2, 2, 2, 2), mode="reflect")


class Tiling(Plain):
    """Four tiles in place of an image."""

    def change(self, image: torch.Tensor) -> torch.Tensor:
        half = image.shape[-1] // 2
        return torch.cat([part for row in image.split(half, 2) for part in row.split(half, 3)])


class Pooling(Plain):
    """An architecture that begins with a pooling layer."""

    def change(self, image: torch.Tensor) -> torch.Tensor:
        return functional.avg_pool2d(image, 4)


class Moving(Plain):
    """Changes the working directory, when it is built and in every inference."""

    def __init__(self) -> None:
        os.chdir("/")
        super().__init__()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        os.chdir("/")
        result: torch.Tensor = super().forward(image)
        return result


class OwnType(nn.Module):
    """Computes in bfloat16 inside."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3).bfloat16()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        changed: torch.Tensor = self.convolution(image.bfloat16())
        return changed.float()


class NoConvolution(nn.Module):
    """Pixels by a linear layer, or by another one, in types of its own."""

    def __init__(self, inside: str = "as it is") -> None:
        super().__init__()
        self.inside = inside
        self.linear = nn.Linear(3, 4)
        if inside == "own type":
            self.linear.half()
        elif inside == "recurrent":
            self.recurrent = nn.LSTM(3, 4).bfloat16()
        elif inside == "quantized":
            kinds = {nn.Linear}
            self.linear = torch.ao.quantization.quantize_dynamic(nn.Sequential(self.linear), kinds)
        self.register_buffer("bank", torch.rand(1, 5, 3).half())

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        pixels = image.flatten(2).transpose(1, 2)
        changed: torch.Tensor
        match self.inside:
            case "own type":
                changed = self.linear(pixels.half())
            case "autocast":
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    changed = self.linear(pixels)
            case "recurrent":
                changed = self.recurrent(pixels.bfloat16())[0]
            case "distances":
                changed = torch.cdist(pixels.bfloat16(), self.bank.bfloat16())
            case "stored":
                changed = torch.cdist(pixels, self.bank.float())
            case "nothing":
                changed = pixels.relu()
            case _:
                changed = self.linear(pixels)
        return changed.float()


class OurNames(nn.Module):
    """Children of the names that our own ranges have."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Conv2d(3, 4, 3)
        self.load = nn.ModuleList([nn.Identity(), nn.Identity()])
        self.method = nn.Identity()
        self._neck = nn.Conv2d(4, 4, 1)
        self.head = nn.Conv2d(4, 4, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        image = self.method(self.image(image))
        for layer in self.load:
            image = layer(image)
        found: torch.Tensor = self.head(self._neck(image))
        return found


class Autocasting(Plain):
    """Computes in 16 bits within each call, and leaves the switch as it was."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found: torch.Tensor = super().forward(image)
        return found


def traced() -> nn.Module:
    """A traced network that resizes inside, and shows no layers."""
    made: nn.Module = torch.jit.trace(Resizing().eval(), torch.rand(1, 3, 64, 64))  # type: ignore[no-untyped-call]
    return made


def exported() -> nn.Module:
    """The same as torch.export makes it: it takes the size that it was exported with."""
    return torch.export.export(Resizing().eval(), (torch.rand(1, 3, 64, 64),)).module()


def compiled() -> nn.Module:
    """The same compiled."""
    made: nn.Module = torch.compile(Resizing(), backend="eager")  # type: ignore[assignment]
    return made


class Patched(Plain):
    """Takes multiples of 14 only, and says so."""

    def change(self, image: torch.Tensor) -> torch.Tensor:
        height = image.shape[-2]
        assert height % 14 == 0, f"{height} is no multiple of 14"
        return image


class Unfinished(Plain):
    """Takes small images only, and says so as one would of what is not written yet."""

    def change(self, image: torch.Tensor) -> torch.Tensor:
        if image.shape[-1] > 28:
            raise NotImplementedError("tiles of large images")
        return image


class Skipping(Plain):
    """Halves, doubles again and adds: at odd sizes these are not of one size."""

    def change(self, image: torch.Tensor) -> torch.Tensor:
        return image + functional.interpolate(functional.max_pool2d(image, 2), scale_factor=2)


class Positions(Plain):
    """Adds what belongs to the places of one size."""

    def __init__(self) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.zeros(1, 3, 28, 28))

    def change(self, image: torch.Tensor) -> torch.Tensor:
        return image + self.places


class Lazily(Patched):
    """Makes its layers' weights when it is first called, which is before it is counted."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.LazyConv2d(4, 3)


class ThroughNumpy(Plain):
    """Goes through numpy, as steps behind a network do, and hides why it fails without numbers."""

    def change(self, image: torch.Tensor) -> torch.Tensor:
        try:
            return torch.from_numpy(image.numpy())
        except RuntimeError:
            raise ValueError("no image") from None


class Formatting(Plain):
    """Prints a number."""

    def change(self, image: torch.Tensor) -> torch.Tensor:
        return image * len(f"{image.max():.2f}")


class NamedAsOurs(nn.Module):
    """Its child has the name of what runs in no child."""

    def __init__(self) -> None:
        super().__init__()
        self.add_module("between submodules", nn.Conv2d(3, 3, 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = getattr(self, "between submodules")(image) * 2
        return result


class Branches(nn.Module):
    """Runs two of its children in threads of its own, at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 4, 1), nn.Sequential(nn.Conv2d(3, 4, 1))
        self.head = nn.Conv2d(8, 1, 1)
        self.threads = ThreadPoolExecutor(2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        parts = self.threads.map(lambda branch: branch(image), (self.left, self.right))
        result: torch.Tensor = self.head(torch.cat([*parts], 1))
        return result


class Once(nn.Module):
    """Keeps what a child has returned, and never calls it again."""

    def __init__(self) -> None:
        super().__init__()
        self.places, self.head = nn.Sequential(nn.Conv2d(3, 3, 1)), nn.Conv2d(3, 1, 1)
        self.kept: torch.Tensor | None = None

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        if self.kept is None:
            self.kept = self.places(torch.zeros_like(image))
        result: torch.Tensor = self.head(image + self.kept)
        return result


class AllDifferences(nn.Module):
    """Each patch less each row of a bank at once, as an early coreset and search did it."""

    def __init__(self, rows: int = 45_872, width: int = 1536) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, width, 1)
        self.register_buffer("bank", torch.empty(rows, width))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """The square of the smallest distance of each patch, one at each pixel."""
        patches = self.embed(image).flatten(2)[0].T
        return (patches.unsqueeze(1) - self.bank).square().sum(-1).amin(1)
