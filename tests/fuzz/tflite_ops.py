"""What the TFLite cases are made of: one function per kind of operator makes an operator with random operands and
options, in one type of numbers."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tflite_nets import Case, Const

F32, I32 = np.dtype(np.float32), np.dtype(np.int32)
Operand = np.ndarray | Const


class MisfitError(Exception):
    """The operator does not exist with numbers of this type."""


class Gen:
    """Takes every decision about one case. Numbers of 8-bit types are made as floats and quantised afterwards."""

    def __init__(self, op: str, seed: int, dtype: Any) -> None:
        self.op = op
        self.rng = random.Random(f"{op} {seed}")
        self.asked = np.dtype(dtype)
        self.dtype = F32 if self.quantized else self.asked

    @property
    def quantized(self) -> bool:
        return self.asked.itemsize == 1 and self.asked.kind in "iu"

    def only(self, kinds: str) -> None:
        if self.dtype.kind not in kinds:
            raise MisfitError

    def pick(self, *options: Any) -> Any:
        return self.rng.choice(options)

    def shape(self, least: int = 1, most: int = 4) -> list[int]:
        return [self.pick(1, 2, 3, 4, 5, 7) for _ in range(self.rng.randint(least, most))]

    def ints(self, low: int, high: int, *shape: int) -> np.ndarray:
        count = int(np.prod(shape))
        return np.array([self.rng.randint(low, high) for _ in range(count)], np.int32).reshape(shape)

    def x(self, *shape: int) -> np.ndarray:
        """Eighths, integers or truth values."""
        if self.dtype.kind == "b":
            return np.asarray(self.ints(0, 1, *shape) > 0)
        if self.dtype.kind == "f":
            return np.asarray(self.ints(-24, 24, *shape) / 8, self.dtype)
        return self.ints(0 if self.dtype.kind == "u" else -9, 9, *shape).astype(self.dtype)

    def positive(self, *shape: int) -> np.ndarray:
        return (np.abs(self.x(*shape)) + np.ones((), self.dtype)).astype(self.dtype)

    def const(self, array: np.ndarray) -> Const:
        return Const(array, array.dtype)

    def maybe(self, array: np.ndarray) -> Operand:
        """A constant or an input."""
        return self.const(array) if self.rng.random() < 0.4 else array

    def partial(self, shape: Sequence[int]) -> list[int]:
        """A shape that broadcasts to this one."""
        kept = [n if self.rng.random() < 0.6 else 1 for n in shape]
        return kept[self.rng.randint(0, len(kept) - 1) :] if self.rng.random() < 0.5 else kept

    def axis(self, rank: int) -> int:
        return self.rng.randrange(-rank, rank)

    def case(
        self, operands: Sequence[Operand], kind: str = "", results: Sequence[Any] | None = None, **options: Any
    ) -> Case:
        types = [self.dtype] if results is None else list(results)
        return Case(self.op, operands, options, types, kind and f"{kind}Options")


OPS: dict[str, Callable[[Gen], Case]] = {}
_Op = Callable[[Gen], Case]


def op(*names: str) -> Callable[[_Op], _Op]:
    def enter(function: _Op) -> _Op:
        OPS.update(dict.fromkeys(names, function))
        return function

    return enter


# Element by element.


@op("ABS", "CEIL", "COS", "ELU", "EXP", "FLOOR", "HARD_SWISH", "LOGISTIC", "NEG", "RELU", "RELU6", "RELU_0_TO_1",
    "RELU_N1_TO_1", "ROUND", "SIGN", "SIN", "SQUARE", "TANH", "ZEROS_LIKE", "LOGICAL_NOT")  # fmt: skip
def unary(g: Gen) -> Case:
    return g.case([g.x(*g.shape())])


@op("LOG", "RSQRT", "SQRT")
def of_positive(g: Gen) -> Case:
    return g.case([g.positive(*g.shape())])


@op("LEAKY_RELU")
def leaky_relu(g: Gen) -> Case:
    return g.case([g.x(*g.shape())], "LeakyRelu", alpha=g.pick(0.0, 0.2, 0.75, 1.5, -0.5))


@op("GELU")
def gelu(g: Gen) -> Case:
    return g.case([g.x(*g.shape())], "Gelu", approximate=g.pick(False, True))


@op("PRELU")
def prelu(g: Gen) -> Case:
    shape = g.shape(2)
    slope = g.pick(shape[-1:], [1] * (len(shape) - 2) + shape[-1:], shape[1:], g.partial(shape))
    return g.case([g.x(*shape), g.maybe(g.x(*slope))])


def _pair(g: Gen, other: Callable[..., np.ndarray]) -> list[Operand]:
    shape = g.shape()
    return [g.maybe(g.x(*g.partial(shape))) if g.rng.random() < 0.3 else g.x(*shape), g.maybe(other(*g.partial(shape)))]


@op("ADD", "SUB", "MUL")
def arithmetic(g: Gen) -> Case:
    kind = g.op.capitalize()
    return g.case(_with_input(g, _pair(g, g.x)), kind, fusedActivationFunction=g.pick(0, 0, 1, 2, 3))


def _with_input(g: Gen, operands: list[Operand]) -> list[Operand]:
    """One operand at least is no constant."""
    if all(isinstance(x, Const) for x in operands):
        operands[0] = operands[0].array  # type: ignore[union-attr]
    return operands


@op("DIV")
def division(g: Gen) -> Case:
    return g.case(_with_input(g, _pair(g, g.positive)), "Div", fusedActivationFunction=g.pick(0, 0, 1, 2, 3))


@op("FLOOR_DIV", "FLOOR_MOD")
def floor_division(g: Gen) -> Case:
    return g.case(_with_input(g, _pair(g, g.positive)))


@op("MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "LOGICAL_AND", "LOGICAL_OR")
def binary(g: Gen) -> Case:
    return g.case(_with_input(g, _pair(g, g.x)))


@op("POW")
def power(g: Gen) -> Case:
    shape = g.shape()
    return g.case([g.positive(*shape), g.maybe(np.abs(g.x(*g.partial(shape))))])


@op("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL")
def comparison(g: Gen) -> Case:
    return g.case(_with_input(g, _pair(g, g.x)), results=[np.bool_])


@op("ADD_N")
def add_n(g: Gen) -> Case:
    shape = g.shape()
    return g.case([g.x(*shape) for _ in range(g.rng.randint(2, 4))])


@op("SELECT", "SELECT_V2")
def select(g: Gen) -> Case:
    shape = g.shape()
    if g.op == "SELECT":
        shape[0] = max(shape[0], 2)  # of single elements LiteRT makes a scalar
        condition, others = g.pick(shape, shape[:1]), (shape, shape)
    else:
        condition, others = g.partial(shape), (g.partial(shape), shape)
    return g.case([g.ints(0, 1, *condition) > 0, *(g.maybe(g.x(*s)) for s in others)])


@op("CAST")
def cast(g: Gen) -> Case:
    to = np.dtype(g.pick(np.float32, np.int32, np.int64, np.bool_, np.uint8, np.int8))
    x = np.abs(g.x(*g.shape())) if to.kind == "u" else g.x(*g.shape())
    return g.case([x], "Cast", [to])


# Along axes.


@op("SOFTMAX")
def softmax(g: Gen) -> Case:
    return g.case([g.x(*g.shape())], "Softmax", beta=g.pick(1.0, 1.0, 0.5, 2.0))


@op("LOG_SOFTMAX")
def log_softmax(g: Gen) -> Case:
    return g.case([g.x(*g.shape())], "LogSoftmax")


@op("L2_NORMALIZATION")
def l2_normalization(g: Gen) -> Case:
    return g.case([g.positive(*g.shape())], "L2Norm", fusedActivationFunction=g.pick(0, 0, 0, 1))


@op("LOCAL_RESPONSE_NORMALIZATION")
def lrn(g: Gen) -> Case:
    return g.case([g.x(*g.shape(4))], "LocalResponseNormalization", radius=g.pick(1, 2, 5), bias=g.pick(1.0, 2.0),
                  alpha=g.pick(0.5, 0.1), beta=g.pick(0.5, 0.75))  # fmt: skip


@op("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "REDUCE_ALL")
def reduction(g: Gen) -> Case:
    shape = g.shape()
    axes = g.rng.sample(range(len(shape)), g.rng.randint(1, len(shape)))
    axes = [a - len(shape) if g.rng.random() < 0.4 else a for a in axes]
    stated = np.array(axes, np.int32) if len(axes) > 1 or g.pick(True, False) else np.array(axes[0], np.int32)
    return g.case([g.x(*shape), g.const(stated)], "Reducer", keepDims=g.pick(False, True))


@op("ARG_MAX", "ARG_MIN")
def arg_extreme(g: Gen) -> Case:
    shape = g.shape()
    wide = g.pick(False, True)
    kind = "ArgMax" if g.op == "ARG_MAX" else "ArgMin"
    axis = g.const(np.array(g.axis(len(shape)), np.int32))
    return g.case([g.x(*shape), axis], kind, [np.int64 if wide else np.int32], outputType=4 if wide else 2)


@op("CUMSUM")
def cumsum(g: Gen) -> Case:
    shape = g.shape()
    axis = g.const(np.array(g.axis(len(shape)), np.int32))
    return g.case([g.x(*shape), axis], "Cumsum", exclusive=g.pick(False, True), reverse=g.pick(False, True))


@op("TOPK_V2")
def top_k(g: Gen) -> Case:
    shape = g.shape()
    k = g.const(np.array(g.rng.randint(1, shape[-1]), np.int32))
    return g.case([g.x(*shape), k], results=[g.dtype, np.int32])


# Moving elements.


@op("RESHAPE")
def reshape(g: Gen) -> Case:
    shape = g.shape()
    target = g.pick([-1], [1, *shape], [*shape, -1], shape[::-1], [int(np.prod(shape)), 1])
    if g.pick(True, False):
        return g.case([g.x(*shape)], "Reshape", newShape=target)
    return g.case([g.x(*shape), g.const(np.array(target, np.int32))], "Reshape")


@op("SQUEEZE")
def squeeze(g: Gen) -> Case:
    shape = [n if g.rng.random() < 0.5 else 1 for n in g.shape(2)]
    ones = [i for i, n in enumerate(shape) if n == 1]
    some = g.rng.sample(ones, g.rng.randint(0, len(ones)))
    return g.case([g.x(*shape)], "Squeeze", squeezeDims=[i - len(shape) if g.rng.random() < 0.3 else i for i in some])


@op("EXPAND_DIMS")
def expand_dims(g: Gen) -> Case:
    shape = g.shape(1, 3)
    return g.case([g.x(*shape), g.const(np.array(g.axis(len(shape) + 1), np.int32))], "ExpandDims")


@op("TRANSPOSE")
def transpose(g: Gen) -> Case:
    shape = g.shape(1, 5)
    order = g.rng.sample(range(len(shape)), len(shape))
    return g.case([g.x(*shape), g.const(np.array(order, np.int32))], "Transpose")


@op("CONCATENATION")
def concatenation(g: Gen) -> Case:
    shape = g.shape()
    axis = g.axis(len(shape))
    operands: list[Operand] = []
    for i in range(g.rng.randint(2, 4)):
        shape[axis] = g.pick(1, 2, 5)
        operands.append(g.maybe(g.x(*shape)) if i else g.x(*shape))
    return g.case(operands, "Concatenation", axis=axis, fusedActivationFunction=0)


@op("PACK")
def pack(g: Gen) -> Case:
    shape, count = g.shape(1, 3), g.rng.randint(1, 3)
    return g.case([g.x(*shape) for _ in range(count)], "Pack", axis=g.axis(len(shape) + 1), valuesCount=count)


@op("UNPACK")
def unpack(g: Gen) -> Case:
    shape = g.shape(2)
    axis = g.axis(len(shape))
    return g.case([g.x(*shape)], "Unpack", [g.dtype] * shape[axis], axis=axis, num=shape[axis])


@op("SPLIT")
def split(g: Gen) -> Case:
    shape, parts = g.shape(), g.rng.randint(1, 3)
    axis = g.axis(len(shape))
    shape[axis] = parts * g.pick(1, 2, 3)
    return g.case([g.const(np.array(axis, np.int32)), g.x(*shape)], "Split", [g.dtype] * parts, numSplits=parts)


@op("SPLIT_V")
def split_v(g: Gen) -> Case:
    shape, sizes = g.shape(), [g.pick(1, 2, 3) for _ in range(g.rng.randint(1, 3))]
    axis = g.axis(len(shape))
    shape[axis] = sum(sizes)
    stated = np.array(sizes, np.int32)
    if g.rng.random() < 0.3:
        stated[-1] = -1
    operands = [g.x(*shape), g.const(stated), g.const(np.array(axis, np.int32))]
    return g.case(operands, "SplitV", [g.dtype] * len(sizes), numSplits=len(sizes))


@op("SLICE")
def slice_(g: Gen) -> Case:
    shape = g.shape()
    begin = [g.rng.randrange(n) for n in shape]
    size = [g.pick(-1, g.rng.randint(1, n - b)) for n, b in zip(shape, begin)]
    return g.case([g.x(*shape), g.maybe(np.array(begin, np.int32)), g.maybe(np.array(size, np.int32))], "Slice")


@op("STRIDED_SLICE")
def strided_slice(g: Gen) -> Case:
    shape = g.shape()
    n = len(shape)
    begin, end = ([g.rng.randint(-d - 1, d + 1) for d in shape] for _ in range(2))
    step = [g.pick(1, 1, 2, -1, -2) for _ in shape]
    shrink = g.pick(0, 0, 1)
    if shrink:
        begin[0], step[0] = g.rng.randint(-shape[0], shape[0] - 1), 1
    masks = {"beginMask": g.rng.randrange(1 << n) & ~shrink, "endMask": g.rng.randrange(1 << n) & ~shrink}
    bounds = [g.const(np.array(v, np.int32)) for v in (begin, end, step)]
    return g.case([g.x(*shape), *bounds], "StridedSlice", **masks, shrinkAxisMask=shrink)


@op("GATHER")
def gather(g: Gen) -> Case:
    shape = g.shape()
    axis, batch = g.axis(len(shape)), 0
    rows = g.shape(0, 2)
    if len(shape) > 2 and g.rng.random() < 0.3:
        axis, batch, rows = len(shape) - 1, 1, [shape[0], *rows]
    indices = g.maybe(g.ints(0, shape[axis] - 1, *rows))
    return g.case([g.x(*shape), indices], "Gather", axis=axis, batchDims=batch)


@op("GATHER_ND")
def gather_nd(g: Gen) -> Case:
    shape = g.shape(2)
    depth = g.rng.randint(1, len(shape))
    rows = g.shape(1, 2)
    indices = np.stack([g.ints(0, n - 1, *rows) for n in shape[:depth]], -1)
    return g.case([g.x(*shape), g.maybe(indices)])


@op("EMBEDDING_LOOKUP")
def embedding_lookup(g: Gen) -> Case:
    shape = g.shape(2, 3)
    return g.case([g.ints(0, shape[0] - 1, 4), g.maybe(g.x(*shape))])


@op("PAD", "PADV2", "MIRROR_PAD")
def pad(g: Gen) -> Case:
    shape = g.shape()
    mirrored, mode = g.op == "MIRROR_PAD", g.pick(0, 1)
    most = [n - 1 + mode if mirrored else 3 for n in shape]
    amounts = g.const(np.array([[g.rng.randint(0, m), g.rng.randint(0, m)] for m in most], np.int32))
    value = [g.const(g.x())] if g.op == "PADV2" else []
    options = {"mode": mode} if mirrored else {}
    return g.case([g.x(*shape), amounts, *value], "MirrorPad" if mirrored else "", **options)


@op("TILE")
def tile(g: Gen) -> Case:
    shape = g.shape()
    return g.case([g.x(*shape), g.maybe(g.ints(1, 3, len(shape)))])


@op("BROADCAST_TO")
def broadcast_to(g: Gen) -> Case:
    shape = g.shape()
    return g.case([g.x(*g.partial(shape)), g.maybe(np.array(shape, np.int32))])


@op("FILL")
def fill(g: Gen) -> Case:
    return g.case([g.maybe(np.array(g.shape(), np.int32)), g.x()])


@op("SHAPE")
def shape(g: Gen) -> Case:
    return g.case([g.x(*g.shape())], "Shape", [np.int32], outType=2)


@op("RANK")
def rank(g: Gen) -> Case:
    return g.case([g.x(*g.shape())], "", [np.int32])


@op("RANGE")
def range_(g: Gen) -> Case:
    start, step = g.rng.randint(-5, 5), g.pick(1, 2, -1)
    numbers = [start, start + step * g.rng.randint(1, 6), step]
    return g.case([np.array(v, g.dtype) for v in numbers], "Range")


@op("WHERE")
def where(g: Gen) -> Case:
    g.only("b")
    return g.case([g.x(*g.shape())], "", [np.int64])


@op("ONE_HOT")
def one_hot(g: Gen) -> Case:
    shape = g.shape(1, 3)
    on, off = (g.const(g.x()) for _ in range(2))
    depth = g.const(np.array(g.pick(3, 7), np.int32))
    return g.case([g.ints(-1, 7, *shape), depth, on, off], "OneHot", axis=g.rng.randint(-1, len(shape)))


@op("REVERSE_V2")
def reverse(g: Gen) -> Case:
    shape = g.shape()
    return g.case([g.x(*shape), g.const(np.array([g.axis(len(shape))], np.int32))])


@op("DEPTH_TO_SPACE", "SPACE_TO_DEPTH")
def space_depth(g: Gen) -> Case:
    block, (n, h, w, c) = g.pick(1, 2, 3), g.shape(4)
    if g.op == "DEPTH_TO_SPACE":
        return g.case([g.x(n, h, w, c * block * block)], "DepthToSpace", blockSize=block)
    return g.case([g.x(n, h * block, w * block, c)], "SpaceToDepth", blockSize=block)


@op("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND")
def space_batch(g: Gen) -> Case:
    block, (n, h, w, c) = [g.pick(1, 2, 3), g.pick(1, 2)], g.shape(4)
    before, after = [g.pick(0, 1), g.pick(0, 1)], [g.pick(0, 1), g.pick(0, 1)]
    if g.op == "BATCH_TO_SPACE_ND":
        h, w = h + 1, w + 1
        x = g.x(n * block[0] * block[1], h, w, c)
        room = [h * block[0] - 1, w * block[1] - 1]
        after = [min(a, r - b) for a, b, r in zip(after, before, room)]
    else:
        h, w = (n * b - p - q for n, b, p, q in zip((h + 1, w + 2), block, before, after))
        if min(h, w) < 1:
            raise MisfitError
        x = g.x(n, h, w, c)
    edges = np.array([*zip(before, after)], np.int32)
    return g.case([x, g.const(np.array(block, np.int32)), g.const(edges)])


# Layers.


def _plane(g: Gen, channels: int) -> np.ndarray:
    return g.x(g.pick(1, 2), g.rng.randint(1, 9), g.rng.randint(1, 9), channels)


def _filter(g: Gen, most: int = 3) -> tuple[int, int]:
    return g.rng.randint(1, most), g.rng.randint(1, most)


def _conv_options(g: Gen) -> dict[str, Any]:
    stride, dilated = g.pick(1, 1, 2, 3), g.rng.random() < 0.3
    return {
        "padding": g.pick(0, 1), "strideH": 1 if dilated else stride, "strideW": 1 if dilated else g.pick(1, stride),
        "dilationHFactor": g.pick(1, 2) if dilated else 1, "dilationWFactor": g.pick(1, 3) if dilated else 1,
        "fusedActivationFunction": g.pick(0, 0, 1, 2, 3),
    }  # fmt: skip


@op("CONV_2D")
def conv_2d(g: Gen) -> Case:
    group, per_group, out = g.pick(1, 1, 1, 2), g.pick(1, 3, 4, 5), g.pick(1, 2, 5, 8)
    weight = g.const(g.x(out * group, *_filter(g), per_group))
    bias = g.const(g.x(out * group))
    return g.case([_plane(g, per_group * group), weight, bias], "Conv2D", **_conv_options(g))


@op("DEPTHWISE_CONV_2D")
def depthwise(g: Gen) -> Case:
    channels, multiplier = g.pick(1, 3, 4, 9), g.pick(1, 1, 2, 3)
    weight = g.const(g.x(1, *_filter(g), channels * multiplier))
    options = {**_conv_options(g), "depthMultiplier": multiplier}
    if options["strideH"] != options["strideW"]:
        options["strideW"] = options["strideH"]
    return g.case([_plane(g, channels), weight, g.const(g.x(channels * multiplier))], "DepthwiseConv2D", **options)


@op("TRANSPOSE_CONV")
def transpose_conv(g: Gen) -> Case:
    x = _plane(g, g.pick(1, 3, 4))
    (kh, kw), out, (sh, sw), padding = _filter(g), g.pick(1, 2, 5), _filter(g), g.pick(0, 1)
    n, h, w, c = x.shape
    if padding == 0:
        size = [n, h * sh - g.rng.randrange(sh), w * sw - g.rng.randrange(sw), out]
    else:
        size = [n, (h - 1) * sh + kh, (w - 1) * sw + kw, out]
    weight = g.const(g.x(out, kh, kw, c))
    bias = [g.const(g.x(out))] if g.pick(True, False) else []
    return g.case([g.const(np.array(size, np.int32)), weight, x, *bias], "TransposeConv", padding=padding,
                  strideH=sh, strideW=sw, fusedActivationFunction=g.pick(0, 0, 1, 3))  # fmt: skip


@op("MAX_POOL_2D", "AVERAGE_POOL_2D")
def pool(g: Gen) -> Case:
    (kh, kw), (sh, sw) = _filter(g, 4), _filter(g)
    return g.case([_plane(g, g.pick(1, 3, 9))], "Pool2D", padding=g.pick(0, 1), strideH=sh, strideW=sw,
                  filterHeight=kh, filterWidth=kw, fusedActivationFunction=g.pick(0, 0, 1, 2, 3))  # fmt: skip


@op("FULLY_CONNECTED")
def fully_connected(g: Gen) -> Case:
    shape, out = g.shape(2, 3), g.pick(1, 4, 9)
    keep = g.pick(False, True)
    bias = [g.const(g.x(out))] if g.rng.random() < 0.7 else []
    return g.case([g.x(*shape), g.const(g.x(out, shape[-1])), *bias], "FullyConnected", keepNumDims=keep,
                  fusedActivationFunction=g.pick(0, 0, 1, 3))  # fmt: skip


@op("BATCH_MATMUL")
def batch_matmul(g: Gen) -> Case:
    batch, (m, k, n) = g.shape(1, 2), g.shape(3, 3)
    turned = g.pick(False, True), g.pick(False, True)
    x = g.x(*g.pick(batch, [1] * len(batch)), *((k, m) if turned[0] else (m, k)))
    y = g.x(*g.partial(batch), *((n, k) if turned[1] else (k, n)))
    return g.case([x, g.maybe(y)], "BatchMatMul", adjX=turned[0], adjY=turned[1])


@op("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
def resize(g: Gen) -> Case:
    align, half = g.pick((False, False), (True, False), (False, True))
    kind = "ResizeBilinear" if g.op == "RESIZE_BILINEAR" else "ResizeNearestNeighbor"
    size = g.const(g.ints(1, 9, 2))
    return g.case([_plane(g, g.pick(1, 3, 8)), size], kind, alignCorners=align, halfPixelCenters=half)


# Between floats and integers: QUANTIZE and DEQUANTIZE get their integers in tflite_differential.


@op("QUANTIZE", "DEQUANTIZE")
def requantize(g: Gen) -> Case:
    if not g.quantized:
        raise MisfitError
    return g.case([g.x(*g.shape())])
