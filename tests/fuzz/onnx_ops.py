"""What the random ONNX graphs are made of: one function per kind of operator, each adds a node or skips."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto
from onnx_graphs import F32, I64, Graph, MisfitError, Value

TABLE: list[Callable[[Graph], Any]] = []
_Op = Callable[[Graph], Any]


def op(weight: int = 1) -> Callable[[_Op], _Op]:
    """Enters a function into the table, ``weight`` times."""

    def enter(function: _Op) -> _Op:
        TABLE.extend([function] * weight)
        return function

    return enter


# Elementwise.


@op(4)
def unary(g: Graph) -> None:
    exact = ("Abs", "Neg", "Relu", "Identity", "LeakyRelu", "ThresholdedRelu", "Sign")
    rounding = (
        *("Sigmoid", "Tanh", "Exp", "Softplus", "Softsign", "Elu", "Selu", "Celu", "HardSigmoid", "Erf", "Sin", "Cos"),
        *("Atan", "Sinh", "Cosh", "Asinh", "Tan", "HardSwish", "Mish", "Gelu", "Reciprocal", "Sqrt", "Log"),
    )
    name = g.rng.choice(exact + rounding)
    x = g.pick("f")
    attributes: dict[str, Any] = {}
    if name in ("LeakyRelu", "ThresholdedRelu", "Elu", "Celu", "HardSigmoid") and g.rng.random() < 0.6:
        attributes["alpha"] = g.rng.choice([0.25, 0.5, 1.5, -0.5] if name == "LeakyRelu" else [0.25, 0.5, 1.5])
    if name in ("Sqrt", "Log") and (x.array <= 1e-3).any():
        raise MisfitError
    if name == "Reciprocal" and (np.abs(x.array) < 0.1).any():
        raise MisfitError
    if name in ("Tan", "Exp", "Sinh", "Cosh") and (np.abs(x.array) > 20).any():
        raise MisfitError
    if name == "ThresholdedRelu" and not x.exact:
        raise MisfitError
    g.add(name, x, rounds=name in rounding or "alpha" in attributes, **attributes)


@op()
def integer_unary(g: Graph) -> None:
    g.add(g.rng.choice(["Abs", "Neg", "Sign", "Identity", "Relu"]), g.pick("i"))


@op()
def step(g: Graph) -> None:
    g.add(g.rng.choice(["Ceil", "Floor", "Round", "Sign"]), g.pick("f", exact=True))


@op()
def pieces(g: Graph) -> None:
    x = g.pick("f")
    kind = g.rng.randrange(3)
    if kind == 0 and x.exact:
        g.add("Shrink", x, lambd=g.rng.choice([0.5, 1.0]), bias=g.rng.choice([0.0, 0.25]))
    elif kind == 1:
        shape = _partial(g, x.array.shape)
        g.add("PRelu", x, g.constant(g.array(*shape)), rounds=True)
    else:
        g.add("LeakyRelu", x, rounds=True)


def _partial(g: Graph, shape: tuple[int, ...]) -> list[int]:
    """A shape that broadcasts to ``shape``."""
    kept = [n if g.rng.random() < 0.6 else 1 for n in shape]
    return kept[g.rng.randint(0, len(kept)) :] if g.rng.random() < 0.5 else kept


def _other(g: Graph, x: Value, positive: bool = False) -> Value | str:
    """A value that broadcasts with x, of its type."""
    fitting = [v for v in g.values if v.array.dtype == x.array.dtype and _broadcast(v.array, x.array)]
    if not positive and len(fitting) > 1 and g.rng.random() < 0.6:
        return g.rng.choice(fitting)
    return g.operand(_partial(g, x.array.shape), x.array.dtype, positive)


def _broadcast(a: np.ndarray, b: np.ndarray) -> bool:
    return all(n == m or 1 in (n, m) for n, m in zip(a.shape[::-1], b.shape[::-1]))


def _swapped(g: Graph, a: Value | str, b: Value | str) -> tuple[Value | str, Value | str]:
    return (a, b) if g.rng.random() < 0.5 else (b, a)


@op(4)
def binary(g: Graph) -> None:
    x = g.pick("fi")
    g.add(g.rng.choice(["Add", "Sub", "Mul"]), *_swapped(g, x, _other(g, x)), rounds=x.array.dtype.kind == "f")


@op(2)
def division(g: Graph) -> None:
    x = g.pick("fi")
    g.add("Div", x, _other(g, x, positive=True), rounds=True)


@op()
def power(g: Graph) -> None:
    x = g.pick("fi")
    exponent = g.rng.choice([F32(2), F32(1), F32(3), I64(2), F32(0.5), np.array([2, 1, 0], F32), I64(0)])
    if exponent.dtype == I64 and g.opset < 12:
        raise MisfitError
    if (x.array < 0.01).any() and np.any(exponent == 0.5):
        raise MisfitError
    g.add("Pow", x, g.constant(exponent), rounds=True)


@op()
def powers_of_constants(g: Graph) -> None:
    x = g.pick("f")
    if (np.abs(x.array) > 10).any():
        raise MisfitError
    g.add("Pow", g.constant(F32(g.rng.choice([2.0, 0.5, 3.0]))), x, rounds=True)


@op()
def remainder(g: Graph) -> None:
    x = g.pick("fi", exact=True)
    divisor = np.where(g.rng.random() < 0.5, 1, -1) * (np.abs(g.array(*_partial(g, x.array.shape))) + 1)
    g.add("Mod", x, g.constant(divisor, x.array.dtype), fmod=1 if x.array.dtype.kind == "f" else g.rng.randint(0, 1))


@op(2)
def extremes(g: Graph) -> None:
    x = g.pick("fi") if g.opset >= 12 else g.pick("f")
    others = [_other(g, x) for _ in range(g.rng.randint(0, 3))]
    g.add(g.rng.choice(["Max", "Min"]), x, *others)


@op()
def sums(g: Graph) -> None:
    x = g.pick("f")
    g.add(g.rng.choice(["Sum", "Mean"]), x, *(_other(g, x) for _ in range(g.rng.randint(0, 3))), rounds=True)


@op(2)
def comparison(g: Graph) -> None:
    x = g.pick("fi", exact=True)
    other = _other(g, x)
    if isinstance(other, Value) and not other.exact:
        raise MisfitError
    names = ["Equal", "Less", "Greater"] + (["LessOrEqual", "GreaterOrEqual"] if g.opset >= 12 else [])
    g.add(g.rng.choice(names), *_swapped(g, x, other))


@op()
def logic(g: Graph) -> None:
    x = g.pick("b")
    if g.rng.random() < 0.4:
        g.add("Not", x)
    else:
        g.add(g.rng.choice(["And", "Or", "Xor", "Equal"]), x, _other(g, x))


@op(2)
def where(g: Graph) -> None:
    x = g.pick("fib")
    condition = [v for v in g.values if v.array.dtype == np.bool_ and _broadcast(v.array, x.array)]
    chosen = g.rng.choice(condition) if condition else g.operand(_partial(g, x.array.shape), np.bool_)
    g.add("Where", chosen, *_swapped(g, x, _other(g, x)))


@op()
def clip(g: Graph) -> None:
    x = g.pick("fi") if g.opset >= 12 else g.pick("f")
    low, high = sorted(g.rng.sample(range(-4, 5), 2))
    if g.has_attribute("Clip", "min"):
        g.add("Clip", x, **{k: float(v) for k, v in (("min", low), ("max", high)) if g.rng.random() < 0.7})
        return
    names = [g.constant(v, x.array.dtype) if g.rng.random() < 0.7 else "" for v in (low, high)]
    g.add("Clip", x, *names)


@op(2)
def cast(g: Graph) -> None:
    x = g.pick("fibu", exact=True)
    kinds = [TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL, TensorProto.UINT8]
    kind = g.rng.choice([*kinds, TensorProto.INT8, TensorProto.DOUBLE])
    if kind in (TensorProto.UINT8, TensorProto.INT8) and ((x.array < 0).any() or (x.array > 120).any()):
        raise MisfitError  # undefined in ONNX
    g.add("Cast", x, to=kind)


# Movement.


@op(3)
def transpose(g: Graph) -> None:
    x = g.pick("fib")
    order = g.rng.sample(range(x.array.ndim), x.array.ndim)
    g.add("Transpose", x, **({"perm": order} if g.rng.random() < 0.8 else {}))


@op(3)
def reshape(g: Graph) -> None:
    x = g.pick("fib")
    shape = _factors(g, x.array.size)
    if shape and x.array.size and g.rng.random() < 0.5:
        shape[g.rng.randrange(len(shape))] = -1
    if shape and x.array.ndim and 0 not in x.array.shape and x.array.shape[0] == shape[0]:
        shape[0] = 0
    g.add("Reshape", x, g.constant(shape, I64))


def _factors(g: Graph, size: int) -> list[int]:
    rest, shape = size, []
    while rest > 1 and len(shape) < 4:
        divisors = [d for d in range(1, rest + 1) if rest % d == 0]
        shape.append(g.rng.choice(divisors))
        rest //= shape[-1]
    return [*shape, rest] if rest != 1 or g.rng.random() < 0.5 else shape


@op()
def flatten(g: Graph) -> None:
    x = g.pick("fi", range(1, 6))
    g.add("Flatten", x, axis=g.rng.randint(-x.array.ndim if g.opset >= 11 else 0, x.array.ndim))


@op()
def squeeze(g: Graph) -> None:
    x = g.pick("fib")
    axes = [i for i, n in enumerate(x.array.shape) if n == 1]
    if not axes:
        raise MisfitError
    if g.rng.random() < 0.3:
        g.add("Squeeze", x)
        return
    chosen = g.rng.sample(axes, g.rng.randint(1, len(axes)))
    extra, attributes = g.axes(
        "Squeeze", [a - x.array.ndim if g.opset >= 11 and g.rng.random() < 0.4 else a for a in chosen]
    )
    g.add("Squeeze", x, *extra, **attributes)


@op()
def unsqueeze(g: Graph) -> None:
    x = g.pick("fib", range(5))
    count = g.rng.randint(1, 2)
    rank = x.array.ndim + count
    axes = g.rng.sample(range(-rank if g.opset >= 11 else 0, rank), count)
    extra, attributes = g.axes("Unsqueeze", axes)
    g.add("Unsqueeze", x, *extra, **attributes)


@op(2)
def concat(g: Graph) -> None:
    x = g.pick("fib", range(1, 6))
    axis = g.axis(x.array.ndim) if g.opset >= 11 else g.rng.randrange(x.array.ndim)
    others: list[Value | str] = [x]
    for _ in range(g.rng.randint(0, 2)):
        shape = list(x.array.shape)
        shape[axis] = g.rng.randint(1, 3)
        same = [v for v in g.values if v.array.dtype == x.array.dtype and _joins(v.array.shape, shape, axis)]
        others.append(g.rng.choice(same) if same and g.rng.random() < 0.6 else g.operand(shape, x.array.dtype))
    g.rng.shuffle(others)
    g.add("Concat", *others, axis=axis)


def _joins(a: tuple[int, ...], b: list[int], axis: int) -> bool:
    return len(a) == len(b) and all(n == m for i, (n, m) in enumerate(zip(a, b)) if i != axis % len(b))


@op(2)
def split(g: Graph) -> None:
    x = g.pick("fi", range(1, 6))
    axis = g.axis(x.array.ndim) if g.opset >= 11 else g.rng.randrange(x.array.ndim)
    size = x.array.shape[axis]
    if size < 2:
        raise MisfitError
    first = g.rng.randint(1, size - 1)
    parts = [first, size - first]
    if g.has_attribute("Split", "split"):
        g.add("Split", x, outputs=2, axis=axis, split=parts)
    elif g.has_attribute("Split", "num_outputs") and g.rng.random() < 0.5:
        count = g.rng.randint(2, size)
        g.add("Split", x, outputs=count, axis=axis, num_outputs=count)
    else:
        g.add("Split", x, g.constant(parts, I64), outputs=2, axis=axis)


@op(3)
def crop(g: Graph) -> None:
    x = g.pick("fib", range(1, 6))
    axes = g.some_axes(x.array.ndim)
    sizes = [x.array.shape[a] for a in axes]
    starts = [g.rng.randint(-n - 1, n) for n in sizes]
    steps = [g.rng.choice([1, 1, 2, -1, -2, 3]) if g.opset >= 10 else 1 for _ in axes]
    kind = g.rng.choice([np.int32, I64])
    limits = np.iinfo(kind)
    # Forward to the end is the greatest integer, backward the least.
    ends = [
        g.rng.randint(-n - 1, n + 1) if g.rng.random() < 0.6 else limits.max if step > 0 else limits.min
        for n, step in zip(sizes, steps)
    ]
    if g.opset < 10:
        g.add("Slice", x, starts=starts, ends=[int(e) for e in ends], axes=[a % x.array.ndim for a in axes])
        return
    extra = [g.constant(v, kind) for v in (starts, ends, axes, steps)][: g.rng.choice([3, 4])]
    g.add("Slice", x, *extra)


@op(2)
def gather(g: Graph) -> None:
    x = g.pick("fib", range(1, 5))
    axis = g.axis(x.array.ndim)
    size = x.array.shape[axis]
    shape = g.rng.choice([(), (1,), (3,), (2, 2)])
    low = -size if g.opset >= 11 else 0
    if not size:
        raise MisfitError
    indices = np.array([g.rng.randrange(low, size) for _ in range(int(np.prod(shape)))]).reshape(shape)
    kind = g.rng.choice([np.int32, I64])
    g.add("Gather", x, g.constant(indices, kind) if g.rng.random() < 0.7 else g.fed(indices.astype(kind)), axis=axis)


@op()
def gather_elements(g: Graph) -> None:
    x = g.pick("fi", range(1, 5))
    axis = g.axis(x.array.ndim)
    shape = [n if i == axis % x.array.ndim else g.rng.randint(1, max(n, 1)) for i, n in enumerate(x.array.shape)]
    size = x.array.shape[axis]
    if not x.array.size:
        raise MisfitError
    indices = np.array([g.rng.randrange(-size, size) for _ in range(int(np.prod(shape)))], I64).reshape(shape)
    if g.rng.random() < 0.5:
        g.add("GatherElements", x, g.constant(indices), axis=axis)
        return
    unique = np.argsort(np.array([g.rng.random() for _ in range(indices.size)]).reshape(shape), axis=axis)
    updates = g.array(*shape, dtype=x.array.dtype)
    reduction = {"reduction": g.rng.choice(["none", "add", "mul", "max", "min"])} if g.opset >= 18 else {}
    g.add("ScatterElements", x, g.constant(unique, I64), g.constant(updates), axis=axis, **reduction)


@op()
def gather_nd(g: Graph) -> None:
    x = g.pick("fi", range(1, 5))
    if not x.array.size:
        raise MisfitError
    depth, count = g.rng.randint(1, x.array.ndim), g.rng.randint(1, 3)
    rows = [[g.rng.randrange(-n, n) for n in x.array.shape[:depth]] for _ in range(count)]
    indices = np.array(rows, I64)
    if g.rng.random() < 0.5:
        g.add("GatherND", x, g.constant(indices))
        return
    unique = np.unique(indices % np.array(x.array.shape[:depth]), axis=0)
    updates = g.operand([len(unique), *x.array.shape[depth:]], x.array.dtype)
    g.add("ScatterND", x, g.constant(unique), updates)


@op(2)
def pad(g: Graph) -> None:
    x = g.pick("fi", range(1, 5)) if g.opset >= 11 else g.pick("f", range(1, 5))
    mode = g.rng.choice(["constant", "constant", "reflect", "edge", *(["wrap"] if g.opset >= 19 else [])])
    rank = x.array.ndim
    least = 0 if mode in ("reflect", "edge") or 0 in x.array.shape else -2
    pads = [g.rng.randint(least, 2) for _ in range(2 * rank)]
    low = min((n for n in x.array.shape), default=0)
    if mode in ("reflect", "edge"):
        pads = [min(p, max(low - 1, 0)) for p in pads]
    if g.has_attribute("Pad", "pads"):
        g.add("Pad", x, pads=pads, mode=mode, **({"value": 1.5} if g.rng.random() < 0.5 else {}))
        return
    value = g.constant(2, x.array.dtype) if mode == "constant" and g.rng.random() < 0.5 else ""
    g.add("Pad", x, g.constant(pads, I64), *([value] if value else []), mode=mode)


@op()
def tile(g: Graph) -> None:
    x = g.pick("fi", range(1, 5))
    g.add("Tile", x, g.constant([g.rng.choice([1, 1, 2, 3]) for _ in x.array.shape], I64))


@op()
def expand(g: Graph) -> None:
    x = g.pick("fib", range(4))
    if g.opset < 8:
        raise MisfitError
    shape = [g.rng.randint(1, 3) if n == 1 else g.rng.choice([n, 1]) for n in x.array.shape]
    g.add("Expand", x, g.constant([*([g.rng.randint(1, 2)] if g.rng.random() < 0.4 else []), *shape], I64))


@op()
def triangle(g: Graph) -> None:
    x = g.pick("fi", range(2, 5))
    g.add(
        "Trilu",
        x,
        *([g.constant(g.rng.randint(-2, 2), I64)] if g.rng.random() < 0.6 else []),
        upper=g.rng.randint(0, 1),
    )


@op()
def blocks(g: Graph) -> None:
    x = g.pick("f", [4])
    mode = {"mode": g.rng.choice(["DCR", "CRD"])} if g.opset >= 11 else {}
    name = g.rng.choice(["DepthToSpace", "SpaceToDepth"])
    g.add(name, x, blocksize=2, **(mode if name == "DepthToSpace" else {}))


@op()
def reverse(g: Graph) -> None:
    x = g.pick("fi", range(2, 5))
    lengths = [g.rng.randint(1, max(x.array.shape[0], 1)) for _ in range(x.array.shape[1])]
    g.add("ReverseSequence", x, g.constant(lengths, I64), time_axis=0, batch_axis=1)


@op()
def shape_of(g: Graph) -> None:
    x = g.pick("fib")
    if g.rng.random() < 0.2:
        g.add("Size", x)
        return
    bounds = (
        {"start": g.rng.randint(-3, 2), "end": g.rng.randint(-2, 4)} if g.opset >= 15 and g.rng.random() < 0.4 else {}
    )
    g.add("Shape", x, **bounds)


@op()
def reshape_by_shape(g: Graph) -> None:
    """As exporters flatten: dimensions read at run time, joined with constants."""
    x = g.pick("f", range(2, 5))
    if not x.array.size:
        raise MisfitError
    shape = g.add("Shape", x)[0]
    narrow = g.rng.random() < 0.5
    if narrow:
        shape = g.add("Cast", shape, to=TensorProto.INT32)[0]
    first = g.add("Gather", shape, g.constant([0], I64))[0]
    target = g.add("Concat", first, g.constant([-1], np.int32 if narrow else I64), axis=0)[0]
    g.add("Reshape", x, g.add("Cast", target, to=TensorProto.INT64)[0] if narrow else target)


@op()
def choice(g: Graph) -> None:
    x = g.pick("fi", range(1, 5), exact=True)
    axis = g.axis(x.array.ndim) if g.opset >= 11 else g.rng.randrange(x.array.ndim)
    last = {"select_last_index": g.rng.randint(0, 1)} if g.opset >= 12 else {}
    g.add(g.rng.choice(["ArgMax", "ArgMin"]), x, axis=axis, keepdims=g.rng.randint(0, 1), **last)


@op()
def top(g: Graph) -> None:
    x = g.pick("fi", range(1, 5), exact=True)
    axis = g.axis(x.array.ndim)
    if g.opset < 11 or not x.array.shape[axis]:
        raise MisfitError
    k = g.constant([g.rng.randint(1, x.array.shape[axis])], I64)
    g.add("TopK", x, k, outputs=2, axis=axis, largest=g.rng.randint(0, 1), sorted=1)


@op()
def nonzero(g: Graph) -> None:
    x = g.pick("fib", range(1, 4), exact=True)
    if g.rng.random() < 0.5:
        g.add("NonZero", x)
        return
    axis = g.axis(x.array.ndim)
    g.add("Compress", x, g.constant(g.array(x.array.shape[axis], dtype=np.bool_)), axis=axis)


@op()
def one_hot(g: Graph) -> None:
    x = g.pick("i", range(3))
    if g.opset < 11:
        raise MisfitError
    values = g.constant(g.array(2, dtype=g.rng.choice([F32, I64])))
    g.add("OneHot", x, g.constant(g.rng.randint(2, 5), I64), values, axis=g.rng.randint(-1, x.array.ndim))


@op()
def cumulative(g: Graph) -> None:
    x = g.pick("fi", range(1, 5))
    flags = {"exclusive": g.rng.randint(0, 1), "reverse": g.rng.randint(0, 1)}
    g.add("CumSum", x, g.constant(g.axis(x.array.ndim), g.rng.choice([np.int32, I64])), rounds=True, **flags)


@op()
def counting(g: Graph) -> None:
    if g.opset < 11:
        raise MisfitError
    kind = g.rng.choice([F32, I64, np.int32])
    start, step = g.rng.randint(-5, 5), g.rng.choice([-2, -1, 1, 2])
    g.add("Range", *(g.constant(v, kind) for v in (start, start + step * g.rng.randint(1, 5), step)))


@op()
def filled(g: Graph) -> None:
    from onnx import numpy_helper

    if g.opset < 9:
        raise MisfitError
    value = numpy_helper.from_array(g.array(1, dtype=g.rng.choice([F32, I64, np.bool_])))
    g.add("ConstantOfShape", g.constant([g.rng.randint(1, 3) for _ in range(g.rng.randint(1, 3))], I64), value=value)
