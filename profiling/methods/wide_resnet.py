"""WideResNet101-2, the backbone of PatchCore-10 and the feature extractor of DDAD.

Zagoruyko and Komodakis, BMVC 2016, with the bottleneck of He et al., CVPR 2016: 1×1, 3×3, 1×1, and
here the 3×3 twice as wide as there. The modules are those of timm, in their order; the tensors have
torchvision's names and shapes, so that torchvision's checkpoints fit. It is built here because
importing timm, and with it torchvision and torch's compiler, takes longer than importing torch.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

import torch
from torch import nn
from torch._guards import detect_fake_mode
from torch.nn.utils.fusion import fuse_conv_bn_weights

STAGES = ("layer1", "layer2", "layer3", "layer4")
BLOCKS = (3, 4, 23, 3)
"""Of each stage."""

EXPANSION = 4
"""Channels that a block puts out, over those of the block's stage: 64, 128, 256, 512."""

WIDENING = 2
"""Channels of the 3×3 convolution over those of the stage."""

CLASSES = 1000


def wide_resnet101() -> nn.Module:
    """The whole network, classifier included, on the CPU and with uninitialised weights.

    Torch's global random state is not touched. 126,886,696 parameters.
    """
    if detect_fake_mode() is not None:
        return _network().eval()
    with torch.device("meta"):  # where nothing is drawn
        network = _network()
    return network.to_empty(device="cpu").eval()


def _network() -> nn.Sequential:
    channels = 64
    parts: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False),
        "bn1": nn.BatchNorm2d(channels),
        "act1": nn.ReLU(inplace=True),
        "maxpool": nn.MaxPool2d(3, stride=2, padding=1),
    }
    for number, (name, blocks) in enumerate(zip(STAGES, BLOCKS, strict=True)):
        stage = nn.Sequential()
        for block in range(blocks):
            stride = 2 if number > 0 and block == 0 else 1
            stage.append(_Bottleneck(channels, 64 * 2**number, stride))
            channels = EXPANSION * 64 * 2**number
        parts[name] = stage
    parts["global_pool"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    parts["fc"] = nn.Linear(channels, CLASSES)
    return nn.Sequential(OrderedDict(parts))


class _Bottleneck(nn.Module):
    """A block of a stage; the first of a stage has a convolution in its shortcut."""

    def __init__(self, channels: int, planes: int, stride: int) -> None:
        super().__init__()
        width, outputs = WIDENING * planes, EXPANSION * planes
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.act1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.drop_block = nn.Identity()
        self.act2 = nn.ReLU(inplace=True)
        self.aa = nn.Identity()
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.act3 = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels != outputs:
            convolution = nn.Conv2d(channels, outputs, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(convolution, nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x
        for layer in (
            self.conv1, self.bn1, self.act1,
            self.conv2, self.bn2, self.drop_block, self.act2, self.aa,
            self.conv3, self.bn3,
        ):  # fmt: skip
            x = layer(x)  # one by one, so that what a layer was given is freed behind it
        if self.downsample is not None:
            shortcut = self.downsample(shortcut)
        x += shortcut
        activated: torch.Tensor = self.act3(x)
        return activated


def stage_outputs(network: nn.Module, image: torch.Tensor, last: str) -> dict[str, torch.Tensor]:
    """Runs the network through one of its stages.

    Args:
        network: from ``wide_resnet101``.
        image: shape (1, 3, s, s), normalised with ImageNet's statistics.
        last: the stage to end with, such as ``layer3``.

    Returns:
        The output of every stage up to it by name, sides ceil(s/4), ceil(s/8), ceil(s/16) and
        ceil(s/32), with 256, 512, 1024 and 2048 channels.
    """
    children = dict(network.named_children())
    x = image
    for name in ("conv1", "bn1", "act1", "maxpool"):
        x = children[name](x)
    outputs = {}
    for name in STAGES[: STAGES.index(last) + 1]:
        x = outputs[name] = children[name](x)
    return outputs


def cut_behind(network: nn.Module, last: str) -> None:
    """Takes away the stages behind one, and the classifier.

    Args:
        network: from ``wide_resnet101``.
        last: the stage that stays.
    """
    for name in (*STAGES[STAGES.index(last) + 1 :], "global_pool", "fc"):
        setattr(network, name, nn.Identity())


def fold_batch_norms(network: nn.Module) -> None:
    """Makes each batch normalisation part of the convolution before it.

    In evaluation mode a batch normalisation is an affine map per channel. Results differ from
    those of the two layers by rounding only.

    Args:
        network: from ``wide_resnet101``, with its weights.
    """
    for module in list(network.modules()):
        children = list(module.named_children())
        for (_, child), (next_name, following) in pairwise(children):
            if isinstance(child, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
                _fold(child, following)
                setattr(module, next_name, nn.Identity())


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    statistics = dict(norm.named_buffers())
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight,
        convolution.bias,
        statistics["running_mean"],
        statistics["running_var"],
        norm.eps,
        norm.weight,
        norm.bias,
    )
