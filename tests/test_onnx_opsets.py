"""One network in the words of every opset from 7 to the newest: the same answers, those of ONNX Runtime.

What changed between the opsets is written as each has it: attributes that became inputs (Squeeze, Unsqueeze, Split,
Pad, Clip, Slice, Dropout, ReduceSum, ReduceMean, TopK), Upsample that became Resize, Softmax over one axis.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx_cases import Case, converted, floats, node, witness
from onnx_suite import run
from support import assert_all_close

OPSETS = range(7, onnx.defs.onnx_opset_version() + 1)
# ONNX Runtime knows the opsets up to here whatever its version; the answers do not depend on them.
_WITNESS = 17
_IMAGE = floats(2, 4, 6, 8)


class _Writer:
    """Nodes of an opset. A parameter is an attribute before ``since`` and a constant input from then on."""

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}

    def __call__(self, op: str, *inputs: str, outputs: int = 1, **attributes: object) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(node(op, *inputs, outputs=outputs, name=name, **attributes))
        return name

    def either(self, since: int, op: str, x: str, outputs: int = 1, fixed: dict | None = None, **given: object) -> str:
        fixed = fixed or {}
        if self.opset < since:
            return self(op, x, outputs=outputs, **fixed, **given)
        return self(op, x, *(self.constant(v) for v in given.values()), outputs=outputs, **fixed)

    def constant(self, value: object) -> str:
        name = f"c{len(self.constants)}"
        array = np.asarray(value)
        self.constants[name] = array.astype(np.float32) if array.dtype.kind == "f" else array
        return name


def network(opset: int) -> Case:
    w = _Writer(opset)
    random = np.random.default_rng(3)
    parameters = [random.uniform(0.5, 2, 6).astype(np.float32) for _ in range(4)]
    x = w("Conv", "x", w.constant(random.standard_normal((6, 4, 3, 3))), pads=[1, 1, 1, 1])
    x = w("BatchNormalization", x, *map(w.constant, parameters))
    x = w.either(11, "Clip", x, min=0.0, max=6.0)
    x = w("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    scales = [1.0, 1.0, 2.0, 2.0]
    if opset < 9:
        x = w("Upsample", x, scales=scales, mode="nearest")
    elif opset == 9:
        x = w("Upsample", x, w.constant(scales), mode="nearest")
    elif opset == 10:
        x = w("Resize", x, w.constant(scales), mode="nearest")
    else:
        x = w("Resize", x, w.constant(np.zeros(0)), w.constant(scales), mode="nearest", nearest_mode="floor",
              coordinate_transformation_mode="asymmetric")  # fmt: skip
    x = w("Relu", w("Add", x, w.constant(floats_of_channels())))
    if opset < 11:
        x = w("Pad", x, pads=[0, 0, 1, 0, 0, 0, 0, 2], value=0.5)
    else:
        x = w("Pad", x, w.constant([0, 0, 1, 0, 0, 0, 0, 2]), w.constant(0.5))
    x = w.either(10, "Slice", x, starts=[1, 0], ends=[7, 9], axes=[2, 3])
    x = w("AveragePool", x, kernel_shape=[3, 2], count_include_pad=1, pads=[1, 0, 1, 1])
    parts = w.either(13, "Split", x, outputs=2, fixed={"axis": 1}, split=[2, 4])
    x = w("Concat", f"{parts}1", parts, axis=1)
    x = w("Dropout", x)
    x = w.either(18, "ReduceMean", x, fixed={"keepdims": 1}, axes=[3])
    x = w.either(13, "Squeeze", x, axes=[3])
    x = w.either(13, "Unsqueeze", x, axes=[1])
    x = w("Reshape", w("Transpose", x, perm=[0, 3, 1, 2]), w.constant([2, -1]))
    x = w("Gemm", x, w.constant(random.standard_normal((36, 5))), w.constant(random.standard_normal(5)), alpha=0.5)
    x = w("Softmax", x, axis=1)
    total = w.either(13, "ReduceSum", x, fixed={"keepdims": 1}, axes=[1])
    w("Div", w("Sub", x, w.constant(0.1)), total)
    return Case(f"opset {opset}", w.nodes, {"x": _IMAGE}, w.constants, opset)


def floats_of_channels() -> np.ndarray:
    return np.linspace(-1, 1, 6, dtype=np.float32).reshape(6, 1, 1)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    return witness(network(_WITNESS).save(tmp_path_factory.mktemp("witness")), {"x": _IMAGE})


@pytest.mark.parametrize("level", ["none", "general"])
@pytest.mark.parametrize("opset", OPSETS)
def test_opset(opset: int, level: str, expected: list[np.ndarray], tmp_path: Path) -> None:
    path = network(opset).save(tmp_path)
    assert_all_close(run(converted(path, level)[1], [_IMAGE]), expected, f"opset {opset}")
