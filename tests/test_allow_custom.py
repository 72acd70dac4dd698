"""Operators that cannot be converted, let through as Custom nodes and given their meaning in Python."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx_cases
import pytest
import tflite_nets
from mindir_nets import find
from onnx_cases import floats, node
from support import DATA, assert_close, channels_last, recorded

import lite_runtime
from converter import UnsupportedError, UsageError, cli, convert
from converter.importers.mindir.proto import message_class


def _ms(tmp_path: Path, source: Path, **options) -> Path:
    target = tmp_path / "model.ms"
    convert(source, target, allow_custom=True, **options)
    return target


@pytest.mark.parametrize("optimize", ["none", "general"])
def test_onnx_in_the_source_layout(tmp_path, optimize):
    """Between two convolutions, whose layout the written model changes; against ONNX Runtime."""
    case = onnx_cases.Case(
        "custom",
        [
            node("Conv", "x", "w", name="a", pads=[1, 1, 1, 1]),
            node("Cast", "a", name="b", to=6),
            node("BitwiseXor", "b", "mask", name="c"),
            node("Cast", "c", name="d", to=1),
            node("Conv", "d", "v", name="e"),
        ],
        {"x": 10 * floats(1, 3, 6, 5)},
        {"w": floats(4, 3, 3, 3), "mask": np.arange(120, dtype=np.int32).reshape(1, 4, 6, 5), "v": floats(2, 4, 1, 1)},
        opset=18,
    )
    lite_runtime.register_op("BitwiseXor", infer=lambda x, y: x, compute=lambda x, y: x ^ y)
    source = case.save(tmp_path)
    model = lite_runtime.load(_ms(tmp_path, source, optimize=optimize))
    (expected,) = onnx_cases.witness(source, case.inputs)
    assert_close(model(channels_last([case.inputs["x"]])[0]), expected, 1e-5)


def test_attributes_are_text(tmp_path):
    taken = {}

    def infer(x, **attributes):
        taken.update(attributes)
        return x

    lite_runtime.register_op("Mystery", infer=infer, compute=lambda x, **_: x + 1)
    attributes = {"axes": [1, -2], "ratio": 0.5, "mode": "left", "table": onnx_cases.numpy_helper.from_array(np.eye(2))}
    mystery = node("Mystery", "x", domain="test", name="y", **attributes)
    source = onnx_cases.Case("net", [mystery], {"x": floats(2, 3)}, outputs=1).save(tmp_path)
    model = onnx_cases.onnx.load(source)
    model.graph.output[0].CopyFrom(onnx_cases.helper.make_tensor_value_info("y", 1, [2, 3]))
    onnx_cases.onnx.save(model, source)
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(lite_runtime.load(_ms(tmp_path, source))(x), x + 1)
    assert taken == {"axes": "[1, -2]", "ratio": "0.5", "mode": "left", "table": "[[1.0, 0.0], [0.0, 1.0]]"}


def test_mindir_with_two_renamed_operators(tmp_path):
    """MindSpore's recorded outputs are the witness."""
    model = message_class("ModelProto").FromString(find("v1/cnn").read_bytes())
    for primitive in model.primitives:
        primitive.op_type = {"ReLU6": "Ramp", "Softmax": "Shares"}.get(primitive.op_type, primitive.op_type)
    source = tmp_path / "net.mindir"
    source.write_bytes(model.SerializeToString())

    def shares(x, **attributes):
        powers = np.exp(x - x.max(-1, keepdims=True))
        return powers / powers.sum(-1, keepdims=True)

    lite_runtime.register_op("Ramp", infer=lambda x, **_: x, compute=lambda x, **_: np.clip(x, 0, 6))
    lite_runtime.register_op("Shares", infer=lambda x, **_: x, compute=shares)
    inputs, outputs = recorded(DATA / "mindir_v1" / "cnn.npz")
    found = lite_runtime.load(_ms(tmp_path, source))(*channels_last(inputs))
    assert_close(found, outputs[0], 1e-5)


def test_the_nearest_operators_are_named(tmp_path):
    model = message_class("ModelProto").FromString(find("v1/cnn").read_bytes())
    for primitive in model.primitives:
        primitive.op_type = {"Softmax": "SoftMax2"}.get(primitive.op_type, primitive.op_type)
    source = tmp_path / "net.mindir"
    source.write_bytes(model.SerializeToString())
    with pytest.raises(UnsupportedError, match=r"SoftMax2.* not supported\. The nearest that are: .*Softmax"):
        convert(source, tmp_path / "model.ms")


def test_tflite(tmp_path):
    case = tflite_nets.Case("ATAN2", [floats(2, 3), floats(2, 3)])
    source = tmp_path / "net.tflite"
    source.write_bytes(tflite_nets.build(case, [(2, 3)]))
    lite_runtime.register_op("ATAN2", infer=lambda y, x: y, compute=np.arctan2)
    model = lite_runtime.load(_ms(tmp_path, source))
    assert_close(model(*case.inputs), tflite_nets.litert(source.read_bytes(), case.inputs)[0], 1e-6)


def test_command_line_lets_unregistered_operators_through(tmp_path, capsys):
    """It need not know what they do; the report says so, and running without them is refused by name."""
    mask = {"mask": np.int32([1, 2, 3])}
    case = onnx_cases.Case("net", [node("BitwiseOr", "x", "mask")], {"x": np.int32([[1, 2, 3]])}, mask, opset=18)
    source, target, report = case.save(tmp_path), tmp_path / "model.ms", tmp_path / "report.json"
    arguments = [f"--modelFile={source}", f"--outputFile={target}", f"--report={report}", "--fmk=ONNX"]
    assert cli.main(arguments) != 0
    assert "--allowCustom" in capsys.readouterr().err
    assert cli.main([*arguments, "--allowCustom=on"]) == 0
    assert "BitwiseOr; not checked" in json.loads(report.read_text())["notes"][0]
    with pytest.raises(lite_runtime.UnsupportedModelError, match="BitwiseOr"):
        lite_runtime.load(target)
    with pytest.raises(UsageError, match="register_op"):
        convert(source, target, allow_custom=True, infer=True)


def test_what_cannot_be_a_custom_node_is_still_refused(tmp_path):
    """The type of its result is unknown to ONNX."""
    unknown = node("Mystery", "x", domain="test")
    source = onnx_cases.Case("net", [unknown], {"x": floats(2, 3)}).save(tmp_path)
    with pytest.raises(UnsupportedError, match="cannot be a Custom node either: the type of its result"):
        convert(source, tmp_path / "model.ms", allow_custom=True)
