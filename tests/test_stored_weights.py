"""Weights of 8 and 4 bits that the engine keeps as they are stored, against their decoded values in float64."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stored_weights import blocks_decoded, decoded
from support import PACKAGES, run_ms

from converter.exporter import export, write
from converter.ir.graph import Graph, Model, Node, QuantParam
from converter.quant import quantize, recipe
from lite_runtime import LiteRuntimeError, _native, _profile
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


_FORMS = {
    ("NONE", 8): _RANDOM.uniform(-1, 1, (90, 51)),
    ("FSE_INT", 8): _RANDOM.standard_normal((900, 51)) ** 3,
    ("FSE_INT", 4): _RANDOM.standard_normal((900, 51)) ** 3,
    ("BITPACKING", 5): _RANDOM.uniform(-1, 1, (90, 51)),
    ("BITPACKING", 3): _RANDOM.uniform(-1, 1, (90, 51)),
    ("INDEXING", 8): _RANDOM.choice([-1.0, -0.25, 0.5, 1.0], (90, 51)),
    ("INDEXING", 4): _RANDOM.choice([-1.0, 0.5], (90, 51)),
    ("SPARSE", 8): _RANDOM.uniform(-1, 1, (90, 51)) * (_RANDOM.random((90, 51)) < 0.02),
    ("SPARSE", 4): _RANDOM.uniform(-1, 1, (90, 51)) * (_RANDOM.random((90, 51)) < 0.02),
}


@pytest.mark.parametrize(("form", "bits"), _FORMS)
def test_forms_of_tables(form: str, bits: int, tmp_path: Path) -> None:
    """Rows read in the file, and rows of what has no places for them there."""
    table = _FORMS[form, bits].astype(np.float32)
    graph = Graph("main")
    ids = graph.add_input("ids", DataType.INT32, (7,))
    axis = graph.constant("axis", np.zeros(1, np.int32))
    graph.outputs = [graph.add("Gather", [graph.constant("table", table), ids, axis], "rows").output]
    model, node = _quantized(graph, bit_num=bits, per_channel=False)
    assert node.inputs[0].compression == form
    index = _RANDOM.integers(-len(table), len(table), 7).astype(np.int32)
    expected = decoded(node.inputs[0], 0)[index]
    np.testing.assert_allclose(_run(model, tmp_path, [index]), expected, rtol=1e-6, atol=1e-7)


def _convolved(x: np.ndarray, weight: np.ndarray, stride: int, group: int) -> np.ndarray:
    """Of NHWC and [out, kh, kw, in / group], with as much padding as keeps the size."""
    size, inside = weight.shape[1], weight.shape[3]
    padded = np.pad(x.astype(np.float64), ((0, 0), (size // 2,) * 2, (size // 2,) * 2, (0, 0)))
    height, width = (-(-n // stride) for n in x.shape[1:3])
    result = np.zeros((len(x), height, width, len(weight)))
    for channel in range(len(weight)):
        first = channel * group // len(weight) * inside
        for row in range(size):
            for column in range(size):
                part = padded[:, row : row + height * stride : stride, column : column + width * stride : stride]
                result[..., channel] += part[..., first : first + inside] @ weight[channel, row, column]
    return result


@pytest.mark.parametrize("bits", [0, 4, 8, 12])
@pytest.mark.parametrize(("shape", "stride", "group"), [
    ((129, 1, 1, 135), 1, 1),  # stays compressed: 9 panels of columns, no whole number of rows
    ((136, 1, 1, 128), 2, 1),
    ((40, 1, 1, 24), 1, 1),
    ((32, 3, 3, 24), 1, 1),  # Winograd
    ((136, 3, 3, 24), 1, 1),  # these stay compressed
    ((65, 3, 3, 33), 2, 1),
    ((129, 5, 5, 7), 1, 1),
    ((17, 11, 11, 9), 7, 1),  # two rows of two pixels
    ((33, 3, 3, 5), 2, 1),
    ((32, 3, 3, 8), 1, 4),
    ((64, 5, 5, 1), 1, 64),
])  # fmt: skip
def test_convolutions(shape: tuple[int, ...], stride: int, group: int, bits: int, tmp_path: Path) -> None:
    weight = _RANDOM.standard_normal(shape).astype(np.float32)
    graph = Graph("main")
    pad = shape[1] // 2
    x = graph.add_input("x", DataType.FLOAT32, (1, 11, 13, shape[3] * group))
    inputs = [x, graph.constant("w", weight), graph.constant("b", _RANDOM.standard_normal(shape[0], np.float32))]
    attrs = {"kernel_size": list(shape[1:3]), "stride": [stride, stride], "group": group, "pad_list": [pad] * 4,
             "in_channel": shape[3] * group, "out_channel": shape[0], "dilation": [1, 1]}  # fmt: skip
    graph.outputs = [graph.add("Conv2DFusion", inputs, "layer", activation_type="RELU", **attrs).output]
    model = Model([graph], "convolution")
    rule = {"algorithm": "WEIGHT_QUANT", "config": {"bit_num": bits, "min_quant_weight_size": 0,
                                                    "min_quant_weight_channel": 0}}  # fmt: skip
    notes = quantize(model, recipe.from_recipe([rule]))
    stored = decoded(inputs[1], 0) if not notes else weight
    assert bits == 0 or not notes
    value = _RANDOM.standard_normal((1, 11, 13, shape[3] * group)).astype(np.float32)
    expected = np.maximum(_convolved(value, stored, stride, group) + inputs[2].data, 0)
    for threads in (1, 2):  # sums of many products reach 90; Winograd's intermediate values are larger
        np.testing.assert_allclose(_run(model, tmp_path, [value], threads), expected, rtol=0, atol=6e-4)


def test_readers_that_need_it_in_other_forms(tmp_path: Path) -> None:
    """One weight that stays compressed for one node, is packed for the next, and added to by a third."""
    weight = _RANDOM.standard_normal((128, 128)).astype(np.float32)
    graph = Graph("main")
    x = graph.add_input("x", DataType.FLOAT32, (3, 128))
    w = graph.constant("w", weight)
    first = graph.add("MatMulFusion", [x, w], "stays", transpose_b=True)
    second = graph.add("MatMulFusion", [first.output, w], "too", transpose_b=True)
    graph.outputs = [second.output]
    model, node = _quantized(graph, bit_num=8)
    assert node.inputs[1] is second.inputs[1]
    graph.outputs = [second.output, graph.add("AddFusion", [node.inputs[1], node.inputs[1]], "plain").output]
    graph.nodes[-1].quant_type = "QUANT_WEIGHT"
    found = decoded(node.inputs[1], 0)
    value = _RANDOM.standard_normal((3, 128)).astype(np.float32)
    path = tmp_path / "shared.ms"
    write(path, export(model))
    product, doubled = run_ms(path, [value])
    np.testing.assert_allclose(product, value @ found.T @ found.T, rtol=0, atol=2e-3)
    np.testing.assert_allclose(doubled, 2 * found, rtol=1e-6, atol=0)


@pytest.mark.parametrize("config", [{"bit_num": 8}, {"bit_num": 4}, {"bit_num": 12}])
def test_shapes_of_the_run(config: dict[str, Any], tmp_path: Path) -> None:
    """The rows of the product depend on a value that only the run has."""
    weight = _RANDOM.standard_normal((20, 160)).astype(np.float32)
    graph = Graph("main")
    x = graph.add_input("x", DataType.FLOAT32, (4, 160))
    to = graph.add_input("to", DataType.INT32, (2,))
    rows = graph.add("Reshape", [x, to], "rows").output
    product = graph.add("MatMulFusion", [rows, graph.constant("w", weight)], "product", transpose_b=True)
    graph.outputs = [product.output]
    model, _ = _quantized(graph, **config)
    found = decoded(product.inputs[1], 0)
    value = _RANDOM.standard_normal((4, 160)).astype(np.float32)
    result = _run(model, tmp_path, [value, np.array([4, 160], np.int32)])
    np.testing.assert_allclose(result, value @ found.T, rtol=0, atol=1e-4)


def _large(folder: Path, bits: int) -> tuple[Path, int]:
    """A table, two products, a 1x1 convolution and a layer's states of 2^22 weights each, a 3x3 one; their bytes as
    float32."""
    graph = Graph("main")
    ids = graph.add_input("ids", DataType.INT32, (4,))
    axis = graph.constant("axis", np.zeros(1, np.int32))
    weights = [_RANDOM.standard_normal(n, np.float32) for n in ((4096, 1024), (4096, 1024), (1024, 4096))]
    x = graph.add("Gather", [graph.constant("table", weights[0]), ids, axis], "rows").output
    for i, w in enumerate(weights[1:]):
        x = graph.add("MatMulFusion", [x, graph.constant(f"w{i}", w)], f"p{i}", transpose_b=True).output
    x = graph.add("Reshape", [x, graph.constant("shape", np.array([1, 2, 2, 1024], np.int32))], "pixels").output
    for name, shape in (("pointwise", (4096, 1, 1, 1024)), ("spatial", (128, 3, 3, 4096))):
        weights.append(_RANDOM.standard_normal(shape, np.float32))
        attrs = {"kernel_size": list(shape[1:3]), "stride": [1, 1], "dilation": [1, 1], "pad_list": [shape[1] // 2] * 4,
                 "group": 1, "in_channel": shape[3], "out_channel": shape[0]}  # fmt: skip
        x = graph.add("Conv2DFusion", [x, graph.constant(name, weights[-1])], f"{name} layer", **attrs).output
    x = graph.add("Reshape", [x, graph.constant("steps", np.array([4, 1, 128], np.int32))], "sequence").output
    # Evenly spread, as all of them share a scale: entropy codes would make the file of others smaller still.
    weights += [_RANDOM.uniform(-1, 1, shape).astype(np.float32) for shape in ((1, 4096, 128), (1, 4096, 1024))]
    layer = [graph.constant(f"layer{i}", w) for i, w in enumerate(weights[-2:])]
    graph.outputs = [graph.add("LSTM", [x, *layer], "recurrent", outputs=3).outputs[0]]
    model = Model([graph], "large")
    if bits < 32:
        model, _ = _quantized(graph, bit_num=bits)
    path = folder / f"large{bits}.ms"
    write(path, export(model))
    return path, sum(w.nbytes for w in weights)


_MEMORY = """
import sys
import numpy as np
import lite_runtime
from lite_runtime import _native

def resident():  # bytes of its own, without pages of files, which the system may take back
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

lite_runtime.load(sys.argv[1])(np.arange(4, dtype=np.int32))  # what is loaded with the first model
before = resident()
run = lite_runtime.load(sys.argv[2])
run(np.arange(4, dtype=np.int32))
print(resident() - before)
"""


def test_memory_is_that_of_the_file(tmp_path: Path) -> None:
    """The engine's own account, and what the system gave a fresh process: 8 and 4 bits instead of 32."""
    small, _ = _large(tmp_path, 4)
    for bits in (8, 4):
        path, floats = _large(tmp_path, bits)
        session = _native.Session(_native.Model.from_file(str(path)), threads=1)
        packed = _profile.memory(session).packed
        assert packed <= 1.05 * floats * bits / 32 and packed <= 1.2 * path.stat().st_size
        taken = int(subprocess.run([sys.executable, "-c", _MEMORY, small, path], stdout=subprocess.PIPE, check=True,
                                   env={**os.environ, "PYTHONPATH": str(PACKAGES)}).stdout)  # fmt: skip
        # Scales, buffers that went back to the heap, and pages of the file that the system left there.
        assert taken <= 1.3 * floats * bits / 32 + 12e6


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


@pytest.mark.parametrize("shape", [(0, 8), (5, 0)])
def test_weights_without_elements(shape: tuple[int, int], tmp_path: Path) -> None:
    """A file may have them; the product is then empty, or the bias alone."""
    graph = Graph("main")
    x = graph.add_input("x", DataType.FLOAT32, (3, shape[1]))
    weight = graph.constant("w", np.zeros(shape, np.int8))
    weight.quant = [QuantParam(0.5, 0, 8)]
    node = graph.add("MatMulFusion", [x, weight], "product", transpose_b=True)
    node.quant_type = "QUANT_WEIGHT"
    graph.outputs = [node.output]
    found = _run(Model([graph], "stored"), tmp_path, [np.ones((3, shape[1]), np.float32)])
    np.testing.assert_array_equal(found, np.zeros((3, shape[0]), np.float32))
