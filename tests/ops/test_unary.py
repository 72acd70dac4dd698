"""Functions of one tensor and Cast, against NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from harness import MODES, Case, check, run_op

from lite_runtime.errors import ShapeError, UnsupportedModelError
from lite_runtime.types import DataType

RNG = np.random.default_rng(2)
SIGNED = (np.int8, np.int16, np.int32, np.int64)
UNSIGNED = (np.uint8, np.uint16, np.uint32, np.uint64)
NUMBERS = (*SIGNED, *UNSIGNED, np.float16, np.float32, np.float64)

erf = np.vectorize(math.erf, otypes=[np.float64])
# Function, the interval to test it on, and the error allowed in float32, relative to the largest result.
FUNCTIONS = {
    "Abs": (np.abs, (-5, 5), 0.0),
    "Neg": (np.negative, (-5, 5), 0.0),
    "Square": (np.square, (-5, 5), 0.0),
    "Sqrt": (np.sqrt, (0, 100), 2e-7),
    "Rsqrt": (lambda x: 1 / np.sqrt(x), (0.1, 100), 1e-6),
    "Reciprocal": (lambda x: 1 / x, (0.1, 9), 2e-7),
    "ExpFusion": (np.exp, (-20, 5), 1e-6),
    "Log": (np.log, (1e-3, 100), 1e-6),
    "Log1p": (np.log1p, (-0.9, 100), 1e-6),
    "Sin": (np.sin, (-20, 20), 1e-6),
    "Cos": (np.cos, (-20, 20), 1e-6),
    "Erf": (erf, (-4, 4), 1e-6),
    "Floor": (np.floor, (-5, 5), 0.0),
    "Ceil": (np.ceil, (-5, 5), 0.0),
    "Round": (np.round, (-5, 5), 0.0),
}


def function_cases() -> list[Case]:
    cases = []
    for op, (function, (low, high), tolerance) in FUNCTIONS.items():
        for shape in ((3, 1001), (), (0, 4)):
            x = np.asarray(RNG.uniform(low, high, shape)).astype(np.float32)
            exact = function(x.astype(np.float64))
            # The exact result of float32 functions is rounded once.
            expected = exact.astype(np.float32)
            cases.append(Case(op, (x,), expected, tolerance=tolerance))
    return cases


def other_type_cases() -> list[Case]:
    cases = []
    for op, (function, (low, high), _) in FUNCTIONS.items():
        x = RNG.uniform(low, high, (2, 600))
        # 2^-11 is half a unit in the last place of float16.
        cases.append(Case(op, (x,), function(x), tolerance=1e-15))
        half = x.astype(np.float16)
        cases.append(Case(op, (half,), function(half.astype(np.float64)).astype(np.float16), tolerance=1e-3))
    for dtype in (*SIGNED, *UNSIGNED):
        x = np.arange(0, 11).astype(dtype)
        signed = (x.astype(np.int64) - 5).astype(dtype)
        cases.append(Case("Square", (x,), x * x))
        cases.append(Case("Abs", (signed,), np.abs(signed)))
        cases.append(Case("Neg", (signed,), (0 - signed.astype(np.int64)).astype(dtype)))
    return cases


def corner_cases() -> list[Case]:
    x = RNG.uniform(-3, 3, (4, 300)).astype(np.float32)
    halves = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5], np.float32)
    special = np.array([np.nan, np.inf, -np.inf, 0, -1, 3e38, 1e-45])
    least = np.array([-128, 127, 0], np.int8)
    cases = [
        Case("Round", (halves,), np.array([-2, -2, 0, 0, 2, 2, 4], np.float32), name="half to even"),
        Case("Abs", (least,), np.array([-128, 127, 0], np.int8), name="least int8"),
        Case("Neg", (least,), np.array([-128, -127, 0], np.int8), name="least int8"),
        Case("ExpFusion", (x,), 2 ** (0.5 * x + 1), {"base": 2.0, "scale": 0.5, "shift": 1.0}, 1e-6, "base 2"),
        Case("ExpFusion", (x,), np.exp(x - 1), {"shift": -1.0}, 1e-6, "shift"),
    ]
    with np.errstate(over="ignore"):
        for dtype in (np.float16, np.float32, np.float64):
            values = special.astype(dtype)
            cases.append(Case("IsFinite", (values,), np.isfinite(values)))
    for dtype in (*NUMBERS, np.bool_):
        values = np.arange(6).reshape(2, 3).astype(dtype)
        cases.append(Case("OnesLike", (values,), np.ones_like(values)))
        cases.append(Case("ZerosLike", (values,), np.zeros_like(values)))
    return cases


@pytest.mark.parametrize("mode", ("fed", "constant", "inner"))
@pytest.mark.parametrize("case", function_cases(), ids=str)
def test_functions(case: Case, mode: str) -> None:
    check(case, mode)


@pytest.mark.parametrize("case", other_type_cases() + corner_cases(), ids=str)
def test_types_and_corners(case: Case) -> None:
    check(case, "inner")


def test_threads() -> None:
    x = RNG.uniform(-3, 3, (100, 1000)).astype(np.float32)
    np.testing.assert_array_equal(run_op("Abs", [x], threads=3, repeats=3)[0], np.abs(x))


def number(dtype: object) -> np.ndarray:
    return np.array(int(DataType.of(dtype)), np.int32)


def cast_cases() -> list[Case]:
    """Values every type can hold, between all types, from bool and to bool."""
    values = np.array([0, 1, 2, 3, 100, 127] * 200)
    types = (*NUMBERS, np.bool_)
    return [
        Case("Cast", (values.astype(a), number(b)), values.astype(a).astype(b), name=f"{a.__name__}-{b.__name__}")
        for a in types
        for b in types
    ]


def cast_corner_cases() -> list[Case]:
    x = np.array([1.9, -1.9, 300.5, -300.5, np.nan, np.inf, -np.inf, 2147483648.0, -0.9, 127.99], np.float32)
    most, least = 2**31 - 1, -(2**31)
    to_int32 = np.array([1, -1, 300, -300, 0, most, least, most, 0, 127], np.int32)
    to_int8 = np.array([1, -1, 127, -128, 0, 127, -128, 127, 0, 127], np.int8)
    to_uint8 = np.array([1, 0, 255, 0, 0, 255, 0, 255, 0, 127], np.uint8)
    to_uint64 = np.array([1, 0, 300, 0, 0, 2**64 - 1, 0, 2**31, 0, 127], np.uint64)
    wide = np.array([2**63 - 1, -(2**63), 2**40 + 3, -1, 256], np.int64)
    huge = np.array([1e30, -1e30], np.float64)
    halves = np.array([65504, 65520, 1e-8, 2.0 + 2**-10], np.float32)
    with np.errstate(over="ignore"):
        narrow = halves.astype(np.float16)
    truth = np.array([0.0, -0.0, 0.5, np.nan], np.float32)
    return [
        Case("Cast", (x, number(np.int32)), to_int32, name="limits int32"),
        Case("Cast", (x, number(np.int8)), to_int8, name="limits int8"),
        Case("Cast", (x, number(np.uint8)), to_uint8, name="limits uint8"),
        Case("Cast", (x.astype(np.float64), number(np.uint64)), to_uint64, name="limits uint64"),
        Case("Cast", (huge, number(np.int64)), np.array([2**63 - 1, -(2**63)]), name="limits int64"),
        Case("Cast", (wide, number(np.int32)), wide.astype(np.int32), name="low bits int32"),
        Case("Cast", (wide, number(np.uint8)), wide.astype(np.uint8), name="low bits uint8"),
        Case("Cast", (halves, number(np.float16)), narrow, name="float16"),
        Case("Cast", (truth, number(np.bool_)), np.array([False, False, True, True]), name="truth"),
        Case("Cast", (np.zeros((0, 2), np.float32), number(np.int8)), np.zeros((0, 2), np.int8), name="empty"),
        Case("Cast", (np.float32(2.5), number(np.int32)), np.int32(2), name="scalar"),
        # MindSpore's numbers of int, uint and float without a width.
        Case("Cast", (x[:3], np.array([31], np.int32)), to_int32[:3], name="int"),
        Case("Cast", (np.array([1, 2]), np.array([41], np.int32)), np.array([1, 2], np.float32), name="float"),
    ]


@pytest.mark.parametrize("case", cast_cases(), ids=str)
def test_cast(case: Case) -> None:
    check(case, "inner")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", cast_corner_cases(), ids=str)
def test_cast_corners(case: Case, mode: str) -> None:
    check(case, mode)


def test_refusals() -> None:
    x = np.ones((2, 2), np.float32)
    with pytest.raises(UnsupportedModelError, match="int32 input"):
        run_op("Sqrt", [x.astype(np.int32)])
    with pytest.raises(ShapeError, match="base -2 is neither positive nor -1"):
        run_op("ExpFusion", [x], {"base": -2.0})
    with pytest.raises(UnsupportedModelError, match="type number 99"):
        run_op("Cast", [x, np.int32(99)])
    with pytest.raises(ShapeError, match="one type number, has 2"):
        run_op("Cast", [x, np.array([43, 43], np.int32)])
    with pytest.raises(ShapeError, match="must be int32 or int64, not float32"):
        run_op("Cast", [x, np.float32(43)])
