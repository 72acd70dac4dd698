"""Names of the networks and files, for the programs that need no PyTorch."""

from __future__ import annotations

from pathlib import Path

FLOAT_NETWORKS = (
    "mobilenetv2",
    "mobilenetv3l",
    "resnet50",
    "squeezenet1_1",
    "efficientnet_b0",
    "shufflenetv2",
    "deit_tiny",
    "minilm",
)
INT8_NETWORKS = ("mobilenetv2", "resnet50", "squeezenet1_1")
TITLES = {
    "mobilenetv2": "MobileNetV2",
    "mobilenetv3l": "MobileNetV3-large",
    "resnet50": "ResNet-50",
    "squeezenet1_1": "SqueezeNet 1.1",
    "efficientnet_b0": "EfficientNet-B0",
    "shufflenetv2": "ShuffleNetV2",
    "deit_tiny": "DeiT-tiny",
    "minilm": "MiniLM",
    "tiny": "tiny",
}
INT8 = "_int8"


def network_of(variant: str) -> str:
    """The network's name without the mark of its precision."""
    return variant[: -len(INT8)] if variant.endswith(INT8) else variant


def title(variant: str) -> str:
    return TITLES.get(network_of(variant), network_of(variant))


def example_file(folder: Path, variant: str) -> Path:
    """The network's inputs (by name) and PyTorch's output ("y")."""
    return folder / f"{network_of(variant)}_io.npz"
