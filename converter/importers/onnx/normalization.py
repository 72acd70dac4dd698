"""Normalisation."""

from __future__ import annotations

import numpy as np

from converter.importers.layout import channels_first_perm, channels_last_perm
from converter.importers.onnx.builder import Builder, MaybeValue
from converter.importers.onnx.registry import DOMAIN_MICROSOFT, onnx_op
from converter.ir.graph import Value


@onnx_op("BatchNormalization")
def batch_normalization(
    b: Builder, x: Value, scale: Value, bias: Value, mean: Value, variance: Value, *,
    epsilon: float = 1e-5, momentum: float = 0.9, training_mode: int = 0, spatial: int = 1,
) -> Value:  # fmt: skip
    """``momentum`` concerns training only."""
    if training_mode:
        raise b.refuse(
            "it is in training mode.", attribute="training_mode", suggestion="Export the model for inference."
        )
    if not spatial:
        raise b.refuse("statistics for every element are not offered.", attribute="spatial")
    rank = b.rank(x)
    parameters = [scale, bias, mean, variance]
    y = b.transpose(x, channels_last_perm(rank)) if rank > 2 else x
    y = b.op("FusedBatchNorm", y, *parameters, epsilon=epsilon, momentum=momentum)
    return b.transpose(y, channels_first_perm(rank)) if rank > 2 else y


@onnx_op("InstanceNormalization")
def instance_normalization(b: Builder, x: Value, scale: Value, bias: Value, *, epsilon: float = 1e-5) -> Value:
    rank = b.rank(x)
    if rank == 4:
        y = b.op("InstanceNorm", b.transpose(x, channels_last_perm(4)), scale, bias, epsilon=epsilon)
        return b.transpose(y, channels_first_perm(4))
    centred, inverse = _standardized(b, x, list(range(2, rank)), epsilon)
    y = b.op("MulFusion", centred, inverse)
    return _affine(b, y, _per_channel(b, scale, rank), _per_channel(b, bias, rank))


@onnx_op("GroupNormalization", since=21)
def group_normalization(
    b: Builder, x: Value, scale: Value, bias: Value, *, num_groups: int, epsilon: float = 1e-5, stash_type: int = 1
) -> Value:
    return _group_norm(b, x, scale, bias, num_groups, epsilon)


@onnx_op("GroupNormalization", until=20)
def group_normalization_by_group(
    b: Builder, x: Value, scale: Value, bias: Value, *, num_groups: int, epsilon: float = 1e-5
) -> Value:
    """One scale and bias for each group."""
    channels = x.shape[1] if x.shape is not None and len(x.shape) > 1 else -1
    if channels < 0 or num_groups < 1 or channels % num_groups:
        raise b.refuse(f"{num_groups} groups do not divide its {channels} channels.", attribute="num_groups")
    index = np.repeat(np.arange(num_groups), channels // num_groups).astype(np.int32)
    return _group_norm(b, x, b.gather(scale, index), b.gather(bias, index), num_groups, epsilon)


def _group_norm(b: Builder, x: Value, scale: Value, bias: Value, groups: int, epsilon: float) -> Value:
    """Composed: MindSpore Lite 2.0.0 has no kernel for GroupNormFusion."""
    rank = b.rank(x)
    if groups < 1:
        raise b.refuse(f"{groups} groups.", attribute="num_groups")
    flat = b.reshape(x, [0, groups, -1])
    centred, inverse = _standardized(b, flat, [2], epsilon)
    y = b.reshape(b.op("MulFusion", centred, inverse), b.shape_of(x))
    return _affine(b, y, _per_channel(b, scale, rank), _per_channel(b, bias, rank))


@onnx_op("LayerNormalization")
def layer_normalization(
    b: Builder, x: Value, scale: Value, bias: MaybeValue = None, *,
    axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1,
) -> list[Value]:  # fmt: skip
    rank = b.rank(x)
    axis = b.axis(axis, rank)
    normalized = (x.shape or ())[axis:]
    plain = scale.shape == normalized and (bias is None or bias.shape == normalized) and min(normalized, default=0) >= 0
    if len(b.wanted) == 1 and plain:
        shift = bias if bias is not None else b.const(np.zeros(normalized, x.dtype.numpy))
        return [
            b.op(
                "LayerNormFusion", x, scale, shift,
                begin_norm_axis=axis, begin_params_axis=axis, epsilon=epsilon, elementwise_affine=True,
            )
        ]  # fmt: skip
    centred, inverse, mean = _moments(b, x, list(range(axis, rank)), epsilon)
    y = b.op("MulFusion", b.op("MulFusion", centred, inverse), scale)
    return [y if bias is None else b.op("AddFusion", y, bias), mean, inverse]


@onnx_op("SkipLayerNormalization", domain=DOMAIN_MICROSOFT)
def skip_layer_normalization(
    b: Builder, x: Value, skip: Value, scale: Value, beta: MaybeValue = None, bias: MaybeValue = None, *,
    epsilon: float = 1e-12,
) -> list[Value | None]:  # fmt: skip
    total = b.op("AddFusion", x, skip)
    if bias is not None:
        total = b.op("AddFusion", total, bias)
    total.shape = x.shape
    one = Builder(b.graph, b.name, b.op_type, b.opset, [True], b.memo)
    one._counts = b._counts
    normalized = layer_normalization(one, total, scale, beta, epsilon=epsilon)
    return [normalized[0], None, None, total]


@onnx_op("RMSNormalization")
def rms_normalization(
    b: Builder, x: Value, scale: Value, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Value:
    rank = b.rank(x)
    square = b.reduce("ReduceMean", b.op("Square", x), list(range(b.axis(axis, rank), rank)))
    inverse = b.op("Rsqrt", b.op("AddFusion", square, epsilon))
    return b.op("MulFusion", b.op("MulFusion", x, inverse), scale)


@onnx_op("SimplifiedLayerNormalization")
@onnx_op("SimplifiedLayerNormalization", domain=DOMAIN_MICROSOFT)
def simplified_layer_normalization(
    b: Builder, x: Value, scale: Value, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Value:
    return rms_normalization(b, x, scale, axis=axis, epsilon=epsilon)


@onnx_op("MeanVarianceNormalization")
def mean_variance_normalization(b: Builder, x: Value, *, axes: list[int] | None = None) -> Value:
    rank = b.rank(x)
    over = [b.axis(a, rank) for a in (axes if axes is not None else [0, 2, 3])]
    centred = b.op("SubFusion", x, b.reduce("ReduceMean", x, over))
    deviation = b.op("Sqrt", b.reduce("ReduceMean", b.op("Square", centred), over))
    return b.op("DivFusion", centred, b.op("AddFusion", deviation, 1e-9))


@onnx_op("LpNormalization")
def lp_normalization(b: Builder, x: Value, *, axis: int = -1, p: int = 2) -> Value:
    """Zero where the norm is zero."""
    over = [b.axis(axis, b.rank(x))]
    if p not in (1, 2):
        raise b.refuse(f"{p} is neither 1 nor 2.", attribute="p")
    total = b.reduce("ReduceASum" if p == 1 else "ReduceSumSquare", x, over)
    norm = total if p == 1 else b.op("Sqrt", total)
    smallest = float(np.finfo(np.float32).tiny)
    return b.op("DivFusion", x, b.op("Maximum", norm, smallest))


@onnx_op("LRN")
def lrn(b: Builder, x: Value, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> Value:
    if b.rank(x) != 4 or size % 2 == 0:
        raise b.refuse("only an odd number of channels around each pixel of an image is offered.", attribute="size")
    y = b.op(
        "LRN", b.transpose(x, channels_last_perm(4)),
        depth_radius=size // 2, alpha=alpha / size, beta=beta, bias=bias, norm_region="ACROSS_CHANNELS",
    )  # fmt: skip
    return b.transpose(y, channels_first_perm(4))


def _moments(b: Builder, x: Value, over: list[int], epsilon: float) -> tuple[Value, Value, Value]:
    """(x - mean, 1 / sqrt(variance + epsilon), mean)."""
    mean = b.reduce("ReduceMean", x, over)
    centred = b.op("SubFusion", x, mean)
    variance = b.reduce("ReduceMean", b.op("Square", centred), over)
    return centred, b.op("Rsqrt", b.op("AddFusion", variance, epsilon)), mean


def _standardized(b: Builder, x: Value, over: list[int], epsilon: float) -> tuple[Value, Value]:
    centred, inverse, _ = _moments(b, x, over, epsilon)
    return centred, inverse


def _per_channel(b: Builder, v: Value, rank: int) -> Value:
    """[C] as [C, 1, ...], so that it broadcasts over [N, C, ...]."""
    shape = [-1, *[1] * (rank - 2)]
    return b.const(v.data.reshape(shape)) if v.data is not None else b.reshape(v, shape)


def _affine(b: Builder, x: Value, scale: Value, bias: Value) -> Value:
    return b.op("AddFusion", b.op("MulFusion", x, scale), bias)
