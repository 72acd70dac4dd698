"""The names that a list of ONNX nodes can see."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx import AttributeProto, TypeProto

from converter.ir.graph import Graph, Value


class Scope:
    """Values and ONNX types by name; a sub-graph's scope falls back on the one around it.

    A sub-graph with a graph of its own takes what it reads from outside through additional inputs
    (``captures``, outer value to inner input); constants are shared. One that is lowered in place (the branch
    of an If that is known beforehand) reads outer values directly.

    Attributes:
        graph: where nodes go.
        prefix: what names of this scope begin with in the .ms graph.
        opsets: version by domain.
        types: what is known of values, by name.
        attributes: values for attribute references, in function bodies.
        absent: inputs that the function call omits.
    """

    def __init__(
        self,
        graph: Graph,
        prefix: str,
        opsets: Mapping[str, int],
        parent: Scope | None = None,
        types: dict[str, TypeProto] | None = None,
    ) -> None:
        self.graph = graph
        self.prefix = prefix
        self.opsets = dict(opsets)
        self.parent = parent
        self.types = types if types is not None else {}
        self.attributes: Mapping[str, AttributeProto] = parent.attributes if parent is not None else {}
        self.absent: set[str] = set()
        self.captures: dict[Value, Value] = {}
        # Integer vectors that are known in part, see ``folding.UNKNOWN``.
        self.partial: dict[str, np.ndarray] = {}
        self._values: dict[str, Value] = {}

    def define(self, name: str, value: Value) -> None:
        self._values[name] = value

    def define_constant(self, name: str, data: np.ndarray) -> None:
        self._values[name] = self.graph.constant(self.prefix + name, data)

    def lookup(self, name: str) -> Value | None:
        """The value, or None when nothing of that name has been defined."""
        value = self._values.get(name)
        if value is not None or self.parent is None:
            return value
        outer = self.parent.lookup(name)
        return None if outer is None else self.capture(outer)

    def capture(self, outer: Value) -> Value:
        """The parent's value as this scope's graph sees it."""
        if outer.is_const or self.parent is None or self.graph is self.parent.graph:
            return outer
        if outer not in self.captures:
            self.captures[outer] = self.graph.add_input(self.prefix + outer.name, outer.dtype, outer.shape)
        return self.captures[outer]

    def partly_known(self, name: str) -> np.ndarray | None:
        """The vector with ``folding.UNKNOWN`` for elements that are not known, or None."""
        if name in self._values or self.parent is None:
            return self.partial.get(name)
        return self.parent.partly_known(name)

    def is_absent(self, name: str) -> bool:
        """Whether the name is an input that the call of the enclosing function omits."""
        return name in self.absent or (self.parent is not None and self.parent.is_absent(name))
