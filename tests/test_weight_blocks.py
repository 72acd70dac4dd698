"""4-bit weights in blocks: what is stored, against weights and against an independent reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stored_weights import blocks_decoded
from support import DATA

import converter
from converter.errors import ConfigError
from converter.importers.ms import load
from converter.ir.graph import Graph, Model, Node
from converter.quant import quantize, recipe
from converter.quant.ranges import rounded
from converter.quant.weight_blocks import in_blocks
from converter.quant.weight_gptq import Compensation
from lite_runtime.types import DataType


def _rules(**config: Any) -> list[recipe.Rule]:
    return recipe.from_recipe([{"algorithm": "WEIGHT_QUANT", "config": {"bit_num": 4, **config}}])


def _product(weight: np.ndarray, op: str = "MatMulFusion", **attrs: Any) -> Model:
    graph = Graph("main")
    columns = weight.shape[1] if op == "FullConnection" or attrs.get("transpose_b") else weight.shape[0]
    x = graph.add_input("x", DataType.FLOAT32, (3, columns))
    bias = graph.constant("b", np.ones(weight.size // columns, np.float32))
    graph.outputs = [graph.add(op, [x, graph.constant("w", weight), bias], "product", **attrs).output]
    return Model([graph], "product")


def _stored(model: Model) -> tuple[Node, dict[str, str]]:
    node = model.main.nodes[0]
    assert node.op == "Custom"
    return node, {a["name"]: a["data"].decode() for a in node.attrs["attr"]}


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize(
    ("op", "attrs"),
    [
        ("MatMulFusion", {"transpose_b": True, "activation_type": "RELU"}),
        ("MatMulFusion", {}),
        ("FullConnection", {"has_bias": True}),
    ],
)
def test_products(op: str, attrs: dict[str, Any], size: int, symmetric: bool) -> None:
    """Columns that fill no whole number of blocks or bytes are included."""
    rows = np.random.default_rng(size).standard_normal((48, 301)).astype(np.float32)
    by_column = op == "MatMulFusion" and not attrs.get("transpose_b")
    model = _product(np.ascontiguousarray(rows.T) if by_column else rows, op, **attrs)
    assert quantize(model, _rules(block_size=size, block_symmetric=symmetric)) == []
    node, attributes = _stored(model)
    assert node.attrs["type"] == "MatMulNBits"
    assert attributes == {
        "bits": "4",
        "block_size": str(size),
        "activation": attrs.get("activation_type", "NO_ACTIVATION"),
    }
    x, packed, scales, *zeros, bias = node.inputs
    assert (x.name, bias.name, len(zeros)) == ("x", "b", 0 if symmetric else 1)
    assert packed.shape == (48, 151) and packed.dtype == DataType.UINT8
    assert scales.shape == (48, -(-301 // size)) and scales.dtype == DataType.FLOAT16
    found = blocks_decoded(packed.data, scales.data, zeros[0].data if zeros else None, size, 301)
    error = np.linalg.norm(found - rows) / np.linalg.norm(rows)
    # Steps of a 15th of a block's range, about 4 to 5.5 standard deviations: 5 / 15 / sqrt(12), and less by clipping.
    assert error < {32: 0.09, 64: 0.10, 128: 0.11}[size]
    assert np.abs(found - rows).max() < 1


def test_tables() -> None:
    table = np.random.default_rng(1).standard_normal((90, 64)).astype(np.float32)
    graph = Graph("main")
    ids = graph.add_input("ids", DataType.INT32, (2, 5))
    axis = graph.constant("axis", np.array(0, np.int32))
    graph.outputs = [graph.add("Gather", [graph.constant("w", table), ids, axis], "rows").output]
    model = Model([graph], "table")
    quantize(model, _rules(block_size=32))
    node, attributes = _stored(model)
    assert node.attrs["type"] == "GatherNBits" and attributes == {"bits": "4", "block_size": "32", "columns": "64"}
    assert [v.name for v in node.inputs] == ["ids", "w_packed", "w_scales"]
    found = blocks_decoded(node.inputs[1].data, node.inputs[2].data, None, 32, 64)
    assert np.linalg.norm(found - table) / np.linalg.norm(table) < 0.09


def test_a_table_and_a_product_share_a_weight() -> None:
    table = np.random.default_rng(2).standard_normal((90, 64)).astype(np.float32)
    graph = Graph("main")
    ids = graph.add_input("ids", DataType.INT32, (5,))
    weight = graph.constant("w", table)
    rows = graph.add("Gather", [weight, ids, graph.constant("axis", np.array(0, np.int32))], "rows").output
    graph.outputs = [graph.add("MatMulFusion", [rows, weight], "scores", transpose_b=True).output]
    model = Model([graph], "tied")
    quantize(model, _rules(block_size=32))
    gather, product = model.main.nodes
    assert gather.inputs[1] is product.inputs[1] and gather.inputs[2] is product.inputs[2]


@pytest.mark.parametrize("symmetric", [True, False])
def test_unusual_blocks(symmetric: bool) -> None:
    """Constant, one-sided, nearly empty and far-reaching blocks."""
    rows = np.random.default_rng(3).standard_normal((8, 64)).astype(np.float32)
    rows[0], rows[1], rows[2, :32], rows[3] = 0, 0.5, 1e-7, np.abs(rows[3])
    rows[4, 5] = 1000
    blocks = in_blocks(rows, 32, symmetric, rounded)
    assert blocks is not None
    found = blocks_decoded(blocks.packed, blocks.scales, blocks.zero_points, 32, 64)
    assert not found[0].any()
    np.testing.assert_allclose(found[1], 0.5, rtol=2e-3)  # float16 scales have 11 bits
    assert np.abs(found[2, :32]).max() <= 1e-5 and abs(found[4, 5] - 1000) < 5
    reach = rows.reshape(8, 2, 32).max(axis=2) - np.minimum(rows.reshape(8, 2, 32).min(axis=2), 0)
    reach = np.maximum(reach, -2 * rows.reshape(8, 2, 32).min(axis=2)) if symmetric else reach
    assert (np.abs(found - rows).reshape(8, 2, 32).max(axis=2) <= 0.3 * reach + 1e-5).all()


@pytest.mark.parametrize("factor", [1e-6, 1e7])
def test_scales_beyond_float16_are_per_channel(factor: float) -> None:
    weight = (np.random.default_rng(4).standard_normal((64, 64)) * factor).astype(np.float32)
    model = _product(weight, transpose_b=True)
    quantize(model, _rules(block_size=32))
    assert model.main.nodes[0].op == "MatMulFusion" and len(model.main.nodes[0].inputs[1].quant) == 64


def test_with_gptq() -> None:
    """The same blocks, integers that make up for each other's errors."""
    random = np.random.default_rng(5)
    rows = random.standard_normal((32, 128)).astype(np.float32)
    x = random.standard_normal((500, 16)) @ random.standard_normal((16, 128))
    error = {}
    for name, rounding in (("plain", rounded), ("gptq", Compensation(x.T @ x).rounded)):
        blocks = in_blocks(rows, 32, True, rounding)
        assert blocks is not None
        found = blocks_decoded(blocks.packed, blocks.scales, None, 32, 128)
        error[name] = np.square(x @ (found - rows).T).sum()
    assert error["gptq"] < 0.5 * error["plain"]


def test_other_weights_are_per_channel(tmp_path: Path) -> None:
    config = {
        "common_quant_param": {"quant_type": "WEIGHT_QUANT", "bit_num": "4"},
        "weight_quant_param": {"block_size": "32"},
    }
    converter.convert(DATA / "mindir_v1" / "wide.mindir", tmp_path / "wide.ms", config=config, check=False)
    nodes = load(tmp_path / "wide.ms").main.nodes
    assert sum(n.op == "Custom" for n in nodes) == 3
    assert all(len(n.inputs[1].quant) > 1 for n in nodes if n.op == "Conv2DFusion")


def test_wrong_settings() -> None:
    with pytest.raises(ConfigError, match="block_size is for bit_num=4"):
        _rules(bit_num=8, block_size=32)
    with pytest.raises(ConfigError, match="block_size=48: expected one of 0, 32, 64, 128"):
        _rules(block_size=48)
