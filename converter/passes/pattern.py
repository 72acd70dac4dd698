"""Rewrite rules that look like what they match.

    rule("hard_swish", Mul(x, Div(Relu6(Add(x, 3)), 6)), HardSwish(x))

The left side is matched against the graph from its outermost operator inwards, the right side is built in
its place. The engine takes care of what every rule needs: operands of commutative operators in any order;
inner results must have no other reader and be no graph output; attributes a pattern does not mention must
have their default; a number matches a constant that holds just it and does not change the result's rank;
a pattern object that appears twice is one node; quantised values match nothing.

The result of the right side keeps the name of what it replaces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any, Union

import numpy as np

from converter.ir.graph import Graph, Node, Value
from converter.passes.rewrite import explicit_attrs, is_plain, replace_node, replace_value, scalar_of

_RELATIVE_TOLERANCE = 1e-5  # exporters round constants such as sqrt(2 / pi) to a few digits


@dataclass(frozen=True, eq=False)
class Var:
    """Any value. The same Var twice is the same value. ``when`` restricts it."""

    name: str
    when: Callable[[Value], bool] | None = None

    def accepts(self, value: Value) -> bool:
        return self.when is None or self.when(value)


@dataclass(frozen=True, eq=False)
class Const(Var):
    """A constant that is neither quantised nor compressed."""

    def accepts(self, value: Value) -> bool:
        return is_plain(value) and super().accepts(value)


@dataclass(frozen=True)
class Attr:
    """An attribute's value: captured on the left side under this name, inserted on the right."""

    name: str


@dataclass(frozen=True, eq=False)
class OneOf:
    """Any of several patterns."""

    options: tuple[Pattern, ...]


@dataclass(frozen=True, eq=False)
class Expr:
    """An operator applied to patterns."""

    op: str
    args: tuple[Pattern, ...]
    attrs: Mapping[str, Any]
    commutative: bool = False


# On a right side a function of the match gives a constant.
Pattern = Union[Var, OneOf, Expr, float, int, Callable[["Match"], np.ndarray]]


class Op:
    """Builds expressions: ``Add = Op("AddFusion", commutative=True)``, then ``Add(x, y)``.

    Attributes given here or in the call are matched on the left side and set on the right. A function is
    a predicate of the attribute on the left, and makes the attribute of the Match on the right.
    """

    def __init__(self, op: str, commutative: bool = False, **attrs: Any) -> None:
        self._op = op
        self._commutative = commutative
        self._attrs = attrs

    def __call__(self, *args: Pattern, **attrs: Any) -> Expr:
        return Expr(self._op, args, {**self._attrs, **attrs}, self._commutative)


@dataclass
class Match:
    """What a pattern's names stand for, and the nodes it covers (the outermost first)."""

    values: dict[str, Value] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)
    nodes: dict[Expr, Node] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Value:
        return self.values[name]

    def number(self, name: str) -> float:
        """The number in a one-element constant."""
        found = scalar_of(self.values[name])
        if found is None:
            raise ValueError(f"'{name}' is not a single number")
        return found

    @property
    def root(self) -> Node:
        return next(iter(self.nodes.values()))


@dataclass(frozen=True, eq=False)
class Rule:
    """See the module's text. ``when`` has the last word on a match; ``example`` gives shapes or arrays for
    the variables in the automatic test (default: 2 x 3 x 4)."""

    name: str
    left: Expr | OneOf
    right: Var | Expr
    when: Callable[[Match], bool] | None = None
    example: Mapping[str, Any] = field(default_factory=dict)

    def roots(self) -> set[str]:
        """The operators the outermost node may have."""
        return {expr.op for expr in _alternatives(self.left)}


def rule(
    name: str,
    left: Expr | OneOf,
    right: Var | Expr,
    when: Callable[[Match], bool] | None = None,
    **example: Any,
) -> Rule:
    return Rule(name, left, right, when, example)


def either(*options: Pattern) -> OneOf:
    return OneOf(options)


def apply_rules(graph: Graph, rules: Sequence[Rule]) -> bool:
    """Rewrites until no rule matches; every rewrite must lead towards fewer or cheaper nodes."""
    by_root: dict[str, list[Rule]] = {}
    for r in rules:
        for op in r.roots():
            by_root.setdefault(op, []).append(r)
    modified, again = False, True
    while again:
        again = False
        for node in graph.nodes:  # grows while we go: new nodes are visited too
            if not node.dead and any(_rewrite(graph, node, r) for r in by_root.get(node.op, ())):
                again = modified = True
        graph.nodes = [node for node in graph.nodes if not node.dead]
    return modified


def find(graph: Graph, node: Node, r: Rule) -> Match | None:
    """How a rule matches at a node, or None."""
    if len(node.outputs) != 1:
        return None
    match = Match()
    for _ in _match(r.left, node.output, match):
        if _is_private(graph, match) and (r.when is None or r.when(match)):
            return match
    return None


def _rewrite(graph: Graph, node: Node, r: Rule) -> bool:
    match = find(graph, node, r)
    if match is None:
        return False
    if isinstance(r.right, Var):
        return replace_value(graph, node.output, match[r.right.name])
    inputs = [_build(graph, arg, match, node, f"{node.name}_{r.name}_{i}") for i, arg in enumerate(r.right.args)]
    replace_node(graph, node, r.right.op, inputs, **_attributes(r.right, match))
    return True


def _build(graph: Graph, pattern: Pattern, match: Match, node: Node, name: str) -> Value:
    """The value of a right side's operand."""
    if isinstance(pattern, Var):
        return match[pattern.name]
    if isinstance(pattern, Expr):
        inputs = [_build(graph, arg, match, node, f"{name}_{i}") for i, arg in enumerate(pattern.args)]
        return graph.add(pattern.op, inputs, name, source=node.source, **_attributes(pattern, match)).output
    if isinstance(pattern, OneOf):
        raise TypeError("a rule's right side cannot be a choice")
    number = pattern(match) if callable(pattern) else pattern
    return graph.constant(name, np.array(number, node.output.dtype.numpy))


def _attributes(expr: Expr, match: Match) -> dict[str, Any]:
    def value(given: Any) -> Any:
        if isinstance(given, Attr):
            return match.attrs[given.name]
        return given(match) if callable(given) else given

    return {name: value(given) for name, given in expr.attrs.items()}


def _alternatives(pattern: Expr | OneOf) -> Iterator[Expr]:
    if isinstance(pattern, Expr):
        yield pattern
        return
    for option in pattern.options:
        if not isinstance(option, (Expr, OneOf)):
            raise TypeError("a rule's left side must be an operator")
        yield from _alternatives(option)


def _match(pattern: Pattern, value: Value, match: Match) -> Iterator[None]:
    """Yields once for each way the pattern fits, with ``match`` filled in meanwhile."""
    if isinstance(pattern, Var):
        yield from _match_var(pattern, value, match)
    elif isinstance(pattern, Expr):
        yield from _match_expr(pattern, value, match)
    elif isinstance(pattern, OneOf):
        for option in pattern.options:
            yield from _match(option, value, match)
    elif not callable(pattern) and _is_number(value, pattern):
        yield


def _match_var(var: Var, value: Value, match: Match) -> Iterator[None]:
    bound = match.values.get(var.name)
    if bound is not None:
        if bound is value:
            yield
        return
    if var.accepts(value):
        match.values[var.name] = value
        yield
        del match.values[var.name]


def _match_expr(expr: Expr, value: Value, match: Match) -> Iterator[None]:
    node = value.producer
    if node is None or node.op != expr.op or len(node.inputs) != len(expr.args) or len(node.outputs) != 1:
        return
    if expr in match.nodes:
        if match.nodes[expr] is node:
            yield
        return
    captured = _match_attrs(expr, node, match)
    if captured is None or not _keeps_rank(expr, node):
        return
    match.nodes[expr] = node
    match.attrs.update(captured)
    orders = permutations(node.inputs) if expr.commutative else (node.inputs,)
    for inputs in orders:
        yield from _match_all(expr.args, inputs, match)
    del match.nodes[expr]
    for name in captured:
        del match.attrs[name]


def _match_all(patterns: Sequence[Pattern], values: Sequence[Value], match: Match) -> Iterator[None]:
    if not patterns:
        yield
        return
    for _ in _match(patterns[0], values[0], match):
        yield from _match_all(patterns[1:], values[1:], match)


def _match_attrs(expr: Expr, node: Node, match: Match) -> dict[str, Any] | None:
    """The attributes newly captured, or None when they do not fit."""
    if any(name not in expr.attrs for name in explicit_attrs(node)):
        return None
    captured: dict[str, Any] = {}
    for name, wanted in expr.attrs.items():
        found = node.attr(name)
        if not isinstance(wanted, Attr):
            if not (wanted(found) if callable(wanted) else wanted == found):
                return None
        elif wanted.name in match.attrs:
            if match.attrs[wanted.name] != found:
                return None
        else:
            captured[wanted.name] = found
    return captured


def _is_number(value: Value, wanted: float) -> bool:
    found = scalar_of(value)
    return found is not None and abs(found - wanted) <= _RELATIVE_TOLERANCE * abs(wanted)


def _keeps_rank(expr: Expr, node: Node) -> bool:
    """A one-element constant of higher rank would give the result more dimensions than the other operand has."""
    if not any(isinstance(arg, (int, float)) for arg in expr.args):
        return True
    constants = [v for v in node.inputs if v.is_const]
    others = [v for v in node.inputs if not v.is_const]
    most = max((v.rank or 0 for v in constants), default=0)
    return most == 0 or any(v.rank is not None and v.rank >= most for v in others)


def _is_private(graph: Graph, match: Match) -> bool:
    """Inner results are read inside the match only; nothing is quantised."""
    covered = set(match.nodes.values())
    root = match.root
    for node in covered:
        if node.output.quant:
            return False
        if node is root:
            continue
        if graph.is_output(node.output) or any(reader not in covered for reader, _ in node.output.uses):
            return False
    return True
