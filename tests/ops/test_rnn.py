"""LSTM and GRU, against ONNX Runtime; MindSpore's storage against the same weights in ONNX's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from harness import MODES, Case, check, run_op
from witness import onnx_node

from lite_runtime.errors import ShapeError, UnsupportedModelError

RNG = np.random.default_rng(11)
# Errors of products and functions grow a little from step to step.
TOLERANCE = 3e-6


def uniform(*shape: int) -> np.ndarray:
    return RNG.uniform(-1, 1, shape).astype(np.float32)


def weights(directions: int, gates: int, inputs: int, hidden: int) -> list[np.ndarray]:
    """w, r and b as ONNX has them."""
    rows = gates * hidden
    return [uniform(directions, rows, inputs), uniform(directions, rows, hidden), uniform(directions, 2 * rows)]


def direction_name(directions: int) -> str:
    return "bidirectional" if directions == 2 else "forward"


# Steps, batch, inputs, hidden units.
SIZES = [(5, 2, 3, 4), (7, 1, 8, 37), (1, 9, 1, 1), (3, 4, 40, 64)]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize(("steps", "batch", "inputs", "hidden"), SIZES)
def test_lstm(steps: int, batch: int, inputs: int, hidden: int, directions: int, mode: str) -> None:
    x, (w, r, b) = uniform(steps, batch, inputs), weights(directions, 4, inputs, hidden)
    states = [uniform(directions, batch, hidden), uniform(directions, batch, hidden)]
    kind = {"hidden_size": hidden, "direction": direction_name(directions)}
    attrs = {"bidirectional": directions == 2}
    for operands in ([x, w, r, b, *states], [x, w, r, b], [x, w, r]):
        given = [*operands[:4], None, *operands[4:]] if len(operands) > 4 else operands
        expected = onnx_node("LSTM", given, 3, **kind)
        check(Case("LSTM", operands, expected, attrs, TOLERANCE), mode, threads=2)
        check(Case("LSTM", operands, expected[0], attrs, TOLERANCE), mode)  # the states are not asked for


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize(("steps", "batch", "inputs", "hidden"), SIZES)
def test_gru(steps: int, batch: int, inputs: int, hidden: int, directions: int, mode: str) -> None:
    x, (w, r, b) = uniform(steps, batch, inputs), weights(directions, 3, inputs, hidden)
    h0 = uniform(directions, batch, hidden)
    kind = {"hidden_size": hidden, "direction": direction_name(directions)}
    attrs = {"bidirectional": directions == 2}
    for operands in ([x, w, r, b, h0], [x, w, r, b], [x, w, r]):
        given = [*operands[:4], None, *operands[4:]] if len(operands) > 4 else operands
        expected = onnx_node("GRU", given, 2, **kind)
        check(Case("GRU", operands, expected, attrs, TOLERANCE), mode, threads=2)
    lengths = np.full(batch, steps, np.int32)
    expected = onnx_node("GRU", [x, w, r, b, lengths, h0], 2, **kind)
    check(Case("GRU", [x, w, r, b, h0, lengths], expected, attrs, TOLERANCE), mode)


def gates_as_in_mindspore(rows: np.ndarray) -> np.ndarray:
    """Rows of ONNX's gates i, o, f, c in MindSpore's order i, f, c, o."""
    i, o, f, c = np.split(rows, 4)
    return np.concatenate([i, f, c, o])


def flat(cells: list[list[np.ndarray]], biases: int) -> np.ndarray:
    """The weights of all cells in one tensor: with one bias or none all input weights come first, then all
    state weights, then all biases; with two the weights of each cell stay together."""
    parts: list[list[np.ndarray]] = [[], [], []]
    for w, r, b in cells:
        halves = [gates_as_in_mindspore(half) for half in np.split(b, 2)]
        ordered = [gates_as_in_mindspore(w), gates_as_in_mindspore(r)]
        if biases == 2:
            parts[0] += ordered
        else:
            parts[0].append(ordered[0])
            parts[1].append(ordered[1])
        parts[2] += [[], [halves[0] + halves[1]], halves][biases]
    return np.concatenate([a.ravel() for part in parts for a in part]).reshape(-1, 1, 1)


@pytest.mark.parametrize("mode", ["fed", "mixed"])
@pytest.mark.parametrize("biases", [0, 1, 2])
@pytest.mark.parametrize(("layers", "directions"), [(1, 1), (1, 2), (2, 1), (3, 2)])
def test_lstm_in_mindspores_storage(layers: int, directions: int, biases: int, mode: str) -> None:
    steps, batch, inputs, hidden = 4, 3, 5, 6
    x = uniform(steps, batch, inputs)
    h0, c0 = uniform(layers * directions, batch, hidden), uniform(layers * directions, batch, hidden)
    cells, y, last_h, last_c = [], x, [], []
    for layer in range(layers):
        w, r, b = weights(directions, 4, y.shape[2], hidden)
        if biases == 0:
            b[:] = 0
        cells += [[w[d], r[d], b[d]] for d in range(directions)]
        mine = slice(layer * directions, (layer + 1) * directions)
        kind = {"hidden_size": hidden, "direction": direction_name(directions)}
        y, h, c = onnx_node("LSTM", [y, w, r, b, None, h0[mine], c0[mine]], 3, **kind)
        y = np.ascontiguousarray(y.transpose(0, 2, 1, 3)).reshape(steps, batch, directions * hidden)
        last_h.append(h)
        last_c.append(c)
    attrs: dict[str, Any] = {"input_size": inputs, "hidden_size": hidden, "num_layers": layers}
    attrs |= {"bidirectional": directions == 2, "has_bias": biases > 0}
    expected = [y, np.concatenate(last_h), np.concatenate(last_c)]
    case = Case("LSTM", [x, h0, c0, flat(cells, biases)], expected, attrs, TOLERANCE)
    check(case, mode, threads=2)


def test_results_of_use_in_training_only_are_empty() -> None:
    x, state = uniform(2, 1, 3), uniform(1, 1, 4)
    all_weights = uniform(4 * 4 * (3 + 4) + 16, 1, 1)
    attrs = {"input_size": 3, "hidden_size": 4, "has_bias": True}
    outputs = run_op("LSTM", [x, state, state, all_weights], attrs, n_outputs=5)
    assert [y.shape for y in outputs] == [(2, 1, 4), (1, 1, 4), (1, 1, 4), (0,), (0,)]


def test_no_steps_and_no_batch() -> None:
    w, r, b = weights(1, 4, 3, 4)
    h0, c0 = uniform(1, 2, 4), uniform(1, 2, 4)
    y, h, c = run_op("LSTM", [uniform(0, 2, 3), w, r, b, h0, c0], {}, 3, constant=(1, 2, 3))
    assert y.shape == (0, 1, 2, 4)
    np.testing.assert_array_equal(h, h0)
    np.testing.assert_array_equal(c, c0)
    (y,) = run_op("GRU", [uniform(2, 0, 3), *weights(1, 3, 3, 4)], {}, constant=(1, 2, 3))
    assert y.shape == (2, 1, 0, 4)


def test_refusals() -> None:
    x, (w, r, b), h0 = uniform(5, 2, 3), weights(1, 4, 3, 4), uniform(1, 2, 4)
    w3, r3, b3 = weights(1, 3, 3, 4)
    flat_attrs = {"input_size": 3, "hidden_size": 4}
    for op, inputs, attrs, message in [
        ("LSTM", [x, w[:, :, :2], r, b], {}, "input 1 has shape"),
        ("LSTM", [x, w, r, b[:, :16]], {}, "input 3 has shape"),
        ("LSTM", [x, w, r, b, h0[:, :1], h0], {}, "input 4 has shape"),
        ("LSTM", [x, w, r, b], {"bidirectional": True}, "input 1 has shape"),
        ("LSTM", [x[0], w, r, b], {}, "3 dimensions"),
        ("LSTM", [x, h0, h0, uniform(100, 1, 1)], flat_attrs, "input 3 holds 100 values"),
        ("LSTM", [x, h0, h0, uniform(128, 1, 1)], {}, "hidden size 0"),
        ("GRU", [x, w, r3, b3], {}, "input 1 has shape"),
    ]:
        with pytest.raises(ShapeError, match=message):
            run_op(op, inputs, attrs)
    for op, inputs, attrs, message in [
        ("LSTM", [x, w, r, b], {"zoneout_cell": 0.1}, "zoneout"),
        ("LSTM", [x, w, r, b], {"proj_size": 2}, "proj_size"),
        ("GRU", [x, w3, r3, b3, h0, np.array([5, 4], np.int32)], {}, "different length"),
    ]:
        with pytest.raises(UnsupportedModelError, match=message):
            run_op(op, inputs, attrs)
