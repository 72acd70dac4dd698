"""Reductions, ArgMax, ArgMin and TopK, against NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from harness import MODES, Case, check, run_op

from lite_runtime.errors import ShapeError, UnsupportedModelError

RNG = np.random.default_rng(3)
INTEGERS = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64)
I32 = np.int32

Reduction = Callable[..., np.ndarray]
MODES_OF_REDUCTION: dict[str, Reduction] = {
    "ReduceMean": np.mean,
    "ReduceMax": np.max,
    "ReduceMin": np.min,
    "ReduceProd": np.prod,
    "ReduceSum": np.sum,
    "ReduceSumSquare": lambda x, **how: np.sum(x * x, **how),
    "ReduceASum": lambda x, **how: np.sum(np.abs(x), **how),
    "ReduceL2": lambda x, **how: np.sqrt(np.sum(x * x, **how)),
}
# Shape and axes: each takes another path (rows, columns, both, interleaved, all, none left, a short row).
SHAPES: tuple[tuple[tuple[int, ...], list[int]], ...] = (
    ((4, 700), [1]),
    ((4, 700), [-1]),
    ((300, 5), [0]),
    ((3, 90, 500), [1]),
    ((2, 7, 9, 20), [1, 2]),
    ((2, 7, 9, 20), [0, 2]),
    ((2, 7, 9, 20), [1, 3]),
    ((2, 7, 9, 20), [3, 0, 1, 2]),
    ((2, 7, 9), []),
    ((5, 1, 4), [1]),
    ((6, 2), [1]),
    ((1,), [0]),
    ((), []),
    ((3, 2, 1, 2, 2, 3, 1, 2), [0, 2, 5, 7]),
)


def attrs(mode: str, keep_dims: bool = False, **more: object) -> dict[str, object]:
    return {"mode": mode, "keep_dims": keep_dims, **more}


def float_cases() -> list[Case]:
    cases = []
    for mode, function in MODES_OF_REDUCTION.items():
        # Sums of a thousand numbers round a few dozen times in the worst order; products once a factor.
        tolerance = {"ReduceMax": 0.0, "ReduceMin": 0.0, "ReduceProd": 3e-5}.get(mode, 2e-6)
        for shape, axes in SHAPES:
            for keep in (False, True):
                x = np.asarray(RNG.uniform(0.9, 1.1, shape)).astype(np.float32)
                how = {"axis": tuple(axes) or None, "keepdims": keep}
                y = np.asarray(function(x.astype(np.float64), **how)).astype(np.float32)
                cases.append(Case("ReduceFusion", (x, np.array(axes, I32)), y, attrs(mode, keep), tolerance, mode))
    return cases


def typed_cases() -> list[Case]:
    cases = []
    for mode, function in MODES_OF_REDUCTION.items():
        for dtype in (*INTEGERS, np.float64, np.float16):
            x = RNG.integers(0 if np.dtype(dtype).kind == "u" else -3, 4, (5, 6, 7)).astype(dtype)
            for axes in ([0], [1, 2], [2, 0]):
                y = function(x.astype(np.float64), axis=tuple(axes))
                y = (np.trunc(y) if dtype in INTEGERS else y).astype(np.int64 if dtype in INTEGERS else dtype)
                tolerance = 1e-3 if dtype == np.float16 else 1e-15
                case = Case("ReduceFusion", (x, np.array(axes, I32)), y.astype(dtype), attrs(mode), tolerance, mode)
                cases.append(case)
    return cases


def corner_cases() -> list[Case]:
    x = RNG.uniform(-1, 1, (3, 4, 5)).astype(np.float32)
    truth = RNG.uniform(0, 1, (4, 6)) < 0.7
    empty = np.zeros((3, 0, 2), np.float32)
    nothing = np.zeros((3, 2), np.float32)
    to_end = attrs("ReduceSum", True, reduce_to_end=True, coeff=0.5)
    mean_to_end = attrs("ReduceMean", reduce_to_end=True, coeff=3.0)
    axis = np.array([1], I32)
    return [
        Case("ReduceFusion", (x,), x.sum(dtype=np.float64).astype(np.float32), attrs("ReduceSum"), 2e-6, "no axes"),
        Case("ReduceFusion", (x, I32(1)), x.max(1), attrs("ReduceMax"), name="axis of rank 0"),
        Case("ReduceFusion", (x, np.array([-2], np.int64)), x.max(1), attrs("ReduceMax"), name="int64 axes"),
        Case("ReduceFusion", (x, axis), 0.5 * x.sum((1, 2)), to_end, 2e-6, "to end"),
        Case("ReduceFusion", (x, axis), 3 * x.mean((1, 2)), mean_to_end, 2e-6, "mean to end"),
        Case("ReduceFusion", (x, axis), x.sum(1), attrs("ReduceSum", coeff=7.0), 2e-6, "coeff without to end"),
        Case("ReduceFusion", (truth, axis), truth.all(1), attrs("ReduceAll"), name="all"),
        Case("ReduceFusion", (truth, axis), truth.any(1), attrs("ReduceMax"), name="any"),
        Case("ReduceFusion", (truth, axis), truth.all(1), attrs("ReduceMin"), name="least of bool"),
        Case("All", (truth, axis), truth.all(1, keepdims=True), {"keep_dims": 1}, name="keep"),
        Case("All", (truth,), truth.all(), name="everything"),
        Case("ReduceFusion", (empty, axis), nothing, attrs("ReduceSum"), name="sum of nothing"),
        Case("ReduceFusion", (empty, axis), nothing + 1, attrs("ReduceProd"), name="product of nothing"),
        Case("ReduceFusion", (empty, axis), nothing + np.nan, attrs("ReduceMean"), name="mean of nothing"),
        Case("ReduceFusion", (empty, I32([0])), np.zeros((0, 2), np.float32), attrs("ReduceMax"), name="no results"),
    ]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", float_cases() + corner_cases(), ids=str)
def test_reduce(case: Case, mode: str) -> None:
    check(case, mode)


@pytest.mark.parametrize("case", typed_cases(), ids=str)
def test_types(case: Case) -> None:
    check(case, "mixed")


def test_accuracy_of_long_columns() -> None:
    """A plain running sum of a million numbers would lose three digits."""
    x = RNG.uniform(0, 1, (1_000_000, 3)).astype(np.float32)
    (y,) = run_op("ReduceFusion", [x, np.array([0], I32)], attrs("ReduceMean"), constant=(1,))
    np.testing.assert_allclose(y, x.mean(0, dtype=np.float64), rtol=1e-5)


def test_threads() -> None:
    x = RNG.uniform(-1, 1, (40, 50, 300)).astype(np.float32)
    for axes in ([2], [0], [1]):
        (y,) = run_op("ReduceFusion", [x, np.array(axes, I32)], attrs("ReduceMax"), threads=3, repeats=3)
        np.testing.assert_array_equal(y, x.max(tuple(axes)))


def test_refusals() -> None:
    x = np.ones((2, 3), np.float32)
    with pytest.raises(ShapeError, match="axis 2 is outside a tensor of rank 2"):
        run_op("ReduceFusion", [x, np.array([2], I32)])
    with pytest.raises(ShapeError, match=r"ReduceMin over no elements of shape \[2, 0\]"):
        run_op("ReduceFusion", [x[:, :0] > 0, np.array([1], I32)], attrs("ReduceMin"))
    with pytest.raises(ShapeError, match="ReduceMean over no elements"):
        run_op("ReduceFusion", [x[:, :0].astype(I32), np.array([1], I32)], attrs("ReduceMean"))
    with pytest.raises(UnsupportedModelError, match="ReduceAll of float32"):
        run_op("ReduceFusion", [x, np.array([1], I32)], attrs("ReduceAll"))
    with pytest.raises(UnsupportedModelError, match="ReduceSum of bool"):
        run_op("ReduceFusion", [x > 0, np.array([1], I32)], attrs("ReduceSum"))
    with pytest.raises(ShapeError, match="reduce_to_end takes one axis, not 2"):
        run_op("ReduceFusion", [x, np.array([0, 1], I32)], attrs("ReduceSum", reduce_to_end=True))


@pytest.mark.parametrize("mode, expected", [("ReduceMax", -np.inf), ("ReduceMin", np.inf), ("ReduceSum", 0.0)])
def test_of_nothing(mode: str, expected: float) -> None:
    """As ONNX defines it: the neutral element."""
    (found,) = run_op("ReduceFusion", [np.ones((2, 0), np.float32), np.array([1], I32)], attrs(mode))
    assert found.ravel().tolist() == [expected, expected]


def top(x: np.ndarray, k: int, axis: int, largest: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Values and positions; equal elements in order of position."""
    key = -x.astype(np.float64) if largest else x.astype(np.float64)
    positions = np.argsort(key, axis=axis, kind="stable").take(range(k), axis)
    return np.take_along_axis(x, positions, axis), positions.astype(I32)


def top_cases() -> list[Case]:
    cases = []
    for dtype in (*INTEGERS, np.float16, np.float32, np.float64):
        # Few different values: most of them come several times.
        x = RNG.integers(0, 9, (4, 30, 6)).astype(dtype)
        for axis in (0, 1, -1):
            for k in (1, 3):
                values, positions = top(x, k, axis)
                least_values, least = top(x, k, axis, largest=False)
                name = f"{x.dtype} {k} along {axis}"
                how = {"axis": axis, "top_k": k, "keep_dims": True}
                cases += [
                    Case("TopKFusion", (x, np.array([k], I32)), [values, positions], {"axis": axis}, name=name),
                    Case("ArgMaxFusion", (x,), [positions, values], how, name=name),
                    Case("ArgMinFusion", (x,), [least, least_values], how, name=name),
                ]
        largest_at, least_at = x.argmax(1).astype(I32), x.argmin(1).astype(I32)
        cases.append(Case("ArgMaxFusion", (x,), largest_at, {"axis": 1}))
        cases.append(Case("ArgMinFusion", (x,), least_at, {"axis": 1}))
    return cases


def arg_cases() -> list[Case]:
    x = RNG.normal(size=(3, 40, 5)).astype(np.float32)
    nan = np.array([np.nan, 1, np.nan, 3, 2], np.float32)
    values, positions = top(x, 4, 1)
    least_values, least = top(x, 2, 2, largest=False)
    best = x.argmax(1)[:, None].astype(I32)
    most = x.max(1)
    four = {"axis": 1, "top_k": 4}
    return [
        Case("ArgMaxFusion", (x,), best, {"axis": -2, "keep_dims": True}, name="keep"),
        Case("ArgMaxFusion", (x,), most, {"axis": 1, "out_max_value": True}, name="value"),
        Case("ArgMaxFusion", (x,), [best[:, 0], most], {"axis": 1}, name="both"),
        Case("ArgMaxFusion", (x,), positions, four, name="top 4"),
        Case("ArgMaxFusion", (x,), values, {**four, "out_max_value": True}, name="top 4 values"),
        Case("ArgMaxFusion", (x,), [positions, values], {**four, "out_max_value": True}, name="top 4 both"),
        Case("ArgMinFusion", (x,), [least, least_values], {"axis": 2, "top_k": 2}, name="top 2 both"),
        Case("ArgMaxFusion", (nan,), I32(3), {"axis": 0}, name="nan"),
        Case("ArgMinFusion", (nan,), I32([1, 4, 3, 0]), {"axis": 0, "top_k": 4}, name="nan last"),
        Case("TopKFusion", (x, I32([0])), [x[:0], x[:0].astype(I32)], {"axis": 0, "largest": 1}, name="0"),
        Case("TopKFusion", (x[:0], I32([2])), [x[:0, :2], x[:0, :2].astype(I32)], {"axis": 1}, name="no rows"),
    ]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", top_cases() + arg_cases(), ids=str)
def test_top(case: Case, mode: str) -> None:
    check(case, mode)


def test_top_threads() -> None:
    x = RNG.normal(size=(200, 300)).astype(np.float32)
    values, positions = top(x, 5, 1)
    how = {"axis": 1, "largest": 1}
    got = run_op("TopKFusion", [x, I32([5])], how, n_outputs=2, constant=(1,), threads=3, repeats=3)
    np.testing.assert_array_equal(got[0], values)
    np.testing.assert_array_equal(got[1], positions)


def test_top_refusals() -> None:
    x = np.ones((2, 3), np.float32)
    with pytest.raises(ShapeError, match="4 elements wanted of 3 along axis 1"):
        run_op("TopKFusion", [x, I32([4])], {"axis": 1}, n_outputs=2)
    with pytest.raises(ShapeError, match="-1 elements wanted"):
        run_op("TopKFusion", [x, I32([-1])], {"axis": 1}, n_outputs=2)
    with pytest.raises(ShapeError, match="1 elements wanted of 0"):
        run_op("ArgMaxFusion", [x[:, :0]], {"axis": 1})
    with pytest.raises(ShapeError, match="axis 2 is outside"):
        run_op("ArgMaxFusion", [x], {"axis": 2})
