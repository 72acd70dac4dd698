"""The converter's questions to the runtime: support, shapes, values."""

from __future__ import annotations

import numpy as np
import pytest

from converter.engine import evaluate, infer_shapes, supported
from converter.errors import InvalidGraphError, UnsupportedError
from converter.ir.graph import Graph, Model
from lite_runtime.types import DataType


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


class Net:
    def __init__(self, *shape: int) -> None:
        self.graph = Graph("main")
        self.x = self.graph.add_input("x", DataType.FLOAT32, shape)
        self.model = Model([self.graph], "net.onnx")

    def add(self, op: str, *inputs: object, outputs: int = 1, **attrs: object):  # type: ignore[no-untyped-def]
        name = f"{op}{len(self.graph.nodes)}"
        values = [
            self.graph.constant(f"{name}_{i}", v) if isinstance(v, np.ndarray) else v for i, v in enumerate(inputs)
        ]
        node = self.graph.add(op, values, name, outputs=outputs, **attrs)  # type: ignore[arg-type]
        return node.output if outputs == 1 else node.outputs


def test_support_is_the_runtimes() -> None:
    assert supported("Conv2DFusion")
    assert not supported("Adam")
    assert not supported("NoSuchOperator")


def test_types_and_shapes_are_filled_in() -> None:
    net = Net(2, 3, 4)
    mean = net.add("ReduceFusion", net.x, ints(1), mode="ReduceMean", keep_dims=True)
    flag = net.add("Greater", net.x, mean)
    net.graph.outputs = [flag]
    infer_shapes(net.model)
    assert (mean.dtype, mean.shape) == (DataType.FLOAT32, (2, 1, 4))
    assert (flag.dtype, flag.shape) == (DataType.BOOL, (2, 3, 4))


def test_large_constants_need_not_be_copied_for_it() -> None:
    """The weight is a memory map of a file that would not fit into memory twice; its bytes are never read."""
    net = Net(1, 100_000)
    weight = np.broadcast_to(np.float32(0), (100_000, 50_000))
    y = net.add("MatMulFusion", net.x, weight)
    net.graph.outputs = [y]
    infer_shapes(net.model)
    assert y.shape == (1, 50_000)


def test_dimensions_that_depend_on_unknown_ones_are_unknown() -> None:
    net = Net(-1, 3, -1)
    cut = net.add("StridedSlice", net.x, ints(0, 0, 0), ints(50, 3, 1), ints(1, 1, 1))
    total = net.add("ReduceFusion", net.x, ints(2), mode="ReduceSum")
    flat = net.add("Reshape", net.x, ints(0, -1))
    net.graph.outputs = [cut, total, flat]
    infer_shapes(net.model)
    assert cut.shape == (-1, 3, 1), "50 images are cut out only where there are as many"
    assert total.shape == (-1, 3)
    assert flat.shape == (-1, -1)


def test_sizes_impossible_for_small_inputs_do_not_matter() -> None:
    net = Net(1, -1, -1, 3)
    y = net.add("MaxPoolFusion", net.x, kernel_size=[32, 32], strides=[32, 32], pad_mode="VALID")
    net.graph.outputs = [y]
    infer_shapes(net.model)
    assert y.shape == (1, -1, -1, 3)


def test_shapes_that_depend_on_values_stay_unknown() -> None:
    net = Net(5)
    found = net.add("NonZero", net.x)
    net.graph.outputs = [found]
    infer_shapes(net.model)
    assert found.shape is None or -1 in found.shape


def test_sub_graphs_are_inferred_too() -> None:
    net = Net(2, 3)
    net.graph.outputs = [net.add("Abs", net.x)]
    inner = Graph("inner")
    y = inner.add_input("y", DataType.FLOAT32, (4,))
    inner.outputs = [inner.add("Abs", [y], "inner_abs").output]
    net.model.graphs.append(inner)
    infer_shapes(net.model)
    assert inner.outputs[0].shape == (4,)


def test_all_unsupported_nodes_are_named_at_once() -> None:
    net = Net(2)
    net.graph.outputs = [net.add("Adam", net.x), net.add("Abs", net.x), net.add("SGD", net.x)]
    with pytest.raises(UnsupportedError) as caught:
        infer_shapes(net.model)
    assert [(p.op, p.node) for p in caught.value.problems] == [("Adam", "Adam0"), ("SGD", "SGD2")]
    with pytest.raises(UnsupportedError, match="Adam 'Adam0'"):
        evaluate(net.graph, [np.zeros(2, np.float32)])


def test_a_contradiction_names_file_and_node() -> None:
    net = Net(2, 3)
    net.graph.outputs = [net.add("AddFusion", net.x, np.zeros((4,), np.float32))]
    with pytest.raises(InvalidGraphError, match=r"net\.onnx: .*AddFusion 'AddFusion0'"):
        infer_shapes(net.model)


def test_values_are_computed() -> None:
    net = Net(2, 3)
    y = net.add("SubFusion", net.x, np.ones(3, np.float32))
    net.graph.outputs = [y, net.add("Shape", y)]
    feed = np.arange(12, dtype=np.float32).reshape(4, 3)
    difference, shape = evaluate(net.graph, [feed])
    np.testing.assert_array_equal(difference, feed - 1)
    assert shape.tolist() == [4, 3]
