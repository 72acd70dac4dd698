"""Layouts: every operator's flip against the runtime, reshapes, the minimum cut, and whole graphs."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import numpy as np
import pytest

from converter.engine import evaluate, infer_shapes
from converter.importers.layout import to_channels_first, to_channels_last, transpose
from converter.ir.graph import Graph, Model, Node, Value
from converter.ir.verify import verify
from converter.passes import optimize
from converter.passes.layout import choose_layouts
from converter.passes.layout_ops import _ELEMENTWISE, _HANDLERS, _UNARY, flip_of
from converter.passes.min_cut import SINK, SOURCE, Network
from converter.passes.reshape_layout import permuted_reshape
from lite_runtime.types import DataType

RNG = np.random.default_rng(7)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


# ---- how operators flip ----

# operator, attributes, inputs: a shape is a graph input, an array a constant
FLIPS: list[tuple[str, dict[str, Any], list[Any]]] = [
    ("Activation", {"activation_type": "RELU"}, [(2, 3, 4, 5)]),
    ("AddFusion", {}, [(2, 3, 4, 5), (2, 3, 4, 5)]),
    ("AddFusion", {}, [(2, 3, 4, 5), (1, 3, 1, 1)]),
    ("AddFusion", {}, [(2, 3, 4, 5), ()]),
    ("SubFusion", {}, [RNG.normal(size=(3, 1, 1)).astype(np.float32), (2, 3, 4, 5)]),
    ("MulFusion", {}, [(2, 3, 4, 5), RNG.normal(size=(4, 5)).astype(np.float32)]),
    ("MulFusion", {}, [(2, 3, 4), np.float32(3).reshape(1, 1)]),
    ("Maximum", {}, [(2, 3, 4, 5), RNG.normal(size=(2, 3, 4, 5)).astype(np.float32)]),
    ("ArgMaxFusion", {"axis": 1, "keep_dims": True, "top_k": 1}, [(2, 3, 4, 5)]),
    ("ArgMaxFusion", {"axis": -1, "keep_dims": False, "top_k": 1}, [(2, 3, 4, 5)]),
    ("ArgMinFusion", {"axis": 2, "keep_dims": False, "top_k": 1}, [(2, 3, 4)]),
    ("BroadcastTo", {"shape": [2, 3, 4, 5]}, [(2, 3, 1, 1)]),
    ("BroadcastTo", {}, [(2, 1, 4), ints(2, 3, 4)]),
    ("Concat", {"axis": 1}, [(2, 3, 4, 5), (2, 2, 4, 5)]),
    ("Concat", {"axis": -3}, [(2, 3, 4, 5), RNG.normal(size=(2, 1, 4, 5)).astype(np.float32)]),
    ("CumSum", {}, [(2, 3, 4), ints(1)]),
    ("ExpandDims", {}, [(2, 3, 4), ints(1)]),
    ("ExpandDims", {}, [(2, 3, 4), ints(-1)]),
    ("Gather", {}, [(2, 3, 4, 5), ints(2, 0), ints(1)]),
    ("Gather", {}, [(2, 3, 4), np.array(1, np.int32), ints(-1)]),
    ("LogSoftmax", {"axis": 1}, [(2, 3, 4)]),
    ("PadFusion", {}, [(2, 3, 4, 5), np.array([[0, 0], [1, 2], [0, 3], [1, 0]], np.int32)]),
    ("ReduceFusion", {"mode": "ReduceMean", "keep_dims": True}, [(2, 3, 4, 5), ints(2, 3)]),
    ("ReduceFusion", {"mode": "ReduceSum"}, [(2, 3, 4, 5), ints(-1, 2)]),
    ("ReduceFusion", {"mode": "ReduceMax"}, [(2, 3, 4, 5), ints(1)]),
    ("Reshape", {}, [(2, 8, 3, 5), ints(2, 2, 4, 3, 5)]),
    ("Reshape", {}, [(2, 8, 3, 5), ints(2, 8, 15)]),
    ("Reshape", {}, [(1, 8, 1, 1), ints(1, 8)]),
    ("ReverseV2", {"axis": [1]}, [(2, 3, 4)]),
    ("ScaleFusion", {"axis": -1}, [(2, 3, 4), RNG.normal(size=4).astype(np.float32)]),
    ("SliceFusion", {"axes": [0, 1, 2]}, [(2, 3, 4), ints(0, 1, 2), ints(2, 2, 1)]),
    ("Softmax", {"axis": [1]}, [(2, 3, 4, 5)]),
    ("Softmax", {"axis": [-1]}, [(2, 3, 4, 5)]),
    ("Split", {"axis": 1, "output_num": 2, "size_splits": [1, 2]}, [(2, 3, 4, 5)]),
    ("Squeeze", {"axis": [1, -1]}, [(2, 1, 4, 1)]),
    ("Stack", {"axis": 1}, [(2, 3, 4), (2, 3, 4)]),
    ("Stack", {"axis": -1}, [(2, 3, 4), (2, 3, 4)]),
    ("StridedSlice", {}, [(2, 3, 4, 5), ints(0, 1, 0, 0), ints(2, 3, 4, 4), ints(1, 1, 2, 3)]),
    ("StridedSlice", {"begin_mask": 2, "end_mask": 1}, [(2, 3, 4), ints(1, 9), ints(0, 2), ints(1, 1)]),
    ("StridedSlice", {"shrink_axis_mask": 2}, [(2, 3, 4, 5), ints(0, 1), ints(2, 2), ints(1, 1)]),
    ("TileFusion", {}, [(2, 3, 4), ints(1, 2, 3)]),
    ("Transpose", {}, [(2, 3, 4, 5), ints(0, 2, 1, 3)]),
    ("Transpose", {}, [(2, 3, 4), ints(2, 1, 0)]),
    ("Unsqueeze", {"axis": [0, 2]}, [(2, 3, 4)]),
    ("Unstack", {"axis": 1}, [(2, 3, 4)]),
]
# Shape is only flipped where dimensions are unknown (see below); the elementwise ones share their handlers.
TESTED_ELSEWHERE = {"Shape", *_UNARY, *_ELEMENTWISE}


def build(op: str, attrs: dict[str, Any], inputs: list[Any]) -> tuple[Graph, Node]:
    graph = Graph("main")
    values = []
    for i, given in enumerate(inputs):
        if isinstance(given, tuple):
            values.append(graph.add_input(f"x{i}", DataType.FLOAT32, given))
        else:
            values.append(graph.constant(f"c{i}", given))
    count = {"Split": 2, "Unstack": 3}.get(op, 1)
    node = graph.add(op, values, "node", outputs=count, **attrs)
    graph.outputs = list(node.outputs)
    return graph, node


@pytest.mark.parametrize(("op", "attrs", "inputs"), FLIPS, ids=[f"{f[0]}-{i}" for i, f in enumerate(FLIPS)])
def test_a_flipped_operator_gives_the_permuted_result(op: str, attrs: dict[str, Any], inputs: list[Any]) -> None:
    feeds = [RNG.normal(size=s).astype(np.float32) for s in inputs if isinstance(s, tuple)]
    flips = 0
    rank = max(len(s) for s in inputs if isinstance(s, tuple))
    for perm in permutations(range(rank)):
        graph, node = build(op, dict(attrs), inputs)
        expected = evaluate(graph, feeds)
        infer_shapes(Model([graph]))
        flip = flip_of(graph, node, perm)
        if flip is None:
            continue
        flips += 1
        flip.apply()
        carried = {node.inputs[i] for i in flip.inputs}
        permuted = [f.transpose(perm) if v in carried else f for v, f in zip(graph.inputs, feeds)]
        actual = evaluate(graph, [np.ascontiguousarray(f) for f in permuted])
        for got, want, result in zip(actual, expected, flip.outputs):
            want = want.transpose(result) if result is not None else want
            # Sums of a few numbers, in another order.
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    # Reshapes only work where the blocks stay together; everything else always does.
    assert flips == 24 * (rank == 4) + 6 * (rank == 3) or op == "Reshape"
    assert flips > 1


def test_slices_along_listed_axes_stay_as_they_are() -> None:
    graph, node = build("StridedSlice", {}, [(2, 3, 4, 5), *(ints(*v) for v in ((0, 1), (2, 3), (1, 2), (1, 1)))])
    infer_shapes(Model([graph]))
    assert flip_of(graph, node, (0, 2, 3, 1)) is None


def test_every_handler_is_tested() -> None:
    assert _HANDLERS.keys() - {op for op, *_ in FLIPS} <= TESTED_ELSEWHERE


# ---- reshapes ----


def test_permuted_reshape_is_right_whenever_it_says_so() -> None:
    """Against NumPy, for all permutations of many shapes; splits and merges of neighbours must be found."""
    shapes = [(2, 6, 4), (2, 3, 2, 4), (12, 4), (2, 24), (1, 2, 6, 1, 4), (48,), (2, 1, 6, 4), (2, 6, 2, 2)]
    found = 0
    for source, target in product(shapes, shapes):
        x = np.arange(48).reshape(source)
        for perm in permutations(range(len(source))):
            result = permuted_reshape(source, target, perm)
            if result is None:
                continue
            found += 1
            stored = x.transpose(perm).reshape([target[axis] for axis in result])
            np.testing.assert_array_equal(x.reshape(target).transpose(result), stored)
    assert found > 200


def test_permuted_reshape_with_unknown_dimensions() -> None:
    assert permuted_reshape((-1, 8, 5, 5), (-1, 2, 4, 5, 5), (0, 2, 3, 1)) == (0, 3, 4, 1, 2)
    assert permuted_reshape((-1, 8), (-1, 4), (1, 0)) is None
    assert permuted_reshape((-1, -1), (-1, -1), (1, 0)) is None


# ---- minimum cut ----


def test_minimum_cut_is_the_best_of_all() -> None:
    """Against trying every assignment, on random networks of six nodes."""
    rng = np.random.default_rng(3)
    for _ in range(60):
        edges = [(*rng.choice(8, 2, replace=False), int(rng.integers(1, 9))) for _ in range(14)]
        network = Network()
        for _ in range(6):
            network.node()
        for start, end, capacity in edges:
            network.edge(int(start), int(end), capacity)

        def cost(sink: set[int], edges: list[Any] = edges) -> int:
            return sum(c for a, b, c in edges if a not in sink and b in sink)

        sides = [{SINK, *(i + 2 for i in range(6) if bits >> i & 1)} for bits in range(64)]
        least = min(cost(side) for side in sides)
        side = network.sink_side()
        assert SOURCE not in side
        assert cost(side) == least
        assert len(side) == min(len(s) for s in sides if cost(s) == least)


# ---- whole graphs ----


class Net:
    """Builds channels-first graphs the way an importer does."""

    def __init__(self, shape: tuple[int, ...] = (1, 4, 8, 8)) -> None:
        self.graph = Graph("main")
        self.x = self.graph.add_input("x", DataType.FLOAT32, shape)
        self._count = 0

    def add(self, op: str, *inputs: Any, **attrs: Any) -> Value:
        self._count += 1
        name = f"{op}{self._count}"
        values = [v if isinstance(v, Value) else self.graph.constant(f"{name}_{i}", v) for i, v in enumerate(inputs)]
        outputs = attrs.pop("outputs", 1)
        node = self.graph.add(op, values, name, outputs=outputs, **attrs)
        return node.output if outputs == 1 else node.outputs

    def conv(self, x: Value, channels: int = 4, size: int = 3) -> Value:
        self._count += 1
        name = f"conv{self._count}"
        weight = np.random.default_rng(self._count).normal(size=(channels, size, size, 4)).astype(np.float32)
        pad = [size // 2] * 4
        node = self.graph.add(
            "Conv2DFusion",
            [to_channels_last(self.graph, x, 4, name), self.graph.constant(f"{name}_w", weight)],
            name,
            kernel_size=[size, size],
            stride=[1, 1],
            dilation=[1, 1],
            pad_list=pad,
            group=1,
            in_channel=4,
            out_channel=channels,
        )
        return to_channels_first(self.graph, node.output, 4, name)

    def relu(self, x: Value) -> Value:
        return self.add("Activation", x, activation_type="RELU")

    def finish(self, *outputs: Value) -> Model:
        self.graph.outputs = list(outputs)
        return Model([self.graph], "net")


def optimised(model: Model, feed: np.ndarray, transposes: int, input_format: str = "NHWC") -> Model:
    """Optimises; checks the answers, the output names and the number of Transposes left."""
    names = [v.name for v in model.main.outputs]
    infer_shapes(model)
    expected = evaluate(model.main, [feed])
    model.main.inputs[0].shape = feed.shape
    optimize(model, input_format=input_format)
    verify(model)
    if feed.ndim == 4 and input_format == "NHWC":
        feed = np.ascontiguousarray(feed.transpose(0, 2, 3, 1))
    for got, want in zip(evaluate(model.main, [feed]), expected):
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4 * np.abs(want).max())
    assert [v.name for v in model.main.outputs] == names
    assert sum(n.op == "Transpose" for n in model.main.nodes) == transposes
    return model


def image() -> np.ndarray:
    return np.random.default_rng(5).normal(size=(1, 4, 8, 8)).astype(np.float32)


def test_chain_keeps_the_original_output_layout() -> None:
    net = Net()
    model = net.finish(net.relu(net.conv(net.relu(net.conv(net.x)))))
    ops = [n.op for n in optimised(model, image(), 1).main.nodes]
    assert ops == ["Conv2DFusion", "Conv2DFusion", "Transpose"], "both activations are fused, the Transpose is last"


def test_channels_first_input_is_transposed_once() -> None:
    net = Net()
    y = net.conv(net.x)
    model = net.finish(net.add("AddFusion", net.conv(net.relu(y)), y))
    optimised(model, image(), 2, "NCHW")
    assert model.main.inputs[0].shape == (1, 4, 8, 8)


def test_residual_and_excitation_blocks_need_no_transposes_inside() -> None:
    net = Net()
    y = net.relu(net.conv(net.x))
    gate = net.add("ReduceFusion", y, ints(2, 3), mode="ReduceMean", keep_dims=True)
    gate = net.add("Activation", net.conv(gate, size=1), activation_type="SIGMOID")
    y = net.add("AddFusion", net.add("MulFusion", y, gate), net.x)
    y = net.add("ReduceFusion", net.conv(y), ints(2, 3), mode="ReduceMean")
    optimised(net.finish(net.add("Softmax", y, axis=[1])), image(), 0)


def test_concat_split_pad_and_slice_move_to_channels_last() -> None:
    net = Net()
    y = net.conv(net.x, 4)
    a, b = net.add("Split", net.add("Concat", y, net.conv(y), axis=1), axis=1, output_num=2, outputs=2)
    z = net.add("PadFusion", net.add("SubFusion", a, b), np.array([[0, 0], [0, 0], [1, 0], [0, 2]], np.int32))
    z = net.add("StridedSlice", z, ints(0, 0, 1, 1), ints(1, 4, 9, 10), ints(1, 1, 2, 1))
    optimised(net.finish(net.add("ReduceFusion", net.conv(z), ints(3, 2), mode="ReduceMean")), image(), 0)


def test_channel_shuffle_keeps_one_transpose() -> None:
    net = Net()
    y = net.add("Reshape", net.conv(net.x), ints(1, 2, 2, 8, 8))
    y = net.add("Reshape", net.add("Transpose", y, ints(0, 2, 1, 3, 4)), ints(1, 4, 8, 8))
    y = net.add("ReduceFusion", net.conv(y), ints(2, 3), mode="ReduceMean")
    optimised(net.finish(y), image(), 1)


def test_shuffle_by_slices_needs_none() -> None:
    """ShuffleNetV2's way to take every other channel, twice."""
    net = Net()
    y = net.conv(net.x)
    for _ in range(2):
        z = net.add("Transpose", net.add("Reshape", y, ints(2, 2, 64)), ints(1, 0, 2))
        z = net.add("Reshape", z, ints(2, 1, 2, 8, 8))
        bounds = ((ints(i, 0, 0, 0, 0), ints(i + 1, 1, 2, 8, 8), ints(1, 1, 1, 1, 1)) for i in range(2))
        left, right = (net.add("StridedSlice", z, *given, shrink_axis_mask=1) for given in bounds)
        y = net.conv(net.add("Concat", left, net.relu(right), axis=1))
    optimised(net.finish(net.add("ReduceFusion", y, ints(2, 3), mode="ReduceMean")), image(), 0)


def test_flatten_before_a_dense_layer_reorders_its_rows() -> None:
    net = Net()
    y = net.add("Flatten", net.conv(net.x))
    weight = RNG.normal(size=(5, 256)).astype(np.float32)
    optimised(net.finish(net.add("MatMulFusion", y, weight, transpose_b=True)), image(), 0)


def test_patches_to_tokens_and_back() -> None:
    """A convolution's result as a sequence of tokens, normalised over channels, and an image again."""
    net = Net()
    tokens = net.add("Transpose", net.add("Reshape", net.conv(net.x), ints(1, 4, 64)), ints(0, 2, 1))
    tokens = net.add("MatMulFusion", tokens, RNG.normal(size=(4, 4)).astype(np.float32))
    back = net.add("Reshape", net.add("Transpose", tokens, ints(0, 2, 1)), ints(1, 4, 8, 8))
    optimised(net.finish(net.add("ReduceFusion", net.conv(back), ints(2, 3), mode="ReduceMax")), image(), 0)


def test_several_outputs_keep_names_and_layouts() -> None:
    net = Net()
    y = net.relu(net.conv(net.x))
    # The third can be computed from the first as it leaves the graph.
    optimised(net.finish(y, net.conv(y), net.add("Abs", y)), image(), 2)


def test_output_that_is_the_input_keeps_its_layout() -> None:
    net = Net()
    optimised(net.finish(net.conv(net.x), net.add("Abs", net.x)), image(), 2)


def test_shape_of_a_moved_tensor_is_put_back_in_order() -> None:
    net = Net((-1, 4, -1, -1))
    y = net.conv(net.x)
    shape = net.add("Shape", net.relu(y))
    size = net.add("StridedSlice", shape, ints(2), ints(4), ints(1))
    model = net.finish(net.add("ReduceFusion", net.conv(net.relu(y)), ints(2, 3), mode="ReduceMean"), size)
    optimised(model, image(), 0)


def test_unknown_dimensions_are_safe() -> None:
    net = Net((-1, 4, -1, -1))
    y = net.relu(net.conv(net.x))
    z = net.add("AddFusion", net.conv(y), y)
    z = net.add("Concat", z, net.x, axis=1)
    z = net.add("ReduceFusion", z, ints(2, 3), mode="ReduceMean", keep_dims=True)
    optimised(net.finish(net.add("Flatten", z)), image(), 0)


def test_unknown_ranks_are_left_alone() -> None:
    graph = Graph("main")
    x = graph.add_input("x", DataType.FLOAT32, None)
    y = transpose(graph, x, [0, 2, 3, 1], "a")
    y = transpose(graph, graph.add("Abs", [y], "abs").output, [0, 3, 1, 2], "b")
    graph.outputs = [y]
    assert not choose_layouts(graph)
    assert [n.op for n in graph.nodes] == ["Transpose", "Abs", "Transpose"]


def test_choice_is_stable() -> None:
    """Choosing again changes nothing."""
    net = Net()
    y = net.conv(net.x)
    model = net.finish(net.add("AddFusion", net.relu(net.conv(y)), net.add("Abs", y)))
    optimize(model)
    assert not choose_layouts(model.main)


def random_net(seed: int) -> Model:
    """Convolutions and operators of all kinds, at random, over images of one size."""
    rng = np.random.default_rng(seed)
    net = Net()
    images = [net.x]
    for _ in range(12):
        a, b = (images[i] for i in rng.integers(len(images), size=2))
        kind = rng.integers(10)
        if kind < 3:
            y = net.conv(a, size=int(rng.choice([1, 3])))
        elif kind == 3:
            y = net.add("AddFusion", a, b)
        elif kind == 4:
            y = net.add("MulFusion", a, rng.normal(size=(4, 1, 1)).astype(np.float32))
        elif kind == 5:
            parts = net.add("Split", net.add("Concat", a, b, axis=1), axis=1, output_num=2, outputs=2)
            y = parts[int(rng.integers(2))]
        elif kind == 6:
            y = net.add("Transpose", a, ints(0, 1, 3, 2))
        elif kind == 7:
            y = net.add("Softmax", a, axis=[int(rng.integers(1, 4))])
        elif kind == 8:
            mean = net.add("ReduceFusion", a, ints(*rng.permutation([1, 2, 3])[:2]), mode="ReduceMean", keep_dims=True)
            y = net.add("SubFusion", b, mean)
        else:
            y = net.add("Reshape", net.add("Abs", net.add("Reshape", a, ints(1, 2, 2, 64))), ints(1, 4, 8, 8))
        images.append(y)
    return net.finish(*(net.add("Sin", v) for v in images[-3:]))


@pytest.mark.parametrize("seed", range(40))
def test_random_graphs_keep_their_answers_and_gain_no_transposes(seed: int) -> None:
    model = random_net(seed)
    model.main.cleanup()
    before = sum(n.op == "Transpose" for n in model.main.nodes) + 1  # the input's
    infer_shapes(model)
    expected = evaluate(model.main, [image()])
    optimize(model)
    verify(model)
    assert sum(n.op == "Transpose" for n in model.main.nodes) <= before
    actual = evaluate(model.main, [np.ascontiguousarray(image().transpose(0, 2, 3, 1))])
    for got, want in zip(actual, expected):
        # A chain of unnormalised random convolutions amplifies rounding.
        np.testing.assert_allclose(got, want, atol=2e-3)
