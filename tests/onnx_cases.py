"""Small ONNX models for tests, their conversion, and ONNX Runtime's answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from converter.exporter import export
from converter.importers.onnx import load
from converter.ir.graph import Model
from converter.passes import optimize
from lite_runtime import _native

RNG = np.random.default_rng(11)
F32, I64 = np.float32, np.int64


def floats(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(F32)


@dataclass
class Case:
    """One node with constant parameters, or several nodes.

    ``inputs`` are fed at run time, their dimensions dynamic where ``dynamic`` names them; constants keep the
    names that ``nodes`` use.
    """

    name: str
    nodes: Sequence[onnx.NodeProto]
    inputs: Mapping[str, np.ndarray]
    constants: Mapping[str, Any] = field(default_factory=dict)
    opset: int = 17
    dynamic: Mapping[str, Sequence[int]] = field(default_factory=dict)
    outputs: int = 1
    tolerance: float = 1e-5

    def save(self, folder: Path) -> Path:
        names = [name for node in self.nodes for name in node.output][-self.outputs :]
        inputs = []
        for name, value in self.inputs.items():
            free = self.dynamic.get(name, ())
            shape = [f"{name}{i}" if i in free else n for i, n in enumerate(value.shape)]
            kind = helper.np_dtype_to_tensor_dtype(value.dtype)
            inputs.append(helper.make_tensor_value_info(name, kind, shape))
        constants = [numpy_helper.from_array(np.asarray(v), name) for name, v in self.constants.items()]
        outputs = [onnx.ValueInfoProto(name=name) for name in names]
        graph = helper.make_graph(list(self.nodes), self.name, inputs, outputs, constants)
        domains = {node.domain for node in self.nodes}
        imports = [helper.make_opsetid("", self.opset)] + [helper.make_opsetid(d, 1) for d in domains if d]
        model = helper.make_model(graph, opset_imports=imports, ir_version=8)
        path = folder / "model.onnx"
        path.write_bytes(model.SerializeToString())
        return path


def node(op: str, *inputs: str, outputs: int = 1, name: str = "", **attributes: Any) -> onnx.NodeProto:
    names = [f"{name or 'y'}{i or ''}" for i in range(outputs)]
    return helper.make_node(op, list(inputs), names, **attributes)


def single(op: str, x: np.ndarray, *constants: Any, label: str = "", opset: int = 17, **attributes: Any) -> Case:
    """One operator on x with constant further inputs (None: omitted)."""
    inputs = ["x"] + ["" if c is None else f"c{i}" for i, c in enumerate(constants)]
    named = {f"c{i}": c for i, c in enumerate(constants) if c is not None}
    return Case(f"{op} {label or attributes}", [node(op, *inputs, **attributes)], {"x": x}, named, opset)


def witness(path: Path, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """ONNX Runtime's outputs; skips the test where it is not installed."""
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # As the graph is written: no fusion to integer arithmetic, no other order of sums.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(str(path), options).run(None, dict(inputs))


def converted(path: Path, level: str = "general") -> tuple[Model, _native.Session]:
    model = load(path)
    optimize(model, level)
    return model, _native.Session(_native.Model.from_buffer(export(model)), threads=1)
