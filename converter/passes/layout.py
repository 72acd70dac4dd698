"""Chooses the order of dimensions each tensor is stored in, so that the fewest Transposes are needed.

An importer of a channels-first format puts a Transpose before and after each channels-last operator. Seen
from afar such a Transpose only says that one tensor exists in two layouts. So:

1. Tensors linked by Transposes are one tensor; each value of it is in layout 0 or 1.
2. Operators that can run in either layout (``layout_ops.py``) may choose; all others want what they have.
3. A tensor that is made in one layout and read in the other costs one Transpose, however many read it.
   The choice with the least cost is a minimum cut between what is fixed to layout 0 and to layout 1.
4. The graph is rewritten to that choice.

The result never has more Transposes than the graph had. Where the choice is free, layout 1 (channels last)
is taken for images, so that an operator stays beside the convolution that may absorb it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from converter.importers.layout import channels_last_perm
from converter.ir.graph import Graph, Node, Value
from converter.passes.layout_ops import Flip, Perm, flip_of, inverse
from converter.passes.min_cut import INFINITE, SINK, SOURCE, Network
from converter.passes.rewrite import copy_type, copy_value, ints, only_units_move, open_batch, shape_constant

# The number of Transposes decides, then their elements, then the preferred layout.
_TRANSPOSE = 1 << 100
_ELEMENT = 1 << 40


@dataclass(frozen=True)
class _Form:
    """A value's layout (0 or 1), and the permutation that leads from layout 0 to 1."""

    layout: int
    perm: Perm

    @property
    def flip(self) -> Perm:
        """The permutation to the other layout."""
        return inverse(self.perm) if self.layout else self.perm


@dataclass
class _Tensor:
    """One tensor in its layouts: the value that is computed, and those Transposes make of it."""

    base: Value
    members: list[Value] = field(default_factory=list)


def choose_layouts(graph: Graph) -> bool:
    """Returns whether the graph changed. Ranks must be known where anything is to happen."""
    return _Layouts(graph).run()


class _Layouts:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._forms: dict[Value, _Form] = {}
        self._tensors: dict[Value, _Tensor] = {}  # by every member
        self._links: set[Node] = set()  # the Transposes between layouts
        self._flips: dict[Node, Flip] = {}  # nodes that may run in either layout
        self._layout: dict[Node, int] = {}  # what they run in now
        self._adapters: dict[Node, int] = {}  # Reshapes that only serve another layout, and theirs
        self._modified = False

    def run(self) -> bool:
        for node in self._graph.nodes[:]:
            if not self._link(node):
                self._consider(node)
        if self._links:
            for node in self._choose():
                self._flip(node)
            for tensor in {id(t): t for t in self._tensors.values()}.values():
                self._connect(tensor)
        self._remove_idle_adapters()
        return self._modified

    # ---- 1 and 2: what there is ----

    def _link(self, node: Node) -> bool:
        """Notes a Transpose that leads to its input's other layout."""
        if node.op != "Transpose" or node.inputs[0].is_const:
            return False
        source, perm = node.inputs[0], tuple(ints(node.inputs[1]) or ())
        if len(perm) != source.rank or sorted(perm) != list(range(len(perm))) or perm == tuple(range(len(perm))):
            return False
        form = self._forms.get(source)
        if form is None:
            canonical = min(perm, inverse(perm))
            form = self._forms[source] = _Form(int(perm != canonical), canonical)
        if form.flip != perm:
            adapted = self._adapted(source, _Form(form.layout, inverse(perm) if form.layout else perm))
            if adapted is None:
                return False
            node.set_input(0, adapted)
            source, form = adapted, self._forms[adapted]
        self._links.add(node)
        self._forms[node.output] = _Form(1 - form.layout, form.perm)
        self._join(source, node.output)
        return True

    def _join(self, source: Value, result: Value) -> None:
        tensor = self._tensor_of(source)
        tensor.members.append(result)
        self._tensors[result] = tensor

    def _tensor_of(self, value: Value) -> _Tensor:
        return self._tensors.setdefault(value, _Tensor(value, [value]))

    def _consider(self, node: Node) -> None:
        """Notes whether a node may run in either layout. Its inputs must agree on the one they are in."""
        form = self._agreed(node)
        if form is None:
            return
        flip = flip_of(self._graph, node, form.flip)
        if flip is None or any(v in self._forms and i not in flip.inputs for i, v in enumerate(node.inputs)):
            return
        for index in flip.inputs:
            self._forms.setdefault(node.inputs[index], form)
            self._tensor_of(node.inputs[index])
        for value, perm in zip(node.outputs, flip.outputs):
            if perm is not None:
                self._forms[value] = _Form(form.layout, inverse(perm) if form.layout else perm)
                self._tensor_of(value)
        self._flips[node] = flip
        self._layout[node] = form.layout

    def _agreed(self, node: Node) -> _Form | None:
        """The form all inputs are in; those that differ in the place of one-element dimensions are adapted."""
        known = {v: self._forms[v] for v in node.inputs if v in self._forms}
        form = max(known.values(), key=_is_image, default=None)
        if form is None:
            return None
        adapted = {v: self._adapted(v, form) for v, other in known.items() if other != form}
        if None in adapted.values():
            self._drop_adapters(v.producer for v in adapted.values() if v is not None)
            return None
        for index, value in enumerate(node.inputs):
            new = adapted.get(value)
            if new is not None:
                node.set_input(index, new)
        return form

    def _adapted(self, value: Value, form: _Form) -> Value | None:
        """The value through a Reshape that makes it one of ``form`` in the other layout; it does nothing in
        this one. None where more than dimensions of one element would have to move."""
        old, shape = self._forms[value], value.shape
        if old.layout != form.layout or shape is None or len(shape) != len(form.perm) or min(shape, default=0) < 1:
            return None
        if _without_units(old.flip, shape) != _without_units(form.flip, shape):
            return None
        name = f"{value.name}_adapted"
        target = shape_constant(self._graph, f"{name}_shape", shape)
        node = self._graph.add("Reshape", [value, target], name)
        copy_type(node.output, value)

        def apply() -> None:
            given = self._forms[value].flip
            flipped = open_batch([shape[axis] for axis in given], [shape[axis] for axis in form.flip])
            node.set_input(1, shape_constant(self._graph, f"{name}_shape", flipped))

        self._flips[node] = Flip((0,), (form.flip,), apply)
        self._layout[node] = form.layout
        self._forms[node.output] = form
        self._tensor_of(value)
        self._tensor_of(node.output)
        self._adapters[node] = form.layout
        return node.output

    def _drop_adapters(self, nodes: Iterable[Node | None]) -> None:
        for node in list(nodes):
            if node is None:
                continue
            for table in (self._flips, self._layout, self._adapters):
                table.pop(node, None)
            self._tensors.pop(node.output)
            self._graph.replace(node.output, node.inputs[0])

    # ---- 3: the choice ----

    def _choose(self) -> list[Node]:
        """The nodes that should run in the other layout."""
        network = Network()
        number = {node: network.node() for node in self._flips}
        for node, at in number.items():
            wanted = self._preferred(node)
            network.edge(*((SOURCE, at) if wanted else (at, SINK)), 1)
        for tensor in {id(t): t for t in self._tensors.values()}.values():
            self._add_tensor(network, number, tensor)
        zeros = network.sink_side()
        return [node for node, at in number.items() if (at not in zeros) != bool(self._layout[node])]

    def _preferred(self, node: Node) -> int:
        form = next(self._forms[v] for v in node.inputs if v in self._forms)
        return 1 if _is_image(form) else self._layout[node]

    def _add_tensor(self, network: Network, number: dict[Node, int], tensor: _Tensor) -> None:
        """Whoever makes or reads a tensor pays once if not all of them want the same layout."""
        ends = {SOURCE if layout else SINK for node, layout in self._ends(tensor) if node is None}
        ends |= {number[node] for node, _ in self._ends(tensor) if node is not None}
        cost = self._cost(tensor.base)
        if len(ends) < 2 or cost == 0:
            return
        first, second = network.node(), network.node()
        network.edge(first, second, cost)
        for end in ends:
            network.edge(end, first, INFINITE)
            network.edge(second, end, INFINITE)

    def _ends(self, tensor: _Tensor) -> Iterator[tuple[Node | None, int]]:
        """Who makes and reads the tensor, and in which layout now. None stands for what is fixed."""
        base = tensor.base
        yield (base.producer if base.producer in self._flips else None), self._forms[base].layout
        for member in tensor.members:
            layout = self._forms[member].layout
            for node, index in member.uses:
                if node not in self._links:
                    yield (node if self._moves(node, index) else None), layout
            if self._graph.is_output(member):
                yield None, layout

    def _moves(self, node: Node, index: int) -> bool:
        return node in self._flips and index in self._flips[node].inputs

    def _cost(self, value: Value) -> int:
        perm = self._forms[value].perm
        if perm == tuple(range(len(perm))):
            return 0
        shape = value.shape or ()
        if only_units_move(shape, perm):
            return _ELEMENT
        elements = 1
        for size in shape:
            elements *= max(size, 1)
        return _TRANSPOSE + _ELEMENT * elements

    # ---- 4: the graph ----

    def _flip(self, node: Node) -> None:
        self._modified = True
        flip = self._flips[node]
        flip.apply()
        self._layout[node] = 1 - self._layout[node]
        for value, perm in zip(node.outputs, flip.outputs):
            if perm is not None and value.shape is not None:
                value.shape = tuple(value.shape[axis] for axis in perm)

    def _connect(self, tensor: _Tensor) -> None:
        """Gives every reader of a tensor the layout it wants."""
        base, form = tensor.base, self._forms[tensor.base]
        flipped = base.producer in self._flips and self._layout[base.producer] != form.layout
        now = _Form(1 - form.layout, form.perm) if flipped else form
        readers, outputs = self._wanted(tensor)
        if not flipped and len(tensor.members) == 1 and all(layout == now.layout for *_, layout in readers):
            return
        values = {now.layout: base}
        if any(layout != now.layout for *_, layout in (*readers, *outputs)):
            values[1 - now.layout] = self._converted(tensor, now, flipped)
        for node, index, layout in readers:
            if node.inputs[index] is not values[layout]:
                node.set_input(index, values[layout])
                self._modified = True
        for member, layout in outputs:
            self._set_output(member, values[layout])

    def _remove_idle_adapters(self) -> None:
        for node, layout in self._adapters.items():
            if not node.dead and self._layout[node] == layout:
                self._graph.replace(node.output, node.inputs[0])
        self._graph.nodes = [node for node in self._graph.nodes if not node.dead]

    def _wanted(self, tensor: _Tensor) -> tuple[list[tuple[Node, int, int]], list[tuple[Value, int]]]:
        """Who reads the tensor (node, input index) and which graph outputs it is, each with its layout."""
        readers = []
        for member in tensor.members:
            for node, index in member.uses:
                if node not in self._links:
                    fixed = self._forms[member].layout
                    readers.append((node, index, self._layout[node] if self._moves(node, index) else fixed))
        outputs = [(m, self._forms[m].layout) for m in tensor.members if self._graph.is_output(m)]
        return readers, outputs

    def _converted(self, tensor: _Tensor, now: _Form, flipped: bool) -> Value:
        """The tensor in the other layout: by a Transpose it has already, or a new one."""
        base = tensor.base
        if not flipped:
            for member in tensor.members:
                link = member.producer
                if link in self._links and link.inputs[0] is base:
                    return member
        self._modified = True
        return _transposed(self._graph, base, now.flip, now.layout)

    def _set_output(self, old: Value, new: Value) -> None:
        """Lets ``new`` be the graph output that ``old`` was, under its name."""
        if new is old:
            return
        self._modified = True
        graph = self._graph
        name = old.name
        old.name = f"{name}_inner"
        if new.producer is None or graph.is_output(new):
            new = copy_value(graph, new, name)
        new.name = name
        graph.outputs = [new if v is old else v for v in graph.outputs]


def _is_image(form: _Form) -> bool:
    return len(form.perm) >= 4 and list(form.perm) == channels_last_perm(len(form.perm))


def _without_units(perm: Perm, shape: Sequence[int]) -> list[int]:
    return [axis for axis in perm if shape[axis] != 1]


def _transposed(graph: Graph, value: Value, perm: Perm, layout: int) -> Value:
    """A new Transpose of a value that is in ``layout`` now."""
    name = f"{value.name}_{'nh2nc' if layout else 'nc2nh'}"
    shape = None if value.shape is None else tuple(value.shape[axis] for axis in perm)
    if shape is not None and value.shape is not None and only_units_move(value.shape, perm) and shape.count(-1) < 2:
        target = shape_constant(graph, f"{name}_shape", open_batch(value.shape, shape))
        node = graph.add("Reshape", [value, target], name)
    else:
        constant = graph.constant(f"{name}_perm", np.array(perm, np.int32))
        node = graph.add("Transpose", [value, constant], name)
    copy_type(node.output, value)
    node.output.shape = shape
    return node.output
