"""A chain of Transposes and reshapes moves the elements once: Reshape, one Transpose, Reshape.

Each dimension is a list of atoms. A Transpose reorders the lists, a reshape deals the atoms out anew and
splits those that lie across a border. At the end of the chain the order of the atoms is the movement.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from converter.ir.graph import Graph, Node
from converter.passes.rewrite import VIEWS, copy_type, is_static, only_use, replace_node, shape_constant
from converter.passes.transposes import permutation

_MAX_RANK = 6  # MindSpore Lite computes Transposes of more dimensions wrongly


class _Atom:
    """A factor of a dimension; ``parts`` replace it when a reshape splits it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.parts: tuple[_Atom, _Atom] | None = None

    def leaves(self) -> Iterator[_Atom]:
        if self.parts is None:
            yield self
            return
        for part in self.parts:
            yield from part.leaves()

    def split(self, first: int) -> tuple[_Atom, _Atom]:
        self.parts = _Atom(first), _Atom(self.size // first)
        return self.parts


def merge_movements(graph: Graph) -> bool:
    """Shortens chains in which two or more Transposes are read by nothing but the next link.

    A lone Transpose of more dimensions than the runtimes take loses those that move together.
    """
    modified = False
    for node in graph.nodes:
        if node.dead or not _is_movement(node) or _continues(graph, node):
            continue
        chain = _chain(graph, node)
        ranks = [n.inputs[0].rank or 0 for n in chain if n.op == "Transpose"]
        if len(ranks) < 2 and max(ranks, default=0) <= _MAX_RANK:
            continue
        movement = composed(chain)
        if movement is not None and len(movement[1]) <= _MAX_RANK:
            _replace(graph, chain, *movement)
            modified = True
    return modified


def composed(chain: list[Node]) -> tuple[list[int], list[int]] | None:
    """Shape and permutation of the one Transpose that stands for a chain (first node first).

    None where a reshape cuts dimensions that do not divide each other.
    """
    shape = chain[0].inputs[0].shape or ()
    source = [_Atom(size) for size in shape]
    dims = [[atom] for atom in source]
    for node in chain:
        perm = permutation(node)
        if perm is not None:
            dims = [dims[axis] for axis in perm]
            continue
        dealt = _deal([leaf for dim in dims for atom in dim for leaf in atom.leaves()], node.output.shape or ())
        if dealt is None:
            return None
        dims = dealt
    before = [leaf for atom in source for leaf in atom.leaves() if leaf.size != 1]
    after = [leaf for dim in dims for atom in dim for leaf in atom.leaves() if leaf.size != 1]
    return _grouped(before, after)


def _deal(atoms: list[_Atom], shape: tuple[int, ...]) -> list[list[_Atom]] | None:
    """The atoms in order, cut into dimensions of these sizes."""
    left = [atom for atom in reversed(atoms) if atom.size != 1]
    dims: list[list[_Atom]] = []
    for size in shape:
        dim: list[_Atom] = []
        while size > 1:
            if not left:
                return None
            atom = left.pop()
            if size % atom.size == 0:
                size //= atom.size
                dim.append(atom)
            elif atom.size % size == 0:
                first, second = atom.split(size)
                dim.append(first)
                left.append(second)
                size = 1
            else:
                return None
        dims.append(dim)
    return None if left else dims


def _grouped(before: list[_Atom], after: list[_Atom]) -> tuple[list[int], list[int]]:
    """Atoms that stay neighbours are one dimension."""
    place = {atom: i for i, atom in enumerate(before)}
    groups: list[list[int]] = []
    for at in (place[atom] for atom in after):
        if groups and groups[-1][-1] + 1 == at:
            groups[-1].append(at)
        else:
            groups.append([at])
    in_order = sorted(groups)
    shape = [int(np.prod([before[i].size for i in group])) for group in in_order]
    return shape or [1], [in_order.index(group) for group in groups] or [0]


def _is_movement(node: Node) -> bool:
    if permutation(node) is None and node.op not in VIEWS:
        return False
    return is_static(node.inputs[0]) and is_static(node.outputs[0]) and 0 not in (node.inputs[0].shape or ())


def _continues(graph: Graph, node: Node) -> bool:
    """Whether the chain goes on behind this node."""
    reader = only_use(graph, node.output)
    return reader is not None and reader.inputs[0] is node.output and _is_movement(reader)


def _chain(graph: Graph, last: Node) -> list[Node]:
    chain = [last]
    while True:
        below = chain[-1].inputs[0].producer
        if below is None or not below.outputs or not _is_movement(below) or only_use(graph, below.outputs[0]) is None:
            return chain[::-1]
        chain.append(below)


def _replace(graph: Graph, chain: list[Node], shape: list[int], perm: list[int]) -> None:
    last = chain[-1]
    source, target = chain[0].inputs[0], last.output.shape or ()
    name = f"{last.name}_movement"
    value = graph.add(
        "Reshape", [source, shape_constant(graph, f"{name}_shape", shape)], name, source=last.source
    ).output
    copy_type(value, source)
    value.shape = tuple(shape)
    if perm != list(range(len(perm))):
        constant = graph.constant(f"{name}_perm", np.array(perm, np.int32))
        transpose = graph.add("Transpose", [value, constant], f"{name}_transpose", source=last.source)
        copy_type(transpose.output, source)
        transpose.output.shape = tuple(shape[axis] for axis in perm)
        value = transpose.output
    replace_node(graph, last, "Reshape", [value, shape_constant(graph, f"{last.name}_shape", target)])
