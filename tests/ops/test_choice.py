"""Choosing, ordering and limiting elements, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from harness import MODES, Case, check, run_op

from lite_runtime.errors import ExecutionError, ShapeError, UnsupportedModelError

RNG = np.random.default_rng(7)
NUMBERS = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, np.float32, np.float64)
TYPES = (np.bool_, np.float16, *NUMBERS)
F32, I32 = np.float32, np.int32


def data(shape: tuple[int, ...], dtype: type = F32, below: int = 120) -> np.ndarray:
    return np.asarray(RNG.integers(0, 2 if dtype == np.bool_ else below, shape)).astype(dtype)


def select_cases() -> list[Case]:
    cases = []
    for dtype in TYPES:
        x, y, c = data((4, 5, 30), dtype), data((4, 5, 30), dtype), data((4, 5, 30), np.bool_)
        cases += [Case(op, (c, x, y), np.where(c, x, y), name=f"{x.dtype}") for op in ("Select", "Where")]
    shapes = (
        ((4, 1), (1, 5), (4, 5)),
        ((), (3, 4), (3, 4)),
        ((3, 4), (), (1,)),
        ((2, 1, 4), (3, 1), (4,)),
        ((0, 3), (1, 3), ()),
        ((), (), ()),
    )
    for c_shape, x_shape, y_shape in shapes:
        c, x, y = data(c_shape, np.bool_), data(x_shape), data(y_shape)
        cases += [Case(op, (c, x, y), np.where(c, x, y), name=f"{c_shape}") for op in ("Select", "Where")]
    c, x, y = data((6,), np.bool_), data((6,)), data((2, 6), I32)
    both = [np.where(c, x, -x), np.where(c, y, -y)]
    return [*cases, Case("Select", (c, x, y, -x, -y), both, name="two outputs")]


def position_cases() -> list[Case]:
    cases = []
    for dtype in TYPES:
        for shape in ((3, 4, 5), (7,), (), (0, 3)):
            x = data(shape, dtype, 3)
            rows = np.argwhere(x).astype(I32)
            cases.append(Case("Where", (x,), rows))
            cases.append(Case("NonZero", (x,), rows.T))
        values = data((50,), dtype, 9)
        _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
        order = np.argsort(first)
        rank = np.argsort(order)
        cases.append(Case("Unique", (values,), [values[np.sort(first)], rank[inverse].astype(I32)]))
    zeros = np.array([0.0, -0.0, 1.0])
    for dtype in (np.float16, np.float32, np.float64):
        cases.append(Case("Where", (zeros.astype(dtype),), I32([[2]]), name=f"signed zeros {dtype.__name__}"))
        unique = [zeros[[0, 2]].astype(dtype), I32([0, 0, 1])]
        cases.append(Case("Unique", (zeros.astype(dtype),), unique, name=f"signed zeros {dtype.__name__}"))
    return [*cases, Case("Unique", (zeros[:0].astype(F32),), [F32([]), I32([])], name="empty")]


def cumulative(x: np.ndarray, axis: int, exclusive: bool, reverse: bool) -> np.ndarray:
    x = np.flip(x, axis) if reverse else x
    y = np.cumsum(x, axis, dtype=x.dtype)
    y = y - x if exclusive else y
    return np.flip(y, axis) if reverse else y


def order_cases() -> list[Case]:
    cases = []
    for dtype in NUMBERS:
        x = data((3, 6, 4), dtype, 9)
        for axis in (0, 1, -1):
            for exclusive in (False, True):
                for reverse in (False, True):
                    how = {"exclusive": exclusive, "reverse": reverse}
                    y = cumulative(x, axis, exclusive, reverse)
                    cases.append(Case("CumSum", (x, I32(axis)), y, how, name=f"{x.dtype} {axis} {how}"))
    for dtype in TYPES:
        x = data((3, 4, 5, 2), dtype)
        for axes in ([], [0], [-1], [1, 3], [0, 1, 2, 3]):
            cases.append(Case("ReverseV2", (x,), np.flip(x, axes), {"axis": axes}, name=f"{x.dtype} {axes}"))
        for seq, batch in ((1, 0), (0, 2), (2, 3), (3, 1)):
            lengths = data((x.shape[batch],), I32) % (x.shape[seq] + 1)
            y = np.moveaxis(x, (batch, seq), (0, 1)).copy()
            for row, length in zip(y, lengths):
                row[:length] = row[:length][::-1].copy()
            y = np.moveaxis(y, (0, 1), (batch, seq))
            how = {"seq_dim": seq, "batch_dim": batch}
            cases.append(Case("ReverseSequence", (x, lengths), y, how, name=f"{x.dtype} {seq} {batch}"))
        matrix = data((2, 4, 6), dtype)
        for k in (-5, -1, 0, 2, 7):
            cases.append(Case("Triu", (matrix, I32(k)), np.triu(matrix, k), name=f"{x.dtype} {k}"))
            cases.append(Case("Tril", (matrix, np.array([k])), np.tril(matrix, k), name=f"{x.dtype} {k}"))
    permutation = RNG.permutation(20)
    x = data((2, 3))
    return [
        *cases,
        Case("CumSum", (x[:, :0], I32(1)), x[:, :0], name="empty"),
        Case("ReverseV2", (x[:0],), x[:0], {"axis": [0]}, name="empty"),
        Case("Triu", (x,), np.triu(x), name="main diagonal"),
        Case("Tril", (x,), np.tril(x), name="main diagonal"),
        Case("Tril", (x[:0], I32(1)), x[:0], name="empty"),
        Case("InvertPermutation", (permutation,), np.argsort(permutation)),
        Case("InvertPermutation", (permutation.astype(I32),), np.argsort(permutation).astype(I32)),
    ]


def clip_cases() -> list[Case]:
    cases = []
    for dtype in (np.float16, *NUMBERS):
        x = data((40, 600), dtype)
        low, high = np.array(20, dtype), np.array([70], dtype)
        cases += [
            Case("Clip", (x,), np.clip(x, low, high), {"min": 20.0, "max": 70.0}),
            Case("Clip", (x, low, high), np.clip(x, low, high)),
            Case("Clip", (x, low), np.maximum(x, low)),
        ]
    x = data((5, 7)) - 60
    integers = x.astype(np.int8)
    special = F32([np.inf, -np.inf, 3])
    return [
        *cases,
        Case("Clip", (x,), np.clip(x, 0, 6), {"max": 6.0}, name="default min"),
        Case("Clip", (integers,), np.maximum(integers, -9), {"min": -9.0, "max": 1e30}, name="beyond int8"),
        Case("Clip", (special, F32(-5)), F32([np.inf, -5, 3]), name="infinite"),
        Case("Clip", (x[:0], F32(0), F32(1)), x[:0], name="empty"),
    ]


CASES = select_cases() + position_cases() + order_cases() + clip_cases()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_choice(case: Case, mode: str) -> None:
    check(case, mode)


def test_threads() -> None:
    x, c = data((300, 400)), data((300, 1), np.bool_)
    (y,) = run_op("Where", [c, x, -x], threads=3, repeats=3)
    np.testing.assert_array_equal(y, np.where(c, x, -x))
    (y,) = run_op("CumSum", [x, I32(1)], threads=3, repeats=3)
    np.testing.assert_array_equal(y, np.cumsum(x, 1))
    (y,) = run_op("Clip", [x], {"min": 3.0, "max": 9.0}, threads=3, repeats=3)
    np.testing.assert_array_equal(y, np.clip(x, 3, 9))


X = data((2, 3))
C = X > 60
REFUSALS = (
    ("Select", [C, X, X[:, :2]], {}, ShapeError, r"\[2, 3\] and \[2, 2\] cannot be broadcast"),
    ("Select", [C, X, X.astype(I32)], {}, ShapeError, "different types"),
    ("Select", [X, X, X], {}, UnsupportedModelError, "only bool is offered"),
    ("Where", [C, X], {}, ShapeError, "needs 3 inputs, has 2"),
    ("Unique", [X], {}, ShapeError, "must have one dimension, has 2"),
    ("CumSum", [X, I32(2)], {}, ShapeError, "axis 2 is outside"),
    ("CumSum", [C, I32(0)], {}, UnsupportedModelError, "bool input"),
    ("ReverseV2", [X], {"axis": [2]}, ShapeError, "axis 2 is outside"),
    ("ReverseSequence", [X, I32([1, 4])], {"seq_dim": 1}, ExecutionError, "length 4 is outside a sequence of 3"),
    ("ReverseSequence", [X, I32([1, -1])], {"seq_dim": 1}, ExecutionError, "length -1"),
    ("ReverseSequence", [X, I32([1])], {"seq_dim": 1}, ShapeError, "the batch axis size 2"),
    ("ReverseSequence", [X, I32([1, 1])], {}, ShapeError, "are both 0"),
    ("Triu", [X[0]], {}, ShapeError, "at least 2 dimensions"),
    ("InvertPermutation", [I32([0, 2, 3])], {}, ExecutionError, "3 is not in a permutation of 3"),
    ("InvertPermutation", [I32([0, 2, 2])], {}, ExecutionError, "2 is twice in a permutation of 3"),
    ("InvertPermutation", [I32([0, -1])], {}, ExecutionError, "-1 is not in"),
    ("Clip", [X, I32(0)], {}, ShapeError, "input 1 must hold one float32, not int32"),
    ("Clip", [X, X], {}, ShapeError, "input 1 must hold one float32"),
    ("Clip", [C], {}, UnsupportedModelError, "bool input"),
)


@pytest.mark.parametrize("op, inputs, attrs, error, message", REFUSALS)
def test_refusals(op: str, inputs: list[np.ndarray], attrs: dict, error: type, message: str) -> None:
    for constant in ((), range(len(inputs))):
        with pytest.raises(error, match=message):
            run_op(op, inputs, attrs, constant=tuple(constant))
