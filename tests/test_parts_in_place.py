"""Results that a concatenation puts side by side are computed in their places: ONNX Runtime's numbers, whatever reads
them, with intermediate results shown whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper
from support import assert_close, channels_last, run_ms

from converter.api import convert
from lite_runtime import _native

RNG = np.random.default_rng(11)
CHANNELS, HEIGHT, WIDTH = 12, 19, 17


class Net:
    """An ONNX model being put together."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def conv(self, x: str, channels: int, out: int, kernel: int = 1, group: int = 1) -> str:
        """A convolution that keeps height and width."""
        shape = (out, channels // group, kernel, kernel)
        names = []
        for data in (RNG.uniform(-1, 1, shape) / np.sqrt(np.prod(shape[1:])), RNG.uniform(-1, 1, out)):
            names.append(f"c{len(self.constants)}")
            self.constants.append(numpy_helper.from_array(data.astype(np.float32), names[-1]))
        return self.op("Conv", x, *names, group=group, pads=[kernel // 2] * 4)

    def concat(self, *parts: str, axis: int = 1) -> str:
        return self.op("Concat", *parts, axis=axis)

    def save(self, path: Path, *results: str, batch: int = 1) -> None:
        graph = helper.make_graph(
            self.nodes, "graph",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, CHANNELS, HEIGHT, WIDTH])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 4) for name in results],
            self.constants,
        )  # fmt: skip
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def fire(net: Net) -> list[str]:
    """SqueezeNet's module: a 1x1 and a 3x3 convolution, which may be Winograd's."""
    squeezed = net.op("Relu", net.conv("x", CHANNELS, 40))
    return [net.concat(net.op("Relu", net.conv(squeezed, 40, 24)), net.op("Relu", net.conv(squeezed, 40, 48, 3)))]


def mixed(net: Net) -> list[str]:
    """Grouped and depthwise convolutions, an activation that is no clamp, the input itself between them."""
    depthwise = net.op("HardSwish", net.conv("x", CHANNELS, CHANNELS, 3, CHANNELS))
    return [
        net.concat(depthwise, "x", net.op("Sigmoid", net.conv("x", CHANNELS, 18, 5, 3)), net.conv("x", CHANNELS, 5))
    ]


def read_twice(net: Net) -> list[str]:
    """What others read too lies by itself, as does what is added to."""
    wide, twice = net.conv("x", CHANNELS, 7), net.conv("x", CHANNELS, CHANNELS)
    added = net.op("Add", net.conv("x", CHANNELS, CHANNELS, 3), "x")
    return [net.concat(wide, twice, added), net.conv(twice, CHANNELS, 3)]


def result_itself(net: Net) -> list[str]:
    part = net.conv("x", CHANNELS, 6)
    return [part, net.concat(part, net.conv("x", CHANNELS, 9, 3))]


def nested(net: Net) -> list[str]:
    """A dense block: every layer reads all before it."""
    x, channels = "x", CHANNELS
    for _ in range(3):
        grown = net.op("Relu", net.conv(net.conv(x, channels, 32), 32, 8, 3))
        x, channels = net.concat(x, grown), channels + 8
    return [net.op("Relu", x)]


def rows(net: Net) -> list[str]:
    """Not along the channels."""
    return [net.concat(net.conv("x", CHANNELS, 8), net.conv("x", CHANNELS, 8, 3), axis=2)]


CASES = [fire, mixed, read_twice, result_itself, nested, rows]


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_same_results(tmp_path: Path, case: Any, batch: int) -> None:
    net = Net()
    results = case(net)
    net.save(tmp_path / "net.onnx", *results, batch=batch)
    x = RNG.uniform(-1, 1, (batch, CHANNELS, HEIGHT, WIDTH)).astype(np.float32)
    convert(tmp_path / "net.onnx", tmp_path / "net.ms")
    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"x": x})
    for threads in (1, 2):
        for actual, answer in zip(run_ms(tmp_path / "net.ms", channels_last([x]), threads), expected):
            assert_close(actual, answer if actual.shape == answer.shape else answer.transpose(0, 2, 3, 1), 1e-5)


def test_integers(tmp_path: Path) -> None:
    """FULL_QUANT: a few parts in 2^8 from the floats, the same for any number of threads."""
    net = Net()
    net.save(tmp_path / "net.onnx", *fire(net))
    x = RNG.uniform(-1, 1, (1, CHANNELS, HEIGHT, WIDTH)).astype(np.float32)
    config = {"common_quant_param": {"quant_type": "FULL_QUANT"}}
    convert(tmp_path / "net.onnx", tmp_path / "net.ms", config=config, calibration=[[x]])
    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": x})
    alone, shared = (run_ms(tmp_path / "net.ms", channels_last([x]), threads)[0] for threads in (1, 2))
    np.testing.assert_array_equal(shared, alone)
    assert np.linalg.norm(alone - expected) <= 4.0 / 2**8 * np.linalg.norm(expected)


def test_intermediate_results_are_shown_whole(tmp_path: Path) -> None:
    net = Net()
    net.save(tmp_path / "net.onnx", *fire(net))
    convert(tmp_path / "net.onnx", tmp_path / "net.ms")
    x = RNG.uniform(-1, 1, (1, HEIGHT, WIDTH, CHANNELS)).astype(np.float32)
    session = _native.Session(_native.Model.from_file(tmp_path / "net.ms"))
    session.set_input(0, x)
    seen: dict[str, list[np.ndarray]] = {}
    session.run_observed(lambda _, name, op, outputs, seconds: seen.setdefault(op, []).append(outputs[0]))
    (joined,) = run_ms(tmp_path / "net.ms", [x])
    _, *parts = seen["Conv2DFusion"]
    np.testing.assert_array_equal(np.concatenate(parts, axis=-1), seen["Concat"][0])
    np.testing.assert_array_equal(seen["Concat"][0].transpose(0, 3, 1, 2), joined)
