"""Products by a factor per channel, as after a squeeze-and-excite, that the next convolution does while it reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from support import assert_close, channels_last, run_ms

from converter.api import convert
from lite_runtime import _native, _profile

RNG = np.random.default_rng(11)
CHANNELS, OUT, SIZE = 24, 40, 26

# Changes of the usual block: whether its product is then a pass of its own.
CASES: dict[str, tuple[dict[str, Any], bool]] = {
    "after a squeeze": ({}, False),
    "factors first": ({"product": ["s", "r"]}, False),
    "stride 2": ({"size": 60, "strides": [2, 2]}, True),
    "3x3": ({"kernel": 3}, True),
    "two groups": ({"group": 2}, True),
    "few rows": ({"size": 9}, True),
    "two images": ({"batch": 2}, True),
    "a row of 4096 bytes": ({"channels": 1024}, False),
    "read twice": ({"reads": 2}, True),
    "the result, too": ({"shown": True}, True),
    "a factor per pixel": ({"product": ["r", "p"]}, True),
    "residual": ({"residual": True, "out": CHANNELS}, False),
}


def build(
    path: Path, *, size: int = SIZE, channels: int = CHANNELS, out: int = OUT, kernel: int = 1, group: int = 1,
    batch: int = 1, product: tuple[str, str] | list[str] = ("r", "s"), strides: tuple[int, ...] | list[int] = (1, 1),
    reads: int = 1, shown: bool = False, residual: bool = False,
) -> np.ndarray:  # fmt: skip
    """Writes the model; an input for it."""

    def weights(*shape: int) -> np.ndarray:
        return (RNG.uniform(-1, 1, shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    constants = {
        "w1": weights(channels, 1, 3, 3), "w2": weights(channels, channels, 1, 1), "b2": weights(channels),
        "w3": weights(out, channels // group, kernel, kernel), "b3": weights(out), "w4": weights(1, channels, 1, 1),
    }  # fmt: skip
    conv = {"pads": [kernel // 2] * 4, "strides": list(strides), "group": group}
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["c1"], group=channels, pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["m"]),
        helper.make_node("Conv", ["m", "w2", "b2"], ["c2"]),
        helper.make_node("Sigmoid", ["c2"], ["s"]),
        helper.make_node("Conv", ["r", "w4"], ["p"]),
        helper.make_node("Mul", list(product), ["z"]),
        helper.make_node("Conv", ["z", "w3", "b3"], ["c3"], **conv),
    ]
    results = ["y"] + ["p"] + ["z"] * shown
    if residual:
        nodes.append(helper.make_node("Add", ["c3", "x"], ["y"]))
    elif reads == 2:
        nodes += [helper.make_node("Conv", ["z", "w3"], ["c4"]), helper.make_node("Add", ["c3", "c4"], ["y"])]
    else:
        nodes.append(helper.make_node("Relu", ["c3"], ["y"]))
    shape = (batch, channels, size, size)
    graph = helper.make_graph(
        nodes, "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in results],
        [numpy_helper.from_array(data, name) for name, data in constants.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return RNG.uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize("case", CASES)
def test_same_results(tmp_path: Path, case: str) -> None:
    """ONNX Runtime's, and the same bits on any number of threads and when each node is looked at."""
    changes, alone = CASES[case]
    x = build(tmp_path / "net.onnx", **changes)
    convert(tmp_path / "net.onnx", tmp_path / "net.ms")
    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"x": x})
    first = run_ms(tmp_path / "net.ms", channels_last([x]))
    for actual, answer in zip(first, expected):
        assert_close(actual, answer if actual.shape == answer.shape else answer.transpose(0, 2, 3, 1), 1e-5, case)
    for threads in (2, 3):
        for actual, same in zip(run_ms(tmp_path / "net.ms", channels_last([x]), threads), first):
            np.testing.assert_array_equal(actual, same)

    profiled = _native.Session(_native.Model.from_file(tmp_path / "net.ms"))
    profiled.set_input(0, channels_last([x])[0])
    assert ("MulFusion" in [step.op for step in _profile.run_timed(profiled)]) == alone
    seen: list[np.ndarray] = []
    profiled.run_observed(lambda index, name, op, outputs, seconds: seen.append(outputs[0]))
    for value in first:
        assert any(np.array_equal(value, other) for other in seen)
