"""A conversion is held against an independent engine before its file appears."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from support import DATA

from converter import convert, exporter, passes
from converter.check import Conversion, Options, check, compare
from converter.cli import main
from converter.errors import UnsupportedError, UsageError
from converter.fmk import FmkType
from converter.importers import load

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture
def conv_net(tmp_path: Path) -> Path:
    """x [1, 3, 9, 9] -> Conv -> Relu "middle" -> Conv -> y, with a batch of unknown size."""
    random = np.random.default_rng(3)
    helper = onnx.helper
    weights = {
        "w1": random.standard_normal((4, 3, 3, 3), np.float32),
        "w2": random.standard_normal((2, 4, 3, 3), np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["first"]),
        helper.make_node("Relu", ["first"], ["middle"]),
        helper.make_node("Conv", ["middle", "w2"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 3, 9, 9])
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 2, 5, 5])
    initializers = [onnx.numpy_helper.from_array(w, name) for name, w in weights.items()]
    model = helper.make_model(helper.make_graph(nodes, "net", [x], [y], initializers))
    model.ir_version, model.opset_import[0].version = 8, 13
    path = tmp_path / "net.onnx"
    onnx.save(model, path)
    return path


def _conversion(path: Path, damage: str = "") -> Conversion:
    model = load("ONNX", str(path))
    passes.optimize(model)
    for node in model.main.nodes:
        if node.outputs[0].name == damage:
            weight = node.inputs[1]
            weight.data = np.array(weight.data) * 1.5
    return Conversion(str(path), FmkType.ONNX, exporter.export(model), model, lambda: load("ONNX", str(path)))


def test_right_model_passes(conv_net):
    result = check(_conversion(conv_net), Options())
    assert result.passed and result.witness == "ONNX Runtime"
    assert result.outputs[0].max_error < 1e-5 and result.outputs[0].cosine > 0.99999


def test_wrong_weights_fail_and_the_first_layer_is_named(conv_net):
    result = check(_conversion(conv_net, damage="middle"), Options())
    assert not result.passed and result.first_diverging == "middle"


def test_given_data_by_name_and_in_order(conv_net, tmp_path):
    x = np.random.default_rng(1).standard_normal((2, 3, 9, 9), np.float32)
    for key in ("x", "anything"):
        np.savez(tmp_path / "data.npz", **{key: x})
        assert check(_conversion(conv_net), Options(data=tmp_path / "data.npz")).passed


def test_data_of_wrong_shape_is_refused(conv_net, tmp_path):
    np.savez(tmp_path / "data.npz", x=np.zeros((1, 3, 9), np.float32))
    with pytest.raises(UsageError, match="cannot run the model"):
        check(_conversion(conv_net), Options(data=tmp_path / "data.npz"))


def test_command_line_reports_the_check(conv_net, tmp_path, capsys):
    report = tmp_path / "report.json"
    assert main([f"--modelFile={conv_net}", f"--outputFile={tmp_path / 'net'}", f"--report={report}"]) == 0
    assert "checked against ONNX Runtime" in capsys.readouterr().out
    found = json.loads(report.read_text())["check"]
    assert found["passed"] and found["outputs"][0]["name"] == "y"


def test_command_line_takes_data(conv_net, tmp_path, capsys):
    np.savez(tmp_path / "data.npz", x=np.random.default_rng(1).standard_normal((2, 3, 9, 9), np.float32))
    arguments = [f"--modelFile={conv_net}", f"--outputFile={tmp_path / 'net'}"]
    assert main([*arguments, f"--checkData={tmp_path / 'data.npz'}"]) == 0
    assert f"checked against ONNX Runtime on {tmp_path / 'data.npz'}" in capsys.readouterr().out
    assert main([*arguments, f"--checkData={tmp_path / 'none.npz'}"]) == 3


def test_failed_check_writes_nothing(conv_net, tmp_path, capsys):
    output = tmp_path / "net.ms"
    arguments = [f"--modelFile={conv_net}", f"--outputFile={output}", "--checkThreshold=1e-12"]
    assert main(arguments) == 9
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "other answers" in error and not output.exists()
    assert main([*arguments, "--check=off"]) == 0 and output.exists()


def test_shapes_and_values_that_are_not_finite():
    a = np.array([1.0, np.nan, np.inf])
    assert compare("y", a, a.copy()).max_error == 0
    assert compare("y", a, np.array([1.0, np.inf, np.nan])).max_error == np.inf
    assert compare("y", np.zeros((2, 3)), np.zeros((3, 2))).max_error == np.inf


@pytest.mark.parametrize("state", ["absent", "refuses"])
def test_another_witness_is_said_in_the_report(conv_net, tmp_path, monkeypatch, capsys, state):
    """Without the source's engine, or where it does not take the model, our own runs the unoptimised model."""
    if state == "absent":
        find = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else find(name))
        reason = "onnxruntime is not installed"
    else:
        model = onnx.load(conv_net)
        model.ir_version = 99
        onnx.save(model, conv_net)
        reason = "onnxruntime does not take the model"
    report = tmp_path / "report.json"
    assert main([f"--modelFile={conv_net}", f"--outputFile={tmp_path / 'net'}", f"--report={report}"]) == 0
    assert "checked against the unoptimised model in lite_runtime" in capsys.readouterr().out
    found = json.loads(report.read_text())["check"]
    assert found["passed"] and found["witness"] == "the unoptimised model in lite_runtime"
    assert found["note"].startswith(reason) and found["note"].endswith("so only the optimisation is checked")


@pytest.mark.parametrize("fmk", ["TFLITE", "MINDIR"])
def test_witness_of_the_other_formats(fmk, tmp_path):
    """LiteRT for TFLite; MindSpore for MindIR, or where it is not installed a note that says so."""
    if fmk == "TFLITE":
        pytest.importorskip("ai_edge_litert")
        from tflite_nets import Case, build

        source = tmp_path / "net.tflite"
        source.write_bytes(build(Case("EXP", [np.ones((2, 3), np.float32)]), [[2, 3]]))
    else:
        source = DATA / "mindir_v1" / "cnn.mindir"
    result = convert(source, tmp_path / "net.ms").check
    if fmk == "TFLITE":
        assert (result["witness"], result["note"]) == ("LiteRT", "")
    elif importlib.util.find_spec("mindspore") is None:
        assert result["note"] == "mindspore is not installed, so only the optimisation is checked"
    else:
        assert result["witness"] == "MindSpore"
    assert result["passed"]
    assert {"name", "max_error", "mean_error", "cosine"} == set(result["outputs"][0])


def test_an_operator_found_missing_in_the_check_is_an_error(tmp_path):
    """Of an open shape, only a run tells."""
    helper = onnx.helper
    nodes = [
        helper.make_node("Cast", ["x"], ["wide"], to=onnx.TensorProto.DOUBLE),
        helper.make_node("LogSoftmax", ["wide"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 3])
    graph = helper.make_graph(nodes, "wide", [x], [onnx.ValueInfoProto(name="y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path, output = tmp_path / "wide.onnx", tmp_path / "wide.ms"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UnsupportedError, match="float64"):
        convert(path, output)
    assert not output.exists()
