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
from converter.passes.lite_layout import _CHANNELS_LAST
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


# The Transpose, and what its Reshape's target is. All but the last leave the shape as it was.
_SQUARE = {
    "two of three": ((8, 8, 6), (1, 0, 2), (64, 6)),
    "two of two": ((8, 8), (1, 0), (64,)),
    "windows of an image": ((1, 4, 4, 4, 4, 6), (0, 1, 3, 2, 4, 5), (16, 16, 6)),
    "channels first": ((1, 8, 8, 8), (0, 3, 1, 2), (8, 64)),
    "sizes taken over": ((8, 8, 6), (1, 0, 2), (0, -1)),
    "another shape": ((4, 8, 6), (1, 0, 2), (32, 6)),
}


@pytest.mark.parametrize("level", ["none", "general"])
@pytest.mark.parametrize("case", _SQUARE)
def test_transposes_that_leave_the_shape(case: str, level: str, tmp_path: Path) -> None:
    shape, perm, target = _SQUARE[case]
    net = Net(*shape)
    turned = net.add("Transpose", net.add("Abs", net.x), ints(*perm))
    same_answers(net, [net.add("Abs", net.add("Reshape", turned, ints(*target)))], tmp_path, level)


def _window(net: Net, value: Value, op: str) -> Value:
    conv = {"kernel_size": [1, 1], "stride": [1, 1], "dilation": [1, 1], "group": 1, "in_channel": 8, "out_channel": 4}
    if op == "Conv2DFusion":
        return net.add(op, value, floats(4, 1, 1, 8), **conv)
    if op == "Conv2dTransposeFusion":
        return net.add(op, value, floats(8, 1, 1, 4), **conv, output_paddings=[0, 0])
    if op == "PReLUFusion":
        return net.add(op, value, floats(8))
    if op == "Resize":
        sizes = {"new_height": 4, "new_width": 4, "coordinate_transform_mode": "ALIGN_CORNERS"}
        return net.add(op, value, method="LINEAR", format="NHWC", **sizes)
    if op in ("DepthToSpace", "SpaceToDepth"):
        return net.add(op, value, block_size=2, format="NHWC")
    return net.add(op, value, kernel_size=[2, 2], strides=[2, 2], pad=[0, 0, 0, 0], pad_mode="VALID", format="NHWC")


@pytest.mark.parametrize("op", sorted(_CHANNELS_LAST))
@pytest.mark.parametrize("way", ["a view", "two views", "a constant and a view", "rows of channels"])
def test_channels_last_by_views(way: str, op: str, tmp_path: Path) -> None:
    net = Net(1, 2, 2, 8)
    value = net.add("Abs", net.add("Transpose", net.x, ints(0, 3, 1, 2)))
    if way == "two views":
        value = net.add("Abs", net.add("Reshape", value, ints(1, 8, 4)))
    if way == "a constant and a view":
        value = net.add("AddFusion", floats(1, 8, 2, 2), value)
    if way == "rows of channels":
        value = net.add("Transpose", net.add("Reshape", net.x, ints(1, 4, 8)), ints(0, 2, 1))
    same_answers(net, [_window(net, net.add("Reshape", value, ints(1, 2, 2, 8)), op)], tmp_path, "none")


def test_pooled_to_one_pixel(tmp_path: Path) -> None:
    net = Net(1, 6, 6, 8)
    value = net.add("Sqrt", net.add("Abs", net.add("Transpose", net.x, ints(0, 3, 1, 2))))
    value = net.add("RealDiv", net.add("Reshape", value, ints(1, 4, 72)), floats(1, 4, 1))
    value = net.add("ReduceFusion", net.add("Reshape", value, ints(1, 8, 6, 6)), ints(2, 3), keep_dims=True)
    value = net.add("Transpose", value, ints(0, 2, 3, 1))
    same_answers(net, [_window(net, value, "Conv2DFusion")], tmp_path, "general")
