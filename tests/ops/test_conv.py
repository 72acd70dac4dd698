"""Convolution and transposed convolution, against ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from harness import MODES, Case, check, compare, run_op
from witness import first, last, onnx_node

from lite_runtime.errors import ShapeError, UnsupportedModelError

RNG = np.random.default_rng(5)
# Sums of a few hundred float32 products in another order.
TOLERANCE = 2e-6


def uniform(*shape: int) -> np.ndarray:
    return RNG.uniform(-1, 1, shape).astype(np.float32)


# x (NHWC), out channels, kernel, and then what differs from stride 1, dilation 1, group 1, PAD of 0.
CONV: list[tuple[tuple[int, ...], int, tuple[int, int], dict[str, Any]]] = [
    ((1, 8, 9, 5), 7, (3, 3), {}),
    ((2, 8, 9, 5), 7, (3, 3), {"pad_list": [1, 1, 1, 1]}),
    ((2, 9, 8, 3), 33, (3, 2), {"pad_list": [1, 2, 0, 1], "stride": [2, 1]}),
    ((1, 7, 7, 4), 6, (3, 3), {"pad_list": [3, 3, 4, 4]}),  # windows that lie in the padding
    ((1, 13, 11, 4), 6, (3, 3), {"pad_mode": "SAME", "stride": [2, 3]}),
    ((1, 13, 11, 4), 6, (4, 2), {"pad_mode": "SAME"}),
    ((1, 13, 11, 4), 6, (4, 2), {"pad_mode": "VALID", "pad_list": [9, 9, 9, 9], "dilation": [1, 3]}),
    ((1, 12, 12, 16), 40, (1, 1), {}),
    ((3, 5, 7, 16), 24, (1, 1), {"stride": [2, 2]}),
    ((1, 5, 7, 16), 24, (1, 1), {"pad_list": [1, 1, 1, 1]}),
    ((2, 6, 6, 12), 8, (3, 3), {"group": 4, "pad_mode": "SAME"}),
    ((2, 6, 6, 12), 36, (1, 1), {"group": 3}),
    ((1, 6, 6, 4), 8, (3, 3), {"group": 4, "pad_mode": "SAME"}),  # depthwise with a multiplier
    ((2, 9, 10, 19), 19, (3, 3), {"group": 19, "pad_mode": "SAME"}),
    ((1, 9, 10, 19), 19, (5, 3), {"group": 19, "pad_mode": "SAME", "stride": [2, 2]}),
    ((1, 12, 13, 8), 8, (3, 3), {"group": 8, "pad_list": [1, 0, 2, 3], "dilation": [2, 3], "stride": [1, 2]}),
    ((1, 4, 9, 8), 8, (2, 2), {"group": 8, "stride": [2, 4]}),  # gaps between windows
    ((1, 1, 200, 6), 6, (1, 5), {"group": 6, "pad_mode": "SAME"}),  # one row, cut into pieces
    ((1, 1, 1, 300), 500, (1, 1), {}),  # a single pixel: the threads share the columns
    ((1, 28, 28, 200), 190, (3, 3), {"pad_mode": "SAME", "stride": [2, 2]}),  # weights beyond the cache
    ((1, 3, 3, 1), 1, (3, 3), {}),
]
# Large enough for Winograd's algorithm, whose transforms cancel digits: they cost about one decimal.
WINOGRAD: list[tuple[tuple[int, ...], int, tuple[int, int], dict[str, Any]]] = [
    ((1, 14, 14, 200), 190, (3, 3), {"pad_mode": "SAME"}),
    ((1, 30, 29, 32), 33, (3, 3), {"pad_mode": "VALID"}),
    ((2, 19, 33, 40), 48, (3, 3), {"pad_list": [0, 1, 2, 0]}),
    ((1, 40, 41, 24), 25, (3, 3), {"pad_list": [5, 4, 1, 3]}),
]
WINOGRAD_TOLERANCE = 2e-5


def onnx_conv(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, attrs: dict[str, Any]) -> np.ndarray:
    mode = attrs.get("pad_mode", "PAD")
    t, bottom, left, r = attrs.get("pad_list", [0, 0, 0, 0])
    pads = {"PAD": {"pads": [t, left, bottom, r]}, "SAME": {"auto_pad": "SAME_UPPER"}, "VALID": {"auto_pad": "VALID"}}
    (y,) = onnx_node(
        "Conv",
        [first(x), first(w), b],
        strides=attrs.get("stride", [1, 1]),
        dilations=attrs.get("dilation", [1, 1]),
        group=attrs.get("group", 1),
        **pads[mode],
    )
    return last(y)


def conv_cases() -> Iterator[Case]:
    rows = [(*row, TOLERANCE) for row in CONV] + [(*row, WINOGRAD_TOLERANCE) for row in WINOGRAD]
    for shape, out, kernel, attrs, tolerance in rows:
        x, w = uniform(*shape), uniform(out, *kernel, shape[3] // attrs.get("group", 1))
        name = f"{list(shape)}x{out}{list(kernel)} {attrs}".replace(" ", "")
        for b in (uniform(out), None):
            inputs = (x, w) if b is None else (x, w, b)
            yield Case("Conv2DFusion", inputs, onnx_conv(x, w, b, attrs), attrs, tolerance, f"{name}-{len(inputs)}")


CONV_CASES = list(conv_cases())


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CONV_CASES, ids=str)
def test_convolution(case: Case, mode: str, threads: int) -> None:
    check(case, mode, threads)


def sigmoid(y: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-y))


ACTIVATIONS: dict[str, Any] = {
    "RELU": lambda y: np.maximum(y, 0),
    "RELU6": lambda y: np.clip(y, 0, 6),
    "RELU1": lambda y: np.clip(y, -1, 1),
    "SIGMOID": sigmoid,
    "TANH": np.tanh,
    "HSWISH": lambda y: y * np.clip(y + 3, 0, 6) / 6,
    "HSIGMOID": lambda y: np.clip(y + 3, 0, 6) / 6,
    "SWISH": lambda y: y * sigmoid(y),
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("op", ["ordinary", "columns", "winograd", "depthwise", "transposed", "transposed depthwise"])
def test_fused_activation(op: str, activation: str, threads: int) -> None:
    group = 9 if "depthwise" in op else 1
    shape = {"columns": (1, 1, 1, 9), "winograd": (1, 30, 31, 30)}.get(op, (2, 6, 7, 9))
    kernel = (1, 1) if op == "columns" else (3, 3)
    # Weights of a size that makes the results cover the range where the functions bend.
    scale = np.float32(0.5 if op == "winograd" else 3)
    out = {"ordinary": 5, "columns": 400, "winograd": 35, "transposed": 11}.get(op, 9)
    attrs: dict[str, Any] = {"group": group, "pad_mode": "SAME"}
    if op.startswith("transposed"):
        x, w, b = uniform(*shape), scale * uniform(9, *kernel, out // group), uniform(out)
        attrs = {"group": group, "stride": [2, 2]}
        plain, name = onnx_transpose(x, w, b, attrs), "Conv2dTransposeFusion"
    else:
        x, w, b = uniform(*shape), scale * uniform(out, *kernel, shape[3] // group), uniform(out)
        plain, name = onnx_conv(x, w, b, attrs), "Conv2DFusion"
    expected = ACTIVATIONS[activation](plain.astype(np.float64)).astype(np.float32)
    # The functions cut off large values, so the sums' errors weigh more against the largest result.
    tolerance = 5 * WINOGRAD_TOLERANCE if op == "winograd" else 3 * TOLERANCE
    check(Case(name, (x, w, b), expected, {**attrs, "activation_type": activation}, tolerance), "mixed", threads)


# x (NHWC), out channels, kernel, and what differs from stride 1, dilation 1, group 1, no padding.
TRANSPOSE: list[tuple[tuple[int, ...], int, tuple[int, int], dict[str, Any]]] = [
    ((1, 4, 5, 4), 6, (3, 2), {}),
    ((2, 4, 5, 4), 6, (3, 2), {"stride": [2, 3], "pad_list": [1, 0, 0, 1]}),
    ((1, 4, 5, 4), 6, (3, 2), {"stride": [2, 3], "pad_list": [1, 1, 1, 0], "output_paddings": [1, 2]}),
    ((1, 4, 5, 4), 21, (4, 4), {"stride": [2, 2], "pad_list": [1, 1, 1, 1]}),
    ((1, 4, 5, 4), 6, (3, 3), {"stride": [2, 1], "dilation": [2, 3], "pad_list": [2, 1, 0, 3]}),
    ((1, 4, 5, 4), 6, (2, 2), {"stride": [3, 4]}),  # pixels that no input reaches
    ((1, 1, 1, 5), 3, (3, 3), {"stride": [5, 5], "pad_list": [1, 1, 1, 1]}),  # fewer pixels than phases
    ((2, 4, 5, 6), 9, (3, 2), {"stride": [2, 2], "group": 3}),
    ((2, 4, 5, 6), 6, (3, 3), {"stride": [2, 2], "group": 6, "pad_list": [1, 1, 1, 1], "output_paddings": [1, 1]}),
    ((1, 4, 5, 6), 12, (3, 3), {"stride": [1, 2], "group": 6}),
    ((1, 9, 17, 33), 20, (2, 2), {"stride": [2, 2]}),
    ((1, 3, 4, 2), 3, (3, 3), {"pad_mode": "VALID", "pad_list": [1, 1, 1, 1]}),
]


def onnx_transpose(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, attrs: dict[str, Any]) -> np.ndarray:
    t, bottom, left, r = attrs.get("pad_list", [0, 0, 0, 0])
    valid = attrs.get("pad_mode", "PAD") == "VALID"
    (y,) = onnx_node(
        "ConvTranspose",
        [first(x), first(w), b],
        strides=attrs.get("stride", [1, 1]),
        dilations=attrs.get("dilation", [1, 1]),
        group=attrs.get("group", 1),
        pads=[0, 0, 0, 0] if valid else [t, left, bottom, r],
        output_padding=attrs.get("output_paddings", [0, 0]),
    )
    return last(y)


def test_same_padding_with_dilation() -> None:
    # Height: 7 results span 13 + 4 rows, 17 - 13 = 4 are padding. Width: 4 results span 9 + 5 columns, 3 of them
    # padding, the smaller half on the left.
    x, w = uniform(1, 13, 11, 4), uniform(6, 3, 3, 4)
    attrs = {"stride": [2, 3], "dilation": [2, 2]}
    expected = onnx_conv(x, w, None, {**attrs, "pad_list": [2, 2, 1, 2]})
    check(Case("Conv2DFusion", (x, w), expected, {**attrs, "pad_mode": "SAME"}, TOLERANCE), "mixed")


def transpose_cases() -> Iterator[Case]:
    for shape, out, kernel, attrs in TRANSPOSE:
        x, w = uniform(*shape), uniform(shape[3], *kernel, out // attrs.get("group", 1))
        name = f"{list(shape)}x{out}{list(kernel)} {attrs}".replace(" ", "")
        for b in (uniform(out), None):
            inputs = (x, w) if b is None else (x, w, b)
            expected = onnx_transpose(x, w, b, attrs)
            yield Case("Conv2dTransposeFusion", inputs, expected, attrs, TOLERANCE, f"{name}-{len(inputs)}")
    # SAME: the result is stride times as large, the padding above and on the left is the smaller half.
    same = [((3, 3), (2, 2), (0, 1, 0, 1)), ((4, 5), (2, 2), (1, 1, 1, 2)), ((3, 2), (1, 1), (1, 1, 0, 1))]
    for kernel, stride, pads in same:
        x, w = uniform(1, 4, 5, 3), uniform(3, *kernel, 4)
        expected = onnx_transpose(x, w, None, {"stride": stride, "pad_list": pads})
        attrs = {"stride": list(stride), "pad_mode": "SAME"}
        yield Case(
            "Conv2dTransposeFusion", (x, w), expected, attrs, TOLERANCE, f"SAME{kernel}{stride}".replace(" ", "")
        )


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", list(transpose_cases()), ids=str)
def test_transposed_convolution(case: Case, mode: str, threads: int) -> None:
    check(case, mode, threads)


def test_same_larger_than_what_the_input_reaches() -> None:
    # stride 3, kernel 2: every third column of the result is the bias alone.
    x, w, b = uniform(1, 2, 3, 4), uniform(4, 2, 2, 5), uniform(5)
    expected = np.empty((1, 6, 9, 5), np.float32)
    expected[:] = b
    expected[:, :5, :8] = onnx_transpose(x, w, b, {"stride": [3, 3]})
    attrs = {"stride": [3, 3], "pad_mode": "SAME"}
    check(Case("Conv2dTransposeFusion", (x, w, b), expected, attrs, TOLERANCE), "mixed")


def test_float16_weights() -> None:
    # Files with halved weights: the loader widens constants, so only the rounding of the weights remains.
    x, w, b = uniform(1, 6, 7, 4), uniform(5, 3, 3, 4).astype(np.float16), uniform(5).astype(np.float16)
    (y,) = run_op("Conv2DFusion", [x, w, b], {"pad_mode": "SAME"}, constant=(1, 2))
    compare(y, onnx_conv(x, w.astype(np.float32), b.astype(np.float32), {"pad_mode": "SAME"}), TOLERANCE)


def test_shapes_without_elements() -> None:
    w, b = uniform(5, 3, 3, 4), uniform(5)
    (y,) = run_op("Conv2DFusion", [uniform(0, 6, 6, 4), w, b], {"pad_mode": "SAME"}, constant=(1, 2))
    assert y.shape == (0, 6, 6, 5)
    (y,) = run_op("Conv2DFusion", [uniform(1, 0, 6, 4), w, b], {"pad_mode": "SAME"}, constant=(1, 2), threads=2)
    assert y.shape == (1, 0, 6, 5)
    (y,) = run_op("Conv2dTransposeFusion", [uniform(0, 6, 6, 5), w], {"pad_mode": "SAME"}, constant=(1,))
    assert y.shape == (0, 6, 6, 4)
    (y,) = run_op("Conv2dTransposeFusion", [uniform(1, 6, 0, 5), w], {"stride": [2, 2]}, constant=(1,))
    assert y.shape == (1, 13, 0, 4)


W = uniform(6, 3, 3, 4)
REFUSED = [
    ([uniform(1, 8, 8, 5), W], {}, ShapeError, "group=1"),
    ([uniform(1, 8, 8, 8), W], {"group": 4}, ShapeError, "group=4"),
    ([uniform(8, 8, 4), W], {}, ShapeError, "4 dimensions"),
    ([uniform(1, 2, 8, 4), W], {}, ShapeError, "does not fit the input's height of 2"),
    ([uniform(1, 8, 8, 4), W, uniform(5)], {}, ShapeError, "bias has 5 values"),
    ([uniform(1, 8, 8, 4), W], {"stride": [0, 1]}, ShapeError, r"stride=\(0, 1\)"),
    ([uniform(1, 8, 8, 4), W], {"dilation": [1, -1]}, ShapeError, "dilation"),
    ([uniform(1, 8, 8, 4), W], {"stride": [1]}, ShapeError, "stride has 1 values"),
    ([uniform(1, 8, 8, 4), W], {"pad_list": [0, 0, 0, -1]}, ShapeError, "pad_list"),
    ([uniform(1, 8, 8, 4), W], {"pad_list": [1, 1]}, ShapeError, "pad_list has 2 values"),
    ([uniform(1, 8, 8, 4), W], {"activation_type": "ELU"}, UnsupportedModelError, "ELU"),
    ([uniform(1, 8, 8, 4).astype(np.float64), W], {}, UnsupportedModelError, "float64"),
    ([uniform(1, 8, 8, 4), np.zeros((0, 3, 3, 4), np.float32)], {}, ShapeError, "are empty"),
]


@pytest.mark.parametrize(("inputs", "attrs", "error", "message"), REFUSED)
def test_refusals(inputs: list[np.ndarray], attrs: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        run_op("Conv2DFusion", inputs, attrs)


def test_transposed_refusals() -> None:
    w = uniform(4, 2, 2, 3)
    for inputs, attrs, message in [
        ([uniform(1, 3, 3, 5), w], {}, "do not fit"),
        ([uniform(1, 3, 3, 4), w, uniform(4)], {}, "bias has 4 values"),
        ([uniform(1, 3, 3, 4), w], {"pad_list": [5, 0, 0, 0]}, "larger than the"),
        ([uniform(1, 3, 3, 4), w], {"output_paddings": [-1, 0]}, "output_paddings"),
    ]:
        with pytest.raises(ShapeError, match=message):
            run_op("Conv2dTransposeFusion", inputs, attrs)
    with pytest.raises(UnsupportedModelError, match="stride"):
        run_op("Conv2dTransposeFusion", [uniform(1, 3, 3, 4), w], {"stride": [100000, 1]})
