"""An LSTM of 1024 units over a step of 1024 values, with random weights, as ONNX: for sizes and times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

UNITS = 1024


def model(folder: Path, steps: int = 1) -> Path:
    """The ONNX file (x [steps, 1, UNITS] to y [steps, 1, 1, UNITS]), made once in ``folder``."""
    path = folder / f"lstm_{steps}.onnx"
    if not path.is_file():
        random, width = np.random.default_rng(0), 4 * UNITS
        weights = {name: random.standard_normal((1, width, UNITS), np.float32) / UNITS**0.5 for name in ("w", "r")}
        constants = {**weights, "b": np.zeros((1, 2 * width), np.float32)}
        node = helper.make_node("LSTM", ["x", *constants], ["y"], hidden_size=UNITS)
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (("x", [steps, 1, UNITS]), ("y", [steps, 1, 1, UNITS]))
        ]
        values = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()]
        graph = helper.make_graph([node], "lstm", ends[:1], ends[1:], values)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path
