"""Closures: graphs that are called later, with some of their inputs bound.

MindIR calls a graph directly (REF::<graph>), or through the result of Partial or Switch (REF::<node>).
In .ms a call is PartialFusion nodes, a Switch that chooses one of them, and a Call. A closure stays a plain
object until it is called; then its nodes are written in front of the call.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Union

from converter.importers.mindir.faults import Malformed, Refusal

_MAX_GRAPHS = 256


@dataclass(frozen=True)
class Closure:
    """A graph with its first inputs bound."""

    graph: str
    bound: tuple[Any, ...] = ()

    def bind(self, operands: tuple[Any, ...]) -> Closure:
        return Closure(self.graph, self.bound + operands)


@dataclass(frozen=True)
class Choice:
    """The closure that a condition chooses at run time."""

    condition: Any
    if_true: Callable_
    if_false: Callable_

    def __post_init__(self) -> None:
        if self.graphs > _MAX_GRAPHS:
            raise Malformed(f"it chooses between more than {_MAX_GRAPHS} graphs")

    @cached_property
    def graphs(self) -> int:
        """How many graphs it chooses between."""
        return sum(c.graphs if isinstance(c, Choice) else 1 for c in (self.if_true, self.if_false))

    def bind(self, operands: tuple[Any, ...]) -> Choice:
        return Choice(self.condition, self.if_true.bind(operands), self.if_false.bind(operands))


Callable_ = Union[Closure, Choice]


def as_callable(operand: Any) -> Callable_:
    if isinstance(operand, (Closure, Choice)):
        return operand
    if isinstance(operand, tuple) or operand is None:
        raise Malformed("it calls something that is not a graph")
    raise Refusal(
        "it calls a graph that is only known at run time.",
        suggestion="Write the condition directly, with 'if' or 'while'.",
    )


def closures(target: Callable_) -> Iterator[Closure]:
    """All graphs that a call may reach."""
    if isinstance(target, Choice):
        yield from closures(target.if_true)
        yield from closures(target.if_false)
    else:
        yield target
