"""Pooling, against ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from harness import Case, check, run_op
from witness import first, last, onnx_node

from lite_runtime.errors import ShapeError, UnsupportedModelError

RNG = np.random.default_rng(7)
# Averages of a few dozen float32 values; maxima are exact.
TOLERANCE = {"AvgPoolFusion": 1e-6, "MaxPoolFusion": 0.0}
ONNX = {"AvgPoolFusion": "AveragePool", "MaxPoolFusion": "MaxPool"}


def uniform(*shape: int) -> np.ndarray:
    return RNG.uniform(-1, 1, shape).astype(np.float32)


# x (NHWC), kernel, strides, pad (top, bottom, left, right) or mode, whether sizes round up.
WINDOWS: list[tuple[tuple[int, ...], list[int], list[int], list[int] | str, bool]] = [
    ((2, 8, 9, 5), [2, 2], [2, 2], "VALID", False),
    ((2, 8, 9, 5), [3, 2], [1, 2], [0, 0, 0, 0], False),
    ((1, 8, 9, 17), [3, 3], [2, 2], [1, 1, 1, 1], False),
    ((1, 8, 9, 17), [3, 3], [2, 2], [1, 1, 1, 1], True),
    ((1, 8, 8, 4), [3, 3], [2, 2], "VALID", True),
    ((1, 8, 8, 4), [3, 4], [2, 3], "SAME", False),
    ((1, 11, 7, 4), [5, 2], [3, 1], "SAME", True),
    ((1, 6, 7, 8), [4, 3], [1, 1], [3, 1, 2, 0], False),
    ((1, 6, 7, 8), [1, 1], [3, 2], [0, 0, 0, 0], False),  # gaps between windows
    ((1, 1, 300, 3), [1, 7], [1, 1], "SAME", False),  # one row, cut into pieces
    ((3, 5, 6, 40), [5, 6], [1, 1], "VALID", False),
    ((0, 5, 6, 3), [2, 2], [2, 2], "VALID", False),
]


def cases() -> Iterator[Case]:
    for shape, kernel, strides, pad, up in WINDOWS:
        x = uniform(*shape)
        for op, onnx_op in ONNX.items():
            attrs: dict[str, Any] = {"kernel_size": kernel, "strides": strides}
            witness: dict[str, Any] = {"kernel_shape": kernel, "strides": strides, "ceil_mode": int(up)}
            if isinstance(pad, str):
                attrs["pad_mode"] = pad
                witness["auto_pad"] = {"SAME": "SAME_UPPER", "VALID": "VALID"}[pad]
            else:
                attrs["pad"] = pad
                witness["pads"] = [pad[0], pad[2], pad[1], pad[3]]
            if up:
                attrs["round_mode"] = "CEIL"
            (y,) = onnx_node(onnx_op, [first(x)], **witness)
            name = f"{shape}{kernel}{strides}{pad}{up}".replace(" ", "")
            yield Case(op, (x,), last(y), attrs, TOLERANCE[op], name)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("case", list(cases()), ids=str)
def test_pool(case: Case, threads: int) -> None:
    check(case, threads=threads)


@pytest.mark.parametrize("given", [{}, {"kernel_size": [2, 2], "strides": [1, 1], "pad_mode": "VALID"}])
def test_global(given: dict[str, Any]) -> None:
    x = uniform(2, 9, 13, 37)
    attrs = {"global": True, **given}
    mean = x.mean((1, 2), keepdims=True, dtype=np.float64).astype(np.float32)
    check(Case("AvgPoolFusion", (x,), mean, attrs, 1e-6))
    check(Case("MaxPoolFusion", (x,), x.max((1, 2), keepdims=True), attrs))


def test_activation() -> None:
    x = 9 * uniform(1, 6, 6, 5)
    attrs = {"kernel_size": [2, 2], "strides": [2, 2], "pad_mode": "VALID"}
    blocks = x.reshape(1, 3, 2, 3, 2, 5)
    mean, top = blocks.mean((2, 4), dtype=np.float64), blocks.max((2, 4))
    for kind, function in {"RELU6": lambda y: np.clip(y, 0, 6), "TANH": np.tanh}.items():
        attrs["activation_type"] = kind
        check(Case("AvgPoolFusion", (x,), function(mean).astype(np.float32), attrs, 2e-6))
        check(Case("MaxPoolFusion", (x,), function(top), attrs, 2e-6))


def test_not_a_number_survives_a_maximum() -> None:
    x = uniform(1, 4, 4, 3)
    x[0, 1, 1, 2] = np.nan
    (y,) = run_op("MaxPoolFusion", [x], {"kernel_size": [2, 2], "strides": [2, 2], "pad_mode": "VALID"})
    assert np.isnan(y[0, 0, 0, 2]) and np.isnan(y).sum() == 1


def test_windows_in_the_padding() -> None:
    # Rounding up, the third window starts behind the input.
    attrs = {"kernel_size": [1, 1], "strides": [2, 2], "round_mode": "CEIL"}
    x = uniform(1, 4, 4, 2)
    (y,) = run_op("MaxPoolFusion", [x], attrs)
    expected = np.full((1, 3, 3, 2), np.finfo(np.float32).min)
    expected[:, :2, :2] = x[:, ::2, ::2]
    np.testing.assert_array_equal(y, expected)
    with pytest.raises(UnsupportedModelError, match="its average is undefined"):
        run_op("AvgPoolFusion", [x], attrs)


def test_refusals() -> None:
    x = uniform(1, 4, 4, 2)
    for inputs, attrs, message in [
        ([x], {"strides": [1, 1]}, "kernel_size is missing"),
        ([x], {"kernel_size": [5, 1]}, "does not fit"),
        ([x], {"kernel_size": [2, 2], "strides": [0, 1]}, "strides"),
        ([x], {"kernel_size": [2, 2], "pad": [0, 0, -2, 0]}, "pad has the value -2"),
        ([x[0]], {"kernel_size": [2, 2]}, "4 dimensions"),
        ([uniform(1, 0, 4, 2)], {"global": True}, "nothing to pool"),
    ]:
        with pytest.raises(ShapeError, match=message):
            run_op("MaxPoolFusion", inputs, attrs)
    with pytest.raises(UnsupportedModelError, match="too large"):
        big = {"kernel_size": [1 << 30, 1 << 30], "pad": [1 << 30] * 4}
        run_op("MaxPoolFusion", [x], big)
    with pytest.raises(UnsupportedModelError, match="int32"):
        run_op("MaxPoolFusion", [x.astype(np.int32)], {"kernel_size": [2, 2]})
