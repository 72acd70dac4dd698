"""Computes equal things once, and keeps equal constants once."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from typing import Any

from converter.ir.graph import Graph, Model, Node, Value
from converter.passes.rewrite import IMPURE_OPS, is_plain, replace_value


def merge_equal_nodes(graph: Graph) -> bool:
    """Nodes of the same operator, attributes and inputs are one."""
    first: dict[Hashable, Node] = {}
    modified = False
    for node in graph.nodes:
        if node.dead or node.op in IMPURE_OPS:
            continue
        key = (node.op, node.quant_type, _frozen(node.attrs), tuple(id(v) for v in node.inputs), len(node.outputs))
        kept = first.setdefault(key, node)
        if kept is node or any(v.quant for v in (*kept.outputs, *node.outputs)):
            continue
        for old, new in zip(node.outputs, kept.outputs):
            modified |= replace_value(graph, old, new)
    return modified


def merge_equal_constants(model: Model) -> bool:
    """Constants of the same type, shape and bytes are one."""
    first: dict[Hashable, Value] = {}
    modified = False
    for graph in model.graphs:
        for value in list(graph.values()):
            if not is_plain(value) or graph.is_output(value):
                continue
            kept = first.setdefault(_content(value), value)
            if kept is not value:
                modified = True
                for node, index in list(value.uses):
                    node.set_input(index, kept)
    return modified


def _content(value: Value) -> Hashable:
    assert value.data is not None
    data = value.data if value.data.flags.c_contiguous else value.data.copy()
    return value.dtype, value.shape, hashlib.blake2b(data.reshape(-1).view("u1").data, digest_size=16).digest()


def _frozen(value: Any) -> Hashable:
    if isinstance(value, dict):
        return tuple(sorted((key, _frozen(item)) for key, item in value.items()))
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    return value if isinstance(value, Hashable) else repr(value)
