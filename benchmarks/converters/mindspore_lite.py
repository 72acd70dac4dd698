"""ONNX to .ms with MindSpore Lite 2.0.0's converter, under its Python 3.7."""

from __future__ import annotations

from pathlib import Path

import mindspore_lite as mslite
import numpy as np

from benchmarks.names import example_file


def convert(variant: str, folder: Path) -> None:
    converter = mslite.Converter()
    converter.save_type = mslite.ModelType.MINDIR_LITE
    examples = np.load(str(example_file(folder, variant)))
    converter.input_shape = {name: list(examples[name].shape) for name in examples.files if name != "y"}
    target = folder / (variant + ".mindspore_lite")
    converter.convert(
        fmk_type=mslite.FmkType.ONNX, model_file=str(folder / (variant + ".onnx")), output_file=str(target)
    )
