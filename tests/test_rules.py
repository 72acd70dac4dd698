"""Every rewrite rule, in every spelling: it matches, and both sides give the same numbers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest

from converter.engine import evaluate, infer_shapes
from converter.ir.graph import Graph, Model, Value, attribute_fields
from converter.ir.verify import verify
from converter.passes.pattern import Attr, Const, Expr, OneOf, Pattern, Rule, Var, apply_rules
from converter.passes.rules import RULES
from lite_runtime.types import DataType


def spellings(pattern: Pattern) -> Iterator[Pattern]:
    """The pattern with one option chosen at every choice, in all combinations.

    A choice or expression that appears twice is the same one both times.
    """
    choices = list(dict.fromkeys(_choices(pattern)))
    seen: set[tuple[int, ...]] = set()
    for picked in product(*(range(len(c.options)) for c in choices)):
        decided = dict(zip(choices, picked))
        reached = tuple(decided[c] for c in dict.fromkeys(_reached(pattern, decided)))
        key = (*reached, len(reached))
        if key not in seen:
            seen.add(key)
            yield _resolved(pattern, decided, {})


def _choices(pattern: Pattern) -> Iterator[OneOf]:
    if isinstance(pattern, OneOf):
        yield pattern
    for part in pattern.options if isinstance(pattern, OneOf) else pattern.args if isinstance(pattern, Expr) else ():
        yield from _choices(part)


def _reached(pattern: Pattern, decided: dict[OneOf, int]) -> Iterator[OneOf]:
    if isinstance(pattern, OneOf):
        yield pattern
        yield from _reached(pattern.options[decided[pattern]], decided)
    elif isinstance(pattern, Expr):
        for arg in pattern.args:
            yield from _reached(arg, decided)


def _resolved(pattern: Pattern, decided: dict[OneOf, int], done: dict[Any, Pattern]) -> Pattern:
    if isinstance(pattern, OneOf):
        return _resolved(pattern.options[decided[pattern]], decided, done)
    if not isinstance(pattern, Expr):
        return pattern
    if pattern not in done:
        args = tuple(_resolved(arg, decided, done) for arg in pattern.args)
        done[pattern] = Expr(pattern.op, args, pattern.attrs, pattern.commutative)
    return done[pattern]


class Builder:
    """Builds the graph a left side describes."""

    def __init__(self, r: Rule, flipped: bool) -> None:
        self.graph = Graph("main")
        self.feeds: dict[str, np.ndarray] = {}
        self._rule = r
        self._flipped = flipped  # operands of commutative operators the other way round
        self._made: dict[Any, Value] = {}
        self._rng = np.random.default_rng(1)

    def value(self, pattern: Pattern) -> Value:
        if isinstance(pattern, (int, float)):
            return self.graph.constant(f"number_{len(self._made)}", np.array(pattern, np.float32))
        key = pattern.name if isinstance(pattern, Var) else pattern
        if key not in self._made:
            self._made[key] = self._var(pattern) if isinstance(pattern, Var) else self._expr(pattern)
        return self._made[key]

    def _var(self, var: Var) -> Value:
        data = self._example(var.name)
        if isinstance(var, Const) or data.dtype.kind == "i":
            return self.graph.constant(var.name, data)
        self.feeds[var.name] = data
        given = self.graph.add_input(var.name, DataType.of(data.dtype), data.shape)
        # A result, not the input itself: a rule that removes an operator may then rename it.
        return self.graph.add("Concat", [given], f"{var.name}_result").output

    def _example(self, name: str) -> np.ndarray:
        if name not in self._rule.example:
            return self._rng.uniform(-4, 4, (2, 3, 4)).astype(np.float32)
        data = np.asarray(self._rule.example[name])
        kept = data.dtype.kind == "b" or np.issubdtype(data.dtype, np.integer)
        return data.astype(np.int32) if kept and data.dtype.kind == "i" else data if kept else data.astype(np.float32)

    def _expr(self, expr: Pattern) -> Value:
        assert isinstance(expr, Expr)
        args = expr.args[::-1] if self._flipped and expr.commutative else expr.args
        attrs = {name: self._attribute(expr.op, name, given) for name, given in expr.attrs.items()}
        return self.graph.add(expr.op, [self.value(arg) for arg in args], f"node_{len(self._made)}", **attrs).output

    def _attribute(self, op: str, name: str, given: Any) -> Any:
        if isinstance(given, Attr):
            return self._rule.example[given.name]
        candidates = (attribute_fields(op)[name].default, 1.0, 3.4e38)
        return next(v for v in candidates if given(v)) if callable(given) else given


CASES = [
    pytest.param(r, spelling, flipped, id=f"{r.name}-{number}{'-flipped' if flipped else ''}")
    for r in RULES
    for number, spelling in enumerate(spellings(r.left))
    for flipped in (False, True)
]


@pytest.mark.parametrize(("r", "spelling", "flipped"), CASES)
def test_both_sides_agree(r: Rule, spelling: Pattern, flipped: bool) -> None:
    builder = Builder(r, flipped)
    graph = builder.graph
    result = builder.value(spelling)
    graph.outputs = [result]
    model = Model([graph], r.name)
    infer_shapes(model)
    feeds = [builder.feeds[v.name] for v in graph.inputs]
    expected = evaluate(graph, feeds)
    name, count, shape = result.name, len(graph.nodes), result.shape

    assert apply_rules(graph, [r])
    graph.cleanup()
    verify(model)
    infer_shapes(model)
    actual = evaluate(graph, feeds)

    assert len(graph.nodes) <= count
    assert graph.outputs[0].name == name
    assert graph.outputs[0].shape == shape
    # One part in 1e5: a fused operator rounds fewer times than the arithmetic it replaces.
    np.testing.assert_allclose(actual[0], expected[0], rtol=1e-5, atol=1e-5)
