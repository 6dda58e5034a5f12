"""Public networks: are they counted, do they run, and are parameters and FLOP as published?

torchvision's weights carry the number of parameters and of multiply-adds that their authors give,
without a download; a FLOP is counted as half of a multiply-add. For timm's networks nothing is
published with the package: there, parameters are those of the module itself, and the FLOP of
convolutions and linear layers follow from their shapes in a forward pass of our own.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import timm
import torch
from torch import nn
from torchvision import models

from adscale.errors import UserError
from adscale.methods.registry import get_spec
from adscale.methods.spec import check_settings
from adscale.resolution import square
from adscale.tables import text_table
from profiling.annotation import no_range
from profiling.memory.counting import count_memory
from profiling.methods.loading import load_method_class, resolve

TIMM = (
    "vit_small_patch16_224", "vit_base_patch14_dinov2", "vit_small_patch14_reg4_dinov2",
    "deit3_small_patch16_224", "beit_base_patch16_224", "eva02_tiny_patch14_224",
    "swin_tiny_patch4_window7_224", "convnextv2_nano", "convnext_tiny", "resnetv2_50", "resnest14d",
    "regnety_008", "efficientnet_b0", "efficientnetv2_rw_t", "mobilenetv4_conv_small",
    "mobilevit_s", "maxvit_tiny_tf_224", "coatnet_0_rw_224", "cait_xxs24_224",
    "xcit_nano_12_p16_224",
    "hrnet_w18_small", "dla34", "ghostnet_100", "levit_128", "mixer_s32_224", "pvt_v2_b0",
    "poolformer_s12", "edgenext_small", "repvgg_a0", "wide_resnet50_2",
)  # fmt: skip
"""Of each family one: backbones of anomaly detection, attention of several kinds, odd layers."""

AS_PUBLISHED: dict[str, dict[str, Any]] = {
    "googlenet": {"aux_logits": False},
    "vit_h_14": {"image_size": 518},
    **{
        f"{head}_{backbone}": {"aux_loss": True}
        for head in ("deeplabv3", "fcn")
        for backbone in ("resnet50", "resnet101", "mobilenet_v3_large")
    },
}
"""Settings by which weights change a network."""

GIGA = 1e9


@dataclass(frozen=True)
class Network:
    """A network as a user names it, and what is said of it elsewhere."""

    target: str
    settings: dict[str, Any]
    side_px: int
    parameters: int
    gflop: float
    source: str


def main(rounds: int) -> None:
    """Prints the table, a line for each network, and the faults beneath it."""
    del rounds
    rows, faults = [], []
    for network in (*_of_torchvision(), *_of_timm()):
        row, found = row_of(network)
        rows.append(row)
        faults += [f"{network.target} {network.settings or ''}: {fault}" for fault in found]
        print(f"{len(rows)} {' '.join(row)}", flush=True)
    head = ("network", "px", "parameters", "of published", "GFLOP", "of published", "source", "run")
    print(text_table(head, rows, ["network", "source", "run"]))
    print("\n".join(faults))


def row_of(network: Network) -> tuple[tuple[str, ...], list[str]]:
    """The cells of a network, and a line for each thing that failed."""
    faults: list[str] = []

    def tried(what: str, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except UserError as error:
            faults.append(f"{what}: {error}")
        except Exception as error:  # noqa: BLE001 - what the table is there to show
            faults.append(
                f"{what}: TRACEBACK {type(error).__name__}: {str(error).splitlines()[:1]}"
            )
        finally:
            gc.collect()
        return None

    count = tried("count", lambda: _counted(network))
    run = tried("run", lambda: _run(network))
    cells = ["–"] * 4
    if count is not None:
        parameters = sum(part.parameters_bytes for part in count.submodules) // 4
        gflop = sum(part.flops for part in count.submodules) / GIGA
        cells = [
            f"{parameters:,}", f"{parameters / network.parameters:.4f}",
            f"{gflop:,.2f}", f"{gflop / network.gflop:.3f}",
        ]  # fmt: skip
        if count.incomplete:
            faults.append(f"count: {count.incomplete}")
    name = network.target.partition(":")[2]
    name = network.settings.get("model_name", name)
    ran = "NO" if run is None else f"{run} submodules"
    return (name, str(network.side_px), *cells, network.source, ran), faults


def _counted(network: Network) -> Any:
    spec = resolve(get_spec(network.target))
    settings = check_settings(spec, network.settings)
    return count_memory(
        spec,
        settings,
        resolution=square(network.side_px),
        implementation="reference",
        device_type="cuda",
    )


def _run(network: Network) -> int:
    spec = resolve(get_spec(network.target))
    method = load_method_class(spec).build(
        check_settings(spec, network.settings),
        resolution=square(network.side_px),
        implementation="reference",
        seed=0,
    )
    with torch.inference_mode():
        method.infer(torch.zeros(1, 3, network.side_px, network.side_px), no_range)
    return len(method.submodules)


def _of_torchvision() -> Iterator[Network]:
    for module in (models, models.segmentation):
        for name in models.list_models(module=module):
            weights = models.get_model_weights(name).DEFAULT
            transforms = weights.transforms()
            side_px = getattr(transforms, "crop_size", transforms.resize_size)[0]
            # of segmentation, the builder would fetch a trained backbone
            settings = {"weights_backbone": None} if module is models.segmentation else {}
            settings |= AS_PUBLISHED.get(name, {})
            yield Network(
                target=f"{module.__name__}:{name}",
                settings=settings,
                side_px=side_px,
                parameters=weights.meta["num_params"],
                gflop=2 * weights.meta["_ops"],
                source="published",
            )


def _of_timm() -> Iterator[Network]:
    for name in TIMM:
        network = timm.create_model(name).eval()
        side_px = network.default_cfg["input_size"][-1]
        with torch.inference_mode():
            gflop = _by_shapes(network, torch.zeros(1, 3, side_px, side_px)) / GIGA
        yield Network(
            target="timm:create_model",
            settings={"model_name": name},
            side_px=side_px,
            parameters=sum(parameter.numel() for parameter in network.parameters()),
            gflop=gflop,
            source="own shapes",
        )


def _by_shapes(network: nn.Module, image: torch.Tensor) -> int:
    """FLOP of the convolutions and linear layers: outputs times weights of each, times two."""
    found = [0]

    def add(layer: nn.Module, _: Any, output: torch.Tensor) -> None:
        if isinstance(layer, nn.Linear):
            found[0] += 2 * output.numel() * layer.in_features
        elif isinstance(layer, nn.Conv2d):
            per_output = layer.in_channels // layer.groups * math.prod(layer.kernel_size)
            found[0] += 2 * output.numel() * per_output

    for layer in network.modules():
        layer.register_forward_hook(add)
    network(image)
    return found[0]
