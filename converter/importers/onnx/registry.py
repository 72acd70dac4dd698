"""The table of ONNX operators: which function lowers which operator in which opset versions.

A lowering is a function whose positional parameters are the operator's inputs and whose keywords are its
attributes::

    @onnx_op("LeakyRelu")
    def leaky_relu(b: Builder, x: Value, *, alpha: float = 0.01) -> Value: ...

It returns the outputs (one value, or a sequence) or raises ``LoweringError``. An input the node omits is None.
An attribute the function does not name is refused unless it has its default value, so a lowering never
ignores anything by accident.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

Lowering = Callable[..., Any]
_F = TypeVar("_F", bound=Lowering)

DOMAIN_ONNX = ""
DOMAIN_MICROSOFT = "com.microsoft"
_NO_LIMIT = 1 << 30

# Operators whose attributes became inputs: from which opset on, and which, in the order of the inputs
# that follow the first one. Lowerings see the input form only.
BECAME_INPUTS: dict[str, tuple[int, tuple[str, ...]]] = {
    "Squeeze": (13, ("axes",)),
    "Unsqueeze": (13, ("axes",)),
    "ReduceSum": (13, ("axes",)),
    **{
        f"Reduce{kind}": (18, ("axes",))
        for kind in ("Mean", "Max", "Min", "Prod", "SumSquare", "L1", "L2", "LogSum", "LogSumExp")
    },
    "Split": (13, ("split",)),
    "Slice": (10, ("starts", "ends", "axes")),
    "Pad": (11, ("pads", "value")),
    "Clip": (11, ("min", "max")),
    "TopK": (10, ("k",)),
    "Upsample": (9, ("scales",)),
    "Dropout": (12, ("ratio",)),
}


class LoweringError(Exception):
    """The node cannot be expressed exactly with .ms operators.

    ``consequence`` marks a refusal for lack of knowledge (an unknown rank) that an earlier refused node
    may have caused.
    """

    def __init__(self, reason: str, attribute: str = "", suggestion: str = "", consequence: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.attribute = attribute
        self.suggestion = suggestion
        self.consequence = consequence


@dataclass(frozen=True)
class Entry:
    """A lowering and what it accepts; ``needed_inputs`` are the positions of inputs that must be there,
    ``stated_inputs`` how many it must be called with."""

    lowering: Lowering
    since: int
    until: int
    needed_inputs: tuple[int, ...]
    stated_inputs: int
    most_inputs: int
    attributes: frozenset[str]
    required: frozenset[str]


_ENTRIES: dict[tuple[str, str], list[Entry]] = {}


def onnx_op(*names: str, since: int = 1, until: int = _NO_LIMIT, domain: str = DOMAIN_ONNX) -> Callable[[_F], _F]:
    """Registers a lowering for operators of ``domain`` in opset versions ``since`` to ``until``, inclusive."""

    def register(lowering: _F) -> _F:
        entry = _entry(lowering, since, until)
        for name in names:
            _ENTRIES.setdefault((domain, name), []).append(entry)
        return lowering

    return register


def find(domain: str, op: str, version: int) -> Entry | None:
    """The lowering for an operator, or None."""
    return next((e for e in _ENTRIES.get((domain, op), ()) if e.since <= version <= e.until), None)


def entries() -> dict[tuple[str, str], Sequence[Entry]]:
    """All lowerings by (domain, operator)."""
    return dict(_ENTRIES)


def _entry(lowering: Lowering, since: int, until: int) -> Entry:
    parameters = list(inspect.signature(lowering).parameters.values())[1:]
    positional = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    keywords = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    return Entry(
        lowering,
        since,
        until,
        # An input that has no default may still be one that nodes omit, when more inputs follow it.
        needed_inputs=tuple(
            i for i, p in enumerate(positional) if p.default is p.empty and p.annotation != "MaybeValue"
        ),
        stated_inputs=sum(p.default is p.empty for p in positional),
        most_inputs=_NO_LIMIT if variadic else len(positional),
        attributes=frozenset(p.name for p in keywords),
        required=frozenset(p.name for p in keywords if p.default is p.empty),
    )
