"""Activation functions and softmax, against NumPy in double precision."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from harness import Case, check, run_op

from lite_runtime.errors import ShapeError, UnsupportedModelError

RNG = np.random.default_rng(9)
TOLERANCE = 1e-6
erf = np.vectorize(math.erf, otypes=[np.float64])


def uniform(*shape: int, scale: float = 1.0) -> np.ndarray:
    return RNG.uniform(-scale, scale, shape).astype(np.float32)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


# Attributes that have a meaning for the function, and its definition.
FUNCTIONS: list[tuple[dict[str, Any], Any]] = [
    ({"activation_type": "NO_ACTIVATION"}, lambda x: x),
    ({"activation_type": "RELU"}, lambda x: np.maximum(x, 0)),
    ({"activation_type": "SIGMOID"}, sigmoid),
    ({"activation_type": "RELU6"}, lambda x: np.clip(x, 0, 6)),
    ({"activation_type": "ELU", "alpha": 0.7}, lambda x: np.where(x < 0, np.float32(0.7) * np.expm1(x), x)),
    ({"activation_type": "ELU"}, lambda x: np.maximum(x, 0)),  # alpha is 0 when absent
    ({"activation_type": "LEAKY_RELU", "alpha": 0.2}, lambda x: np.where(x < 0, np.float32(0.2) * x, x)),
    ({"activation_type": "ABS"}, np.abs),
    ({"activation_type": "RELU1"}, lambda x: np.clip(x, -1, 1)),
    ({"activation_type": "SOFTSIGN"}, lambda x: x / (1 + np.abs(x))),
    ({"activation_type": "SOFTPLUS"}, lambda x: np.logaddexp(x, 0)),
    ({"activation_type": "TANH"}, np.tanh),
    ({"activation_type": "SELU"}, lambda x: 1.0507009873554805 * np.where(x < 0, 1.6732632423543772 * np.expm1(x), x)),
    ({"activation_type": "HSWISH"}, lambda x: x * np.clip(x + 3, 0, 6) / 6),
    ({"activation_type": "HSIGMOID"}, lambda x: np.clip(x + 3, 0, 6) / 6),
    ({"activation_type": "THRESHOLDRELU", "alpha": 1.5}, lambda x: np.where(x > 1.5, x, 0)),
    ({"activation_type": "HARD_TANH", "min_val": -2.0, "max_val": 1.5}, lambda x: np.clip(x, -2, 1.5)),
    ({"activation_type": "SIGN"}, np.sign),
    ({"activation_type": "SWISH"}, lambda x: x * sigmoid(x)),
    ({"activation_type": "GELU"}, lambda x: x * (1 + erf(x / 2**0.5)) / 2),
    (
        {"activation_type": "GELU", "approximate": True},
        lambda x: x * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3))) / 2,
    ),
    ({"activation_type": "FAST_GELU"}, lambda x: x * sigmoid(1.702 * x)),
]


@pytest.mark.parametrize("shape", [(3, 7001), (), (0, 4)])
@pytest.mark.parametrize(
    ("attrs", "function"), FUNCTIONS, ids=lambda v: "-".join(map(str, v.values())) if isinstance(v, dict) else ""
)
def test_activation(attrs: dict[str, Any], function: Any, shape: tuple[int, ...]) -> None:
    x = np.asarray(uniform(*shape, scale=8) if shape else np.float32(2.5))
    expected = np.asarray(function(x.astype(np.float64))).astype(np.float32)
    case = Case("Activation", (x,), expected, attrs, TOLERANCE)
    check(case, "fed", threads=2)
    check(case, "constant")


def test_operators_with_one_parameter() -> None:
    x = uniform(2, 3000, scale=5)
    check(Case("LeakyRelu", (x,), np.where(x < 0, np.float32(0.3) * x, x), {"negative_slope": 0.3}))
    exact = np.where(x < 0, np.float32(0.3) * np.expm1(x.astype(np.float64)), x).astype(np.float32)
    check(Case("Elu", (x,), exact, {"alpha": 0.3}, TOLERANCE))


@pytest.mark.parametrize("mode", ["fed", "mixed"])
@pytest.mark.parametrize(
    ("x", "slope"),
    [
        ((2, 4, 5, 6), (6,)),
        ((2, 40, 50, 3), (3,)),
        ((2, 4, 5, 100), (100,)),
        ((2, 4, 5, 6), (1,)),
        ((2, 4, 5, 6), ()),
        ((2, 4, 5, 6), (4, 5, 6)),
        ((2, 4, 5, 6), (1, 1, 6)),
        ((5, 6), (6,)),
        ((0, 4, 6), (6,)),
    ],
)
def test_prelu(x: tuple[int, ...], slope: tuple[int, ...], mode: str) -> None:
    data, factor = uniform(*x), np.asarray(uniform(*slope))
    expected = np.where(data < 0, data * factor, data)
    check(Case("PReLUFusion", (data, factor), expected, {"channel_shared": factor.size == 1}), mode, threads=2)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 70, 601), (4, 1, 3), (2, 0, 3), (0, 5), (9,)])
def test_softmax(shape: tuple[int, ...], threads: int) -> None:
    x = uniform(*shape, scale=30)
    for axis in range(-len(shape), len(shape)):
        exact = x.astype(np.float64)
        shifted = exact - exact.max(axis, keepdims=True) if x.size else exact
        total = np.exp(shifted).sum(axis, keepdims=True)
        probabilities = (np.exp(shifted) / total if x.size else exact).astype(np.float32)
        logarithms = (shifted - np.log(total) if x.size else exact).astype(np.float32)
        check(Case("Softmax", (x,), probabilities, {"axis": [axis]}, TOLERANCE), threads=threads)
        check(Case("LogSoftmax", (x,), logarithms, {"axis": axis}, TOLERANCE), threads=threads)


def test_refusals() -> None:
    x = uniform(2, 3)
    for op, inputs, attrs, message in [
        ("Activation", [x], {"activation_type": "HARD_TANH", "min_val": 1.0}, "empty range"),
        ("PReLUFusion", [x, uniform(2)], {}, "fits no trailing dimensions"),
        ("Softmax", [x], {}, "axis has 0 values"),
        ("Softmax", [x], {"axis": [0, 1]}, "axis has 2 values"),
        ("Softmax", [x], {"axis": [2]}, "axis 2"),
        ("Softmax", [np.float32(1)], {"axis": [0]}, "scalar"),
        ("LogSoftmax", [x], {"axis": -3}, "axis -3"),
    ]:
        with pytest.raises(ShapeError, match=message):
            run_op(op, inputs, attrs)
    for op, inputs, attrs, message in [
        ("Activation", [x], {"activation_type": "LINEAR"}, "LINEAR"),
        ("Activation", [x], {"activation_type": "UNKNOWN"}, "UNKNOWN"),
        ("Activation", [x.astype(np.float64)], {"activation_type": "RELU"}, "float64"),
        ("Softmax", [x.astype(np.int8)], {"axis": [0]}, "int8"),
    ]:
        with pytest.raises(UnsupportedModelError, match=message):
            run_op(op, inputs, attrs)
