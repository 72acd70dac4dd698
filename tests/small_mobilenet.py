"""A network built as MobileNetV2 is: of the same operators, but small and untrained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import converter

_SHAPE = [1, 3, 32, 32]
# Output channels and stride of each inverted residual.
_BLOCKS = ((16, 1), (24, 2), (24, 1))


def convert(folder: Path) -> Path:
    """Writes mobilenet.ms, mobilenet.npy, an input, and quantized/mobilenet.ms, in int8; returns the first."""
    source = folder / "mobilenet.onnx"
    onnx.save(_network(), source)
    picture = np.random.default_rng(1).standard_normal(_SHAPE).astype(np.float32)
    np.save(folder / "mobilenet.npy", picture.transpose(0, 2, 3, 1))
    (folder / "quantized").mkdir()
    config = {"common_quant_param": {"quant_type": "FULL_QUANT"}}
    converter.convert(source, folder / "quantized" / "mobilenet.ms", config=config, calibration=[[picture]])
    converter.convert(source, folder / "mobilenet.ms")
    return folder / "mobilenet.ms"


def _network() -> onnx.ModelProto:
    random = np.random.default_rng(0)
    nodes, constants = [], []

    def add(op: str, inputs: list[str], weights: list[np.ndarray], **attributes: object) -> str:
        """A node; returns the name of its output."""
        names = [f"w{len(constants) + i}" for i in range(len(weights))]
        constants.extend(numpy_helper.from_array(w, name) for w, name in zip(weights, names))
        nodes.append(helper.make_node(op, [*inputs, *names], [f"t{len(nodes)}"], **attributes))
        return f"t{len(nodes) - 1}"

    def weights(*shape: int) -> np.ndarray:
        return (random.standard_normal(shape) / np.sqrt(np.prod(shape[1:]) or 1)).astype(np.float32)

    def convolution(x: str, size: int, channels: int, out: int, stride: int = 1, group: int = 1) -> str:
        w = weights(out, channels // group, size, size)
        pads = [size // 2] * 4
        return add("Conv", [x], [w, weights(out)], strides=[stride] * 2, pads=pads, group=group)

    def relu6(x: str) -> str:
        return add("Clip", [x], [np.float32(0), np.float32(6)])

    channels = 16
    x = relu6(convolution("x", 3, 3, channels, 2))
    for out, stride in _BLOCKS:
        wide = 6 * channels
        y = relu6(convolution(x, 1, channels, wide))
        y = relu6(convolution(y, 3, wide, wide, stride, wide))
        y = convolution(y, 1, wide, out)
        x = add("Add", [x, y], []) if (out, stride) == (channels, 1) else y
        channels = out
    x = relu6(convolution(x, 1, channels, 64))
    x = add("ReduceMean", [x], [], axes=[2, 3], keepdims=0)
    x = add("Gemm", [x], [weights(10, 64), weights(10)], transB=1)
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in (("x", _SHAPE), (x, [1, 10]))
    ]
    graph = helper.make_graph(nodes, "mobilenet", ends[:1], ends[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
