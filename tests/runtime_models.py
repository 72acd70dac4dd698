"""Models that the tests of the runtime run."""

from __future__ import annotations

import numpy as np
from support import DATA

from converter import exporter
from converter.ir.graph import Graph, Model
from lite_runtime.types import DataType

CNN = DATA / "ms" / "cnn.ms"
MULTI = DATA / "ms" / "multi.ms"


def sum_model(shape: tuple[int, ...] = (-1, 3), dtype: DataType = DataType.FLOAT32, constant: bool = False) -> bytes:
    """A .ms model with y = a + b, or y = a + 1."""
    graph = Graph("main")
    a = graph.add_input("a", dtype, shape)
    b = graph.constant("one", np.ones(1, dtype.numpy)) if constant else graph.add_input("b", dtype, shape)
    graph.outputs = [graph.add("AddFusion", [a, b], "y").output]
    graph.outputs[0].dtype = dtype
    graph.outputs[0].shape = shape
    return bytes(exporter.export(Model([graph], "sum")))
