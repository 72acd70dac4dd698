"""Transposes that importers of channels-first formats wrap around channels-last operators."""

from __future__ import annotations

import numpy as np

from converter.ir.graph import Graph, Value


def channels_last_perm(rank: int) -> list[int]:
    """NCHW -> NHWC, for any rank >= 3: (0, 2, ..., rank - 1, 1)."""
    return [0, *range(2, rank), 1]


def channels_first_perm(rank: int) -> list[int]:
    """NHWC -> NCHW, for any rank >= 3: (0, rank - 1, 1, ..., rank - 2)."""
    return [0, rank - 1, *range(1, rank - 1)]


def transpose(graph: Graph, value: Value, perm: list[int], name: str, source: str | None = None) -> Value:
    """Adds a Transpose node; the permutation is its second input, as the .ms format wants it."""
    constant = graph.constant(f"{name}_perm", np.array(perm, np.int32))
    return graph.add("Transpose", [value, constant], name, source=source).output


def to_channels_last(graph: Graph, value: Value, rank: int, name: str) -> Value:
    return transpose(graph, value, channels_last_perm(rank), f"{name}_pre", source=name)


def to_channels_first(graph: Graph, value: Value, rank: int, name: str) -> Value:
    return transpose(graph, value, channels_first_perm(rank), f"{name}_post", source=name)
