"""DYNAMIC_QUANT: products in int8 with scales found in each run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import CORPUS, DATA, assert_close, channels_last, recorded, run_ms

import converter
import lite_runtime
from converter.exporter import export, write
from converter.importers.ms import load
from converter.ir.graph import Graph, Model
from converter.quant import quantize, recipe
from lite_runtime.errors import LiteRuntimeError
from lite_runtime.types import DataType

_CONFIG = {"common_quant_param": {"quant_type": "DYNAMIC_QUANT"}}
_THEIRS = {"enc": DATA / "ms_quantized" / "enc_dq.ms", "wide": CORPUS / "quantized_by_mindspore_lite" / "wide_dq.ms"}


def _converted(folder: Path, net: str) -> Path:
    path = folder / f"{net}.ms"
    converter.convert(DATA / "mindir_v1" / f"{net}.mindir", path, config=_CONFIG, check=False)
    return path


# Relative errors of a few parts in 2^8: weights and activations are rounded to 8 bits.
@pytest.mark.parametrize("net", ["enc", "wide", "tenc", "lstm", "gru"])
def test_close_to_the_float_network(net: str, tmp_path: Path) -> None:
    inputs, expected = recorded(DATA / "mindir_v1" / f"{net}.npz")
    for output, answer in zip(run_ms(_converted(tmp_path, net), channels_last(inputs)), expected):
        error = np.linalg.norm(output.astype(np.float64) - answer) / np.linalg.norm(answer.astype(np.float64))
        assert error <= 4.0 / 2**8


@pytest.mark.parametrize("net", ["enc", pytest.param("wide", marks=pytest.mark.corpus)])
def test_never_larger_than_mindspore_lite(net: str, tmp_path: Path) -> None:
    assert _converted(tmp_path, net).stat().st_size <= _THEIRS[net].stat().st_size


def _rules(**config: Any) -> list[recipe.Rule]:
    return recipe.from_recipe([{"algorithm": "DYNAMIC_QUANT", "config": config}])


def _dense(op: str, weight: np.ndarray, bias: np.ndarray, readers: int = 1, **attrs: Any) -> Model:
    graph = Graph("main")
    columns = weight.shape[0] if op == "FullConnection" or attrs.get("transpose_b") else weight.shape[1]
    x = graph.add_input("x", DataType.FLOAT32, (3, weight.size // columns))
    for i in range(readers):
        inputs = [x, graph.constant(f"w{i}", weight + i), graph.constant(f"b{i}", bias)]
        graph.outputs.append(graph.add(op, inputs, f"dense{i}", **attrs).output)
    return Model([graph], "dense")


def _formula(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """x [m, k] and weight [k, n], both rounded to 256 and 255 steps, as the format has it."""
    step = (float(x.max()) - float(x.min())) / 255
    zero = np.rint(-128 - x.min() / step)
    q = np.clip(np.rint(x / np.float32(step)) + zero, -128, 127)
    scale = np.abs(weight).max(axis=0) / 127
    return (q - zero) * step @ (np.rint(weight / scale) * scale) + bias


@pytest.mark.parametrize(
    ("op", "attrs", "transposed"),
    [
        ("MatMulFusion", {"transpose_b": True}, True),
        ("MatMulFusion", {}, False),
        ("MatMulFusion", {"transpose_b": True, "activation_type": "RELU"}, True),
        ("FullConnection", {"has_bias": True, "axis": 1, "use_axis": True}, True),
    ],
)
def test_is_the_formula(op: str, attrs: dict[str, Any], transposed: bool, tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    weight, bias = random.standard_normal((40, 24)).astype(np.float32), random.standard_normal(24).astype(np.float32)
    model = _dense(op, np.ascontiguousarray(weight.T) if transposed else weight, bias, **attrs)
    assert quantize(model, _rules()) == []
    assert [node.op for node in model.main.nodes] == ["DynamicQuant", op]
    write(tmp_path / "dense.ms", export(model))
    x = random.standard_normal((3, 40)).astype(np.float32)
    expected = _formula(x, weight, bias)
    if attrs.get("activation_type") == "RELU":
        expected = np.maximum(expected, 0)
    # The sums are exact integers, scaled in float32.
    assert_close(run_ms(tmp_path / "dense.ms", [x])[0], expected, 1e-5)


def test_readers_of_one_activation_share_its_quantisation() -> None:
    model = _dense("MatMulFusion", np.eye(16, dtype=np.float32), np.zeros(16, np.float32), readers=3)
    quantize(model, _rules())
    assert [node.op for node in model.main.nodes] == ["DynamicQuant", *["MatMulFusion"] * 3]


def test_weights_are_symmetric_and_avoid_the_least_integer() -> None:
    weight = np.random.default_rng(6).standard_normal((16, 64)).astype(np.float32)
    weight[3], weight[4, 0] = 0, -99
    model = _dense("MatMulFusion", weight, np.zeros(16, np.float32), transpose_b=True)
    quantize(model, _rules())
    stored = model.main.nodes[1].inputs[1]
    assert stored.data.min() == -127 and all(p.zero_point == 0 and p.scale > 0 for p in stored.quant)
    assert len(stored.quant) == 16 and not stored.data[3].any()


def test_weights_that_are_not_finite_stay_float(tmp_path: Path) -> None:
    weight = np.ones((16, 64), np.float32)
    weight[0, 0] = np.nan
    model = _dense("MatMulFusion", weight, np.zeros(16, np.float32), transpose_b=True)
    assert quantize(model, _rules()) == ["weight 'w0' stays float32: NaN or infinity in it"]
    assert [node.op for node in model.main.nodes] == ["MatMulFusion"]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_activations_that_are_not_finite_are_an_error_when_it_runs(bad: float, tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    model = _dense("MatMulFusion", random.standard_normal((8, 16)).astype(np.float32), np.zeros(16, np.float32))
    quantize(model, _rules())
    write(tmp_path / "net.ms", export(model))
    x = random.standard_normal((3, 8)).astype(np.float32)
    x[1, 2] = bad
    with pytest.raises(LiteRuntimeError, match="the values to be quantised are not finite"):
        lite_runtime.load(tmp_path / "net.ms")(x)


def test_products_of_activations_stay_float(tmp_path: Path) -> None:
    nodes = load(_converted(tmp_path, "enc")).main.nodes
    kinds = {(n.quant_type, n.inputs[1].is_const) for n in nodes if n.op == "MatMulFusion"}
    assert kinds == {("QUANT_DYNAMIC", True), ("QUANT_NONE", False)}
    gather = next(n for n in nodes if n.op == "Gather")
    assert gather.inputs[0].dtype == DataType.INT8


def test_smoothing_helps_channels_of_very_different_sizes(tmp_path: Path) -> None:
    random = np.random.default_rng(11)
    x = random.standard_normal((3, 40)).astype(np.float32)
    x[:, 7] *= 60
    weight = random.standard_normal((40, 24)).astype(np.float32)
    weight[7] /= 40
    errors = {}
    for on in (False, True):
        model = _dense("MatMulFusion", weight, np.zeros(24, np.float32))
        quantize(model, _rules(enable_smooth_shift=on), [[x]])
        write(tmp_path / "dense.ms", export(model))
        errors[on] = np.linalg.norm(run_ms(tmp_path / "dense.ms", [x])[0] - x @ weight)
    assert errors[True] < 0.25 * errors[False]
