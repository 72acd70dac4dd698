"""LSTM and GRU whose weights stay integers of 8 and 4 bits: ONNX Runtime on what an independent reader decodes."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from harness import run_op
from stored_weights import decoded
from test_rnn import SIZES, direction_name, flat, uniform, weights
from witness import onnx_node

from converter.exporter import export
from converter.ir.graph import Graph, Model, Node, QuantParam
from converter.quant import quantize, recipe
from converter.quant.weight import channel_axis
from lite_runtime import _native, _profile
from lite_runtime.errors import LiteRuntimeError
from lite_runtime.types import DataType

# Errors of products and functions grow a little from step to step. On 64-bit ARM a row of a product is held to 1.6e-5
# of its greatest value, which sums of a hundred weights up to 1 multiply.
TOLERANCE = 1e-5 if platform.machine() in ("x86_64", "AMD64") else 5e-4
CONFIGS: list[dict[str, Any]] = [
    {"bit_num": 8},
    {"bit_num": 4},
    {"bit_num": 4, "bias_correction": False, "quant_strategy": "MSE"},
    {"bit_num": 3},
    {"bit_num": 6, "per_channel": False},
]
GATES = {"LSTM": 4, "GRU": 3}


def stored(
    op: str, operands: Sequence[np.ndarray], fed: Sequence[int], config: dict[str, Any] | None, **attrs: Any
) -> Model:
    """A layer whose operands are constants but for those `fed`; all its weights are quantised, or none."""
    graph = Graph("main")
    values = [
        graph.add_input(f"x{i}", DataType.FLOAT32, x.shape) if i in fed else graph.constant(f"c{i}", x)
        for i, x in enumerate(operands)
    ]
    graph.outputs = list(graph.add(op, values, "layer", outputs={"LSTM": 3, "GRU": 2}[op], **attrs).outputs)
    model = Model([graph], "stored")
    if config is not None:
        small = {"min_quant_weight_size": 0, "min_quant_weight_channel": 0}
        rule = {"algorithm": "WEIGHT_QUANT", "config": {**small, **config}}
        assert quantize(model, recipe.from_recipe([rule])) == []
    return model


def session_of(model: Model, threads: int = 1) -> _native.Session:
    return _native.Session(_native.Model.from_buffer(export(model)), threads=threads)


def run(session: _native.Session, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    for _ in range(2):  # the second run finds what the first has left in memory
        for i, value in enumerate(inputs):
            session.set_input(i, value)
        session.run()
    return session.output_values()


def plain(node: Node, index: int) -> np.ndarray:
    """The weights that an operand stands for."""
    value = node.inputs[index]
    if not value.quant:
        return np.asarray(value.data)
    return decoded(value, channel_axis(node, index)).astype(np.float32)


def assert_near(found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> None:
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected):
        np.testing.assert_allclose(
            ours, theirs.reshape(ours.shape), rtol=0, atol=TOLERANCE
        )  # all lie within +-1 or near


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize(
    ("steps", "batch", "inputs", "hidden"), [*SIZES[1:2], (1, 9, 13, 9), *SIZES[3:], (6, 3, 33, 35), (1, 1, 130, 66)]
)
@pytest.mark.parametrize("op", ["LSTM", "GRU"])
def test_layers(
    op: str, steps: int, batch: int, inputs: int, hidden: int, directions: int, config: dict[str, Any]
) -> None:
    """Sizes that fill no tile and no byte, one row in a step and several, states given and not."""
    x, (w, r, b) = uniform(steps, batch, inputs), weights(directions, GATES[op], inputs, hidden)
    states = [uniform(directions, batch, hidden) for _ in range({"LSTM": 2, "GRU": 1}[op])]
    kind = {"hidden_size": hidden, "direction": direction_name(directions)}
    for given in ([x, w, r, b, *states], [x, w, r]):
        fed = [0, *range(4, len(given))]
        model = stored(op, given, fed, config, bidirectional=directions == 2)
        node = model.main.nodes[0]
        exact = [x, plain(node, 1), plain(node, 2), *given[3:4], *([None] if len(given) > 4 else []), *given[4:]]
        expected = onnx_node(op, exact, len(states) + 1, **kind)
        operands = [*exact[:4], *given[4:]]
        floats = run_op(op, operands, {"bidirectional": directions == 2}, len(states) + 1, constant=(1, 2, 3))
        for threads in (1, 2):
            found = run(session_of(model, threads), [given[i] for i in fed])
            assert_near(found, expected)
            assert_near(found, floats)


@pytest.mark.parametrize("config", [{"bit_num": 8}, {"bit_num": 4}])
@pytest.mark.parametrize("biases", [0, 1, 2])
@pytest.mark.parametrize(("layers", "directions"), [(1, 1), (3, 2)])
def test_lstm_in_mindspores_storage(layers: int, directions: int, biases: int, config: dict[str, Any]) -> None:
    """All weights and biases have one scale; the witness is the layer on floats, which has one of its own."""
    steps, batch, inputs, hidden = 4, 3, 9, 21
    x = uniform(steps, batch, inputs)
    h0, c0 = uniform(layers * directions, batch, hidden), uniform(layers * directions, batch, hidden)
    cells = []
    for layer in range(layers):
        w, r, b = weights(directions, 4, inputs if layer == 0 else directions * hidden, hidden)
        cells += [[w[d], r[d], b[d]] for d in range(directions)]
    attrs: dict[str, Any] = {"input_size": inputs, "hidden_size": hidden, "num_layers": layers}
    attrs |= {"bidirectional": directions == 2, "has_bias": biases > 0}
    model = stored("LSTM", [x, h0, c0, flat(cells, biases)], (0, 1, 2), config, **attrs)
    exact = plain(model.main.nodes[0], 3)
    assert 1e-3 < np.abs(exact - flat(cells, biases)).max() < 0.2
    expected = run_op("LSTM", [x, h0, c0, exact], attrs, 3, constant=(3,))
    for threads in (1, 2):
        assert_near(run(session_of(model, threads), [x, h0, c0]), expected)


# Weights whose smallest form is this one.
FORMS = {
    ("NONE", 8): lambda *shape: uniform(*shape),
    ("BITPACKING", 5): lambda *shape: uniform(*shape),
    ("FSE_INT", 8): lambda *shape: uniform(*shape) ** 5,
    ("FSE_INT", 4): lambda *shape: uniform(*shape) ** 9,
    ("INDEXING", 8): lambda *shape: np.sign(uniform(*shape)) * 0.25,
    ("SPARSE", 4): lambda *shape: uniform(*shape) * (uniform(*shape) > 0.97),
}


@pytest.mark.parametrize(("form", "bits"), FORMS)
def test_forms_of_storage(form: str, bits: int) -> None:
    make = FORMS[form, bits]
    x, h0, b = uniform(3, 2, 40), uniform(2, 2, 50), uniform(2, 300)
    model = stored("GRU", [x, make(2, 150, 40), make(2, 150, 50), b, h0], (0, 4), {"bit_num": bits}, bidirectional=True)
    node = model.main.nodes[0]
    assert [value.compression for value in node.inputs[1:3]] == [form, form]
    exact = [x, plain(node, 1), plain(node, 2), b, None, h0]
    expected = onnx_node("GRU", exact, 2, hidden_size=50, direction="bidirectional")
    assert_near(run(session_of(model), [x, h0]), expected)


@pytest.mark.parametrize("integers", [1, 2])
def test_one_weight_of_two(integers: int) -> None:
    """The other one has stayed float."""
    x, (w, r, b), h0 = uniform(3, 2, 40), weights(1, 3, 40, 50), uniform(1, 2, 50)
    model = stored("GRU", [x, w, r, b, h0], (0, 4), {"bit_num": 8})
    node = model.main.nodes[0]
    other = model.main.constant("other", plain(node, 3 - integers))
    node.set_input(3 - integers, other)
    exact = [x, plain(node, 1), plain(node, 2), b, None, h0]
    assert_near(run(session_of(model), [x, h0]), onnx_node("GRU", exact, 2, hidden_size=50))


def test_a_weight_that_is_read_otherwise() -> None:
    """It becomes float, the other one stays as it is."""
    x, (w, r, b), h0 = uniform(3, 2, 40), weights(1, 3, 40, 50), uniform(1, 2, 50)
    model = stored("GRU", [x, w, r, b, h0], (0, 4), {"bit_num": 8})
    graph, node = model.main, model.main.nodes[0]
    exact = [x, plain(node, 1), plain(node, 2), b, None, h0]
    doubled = graph.add("AddFusion", [node.inputs[1], node.inputs[1]], "doubled")
    doubled.quant_type = "QUANT_WEIGHT"
    graph.outputs.append(doubled.output)
    expected = [*onnx_node("GRU", exact, 2, hidden_size=50), 2 * exact[1]]
    assert_near(run(session_of(model), [x, h0]), expected)


def test_other_shapes_and_sessions() -> None:
    """One copy of the weights for all sessions and shapes, steps and batches of one and of several."""
    w, r, b = weights(1, 4, 24, 20)
    model = stored("LSTM", [uniform(1, 1, 24), w, r, b], (0,), {"bit_num": 4})
    node = model.main.nodes[0]
    loaded = _native.Model.from_buffer(export(model))
    sessions = [_native.Session(loaded, threads=1) for _ in range(2)]
    packed = _profile.memory(sessions[0]).packed
    assert 0 < packed < 0.3 * (w.nbytes + r.nbytes)
    for session, (steps, batch) in zip(sessions * 3, [(1, 1), (9, 1), (4, 5), (0, 2), (3, 0), (2, 2)]):
        x = uniform(steps, batch, 24)
        session.resize([x.shape])
        session.set_input(0, x)
        session.run()
        expected = run_op("LSTM", [x, plain(node, 1), plain(node, 2), b], {}, 3, constant=(1, 2, 3))
        assert_near(session.output_values(), expected)
    assert _profile.memory(sessions[0]).packed == packed


def test_damaged_scales() -> None:
    x, (w, r, b) = uniform(3, 2, 40), weights(1, 3, 40, 50)
    for params, message in [
        ([QuantParam(0.0, 0, 8)], "must be a positive number"),
        ([QuantParam(0.1, 300, 8)], "zero point 300"),
        ([QuantParam(0.1, 0, 8)] * 7, "fit no axis"),
    ]:
        model = stored("GRU", [x, w, r, b], (0,), {"bit_num": 8})
        model.main.nodes[0].inputs[2].quant = params
        with pytest.raises(LiteRuntimeError, match=message):
            session_of(model)
