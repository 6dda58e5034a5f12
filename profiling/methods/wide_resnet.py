"""WideResNet101-2, the backbone of PatchCore-10 and the feature extractor of DDAD.

The network is timm's; its tensors have torchvision's names and shapes, so that torchvision's
checkpoints fit.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import timm
import torch
from torch import nn
from torch._guards import detect_fake_mode
from torch.nn.utils.fusion import fuse_conv_bn_weights

STAGES = ("layer1", "layer2", "layer3", "layer4")


def wide_resnet101() -> nn.Module:
    """The whole network, classifier included, on the CPU and with uninitialised weights.

    Torch's global random state is not touched. 126,886,696 parameters.
    """
    make = partial(timm.create_model, "wide_resnet101_2", pretrained=False)
    network: nn.Module
    if detect_fake_mode() is not None:
        network = make()
    else:
        with torch.device("meta"):  # where nothing is drawn
            network = make().to_empty(device="cpu")
    return network.eval()


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
