"""Matrix products and convolutions."""

from __future__ import annotations

import numpy as np

from converter.importers.onnx.builder import Builder, MaybeValue
from converter.importers.onnx.expr import Expr
from converter.importers.onnx.registry import onnx_op
from converter.importers.onnx.spatial import Window, from_nhwc, to_nhwc, window
from converter.ir.graph import Value


@onnx_op("MatMul")
def matmul(b: Builder, x: Value, y: Value) -> Value:
    """Vectors are given a dimension of 1 for the product, which the result loses again."""
    left, right = b.rank(x), b.rank(y)
    if left == 1:
        x = b.unsqueeze(x, [0])
    if right == 1:
        y = b.unsqueeze(y, [1])
    elif y.data is not None:
        y = b.weights(y, y.data, range(right), right - 1)
    product = b.op("MatMulFusion", x, y)
    rank = max(left, right, 2)
    dropped = [rank - 1] if right == 1 else []
    if left == 1:
        dropped.append(rank - 2)
    return b.squeeze(product, sorted(dropped))


@onnx_op("Gemm")
def gemm(
    b: Builder, x: Value, y: Value, c: MaybeValue = None, *,
    alpha: float = 1.0, beta: float = 1.0, transA: int = 0, transB: int = 0,  # noqa: N803
) -> Value:  # fmt: skip
    if alpha != 1.0:
        y = b.const(y.data * np.float32(alpha)) if y.data is not None else b.op("MulFusion", y, alpha)
    elif y.data is not None:
        y = b.weights(y, y.data, [0, 1], 0 if transB else 1)
    inputs = [x, y]
    if c is not None and beta != 1.0 and beta != 0.0:
        c = b.const(c.data * np.float32(beta)) if c.data is not None else b.op("MulFusion", c, beta)
    columns = y.shape[0 if transB else 1] if y.shape is not None and len(y.shape) == 2 else -1
    fused = c is not None and beta != 0.0 and c.data is not None and c.data.shape in ((columns,), (1, columns))
    if fused:
        assert c is not None and c.data is not None
        inputs.append(b.const(c.data.reshape(-1)))
    product = b.op("MatMulFusion", *inputs, transpose_a=bool(transA), transpose_b=bool(transB))
    return product if c is None or beta == 0.0 or fused else b.op("AddFusion", product, c)


@onnx_op("Conv")
def conv(
    b: Builder, x: Value, w: Value, bias: MaybeValue = None, *,
    kernel_shape: list[int] | None = None, strides: list[int] | None = None, dilations: list[int] | None = None,
    pads: list[int] | None = None, auto_pad: str = "NOTSET", group: int = 1,
) -> Value:  # fmt: skip
    kernel = _kernel(b, w, kernel_shape)
    win = window(b, x, kernel, strides, dilations, pads, auto_pad)
    channels = _channels(b, w, group)
    if win.rank == 3:
        return _conv3d(b, x, w, bias, win, group, channels)
    if win.rank > 3:
        raise b.refuse(f"it slides over {win.rank} dimensions, at most 3 are offered.")
    rank = win.rank + 2
    y = _conv2d(b, to_nhwc(b, x, rank), _khwc(b, w, rank), bias, win.planar(), group, channels)
    return from_nhwc(b, y, rank)


def _kernel(b: Builder, w: Value, stated: list[int] | None) -> list[int]:
    dims = b.need_dims(w, "a convolution")
    if len(dims) < 3 or (stated is not None and list(dims[2:]) != list(stated)):
        raise b.refuse(f"weights of shape {list(dims)} do not fit the kernel {stated}.", attribute="kernel_shape")
    return list(dims[2:])


def _channels(b: Builder, w: Value, group: int) -> tuple[int, int]:
    """(input channels, output channels) of a convolution."""
    dims = b.need_dims(w, "a convolution")
    if group < 1 or dims[0] % group:
        raise b.refuse(f"{group} groups do not divide its {dims[0]} channels.", attribute="group")
    return dims[1] * group, dims[0]


def _khwc(b: Builder, w: Value, rank: int) -> Value:
    """Weights [K, C, (H,) W] as [K, H, W, C]."""
    if w.data is None:
        return to_nhwc(b, w, rank)
    data = w.data if rank == 4 else w.data[:, :, None]
    order = [0, 2, 3, 1] if rank == 4 else [0, 2, 1]
    return b.weights(w, np.ascontiguousarray(data.transpose(0, 2, 3, 1)), order, 0)


def _conv2d(
    b: Builder, x: Value, w: Value, bias: MaybeValue, win: Window, group: int, channels: tuple[int, int]
) -> Value:
    inputs = [x, w] if bias is None else [x, w, bias]
    return b.op(
        "Conv2DFusion",
        *inputs,
        format="NHWC",
        kernel_size=win.kernel,
        stride=win.strides,
        dilation=win.dilations,
        pad_mode="SAME" if win.same else "PAD",
        pad_list=win.flat_pads(),
        group=group,
        in_channel=channels[0],
        out_channel=channels[1],
        activation_type="NO_ACTIVATION",
    )


def _conv3d(
    b: Builder, x: Value, w: Value, bias: MaybeValue, win: Window, group: int, channels: tuple[int, int]
) -> Value:
    """The sum, over the depth of the kernel, of 2-D convolutions of the slices it meets."""
    dims = b.need_dims(x, "a convolution over three dimensions")
    if w.data is None:
        raise b.refuse("its weights are computed at run time.")
    (before, after), stride, dilation = win.pads[0], win.strides[0], win.dilations[0]
    depth = (dims[2] + before + after - win.reach(0)) // stride + 1
    # [N, C, D, H, W] -> [N, D, H, W, C], padded in D.
    y = b.transpose(x, [0, 2, 3, 4, 1])
    if before or after:
        table = np.zeros((5, 2), np.int32)
        table[1] = before, after
        y = b.op("PadFusion", y, table, padding_mode="CONSTANT", constant_value=0.0)
    flat = Window(win.kernel[1:], win.strides[1:], win.dilations[1:], win.pads[1:])
    total: MaybeValue = None
    for i in range(win.kernel[0]):
        first = i * dilation
        part = b.slice(y, 5, 1, first, first + (depth - 1) * stride + 1, stride)
        part = b.reshape(part, [dims[0] * depth, dims[3], dims[4], dims[1]])
        kernel = b.const(np.ascontiguousarray(w.data[:, :, i].transpose(0, 2, 3, 1)))
        part = _conv2d(b, part, kernel, bias if i == 0 else None, flat, group, channels)
        total = part if total is None else b.op("AddFusion", total, part)
    assert total is not None
    out = [(dims[i + 2] + sum(win.pads[i]) - win.reach(i)) // win.strides[i] + 1 for i in (1, 2)]
    return b.transpose(b.reshape(total, [dims[0], depth, *out, channels[1]]), [0, 4, 1, 2, 3])


@onnx_op("ConvTranspose")
def conv_transpose(
    b: Builder, x: Value, w: Value, bias: MaybeValue = None, *,
    kernel_shape: list[int] | None = None, strides: list[int] | None = None, dilations: list[int] | None = None,
    pads: list[int] | None = None, auto_pad: str = "NOTSET", group: int = 1,
    output_padding: list[int] | None = None, output_shape: list[int] | None = None,
) -> Value:  # fmt: skip
    kernel = _kernel(b, w, kernel_shape)
    rank = b.rank(x)
    n = len(kernel)
    win = window(b, x, kernel, strides, dilations, pads, "NOTSET")
    extra = list(output_padding or [0] * n)
    if output_shape is not None or auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        win, extra = _fit_output(b, x, win, extra, output_shape, auto_pad)
    in_channel = b.need_dims(w, "a convolution")[0]
    out_channel = b.need_dims(w, "a convolution")[1] * group
    if group < 1 or in_channel % group:
        raise b.refuse(f"{group} groups do not divide its {in_channel} channels.", attribute="group")
    if n == 3:
        return _conv_transpose_3d(b, x, w, bias, win, extra, group)
    if n > 3:
        raise b.refuse(f"it slides over {n} dimensions, at most 3 are offered.")
    planar = win.planar()
    inputs = [to_nhwc(b, x, rank), _khwc(b, w, rank)] + ([] if bias is None else [bias])
    y = b.op(
        "Conv2dTransposeFusion",
        *inputs,
        format="NHWC",
        kernel_size=planar.kernel,
        stride=planar.strides,
        dilation=planar.dilations,
        pad_mode="PAD",
        pad_list=planar.flat_pads(),
        group=group,
        in_channel=in_channel,
        out_channel=out_channel,
        output_paddings=[0] * (2 - n) + extra,
        activation_type="NO_ACTIVATION",
    )
    return from_nhwc(b, y, rank)


def _conv_transpose_3d(
    b: Builder, x: Value, w: Value, bias: MaybeValue, win: Window, extra: list[int], group: int
) -> Value:
    """The convolution of the input, spread out with zeros, with the kernel turned round."""
    dims = b.need_dims(x, "a transposed convolution over three dimensions")
    if w.data is None:
        raise b.refuse("its weights are computed at run time.")
    inputs, outputs, *kernel = w.data.shape
    turned = w.data.reshape(group, inputs // group, outputs, *kernel)[:, :, :, ::-1, ::-1, ::-1]
    weights = turned.transpose(0, 2, 1, 3, 4, 5).reshape(group * outputs, inputs // group, *kernel)
    lengths: list[int] = []
    pads = []
    for i, length in enumerate(dims[2:]):
        if win.strides[i] > 1:
            x = _spread_out(b, x, [*dims[:2], *lengths, *dims[2 + i :]], 2 + i, win.strides[i])
        lengths.append((length - 1) * win.strides[i] + 1)
        pads.append(tuple(win.reach(i) - 1 - p + e for p, e in zip(win.pads[i], (0, extra[i]))))
    table = np.array([(0, 0), (0, 0), *pads], np.int32)
    x = b.op("PadFusion", x, table, padding_mode="CONSTANT", constant_value=0.0)
    x.shape = (*dims[:2], *(n + sum(p) for n, p in zip(lengths, pads)))
    plain = Window(win.kernel, [1, 1, 1], win.dilations, [(0, 0)] * 3)
    kernels = b.const(np.ascontiguousarray(weights))
    return _conv3d(b, x, kernels, bias, plain, group, (inputs, group * outputs))


def _spread_out(b: Builder, x: Value, dims: list[int], axis: int, stride: int) -> Value:
    """x with stride - 1 zeros between neighbours along an axis."""
    table = np.zeros((len(dims) + 1, 2), np.int32)
    table[axis + 1, 1] = stride - 1
    wide = b.op("PadFusion", b.unsqueeze(x, [axis + 1]), table, padding_mode="CONSTANT", constant_value=0.0)
    length = dims[axis] * stride
    flat = b.reshape(wide, [*dims[:axis], length, *dims[axis + 1 :]])
    return b.slice(flat, len(dims), axis, 0, length - stride + 1)


@onnx_op("Col2Im")
def col2im(
    b: Builder, x: Value, image: Value, block: Value, *,
    dilations: list[int] | None = None, pads: list[int] | None = None, strides: list[int] | None = None,
) -> Value:  # fmt: skip
    """Blocks added up where they overlap: a transposed convolution whose kernels hold a single 1."""
    target, kernel = b.ints(image, "the shape of the image"), b.ints(block, "the shape of a block")
    n = len(kernel)
    batch, rows, _ = b.need_dims(x, "joining blocks")
    size = int(np.prod(kernel))
    if len(target) != n or rows % size:
        raise b.refuse(f"blocks {kernel} of {rows} rows do not make an image {target}. The model is invalid.")
    steps, spread, flat = strides or [1] * n, dilations or [1] * n, pads or [0] * 2 * n
    places = [(target[i] + flat[i] + flat[i + n] - (kernel[i] - 1) * spread[i] - 1) // steps[i] + 1 for i in range(n)]
    full = [(places[i] - 1) * steps[i] + (kernel[i] - 1) * spread[i] + 1 for i in range(n)]
    weights = np.tile(np.eye(size, dtype=np.float32).reshape(size, 1, *kernel), (rows // size, 1, *[1] * n))
    y = conv_transpose(
        b, b.reshape(x, [batch, rows, *places]), b.const(weights), strides=list(steps), dilations=list(spread),
        group=rows // size,
    )  # fmt: skip
    begin = [0, 0, *flat[:n]]
    end = [batch, rows // size, *(flat[i] + target[i] for i in range(n))]
    short = [max(0, flat[i] + target[i] - full[i]) for i in range(n)]
    if any(short):
        table = np.array([(0, 0), (0, 0), *((0, s) for s in short)], np.int32)
        y = b.op("PadFusion", y, table, padding_mode="CONSTANT", constant_value=0.0)
    return b.op("StridedSlice", y, begin, end, [1] * (n + 2))


@onnx_op("Det")
def det(b: Builder, x: Value) -> Value:
    """Of matrices up to 3 x 3, by their entries."""
    size = b.need_dims(x, "a determinant")[-1]
    if size > 3:
        raise b.refuse(f"the determinant of a {size} x {size} matrix is not offered.")
    rank = b.rank(x)

    def entry(row: int, column: int) -> Expr:
        return Expr(b, b.gather(b.gather(x, np.array(row, np.int32), rank - 2), np.array(column, np.int32), rank - 2))

    def minor(rows: list[int], columns: list[int]) -> Expr:
        if len(rows) == 1:
            return entry(rows[0], columns[0])
        total: Expr | None = None
        for i, column in enumerate(columns):
            part = entry(rows[0], column) * minor(rows[1:], [c for c in columns if c != column])
            total = part if total is None else total + part if i % 2 == 0 else total - part
        assert total is not None
        return total

    return minor(list(range(size)), list(range(size))).value


def _fit_output(
    b: Builder, x: Value, win: Window, extra: list[int], output_shape: list[int] | None, auto_pad: str
) -> tuple[Window, list[int]]:
    """Padding that gives the stated lengths, or strides times those of the input."""
    lengths = b.need_dims(x, "a transposed convolution of stated output shape")[2:]
    pads, more = [], []
    for i, length in enumerate(lengths):
        full = win.strides[i] * (length - 1) + extra[i] + win.reach(i)
        target = output_shape[-win.rank :][i] if output_shape is not None else length * win.strides[i]
        total = full - target
        if total < 0:
            # Longer than every window reaches: the rest is zeros (and bias).
            pads.append((0, 0))
            more.append(extra[i] - total)
            continue
        small, large = total // 2, total - total // 2
        pads.append((small, large) if auto_pad != "SAME_LOWER" else (large, small))
        more.append(extra[i])
    return Window(win.kernel, win.strides, win.dilations, pads), more


@onnx_op("Einsum")
def einsum(b: Builder, x: Value, y: MaybeValue = None, *, equation: str) -> Value:
    """One or two operands without repeated labels: summed, aligned, multiplied, transposed."""
    left, arrow, out = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    operands = [x] if y is None else [x, y]
    if "." in equation or len(terms) != len(operands) or any(len(set(t)) != len(t) for t in terms):
        raise b.refuse(f"'{equation}' is not offered.", attribute="equation")
    if not arrow:
        letters = left.replace(",", "")
        out = "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    if any(b.rank(v) != len(t) for v, t in zip(operands, terms)):
        raise b.refuse(f"'{equation}' does not fit the ranks of its inputs.", attribute="equation")
    if len(terms) == 1:
        return _permuted(b, *_summed(b, x, terms[0], set(out)), out)
    assert y is not None
    x, first = _summed(b, x, terms[0], set(terms[1] + out))
    y, second = _summed(b, y, terms[1], set(terms[0] + out))
    shared = [c for c in first if c in second]
    batch = [c for c in shared if c in out]
    inner = [c for c in shared if c not in out]
    rows, columns = ([c for c in term if c not in shared] for term in (first, second))
    if len(inner) > 1 or len(rows) > 1 or len(columns) > 1:
        return _einsum_by_product(b, x, first, y, second, out)
    x = _aligned(b, x, first, [*batch, *(rows or "^"), *(inner or "_")])
    y = _aligned(b, y, second, [*batch, *(inner or "_"), *(columns or "$")])
    product = b.op("MatMulFusion", x, y)
    labels = [*batch, *(rows or "^"), *(columns or "$")]
    product = b.squeeze(product, [i for i, c in enumerate(labels) if c in "^$"])
    return _permuted(b, product, "".join(c for c in labels if c not in "^$"), out)


def _einsum_by_product(b: Builder, x: Value, first: str, y: Value, second: str, out: str) -> Value:
    """Every combination of labels at once, then summed: for the rare cases that are not a matrix product."""
    labels = sorted(set(first + second))
    wide = [
        _aligned(b, v, "".join(sorted(t)), labels)
        for v, t in (
            (_permuted(b, x, first, "".join(sorted(first))), first),
            (_permuted(b, y, second, "".join(sorted(second))), second),
        )
    ]
    product = b.op("MulFusion", *wide)
    return _permuted(b, *_summed(b, product, "".join(labels), set(out)), out)


def _summed(b: Builder, x: Value, labels: str, kept: set[str]) -> tuple[Value, str]:
    over = [i for i, c in enumerate(labels) if c not in kept]
    if not over:
        return x, labels
    return b.reduce("ReduceSum", x, over, keep_dims=False), "".join(c for c in labels if c in kept)


def _permuted(b: Builder, x: Value, labels: str, order: str) -> Value:
    return b.transpose(x, [labels.index(c) for c in order])


def _aligned(b: Builder, x: Value, labels: str, target: list[str]) -> Value:
    """x with its labels in the order of ``target``, and a dimension of 1 for each label it lacks."""
    x = _permuted(b, x, labels, "".join(c for c in target if c in labels))
    return b.unsqueeze(x, [i for i, c in enumerate(target) if c not in labels])
