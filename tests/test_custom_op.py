"""Custom operators written in Python, from registration to a run."""

from __future__ import annotations

import numpy as np
import pytest

import lite_runtime
from converter.exporter import export
from converter.ir.graph import Graph, Model
from lite_runtime.types import DataType


def _custom_model(kind: str, attributes: dict[str, str], outputs: int = 1) -> bytes:
    graph = Graph("main")
    x = graph.add_input("x", DataType.FLOAT32, (2, 3))
    attr = [{"name": k, "data": v.encode()} for k, v in attributes.items()]
    node = graph.add("Custom", [x], "custom", outputs=outputs, type=kind, attr=attr)
    for value in node.outputs:
        value.dtype = DataType.FLOAT32
    graph.outputs = list(node.outputs)
    return export(Model([graph]))


def _predictor(data: bytes, tmp_path) -> lite_runtime.Predictor:
    path = tmp_path / "custom.ms"
    path.write_bytes(data)
    return lite_runtime.load(path)


def test_runs_with_attributes(tmp_path):
    lite_runtime.register_op("Power", infer=lambda x, exponent: x, compute=lambda x, exponent: x ** int(exponent))
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(_predictor(_custom_model("Power", {"exponent": "3"}), tmp_path)(x), x**3)


def test_several_outputs_of_other_shape_and_dtype(tmp_path):
    lite_runtime.register_op(
        "SumAndCount",
        infer=lambda x: [((), np.float32), ((1,), np.int32)],
        compute=lambda x: [x.sum(dtype=np.float32), np.array([x.size], np.int32)],
    )
    predictor = _predictor(_custom_model("SumAndCount", {}, outputs=2), tmp_path)
    total, count = predictor(np.ones((2, 3), np.float32))
    assert total == 6 and count.tolist() == [6] and count.dtype == np.int32


def test_unregistered_type_is_named(tmp_path):
    with pytest.raises(lite_runtime.UnsupportedModelError, match="'NeverRegistered'"):
        _predictor(_custom_model("NeverRegistered", {}), tmp_path)


def test_exception_in_compute_reaches_the_caller(tmp_path):
    def compute(x):
        raise KeyError("no such thing")

    lite_runtime.register_op("Failing", infer=lambda x: x, compute=compute)
    with pytest.raises(lite_runtime.ExecutionError, match="KeyError: 'no such thing'"):
        _predictor(_custom_model("Failing", {}), tmp_path)(np.ones((2, 3), np.float32))


def test_wrong_result_shape_is_refused(tmp_path):
    lite_runtime.register_op("Shrinking", infer=lambda x: x, compute=lambda x: x[:1])
    with pytest.raises(lite_runtime.ExecutionError, match="was inferred"):
        _predictor(_custom_model("Shrinking", {}), tmp_path)(np.ones((2, 3), np.float32))


def test_kernels_for_ascend_are_refused_with_the_way_out():
    with pytest.raises(lite_runtime.LiteRuntimeError, match=r"Ascend.*register_op"):
        lite_runtime.install_custom_kernels()
