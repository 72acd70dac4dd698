"""Writes lite_runtime/self_test.npz, what ``lite_runtime doctor`` runs: ``python tests/self_test_model.py``

One small network with random weights, converted as it is and in int8 (arrays ``float`` and ``int8``: the bytes of
.ms files), an input for both (``x``) and the answer of ONNX Runtime to it (``y``).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from support import ROOT

import converter

TARGET = ROOT / "lite_runtime" / "self_test.npz"
_SHAPE = (1, 4, 13, 11)
_RANDOM = np.random.default_rng(20)
_INT8 = {"common_quant_param": {"quant_type": "FULL_QUANT"}, "full_quant_param": {"activation_quant_method": "MAX_MIN"}}


class Graph:
    """Collects nodes; every node is named by its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def weight(self, *shape: int) -> str:
        values = _RANDOM.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        values = np.round(values * 64) / 64  # few different ones, which take little room in a wheel
        self.constants.append(numpy_helper.from_array(values.astype(np.float32), f"c{len(self.constants)}"))
        return self.constants[-1].name

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        output = f"{op}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def conv(self, x: str, out: int, channels: int, size: int, group: int = 1, stride: int = 1) -> str:
        weights = (self.weight(out, channels // group, size, size), self.weight(out))
        pads = [size // 2] * 4
        return self.node("Conv", x, *weights, pads=pads, strides=[stride, stride], group=group)


def build() -> onnx.ModelProto:
    g = Graph()
    y = g.node("Relu", g.conv("x", 19, 4, 3))
    y = g.node("HardSwish", g.conv(y, 19, 19, 3, group=19))
    y = g.node("Add", y, g.conv(y, 19, 19, 3))
    z = g.conv(y, 19, 19, 5, group=19, stride=2)
    y = g.node("Mul", z, g.node("Sigmoid", z))
    y = g.node("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2])
    y = g.node("Flatten", g.node("GlobalAveragePool", g.node("Tanh", g.conv(y, 23, 19, 1))))
    y = g.node("Gemm", y, g.weight(23, 10), g.weight(10))
    y = g.node("Softmax", y, axis=-1)
    start = helper.make_tensor_value_info("x", TensorProto.FLOAT, _SHAPE)
    end = helper.make_tensor_value_info(y, TensorProto.FLOAT, [1, 10])
    graph = helper.make_graph(g.nodes, "self_test", [start], [end], g.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def main() -> None:
    model = build()
    samples = [[_RANDOM.uniform(-2, 2, _SHAPE).astype(np.float32)] for _ in range(16)]
    x = samples[0][0]
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"x": x})
    files = {}
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "self_test.onnx", Path(folder) / "self_test.ms"
        onnx.save(model, source)
        for name, options in (("float", {}), ("int8", {"config": _INT8, "calibration": samples})):
            print(converter.convert(source, target, **options))
            files[name] = np.frombuffer(target.read_bytes(), np.uint8)
    np.savez_compressed(TARGET, **files, x=x.transpose(0, 2, 3, 1), y=y)
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
