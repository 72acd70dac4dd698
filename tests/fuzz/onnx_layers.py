"""The layers of networks among what the random ONNX graphs are made of; enters them into the table of onnx_ops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx_graphs import F32, I64, Graph, MisfitError, Value
from onnx_ops import op


def _window(g: Graph, x: Value, dilate: bool = True) -> tuple[list[int], dict[str, Any]]:
    """A kernel's size over the spatial dimensions, with strides, dilations and padding that fit."""
    space = x.array.shape[2:]
    kernel = [g.rng.randint(1, min(3, n)) for n in space]
    attributes: dict[str, Any] = {}
    if g.rng.random() < 0.6:
        attributes["strides"] = [g.rng.randint(1, 3) for _ in space]
    if dilate and g.rng.random() < 0.3:
        # A window that does not fit leaves nothing, in ONNX Runtime sometimes one element.
        attributes["dilations"] = [g.rng.randint(1, 2) if 2 * (k - 1) < n else 1 for k, n in zip(kernel, space)]
    kind = g.rng.choice(["none", "pads", "pads", "auto"])
    if kind == "pads":
        attributes["pads"] = [g.rng.randint(0, k - 1) for k in (*kernel, *kernel)]
    elif kind == "auto":
        attributes["auto_pad"] = g.rng.choice(["SAME_UPPER", "SAME_LOWER", "VALID"])
    return kernel, attributes


def _pick_image(g: Graph) -> Value:
    x = g.pick("f", [3, 4, 4, 5])
    if 0 in x.array.shape or np.abs(x.array).max(initial=0) > 1e3:
        raise MisfitError
    return x


@op(5)
def conv(g: Graph) -> None:
    x = _pick_image(g)
    kernel, attributes = _window(g, x)
    channels = x.array.shape[1]
    group = g.rng.choice([d for d in range(1, channels + 1) if channels % d == 0])
    out = group * g.rng.randint(1, 3)
    weight = g.constant(g.array(out, channels // group, *kernel))
    bias = [g.constant(g.array(out))] if g.rng.random() < 0.5 else []
    if g.rng.random() < 0.5:
        attributes["kernel_shape"] = kernel
    y = g.add("Conv", x, weight, *bias, rounds=True, group=group, **attributes)[0]
    if g.rng.random() < 0.3:
        _normalize(g, y)


@op(2)
def conv_transpose(g: Graph) -> None:
    x = _pick_image(g)
    kernel, attributes = _window(g, x)
    channels = x.array.shape[1]
    group = g.rng.choice([d for d in range(1, channels + 1) if channels % d == 0])
    if "strides" in attributes and g.rng.random() < 0.4:
        attributes["output_padding"] = [g.rng.randrange(s) for s in attributes["strides"]]
    if "SAME" in attributes.get("auto_pad", "") and any(k < s for k, s in zip(kernel, attributes.get("strides", ()))):
        raise MisfitError  # ONNX Runtime's output is smaller than ONNX says
    out = g.rng.randint(1, 3)
    weight = g.constant(g.array(channels, out, *kernel))
    bias = [g.constant(g.array(out * group))] if g.rng.random() < 0.5 else []
    g.add("ConvTranspose", x, weight, *bias, rounds=True, group=group, **attributes)


@op(3)
def pool(g: Graph) -> None:
    x = _pick_image(g)
    name = g.rng.choice(["MaxPool", "AveragePool", "LpPool"])
    kernel, attributes = _window(g, x, dilate=g.has_attribute(name, "dilations"))
    if "SAME" in attributes.get("auto_pad", ""):
        attributes.pop("dilations", None)  # ignored by ONNX Runtime
        if any(k < s for k, s in zip(kernel, attributes.get("strides", ()))):
            raise MisfitError  # it pads by less than nothing
    if g.has_attribute(name, "ceil_mode") and "auto_pad" not in attributes and g.rng.random() < 0.4:
        # ONNX's shape inference counts windows that begin beyond the input.
        attributes["ceil_mode"] = int(all(s <= k for s, k in zip(attributes.get("strides", ()), kernel)))
    if name == "AveragePool":
        attributes["count_include_pad"] = g.rng.randint(0, 1)
    g.add(name, x, rounds=True, kernel_shape=kernel, **attributes)


@op()
def global_pool(g: Graph) -> None:
    g.add(g.rng.choice(["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"]), _pick_image(g), rounds=True)


def _normalize(g: Graph, x: Value) -> None:
    channels = x.array.shape[1]
    parts = [g.constant(g.array(channels)) for _ in range(3)]
    variance = g.constant(np.abs(g.array(channels)) + F32(0.5))
    g.add("BatchNormalization", x, *parts, variance, rounds=True, epsilon=g.rng.choice([1e-5, 1e-2]))


@op(2)
def normalization(g: Graph) -> None:
    x = g.pick("f", range(2, 5))
    if 0 in x.array.shape:
        raise MisfitError
    kind = g.rng.randrange(5)
    channels = x.array.shape[1]
    if kind == 0:
        _normalize(g, x)
    elif kind == 1:
        g.add("InstanceNormalization", x, *(g.constant(g.array(channels)) for _ in range(2)), rounds=True, epsilon=0.1)
    elif kind == 2:
        axis = g.axis(x.array.ndim)
        shape = x.array.shape[axis % x.array.ndim :]
        parts = [g.constant(g.array(*shape)) for _ in range(g.rng.randint(1, 2))]
        g.add("LayerNormalization", x, *parts, rounds=True, axis=axis, epsilon=0.1)
    elif kind == 3:
        g.add("LRN", x, rounds=True, size=g.rng.choice([1, 3, 5]), alpha=0.1)
    elif np.abs(x.array).min() > 0.01:
        g.add("LpNormalization", x, rounds=True, axis=g.axis(x.array.ndim), p=g.rng.randint(1, 2))


@op(2)
def softmax(g: Graph) -> None:
    x = g.pick("f", range(1, 5))
    axis = {"axis": g.axis(x.array.ndim)} if g.opset >= 11 else {"axis": g.rng.randrange(x.array.ndim)}
    g.add(g.rng.choice(["Softmax", "LogSoftmax"]), x, rounds=True, **(axis if g.rng.random() < 0.8 else {}))


@op()
def hardmax(g: Graph) -> None:
    x = g.pick("f", range(1, 5), exact=True)
    g.add("Hardmax", x, axis=g.axis(x.array.ndim) if g.opset >= 11 else g.rng.randrange(x.array.ndim))


@op(3)
def matmul(g: Graph) -> None:
    x = g.pick("f", range(1, 5))
    if np.abs(x.array).max(initial=0) > 1e3:
        raise MisfitError
    columns = g.rng.randint(1, 5)
    shape = g.rng.choice(
        [[x.array.shape[-1], columns], [x.array.shape[-1]], [*x.array.shape[:-2], x.array.shape[-1], columns]]
    )
    y = g.add("MatMul", x, g.operand(shape), rounds=True)[0]
    if g.rng.random() < 0.5 and y.array.ndim:
        g.add("Add", y, g.constant(g.array(y.array.shape[-1])), rounds=True)


@op()
def matmul_from_the_left(g: Graph) -> None:
    x = g.pick("f", range(2, 5))
    if np.abs(x.array).max(initial=0) > 1e3:
        raise MisfitError
    g.add("MatMul", g.operand([g.rng.randint(1, 4), x.array.shape[-2]]), x, rounds=True)


@op(2)
def gemm(g: Graph) -> None:
    x = g.pick("f", [2])
    left, right = g.rng.randint(0, 1), g.rng.randint(0, 1)
    rows, depth = x.array.shape[::-1] if left else x.array.shape
    columns = g.rng.randint(1, 4)
    if np.abs(x.array).max(initial=0) > 1e3:
        raise MisfitError
    weight = g.operand([columns, depth] if right else [depth, columns])
    addend = g.rng.choice([[], [columns], [1, columns], [rows, 1], [rows, columns], [1]])
    extra = [g.operand(addend)] if g.opset >= 11 and g.rng.random() < 0.7 else [g.constant(g.array(columns))]
    scale = {"alpha": g.rng.choice([0.5, 1.0, 2.0]), "beta": g.rng.choice([0.5, 1.0])}
    g.add("Gemm", x, weight, *extra, rounds=True, transA=left, transB=right, **scale)


@op()
def einsum(g: Graph) -> None:
    x = g.pick("f", [2, 3])
    sizes = dict(zip("abc", x.array.shape))
    sizes["d"] = g.rng.randint(1, 3)
    first = "abc"[: x.array.ndim]
    second = "".join(g.rng.sample("abcd"[: x.array.ndim] + "d", g.rng.randint(1, 2)))
    letters = sorted(set(first + second))
    result = "".join(g.rng.sample(letters, g.rng.randint(0, len(letters))))
    if not x.array.size or np.abs(x.array).max() > 1e3:
        raise MisfitError
    g.add("Einsum", x, g.operand([sizes[c] for c in second]), rounds=True, equation=f"{first},{second}->{result}")


@op(4)
def reduction(g: Graph) -> None:
    kinds = ("Sum", "Mean", "Max", "Min", "Prod", "SumSquare", "L1", "L2", "LogSumExp", "LogSum")
    kind = g.rng.choice(kinds)
    x = g.pick("f" if kind in ("Mean", "L2", "LogSumExp", "LogSum") or g.rng.random() < 0.7 else "fi", range(5))
    if not x.array.size or (kind == "LogSum" and (x.array <= 0.1).any()):
        raise MisfitError
    name = f"Reduce{kind}"
    keep = {"keepdims": g.rng.randint(0, 1)} if g.rng.random() < 0.7 else {}
    if not x.array.ndim or g.rng.random() < 0.25:
        g.add(name, x, rounds=True, **keep)
        return
    axes = g.some_axes(x.array.ndim) if g.opset >= 11 else [a % x.array.ndim for a in g.some_axes(x.array.ndim)]
    extra, attributes = g.axes(name, axes)
    g.add(name, x, *extra, rounds=kind not in ("Max", "Min"), **keep, **attributes)


@op(2)
def resize(g: Graph) -> None:
    x = g.pick("f", [4, 4, 3])
    if 0 in x.array.shape:
        raise MisfitError
    scales = np.array([1.0, 1.0, *(g.rng.choice([0.5, 1.0, 1.5, 2.0, 3.0]) for _ in x.array.shape[2:])], F32)
    mode = g.rng.choice(["nearest", "linear"] + (["cubic"] if g.opset >= 11 and x.array.ndim == 4 else []))
    if g.opset < 10:
        g.add("Upsample", x, g.constant(np.maximum(scales, 1)), rounds=True, mode=mode)
        return
    if g.opset == 10:
        g.add("Resize", x, g.constant(scales), rounds=True, mode=mode)
        return
    attributes: dict[str, Any] = {"mode": mode}
    coordinates = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]
    attributes["coordinate_transformation_mode"] = g.rng.choice(coordinates)
    if attributes["coordinate_transformation_mode"] == "align_corners":
        scales = np.floor(scales)  # of lengths that are no integers there are two opinions
        scales[scales == 0] = 1
    if mode == "nearest":
        attributes["nearest_mode"] = g.rng.choice(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
    if mode == "cubic":
        attributes["cubic_coeff_a"] = g.rng.choice([-0.75, -0.5])
        attributes["exclude_outside"] = g.rng.randint(0, 1)
    empty = "" if g.opset >= 13 else g.constant(np.zeros(0, F32))
    if g.rng.random() < 0.5:
        g.add("Resize", x, empty, g.constant(scales), rounds=True, **attributes)
        return
    sizes = [*x.array.shape[:2], *(g.rng.randint(1, 7) for _ in x.array.shape[2:])]
    g.add("Resize", x, empty, "" if g.opset >= 13 else empty, g.constant(sizes, I64), rounds=True, **attributes)


@op()
def grid_sample(g: Graph) -> None:
    x = g.pick("f", [4])
    if 0 in x.array.shape or g.opset < 16:
        raise MisfitError
    grid = g.array(x.array.shape[0], g.rng.randint(1, 3), g.rng.randint(1, 3), 2) / F32(2.7)
    modes = ["bilinear", "nearest", "bicubic"] if g.opset < 20 else ["linear", "nearest", "cubic"]
    padding = g.rng.choice(["zeros", "border", "reflection"])
    how = {"mode": g.rng.choice(modes), "padding_mode": padding, "align_corners": g.rng.randint(0, 1)}
    g.add("GridSample", x, g.constant(grid), rounds=True, **how)


@op(2)
def recurrent(g: Graph) -> None:
    x = g.pick("f", [3])
    if 0 in x.array.shape or np.abs(x.array).max(initial=0) > 100:
        raise MisfitError
    steps, batch, width = x.array.shape
    name, gates = g.rng.choice([("LSTM", 4), ("GRU", 3), ("RNN", 1)])
    direction = g.rng.choice(["forward", "reverse", "bidirectional"])
    count, hidden = 1 + (direction == "bidirectional"), g.rng.randint(1, 3)
    shapes = [(count, gates * hidden, width), (count, gates * hidden, hidden)]
    inputs = [g.constant(g.array(*shape) / F32(4)) for shape in shapes]
    inputs.append(g.constant(g.array(count, 2 * gates * hidden)) if g.rng.random() < 0.7 else "")
    lengths = [g.rng.randint(1, steps) for _ in range(batch)]
    inputs.append(g.constant(lengths, np.int32) if g.rng.random() < 0.3 else "")
    inputs.append(g.constant(g.array(count, batch, hidden)) if g.rng.random() < 0.5 else "")
    extra = {"linear_before_reset": g.rng.randint(0, 1)} if name == "GRU" else {}
    outputs = 3 if name == "LSTM" else 2
    g.add(name, x, *inputs, outputs=outputs, rounds=True, hidden_size=hidden, direction=direction, **extra)


@op()
def branches(g: Graph) -> None:
    """If over a scalar read at run time; a branch reads the outer graph and a constant of its own."""
    x = g.pick("f")
    condition = g.fed(np.array(g.rng.random() < 0.5))
    bodies = []
    for kind in g.rng.sample(["Neg", "Relu", "Abs", "Sigmoid"], 2):
        result = f"{condition.name}_{kind}"
        weight = onnx.numpy_helper.from_array(F32(2), result + "w")
        nodes = [
            helper.make_node(kind, [x.name], [result + "t"]),
            helper.make_node("Mul", [result + "t", weight.name], [result]),
        ]
        bodies.append(
            helper.make_graph(
                nodes, kind, [], [helper.make_tensor_value_info(result, TensorProto.FLOAT, None)], [weight]
            )
        )
    node = helper.make_node("If", [condition.name], [g.name("v")], then_branch=bodies[0], else_branch=bodies[1])
    g.attach(node, rounds=True, outer=[x])


@op()
def loop(g: Graph) -> None:
    """A counted Loop with a carried value and, sometimes, a scan output."""
    x = g.pick("f", range(1, 5))
    if np.abs(x.array).max(initial=0) > 100:
        raise MisfitError
    tag = g.name("loop")
    info = helper.make_tensor_value_info
    shape = list(x.array.shape)
    scan = g.rng.random() < 0.5
    nodes = [
        helper.make_node("Add", [f"{tag}h", x.name], [f"{tag}s"]),
        helper.make_node("Mul", [f"{tag}s", f"{tag}half"], [f"{tag}o"]),
        helper.make_node("Identity", [f"{tag}c"], [f"{tag}k"]),
    ]
    outputs = [info(f"{tag}k", TensorProto.BOOL, []), info(f"{tag}o", TensorProto.FLOAT, shape)]
    if scan:
        nodes.append(helper.make_node("Neg", [f"{tag}s"], [f"{tag}n"]))
        outputs.append(info(f"{tag}n", TensorProto.FLOAT, shape))
    half = onnx.numpy_helper.from_array(F32(0.5), f"{tag}half")
    inputs = [
        info(f"{tag}i", TensorProto.INT64, []),
        info(f"{tag}c", TensorProto.BOOL, []),
        info(f"{tag}h", TensorProto.FLOAT, shape),
    ]
    body = helper.make_graph(nodes, tag, inputs, outputs, [half])
    count = (
        g.constant(g.rng.randint(1, 3), I64) if g.rng.random() < 0.5 else g.fed(np.array(g.rng.randint(1, 3), I64)).name
    )
    names = [f"{tag}_0", f"{tag}_1"][: 1 + scan]
    start = g.operand(shape)
    node = helper.make_node("Loop", [count, g.constant(True), start], names, body=body)
    g.attach(node, rounds=True, outer=[x])


@op()
def quantized(g: Graph) -> None:
    """Quantised and back: the steps are those of the format."""
    x = g.pick("f", range(1, 5), exact=True)
    kind = g.rng.choice([np.uint8, np.int8])
    scale = g.constant(F32(g.rng.choice([0.125, 0.25, 0.5])))
    zero = g.constant(g.rng.randint(0, 20), kind)
    if g.opset < 10:
        raise MisfitError
    y = g.add("QuantizeLinear", x, scale, zero)[0]
    g.add("DequantizeLinear", y, scale, zero)


@op()
def dropout(g: Graph) -> None:
    g.add("Dropout", g.pick("f"), **({"ratio": 0.3} if g.opset < 12 else {}))


@op()
def swish(g: Graph) -> None:
    """Patterns that optimisation looks for."""
    x = g.pick("f")
    kind = g.rng.randrange(5)
    if kind == 0:
        g.add("Mul", x, g.add("Sigmoid", x, rounds=True)[0], rounds=True)
    elif kind == 1:
        y = g.add("Add", x, g.constant(F32(3)), rounds=True)[0]
        low, high = g.constant(F32(0)), g.constant(F32(6))
        y = g.add(
            "Clip", y, *((low, high) if g.opset >= 11 else ()), **({} if g.opset >= 11 else {"min": 0.0, "max": 6.0})
        )[0]
        y = g.add("Mul", x, y, rounds=True)[0]
        g.add("Div", y, g.constant(F32(6)), rounds=True)
    elif kind == 2:
        y = g.add("Erf", g.add("Div", x, g.constant(F32(math.sqrt(2))), rounds=True)[0], rounds=True)[0]
        y = g.add("Mul", x, g.add("Add", y, g.constant(F32(1)), rounds=True)[0], rounds=True)[0]
        g.add("Mul", y, g.constant(F32(0.5)), rounds=True)
    elif kind == 3:
        g.add("Mul", x, g.add("Tanh", g.add("Softplus", x, rounds=True)[0], rounds=True)[0], rounds=True)
    else:
        _by_hand(g, x)


def _by_hand(g: Graph, x: Value) -> None:
    """Layer normalisation written out."""
    if not x.array.ndim or not x.array.size:
        raise MisfitError
    mean_axes = lambda: g.axes("ReduceMean", [-1] if g.opset >= 11 else [x.array.ndim - 1])  # noqa: E731
    extra, attributes = mean_axes()
    centred = g.add("Sub", x, g.add("ReduceMean", x, *extra, rounds=True, **attributes)[0], rounds=True)[0]
    square = g.add("Pow", centred, g.constant(F32(2)), rounds=True)[0]
    extra, attributes = mean_axes()
    variance = g.add("ReduceMean", square, *extra, rounds=True, **attributes)[0]
    root = g.add("Sqrt", g.add("Add", variance, g.constant(F32(0.1)), rounds=True)[0], rounds=True)[0]
    y = g.add("Div", centred, root, rounds=True)[0]
    y = g.add("Mul", y, g.constant(g.array(x.array.shape[-1])), rounds=True)[0]
    g.add("Add", y, g.constant(g.array(x.array.shape[-1])), rounds=True)
