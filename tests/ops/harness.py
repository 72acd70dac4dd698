"""Runs a single operator through the whole path: graph, exporter, .ms bytes, engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from converter.exporter import export
from converter.ir.graph import Graph, Model
from lite_runtime import _native
from lite_runtime.types import DataType


def run_op(
    op: str,
    inputs: Sequence[np.ndarray],
    attrs: Mapping[str, Any] | None = None,
    n_outputs: int = 1,
    constant: Sequence[int] = (),
    inner: bool = False,
    threads: int = 1,
    repeats: int = 1,
) -> list[np.ndarray]:
    """The outputs of one node. ``constant`` lists the inputs the model holds as constants; the others
    are fed, ``repeats`` times over. With ``inner`` a copying node stands between them and the node, so that
    they die there and their memory may be used again at once."""
    graph = Graph("op")
    values, feeds = [], []
    for i, array in enumerate(np.asarray(array) for array in inputs):
        if i in constant:
            values.append(graph.constant(f"c{i}", array))
        else:
            values.append(graph.add_input(f"x{i}", DataType.of(array.dtype), array.shape))
            feeds.append(array)
            if inner:
                values[-1] = graph.add("ReverseV2", [values[-1]], f"copy{i}").output
    node = graph.add(op, values, "node", outputs=n_outputs, **(attrs or {}))
    graph.outputs = list(node.outputs)
    session = _native.Session(_native.Model.from_buffer(export(Model([graph], "test"))), threads=threads)
    for _ in range(repeats):
        for i, feed in enumerate(feeds):
            session.set_input(i, feed)
        session.run()
    return session.output_values()


@dataclass(frozen=True)
class Case:
    """One row of a table of operator tests.

    ``tolerance`` bounds the error relative to the largest magnitude expected; 0 asks for equality (and
    the same sign of zeros). ``constant`` are the operands that must be constants.
    """

    op: str
    inputs: Sequence[Any]
    expected: Any
    attrs: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float = 0.0
    name: str = ""

    def __str__(self) -> str:
        shapes = "-".join(f"{np.asarray(x).dtype}{list(np.shape(x))}".replace(" ", "") for x in self.inputs)
        return f"{self.op}-{self.name or shapes}"

    def outputs(self) -> list[np.ndarray]:
        found = self.expected if isinstance(self.expected, (list, tuple)) else [self.expected]
        return [np.asarray(array) for array in found]


# How the operands reach the node: all fed, all constant (computed once, while planning), the first one fed
# and the others constant, as in most models, or all results of other nodes. float16 is never constant: the
# loader widens such constants.
MODES = ("fed", "constant", "mixed", "inner")


def check(case: Case, mode: str = "fed", threads: int = 1) -> None:
    """Runs a case and compares every output with what is expected, dtype and shape included."""
    inputs = [np.asarray(array) for array in case.inputs]
    candidates = {"constant": range(len(inputs)), "mixed": range(1, len(inputs))}.get(mode, range(0))
    constant = [i for i in candidates if inputs[i].dtype != np.float16]
    expected = case.outputs()
    actual = run_op(case.op, inputs, case.attrs, len(expected), constant, mode == "inner", threads)
    for a, e in zip(actual, expected):
        compare(a, e, case.tolerance)


def compare(actual: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    assert actual.dtype == expected.dtype, f"{actual.dtype}, expected {expected.dtype}"
    assert actual.shape == expected.shape, f"{actual.shape}, expected {expected.shape}"
    if tolerance == 0.0 or expected.dtype.kind not in "f":
        np.testing.assert_array_equal(actual, expected)
        return
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(actual[~finite], expected[~finite])
    bound = tolerance * np.abs(expected[finite], dtype=np.float64).max(initial=0.0)
    error = np.abs(actual[finite].astype(np.float64) - expected[finite]).max(initial=0.0)
    assert error <= bound, f"error {error:.3g}, allowed {bound:.3g}"
