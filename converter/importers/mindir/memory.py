"""What nodes write to: ``x += y`` of MindSpore 2.10 changes x itself, for all names and views that x has.

Results that lie in the same memory have types with the same ``ref_key``. A file lists its nodes in an order in which
they can run, and what must outlive a write goes through a Load, whose result has no ref_key. So a name with a ref_key
stands for what nodes above the reader wrote last to that memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from converter.importers.mindir.faults import Refusal
from converter.importers.mindir.program import Program, without_graph
from converter.importers.mindir.proto import Message
from converter.importers.mindir.values import ResultType, TensorType, is_result_type

# Primitives that write their result to their first input, and what they compute.
IN_PLACE = {
    "InplaceAddExt": "AddExt",
    "InplaceAddsExt": "AddScalar",
    "InplaceCopy": "InplaceCopy",
    "InplaceDiv": "Div",
    "InplaceDivs": "Divs",
    "InplaceFloorDivide": "FloorDiv",
    "InplaceFloorDivides": "FloorDivScalar",
    "InplaceMul": "Mul",
    "InplaceMuls": "Muls",
    "InplaceRemainderTensorScalar": "RemainderTensorScalar",
    "InplaceRemainderTensorTensor": "RemainderTensorTensor",
    "InplaceSubExt": "SubExt",
    "InplaceSubScalar": "SubScalar",
}


class Memory:
    """The memory of one graph: the last value of each ref_key, and which ref_keys share memory."""

    def __init__(self) -> None:
        self._content: dict[str, Any] = {}
        self._keys: dict[str, ResultType] = {}
        self._views: dict[str, set[str]] = {}
        self._lost: set[str] = set()

    def define(self, name: str, known: ResultType, value: Any) -> None:
        """A name's value, and with it that of the memory its type says it lies in."""
        if any(_keys(known)):
            self._keys[name] = known
            self._write(known, value)

    def _write(self, known: ResultType, value: Any) -> None:
        if isinstance(known, tuple) and isinstance(value, tuple):
            for part, item in zip(known, value):
                self._write(part, item)
        elif isinstance(known, TensorType) and known.ref_key:
            self._content[known.ref_key] = value
            self._lost.discard(known.ref_key)

    def read(self, name: str, value: Any) -> Any:
        """What a name stands for now, if it was ``value`` when it was defined. Raises Refusal if that is not known."""
        return self._last(self._keys[name], value) if name in self._keys else value

    def _last(self, known: ResultType, value: Any) -> Any:
        if isinstance(known, tuple) and isinstance(value, tuple) and len(known) == len(value):
            return tuple(self._last(part, item) for part, item in zip(known, value))
        if not isinstance(known, TensorType) or known.ref_key not in self._content:
            return value
        if known.ref_key in self._lost:
            raise Refusal(
                "its input was changed in place, through another view of it or in another graph.",
                suggestion="Write the change as a new tensor: x = x + y instead of x += y.",
            )
        return self._content[known.ref_key]

    def share(self, view: str, base: str) -> None:
        """One name's memory is a view of another's."""
        group = {*_keys(self._keys.get(view)), *_keys(self._keys.get(base))}
        for key in tuple(group):
            group |= self._views.get(key, set())
        for key in group:
            self._views[key] = group

    def lose_views(self, name: str) -> None:
        """A node wrote to a name's memory: its other views are no longer known."""
        for key in _keys(self._keys.get(name)):
            self._lost |= self._views.get(key, set()) - {key}

    def lose(self, keys: Iterable[str], known: ResultType) -> None:
        """A called graph, with a result of type ``known``, may have written to the memory of these keys."""
        self._lost |= (self._content.keys() & set(keys)) - set(_keys(known))


def _keys(known: ResultType) -> Iterator[str]:
    if isinstance(known, tuple):
        for part in known:
            yield from _keys(part)
    elif isinstance(known, TensorType) and known.ref_key:
        yield known.ref_key


def written_by_calls(program: Program) -> frozenset[str]:
    """The memory of callers that called graphs write to."""
    found: set[str] = set()
    for graph in program.graphs.values():
        writers = [n for n in graph.node if writes(program, n)]
        if writers:
            passed = {info.tensor[0].ref_key for info in graph.input if info.tensor}
            found |= passed & {t.ref_key for n in writers for a in n.attribute if is_result_type(a) for t in a.tensors}
    return frozenset(found - {""})


def writes(program: Program, node: Message) -> bool:
    """Whether a node writes to its first input."""
    primitive = program.primitive_of(node)
    return primitive is not None and primitive.op in IN_PLACE and len(node.input) > 0


def check_target(program: Program, node: Message, known: ResultType) -> None:
    """Raises Refusal where a node writes to a weight or constant, which would be another one in the next run."""
    name = node.input[0]
    is_weight = program.is_weight(name) or any(program.weight_by_key(key) is not None for key in _keys(known))
    if is_weight or program.is_constant(name):
        raise Refusal(f"it changes the {'weight' if is_weight else 'constant'} '{without_graph(name)}' in place.")
