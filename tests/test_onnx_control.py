"""If, Loop and Scan against ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_cases import F32, Case, converted, floats, node, witness
from onnx_suite import run
from support import assert_close


class TestControlFlow:
    @staticmethod
    def graph(name: str, nodes: list[onnx.NodeProto], inputs: list[Any], outputs: list[Any], **constants: Any) -> Any:
        kept = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
        return helper.make_graph(nodes, name, inputs, outputs, kept)

    @staticmethod
    def value(name: str, kind: int = TensorProto.FLOAT, shape: Any = None) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    def check(self, case: Case, folder: Path, *feeds: Mapping[str, np.ndarray]) -> None:
        path = case.save(folder)
        for level in ("none", "general"):
            _, session = converted(path, level)
            for feed in feeds:
                for actual, expected in zip(run(session, list(feed.values())), witness(path, feed)):
                    assert_close(actual, expected, 1e-5, case.name)

    def test_branches_with_weights_and_captures(self, tmp_path: Path) -> None:
        v = self.value
        then = self.graph("then", [node("MatMul", "h", "w", name="t")], [], [v("t")], w=floats(4, 4))
        inner_then = self.graph("inner_then", [node("Add", "h", "x", name="it")], [], [v("it")])
        inner_else = self.graph("inner_else", [node("Mul", "h", "half", name="ie")], [], [v("ie")], half=F32(0.5))
        other = self.graph(
            "else",
            [
                node("ReduceMax", "h", name="m", keepdims=0),
                node("Less", "m", "limit", name="small"),
                node("If", "small", name="e", then_branch=inner_then, else_branch=inner_else),
            ],
            [],
            [v("e")],
            limit=F32(1.0),
        )
        nodes = [
            node("Relu", "x", name="h"),
            node("ReduceSum", "x", name="s", keepdims=0),
            node("Greater", "s", "zero", name="c"),
            node("If", "c", name="r", then_branch=then, else_branch=other),
            node("Neg", "r"),
        ]
        case = Case("if", nodes, {"x": floats(3, 4)}, {"zero": F32(0)})
        ones = np.ones((3, 4), F32)
        self.check(case, tmp_path, {"x": ones}, {"x": -ones}, {"x": np.where(np.eye(3, 4) > 0, 5, -9).astype(F32)})

    def test_a_known_condition_leaves_no_branch(self, tmp_path: Path) -> None:
        then = self.graph("then", [node("Neg", "x", name="t")], [], [self.value("t")])
        other = self.graph("else", [node("Unknown", "x", name="e", domain="nowhere")], [], [self.value("e")])
        case = Case(
            "if", [node("If", "c", then_branch=then, else_branch=other)], {"x": floats(3)}, {"c": np.array(True)}
        )
        path = case.save(tmp_path)
        model, session = converted(path)
        assert len(model.graphs) == 1
        assert_close(run(session, [case.inputs["x"]])[0], -case.inputs["x"])

    def loop_case(self, body_nodes: list[onnx.NodeProto], outputs: list[Any], count: int, **constants: Any) -> Any:
        v = self.value
        inputs = [v("i", TensorProto.INT64, []), v("go", TensorProto.BOOL, []), v("s")]
        return self.graph("body", body_nodes, inputs, outputs, **constants)

    def test_loop_until_a_condition(self, tmp_path: Path) -> None:
        """s = s W while the sum of squares is below a limit; W is captured, the count is the second state."""
        v = self.value
        body = self.graph(
            "body",
            [
                node("MatMul", "s", "w", name="s2"),
                node("Mul", "s2", "s2", name="sq"),
                node("ReduceSum", "sq", name="norm", keepdims=0),
                node("Less", "norm", "limit", name="go2"),
                node("Add", "n", "one", name="n2"),
            ],
            [v("i", TensorProto.INT64, []), v("go", TensorProto.BOOL, []), v("s"), v("n", TensorProto.INT64, [])],
            [v("go2", TensorProto.BOOL), v("s2"), v("n2", TensorProto.INT64)],
            limit=F32(1e4),
            one=np.array(1),
        )
        nodes = [helper.make_node("Loop", ["", "go", "x", "zero"], ["y", "count"], body=body)]
        constants = {"w": np.eye(4, dtype=F32) * 1.7, "zero": np.array(0), "go": np.array(True)}
        case = Case("while", nodes, {"x": floats(3, 4)}, constants, outputs=2)
        self.check(case, tmp_path, {"x": floats(3, 4)}, {"x": floats(3, 4) * 0.01}, {"x": floats(3, 4) * 99})

    @pytest.mark.parametrize("known", [True, False])
    def test_loop_that_collects(self, known: bool, tmp_path: Path) -> None:
        """Running sums of rows, and each of them."""
        v = self.value
        body = self.graph(
            "body",
            [
                node("Gather", "x", "i", name="row"),
                node("Add", "s", "row", name="s2"),
                node("Identity", "go", name="go2"),
                node("Mul", "s2", "two", name="out"),
            ],
            [v("i", TensorProto.INT64, []), v("go", TensorProto.BOOL, []), v("s", shape=[4])],
            [v("go2", TensorProto.BOOL), v("s2", shape=[4]), v("out", shape=[4])],
            two=F32(2),
        )
        nodes = [helper.make_node("Loop", ["n", "", "zero"], ["y", "all"], body=body)]
        x, zero = floats(5, 4), np.zeros(4, F32)
        if known:
            case = Case("for", nodes, {"x": x}, {"n": np.array(5), "zero": zero}, outputs=2)
            self.check(case, tmp_path, {"x": x})
            return
        case = Case("for", nodes, {"n": np.array(5), "x": x}, {"zero": zero}, outputs=2)
        self.check(case, tmp_path, {"n": np.array(5), "x": x}, {"n": np.array(2), "x": x})

    @pytest.mark.parametrize("steps", [4, 100])
    def test_scan(self, steps: int, tmp_path: Path) -> None:
        """Backwards over the second axis, collected along the last one."""
        v = self.value
        body = self.graph(
            "body",
            [node("Add", "s", "e", name="s2"), node("Mul", "s2", "e", name="out")],
            [v("s", shape=[3]), v("e", shape=[3])],
            [v("s2", shape=[3]), v("out", shape=[3])],
        )
        attributes = {
            "scan_input_axes": [1],
            "scan_input_directions": [1],
            "scan_output_axes": [1],
            "scan_output_directions": [1],
        }
        nodes = [helper.make_node("Scan", ["zero", "x"], ["y", "all"], body=body, num_scan_inputs=1, **attributes)]
        case = Case("scan", nodes, {"x": floats(3, steps)}, {"zero": np.zeros(3, F32)}, outputs=2)
        self.check(case, tmp_path, case.inputs)
