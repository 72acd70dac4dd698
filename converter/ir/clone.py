"""A copy of a model to try something on."""

from __future__ import annotations

from converter.ir.graph import Graph, Model, Node, Value


class Clone:
    """``model`` is a copy, its constants share the original's data; ``nodes`` leads from the original's to copies."""

    def __init__(self, original: Model) -> None:
        self._values: dict[Value, Value] = {}
        self.nodes: dict[Node, Node] = {}
        graphs = [self._graph(graph) for graph in original.graphs]
        self.model = Model(graphs, original.source, original.fmk, list(original.notes), original.channels_last)

    def _graph(self, original: Graph) -> Graph:
        graph = Graph(original.name)
        graph.inputs = [self._value(v) for v in original.inputs]
        for old in original.nodes:
            node = Node(old.op, old.name, {k: list(v) if isinstance(v, list) else v for k, v in old.attrs.items()},
                        old.source)  # fmt: skip
            node.quant_type = old.quant_type
            node.outputs = [self._value(v) for v in old.outputs]
            for value in node.outputs:
                value.producer = node
            for value in old.inputs:
                node.add_input(self._value(value))
            graph.nodes.append(node)
            self.nodes[old] = node
        graph.outputs = [self._value(v) for v in original.outputs]
        return graph

    def _value(self, old: Value) -> Value:
        if old not in self._values:
            value = Value(old.name, old.dtype, old.shape, old.data)
            value.variable, value.quant, value.compression = old.variable, list(old.quant), old.compression
            self._values[old] = value
        return self._values[old]

    def __contains__(self, original: Value) -> bool:
        return original in self._values

    def __getitem__(self, original: Value) -> Value:
        return self._values[original]
