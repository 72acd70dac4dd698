"""A parsed MindIR model indexed by name: primitives, graphs, constants, parameters.

All names of a file are global: graphs use each other's constants, and sub-graphs receive weights as inputs
that carry the weight's ``ref_key``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from converter.importers.mindir.faults import Malformed, Refusal
from converter.importers.mindir.proto import Message
from converter.importers.mindir.tensors import TensorStore
from converter.importers.mindir.values import attribute_value, is_result_type

REFERENCE = "REF::"


@dataclass(frozen=True)
class Primitive:
    """An operator with the attributes it was created with; undecoded until a node uses it."""

    op: str
    attributes: tuple[Message, ...]

    def values(self, tensors: TensorStore) -> dict[str, Any]:
        return {a.name: attribute_value(a, tensors) for a in self.attributes}


@dataclass
class Program:
    """The model's parts by name. ``constants`` and ``weights`` are decoded when they are asked for."""

    main: Message
    graphs: dict[str, Message]
    primitives: dict[str, Primitive]
    tensors: TensorStore
    _constants: dict[str, Message] = field(default_factory=dict)
    _weights: dict[str, Message] = field(default_factory=dict)
    _raw: Mapping[str, memoryview] = field(default_factory=dict)
    _ref_keys: dict[str, str] = field(default_factory=dict)
    _decoded: dict[str, Any] = field(default_factory=dict)
    _calls: Counter[str] = field(default_factory=Counter)

    def is_constant(self, name: str) -> bool:
        return name in self._constants

    def constant(self, name: str) -> Any:
        """The value of a Constant node. Raises Malformed or Refusal."""
        if name not in self._decoded:
            node = self._constants[name]
            if len(node.attribute) != 1:
                raise Malformed(f"constant '{name}' has {len(node.attribute)} values")
            self._decoded[name] = attribute_value(node.attribute[0], self.tensors)
        return self._decoded[name]

    def is_weight(self, name: str) -> bool:
        return name in self._weights

    def weight_by_key(self, ref_key: str) -> str | None:
        """The name of the parameter with a ref_key."""
        return self._ref_keys.get(ref_key)

    def weight(self, name: str) -> np.ndarray:
        key = f"parameter {name}"
        if key not in self._decoded:
            self._decoded[key] = self.tensors.array(self._weights[name], self._raw.get(name))
        array: np.ndarray = self._decoded[key]
        return array

    def weight_title(self, name: str) -> str:
        """What users call the parameter: its ref_key, or its name without the graph's."""
        return self._weights[name].ref_key or without_graph(name)

    def replace_weights(self, arrays: Mapping[str, np.ndarray]) -> list[str]:
        """Gives parameters other values, by what users call them; returns the names of those left as they are.

        Raises Malformed where a shape or type differs, or no name fits.
        """
        kept: list[str] = []
        for name in self._weights:
            title, old = self.weight_title(name), self.weight(name)
            new = arrays.get(title)
            if new is None:
                kept.append(title)
            elif new.shape != old.shape or new.dtype != old.dtype:
                raise Malformed(
                    f"parameter '{title}' is {old.dtype}{list(old.shape)} in the model, "
                    f"but {new.dtype}{list(new.shape)} in the checkpoint"
                )
            else:
                self._decoded[f"parameter {name}"] = new
        if len(kept) == len(self._weights):
            raise Malformed("none of its parameters is in the checkpoint")
        return kept

    def calls(self, graph: str) -> int:
        """How many nodes call a graph or bind its inputs."""
        return self._calls[graph]

    def primitive_of(self, node: Message) -> Primitive | None:
        """The primitive a node applies, or None where it calls a graph or a closure."""
        reference = node.op_type
        if not reference.startswith(REFERENCE):
            own = (a for a in node.attribute if not is_result_type(a))
            return Primitive(reference, tuple(own))
        return self.primitives.get(reference[len(REFERENCE) :])


def index(model: Message, raw: Mapping[str, memoryview], parameters: list[Message], tensors: TensorStore) -> Program:
    """Indexes a model; ``raw`` are the bytes of its weights, ``parameters`` weights from other files.

    Raises Malformed for ambiguous names.
    """
    graphs: dict[str, Message] = {}
    for graph in model.functions:
        if graph.name in graphs or graph.name == model.graph.name:
            raise Malformed(f"two graphs are called '{graph.name}'")
        graphs[graph.name] = graph
    primitives = {p.name: Primitive(p.op_type, tuple(p.attribute)) for p in model.primitives}
    program = Program(model.graph, graphs, primitives, tensors, _raw=raw)
    for graph in (model.graph, *graphs.values()):
        for node in graph.node:
            if node.op_type == "Constant" and node.output:
                _unique(program._constants, node.output[0], node, "constants")
            called = (node.op_type[len(REFERENCE) :], *node.input)
            program._calls.update(name for name in called if name in graphs)
    for parameter in (*model.graph.parameter, *parameters):
        _unique(program._weights, parameter.name, parameter, "parameters")
        if parameter.ref_key:
            program._ref_keys.setdefault(parameter.ref_key, parameter.name)
    if model.graph.map_parameter:
        raise Refusal("hash tables (MapParameter) are not supported.")
    return program


def without_graph(name: str) -> str:
    """A name without the "<graph>:" in front."""
    return name.split(":", 1)[-1] or name


def _unique(table: dict[str, Message], name: str, item: Message, what: str) -> None:
    if name in table:
        raise Malformed(f"two {what} are called '{name}'")
    table[name] = item


def undefined_names(model: Message) -> set[str]:
    """Names that nodes of the main graph read and nothing in the file defines."""
    known: set[str] = {p.name for p in model.graph.parameter} | {i.name for i in model.graph.input}
    for graph in (model.graph, *model.functions):
        known.add(graph.name)
        known.update(output for node in graph.node for output in node.output)
    return {name for node in model.graph.node for name in node.input if name not in known}
