"""How much arithmetic a network is, counted on its ONNX graph, and how much the machine can do."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path

_MEASURE_PEAK = "import sys; from lite_runtime._profile import measure_peak; print(measure_peak(int(sys.argv[1])))"


def gflop(path: Path) -> float:
    """10⁹ operations of one inference: two per multiply-add of Conv, Gemm and MatMul, as their formulas state them."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(onnx.load(path), data_prop=True).graph
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        shapes[value.name] = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    total = 0
    for node in graph.node:
        if node.op_type == "Conv":
            total += math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])
        elif node.op_type == "MatMul":
            total += math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
        elif node.op_type == "Gemm":
            transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
            total += math.prod(shapes[node.output[0]]) * shapes[node.input[0]][0 if transposed else 1]
    return 2 * total / 1e9


def peak_gflops(python: str, threads: int) -> float | None:
    """Measured peak of fp32 multiply-adds in 10⁹ a second, by the engine; None without it."""
    done = subprocess.run([python, "-c", _MEASURE_PEAK, str(threads)], capture_output=True, text=True)
    return float(done.stdout) / 1e9 if done.returncode == 0 else None
