"""Weights of 8 and 4 bits that the engine keeps as they are stored, against their decoded values in float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stored_weights import blocks_decoded, decoded
from support import run_ms

from converter.exporter import export, write
from converter.ir.graph import Graph, Model, Node
from converter.quant import quantize, recipe
from lite_runtime import LiteRuntimeError
from lite_runtime.types import DataType

_RANDOM = np.random.default_rng(11)
_PRODUCTS = [
    ("MatMulFusion", {"transpose_b": True, "activation_type": "RELU"}),
    ("MatMulFusion", {}),
    ("FullConnection", {"has_bias": True}),
]


def _quantized(graph: Graph, **config: Any) -> tuple[Model, Node]:
    model = Model([graph], "stored")
    rule = {
        "algorithm": "WEIGHT_QUANT",
        "config": {"min_quant_weight_size": 0, "min_quant_weight_channel": 1, **config},
    }
    assert quantize(model, recipe.from_recipe([rule])) == []
    return model, model.main.nodes[0]


def _run(model: Model, folder: Path, inputs: list[np.ndarray], threads: int = 1) -> np.ndarray:
    path = folder / "stored.ms"
    write(path, export(model))
    return run_ms(path, inputs, threads)[0]


def _decoded_by_block(node: Node, first: int, size: int, columns: int, rest: int) -> np.ndarray:
    packed, scales, *more = [np.asarray(v.data) for v in node.inputs[first : len(node.inputs) - rest]]
    return blocks_decoded(packed, scales, more[0] if more else None, size, columns)


@pytest.mark.parametrize("rows", [1, 2, 3, 37])
@pytest.mark.parametrize("config", [{"bit_num": 8}, {"bit_num": 4}, {"bit_num": 4, "block_size": 32},
                                    {"bit_num": 4, "block_size": 64, "block_symmetric": False}])  # fmt: skip
@pytest.mark.parametrize(("op", "attrs"), _PRODUCTS)
def test_products(op: str, attrs: dict[str, Any], config: dict[str, Any], rows: int, tmp_path: Path) -> None:
    """Columns that fill no block, byte or tile; one row, which has a kernel of its own, and several."""
    weight = _RANDOM.standard_normal((75, 133)).astype(np.float32)
    by_column = op == "MatMulFusion" and not attrs.get("transpose_b")
    graph = Graph("main")
    x = graph.add_input("x", DataType.FLOAT32, (rows, 133))
    bias = graph.constant("b", _RANDOM.standard_normal(75).astype(np.float32))
    stored = graph.constant("w", np.ascontiguousarray(weight.T) if by_column else weight)
    graph.outputs = [graph.add(op, [x, stored, bias], "product", **attrs).output]
    model, node = _quantized(graph, **config)
    if "block_size" in config:
        assert node.op == "Custom"
        found = _decoded_by_block(node, 1, config["block_size"], 133, rest=1)
    else:
        found = decoded(node.inputs[1], 1 if by_column else 0).astype(np.float64)
        found = found.T if by_column else found
    assert 0 < np.abs(found - weight).max() < 1
    value = _RANDOM.standard_normal((rows, 133)).astype(np.float32)
    expected = value @ found.T + bias.data
    if attrs.get("activation_type") == "RELU":
        expected = np.maximum(expected, 0)
    for threads in (1, 2):  # sums of 133 products reach 50: some units in the last place of that
        np.testing.assert_allclose(_run(model, tmp_path, [value], threads), expected, rtol=0, atol=5e-5)


@pytest.mark.parametrize("config", [{"bit_num": 8}, {"bit_num": 4}, {"bit_num": 4, "block_size": 32}])
def test_tables(config: dict[str, Any], tmp_path: Path) -> None:
    table = _RANDOM.standard_normal((90, 51)).astype(np.float32)
    graph = Graph("main")
    ids = graph.add_input("ids", DataType.INT32, (2, 5))
    axis = graph.constant("axis", np.zeros(1, np.int32))
    graph.outputs = [graph.add("Gather", [graph.constant("table", table), ids, axis], "rows").output]
    model, node = _quantized(graph, **config)
    found = _decoded_by_block(node, 1, 32, 51, rest=0) if "block_size" in config else decoded(node.inputs[0], 0)
    index = _RANDOM.integers(-90, 90, (2, 5)).astype(np.int32)
    np.testing.assert_allclose(_run(model, tmp_path, [index]), found[index], rtol=1e-6, atol=0)


def _blocks(folder: Path, change: Any) -> np.ndarray:
    """Runs a product of blocks whose node `change` has spoiled."""
    graph = Graph("main")
    x = graph.add_input("x", DataType.FLOAT32, (3, 64))
    weight = graph.constant("w", _RANDOM.standard_normal((32, 64)).astype(np.float32))
    graph.outputs = [graph.add("MatMulFusion", [x, weight], "product", transpose_b=True).output]
    model, node = _quantized(graph, bit_num=4, block_size=32)
    change(node)
    return _run(model, folder, [np.ones((3, 64), np.float32)])


def _shorten(node: Node, index: int) -> None:
    value = node.inputs[index]
    assert value.data is not None and value.shape is not None
    value.data, value.shape = value.data[:-1], (len(value.data) - 1, *value.shape[1:])


def _attribute(node: Node, name: str, text: bytes) -> None:
    next(a for a in node.attrs["attr"] if a["name"] == name)["data"] = text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda node: _shorten(node, 2), r"input 2 has the shape \[31, 2\] instead of \[32, 2\]"),
        (lambda node: _attribute(node, "block_size", b"0"), "block_size is '0', not a positive number"),
        (lambda node: _attribute(node, "block_size", b"16"), "input 2 has the shape"),
        (lambda node: _attribute(node, "bits", b"3"), "other than 4 bits"),
        (lambda node: _attribute(node, "activation", b"MAGIC"), "'MAGIC' is no activation"),
    ],
)
def test_wrong_blocks(change: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(LiteRuntimeError, match=message):
        _blocks(tmp_path, change)
