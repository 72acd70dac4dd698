"""ONNX to MNN."""

from __future__ import annotations

from pathlib import Path


def convert(variant: str, folder: Path) -> None:
    # The module behind MNN's mnnconvert command, which would also install packages.
    import _tools

    source, target = folder / f"{variant}.onnx", folder / f"{variant}.mnn"
    flags = {"-f": "ONNX", "--modelFile": str(source), "--MNNModel": str(target), "--bizCode": "benchmark"}
    _tools.mnnconvert(["mnnconvert", *(word for flag in flags.items() for word in flag)])
