"""Convolutions that are run together, band of rows by band: ONNX Runtime's results, whatever the threads."""

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

RNG = np.random.default_rng(7)

# Height and width, channels of the input, the first convolution's attributes, kernel and attributes of the depthwise
# one, and whether the input is added at the end. The first results take more than the 384 KB for each of three threads
# from which bands pay.
CASES: dict[str, tuple[int, int, int, dict[str, Any], int, dict[str, Any], bool]] = {
    "inverted residual": (57, 43, 24, {}, 3, {"pads": [1, 1, 1, 1]}, True),
    "stride 2": (64, 61, 16, {}, 3, {"pads": [1, 1, 1, 1], "strides": [2, 2]}, False),
    "5x5": (50, 49, 16, {}, 5, {"pads": [2, 2, 2, 2]}, True),
    "5x5, stride 2, no padding": (66, 63, 16, {}, 5, {"strides": [2, 2]}, False),
    "dilated": (59, 50, 16, {}, 3, {"pads": [2, 3, 4, 1], "dilations": [2, 2]}, False),
    "padding beyond the rows": (40, 90, 16, {}, 3, {"pads": [5, 1, 6, 1]}, False),
    "stem": (117, 101, 3, {"kernel": 3, "pads": [1, 1, 1, 1], "strides": [2, 2]}, 3, {"pads": [1, 1, 1, 1]}, False),
}


def build(path: Path, case: str) -> np.ndarray:
    """Writes the model; an input for it."""
    height, width, channels, first, kernel, second, residual = CASES[case]
    wide, size = 216, first.get("kernel", 1)
    out = channels if residual else 20

    def weights(*shape: int) -> np.ndarray:
        return (RNG.uniform(-1, 1, shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    constants = {
        "w1": weights(wide, channels, size, size), "b1": weights(wide),
        "w2": weights(wide, 1, kernel, kernel), "b2": weights(wide),
        "w3": weights(out, wide, 1, 1), "b3": weights(out),
        "zero": np.float32(0), "six": np.float32(6),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], **{k: v for k, v in first.items() if k != "kernel"}),
        helper.make_node("Clip", ["c1", "zero", "six"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], group=wide, **second),
        helper.make_node("HardSwish", ["c2"], ["r2"]),
        helper.make_node("Conv", ["r2", "w3", "b3"], ["c3"]),
        helper.make_node("Add", ["c3", "x"], ["y"]) if residual else helper.make_node("Relu", ["c3"], ["y"]),
    ]
    return save(path, nodes, constants, (1, channels, height, width))


def save(path: Path, nodes: list[onnx.NodeProto], constants: dict[str, Any], shape: tuple[int, ...]) -> np.ndarray:
    """Writes the model of one input x and one output y; an input for it."""
    graph = helper.make_graph(
        nodes, "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(data), name) for name, data in constants.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return RNG.uniform(-1, 1, shape).astype(np.float32)


def check(folder: Path, x: np.ndarray, name: str) -> None:
    """The model's results are ONNX Runtime's, and the same bits on any number of threads."""
    convert(folder / "net.onnx", folder / "net.ms")
    session = onnxruntime.InferenceSession(str(folder / "net.onnx"), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": x})
    alone, *shared = (run_ms(folder / "net.ms", channels_last([x]), threads)[0] for threads in (1, 2, 3))
    assert_close(alone, expected if alone.shape == expected.shape else expected.transpose(0, 2, 3, 1), 1e-5, name)
    for other in shared:
        np.testing.assert_array_equal(other, alone)


@pytest.mark.parametrize("case", CASES)
def test_bands_change_nothing(tmp_path: Path, case: str) -> None:
    check(tmp_path, build(tmp_path / "net.onnx", case), case)


def test_what_lies_between_is_never_whole(tmp_path: Path) -> None:
    """... but for those who want to see it."""
    x = build(tmp_path / "net.onnx", "inverted residual")
    convert(tmp_path / "net.onnx", tmp_path / "net.ms")
    model = onnx.load(tmp_path / "net.onnx")
    model.graph.output.extend([helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("r1", "r2")])
    witness = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    y, *between = (value.transpose(0, 2, 3, 1) for value in witness.run(["y", "r1", "r2"], {"x": x}))
    session = _native.Session(_native.Model.from_file(tmp_path / "net.ms"), 2)
    assert _profile.memory(session).arena < between[0].nbytes
    session.set_input(0, channels_last([x])[0])
    seen: list[np.ndarray] = []
    session.run_observed(lambda index, name, op, outputs, seconds: seen.append(outputs[0]))
    for value in (*between, y):
        assert any(np.allclose(value, other, 0, 1e-5) for other in seen if other.shape == value.shape)


def test_a_convolution_that_copies_its_input_waits_for_all_of_it(tmp_path: Path) -> None:
    constants = {
        "w1": RNG.uniform(-0.2, 0.2, (4, 3, 3, 3)).astype(np.float32),
        "w2": RNG.uniform(-0.2, 0.2, (8, 4, 3, 3)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["c1", "w2"], ["y"], pads=[1, 1, 1, 1]),
    ]
    check(tmp_path, save(tmp_path / "net.onnx", nodes, constants, (1, 3, 320, 330)), "few channels")
