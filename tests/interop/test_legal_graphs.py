"""Graphs that MindSpore Lite's runtime refuses or computes wrongly as they are, and runs after the passes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from in_mindspore_lite import run
from support import assert_all_close

from converter.engine import evaluate
from converter.exporter import export
from converter.ir.graph import Graph, Model, Value
from converter.passes import optimize
from converter.passes.fuse_activation import _FUSED, _FUSING
from lite_runtime.types import DataType

pytestmark = pytest.mark.interop

RNG = np.random.default_rng(21)


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


class Net:
    def __init__(self, *shape: int) -> None:
        self.graph = Graph("main")
        self.x = self.graph.add_input("x", DataType.FLOAT32, shape)

    def add(self, op: str, *inputs: Any, **attrs: Any) -> Value:
        name = f"{op}{len(self.graph.nodes)}"
        values = [v if isinstance(v, Value) else self.graph.constant(f"{name}_{i}", v) for i, v in enumerate(inputs)]
        return self.graph.add(op, values, name, **attrs).output


def same_answers(net: Net, outputs: list[Value], folder: Path, level: str) -> None:
    """Runs the passes and compares MindSpore Lite with the runtime on the graph as it was."""
    net.graph.outputs = outputs
    feed = floats(*(net.x.shape or ()))
    expected = evaluate(net.graph, [feed])
    model = Model([net.graph], "hand-made", channels_last=True)
    optimize(model, level)
    path = folder / "model.ms"
    path.write_bytes(export(model))
    assert_all_close(run(path, [feed], folder), expected, level)


def shared_product_constants(net: Net) -> list[Value]:
    weight = net.graph.constant("weight", floats(4, 4))
    products = [net.add("MatMulFusion", net.x, weight, transpose_b=flag) for flag in (False, True, False)]
    dense = net.add("FullConnection", net.x, weight, floats(4), has_bias=True, use_axis=True, axis=1)
    return [*products, net.add("MatMulFusion", weight, net.x), dense]


def outputs_of_all_kinds(net: Net) -> list[Value]:
    y = net.add("Abs", net.x)
    return [y, y, net.x, net.graph.constant("constant", floats(3))]


def wide_padding(net: Net) -> list[Value]:
    window = {"kernel_size": [3, 3], "stride": [1, 1], "dilation": [1, 1], "pad_list": [0, 1, 2, 3]}
    weight = {"group": 1, "in_channel": 4, "out_channel": 6}
    return [net.add("Conv2DFusion", net.x, floats(6, 3, 3, 4), **window, **weight)]


def only_inputs(net: Net) -> list[Value]:
    net.add("Abs", net.x)  # dropped by the passes
    return [net.x]


CASES: dict[str, tuple[tuple[int, ...], Callable[[Net], list[Value]]]] = {
    "shared constants of products": ((4, 4), shared_product_constants),
    "outputs of all kinds": ((2, 3), outputs_of_all_kinds),
    "an input as only output": ((2, 3), only_inputs),
    "padding wider than the kernel": ((1, 8, 8, 4), wide_padding),
}


@pytest.mark.parametrize("level", ["none", "general"])
@pytest.mark.parametrize("case", CASES)
def test_legalised(case: str, level: str, tmp_path: Path) -> None:
    shape, build = CASES[case]
    net = Net(*shape)
    same_answers(net, build(net), tmp_path, level)


def test_transpose_of_seven_dimensions(tmp_path: Path) -> None:
    net = Net(2, 3, 1, 2, 2, 1, 3)
    same_answers(net, [net.add("Transpose", net.x, ints(4, 6, 2, 0, 1, 5, 3))], tmp_path, "general")


def test_activations_the_rules_make(tmp_path: Path) -> None:
    net = Net(3, 8)
    plain = ("RELU", "RELU6", "HSIGMOID", "HSWISH", "SWISH", "SOFTPLUS", "GELU")
    outputs = [net.add("Activation", net.x, activation_type=name) for name in plain]
    outputs += [
        net.add("Activation", net.x, activation_type="GELU", approximate=True),
        net.add("Activation", net.x, activation_type="LEAKY_RELU", alpha=0.1),
        net.add("LayerNormFusion", net.x, floats(8), floats(8), begin_norm_axis=1, begin_params_axis=1, epsilon=1e-5),
    ]
    same_answers(net, outputs, tmp_path, "none")


def test_activations_are_fused_only_where_they_are_honoured(tmp_path: Path) -> None:
    net = Net(1, 6, 6, 4)
    window = {"kernel_size": [3, 3], "stride": [1, 1], "dilation": [1, 1], "pad_list": [1, 1, 1, 1]}
    conv = {**window, "group": 1, "in_channel": 4, "out_channel": 4}
    makers: dict[str, Callable[[], Value]] = {
        "AddFusion": lambda: net.add("AddFusion", net.x, floats(1, 1, 1, 4)),
        "Conv2DFusion": lambda: net.add("Conv2DFusion", net.x, floats(4, 3, 3, 4), floats(4), **conv),
        "Conv2dTransposeFusion": lambda: net.add(
            "Conv2dTransposeFusion", net.x, floats(4, 3, 3, 4), floats(4), **conv, output_paddings=[0, 0]
        ),
        "FullConnection": lambda: net.add(
            "FullConnection", net.add("Reshape", net.x, ints(36, 4)), floats(4, 4), floats(4), has_bias=True, axis=1
        ),
        "MatMulFusion": lambda: net.add("MatMulFusion", net.x, floats(4, 4), floats(4)),
        "MulFusion": lambda: net.add("MulFusion", net.x, floats(1, 1, 1, 4)),
        "ScaleFusion": lambda: net.add("ScaleFusion", net.x, floats(4), floats(4), axis=3),
        "SubFusion": lambda: net.add("SubFusion", net.x, floats(1, 1, 1, 4)),
        "DivFusion": lambda: net.add("DivFusion", net.x, floats(1, 1, 1, 4)),
    }
    assert makers.keys() >= _FUSING
    outputs = [
        net.add("Activation", make(), activation_type=activation) for make in makers.values() for activation in _FUSED
    ]
    same_answers(net, outputs, tmp_path, "general")
