"""Models that give back what they are given."""

from __future__ import annotations

import numpy as np

import lite_runtime
from converter import exporter
from converter.ir.graph import Graph, Model, QuantParam


def given_back(dtype: lite_runtime.DataType, shape: tuple[int, ...], quant: QuantParam | None = None) -> bytes:
    """A .ms model whose output has the values of its one input."""
    graph = Graph("main")
    x = graph.add_input("x", dtype, shape)
    target = graph.constant("shape", np.array([-1], np.int32))
    graph.outputs = [graph.add("Reshape", [x, target], "y").output]
    for end in (x, *graph.outputs):
        end.quant = [quant] if quant else []
    return bytes(exporter.export(Model([graph], "given_back")))
