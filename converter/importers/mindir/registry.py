"""The table of primitives: each has one function, called with its operands and attributes.

A function's first parameter is the Scope; its positional parameters are the node's operands, its
keyword-only ones the attributes by name. Annotations say what operands and attributes are converted to
(``scope.CONVERTERS``; "X | None" also takes None). Attributes without a parameter do not concern inference.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from converter.importers.mindir.faults import Malformed, Refusal
from converter.importers.mindir.scope import CONVERTERS, Scope

Function = Callable[..., Any]
_F = TypeVar("_F", bound=Function)
_EMPTY = inspect.Parameter.empty


@dataclass(frozen=True)
class _Parameter:
    name: str
    convert: Callable[[Scope, Any], Any]
    default: Any
    optional: bool

    def read(self, scope: Scope, operand: Any) -> Any:
        if operand is None and self.optional:
            return None
        try:
            return self.convert(scope, operand)
        except Refusal as refusal:
            raise Refusal(
                refusal.reason, attribute=refusal.attribute or self.name, suggestion=refusal.suggestion
            ) from None
        except Malformed as fault:
            raise Malformed(f"'{self.name}': {fault}") from None


@dataclass(frozen=True)
class Entry:
    """A primitive's function with its parameters."""

    function: Function
    operands: tuple[_Parameter, ...]
    variadic: _Parameter | None
    attributes: tuple[_Parameter, ...]

    def __call__(self, scope: Scope, operands: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
        """Translates one node. Raises Refusal or Malformed."""
        if len(operands) > len(self.operands) and self.variadic is None:
            raise Malformed(f"it has {len(operands)} inputs, at most {len(self.operands)} are expected")
        arguments = [p.read(scope, operand) for p, operand in zip(self.operands, operands)]
        if self.variadic is not None:
            arguments += [self.variadic.read(scope, operand) for operand in operands[len(self.operands) :]]
        for p in self.operands[len(operands) :]:
            if p.default is _EMPTY:
                raise Malformed(f"its input '{p.name}' is missing")
            arguments.append(p.default)
        named = {p.name: p.read(scope, attributes[p.name]) for p in self.attributes if p.name in attributes}
        for p in self.attributes:
            if p.name not in named and p.default is _EMPTY:
                raise Malformed(f"its attribute '{p.name}' is missing")
        return self.function(scope, *arguments, **named)


TABLE: dict[str, Entry] = {}


def op(*names: str) -> Callable[[_F], _F]:
    """Registers a function for primitives; ``Scope.op`` tells it which one it is."""

    def register(function: _F) -> _F:
        for name in names:
            add(name, function)
        return function

    return register


def add(name: str, function: Function, **fixed: Any) -> None:
    """Registers a function for one primitive, with arguments of its own."""
    parameters = list(inspect.signature(function).parameters.values())[1:]
    operands: list[_Parameter] = []
    variadic = None
    attributes: list[_Parameter] = []
    for p in parameters:
        if p.name in fixed:
            continue
        annotation = str(p.annotation)
        parameter = _Parameter(
            p.name, CONVERTERS[annotation.removesuffix(" | None")], p.default, annotation.endswith("| None")
        )
        if p.kind is p.VAR_POSITIONAL:
            variadic = parameter
        elif p.kind is p.KEYWORD_ONLY:
            attributes.append(parameter)
        else:
            operands.append(parameter)
    bound: Function = function
    if fixed:

        def bound(scope: Scope, *args: Any, **kwargs: Any) -> Any:
            return function(scope, *args, **fixed, **kwargs)

    assert name not in TABLE, name
    TABLE[name] = Entry(bound, tuple(operands), variadic, tuple(attributes))
