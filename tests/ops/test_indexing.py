"""Gathering and scattering by index, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from harness import MODES, Case, check, run_op

from converter.exporter import export
from converter.ir.graph import Graph, Model
from lite_runtime import _native
from lite_runtime.errors import ExecutionError, ShapeError, UnsupportedModelError
from lite_runtime.types import DataType

RNG = np.random.default_rng(5)
TYPES = (np.bool_, np.int8, np.uint16, np.float16, np.float32, np.int32, np.float64, np.int64)
F32, I32 = np.float32, np.int32


def data(shape: tuple[int, ...], dtype: type = F32) -> np.ndarray:
    return np.asarray(RNG.integers(0, 2 if dtype == np.bool_ else 120, shape)).astype(dtype)


def gather_cases() -> list[Case]:
    cases = []
    for dtype in TYPES:
        x = data((6, 5, 9), dtype)
        for axis, indices in ((0, [[5, 0], [-1, 2]]), (1, [3]), (2, [8, -9, 4]), (-1, [[0]])):
            at = np.array(indices, np.int64 if axis == 1 else I32)
            cases.append(Case("Gather", (x, at, I32([axis])), np.take(x, at, axis), name=f"{x.dtype} {axis}"))
        rows, elements = I32([[0, 1], [5, -1], [2, 2]]), I32([[[0, 0, 0], [5, 4, 8]]])
        along = data((6, 2, 9), I32) % 10 - 5
        cases += [
            Case("GatherNd", (x, rows), x[rows[:, 0], rows[:, 1]], name=f"{x.dtype} rows"),
            Case("GatherNd", (x, elements), x[[[0, 5]], [[0, 4]], [[0, 8]]], name=f"{x.dtype} elements"),
            Case("GatherD", (x, I32(1), along), np.take_along_axis(x, along.astype(np.int64), 1), name=f"{x.dtype}"),
        ]
    x = data((4, 7))
    part = np.array([[1, 0], [3, 2]], np.int64)
    none = np.zeros((0, 1), I32)
    tables = (data((3, 4)), data((2, 4)), data((5, 4)))
    ids = I32([[0, 9], [3, 4]])
    return [
        *cases,
        Case("Gather", (x, I32(2), I32(0)), x[2], name="scalar"),
        Case("Gather", (x, I32([2, 1])), x[[2, 1]], name="default axis"),
        Case("Gather", (x, np.zeros((0, 2), I32), I32(1)), x[:, :0, None].repeat(2, 2), name="none"),
        Case("Gather", (x[:, :0], I32([1]), I32(0)), x[1:2, :0], name="empty rows"),
        Case("GatherNd", (x, none), x[:0], name="none"),
        Case("GatherNd", (x, np.zeros((3, 0), I32)), np.stack((x, x, x)), name="whole"),
        Case("GatherD", (x, np.array(-1), part), np.take_along_axis(x[:2], part, 1), name="part"),
        Case("EmbeddingLookupFusion", (tables[0], I32([2, 0, -1])), tables[0][[2, 0, -1]], name="one table"),
        Case("EmbeddingLookupFusion", (*tables, ids), np.concatenate(tables)[ids], name="three tables"),
    ]


def one_hot(indices: np.ndarray, depth: int, on: float, off: float, axis: int) -> np.ndarray:
    hot = np.where(np.arange(depth) == indices[..., None], on, off)
    return np.moveaxis(hot, -1, axis)


def one_hot_cases() -> list[Case]:
    indices = I32([[0, 2, 3], [5, -1, 1]])
    wrapped = np.where(indices < 0, indices + 4, indices)
    depth = I32([4])
    cases = []
    for axis in (-1, 0, 1):
        apart = (indices, depth, F32(3), F32([-1]))
        cases.append(
            Case("OneHot", apart, one_hot(indices, 4, 3, -1, axis).astype(F32), {"axis": axis}, name=f"{axis}")
        )
        together = (indices, depth, F32([-1, 3]))
        expected = one_hot(wrapped, 4, 3, -1, axis).astype(F32)
        cases.append(Case("OneHot", together, expected, {"axis": axis}, name=f"{axis} off and on in one"))
    for dtype in TYPES:
        ends = np.array([0, 1], dtype)
        hot = one_hot(wrapped, 4, 1, 0, -1).astype(dtype)
        cases.append(Case("OneHot", (indices.astype(np.int64), depth, ends), hot, {"axis": -1}, name=f"{ends.dtype}"))
    nothing = Case("OneHot", (indices, I32(0), F32([0, 1])), np.zeros((2, 3, 0), F32), {"axis": -1}, name="depth 0")
    return [*cases, nothing, Case("OneHot", (I32(1), depth, F32([0, 1])), F32([0, 1, 0, 0]), name="scalar")]


def scatter_cases() -> list[Case]:
    cases = []
    for dtype in TYPES:
        x, updates = data((5, 4), dtype), data((3, 4), dtype)
        rows = I32([[4], [0], [-3]])
        written = x.copy()
        written[[4, 0, 2]] = updates
        cases.append(Case("ScatterNdUpdate", (x, rows, updates), written, name=f"{x.dtype}"))
        at, values = np.array([[3, 0], [1, 2]]), data((2, 2), dtype)
        placed = x.copy()
        np.put_along_axis(placed[:2], at, values, 1)
        cases.append(Case("ScatterElements", (x, at, values), placed, {"axis": 1}, name=f"{x.dtype}"))
        if dtype in (np.bool_, np.float16):
            continue
        twice, elements = I32([[1], [1], [4]]), I32([[[0, 1], [0, 1]], [[4, 3], [-1, -1]]])
        zeros = np.zeros((5, 4), dtype)
        summed, added = zeros.copy(), x.copy()
        np.add.at(summed, [1, 1, 4], updates)
        np.add.at(added, ([0, 0, 4, 4], [1, 1, 3, 3]), updates[0])
        cases.append(Case("ScatterNd", (twice, updates, I32([5, 4])), summed, name=f"{x.dtype}"))
        one_each = updates[0].reshape(2, 2)
        cases.append(Case("TensorScatterAdd", (x, elements, one_each), added, name=f"{x.dtype} elements"))
    x = data((3, 4, 2))
    block = data((1, 4, 2))
    with_block = x.copy()
    with_block[2] = block[0]
    none = np.zeros((0, 2), I32)
    swapped = x.copy()
    swapped[1, :, 0] = x[0, :, 0]
    return [
        *cases,
        Case("ScatterNdUpdate", (x, np.array([[2]]), block), with_block, name="block"),
        Case("ScatterNdUpdate", (x, none, x[:0, 0]), x, name="none"),
        Case("ScatterElements", (x, np.full((1, 4, 1), 1, I32), x[:1, :, :1]), swapped, name="axis 0"),
        Case("ScatterNd", (none, x[:0, 0], np.array([2, 3, 2])), np.zeros((2, 3, 2), F32), name="none"),
    ]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", gather_cases() + one_hot_cases() + scatter_cases(), ids=str)
def test_indexing(case: Case, mode: str) -> None:
    check(case, mode)


def test_threads() -> None:
    x = data((500, 300))
    rows = RNG.integers(0, 500, 2000).astype(I32)
    np.testing.assert_array_equal(run_op("Gather", [x, rows, I32(0)], threads=3, repeats=3)[0], x[rows])
    np.testing.assert_array_equal(run_op("Gather", [x, rows % 300, I32(1)], threads=3)[0], x[:, rows % 300])


X = data((3, 4))
REFUSALS = (
    ("Gather", [X, I32([3]), I32(0)], {}, ExecutionError, "index 3 is outside an axis of size 3"),
    ("Gather", [X, I32([0, -5]), I32(1)], {}, ExecutionError, "index -5 is outside an axis of size 4"),
    ("Gather", [X, I32([0]), I32(2)], {}, ShapeError, "axis 2 is outside"),
    ("Gather", [X, F32([0]), I32(0)], {}, UnsupportedModelError, "indices of type float32"),
    ("Gather", [X[:0], I32([0]), I32(0)], {}, ExecutionError, "index 0 is outside an axis of size 0"),
    ("GatherNd", [X, I32([[0, 4]])], {}, ExecutionError, "index 4 is outside an axis of size 4"),
    ("GatherNd", [X, I32([[0, 0, 0]])], {}, ShapeError, "name more axes than"),
    ("GatherNd", [X, I32(0)], {}, ShapeError, "the indices have no dimensions"),
    ("GatherD", [X, I32(0), I32([[3, 0, 0, 0]])], {}, ExecutionError, "index 3"),
    ("GatherD", [X, I32(0), I32([0])], {}, ShapeError, "x has 2 dimensions, the indices 1"),
    ("GatherD", [X, I32(0), I32([[0] * 5])], {}, ShapeError, "reach beyond"),
    ("EmbeddingLookupFusion", [X, I32([3])], {}, ExecutionError, "index 3"),
    ("EmbeddingLookupFusion", [X, I32([0])], {"max_norm": 1.0}, UnsupportedModelError, "max_norm"),
    ("OneHot", [I32([0]), I32(-1), F32([0, 1])], {}, ShapeError, "one depth of at least 0"),
    ("OneHot", [I32([0]), I32(3), F32(1), I32(0)], {}, ShapeError, "input 3 must hold one value"),
    ("ScatterNdUpdate", [X, I32([[3]]), X[:1]], {}, ExecutionError, "index 3"),
    ("ScatterNdUpdate", [X, I32([[0]]), X[0]], {}, ShapeError, r"need \[1, 4\]"),
    ("ScatterNdUpdate", [X, I32([[0]]), X[:1].astype(I32)], {}, ShapeError, "different types"),
    ("TensorScatterAdd", [X > 0, I32([[0]]), X[:1] > 0], {}, UnsupportedModelError, "bool"),
    ("ScatterNd", [I32([[2]]), X[:1], I32([2, 4])], {}, ExecutionError, "index 2"),
    ("ScatterNd", [I32([[0]]), X[:1], I32([-2, 4])], {}, ShapeError, "dimension -2"),
    ("ScatterElements", [X, I32([[4, 0]]), X[:1, :2]], {"axis": 1}, ExecutionError, "index 4"),
    ("ScatterElements", [X, I32([[0, 0]]), X[:1, :1]], {"axis": 1}, ShapeError, "do not fit"),
)


@pytest.mark.parametrize("op, inputs, attrs, error, message", REFUSALS)
def test_refusals(op: str, inputs: list[np.ndarray], attrs: dict, error: type, message: str) -> None:
    for constant in ((), range(1, len(inputs)), range(len(inputs))):
        with pytest.raises(error, match=message):
            run_op(op, inputs, attrs, constant=tuple(constant))


def test_updates_from_the_tensor_itself() -> None:
    """Rows change places: the result must not be written over the tensor that the updates are read from."""
    x = data((4, 3))
    graph = Graph("swap")
    fed = graph.add_input("x", DataType.FLOAT32, x.shape)
    copy = graph.add("ReverseV2", [fed], "copy").output
    rows = graph.constant("rows", I32([[1], [2], [3], [0]]))
    graph.outputs = [graph.add("ScatterNdUpdate", [copy, rows, copy], "node").output]
    session = _native.Session(_native.Model.from_buffer(export(Model([graph], "test"))))
    session.set_input(0, x)
    session.run()
    np.testing.assert_array_equal(session.output_value(0), x[[3, 0, 1, 2]])
