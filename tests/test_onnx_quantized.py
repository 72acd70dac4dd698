"""Quantised ONNX models against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper
from onnx_cases import F32, I64, RNG, Case, converted, floats, node, witness
from onnx_suite import run
from support import assert_close

import converter
import lite_runtime
from converter.ir.graph import Model


class TestQuantized:
    """Models with quantised weights and activations keep their integers and give the same answers."""

    @staticmethod
    def weights(shape: tuple[int, ...], axis: int | None, dtype: type = np.int8) -> dict[str, np.ndarray]:
        limits = np.iinfo(dtype)
        count = () if axis is None else (shape[axis],)
        return {
            "w": RNG.integers(limits.min, limits.max, shape).astype(dtype),
            "ws": np.asarray(RNG.uniform(0.001, 0.01, count), F32),
            "wz": np.asarray(RNG.integers(-3, 4, count) + (0 if dtype == np.int8 else 128)).astype(dtype),
        }

    @staticmethod
    def stored(model: Model) -> list[tuple[str, int]]:
        """Operators that read constants stored as int8, and how many scales these have."""
        return [
            (n.op, len(v.quant))
            for n in model.main.nodes
            for v in n.inputs
            if v.is_const and v.quant and v.data is not None and v.data.dtype == np.int8
        ]

    @pytest.mark.parametrize("dtype", [np.int8, np.uint8])
    @pytest.mark.parametrize("axis", [0, None])
    def test_convolution(self, dtype: type, axis: int | None, tmp_path: Path) -> None:
        constants = {
            **self.weights((4, 3, 3, 3), axis, dtype),
            "xs": np.array(0.02, F32),
            "xz": np.array(7, dtype),
            "b": RNG.integers(-500, 500, 4).astype(np.int32),
            "bs": np.full(4, 0.02 * 0.005, F32),
        }
        nodes = [
            node("QuantizeLinear", "x", "xs", "xz", name="q"),
            node("DequantizeLinear", "q", "xs", "xz", name="d"),
            node("DequantizeLinear", "w", "ws", "wz", name="wd", **({} if axis is None else {"axis": axis})),
            node("DequantizeLinear", "b", "bs", name="bd", axis=0),
            node("Conv", "d", "wd", "bd", name="c", pads=[1, 1, 1, 1]),
            node("Relu", "c"),
        ]
        case = Case("conv", nodes, {"x": floats(2, 3, 6, 5)}, constants)
        path = case.save(tmp_path)
        model, session = converted(path)
        assert self.stored(model) == [("Conv2DFusion", 1 if axis is None else 4)]
        casts = [n for n in model.main.nodes if n.op == "QuantDTypeCast"]
        assert len(casts) == 2
        shift = 128 if dtype == np.uint8 else 0
        assert [(q.scale, q.zero_point) for q in casts[0].output.quant] == [(pytest.approx(0.02), 7 - shift)]
        assert_close(run(session, [case.inputs["x"]])[0], witness(path, case.inputs)[0], 1e-5)

    @pytest.mark.parametrize("transposed", [False, True])
    def test_matrix_product(self, transposed: bool, tmp_path: Path) -> None:
        constants = self.weights((16, 8) if transposed else (8, 16), 0 if transposed else 1)
        nodes = [node("DequantizeLinear", "w", "ws", "wz", name="d", axis=0 if transposed else 1)]
        nodes += [node("Transpose", "d", name="t", perm=[1, 0])] if transposed else []
        nodes.append(node("MatMul", "x", "t" if transposed else "d"))
        case = Case("matmul", nodes, {"x": floats(3, 8)}, constants)
        path = case.save(tmp_path)
        model, session = converted(path)
        assert self.stored(model) == [("MatMulFusion", 16)]
        assert_close(run(session, [case.inputs["x"]])[0], witness(path, case.inputs)[0], 1e-5)

    def test_blocks(self, tmp_path: Path) -> None:
        """Scales for every 4 rows: the numbers are right, the storage is float."""
        constants = {
            "w": RNG.integers(-99, 99, (8, 6)).astype(np.int8),
            "s": np.asarray(RNG.uniform(0.1, 1, (2, 6)), F32),
        }
        nodes = [node("DequantizeLinear", "w", "s", name="d", axis=0, block_size=4), node("MatMul", "x", "d")]
        case = Case("blocks", nodes, {"x": floats(3, 8)}, constants, opset=21)
        path = case.save(tmp_path)
        _, session = converted(path)
        assert_close(run(session, [case.inputs["x"]])[0], witness(path, case.inputs)[0], 1e-5)

    def test_embedding_and_scaled_cast(self, tmp_path: Path) -> None:
        """Integers times a scale, spelled out: rows of an embedding and the weights of a product."""
        constants = {
            "e": RNG.integers(-127, 127, (300, 8)).astype(np.int8),
            "es": np.asarray(RNG.uniform(0.01, 0.1, (300, 1)), F32),
            "w": RNG.integers(-127, 127, (8, 160)).astype(np.int8),
            "ws": np.asarray(RNG.uniform(0.01, 0.1, (160,)), F32),
        }
        nodes = [
            node("Cast", "e", name="ef", to=1),
            node("Mul", "ef", "es", name="ed"),
            node("Gather", "ed", "x", name="g"),
            node("Cast", "w", name="wf", to=1),
            node("Mul", "wf", "ws", name="wd"),
            node("MatMul", "g", "wd"),
        ]
        case = Case("embedding", nodes, {"x": RNG.integers(-300, 300, (2, 5))}, constants)
        path = case.save(tmp_path)
        model, session = converted(path)
        assert self.stored(model) == [("MatMulFusion", 160)]
        assert any(
            n.op == "Gather" and n.inputs[0].data is not None and n.inputs[0].data.dtype == np.int8
            for n in model.main.nodes
        )
        assert_close(run(session, [case.inputs["x"]])[0], witness(path, case.inputs)[0], 1e-5)

    @pytest.mark.parametrize("depth", [6, 700])
    def test_integer_product_is_exact(self, depth: int, tmp_path: Path) -> None:
        """Also where the sums leave the range in which float32 is exact."""
        x = RNG.integers(0, 256, (3, depth)).astype(np.uint8)
        x[0] = 255
        w = RNG.integers(-128, 128, (depth, 5)).astype(np.int8)
        w[:, 0] = 127
        constants = {"w": w, "xz": np.array(3, np.uint8), "wz": np.array([1, 0, -2, 5, 7], np.int8)}
        case = Case("integers", [node("MatMulInteger", "x", "w", "xz", "wz")], {"x": x}, constants)
        path = case.save(tmp_path)
        _, session = converted(path)
        expected = (x.astype(I64) - 3) @ (w.astype(I64) - constants["wz"])
        np.testing.assert_array_equal(run(session, [x])[0], expected)

    def test_dynamic_quantisation(self, tmp_path: Path) -> None:
        constants = {
            "w": RNG.integers(-128, 128, (12, 7)).astype(np.int8),
            "wz": np.array(0, np.int8),
            "ws": np.array(0.03, F32),
        }
        nodes = [
            helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
            node("MatMulInteger", "q", "w", "z", "wz", name="i"),
            node("Cast", "i", name="f", to=1),
            node("Mul", "s", "ws", name="scale"),
            node("Mul", "f", "scale"),
        ]
        case = Case("dynamic", nodes, {"x": floats(4, 12)}, constants)
        path = case.save(tmp_path)
        report = converter.convert(path, tmp_path / "dynamic.ms")
        x = case.inputs["x"]
        assert_close(lite_runtime.load(report.output)(x), witness(path, case.inputs)[0], 1e-6)

    def test_quantised_operators(self, tmp_path: Path) -> None:
        u8 = lambda v: np.array(v, np.uint8)  # noqa: E731
        constants = {
            "xs": np.array(0.02, F32),
            "xz": u8(120),
            "w": RNG.integers(-128, 128, (4, 3, 3, 3)).astype(np.int8),
            "ws": np.asarray(RNG.uniform(0.001, 0.01, 4), F32),
            "wz": np.zeros(4, np.int8),
            "ys": np.array(0.05, F32),
            "yz": u8(110),
            "b": RNG.integers(-500, 500, 4).astype(np.int32),
        }
        x = RNG.integers(0, 256, (1, 3, 6, 5)).astype(np.uint8)
        inputs = ("x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b")
        case = Case("qlinear", [node("QLinearConv", *inputs, strides=[2, 1])], {"x": x}, constants)
        path = case.save(tmp_path)
        _, session = converted(path)
        found, expected = run(session, [x])[0].astype(int), witness(path, case.inputs)[0].astype(int)
        # The scale is multiplied in another order, which may turn one tie.
        assert np.abs(found - expected).max() <= 1
