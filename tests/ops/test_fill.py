"""Padding, repeating and filling, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from harness import MODES, Case, check, run_op

from lite_runtime.errors import ExecutionError, OutOfMemoryError, ShapeError, UnsupportedModelError

RNG = np.random.default_rng(6)
TYPES = (np.bool_, np.int8, np.uint16, np.float16, np.float32, np.int32, np.float64, np.int64)
F32, I32 = np.float32, np.int32
PADS = {"CONSTANT": "constant", "REFLECT": "reflect", "SYMMETRIC": "symmetric"}


def data(shape: tuple[int, ...], dtype: type = F32) -> np.ndarray:
    return np.asarray(RNG.integers(0, 2 if dtype == np.bool_ else 120, shape)).astype(dtype)


def pad_cases() -> list[Case]:
    cases = []
    tables = ([[0, 0], [1, 1], [2, 1]], [[2, 3], [0, 0], [3, 0]], [[3, 3], [2, 2], [1, 1]], [[0, 0], [0, 0], [0, 0]])
    for dtype in TYPES:
        x = data((4, 3, 5), dtype)
        for mode, numpy_mode in PADS.items():
            for table in tables:
                name = f"{mode} {x.dtype} {table}"
                y = np.pad(x, table, numpy_mode)
                cases.append(Case("PadFusion", (x, I32(table)), y, {"padding_mode": mode}, name=name))
        ones = np.pad(x, tables[0], constant_values=1)
        cases.append(Case("PadFusion", (x, I32(tables[0])), ones, {"constant_value": 1.0}, name=f"{x.dtype} value"))
        operand = (x, I32(tables[0]), np.array([1], dtype))
        cases.append(Case("PadFusion", operand, ones, {"constant_value": 9.0}, name=f"{x.dtype} operand"))
    image = data((1, 6, 7, 3))
    around = [[0, 0], [1, 2], [2, 1], [0, 0]]
    cut = np.pad(image[:, 1:, :-2], [[0, 0], [0, 2], [1, 0], [0, 0]])
    attribute = {"paddings": around}
    return [
        *cases,
        Case("PadFusion", (image,), np.pad(image, around), attribute, name="attribute"),
        Case("PadFusion", (image, I32([[0, 0], [-1, 2], [1, -2], [0, 0]])), cut, name="negative"),
        Case("PadFusion", (image[:, :2], I32([[0, 0], [-2, 0], [0, 0], [0, 0]])), image[:, :0], name="all cut"),
        Case("PadFusion", (image[:, :0], I32(around)), np.zeros((1, 3, 10, 3), F32), name="empty"),
        Case("PadFusion", (F32(3), np.zeros((0, 2), I32)), F32(3), name="scalar"),
    ]


def tile_cases() -> list[Case]:
    cases = []
    for dtype in TYPES:
        x = data((2, 1, 3), dtype)
        cases += [
            Case("TileFusion", (x, I32([2, 3, 4])), np.tile(x, (2, 3, 4)), name=f"{x.dtype}"),
            Case("BroadcastTo", (x, I32([4, 2, 5, 3])), np.broadcast_to(x, (4, 2, 5, 3)), name=f"{x.dtype}"),
            Case("Fill", (x[0, 0, :1], I32([2, 5])), np.full((2, 5), x[0, 0, 0]), name=f"{x.dtype}"),
            Case("FillV2", (I32([7]), x[0, 0, 0]), np.full(7, x[0, 0, 0]), name=f"{x.dtype}"),
        ]
        number = {"data_type": TYPE_NUMBERS[dtype]}
        ones = np.full((3, 2), 1, dtype)
        cases.append(Case("ConstantOfShape", (I32([3, 2]),), ones, {**number, "value": [1.0]}, name=f"{x.dtype}"))
    x = data((2, 1, 3))
    return [
        *cases,
        Case("TileFusion", (x, I32([2])), np.tile(x, (2, 1, 1)), name="first axes"),
        Case("TileFusion", (x, I32([2, 3])), np.tile(x, (3, 1, 2)), {"dims": [2, 0]}, name="dims"),
        Case("TileFusion", (x, I32([1, 0, 1])), x[:, :0], name="zero times"),
        Case("TileFusion", (F32(1), np.zeros(0, I32)), F32(1), name="scalar"),
        Case("BroadcastTo", (x,), np.broadcast_to(x, (2, 4, 3)), {"shape": [-1, 4, 3]}, name="attribute"),
        Case("BroadcastTo", (F32(2), I32([3, 0])), np.zeros((3, 0), F32), name="empty"),
        Case("BroadcastTo", (x, I32([2, 1, 3])), x, name="same"),
        Case("Fill", (F32(1), np.zeros(0, I32)), F32(1), name="scalar"),
        Case("ConstantOfShape", (np.array([2]),), F32([0, 0]), {"data_type": 43}, name="no value"),
        Case("ConstantOfShape", (I32([1]),), np.int8([-128]), {"data_type": 32, "value": [-300.0]}, name="limit"),
    ]


TYPE_NUMBERS = dict(zip(TYPES, (30, 32, 38, 42, 43, 34, 44, 35)))


def range_cases() -> list[Case]:
    cases = []
    for dtype in (np.int8, np.int16, I32, np.int64, F32, np.float64):
        for start, limit, delta in ((1, 10, 3), (10, -2, -4), (5, 5, 1), (5, 1, 1), (0, 100, 1)):
            operands = tuple(np.array(v, dtype) for v in (start, limit, delta))
            name = f"{operands[0].dtype} {start} {limit} {delta}"
            cases.append(Case("Range", operands, np.arange(start, limit, delta, dtype), name=name))
    fraction = tuple(map(F32, (1, 2, 0.25)))
    widest = tuple(map(np.int64, (-(2**63), 2**63 - 1, 2**62)))
    return [
        *cases,
        Case("Range", fraction, F32([1, 1.25, 1.5, 1.75]), name="fraction"),
        Case("Range", widest, np.array([-(2**63), -(2**62), 0, 2**62]), name="widest"),
        Case("Range", (F32(0),), I32([2, 5]), {"start": 2, "limit": 8, "delta": 3}, name="attributes"),
        Case("LinSpace", (F32(-1), F32(2), I32(7)), np.linspace(-1, 2, 7, dtype=F32), tolerance=1e-7),
        Case("LinSpace", (F32([5]), F32([9]), I32([1])), F32([5]), name="one"),
    ]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", pad_cases() + tile_cases() + range_cases(), ids=str)
def test_fill(case: Case, mode: str) -> None:
    check(case, mode)


def test_threads() -> None:
    x = data((4, 60, 70, 30))
    table = [[0, 0], [1, 1], [2, 2], [0, 0]]
    for mode, numpy_mode in PADS.items():
        (y,) = run_op("PadFusion", [x, I32(table)], {"padding_mode": mode}, threads=3, repeats=2)
        np.testing.assert_array_equal(y, np.pad(x, table, numpy_mode))


X = data((2, 3))
REFUSALS = (
    ("PadFusion", [X, I32([[0, 0], [3, 0]])], {"padding_mode": "REFLECT"}, ShapeError, "3 and 0 do not fit axis 1"),
    ("PadFusion", [X, I32([[0, 3], [0, 0]])], {"padding_mode": "SYMMETRIC"}, ShapeError, "0 and 3 do not fit axis 0"),
    ("PadFusion", [X, I32([[-1, 0], [0, 0]])], {"padding_mode": "REFLECT"}, ShapeError, "-1 and 0 do not fit"),
    ("PadFusion", [X, I32([[-1, -2], [0, 0]])], {}, ShapeError, "-1 and -2 do not fit"),
    ("PadFusion", [X, I32([0, 0])], {}, ShapeError, "2 paddings for a tensor of 2 dimensions"),
    ("PadFusion", [X, np.array([[2**62, 2**62], [0, 0]])], {}, ShapeError, "do not fit axis 0"),
    ("PadFusion", [X, I32([[0, 0], [0, 0]]), I32([0])], {}, ShapeError, "input 2 must hold one float32"),
    ("PadFusion", [X, I32([[0, 0], [0, 0]])], {"padding_mode": "MODE_RESERVED"}, UnsupportedModelError, "mode 3"),
    ("TileFusion", [X, I32([1, -1])], {}, ShapeError, "repeated -1 times"),
    ("TileFusion", [X, I32([1, 1, 1])], {}, ShapeError, "3 multiples"),
    ("TileFusion", [X, np.array([2**62, 4])], {}, OutOfMemoryError, "too large"),
    ("TileFusion", [X, I32([2**30, 2**30])], {}, OutOfMemoryError, "too many elements"),
    ("BroadcastTo", [X, I32([2, 4])], {}, ShapeError, "cannot be broadcast"),
    ("BroadcastTo", [X, I32([3])], {}, ShapeError, "cannot be broadcast"),
    ("BroadcastTo", [X, I32([-1, 2, 3])], {}, ShapeError, "cannot be broadcast"),
    ("Fill", [X, I32([2])], {}, ShapeError, "input 0 must hold one value"),
    ("Fill", [F32(1), I32([-2])], {}, ShapeError, "dimension -2"),
    ("ConstantOfShape", [I32([2])], {"data_type": 7}, UnsupportedModelError, "data_type 7"),
    ("ConstantOfShape", [I32([2])], {"data_type": 43, "value": [1.0, 2.0]}, ShapeError, "2 values"),
    ("Range", [I32(0), I32(5), I32(0)], {}, ExecutionError, "the step is 0"),
    ("Range", [F32(0), F32(np.inf), F32(1)], {}, ExecutionError, "too many numbers"),
    ("Range", [F32(0), F32(np.nan), F32(1)], {}, ExecutionError, "too many numbers"),
    ("Range", [I32(0), F32(5), I32(1)], {}, ShapeError, "input 1 must hold one int32"),
    ("Range", [F32(0)], {"limit": 2**40}, ShapeError, "must fit into int32"),
    ("LinSpace", [F32(0), F32(5), I32(0)], {}, ShapeError, "one number above 0"),
)


@pytest.mark.parametrize("op, inputs, attrs, error, message", REFUSALS)
def test_refusals(op: str, inputs: list[np.ndarray], attrs: dict, error: type, message: str) -> None:
    for constant in ((), range(1, len(inputs)), range(len(inputs))):
        with pytest.raises(error, match=message):
            run_op(op, inputs, attrs, constant=tuple(constant))
