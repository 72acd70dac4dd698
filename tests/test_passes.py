"""Passes one by one: what they change, what they leave alone, and that the answers stay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import CORPUS, DATA

from converter.engine import evaluate, infer_shapes
from converter.errors import InvalidGraphError, UsageError
from converter.exporter import export
from converter.importers import mindir
from converter.ir.graph import Graph, Model, QuantParam, Value
from converter.ir.verify import verify
from converter.passes import optimize
from converter.passes.common import merge_equal_constants, merge_equal_nodes
from converter.passes.fold_affine import fold_affine, scale_batch_norms
from converter.passes.fold_constants import fold_constants
from converter.passes.fuse_activation import fuse_activation
from converter.passes.legalize import (
    channels_last_inputs,
    complete_attributes,
    distinct_outputs,
    explicit_padding,
    narrow_integers,
    separate_matmul_constants,
)
from converter.passes.manager import VERIFY_VARIABLE, Pass, Repeat, run_passes
from converter.passes.no_ops import merge_views, remove_no_ops
from converter.passes.transposes import absorb_into_matmul, merge_transposes, reshape_unit_transposes
from lite_runtime.types import DataType

RNG = np.random.default_rng(11)


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


class Net:
    """A graph with one input, and constants made of arrays on the way."""

    def __init__(self, *shape: int) -> None:
        self.graph = Graph("main")
        self.x = self.graph.add_input("x", DataType.FLOAT32, shape)
        self.model = Model([self.graph], "net")
        self._count = 0

    def add(self, op: str, *inputs: Any, outputs: int = 1, **attrs: Any) -> Any:
        self._count += 1
        name = f"{op}{self._count}"
        values = [v if isinstance(v, Value) else self.graph.constant(f"{name}_{i}", v) for i, v in enumerate(inputs)]
        node = self.graph.add(op, values, name, outputs=outputs, **attrs)
        return node.output if outputs == 1 else node.outputs

    def finish(self, *outputs: Value) -> Net:
        self.graph.outputs = list(outputs)
        infer_shapes(self.model)
        return self

    @property
    def ops(self) -> list[str]:
        return [n.op for n in self.graph.nodes]

    def check(self, *passes: Callable[[Any], bool], changes: bool = True) -> list[str]:
        """Runs passes of the graph (or of the model); the answers and output names must stay."""
        names = [v.name for v in self.graph.outputs]
        feeds = [floats(*(abs(d) for d in v.shape or ())) for v in self.graph.inputs]
        shapes = [v.shape for v in self.graph.inputs]
        expected = evaluate(self.graph, feeds)
        for value, shape in zip(self.graph.inputs, shapes):
            value.shape = shape
        takes_model = {fold_constants, merge_equal_constants, distinct_outputs}
        modified = [p(self.model if p in takes_model else self.graph) for p in passes]
        assert any(modified) == changes
        self.graph.cleanup()
        verify(self.model)
        for got, want in zip(evaluate(self.graph, feeds), expected):
            assert got.shape == want.shape
            # Folding rounds weights once more.
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5 * max(1, np.abs(want).max()))
        assert [v.name for v in self.graph.outputs] == names
        return self.ops


# ---- constants ----


def test_constant_expressions_are_computed() -> None:
    net = Net(2, 3)
    c = net.add("AddFusion", floats(3), net.add("MulFusion", floats(3), floats(1)))
    net.finish(net.add("AddFusion", net.x, net.add("Abs", c)))
    assert net.check(fold_constants) == ["AddFusion"]


def test_shapes_of_known_tensors_are_constants() -> None:
    net = Net(2, 3, 4)
    size = net.add("StridedSlice", net.add("Shape", net.x), ints(0), ints(1), ints(1))
    net.finish(net.add("Reshape", net.x, net.add("Concat", size, ints(-1), axis=0)))
    assert net.check(fold_constants) == ["Reshape"]
    assert net.graph.nodes[0].inputs[1].data.tolist() == [2, -1]


def test_shapes_of_unknown_tensors_are_not() -> None:
    net = Net(-1, 3)
    net.finish(net.add("Shape", net.add("Abs", net.x)))
    assert net.check(fold_constants, changes=False) == ["Abs", "Shape"]


def test_large_fillings_stay_computed() -> None:
    net = Net(1)
    net.finish(net.add("AddFusion", net.x, net.add("Concat", *[floats(1)] * 8, axis=0)))
    assert net.check(fold_constants) == ["AddFusion"]
    net = Net(1)
    filled = net.add("BroadcastTo", floats(1), shape=[1 << 20])
    net.finish(net.add("ReduceFusion", net.add("AddFusion", net.x, filled), ints(0), mode="ReduceMax"))
    assert net.check(fold_constants, changes=False) == ["BroadcastTo", "AddFusion", "ReduceFusion"]


def test_equal_nodes_and_constants_are_one() -> None:
    net = Net(2, 3)
    a, b = net.add("AddFusion", net.x, ints(1, 2, 3).astype(np.float32)), net.add("Abs", net.x)
    c = net.add("AddFusion", net.x, ints(1, 2, 3).astype(np.float32))
    net.finish(net.add("MulFusion", net.add("SubFusion", a, b), net.add("SubFusion", c, net.add("Abs", net.x))))
    assert net.check(merge_equal_constants, merge_equal_nodes, merge_equal_nodes) == [
        "AddFusion",
        "Abs",
        "SubFusion",
        "MulFusion",
    ]


def test_random_numbers_are_never_merged_or_folded() -> None:
    net = Net(3)
    a, b = (net.add("RandomStandardNormal", ints(3)) for _ in range(2))
    net.graph.outputs = [net.add("SubFusion", a, b)]
    assert not fold_constants(net.model)
    assert not merge_equal_nodes(net.graph)


# ---- operators that do nothing ----

NO_OPS: list[tuple[str, dict[str, Any], list[Any]]] = [
    ("Reshape", {}, [ints(2, 3, 4)]),
    ("TileFusion", {}, [ints(1, 1, 1)]),
    ("SliceFusion", {"axes": [0, 1, 2]}, [ints(0, 0, 0), ints(2, 3, 4)]),
    ("StridedSlice", {}, [ints(0, 0), ints(2, 3), ints(1, 1)]),
    ("PadFusion", {}, [np.zeros((3, 2), np.int32)]),
    ("Concat", {"axis": 1}, []),
    ("BroadcastTo", {"shape": [2, 3, 4]}, []),
]


@pytest.mark.parametrize(("op", "attrs", "constants"), NO_OPS, ids=[n[0] for n in NO_OPS])
def test_operators_that_do_nothing_are_removed(op: str, attrs: dict[str, Any], constants: list[Any]) -> None:
    net = Net(2, 3, 4)
    net.finish(net.add("Abs", net.add(op, net.add("Sin", net.x), *constants, **attrs)))
    assert net.check(remove_no_ops) == ["Sin", "Abs"]


def test_operators_that_only_keep_the_shape_stay() -> None:
    net = Net(2, 3)
    flipped = net.add("StridedSlice", net.x, ints(-1, 0), ints(-3, 3), ints(-1, 1))
    along = net.add("StridedSlice", flipped, ints(-1), ints(-4), ints(1), ints(-1))
    net.finish(net.add("Abs", along))
    assert net.check(remove_no_ops, changes=False) == ["StridedSlice", "StridedSlice", "Abs"]


def test_chains_of_reshapes_are_one() -> None:
    net = Net(2, 3, 4)
    y = net.add("Squeeze", net.add("ExpandDims", net.x, ints(1)), axis=[1])
    net.finish(net.add("Reshape", net.add("Flatten", y), ints(4, 6)))
    assert net.check(merge_views, merge_views) == ["Reshape"]


def test_chains_of_reshapes_with_an_unknown_dimension_are_one() -> None:
    net = Net(-1, 3, 4)
    net.finish(net.add("Reshape", net.add("Flatten", net.x), ints(-1, 4, 3)))
    assert net.check(merge_views) == ["Reshape"]
    assert net.graph.nodes[0].inputs[1].data.tolist() == [-1, 4, 3]


# ---- transposes ----


def test_transposes_in_a_row_are_one_or_none() -> None:
    net = Net(2, 3, 4)
    y = net.add("Transpose", net.add("Transpose", net.x, ints(1, 2, 0)), ints(1, 0, 2))
    net.finish(net.add("Abs", y), net.add("Sin", net.add("Transpose", y, ints(1, 2, 0))))
    net.check(merge_transposes, merge_transposes)
    assert net.ops.count("Transpose") == 2
    net = Net(2, 3)
    net.finish(net.add("Abs", net.add("Transpose", net.add("Transpose", net.x, ints(1, 0)), ints(1, 0))))
    assert net.check(merge_transposes) == ["Abs"]


def test_a_transpose_of_other_length_is_left_alone() -> None:
    """MindSpore Lite ignores a permutation that does not fit the rank; so must everything here."""
    net = Net(2, 3)
    net.finish(net.add("Transpose", net.add("Transpose", net.x, ints(0, 2, 3, 1)), ints(1, 0)))
    assert net.check(merge_transposes, reshape_unit_transposes, changes=False) == ["Transpose", "Transpose"]


def test_transposes_of_one_element_dimensions_are_reshapes() -> None:
    net = Net(2, 1, 1, 4)
    net.finish(net.add("Transpose", net.x, ints(0, 3, 1, 2)))
    assert net.check(reshape_unit_transposes) == ["Reshape"]


@pytest.mark.parametrize("flags", [(False, False), (True, False), (False, True), (True, True)])
def test_products_exchange_rows_and_columns_themselves(flags: tuple[bool, bool]) -> None:
    net = Net(2, 4, 4)
    left = net.add("Transpose", net.x, ints(0, 2, 1))
    right = net.add("Transpose", net.add("Abs", net.x), ints(0, 2, 1))
    net.finish(net.add("MatMulFusion", left, right, transpose_a=flags[0], transpose_b=flags[1]))
    assert net.check(absorb_into_matmul) == ["Abs", "MatMulFusion"]


# ---- affine folding ----


def conv(net: Net, x: Value, **attrs: Any) -> Value:
    window = {"kernel_size": [3, 3], "stride": [1, 1], "dilation": [1, 1], "pad_list": [1, 1, 1, 1]}
    return net.add("Conv2DFusion", x, floats(6, 3, 3, 4), **window, group=1, in_channel=4, out_channel=6, **attrs)


def deconv(group: int) -> Callable[[Net, Value], Value]:
    def make(net: Net, x: Value) -> Value:
        window = {"kernel_size": [2, 2], "stride": [2, 2], "dilation": [1, 1], "pad_list": [0, 0, 0, 0]}
        outputs = 4 if group == 4 else 6
        channels = {"group": group, "in_channel": 4, "out_channel": outputs}
        return net.add(
            "Conv2dTransposeFusion",
            x,
            floats(4, 2, 2, outputs // group),
            floats(outputs),
            **window,
            **channels,
            output_paddings=[0, 0],
        )

    return make


LINEAR: dict[str, tuple[tuple[int, ...], Callable[[Net, Value], Value]]] = {
    "conv": ((1, 5, 5, 4), conv),
    "conv with bias": ((1, 5, 5, 4), lambda n, x: n.add("BiasAdd", conv(n, x), floats(6))),
    "transposed conv": ((1, 3, 3, 4), deconv(1)),
    "grouped transposed conv": ((1, 3, 3, 4), deconv(2)),
    "depthwise transposed conv": ((1, 3, 3, 4), deconv(4)),
    "product": ((2, 4), lambda n, x: n.add("MatMulFusion", x, floats(4, 6))),
    "product, transposed": (
        (3, 2, 4),
        lambda n, x: n.add("MatMulFusion", x, floats(6, 4), floats(6), transpose_b=True),
    ),
    "dense": ((2, 4), lambda n, x: n.add("FullConnection", x, floats(6, 4), axis=1, use_axis=True)),
}


def batch_norm(net: Net, x: Value, channels: int) -> Value:
    if len(net.x.shape or ()) != 4:
        return net.add("ScaleFusion", x, floats(channels), floats(channels), axis=len(net.x.shape or ()) - 1)
    constants = (floats(channels), floats(channels), floats(channels), np.abs(floats(channels)))
    return net.add("FusedBatchNorm", x, *constants, epsilon=1e-3)


AFFINE: dict[str, Callable[[Net, Value, int], Value]] = {
    "Add": lambda n, x, c: n.add("AddFusion", floats(c), x),
    "Add one": lambda n, x, _: n.add("AddFusion", x, np.float32(2).reshape(())),
    "BiasAdd": lambda n, x, c: n.add("BiasAdd", x, floats(c)),
    "Sub": lambda n, x, c: n.add("SubFusion", x, floats(c)),
    "Sub from": lambda n, x, c: n.add("SubFusion", floats(c), x),
    "Mul": lambda n, x, c: n.add("MulFusion", x, floats(1, c)),
    "Mul one": lambda n, x, _: n.add("MulFusion", np.float32(3).reshape(1), x),
    "Div": lambda n, x, c: n.add("DivFusion", x, floats(c)),
    "Scale": lambda n, x, c: n.add("ScaleFusion", x, floats(c), axis=-1),
    "batch norm": batch_norm,
    "Add and activation": lambda n, x, c: n.add("AddFusion", x, floats(c), activation_type="RELU6"),
}


@pytest.mark.parametrize("affine", AFFINE)
@pytest.mark.parametrize("linear", LINEAR)
def test_scales_and_shifts_fold_into_weights(linear: str, affine: str) -> None:
    shape, make = LINEAR[linear]
    net = Net(*shape)
    y = make(net, net.x)
    y = AFFINE[affine](net, y, 4 if linear.startswith("depthwise") else 6)
    net.finish(net.add("Abs", y))
    assert len(net.check(fold_affine)) == 2
    assert net.graph.nodes[0].op in ("Conv2DFusion", "Conv2dTransposeFusion", "MatMulFusion", "FullConnection")


KEPT: dict[str, Callable[[Net], Value]] = {
    "another axis": lambda n: n.add("AddFusion", conv(n, n.x), floats(5, 1)),
    "more dimensions": lambda n: n.add("AddFusion", conv(n, n.x), floats(1, 1, 1, 1, 6)),
    "divided by": lambda n: n.add("DivFusion", floats(6), conv(n, n.x)),
    "after an activation": lambda n: n.add("MulFusion", conv(n, n.x, activation_type="RELU"), floats(6)),
    "no constant": lambda n: n.add("MulFusion", conv(n, n.x), n.add("Abs", conv(n, n.x))),
}


@pytest.mark.parametrize("case", KEPT)
def test_what_is_not_affine_is_not_folded(case: str) -> None:
    net = Net(1, 5, 5, 4)
    net.finish(net.add("Abs", KEPT[case](net)))
    before = net.ops
    assert net.check(fold_affine, changes=False) == before


def test_a_linear_result_with_another_reader_is_not_folded() -> None:
    net = Net(2, 4)
    y = net.add("MatMulFusion", net.x, floats(4, 6))
    net.finish(net.add("MulFusion", y, floats(6)), net.add("Abs", y))
    net.check(fold_affine, changes=False)


def test_quantised_weights_are_not_rescaled() -> None:
    net = Net(2, 4)
    y = net.add("MatMulFusion", net.x, floats(4, 6))
    net.finish(net.add("MulFusion", y, floats(6)))
    net.graph.nodes[0].inputs[1].quant = [QuantParam(0.5)]
    assert not fold_affine(net.graph)


def test_one_weight_of_two_layers_is_rescaled_for_one() -> None:
    net = Net(2, 4)
    weight = net.graph.constant("shared", floats(4, 4))
    y = net.add("MulFusion", net.add("MatMulFusion", net.x, weight), floats(4))
    net.finish(net.add("MatMulFusion", y, weight))
    assert net.check(fold_affine) == ["MatMulFusion", "MatMulFusion"]


@pytest.mark.parametrize("second", [*AFFINE])
@pytest.mark.parametrize("first", [a for a in AFFINE if a != "Add and activation"])
def test_affine_operators_in_a_row_are_one_scale(first: str, second: str) -> None:
    net = Net(2, 3, 5, 6)
    y = AFFINE[second](net, AFFINE[first](net, net.add("Abs", net.x), 6), 6)
    net.finish(net.add("Abs", y))
    assert net.check(fold_affine) == ["Abs", "ScaleFusion", "Abs"]


def test_a_lone_batch_norm_is_one_scale() -> None:
    net = Net(1, 3, 3, 4)
    net.finish(net.add("Abs", batch_norm(net, net.x, 4)))
    assert net.check(scale_batch_norms) == ["ScaleFusion", "Abs"]


# ---- activations ----


@pytest.mark.parametrize("activation", ["RELU", "RELU6"])
@pytest.mark.parametrize("op", ["AddFusion", "MulFusion", "MatMulFusion", "conv", "ScaleFusion"])
def test_activations_are_fused_where_the_runtime_takes_them(op: str, activation: str) -> None:
    net = Net(1, 5, 5, 4)
    constants = {"MatMulFusion": floats(4, 4), "ScaleFusion": floats(4)}
    extra = {"ScaleFusion": {"axis": 3}}.get(op, {})
    y = conv(net, net.x) if op == "conv" else net.add(op, net.x, constants.get(op, floats(1, 4)), **extra)
    net.finish(net.add("Activation", y, activation_type=activation))
    assert len(net.check(fuse_activation)) == 1


def test_other_activations_and_operators_are_not_fused() -> None:
    net = Net(2, 4)
    a = net.add("Activation", net.add("SubFusion", net.x, floats(4)), activation_type="RELU")
    b = net.add("Activation", net.add("AddFusion", net.x, floats(4)), activation_type="TANH")
    shared = net.add("AddFusion", net.x, floats(4))
    net.finish(a, b, net.add("Activation", shared, activation_type="RELU"), net.add("Abs", shared))
    net.check(fuse_activation, changes=False)


def test_activations_are_not_fused_across_quantisation_or_for_integers() -> None:
    for spoil in ("quant", "dtype"):
        net = Net(2, 4)
        net.finish(net.add("Activation", net.add("AddFusion", net.x, floats(4)), activation_type="RELU"))
        inner = net.graph.nodes[0].output
        if spoil == "quant":
            inner.quant = [QuantParam(0.5)]
        else:
            inner.dtype = DataType.INT32
        assert not fuse_activation(net.graph)


# ---- legalisation ----


def test_inputs_become_channels_last_under_their_names() -> None:
    net = Net(-1, 3, 8, 8)
    net.graph.add_input("vector", DataType.FLOAT32, (3, 4))
    net.graph.outputs = [net.add("Abs", net.x)]
    assert channels_last_inputs(net.model)
    net.graph.cleanup()
    verify(net.model)
    assert [(v.name, v.shape) for v in net.graph.inputs] == [("x", (-1, 8, 8, 3)), ("vector", (3, 4))]
    assert net.ops == ["Transpose", "Abs"]
    assert net.graph.nodes[0].output.shape == (-1, 3, 8, 8)


def test_integers_become_32_bits_wide() -> None:
    graph = Graph("main")
    x = graph.add_input("x", DataType.INT64, (3,))
    y = graph.add("AddFusion", [x, graph.constant("c", np.array([1, 2, 3]))], "add").output
    y.dtype, y.shape = DataType.INT64, (3,)
    cast = graph.add("Cast", [y, graph.constant("type", np.array(int(DataType.INT64), np.int32))], "cast").output
    cast.dtype = DataType.INT64
    graph.outputs = [cast]
    assert narrow_integers(Model([graph]))
    assert [v.dtype for v in graph.values()].count(DataType.INT64) == 0
    assert graph.nodes[1].inputs[1].data == int(DataType.INT32)
    assert graph.nodes[0].inputs[1].data.dtype == np.int32


def test_endless_slices_saturate_and_other_large_numbers_are_refused() -> None:
    graph = Graph("main")
    x = graph.add_input("x", DataType.FLOAT32, (3,))
    bounds = [graph.constant(n, np.array([v])) for n, v in (("b", 0), ("e", 2**63 - 1), ("s", 1))]
    graph.outputs = [graph.add("StridedSlice", [x, *bounds], "slice").output]
    narrow_integers(Model([graph]))
    assert graph.nodes[0].inputs[2].data.tolist() == [2**31 - 1]

    graph = Graph("main")
    x = graph.add_input("x", DataType.INT64, (1,))
    graph.outputs = [graph.add("AddFusion", [x, graph.constant("huge", np.array([2**40]))], "add").output]
    with pytest.raises(InvalidGraphError, match=r"AddFusion 'add' holds 1099511627776"):
        narrow_integers(Model([graph], "net"))


def test_every_output_is_a_result_of_its_own() -> None:
    net = Net(2, 3)
    y = net.add("Abs", net.x)
    constant = net.graph.constant("constant", floats(2))
    net.finish(y, y, net.x, constant)
    names = [v.name for v in net.graph.outputs]
    net.graph.outputs = [y, y, net.x, constant]
    distinct_outputs(net.model)
    net.graph.cleanup()
    verify(net.model)
    infer_shapes(net.model)
    assert [v.name for v in net.graph.outputs] == [names[0], "Abs1_copy", "x_copy", "constant"]
    assert net.ops == ["Abs", "Cast", "Cast", "Cast"]
    feed = floats(2, 3)
    outputs = evaluate(net.graph, [feed])
    for got, want in zip(outputs, (abs(feed), abs(feed), feed, constant.data)):
        np.testing.assert_array_equal(got, want)
    assert not distinct_outputs(net.model)


def test_constants_of_products_are_shared_in_one_role_only() -> None:
    net = Net(4, 4)
    weight = net.graph.constant("weight", floats(4, 4))
    same = [net.add("MatMulFusion", net.x, weight) for _ in range(2)]
    turned = [net.add("MatMulFusion", net.x, weight, transpose_b=True) for _ in range(2)]
    left = net.add("MatMulFusion", weight, net.x)
    dense = net.add("FullConnection", net.x, weight)
    net.finish(*same, *turned, left, dense)
    assert net.check(separate_matmul_constants)
    used = [n.inputs[0] if n.inputs[0].is_const else n.inputs[1] for n in net.graph.nodes]
    assert used[0] is used[1] is weight
    assert used[2] is used[3] is used[5]
    assert len(set(used)) == 3


def test_convolutions_get_the_attributes_the_runtime_insists_on() -> None:
    net = Net(1, 5, 5, 4)
    net.graph.outputs = [net.add("Conv2DFusion", net.x, floats(6, 3, 2, 4))]
    assert complete_attributes(net.graph)
    attrs = net.graph.nodes[0].attrs
    assert attrs["kernel_size"] == [3, 2]
    assert attrs["stride"] == attrs["dilation"] == [1, 1]
    assert attrs["group"] == 1


def test_padding_as_wide_as_the_kernel_is_done_before() -> None:
    for pads, expected in (([0, 1, 2, 3], ["PadFusion", "Conv2DFusion"]), ([0, 1, 2, 2], ["Conv2DFusion"])):
        net = Net(1, 5, 5, 4)
        y = conv(net, net.x)
        y.producer.attrs["pad_list"] = pads
        net.finish(y)
        assert net.check(explicit_padding, changes=len(expected) > 1) == expected


# ---- running passes ----


def test_an_error_names_the_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(model: Model) -> bool:
        model.main.nodes[0].attrs["axis"] = "wrong"
        return True

    def crashes(_: Model) -> bool:
        raise KeyError("surprise")

    net = Net(2, 3)
    net.graph.outputs = [net.add("Concat", net.x, axis=0)]
    monkeypatch.setenv(VERIFY_VARIABLE, "1")
    with pytest.raises(InvalidGraphError, match=r"pass 'breaks it' broke the graph: .*attribute axis: 'wrong'"):
        run_passes(net.model, [Pass("breaks it", breaks)])
    with pytest.raises(InvalidGraphError, match=r"pass 'crash' failed: KeyError\('surprise'\)"):
        run_passes(net.model, [Pass("crash", crashes)])


def test_passes_repeat_until_nothing_changes() -> None:
    left = [3]
    seen: list[str] = []

    def count_down(_: Model) -> bool:
        left[0] -= 1
        return left[0] > 0

    results = run_passes(Net(1).model, [Repeat((Pass("down", count_down),))], seen.append)
    assert seen == ["down"] * 3
    assert [(r.name, r.modified) for r in results] == [("down", True)]


def test_unknown_levels_and_formats_are_refused() -> None:
    with pytest.raises(UsageError, match="none, general"):
        optimize(Net(1).model, "fast")
    with pytest.raises(UsageError, match="NHWC or NCHW"):
        optimize(Net(1).model, input_format="CHWN")
    model = Net(1).model
    model.channels_last = True
    with pytest.raises(UsageError, match="channels-last"):
        optimize(model, input_format="NCHW")


# ---- real models ----


def optimised(path: Path, level: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv(VERIFY_VARIABLE, "1")
    model = mindir.load(path)
    optimize(model, level)
    export(model)
    return [n.op for n in model.main.nodes]


def test_lenet_is_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two convolutions, two pools, three dense layers; biases, activations and layouts are folded away."""
    ops = optimised(DATA / "lenet" / "lenet_mnist5k.mindir", "general", monkeypatch)
    dense = ["Reshape", "MatMulFusion", "MatMulFusion", "MatMulFusion"]
    assert ops == ["Conv2DFusion", "MaxPoolFusion", "Conv2DFusion", "MaxPoolFusion", *dense]


ZOO = {
    "mixnet_s": 351,
    "mobilenet_v1_025": 29,
    "mobilenet_v2_035_96": 64,
    "mobilenet_v3_small_075": 107,
    "shufflenet_v2_x0_5": 140,
    "squeezenet1_1": 38,
}


@pytest.mark.corpus
@pytest.mark.parametrize("name", ZOO)
def test_networks_for_images_need_no_transposes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ops = optimised(CORPUS / "zoo" / f"{name}.mindir", "general", monkeypatch)
    assert ops.count("Transpose") == 0
    assert len(ops) <= ZOO[name]
