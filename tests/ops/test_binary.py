"""Arithmetic, comparison and logic on two tensors, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from harness import MODES, Case, check, run_op

from converter.engine import evaluate
from converter.ir.graph import Graph
from lite_runtime.errors import ExecutionError, ShapeError, UnsupportedModelError
from lite_runtime.types import DataType

RNG = np.random.default_rng(1)
INTEGERS = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64)
# Each pair takes another path: equal shapes, one value on either side, a short and a long last dimension,
# one value per row, both broadcast, leading ones, rank 0, and no elements.
SHAPES = (
    ((2, 3, 5), (2, 3, 5)),
    ((4, 1000), (1,)),
    ((), (700,)),
    ((50, 7, 3), (3,)),
    ((3,), (50, 7, 3)),
    ((6, 130), (130,)),
    ((6, 40), (6, 1)),
    ((2, 6, 8, 5), (2, 1, 1, 5)),
    ((5, 1, 4), (1, 6, 1)),
    ((1, 1, 3), (4, 1, 1)),
    ((), ()),
    ((0, 3), (1, 3)),
    ((2, 0), (1,)),
)


def floats(shape: tuple[int, ...], dtype: type = np.float32) -> np.ndarray:
    return np.asarray(RNG.uniform(-4, 4, shape)).astype(dtype)


def integers(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    info = np.iinfo(dtype)
    values = RNG.integers(max(info.min, -50), 60, shape)
    return np.asarray(values).astype(dtype)


# TensorFlow and MindSpore round the quotient, NumPy corrects it.
def floor_div(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.floor(x / y) if x.dtype.kind == "f" else x // y


def divide(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if x.dtype.kind == "f":
        return x / y
    # NumPy's // rounds down, the operator towards zero.
    return np.where((x % y != 0) & ((x < 0) != (y < 0)), x // y + np.ones_like(x), x // y)


ARITHMETIC = {
    "AddFusion": np.add,
    "SubFusion": np.subtract,
    "MulFusion": np.multiply,
    "DivFusion": divide,
    "RealDiv": divide,
    "Maximum": np.maximum,
    "Minimum": np.minimum,
    "SquaredDifference": lambda x, y: (x - y) * (x - y),
    "FloorDiv": floor_div,
    "FloorMod": np.mod,
    "Mod": np.fmod,
}
COMPARISONS = {
    "Equal": np.equal,
    "NotEqual": np.not_equal,
    "Less": np.less,
    "LessEqual": np.less_equal,
    "Greater": np.greater,
    "GreaterEqual": np.greater_equal,
}


def float_cases() -> list[Case]:
    cases = []
    for x_shape, y_shape in SHAPES:
        x, y = floats(x_shape), floats(y_shape)
        y = np.where(y == 0, np.float32(1), y)
        # One rounding of the division by a reciprocal is allowed; the rest is exact.
        cases += [Case(op, (x, y), f(x, y), tolerance=2e-7) for op, f in ARITHMETIC.items() if op != "FloorDiv"]
        cases += [Case("FloorDiv", (x, y), floor_div(x, y))]
        x, y = np.round(x), np.round(y)  # so that some are equal
        cases += [Case(op, (x, y), f(x, y)) for op, f in COMPARISONS.items()]
    return cases


def integer_cases() -> list[Case]:
    cases = []
    with np.errstate(over="ignore"):
        for dtype in (*INTEGERS, np.float64):
            for x_shape, y_shape in (((4, 3, 70), (4, 3, 70)), ((4, 70), (70,)), ((), (9,))):
                x, y = integers(x_shape, np.int16).astype(dtype), integers(y_shape, np.int16).astype(dtype)
                y = np.where(y == 0, np.asarray(1, dtype), y)
                tolerance = 1e-15 if dtype == np.float64 else 0.0
                cases += [Case(op, (x, y), f(x, y).astype(dtype), tolerance=tolerance) for op, f in ARITHMETIC.items()]
                cases += [Case(op, (x, y), f(x, y)) for op, f in COMPARISONS.items()]
    return cases


def half_cases() -> list[Case]:
    x, y = floats((5, 600), np.float16), floats((600,), np.float16)
    wide_x, wide_y = x.astype(np.float32), y.astype(np.float32)
    cases = [
        Case(op, (x, y), ARITHMETIC[op](wide_x, wide_y).astype(np.float16), tolerance=1e-3)
        for op in ("AddFusion", "SubFusion", "MulFusion", "Maximum", "FloorMod")
    ]
    return cases + [Case(op, (x, y), f(x, y)) for op, f in COMPARISONS.items()]


def corner_cases() -> list[Case]:
    x = floats((3, 50))
    low = np.array([-128, -128, 127, -7, 7, -7], np.int8)
    by = np.array([-1, 1, -1, 2, -2, -2], np.int8)
    infinite = np.array([np.inf, -np.inf, 1, -1], np.float32)
    zero = np.array([0, 0, 0, 0], np.float32)
    base, exponent = np.abs(floats((40,))), floats((40,))
    powers = np.array([[0, 1, 2, 3, 5]], np.int32)
    numbers = np.array([[-3], [-1], [0], [2]], np.int32)
    truth = np.array([[True], [False]]), np.array([[True, False]])
    return [
        Case("AddFusion", (x, x), np.maximum(x + x, 0), {"activation_type": "RELU"}, name="relu"),
        Case("SubFusion", (x, -x), np.clip(x + x, 0, 6), {"activation_type": "RELU6"}, name="relu6"),
        Case("MulFusion", (x, x[0]), np.clip(x * x[0], -1, 1), {"activation_type": "RELU1"}, name="relu1"),
        Case("DivFusion", (low, by), np.array([-128, -128, -127, -3, -3, 3], np.int8), name="int8 limits"),
        Case("FloorDiv", (low, by), np.array([-128, -128, -127, -4, -4, 3], np.int8), name="int8 limits"),
        Case("FloorMod", (low, by), np.array([0, 0, 0, 1, -1, -1], np.int8), name="int8 limits"),
        Case("Mod", (low, by), np.array([0, 0, 0, -1, 1, -1], np.int8), name="int8 limits"),
        Case("AddFusion", (low, by), np.array([127, -127, 126, -5, 5, -9], np.int8), name="int8 wraps"),
        Case("RealDiv", (infinite[2:], zero[2:]), infinite[:2], name="by zero"),
        Case("PowFusion", (base, exponent), base**exponent, tolerance=1e-6),
        Case("PowFusion", (x, np.float32(2)), x * x),
        Case("PowFusion", (x, np.float32(3)), x * x * x, tolerance=2e-7),
        Case("PowFusion", (np.abs(x), np.float32(0.5)), np.sqrt(np.abs(x)), tolerance=1e-6, name="root"),
        Case("PowFusion", (numbers, powers), numbers**powers),
        Case("PowFusion", (x, np.float32(2)), (2 * x - 1) ** 2, {"scale": 2.0, "shift": -1.0}, 1e-6, "scaled"),
        Case("Eltwise", (x, x), x * x, {"mode": "PROD"}, name="prod"),
        Case("Eltwise", (x, x), x + x, {"mode": "SUM"}, name="sum"),
        Case("Eltwise", (x, -x), np.abs(x), {"mode": "MAXIMUM"}, name="max"),
        Case("AddN", (x,), x, name="1"),
        Case("AddN", (x, x, -x, x), x + x, name="4"),
        Case("LogicalAnd", truth, np.logical_and(*truth)),
        Case("LogicalOr", truth, np.logical_or(*truth)),
        Case("LogicalNot", truth[:1], ~truth[0]),
        Case("Equal", truth, truth[0] == truth[1]),
        Case("NotEqual", truth, truth[0] != truth[1]),
    ]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", float_cases() + corner_cases(), ids=str)
def test_operands(case: Case, mode: str) -> None:
    check(case, mode)


@pytest.mark.parametrize("case", integer_cases() + half_cases(), ids=str)
def test_types(case: Case) -> None:
    check(case, "inner")


def test_comparison_with_nan() -> None:
    x = np.array([np.nan, 1, np.nan], np.float32)
    y = np.array([np.nan, np.nan, 1], np.float32)
    for op, f in COMPARISONS.items():
        np.testing.assert_array_equal(run_op(op, [x, y])[0], f(x, y))


def test_half_constant() -> None:
    """The loader widens float16 constants; beside a float16 tensor the result is float16 all the same."""
    x = floats((4, 9), np.float16)
    for constant in ((0,), (1,)):
        (y,) = run_op("AddFusion", [x, x], constant=constant)
        assert y.dtype == np.float16
        np.testing.assert_array_equal(y, x + x)


def test_threads() -> None:
    x, y = floats((300, 1000)), floats((1000,))
    np.testing.assert_array_equal(run_op("AddFusion", [x, y], threads=3, repeats=3)[0], x + y)
    np.testing.assert_array_equal(run_op("MulFusion", [x, x], threads=3, repeats=3)[0], x * x)
    short = floats((90000, 3))
    np.testing.assert_array_equal(run_op("SubFusion", [short, short[0]], threads=3)[0], short - short[0])


@pytest.mark.parametrize("op", ["DivFusion", "RealDiv", "FloorDiv", "FloorMod", "Mod"])
@pytest.mark.parametrize("constant", [(), (1,), (0, 1)])
def test_division_of_integers_by_zero(op: str, constant: tuple[int, ...]) -> None:
    with pytest.raises(ExecutionError, match=f"{op} 'node': an integer is divided by zero"):
        run_op(op, [np.array([1, 2], np.int32), np.array([1, 0], np.int32)], constant=constant)


def test_a_broadcast_operand_is_not_overwritten() -> None:
    """Its four bytes are as many as those of the result."""
    graph = Graph("equal")
    x = graph.add_input("x", DataType.INT32, (1,))
    y = graph.add("Neg", [x], "neg").output
    graph.outputs = [graph.add("Equal", [y, graph.constant("c", np.arange(4, dtype=np.int32))], "equal").output]
    assert evaluate(graph, [np.array([0], np.int32)])[0].tolist() == [True, False, False, False]


def test_refusals() -> None:
    x, i = floats((2, 3)), integers((2, 3), np.int32)
    with pytest.raises(ShapeError, match=r"\[2, 3\] and \[2\] cannot be broadcast"):
        run_op("AddFusion", [x, x[:, 0]])
    with pytest.raises(ShapeError, match="different types: float32 and int32"):
        run_op("AddFusion", [x, i])
    with pytest.raises(UnsupportedModelError, match="fused activation on int32"):
        run_op("AddFusion", [i, i], {"activation_type": "RELU"})
    with pytest.raises(UnsupportedModelError, match="fused activation 10"):
        run_op("AddFusion", [x, x], {"activation_type": "TANH"})
    with pytest.raises(UnsupportedModelError, match="bool inputs"):
        run_op("AddFusion", [x > 0, x > 0])
    with pytest.raises(UnsupportedModelError, match="float32 inputs"):
        run_op("LogicalAnd", [x, x])
    with pytest.raises(ExecutionError, match="negative exponent"):
        run_op("PowFusion", [i, np.int32(-1)])
    with pytest.raises(UnsupportedModelError, match="input 0 is int32; only float32"):
        run_op("PowFusion", [i, i], {"scale": 2.0})
    with pytest.raises(ShapeError, match="needs 2 inputs, has 1"):
        run_op("AddFusion", [x])
