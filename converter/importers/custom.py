"""Custom nodes in place of operators that cannot be converted (``--allowCustom``).

Such a node has the source operator's name as its type, the source's inputs in the source's layout and its
attributes as text; ``lite_runtime.register_op`` gives it a meaning where the model runs.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from converter.ir.graph import Graph, Shape, Value
from lite_runtime.types import DataType

# Name, element type and shape of a result. Types and shapes are what the source file says.
Result = tuple[str, DataType, Shape]


def alternatives(op: str, known: Iterable[str]) -> str:
    """What to do about an operator that is not among the known ones, as a sentence."""
    nearest = difflib.get_close_matches(op, list(known), cutoff=0.7)
    names = f"The nearest that are: {', '.join(nearest)}. " if nearest else ""
    return f"{names}With --allowCustom=on it becomes a Custom node, for lite_runtime.register_op."


def custom_node(
    graph: Graph, name: str, op: str, inputs: Sequence[Value], results: Sequence[Result], attributes: Mapping[str, Any]
) -> list[Value]:
    """Adds a Custom node and gives its outputs. Raises ValueError for a result whose element type is not known."""
    unknown = [result for result, dtype, _ in results if dtype == DataType.UNKNOWN]
    if unknown:
        raise ValueError(f"the type of its result '{unknown[0]}' is not known")
    texts = [{"name": key, "data": _text(value).encode()} for key, value in sorted(attributes.items())]
    node = graph.add("Custom", list(inputs), name, outputs=[r[0] for r in results], type=op, attr=texts)
    for value, (_, dtype, shape) in zip(node.outputs, results):
        value.dtype, value.shape = dtype, shape
    return list(node.outputs)


def _text(value: Any) -> str:
    """Text as it is, bytes in hexadecimal, everything else as JSON."""
    if isinstance(value, str):
        return value
    return value.hex() if isinstance(value, bytes) else json.dumps(value, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return str(value)
