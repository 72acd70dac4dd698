"""PyTorch to ncnn through pnnx, weights in fp32."""

from __future__ import annotations

import tempfile
from pathlib import Path


def convert(variant: str, folder: Path) -> None:
    import pnnx

    from benchmarks.networks import build, example_inputs

    with tempfile.TemporaryDirectory() as scratch:
        pnnx.export(
            build(variant),
            str(Path(scratch) / "net.pt"),
            example_inputs(variant),
            fp16=False,
            ncnnparam=str(folder / f"{variant}.ncnn.param"),
            ncnnbin=str(folder / f"{variant}.ncnn.bin"),
            check_trace=False,
        )
