"""Networks as people write them, each with something that is not plain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from adscale.memory_record import MemoryCount
from adscale.methods.registry import check_settings, get_spec
from adscale.resolution import square
from profiling.memory.counting import count_memory
from profiling.methods.loading import resolve


def counted(name: str, side_px: int = 64, device_type: str = "cpu", **given: Any) -> MemoryCount:
    """The count of a network of this module, or of another place."""
    spec = resolve(get_spec(name if ":" in name else f"{__name__}:{name}"))
    return count_memory(
        spec, check_settings(spec, given), resolution=square(side_px), implementation="reference",
        device_type=device_type,
    )  # fmt: skip


class Loop(nn.Module):
    """Calls the layers of a container one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3))
        self.head = nn.Conv2d(8, 1, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        for layer in self.features:
            image = layer(image)
        result: torch.Tensor = self.head(image)
        return result


class Sums(nn.Module):
    """Adds between its children, but not behind each call."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        seen = self.first(image)
        seen = seen + self.second(seen.flatten(2).view_as(image))
        result: torch.Tensor = self.second(seen)
        return result


class Distances(nn.Module):
    """Compares its child's output with a bank."""

    def __init__(self, rows: int = 4096) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 64, 8, 8)
        self.register_buffer("bank", torch.randn(rows, 64))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found = self.embed(image).flatten(2).transpose(1, 2)[0]
        return torch.cdist(found, self.bank).amin(1)


class Subtracted(Distances):
    """Compares by all differences at once."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found = self.embed(image).flatten(2).transpose(1, 2)[0]
        return (found.unsqueeze(1) - self.bank).pow_(2).sum(-1).amin(1)


class Reader(nn.Module):
    """Its constructor reads numbers off a tensor."""

    def __init__(self) -> None:
        super().__init__()
        widths = [int(width.item()) for width in torch.linspace(4, 8, 3)]
        self.first, self.second = nn.Conv2d(3, widths[0], 1), nn.Conv2d(widths[0], widths[2], 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.second(self.first(image))
        return result


class Attends(nn.Module):
    """Attention, called between the children in several forms."""

    def __init__(self, form: str = "four") -> None:
        super().__init__()
        self.form = form
        self.embed, self.out = nn.Conv2d(3, 64, 8, 8), nn.Linear(64, 64)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        tokens = self.embed(image).flatten(2).transpose(1, 2).contiguous()
        attend = functional.scaled_dot_product_attention
        heads = tokens.view(1, -1, 4, 16).transpose(1, 2)
        length = tokens.shape[1]
        if self.form == "three":
            tokens = attend(tokens, tokens, tokens)
        elif self.form == "keywords":
            tokens = attend(query=tokens, key=tokens, value=tokens)
        elif self.form == "odd":
            odd = tokens[..., :63]
            tokens = torch.cat([attend(odd, odd, odd), tokens[..., 63:]], -1)
        elif self.form == "masked":
            mask = torch.ones(length, length, dtype=torch.bool, device=image.device)
            heads = attend(heads, heads, heads, attn_mask=mask)
        elif self.form == "groups":
            few = heads[:, :2]
            heads = attend(heads, few, few, enable_gqa=True)
        else:
            heads = attend(heads, heads, heads, is_causal=True, scale=0.5)
        result: torch.Tensor = self.out(tokens + heads.transpose(1, 2).reshape(tokens.shape))
        return result


class Tokens(nn.Module):
    """A stack of torch's own layers of a transformer."""

    def __init__(self, layers: int = 2, norm_first: bool = False, width: int = 64) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, width, 8, 8)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 8, 128, batch_first=True, norm_first=norm_first)
            for _ in range(layers)
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        tokens: torch.Tensor = self.embed(image).flatten(2).transpose(1, 2)
        for layer in self.layers:
            tokens = layer(tokens)
        return tokens


class MultiHead(nn.Module):
    """``nn.MultiheadAttention`` behind patches."""

    def __init__(self, width: int = 512, need_weights: bool = False, ordered: bool = True) -> None:
        super().__init__()
        self.ordered = ordered
        self.embed = nn.Conv2d(3, width, 8, 8)
        self.attention = nn.MultiheadAttention(width, 8, batch_first=True)
        self.need_weights = need_weights

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        tokens = self.embed(image).flatten(2).transpose(1, 2)
        tokens = tokens.contiguous() if self.ordered else tokens
        result: torch.Tensor
        result, _ = self.attention(tokens, tokens, tokens, need_weights=self.need_weights)
        return result


class Recurrent(nn.Module):
    """A recurrent layer over the rows of a 64 px image."""

    def __init__(self, kind: str = "LSTM", **more: Any) -> None:
        super().__init__()
        self.layer = getattr(nn, kind)(192, 128, batch_first=True, **more)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layer(image.permute(0, 2, 3, 1).flatten(2))[0]
        return result


class Deformable(nn.Module):
    """torchvision's deformable convolution."""

    def __init__(self) -> None:
        super().__init__()
        from torchvision.ops import DeformConv2d

        self.offsets = nn.Conv2d(3, 18, 3, padding=1)
        self.layer = DeformConv2d(3, 8, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layer(image, self.offsets(image))
        return result


class Fourier(nn.Module):
    """Work that no formula counts."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.fft.fft2(self.layer(image)).abs()


class Fixed(nn.Module):
    """Runs at 224 px only."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Conv2d(3, 4, 16, 16), nn.Linear(4 * 14 * 14, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.head(self.layer(image).flatten(1))
        return result


class Tied(nn.Module):
    """One layer as two children, and a third with its weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 5)
        self.again = self.first
        self.third = nn.Conv2d(3, 3, 5)
        self.third.weight = self.first.weight

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.third(self.again(self.first(image)))
        return result


class Lazy(nn.Module):
    """Layers that wait for their input."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.LazyConv2d(8, 3), nn.LazyLinear(4)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.head(self.layer(image).flatten(1))
        return result


@dataclass
class Found:
    """An output with names."""

    label: str
    anomaly_map: torch.Tensor
    pred_score: torch.Tensor


class Named(nn.Module):
    """Returns a dataclass."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 1, 1)

    def forward(self, image: torch.Tensor) -> Found:
        seen = self.layer(image)
        return Found("a", seen, seen.amax())


class Hooked(nn.Module):
    """Takes features out by hooks of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3))
        self.seen: list[torch.Tensor] = []
        self.body[1].register_forward_hook(lambda _module, _given, made: self.seen.append(made))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.seen.clear()
        self.body(image)
        return functional.avg_pool2d(self.seen[0], 3)


class Holding(nn.Module):
    """Holds a bank that is no buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 8, 1)
        self.banks = [torch.ones(1000, 8)]

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.layer(image).flatten(2).mT @ self.banks[0].t()


class Childless(nn.Module):
    """Has a weight and no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 3, 3, 3))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return functional.conv2d(image, self.weight)


class Normed(nn.Module):
    """A layer whose weight is made of others."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 8, 3))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layer(image)
        return result


class Failing(nn.Module):
    """Cannot be built."""

    def __init__(self) -> None:
        super().__init__()
        raise KeyError("no such thing")


GRAPHS: list[int] = []
"""The number of operators of each graph that was compiled."""


def noted(graph: torch.fx.GraphModule, _inputs: Any) -> Any:
    """Compiles nothing, but takes note of what it shall compile."""
    GRAPHS.append(sum(node.op.startswith("call") for node in graph.graph.nodes))
    return graph.forward


def pair() -> nn.Sequential:
    """Two plain layers."""
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())


def scripted() -> nn.Module:
    """A scripted network."""
    made: nn.Module = torch.jit.script(Loop())
    return made


def traced() -> nn.Module:
    """A traced network."""
    made: nn.Module = torch.jit.trace(pair().eval(), torch.zeros(1, 3, 64, 64))
    return made


def partly_scripted() -> nn.Module:
    """A network with one scripted child."""
    return nn.Sequential(torch.jit.script(nn.Conv2d(3, 8, 3)), nn.Conv2d(8, 4, 1))


def compiled() -> nn.Module:
    """A compiled network."""
    made: nn.Module = torch.compile(pair(), backend=noted)
    return made


def compiled_in_place() -> nn.Module:
    """A network that was told to compile itself."""
    made = pair()
    made.compile(backend=noted)
    return made


class Decorated(nn.Module):
    """Its forward is compiled."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1)

    @torch.compile(backend=noted)
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.second(self.first(image))
        return result


class CompiledParts(nn.Module):
    """Children that are compiled, one each way, and a compiled function that calls a third."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.compile(pair(), backend=noted)
        self.second = nn.Conv2d(8, 8, 1)
        self.second.compile(backend=noted)
        self.third = nn.Conv2d(8, 4, 1)

    @torch.compile(backend=noted)
    def end(self, seen: torch.Tensor) -> torch.Tensor:
        """What is compiled with a child in it."""
        result: torch.Tensor = self.third(seen + 1) * 2
        return result

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.end(self.second(self.first(image)))


def extractor() -> nn.Module:
    """Features of a network, taken out by torchvision."""
    from torchvision.models import resnet18
    from torchvision.models.feature_extraction import create_feature_extractor

    made: nn.Module = create_feature_extractor(resnet18(), ["layer2", "layer3"])
    return made
