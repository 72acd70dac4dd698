"""The networks that are measured: PyTorch modules with fixed random weights, and an input for each."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn

VOCABULARY, SEQUENCE, PATCHES = 30522, 128, 196
# Names of the inputs; images are NCHW here and in ONNX.
IMAGE_INPUTS = ("input",)
TEXT_INPUTS = ("ids", "mask", "types")


class Attention(nn.Module):
    """Multi-head self-attention over one sequence, [1, length, width]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        length, width = int(x.shape[1]), int(x.shape[2])
        depth = width // self.heads

        def split(y: torch.Tensor) -> torch.Tensor:
            return y.reshape(1, length, self.heads, depth).transpose(1, 2)

        scores = split(self.query(x)) @ split(self.key(x)).transpose(2, 3) * (1 / math.sqrt(depth))
        if bias is not None:
            scores = scores + bias
        mixed = torch.softmax(scores, -1) @ split(self.value(x))
        result: torch.Tensor = self.out(mixed.transpose(1, 2).reshape(1, length, width))
        return result


class Block(nn.Module):
    """A transformer layer. ``norm_first`` is the vision transformer's order, the other one BERT's."""

    def __init__(self, width: int, heads: int, hidden: int, norm_first: bool) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.attention = Attention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        if self.norm_first:
            x = x + self.attention(self.norm1(x), bias)
            x = x + self.mlp(self.norm2(x))
        else:
            x = self.norm1(x + self.attention(x, bias))
            x = self.norm2(x + self.mlp(x))
        return x


class VisionTransformer(nn.Module):
    """DeiT-tiny: 16×16 patches of a 224×224 image, 12 layers, 1000 classes."""

    def __init__(self, width: int = 192, heads: int = 3, layers: int = 12) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 16, 16)
        self.token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.position = nn.Parameter(torch.randn(1, PATCHES + 1, width) * 0.02)
        self.blocks = nn.Sequential(*(Block(width, heads, 4 * width, norm_first=True) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = self.blocks(torch.cat([self.token, x], 1) + self.position)
        result: torch.Tensor = self.head(self.norm(x)[:, 0])
        return result


class TextEncoder(nn.Module):
    """BERT of MiniLM's size: 6 layers of 384, 12 heads, 128 tokens with a mask."""

    def __init__(self, width: int = 384, heads: int = 12, layers: int = 6) -> None:
        super().__init__()
        self.words, self.types = nn.Embedding(VOCABULARY, width), nn.Embedding(2, width)
        self.position = nn.Parameter(torch.randn(1, SEQUENCE, width) * 0.02)
        self.norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(Block(width, heads, 4 * width, norm_first=False) for _ in range(layers))

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        bias = (1.0 - mask.reshape(1, 1, 1, -1)) * -10000.0
        x: torch.Tensor = self.norm(self.words(ids) + self.types(types) + self.position)
        for block in self.blocks:
            x = block(x, bias)
        return x


class TinyNet(nn.Module):
    """Seconds to convert anywhere: for the tests of these programs."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU6(), nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.ReLU()
        )
        self.head = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.head(self.features(x).mean((2, 3)))
        return result


class Network(NamedTuple):
    """How to make one, and the names of its inputs. ``size`` is the height and width of an image."""

    make: Callable[[], nn.Module]
    inputs: tuple[str, ...] = IMAGE_INPUTS
    size: int = 224


def _torchvision(name: str) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        model: nn.Module = _torchvision_models().get_model(name, weights=None)
        return model

    return make


def _torchvision_models() -> Any:
    """torchvision, made without its compiled operators where it is built for another PyTorch than this one."""
    try:
        import torchvision.models
    except RuntimeError:  # its compiled operators were not loaded, and Python code describes them
        for module in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[module]
        _declared.append(torch.library.Library("torchvision", "FRAGMENT"))
        for operator in ("nms", "qnms"):
            _declared[0].define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision.models
    return torchvision.models


_declared: list[Any] = []  # a declaration ends with its Library

NETWORKS = {
    "mobilenetv2": Network(_torchvision("mobilenet_v2")),
    "mobilenetv3l": Network(_torchvision("mobilenet_v3_large")),
    "resnet50": Network(_torchvision("resnet50")),
    "squeezenet1_1": Network(_torchvision("squeezenet1_1")),
    "efficientnet_b0": Network(_torchvision("efficientnet_b0")),
    "shufflenetv2": Network(_torchvision("shufflenet_v2_x1_0")),
    "deit_tiny": Network(VisionTransformer),
    "minilm": Network(TextEncoder, TEXT_INPUTS),
    "tiny": Network(TinyNet, size=32),
}


def build(name: str) -> nn.Module:
    """The network for inference: random weights and BatchNorm statistics that a converter cannot leave out."""
    torch.manual_seed(0)
    model = NETWORKS[name].make().eval()
    random = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.normal_(0, 0.1, generator=random)
            module.running_var.uniform_(0.5, 1.5, generator=random)
    return model


def example_inputs(name: str) -> tuple[torch.Tensor, ...]:
    """One input for each name in ``NETWORKS[name].inputs``."""
    random = torch.Generator().manual_seed(2)
    size = NETWORKS[name].size
    if NETWORKS[name].inputs == IMAGE_INPUTS:
        return (torch.randn(1, 3, size, size, generator=random),)
    ids = torch.randint(0, VOCABULARY, (1, SEQUENCE), generator=random, dtype=torch.int32)
    mask = torch.ones(1, SEQUENCE, dtype=torch.int32)
    mask[:, 100:] = 0
    return ids, mask, torch.zeros(1, SEQUENCE, dtype=torch.int32)
