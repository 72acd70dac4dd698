"""Models quantised by ONNX Runtime's own tools compute in int8 here, and give its answers."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx_cases import F32, Case, node, witness
from support import assert_close, channels_last, run_ms

import converter
from converter.importers.ms import load
from lite_runtime.types import DataType

quantization = pytest.importorskip("onnxruntime.quantization")
_SHAPE = (1, 8, 12, 12)


class _Reader(quantization.CalibrationDataReader):  # type: ignore[misc, name-defined]
    def __init__(self, samples: list[np.ndarray]) -> None:
        self._samples: Iterator[dict[str, np.ndarray]] = iter([{"x": x} for x in samples])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._samples, None)


def _network(folder: Path) -> Path:
    """Convolutions, a depthwise one among them, a sum, pooling and a product."""
    random = np.random.default_rng(3)

    def weight(*shape: int) -> np.ndarray:
        return (random.standard_normal(shape) * np.prod(shape[1:]) ** -0.5).astype(F32)

    constants = {
        "w1": weight(16, 8, 3, 3), "b1": weight(16), "w2": weight(16, 1, 3, 3), "b2": weight(16),
        "w3": weight(16, 16, 1, 1), "b3": weight(16), "w4": weight(10, 16), "b4": weight(10),
    }  # fmt: skip
    nodes = [
        node("Conv", "x", "w1", "b1", name="c1", pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Relu", "c1", name="r1"),
        node("Conv", "r1", "w2", "b2", name="c2", pads=[1, 1, 1, 1], group=16),
        node("Relu", "c2", name="r2"),
        node("Conv", "r2", "w3", "b3", name="c3"),
        node("Add", "c3", "r1", name="a"),
        node("MaxPool", "a", name="p", kernel_shape=[2, 2], strides=[2, 2]),
        node("GlobalAveragePool", "p", name="g"),
        node("Flatten", "g", name="f"),
        node("Gemm", "f", "w4", "b4", transB=1),
    ]
    return Case("net", nodes, {"x": np.zeros(_SHAPE, F32)}, constants).save(folder)


def _samples(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(5)
    return [random.standard_normal(_SHAPE).astype(F32) for _ in range(count)]


def _quantized(folder: Path, form: str, activations: str, weights: str, per_channel: bool) -> Path:
    return _static(_network(folder), folder / "quantized.onnx", form, activations, weights, per_channel)


def _static(source: Path, path: Path, form: str, activations: str, weights: str, per_channel: bool) -> Path:
    logging.disable(logging.WARNING)  # its advice to run a pre-processor first
    quantization.quantize_static(
        source,
        path,
        _Reader(_samples(8)),
        quant_format=quantization.QuantFormat[form],
        activation_type=quantization.QuantType[activations],
        weight_type=quantization.QuantType[weights],
        per_channel=per_channel,
    )
    logging.disable(logging.NOTSET)
    return path


def _last_step(path: Path) -> float:
    """One step of the integers behind the model's result."""
    model = onnx.load(path)
    last = next(n for n in model.graph.node if n.output[0] == model.graph.output[0].name)
    return float(onnx.numpy_helper.to_array(next(t for t in model.graph.initializer if t.name == last.input[1])))


@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
@pytest.mark.parametrize(
    ("activations", "weights", "per_channel"),
    [("QUInt8", "QInt8", True), ("QUInt8", "QInt8", False), ("QInt8", "QInt8", True), ("QUInt8", "QUInt8", False)],
)
def test_answers_and_types(form: str, activations: str, weights: str, per_channel: bool, tmp_path: Path) -> None:
    """One step; four where uint8 weights have zero points, for which there are new scales."""
    path = _quantized(tmp_path, form, activations, weights, per_channel)
    report = converter.convert(path, tmp_path / "net.ms")
    assert report.check["passed"]
    steps = 4 if weights == "QUInt8" else 1
    for x in _samples(12)[8:]:
        found, expected = run_ms(tmp_path / "net.ms", channels_last([x]))[0], witness(path, {"x": x})[0]
        assert np.abs(found - expected).max() <= (steps + 1e-3) * _last_step(path)
    nodes = load(tmp_path / "net.ms").main.nodes
    products = [n.op for n in nodes if n.op in ("Conv2DFusion", "MatMulFusion", "FullConnection")]
    assert len(products) == 4 and [n.op for n in nodes].count("QuantDTypeCast") <= 2
    assert all(n.inputs[0].dtype == DataType.INT8 for n in nodes if n.op not in ("QuantDTypeCast", "Transpose"))


def test_functions_joins_and_products(tmp_path: Path) -> None:
    """Each of two steps, one behind the other, may turn one tie."""
    random = np.random.default_rng(4)
    constants = {n: random.standard_normal((8, c, 1, 1)).astype(F32) for n, c in (("w", 8), ("v", 16))}
    nodes = [
        node("Conv", "x", "w", name="c"),
        node("Sigmoid", "c", name="s"),
        node("LeakyRelu", "c", name="l", alpha=0.1),
        node("Mul", "s", "l", name="m"),
        node("Concat", "m", "l", name="j", axis=1),
        node("Conv", "j", "v"),
    ]
    source = Case("net", nodes, {"x": np.zeros(_SHAPE, F32)}, constants).save(tmp_path)
    path = _static(source, tmp_path / "quantized.onnx", "QOperator", "QUInt8", "QInt8", True)
    assert {"QLinearSigmoid", "QLinearLeakyRelu", "QLinearMul", "QLinearConcat"} <= {
        n.op_type for n in onnx.load(path).graph.node
    }
    converter.convert(path, tmp_path / "net.ms")
    (x,) = _samples(1)
    found, expected = run_ms(tmp_path / "net.ms", channels_last([x]))[0], witness(path, {"x": x})[0]
    assert np.abs(found - expected).max() <= 2.001 * _last_step(path)
    kinds = {n.op: n.inputs[0].dtype for n in load(tmp_path / "net.ms").main.nodes if n.op != "QuantDTypeCast"}
    assert kinds["Conv2DFusion"] == kinds["Activation"] == kinds["MulFusion"] == kinds["Concat"] == DataType.INT8


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("weights", ["QInt8", "QUInt8"])
def test_dynamic(weights: str, per_channel: bool, tmp_path: Path) -> None:
    """Of a part in 256 of a product's inputs; products whose weights have zero points stay as they are written."""
    random = np.random.default_rng(7)
    sizes = {"v": (32, 48), "w": (48, 16)}
    constants = {n: (random.standard_normal(s) / s[0] ** 0.5).astype(F32) for n, s in sizes.items()}
    constants["b"] = random.standard_normal(48).astype(F32)
    nodes = [
        node("MatMul", "x", "v", name="m"),
        node("Add", "m", "b", name="a"),
        node("Relu", "a", name="r"),
        node("MatMul", "r", "w"),
    ]
    x = random.standard_normal((5, 32)).astype(F32)
    source = Case("net", nodes, {"x": x}, constants).save(tmp_path)
    path = tmp_path / "quantized.onnx"
    kind = quantization.QuantType[weights]
    quantization.quantize_dynamic(source, path, weight_type=kind, per_channel=per_channel)
    report = converter.convert(path, tmp_path / "net.ms")
    assert report.check["passed"]
    found, expected = run_ms(tmp_path / "net.ms", [x])[0], witness(path, {"x": x})[0]
    assert_close(found, expected, 1e-2)
    nodes_after = load(tmp_path / "net.ms").main.nodes
    if weights == "QInt8":
        assert [n.op for n in nodes_after if n.op != "AddFusion"] == ["DynamicQuant", "MatMulFusion"] * 2
        assert all(v.dtype == DataType.INT8 for n in nodes_after if n.op == "MatMulFusion" for v in n.inputs[:2])


def test_unoptimised_models_keep_their_pairs(tmp_path: Path) -> None:
    path = _quantized(tmp_path, "QDQ", "QUInt8", "QInt8", True)
    converter.convert(path, tmp_path / "net.ms", optimize="none")
    nodes = load(tmp_path / "net.ms").main.nodes
    assert all(n.inputs[0].dtype == DataType.FLOAT32 for n in nodes if n.op == "Conv2DFusion")
    (x,) = _samples(1)
    found, expected = run_ms(tmp_path / "net.ms", channels_last([x]))[0], witness(path, {"x": x})[0]
    assert np.abs(found - expected).max() <= 1.001 * _last_step(path)
