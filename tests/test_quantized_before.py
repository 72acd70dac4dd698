"""Models quantised before: MindSpore's FakeQuant and ONNX QDQ keep their parameters, as floats and as int8."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_cases import F32, Case, node, witness
from support import DATA, assert_close, channels_last, run_ms

import converter
from converter.importers.mindir.faults import Malformed, Refusal
from converter.importers.mindir.ops import quantization
from converter.importers.mindir.scope import Constants, Scope
from converter.importers.ms import load
from converter.ir.graph import Graph, Value
from lite_runtime.types import DataType

_NET = DATA / "mindir_quant" / "fakequant.mindir"
_FULL = {"common_quant_param": {"quant_type": "FULL_QUANT"}}


def _fake(x: np.ndarray, low: Any, high: Any, least: int = 0) -> np.ndarray:
    """MindSpore's rule: ends moved so that 0 is an integer, then the nearest integer, the higher one of two."""
    scale = (high - low) / (255 - least)
    zero = np.floor(least - low / scale + 0.5)
    lowest, highest = (least - zero) * scale, (255 - zero) * scale
    return np.floor((np.clip(x, lowest, highest) - lowest) / scale + 0.5) * scale + lowest


def _expected(arrays: Any) -> np.ndarray:
    x = np.pad(_fake(arrays["in0"].astype(np.float64), -2.0, 3.0), ((0, 0), (0, 0), (1, 1), (1, 1)))
    reach = arrays["conv.wmax"].reshape(-1, 1, 1, 1).astype(np.float64)
    weight = _fake(arrays["conv.weight"].astype(np.float64), -reach, reach, least=1)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))
    y = np.maximum(np.einsum("nchwij,ocij->nohw", windows, weight), 0)
    return _fake(y, 0.0, 6.0).reshape(1, -1) @ arrays["dense.weight"].T + arrays["dense.bias"]


@pytest.mark.parametrize("optimize", ["none", "general"])
def test_fake_quant_in_floats(optimize: str, tmp_path: Path) -> None:
    """5e-3: an activation next to the middle of two integers may fall to the other one, of 255."""
    converter.convert(_NET, tmp_path / "net.ms", optimize=optimize, check=False)
    with np.load(DATA / "mindir_quant" / "fakequant.npz") as arrays:
        found = run_ms(tmp_path / "net.ms", channels_last([arrays["in0"]]))[0]
        assert_close(found, _expected(arrays), 5e-3)
    casts = [n for n in load(tmp_path / "net.ms").main.nodes if n.op == "QuantDTypeCast" and n.output.quant]
    params = [(n.output.quant[0].scale, n.output.quant[0].zero_point) for n in casts]
    assert params == [(pytest.approx(5 / 255), 102 - 128), (pytest.approx(6 / 255), -128)]


def test_fake_quant_in_int8_without_calibration(tmp_path: Path) -> None:
    """2e-2: the dense layer's weights, which were floats, are rounded too."""
    report = converter.convert(_NET, tmp_path / "net.ms", config=_FULL, check=False)
    with np.load(DATA / "mindir_quant" / "fakequant.npz") as arrays:
        found = run_ms(tmp_path / "net.ms", channels_last([arrays["in0"]]))[0]
        assert_close(found, _expected(arrays), 2e-2)
    nodes = load(tmp_path / "net.ms").main.nodes
    assert [n.op for n in nodes] == ["QuantDTypeCast", "Conv2DFusion", "Reshape", "MatMulFusion"]
    assert nodes[0].output.quant[0].scale == pytest.approx(5 / 255) and nodes[0].output.quant[0].zero_point == -26
    assert report.quantization["totals"]["int8_part"] == 1.0


def _scope() -> Scope:
    return Scope(Graph("main"), Constants(), "fake", "FakeQuantPerLayer", None)


def _range(low: float, high: float) -> tuple[Value, Value]:
    graph = Graph("ends")
    return graph.constant("low", np.array([low], np.float32)), graph.constant("high", np.array([high], np.float32))


def test_fewer_bits_are_clipped(tmp_path: Path) -> None:
    scope = _scope()
    x = scope.graph.add_input("x", DataType.FLOAT32, (4,))
    y = quantization.fake_quant_per_layer(scope, x, *_range(-1.0, 2.0), num_bits=4)
    assert [n.op for n in scope.graph.nodes] == ["Clip", "QuantDTypeCast", "QuantDTypeCast"]
    scope.graph.outputs = [y]
    (param,) = scope.graph.nodes[1].output.quant
    assert (param.scale, param.zero_point) == (pytest.approx(0.2), 5 - 128)


@pytest.mark.parametrize(
    ("ends", "options", "error", "message"),
    [
        ((-1.0, float("nan")), {}, Malformed, "not finite"),
        ((-1.0, 1.0), {"num_bits": 17}, Refusal, "17 bits"),
        ((-1.0, 1.0), {"num_bits": 12}, Refusal, "activations of 12 bits"),
    ],
)
def test_fake_quant_that_makes_no_sense(
    ends: tuple[float, float], options: dict[str, int], error: type[Exception], message: str
) -> None:
    scope = _scope()
    x = scope.graph.add_input("x", DataType.FLOAT32, (4,))
    with pytest.raises(error, match=message):
        quantization.fake_quant_per_layer(scope, x, *_range(*ends), **options)


def _qdq(name: str, x: str, scale: str, zero: str) -> list[Any]:
    return [
        node("QuantizeLinear", x, scale, zero, name=f"{name}_q"),
        node("DequantizeLinear", f"{name}_q", scale, zero, name=name),
    ]


def test_onnx_qdq_in_int8_without_calibration(tmp_path: Path) -> None:
    """A GELU that pairs stand in is one table all the same; 2e-2: a few steps of 255, after three layers."""
    rng = np.random.default_rng(0)
    constants = {
        "w": rng.integers(-127, 128, (8, 3, 3, 3)).astype(np.int8), "ws": rng.uniform(0.002, 0.004, 8).astype(F32),
        "wz": np.zeros(8, np.int8), "v": rng.integers(-127, 128, (4, 8, 1, 1)).astype(np.int8),
        "vs": np.full(4, 0.004, F32), "vz": np.zeros(4, np.int8), "xs": np.array(0.03, F32),
        "xz": np.array(128, np.uint8), "ys": np.array(0.05, F32), "yz": np.array(128, np.uint8),
        "gs": np.array(0.03, F32), "gz": np.array(6, np.uint8), "es": np.array(2 / 255, F32),
        "ez": np.array(128, np.uint8), "root": np.array(2**0.5, F32), "one": np.array(1, F32),
        "half": np.array(0.5, F32), "os": np.array(0.02, F32), "oz": np.array(120, np.uint8),
    }  # fmt: skip
    nodes = [
        *_qdq("x1", "x", "xs", "xz"),
        node("DequantizeLinear", "w", "ws", "wz", name="wd", axis=0),
        node("Conv", "x1", "wd", name="c", pads=[1, 1, 1, 1]),
        *_qdq("t", "c", "ys", "yz"),
        node("Div", "t", "root", name="d"),
        node("Erf", "d", name="e"),
        *_qdq("e1", "e", "es", "ez"),
        node("Add", "e1", "one", name="a"),
        node("Mul", "t", "a", name="m"),
        node("Mul", "m", "half", name="g"),
        *_qdq("g1", "g", "gs", "gz"),
        node("DequantizeLinear", "v", "vs", "vz", name="vd", axis=0),
        node("Conv", "g1", "vd", name="z"),
        node("QuantizeLinear", "z", "os", "oz", name="z_q"),
        node("DequantizeLinear", "z_q", "os", "oz"),
    ]
    case = Case("qdq", nodes, {"x": rng.standard_normal((1, 3, 8, 8), F32)}, constants)
    path = case.save(tmp_path)
    report = converter.convert(path, tmp_path / "net.ms", config=_FULL)
    found = run_ms(tmp_path / "net.ms", channels_last([case.inputs["x"]]))[0]
    assert_close(found, witness(path, case.inputs)[0], 2e-2)
    kinds = {layer["op"]: layer["kind"] for layer in report.quantization["layers"] if layer["op"] != "Transpose"}
    assert kinds == {"Conv2DFusion": "int8", "Activation": "int8"}
    assert report.check["passed"] and report.check["threshold"] == 5e-2
    assert report.quantization["totals"]["int8_part"] == 1.0
