"""Matrix products, against NumPy in double precision."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from harness import MODES, Case, check, run_op

from lite_runtime.errors import ShapeError, UnsupportedModelError

RNG = np.random.default_rng(6)
erf = np.vectorize(math.erf)
# Sums of up to 1200 float32 products.
TOLERANCE = 2e-6


def uniform(*shape: int) -> np.ndarray:
    return RNG.uniform(-1, 1, shape).astype(np.float32)


# Shapes of a and b as they are multiplied, before transposition for storage.
SHAPES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((5, 7), (7, 9)),
    ((64, 48), (48, 33)),
    ((1, 1200), (1200, 517)),  # a vector by a matrix
    ((1, 3), (3, 1)),
    ((300, 2), (2, 1)),
    ((150, 700), (700, 200)),  # weights beyond the cache
    ((2, 3, 5, 7), (7, 4)),
    ((2, 3, 1, 7), (7, 4)),
    ((2, 3, 5, 7), (2, 3, 7, 4)),
    ((4, 1, 130), (4, 130, 300)),  # vectors by their own matrices
    ((2, 1, 5, 7), (3, 7, 4)),
    ((3, 5, 7), (2, 1, 7, 4)),
    ((5, 7), (2, 3, 7, 4)),
    ((2, 1, 3, 1, 4, 5), (1, 2, 1, 3, 5, 2)),
    ((0, 7), (7, 4)),
    ((3, 7), (7, 0)),
    ((3, 0), (0, 4)),
    ((2, 0, 3, 4), (4, 5)),
    ((0, 3, 4), (1, 4, 5)),
]


def swap(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.swapaxes(x, -1, -2))


def product_cases() -> Iterator[Case]:
    for index, (shape_a, shape_b) in enumerate(SHAPES):
        a, b, bias = uniform(*shape_a), uniform(*shape_b), uniform(shape_b[-1])
        plain = np.matmul(a, b, dtype=np.float64)
        for transpose_a in (False, True):
            for transpose_b in (False, True):
                inputs = [swap(a) if transpose_a else a, swap(b) if transpose_b else b]
                attrs = {"transpose_a": transpose_a, "transpose_b": transpose_b}
                name = f"{index}-{shape_a}{shape_b}{'t' if transpose_a else 'n'}{'t' if transpose_b else 'n'}"
                name = name.replace(" ", "")
                yield Case("MatMulFusion", inputs, plain.astype(np.float32), attrs, TOLERANCE, name)
                biased = (plain + bias).astype(np.float32)
                yield Case("MatMulFusion", [*inputs, bias], biased, attrs, TOLERANCE, f"{name}-bias")


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", list(product_cases()), ids=str)
def test_product(case: Case, mode: str, threads: int) -> None:
    check(case, mode, threads)


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize(
    ("a", "b"), [((7,), (7, 4)), ((7,), (2, 7, 4)), ((5, 7), (7,)), ((2, 5, 7), (7,)), ((7,), (7,))]
)
def test_vectors(a: tuple[int, ...], b: tuple[int, ...], transpose: bool) -> None:
    x, y = uniform(*a), uniform(*b)
    expected = np.asarray(np.matmul(x, y, dtype=np.float64), np.float32)
    stored = swap(y) if transpose and y.ndim > 1 else y
    attrs = {"transpose_a": transpose and x.ndim == 1, "transpose_b": transpose}
    check(Case("MatMulFusion", (x, stored), expected, attrs, TOLERANCE))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rows", [1, 17])
@pytest.mark.parametrize("activation", ["RELU", "RELU6", "SIGMOID", "TANH", "GELU"])
def test_activation(activation: str, rows: int, mode: str) -> None:
    a, b, bias = uniform(rows, 40), uniform(40, 300), uniform(300)
    x = np.matmul(a, b, dtype=np.float64) + bias
    expected = {
        "RELU": np.maximum(x, 0),
        "RELU6": np.clip(x, 0, 6),
        "SIGMOID": 1 / (1 + np.exp(-x)),
        "TANH": np.tanh(x),
        "GELU": x * (1 + erf(x / 2**0.5)) / 2,
    }[activation]
    attrs = {"activation_type": activation}
    check(Case("MatMulFusion", (a, b, bias), expected.astype(np.float32), attrs, 3 * TOLERANCE), mode, threads=2)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("x", "attrs", "out"),
    [
        ((3, 12), {}, (3,)),
        ((2, 3, 2, 2), {"use_axis": True, "axis": 1}, (2,)),
        ((2, 3, 12), {"use_axis": True, "axis": 2}, (2, 3)),
        ((2, 3, 12), {"use_axis": True, "axis": -1}, (2, 3)),
        ((2, 3, 12), {}, (6,)),
        ((2, 3, 2, 2), {"activation_type": "RELU6"}, (2,)),
        ((1, 12), {}, (1,)),
        ((0, 12), {}, (0,)),
    ],
)
def test_full_connection(x: tuple[int, ...], attrs: dict[str, Any], out: tuple[int, ...], mode: str) -> None:
    data, w, bias = uniform(*x), uniform(35, 12), uniform(35)
    plain = np.matmul(data.reshape(-1, 12), w.T, dtype=np.float64).reshape(*out, 35)
    act = (lambda y: np.clip(y, 0, 6)) if attrs.get("activation_type") else (lambda y: y)
    check(Case("FullConnection", (data, w), act(plain).astype(np.float32), attrs, TOLERANCE), mode)
    biased = act(plain + bias).astype(np.float32)
    check(Case("FullConnection", (data, w, bias), biased, {**attrs, "has_bias": True}, TOLERANCE), mode)


def test_refusals() -> None:
    for inputs, attrs, message in [
        ([uniform(3, 4), uniform(5, 6)], {}, "4 columns and 5 rows"),
        ([uniform(3, 4), uniform(4, 6)], {"transpose_a": True}, r"\(transposed\)"),
        ([uniform(2, 3, 4), uniform(3, 4, 5)], {}, "do not broadcast"),
        ([uniform(3, 4), uniform(4, 6), uniform(3)], {}, "bias"),
        ([np.float32(3), uniform(4, 6)], {}, "scalar"),
    ]:
        with pytest.raises(ShapeError, match=message):
            run_op("MatMulFusion", inputs, attrs)
    for inputs, attrs, message in [
        ([uniform(3, 4), uniform(5, 7)], {}, "does not divide into rows"),
        ([uniform(3, 4), uniform(5, 4, 1)], {}, "2 dimensions"),
        ([uniform(3, 4), uniform(5, 4)], {"use_axis": True, "axis": 0}, "from axis 0 on"),
        ([uniform(3, 4), uniform(5, 4)], {"use_axis": True, "axis": 2}, "axis 2"),
        ([uniform(3, 4), uniform(5, 4)], {"has_bias": True}, "needs 3 inputs"),
    ]:
        with pytest.raises(ShapeError, match=message):
            run_op("FullConnection", inputs, attrs)
    with pytest.raises(UnsupportedModelError, match="int32"):
        run_op("MatMulFusion", [np.ones((2, 2), np.int32), np.ones((2, 2), np.int32)])
