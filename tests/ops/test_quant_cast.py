"""QuantDTypeCast against the formula."""

from __future__ import annotations

import numpy as np
import pytest
from harness import run_op

from converter.exporter import export
from converter.ir.graph import Graph, Model, QuantParam
from lite_runtime import _native
from lite_runtime.errors import ModelFormatError, ShapeError, UnsupportedModelError
from lite_runtime.types import DataType

RNG = np.random.default_rng(8)
INTEGERS = (np.int8, np.uint8, np.int16, np.int32)


def cast(x: np.ndarray, to: type, quant: list[QuantParam], axis: int = 0, threads: int = 1) -> np.ndarray:
    """The operator on x; the integer side has the parameters."""
    graph = Graph("cast")
    value = graph.add_input("x", DataType.of(x.dtype), x.shape)
    source, target = DataType.of(x.dtype), DataType.of(to)
    node = graph.add("QuantDTypeCast", [value], "node", src_t=int(source), dst_t=int(target), axis=axis)
    node.output.dtype = target
    (node.output if source == DataType.FLOAT32 else value).quant = quant
    graph.outputs = [node.output]
    session = _native.Session(_native.Model.from_buffer(export(Model([graph], "test"))), threads=threads)
    session.set_input(0, x)
    session.run()
    return session.output_value(0)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("threads", [1, 3])
def test_to_integers_and_back(dtype: type, threads: int) -> None:
    x = RNG.uniform(-50, 50, (7, 5000)).astype(np.float32)
    limits, zero = np.iinfo(dtype), 3
    scale = np.float32(0.37)
    wanted = np.clip(np.rint(x / scale).astype(np.int64) + zero, limits.min, limits.max).astype(dtype)
    quant = [QuantParam(float(scale), zero)]
    found = cast(x, dtype, quant, threads=threads)
    np.testing.assert_array_equal(found, wanted)
    back = cast(found, np.float32, quant, threads=threads)
    np.testing.assert_allclose(back, (wanted.astype(np.float32) - zero) * scale, rtol=1e-6)


def test_ties_go_to_even_and_nothing_overflows() -> None:
    # Not-a-number becomes the zero point.
    x = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 1e30, -1e30, np.inf, -np.inf, np.nan], np.float32)
    found = cast(x, np.int8, [QuantParam(1.0)])
    assert found.tolist() == [0, 2, 2, 0, -2, 127, -128, 127, -128, 0]


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_parameters_along_an_axis(axis: int) -> None:
    x = RNG.uniform(-9, 9, (3, 4, 5)).astype(np.float32)
    count = x.shape[axis]
    scales, zeros = np.linspace(0.1, 0.9, count).astype(np.float32), np.arange(count)
    shape = [1, 1, 1]
    shape[axis] = count
    s, z = scales.reshape(shape), zeros.reshape(shape)
    quant = [QuantParam(float(a), int(b)) for a, b in zip(scales, zeros)]
    wanted = np.clip(np.rint(x / s) + z, -128, 127).astype(np.int8)
    np.testing.assert_array_equal(cast(x, np.int8, quant, axis), wanted)
    back = cast(wanted, np.float32, quant, axis)
    np.testing.assert_allclose(back, (wanted.astype(np.float32) - z) * s, rtol=1e-6)


def test_corrections() -> None:
    q = np.arange(-8, 8, dtype=np.int8)
    found = cast(q, np.float32, [QuantParam(0.5, 1, var_corr=1.5, mean_corr=-0.25)])
    np.testing.assert_allclose(found, (q.astype(np.float32) - 1) * 0.75 - 0.25, rtol=1e-6)


def test_parameters_as_inputs() -> None:
    q = RNG.integers(-128, 128, (2, 3)).astype(np.int8)
    scales, zeros = np.float32([0.5, 0.25, 2]), np.int32([0, 5, -7])
    means, factors = np.float32([0, 0.5, -1]), np.float32([1, 1.5, 0.5])
    attrs = {"src_t": int(DataType.INT8), "dst_t": int(DataType.FLOAT32), "axis": 1}
    (found,) = run_op("QuantDTypeCast", [q, scales, zeros, means, factors], attrs, constant=(0, 1, 2, 3, 4))
    np.testing.assert_allclose(found, (q.astype(np.float32) - zeros) * scales * factors + means, rtol=1e-6)


def test_refusals() -> None:
    x = np.ones((2, 3), np.float32)
    with pytest.raises(UnsupportedModelError, match="float32 to float16"):
        cast(x, np.float16, [QuantParam(1.0)])
    with pytest.raises(ShapeError, match="no quantisation parameters"):
        cast(x, np.int8, [])
    with pytest.raises(ShapeError, match="the scale 0"):
        cast(x, np.int8, [QuantParam(0.0)])
    with pytest.raises(ModelFormatError, match=r"4 quantisation parameters, which fit no axis of its shape \[2, 3\]"):
        cast(x, np.int8, [QuantParam(1.0)] * 4)
