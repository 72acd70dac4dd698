"""MobileNetV2 (224 x 224, width 1) with random weights as ONNX: for sizes and times, where the values do not matter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Expansion, channels, repetitions, stride of the first.
_BLOCKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
_CLASSES = 1000


def model(folder: Path) -> Path:
    """The ONNX file, made once in ``folder``."""
    path = folder / "mobilenet_v2.onnx"
    if not path.is_file():
        onnx.save(_Network().model(), path)
    return path


class _Network:
    def __init__(self) -> None:
        self._random = np.random.default_rng(0)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def model(self) -> onnx.ModelProto:
        x = self._conv("x", 3, 32, 3, stride=2)
        channels = 32
        for expansion, out, repetitions, stride in _BLOCKS:
            for number in range(repetitions):
                x = self._block(x, channels, out, expansion, stride if number == 0 else 1)
                channels = out
        x = self._node("GlobalAveragePool", [self._conv(x, channels, 1280, 1)])
        x = self._node("Gemm", [self._node("Flatten", [x]), *self._weights((_CLASSES, 1280), 1280)], transB=1)
        ends = [("x", [1, 3, 224, 224]), (x, [1, _CLASSES])]
        first, last = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in ends)
        graph = helper.make_graph(self._nodes, "mobilenet_v2", [first], [last], self._constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)

    def _block(self, x: str, channels: int, out: int, expansion: int, stride: int) -> str:
        wide = channels * expansion
        y = self._conv(x, channels, wide, 1) if expansion > 1 else x
        y = self._conv(y, wide, wide, 3, stride=stride, group=wide)
        y = self._conv(y, wide, out, 1, clip=False)
        return self._node("Add", [x, y]) if stride == 1 and channels == out else y

    def _conv(
        self, x: str, channels: int, out: int, kernel: int, stride: int = 1, group: int = 1, clip: bool = True
    ) -> str:
        shape = (out, channels // group, kernel, kernel)
        pad = kernel // 2
        inputs = [x, *self._weights(shape, shape[1] * kernel * kernel)]
        y = self._node("Conv", inputs, strides=[stride] * 2, pads=[pad] * 4, group=group, kernel_shape=[kernel] * 2)
        return self._node("Clip", [y, self._limit("low", 0), self._limit("high", 6)]) if clip else y

    def _limit(self, name: str, value: float) -> str:
        if all(c.name != name for c in self._constants):
            self._constants.append(numpy_helper.from_array(np.array(value, np.float32), name))
        return name

    def _weights(self, shape: tuple[int, ...], inputs: int) -> list[str]:
        """A weight and a bias."""
        name = f"weight_{len(self._constants)}"
        weight = self._random.standard_normal(shape, np.float32) * np.float32((2 / inputs) ** 0.5)
        bias = self._random.standard_normal(shape[0], np.float32) * np.float32(0.1)
        self._constants += [numpy_helper.from_array(weight, name), numpy_helper.from_array(bias, f"{name}_bias")]
        return [name, f"{name}_bias"]

    def _node(self, op: str, inputs: list[str], **attributes: Any) -> str:
        name = f"{op}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, inputs, [name], name, **attributes))
        return name
