"""LSTM, GRU and RNN.

The .ms operators cover ONNX's default LSTM and GRU. Everything else (other activations, peepholes, clipping,
sequences of different lengths, GRU with the reset gate after the product, RNN) is built from matrix products
and activations: laid out flat for short sequences, as a loop of sub-graphs otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from converter.importers.onnx import activation as act
from converter.importers.onnx.builder import Builder, MaybeValue
from converter.importers.onnx.control import Iteration, laid_out, run_loop
from converter.importers.onnx.registry import onnx_op
from converter.importers.onnx.scope import Scope
from converter.ir.graph import Value

if TYPE_CHECKING:
    from converter.importers.onnx.importer import Importer

# Longer sequences become a loop of sub-graphs.
_FLAT_STEPS = 64

_Function = Callable[[Builder, Value], Value]

# ONNX's activations by lower-case name: (builder, x, alpha, beta), and the defaults of alpha and beta.
_ACTIVATIONS: dict[str, tuple[Callable[[Builder, Value, float, float], Value], float, float]] = {
    "sigmoid": (lambda b, x, alpha, beta: act.activation(b, "SIGMOID", x), 0.0, 0.0),
    "tanh": (lambda b, x, alpha, beta: act.activation(b, "TANH", x), 0.0, 0.0),
    "relu": (lambda b, x, alpha, beta: act.activation(b, "RELU", x), 0.0, 0.0),
    "softsign": (lambda b, x, alpha, beta: act.activation(b, "SOFTSIGN", x), 0.0, 0.0),
    "softplus": (lambda b, x, alpha, beta: act.activation(b, "SOFTPLUS", x), 0.0, 0.0),
    "affine": (lambda b, x, alpha, beta: b.op("AddFusion", b.op("MulFusion", x, alpha), beta), 1.0, 0.0),
    "leakyrelu": (lambda b, x, alpha, beta: act.leaky_relu(b, x, alpha=alpha), 0.01, 0.0),
    "thresholdedrelu": (lambda b, x, alpha, beta: act.thresholded_relu(b, x, alpha=alpha), 1.0, 0.0),
    "scaledtanh": (
        lambda b, x, alpha, beta: b.op("MulFusion", act.activation(b, "TANH", b.op("MulFusion", x, beta)), alpha),
        1.0,
        1.0,
    ),
    "hardsigmoid": (lambda b, x, alpha, beta: act.hard_sigmoid(b, x, alpha=alpha, beta=beta), 0.2, 0.5),
    "elu": (lambda b, x, alpha, beta: act.elu(b, x, alpha=alpha), 1.0, 0.0),
}


@dataclass
class _Cell:
    """One direction of a recurrent layer.

    ``step`` computes (h', c') from the input's share of the gates [batch, gates * hidden] and (h, c); c is
    None where the cell has no second state.
    """

    w: Value
    r: Value
    input_bias: MaybeValue
    step: Callable[[Builder, Scope, Value, Value, MaybeValue], tuple[Value, MaybeValue]]
    backward: bool


@dataclass
class _Layer:
    """What the three operators have in common; all values are time-major."""

    b: Builder
    importer: Importer
    scope: Scope
    x: Value
    lengths: MaybeValue
    hidden: int
    initial: list[Value]

    def run(self, cells: Sequence[_Cell]) -> tuple[Value, list[Value]]:
        """(outputs [steps, directions, batch, hidden], final states, each [directions, batch, hidden])."""
        outputs, finals = [], []
        for number, cell in enumerate(cells):
            y, final = self._direction(cell, number)
            outputs.append(self.b.unsqueeze(y, [1]))
            finals.append(final)
        states = [_joined(self.b, [self.b.unsqueeze(s, [0]) for s in group], 0) for group in zip(*finals)]
        return _joined(self.b, outputs, 1), states

    def _direction(self, cell: _Cell, number: int) -> tuple[Value, list[Value]]:
        b = self.b
        x = self._reversed(self.x) if cell.backward else self.x
        share = b.op("MatMulFusion", x, cell.w, transpose_b=True)
        if cell.input_bias is not None:
            share = b.op("AddFusion", share, cell.input_bias)
        batch = self.x.shape[1] if self.x.shape is not None else -1
        states = [b.squeeze(b.slice(s, 3, 0, number, number + 1), [0]) for s in self.initial]
        for state in states:
            state.shape = (batch, self.hidden)

        def step(inner_b: Builder, inner: Scope, at: Value, values: list[Value]) -> Iteration:
            gates = inner_b.gather(inner.capture(share), at, 0)
            h, c = values[0], values[1] if len(values) > 1 else None
            new_h, new_c = cell.step(inner_b, inner, gates, h, c)
            out = new_h
            if self.lengths is not None:
                alive = inner_b.unsqueeze(inner_b.op("Greater", inner.capture(self.lengths), at), [1])
                out = inner_b.where(alive, new_h, inner_b.scalar(0.0, new_h))
                new_h = inner_b.where(alive, new_h, h)
                new_c = inner_b.where(alive, new_c, c) if new_c is not None and c is not None else None
            new = [new_h] if new_c is None else [new_h, new_c]
            for value in (*new, out):
                value.shape = (batch, self.hidden)
            return Iteration(None, new, [out])

        *final, y = self._iterate(states, step)
        return self._reversed(y) if cell.backward else y, final

    def _iterate(self, states: list[Value], step: Callable[..., Iteration]) -> list[Value]:
        b = self.b
        steps = self.x.shape[0] if self.x.shape is not None else -1
        if 0 < steps <= _FLAT_STEPS:
            flat = laid_out(b, self.scope, steps, states, step)
            assert flat is not None
            return flat
        count = b.gather(b.shape_of(self.x), np.array(0, np.int32))
        return run_loop(b, self.importer, self.scope, count, None, states, 1, step)

    def _reversed(self, x: Value) -> Value:
        """The sequence backwards; with lengths, each batch entry's own part of it."""
        if self.lengths is None:
            return self.b.op("ReverseV2", x, axis=[0])
        return self.b.op("ReverseSequence", x, self.lengths, seq_dim=0, batch_dim=1)


def _joined(b: Builder, values: Sequence[Value], axis: int) -> Value:
    return values[0] if len(values) == 1 else b.concat(values, axis)


@onnx_op("LSTM")
def lstm(
    b: Builder, x: Value, w: Value, r: Value, bias: MaybeValue = None, lengths: MaybeValue = None,
    h0: MaybeValue = None, c0: MaybeValue = None, peepholes: MaybeValue = None, *,
    hidden_size: int | None = None, direction: str = "forward", activations: list[str] | None = None,
    activation_alpha: list[float] | None = None, activation_beta: list[float] | None = None, clip: float = 0.0,
    input_forget: int = 0, layout: int = 0, importer: Importer, scope: Scope,
) -> list[Value]:  # fmt: skip
    x, (h0, c0) = _time_major(b, x, [h0, c0], layout)
    hidden = b.need_dims(r, "a recurrent layer")[2]
    backwards = _directions(b, direction)
    functions = _functions(
        b, ["Sigmoid", "Tanh", "Tanh"], len(backwards), activations, activation_alpha, activation_beta
    )
    standard = not (clip or input_forget or peepholes is not None or lengths is not None or activations)
    if standard and w.data is not None and r.data is not None and (bias is None or bias.data is not None):
        outputs = _native_lstm(b, x, w, r, bias, h0, c0, hidden, backwards)
        return _results(b, outputs[0], outputs[1:], layout)

    def cell(d: int, backward: bool) -> _Cell:
        f, g, h = functions[d]
        weights, recurrent, joint = _part(b, w, d), _part(b, r, d), _joint_bias(b, bias, d, 4 * hidden)
        holes = None if peepholes is None else _split(b, _part(b, peepholes, d), 3, 0, hidden)

        def step(s: Builder, inner: Scope, gates: Value, ht: Value, ct: MaybeValue) -> tuple[Value, MaybeValue]:
            assert ct is not None
            total = s.op("AddFusion", gates, s.op("MatMulFusion", ht, inner.capture(recurrent), transpose_b=True))
            gi, go, gf, gc = _split(s, total, 4, 1, hidden)
            if holes is not None:
                pi, po, pf = (inner.capture(p) for p in holes)
                gi, gf = (s.op("AddFusion", v, s.op("MulFusion", p, ct)) for v, p in ((gi, pi), (gf, pf)))
            i = f(s, _clipped(s, gi, clip))
            forget = s.op("SubFusion", s.scalar(1.0, i), i) if input_forget else f(s, _clipped(s, gf, clip))
            c = s.op("AddFusion", s.op("MulFusion", forget, ct), s.op("MulFusion", i, g(s, _clipped(s, gc, clip))))
            if holes is not None:
                go = s.op("AddFusion", go, s.op("MulFusion", po, c))
            return s.op("MulFusion", f(s, _clipped(s, go, clip)), h(s, c)), c

        return _Cell(weights, recurrent, joint, step, backward)

    states = [_initial(b, x, s, hidden, len(backwards)) for s in (h0, c0)]
    layer = _Layer(b, importer, scope, x, _lengths(b, lengths), hidden, states)
    y, finals = layer.run([cell(d, backward) for d, backward in enumerate(backwards)])
    return _results(b, y, finals, layout)


def _native_lstm(
    b: Builder, x: Value, w: Value, r: Value, bias: MaybeValue, h0: MaybeValue, c0: MaybeValue, hidden: int,
    backwards: list[bool],
) -> list[Value]:  # fmt: skip
    directions = len(backwards)
    inputs = b.need_dims(w, "a recurrent layer")[2]
    if bias is None:
        bias = b.const(np.zeros((directions, 8 * hidden), np.float32))
    reverse = backwards == [True]
    if reverse:
        shape = x.shape
        x = b.op("ReverseV2", x, axis=[0])
        x.shape = shape
    states = [_initial(b, x, s, hidden, directions) for s in (h0, c0)]
    y, h, c = b.ops(
        "LSTM", [x, w, r, bias, *states], 3,
        bidirectional=directions == 2, has_bias=True, input_size=inputs, hidden_size=hidden, num_layers=1,
        num_directions=directions,
    )  # fmt: skip
    return [b.op("ReverseV2", y, axis=[0]) if reverse else y, h, c]


@onnx_op("GRU")
def gru(
    b: Builder, x: Value, w: Value, r: Value, bias: MaybeValue = None, lengths: MaybeValue = None,
    h0: MaybeValue = None, *,
    hidden_size: int | None = None, direction: str = "forward", activations: list[str] | None = None,
    activation_alpha: list[float] | None = None, activation_beta: list[float] | None = None, clip: float = 0.0,
    linear_before_reset: int = 0, layout: int = 0, importer: Importer, scope: Scope,
) -> list[Value]:  # fmt: skip
    x, (h0,) = _time_major(b, x, [h0], layout)
    hidden = b.need_dims(r, "a recurrent layer")[2]
    backwards = _directions(b, direction)
    functions = _functions(b, ["Sigmoid", "Tanh"], len(backwards), activations, activation_alpha, activation_beta)

    def cell(d: int, backward: bool) -> _Cell:
        f, g = functions[d]
        recurrent = _part(b, r, d)
        # The part of the recurrent matrix and bias that makes the candidate state comes last.
        gates_r, candidate_r = (b.slice(recurrent, 2, 0, *ends) for ends in ((0, 2 * hidden), (2 * hidden, 3 * hidden)))
        zero = b.const(np.zeros(6 * hidden, np.float32))
        both = _part(b, bias, d) if bias is not None else zero
        wb, gate_rb, candidate_rb = (
            b.slice(both, 1, 0, *ends) for ends in ((0, 3 * hidden), (3 * hidden, 5 * hidden), (5 * hidden, 6 * hidden))
        )

        def step(s: Builder, inner: Scope, share: Value, ht: Value, ct: MaybeValue) -> tuple[Value, MaybeValue]:
            gr, cr, grb, crb = (inner.capture(v) for v in (gates_r, candidate_r, gate_rb, candidate_rb))
            xz, xr, xh = _split(s, share, 3, 1, hidden)
            recur = s.op("AddFusion", s.op("MatMulFusion", ht, gr, transpose_b=True), grb)
            hz, hr = _split(s, recur, 2, 1, hidden)
            z = f(s, _clipped(s, s.op("AddFusion", xz, hz), clip))
            reset = f(s, _clipped(s, s.op("AddFusion", xr, hr), clip))
            if linear_before_reset:
                inner_part = s.op("AddFusion", s.op("MatMulFusion", ht, cr, transpose_b=True), crb)
                part = s.op("MulFusion", reset, inner_part)
            else:
                product = s.op("MatMulFusion", s.op("MulFusion", reset, ht), cr, transpose_b=True)
                part = s.op("AddFusion", product, crb)
            candidate = g(s, _clipped(s, s.op("AddFusion", xh, part), clip))
            # (1 - z) candidate + z h
            return s.op("AddFusion", candidate, s.op("MulFusion", z, s.op("SubFusion", ht, candidate))), None

        return _Cell(_part(b, w, d), recurrent, wb, step, backward)

    layer = _Layer(b, importer, scope, x, _lengths(b, lengths), hidden, [_initial(b, x, h0, hidden, len(backwards))])
    y, finals = layer.run([cell(d, backward) for d, backward in enumerate(backwards)])
    return _results(b, y, finals, layout)


@onnx_op("RNN")
def rnn(
    b: Builder, x: Value, w: Value, r: Value, bias: MaybeValue = None, lengths: MaybeValue = None,
    h0: MaybeValue = None, *,
    hidden_size: int | None = None, direction: str = "forward", activations: list[str] | None = None,
    activation_alpha: list[float] | None = None, activation_beta: list[float] | None = None, clip: float = 0.0,
    layout: int = 0, importer: Importer, scope: Scope,
) -> list[Value]:  # fmt: skip
    x, (h0,) = _time_major(b, x, [h0], layout)
    hidden = b.need_dims(r, "a recurrent layer")[2]
    backwards = _directions(b, direction)
    functions = _functions(b, ["Tanh"], len(backwards), activations, activation_alpha, activation_beta)

    def cell(d: int, backward: bool) -> _Cell:
        (f,) = functions[d]
        recurrent = _part(b, r, d)

        def step(s: Builder, inner: Scope, share: Value, ht: Value, ct: MaybeValue) -> tuple[Value, MaybeValue]:
            product = s.op("MatMulFusion", ht, inner.capture(recurrent), transpose_b=True)
            return f(s, _clipped(s, s.op("AddFusion", share, product), clip)), None

        return _Cell(_part(b, w, d), recurrent, _joint_bias(b, bias, d, hidden), step, backward)

    layer = _Layer(b, importer, scope, x, _lengths(b, lengths), hidden, [_initial(b, x, h0, hidden, len(backwards))])
    y, finals = layer.run([cell(d, backward) for d, backward in enumerate(backwards)])
    return _results(b, y, finals, layout)


def _directions(b: Builder, direction: str) -> list[bool]:
    """For each direction, whether it runs backwards."""
    known = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}
    if direction not in known:
        raise b.refuse(f"'{direction}' is not one of ONNX's directions.", attribute="direction")
    return known[direction]


def _functions(
    b: Builder, defaults: list[str], directions: int, names: list[str] | None, alphas: list[float] | None,
    betas: list[float] | None,
) -> list[list[_Function]]:  # fmt: skip
    """The activation functions of each direction."""
    chosen = names or defaults * directions
    if len(chosen) != len(defaults) * directions:
        raise b.refuse(f"{len(chosen)} activations do not fit {directions} directions.", attribute="activations")
    alpha, beta = list(alphas or []), list(betas or [])
    functions: list[_Function] = []
    for name in chosen:
        if name.lower() not in _ACTIVATIONS:
            raise b.refuse(f"'{name}' is not one of ONNX's activations.", attribute="activations")
        make, default_alpha, default_beta = _ACTIVATIONS[name.lower()]
        # The lists hold values for those activations only that have the parameter.
        a = alpha.pop(0) if default_alpha and alpha else default_alpha
        c = beta.pop(0) if name.lower() in ("affine", "scaledtanh", "hardsigmoid") and beta else default_beta
        functions.append(lambda s, x, make=make, a=a, c=c: make(s, x, a, c))  # type: ignore[misc]
    return [functions[i : i + len(defaults)] for i in range(0, len(functions), len(defaults))]


def _time_major(b: Builder, x: Value, states: list[MaybeValue], layout: int) -> tuple[Value, list[MaybeValue]]:
    if not layout:
        return x, states
    return b.transpose(x, [1, 0, 2]), [None if s is None else b.transpose(s, [1, 0, 2]) for s in states]


def _results(b: Builder, y: Value, finals: Sequence[Value], layout: int) -> list[Value]:
    if not layout:
        return [y, *finals]
    return [b.transpose(y, [2, 0, 1, 3]), *(b.transpose(s, [1, 0, 2]) for s in finals)]


def _lengths(b: Builder, lengths: MaybeValue) -> MaybeValue:
    return None if lengths is None else b.int32(lengths)


def _part(b: Builder, x: Value, direction: int) -> Value:
    """What belongs to one direction."""
    if x.data is not None:
        return b.const(x.data[direction])
    rank = b.rank(x)
    return b.squeeze(b.slice(x, rank, 0, direction, direction + 1), [0])


def _joint_bias(b: Builder, bias: MaybeValue, direction: int, width: int) -> MaybeValue:
    """The sum of the input's and the recurrent bias."""
    if bias is None:
        return None
    if bias.data is not None:
        return b.const(bias.data[direction][:width] + bias.data[direction][width:])
    both = _part(b, bias, direction)
    return b.op("AddFusion", b.slice(both, 1, 0, 0, width), b.slice(both, 1, 0, width, 2 * width))


def _initial(b: Builder, x: Value, state: MaybeValue, hidden: int, directions: int) -> Value:
    """The initial state, zero unless given: [directions, batch, hidden]."""
    if state is not None:
        return state
    batch = x.shape[1] if x.shape is not None else -1
    if batch >= 0:
        return b.const(np.zeros((directions, batch, hidden), np.float32))
    count = b.slice(b.op("Shape", x), 1, 0, 1, 2)
    return b.op("Fill", b.const(np.array(0, np.float32)), b.concat([[directions], count, [hidden]]))


def _split(b: Builder, x: Value, count: int, axis: int, size: int) -> list[Value]:
    return b.ops("Split", [x], count, output_num=count, size_splits=[size] * count, axis=axis)


def _clipped(b: Builder, x: Value, limit: float) -> Value:
    if not limit or math.isinf(limit):
        return x
    return b.op("Maximum", b.op("Minimum", x, limit), -limit)
