"""Normalisation, bias and other operators with one parameter per channel."""

from __future__ import annotations

from typing import Any

import numpy as np

from converter.importers.mindir.faults import Malformed, Refusal
from converter.importers.mindir.ops.linear import channels_first_only
from converter.importers.mindir.registry import op
from converter.importers.mindir.scope import Absent, Ints, Layout, Scope
from converter.ir.graph import Value


def per_channel(b: Scope, target: str, x: Value, *parameters: Value, **attributes: Any) -> Value:
    """An operator whose channels are the last axis, for an input whose channels are the second."""
    rank = b.rank(x)
    if rank < 3:
        return b.add(target, x, *parameters, **attributes)
    return b.channels_first(b.add(target, b.channels_last(x), *parameters, **attributes), rank)


@op("BiasAdd")
def bias_add(b: Scope, x: Value, bias: Value, *, format: Layout = "NCHW") -> Value:
    if b.rank(x) > 2:
        channels_first_only(format)
    return per_channel(b, "BiasAdd", x, bias, format="NHWC")


@op("BatchNorm", "BatchNormExt")
def batch_norm(
    b: Scope,
    x: Value,
    scale: Value,
    bias: Value,
    mean: Value,
    variance: Value,
    *,
    is_training: bool = False,
    epsilon: float = 1e-5,
    momentum: float = 0.1,
    format: Layout = "NCHW",
) -> tuple[Any, ...]:
    if is_training:
        raise Refusal(
            "it normalises with the statistics of the batch, as in training.",
            attribute="is_training",
            suggestion="Call net.set_train(False) before the export.",
        )
    channels_first_only(format)
    y = per_channel(b, "FusedBatchNorm", x, scale, bias, mean, variance, epsilon=epsilon, momentum=momentum)
    return (y, *(Absent(f"the {what} of a batch normalisation") for what in ("mean", "variance", "3rd", "4th")))


@op("PReLU")
def prelu(b: Scope, x: Value, slope: Value) -> Value:
    shared = slope.shape is not None and int(np.prod(slope.shape)) == 1
    return per_channel(b, "PReLUFusion", x, slope, channel_shared=shared)


@op("LRN")
def lrn(
    b: Scope,
    x: Value,
    *,
    depth_radius: int = 5,
    bias: float = 1.0,
    alpha: float = 1.0,
    beta: float = 0.5,
    norm_region: str = "ACROSS_CHANNELS",
) -> Value:
    if norm_region != "ACROSS_CHANNELS":
        raise Refusal(f"{norm_region} is not supported, only ACROSS_CHANNELS.", attribute="norm_region")
    return per_channel(
        b, "LRN", x, depth_radius=depth_radius, bias=bias, alpha=alpha, beta=beta, norm_region=norm_region
    )


@op("LayerNorm")
def layer_norm(
    b: Scope,
    x: Value,
    gamma: Value,
    beta: Value,
    *,
    begin_norm_axis: int = 1,
    begin_params_axis: int = 1,
    epsilon: float = 1e-7,
) -> tuple[Any, ...]:
    y = b.add(
        "LayerNormFusion",
        *(x, gamma, beta),
        begin_norm_axis=begin_norm_axis,
        begin_params_axis=begin_params_axis,
        epsilon=epsilon,
        elementwise_affine=True,
    )
    return (y, Absent("the mean of a layer normalisation"), Absent("the variance of a layer normalisation"))


@op("LayerNormExt")
def layer_norm_ext(
    b: Scope,
    x: Value,
    *,
    normalized_shape: Ints,
    gamma: Value | None = None,
    beta: Value | None = None,
    epsilon: float = 1e-5,
) -> tuple[Any, ...]:
    scale = gamma if gamma is not None else b.filled("gamma", normalized_shape, 1, np.float32)
    shift = beta if beta is not None else b.filled("beta", normalized_shape, 0, np.float32)
    axis = -len(normalized_shape)
    return layer_norm(b, x, scale, shift, begin_norm_axis=axis, begin_params_axis=axis, epsilon=epsilon)


@op("RmsNorm")
def rms_norm(b: Scope, x: Value, gamma: Value, *, epsilon: float = 1e-6) -> tuple[Any, ...]:
    axes = b.constant("axes", [-1])
    power = b.add(
        "ReduceFusion",
        b.add("Square", x, tag="square"),
        axes,
        tag="power",
        mode="ReduceMean",
        keep_dims=True,
        coeff=1.0,
    )
    scale = b.add("Rsqrt", b.add("AddFusion", power, b.like(x, "epsilon", epsilon), tag="size"), tag="rsqrt")
    y = b.add("MulFusion", b.add("MulFusion", x, scale, tag="normal"), gamma)
    return (y, Absent("the scale of an RMS normalisation"))


@op("GroupNorm")
def group_norm(
    b: Scope,
    x: Value,
    *,
    num_groups: int,
    gamma: Value | None = None,
    beta: Value | None = None,
    epsilon: float = 1e-5,
) -> tuple[Any, ...]:
    """Composed: MindSpore Lite 2.0.0 has no kernel for GroupNormFusion."""
    shape = b.static_shape(x)
    if num_groups < 1 or len(shape) < 2 or shape[1] % num_groups:
        raise Malformed(f"num_groups = {num_groups} does not divide its {shape[1:2]} channels")
    axes = b.constant("axes", [2])
    grouped = b.add("Reshape", x, b.constant("groups", [shape[0], num_groups, -1]), tag="grouped")
    mean = b.add("ReduceFusion", grouped, axes, tag="mean", mode="ReduceMean", keep_dims=True, coeff=1.0)
    centred = b.add("SubFusion", grouped, mean, tag="centred")
    square = b.add("Square", centred, tag="square")
    variance = b.add("ReduceFusion", square, axes, tag="variance", mode="ReduceMean", keep_dims=True, coeff=1.0)
    scale = b.add("Rsqrt", b.add("AddFusion", variance, b.like(x, "epsilon", epsilon), tag="size"), tag="rsqrt")
    normal = b.add("MulFusion", centred, scale, tag="normal")
    affine = [(o, v) for o, v in (("MulFusion", gamma), ("AddFusion", beta)) if v is not None]
    y = b.add("Reshape", normal, b.constant("shape", shape), tag="restored" if affine else "")
    for position, (target, parameter) in enumerate(affine, 1):
        spread = b.add(
            "Reshape",
            parameter,
            b.constant(f"spread_{position}", [shape[1], *[1] * (len(shape) - 2)]),
            tag=f"parameter_{position}",
        )
        y = b.add(target, y, spread, tag="" if position == len(affine) else "scaled")
    return (y, Absent("the mean of a group normalisation"), Absent("the scale of a group normalisation"))


@op("L2Normalize")
def l2_normalize(b: Scope, x: Value, *, axis: Ints = (0,), epsilon: float = 1e-4) -> Value:
    """x / sqrt(max(sum of squares, epsilon)). The one operator for it wants the last axis in MindSpore Lite."""
    if x.shape is not None and list(axis) in ([-1], [len(x.shape) - 1]):
        return b.add("L2NormalizeFusion", x, axis=axis, epsilon=epsilon)
    square = b.add("Square", x, tag="square")
    total = b.add(
        "ReduceFusion", square, b.constant("axes", axis), tag="sum", mode="ReduceSum", keep_dims=True, coeff=1.0
    )
    return b.add(
        "DivFusion", x, b.add("Sqrt", b.add("Maximum", total, b.like(x, "epsilon", epsilon), tag="large"), tag="norm")
    )


@op("LpNorm", "LpNormV2")
def lp_norm(
    b: Scope,
    x: Value,
    *,
    axis: Ints,
    p: float = 2,
    keep_dims: bool = False,
    epsilon: float = 1e-12,
) -> Value:
    """The norm itself. Its epsilon only guards a division that the forward pass does not have."""
    if p not in (1, 2):
        raise Refusal(f"p = {p} is not supported, only 1 and 2.", attribute="p")
    axes = b.constant("axes", axis)
    if p == 1:
        return b.add("ReduceFusion", b.add("Abs", x, tag="abs"), axes, mode="ReduceSum", keep_dims=keep_dims, coeff=1.0)
    square = b.add("Square", x, tag="square")
    return b.add(
        "Sqrt", b.add("ReduceFusion", square, axes, tag="sum", mode="ReduceSum", keep_dims=keep_dims, coeff=1.0)
    )


@op("Softmax", "LogSoftmax", "LogSoftmaxExt")
def softmax(b: Scope, x: Value, *, axis: Ints = (-1,)) -> Value:
    if b.op == "Softmax":
        return b.add("Softmax", x, axis=axis)
    if len(axis) != 1:
        raise Malformed(f"its attribute 'axis' has {len(axis)} values instead of 1")
    return b.add("LogSoftmax", x, axis=axis[0])
