"""Normalisation and per-channel operators, against NumPy in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from harness import MODES, Case, check, compare, run_op
from witness import first, last, onnx_node

from converter.engine import evaluate
from converter.ir.graph import Graph
from lite_runtime.errors import ShapeError, UnsupportedModelError
from lite_runtime.types import DataType

RNG = np.random.default_rng(8)
TOLERANCE = 1e-6


def uniform(*shape: int) -> np.ndarray:
    return RNG.uniform(-1, 1, shape).astype(np.float32)


def exact(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float64)


def standardized(x: np.ndarray, axes: tuple[int, ...], epsilon: float) -> np.ndarray:
    y = exact(x)
    return (y - y.mean(axes, keepdims=True)) / np.sqrt(y.var(axes, keepdims=True) + epsilon)


def float32(y: np.ndarray) -> np.ndarray:
    return np.asarray(y).astype(np.float32)


# Few channels, many, and shapes without elements.
SHAPES = [(2, 4, 5, 6), (1, 7, 9, 3), (5, 130), (2, 3, 70), (0, 4, 5, 6), (3, 4, 0)]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm(shape: tuple[int, ...], mode: str, threads: int) -> None:
    channels = shape[-1]
    x, gamma, beta, mean = uniform(*shape), uniform(channels), uniform(channels), uniform(channels)
    variance = RNG.uniform(0.1, 2, channels).astype(np.float32)
    y = (exact(x) - mean) / np.sqrt(exact(variance) + 0.01)
    inputs = (x, gamma, beta, mean, variance)
    check(Case("FusedBatchNorm", inputs, float32(y * gamma + beta), {"epsilon": 0.01}, TOLERANCE), mode, threads)
    check(Case("BatchNorm", (x, mean, variance), float32(y), {"epsilon": 0.01}, TOLERANCE), mode, threads)
    # The further results of MindSpore's operator are the statistics that were used.
    outputs = [float32(y * gamma + beta), mean, variance, mean, variance]
    check(Case("FusedBatchNorm", inputs, outputs, {"epsilon": 0.01}, TOLERANCE), mode, threads)
    check(Case("BiasAdd", (x, beta), x + beta), mode, threads)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("axis", "scale"),
    [(3, (6,)), (-1, (6,)), (1, (4,)), (1, (4, 5)), (-3, (4, 5, 6)), (0, (2, 4, 5, 6)), (0, (1,)), (2, ())],
)
def test_scale(axis: int, scale: tuple[int, ...], mode: str, threads: int) -> None:
    x, factor, bias = uniform(2, 4, 5, 6), uniform(*scale), uniform(*scale)
    factor, bias = np.asarray(factor, np.float32), np.asarray(bias, np.float32)
    start = axis % 4
    fitted = (1,) * start + scale + (1,) * (4 - start - len(scale)) if factor.size > 1 else (1,)
    y = exact(x) * factor.reshape(fitted)
    check(Case("ScaleFusion", (x, factor), float32(y), {"axis": axis}, TOLERANCE), mode, threads)
    y = np.clip(y + bias.reshape(fitted), 0, 6)
    attrs = {"axis": axis, "activation_type": "RELU6"}
    check(Case("ScaleFusion", (x, factor, bias), float32(y), attrs, TOLERANCE), mode, threads)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("axis", [1, 2, 3, -1])
@pytest.mark.parametrize("parameters", [None, 1, 2, 3])
def test_layer_norm(axis: int, parameters: int | None, mode: str) -> None:
    x = uniform(3, 4, 5, 6) + 3
    y = standardized(x, tuple(range(axis % 4, 4)), 1e-3)
    attrs: dict[str, Any] = {"begin_norm_axis": axis, "epsilon": 1e-3}
    inputs = [x]
    if parameters is not None:
        gamma, beta = uniform(*x.shape[parameters:]), uniform(*x.shape[parameters:])
        y = y * gamma + beta
        inputs += [gamma, beta]
        attrs |= {"begin_params_axis": parameters, "elementwise_affine": True}
    check(Case("LayerNormFusion", inputs, float32(y), attrs, 2e-6), mode, threads=2)


def test_layer_norm_statistics() -> None:
    x = uniform(3, 4, 50) + 1
    y = [float32(v) for v in (standardized(x, (2,), 0.1), exact(x).mean(2), exact(x).var(2))]
    check(Case("LayerNormFusion", (x,), y, {"begin_norm_axis": 2, "epsilon": 0.1}, TOLERANCE))


def test_layer_norm_without_elements() -> None:
    for shape in [(0, 4), (4, 0)]:
        (y,) = run_op("LayerNormFusion", [uniform(*shape)], {"begin_norm_axis": 1})
        assert y.shape == shape


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(2, 4, 5, 6), (1, 30, 40, 3), (2, 9, 70), (1, 2, 3, 4, 150), (0, 3, 3, 5)])
def test_instance_norm(shape: tuple[int, ...], mode: str, threads: int) -> None:
    # A mean far from zero must not cost accuracy.
    x, gamma, beta = uniform(*shape) + 10, uniform(shape[-1]), uniform(shape[-1])
    y = standardized(x, tuple(range(1, len(shape) - 1)), 1e-3) if x.size else x
    # 2^-24 of the mean of 10 over the standard deviation of 0.6.
    check(Case("InstanceNorm", (x,), float32(y), {"epsilon": 1e-3}, 3e-6), mode, threads)
    y = y * gamma + beta
    check(Case("InstanceNorm", (x, gamma, beta), float32(y), {"epsilon": 1e-3}, 3e-6), mode, threads)


def test_instance_norm_of_a_tensor_labelled_nchw() -> None:
    # A file says by the tensor's format where the channels are; the exporter derives it from transposes.
    x, gamma, beta = uniform(2, 5, 6, 4), uniform(4), uniform(4)
    graph = Graph("op")
    value = graph.add_input("x", DataType.FLOAT32, x.shape)
    moved = graph.add("Transpose", [value, graph.constant("perm", np.array([0, 3, 1, 2], np.int32))], "t").output
    parameters = [graph.constant("gamma", gamma), graph.constant("beta", beta)]
    graph.outputs = [graph.add("InstanceNorm", [moved, *parameters], "norm", epsilon=1e-3).output]
    (y,) = evaluate(graph, [x])
    expected = standardized(x, (1, 2), 1e-3) * gamma + beta
    compare(y, float32(first(expected)), 2e-6)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("shape", "groups"), [((2, 4, 5, 6), 2), ((2, 4, 5, 6), 4), ((2, 4, 5, 6), 1), ((3, 6), 3), ((1, 6, 50), 2)]
)
def test_group_norm(shape: tuple[int, ...], groups: int, mode: str, threads: int) -> None:
    x, gamma, beta = uniform(*shape), uniform(shape[1]), uniform(shape[1])
    attrs = {"num_groups": groups, "epsilon": 1e-3}
    y = standardized(x.reshape(shape[0], groups, -1), (2,), 1e-3).reshape(shape)
    check(Case("GroupNormFusion", (x,), float32(y), attrs, 2e-6), mode, threads)
    fitted = (-1,) + (1,) * (len(shape) - 2)
    y = y * gamma.reshape(fitted) + beta.reshape(fitted)
    check(Case("GroupNormFusion", (x, gamma, beta), float32(y), attrs, 2e-6), mode, threads)


@pytest.mark.parametrize("axis", [[-1], [3], [1], [2], [1, 2], [3, 2], [0, 1, 2, 3], []])
@pytest.mark.parametrize("epsilon", [1e-6, 2.0])
def test_l2_normalize(axis: list[int], epsilon: float) -> None:
    x = uniform(2, 4, 5, 6)
    over = tuple(axis) or (0, 1, 2, 3)
    y = exact(x) / np.sqrt(np.maximum((exact(x) ** 2).sum(over, keepdims=True), epsilon))
    attrs: dict[str, Any] = {"axis": axis, "epsilon": epsilon}
    check(Case("L2NormalizeFusion", (x,), float32(y), attrs, TOLERANCE), threads=2)
    attrs["activation_type"] = "RELU"
    check(Case("L2NormalizeFusion", (x,), float32(np.maximum(y, 0)), attrs, TOLERANCE))


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("p", [1, 2])
def test_lp_normalization(axis: int, p: int) -> None:
    x = uniform(3, 400, 5)
    x[:, 7, :] = x[1] = x[..., 2] = 0  # a norm of zero gives zeros
    (y,) = onnx_node("LpNormalization", [x], axis=axis, p=p)
    check(Case("LpNormalization", (x,), y, {"axis": axis, "p": p}, TOLERANCE), threads=2)


@pytest.mark.parametrize(("radius", "channels"), [(2, 9), (0, 5), (1, 64), (6, 4)])
def test_local_response_norm(radius: int, channels: int) -> None:
    x = 3 * uniform(2, 3, 4, channels)
    size = 2 * radius + 1
    # ONNX divides alpha by the number of summands.
    (y,) = onnx_node("LRN", [first(x)], size=size, alpha=0.3 * size, beta=0.75, bias=1.5)
    attrs: dict[str, Any] = {"depth_radius": radius, "alpha": 0.3, "beta": 0.75, "bias": 1.5}
    check(Case("LRN", (x,), last(y), attrs, 2e-6), threads=2)
    check(Case("LRN", (x,), last(y), {**attrs, "norm_region": "ACROSS_CHANNELS"}, 2e-6))


def test_refusals() -> None:
    x, c = uniform(2, 4, 5, 6), uniform(5)
    for op, inputs, attrs, message in [
        ("BiasAdd", [x, c], {}, "5 values for the 6 channels"),
        ("BiasAdd", [np.float32(1), c], {}, "scalar"),
        ("FusedBatchNorm", [x, c, c, c, c], {}, "5 values for the 6 channels"),
        ("ScaleFusion", [x, c], {"axis": 3}, "does not fit input"),
        ("ScaleFusion", [x, uniform(5, 6, 2)], {"axis": 2}, "does not fit input"),
        ("ScaleFusion", [x, uniform(6), c], {"axis": 3}, "differs from scale"),
        ("ScaleFusion", [x, c], {"axis": 4}, "axis 4"),
        ("LayerNormFusion", [x, c, c], {"begin_norm_axis": -1}, "trailing dimensions"),
        ("LayerNormFusion", [x, uniform(6)], {"begin_norm_axis": -1}, "without beta"),
        ("LayerNormFusion", [x], {"begin_norm_axis": 5}, "axis 5"),
        ("InstanceNorm", [x, c, c], {}, "5 values for the 6 channels"),
        ("InstanceNorm", [x, uniform(6)], {}, "beta"),
        ("InstanceNorm", [uniform(2, 3)], {}, "3 dimensions"),
        ("GroupNormFusion", [x], {"num_groups": 3}, "does not divide the 4 channels"),
        ("GroupNormFusion", [x], {}, "num_groups=0"),
        ("L2NormalizeFusion", [x], {"axis": [4]}, "axis 4"),
        ("LRN", [x], {"depth_radius": -1}, "negative"),
    ]:
        with pytest.raises(ShapeError, match=message):
            run_op(op, inputs, attrs)
    for op, attrs, message in [
        ("L2NormalizeFusion", {"axis": [1, 3]}, "neighbouring"),
        ("L2NormalizeFusion", {"axis": [1, 1]}, "neighbouring"),
        ("LpNormalization", {"axis": 1, "p": 3}, "p=3"),
        ("LRN", {"norm_region": "WITHIN_CHANNEL"}, "WITHIN_CHANNEL"),
    ]:
        with pytest.raises(UnsupportedModelError, match=message):
            run_op(op, [x], attrs)
    with pytest.raises(UnsupportedModelError, match="is_training"):
        run_op("BatchNorm", [x, uniform(6), uniform(6)], {"is_training": True})
