"""Hostile .ms files, see make.py."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from converter.exporter.tables import Offset, TableWriter

_FLOAT32, _INT8, _INT32 = 43, 32, 34


def _tensor(name: str = "t", dims: Sequence[int] | None = (2, 2), data: Any = None, **more: Any) -> dict[str, Any]:
    kind = {"nodeType": 2 if data is None else 0, "dataType": _FLOAT32}
    return {"name": name, "dims": dims, "data": data, **kind, **more}


def _node(op: str, inputs: Sequence[int], outputs: Sequence[int], **attrs: Any) -> tuple[str, Any, Any, dict[str, Any]]:
    return op, inputs, outputs, attrs


def _graph(inputs: Sequence[int], outputs: Sequence[int], nodes: Sequence[int]) -> dict[str, Any]:
    return {"name": "g", "inputIndices": inputs, "outputIndices": outputs, "nodeIndices": nodes}


def _model(tensors: Sequence[Any], nodes: Sequence[Any], graphs: Sequence[Any], **more: Any) -> bytes:
    """A file with these tables, whatever they say."""
    writer = TableWriter(4096)
    written = []
    for number, (op, inputs, outputs, attrs) in enumerate(nodes):
        primitive = Offset(writer.primitive(op, attrs))
        table = {"name": f"n{number}", "primitive": primitive, "inputIndex": inputs, "outputIndex": outputs}
        written.append(Offset(writer.table("CNode", table)))
    ends = {"inputIndex": graphs[0]["inputIndices"], "outputIndex": graphs[0]["outputIndices"]}
    tables = {"allTensors": tensors, "nodes": written, "subGraph": graphs}
    return bytes(writer.finish(writer.table("MetaGraph", {**ends, **tables, **more}), b"MSL2"))


def _one(op: str, tensors: Sequence[Any], inputs: Sequence[int], fed: Sequence[int] = (0,), **attrs: Any) -> bytes:
    """A file with one node, which writes the last tensor."""
    last = len(tensors) - 1
    return _model(tensors, [_node(op, inputs, [last], **attrs)], [_graph(fed, [last], [0])])


def _ints(name: str, values: Sequence[int]) -> dict[str, Any]:
    return _tensor(name, [len(values)], np.array(values, np.int32), dataType=_INT32)


def cut_in_the_middle() -> bytes:
    """Half of a valid file."""
    whole = reads_itself()
    return whole[: len(whole) // 2]


def huge_vector_length() -> bytes:
    """The vector of tensors claims four thousand million entries."""
    data = bytearray(reads_itself())
    root = struct.unpack_from("<I", data)[0]
    table = root - struct.unpack_from("<i", data, root)[0]
    for entry in range(4, struct.unpack_from("<H", data, table)[0], 2):
        offset = struct.unpack_from("<H", data, table + entry)[0]
        at = root + offset
        if offset and at + 4 <= len(data):
            vector = at + struct.unpack_from("<I", data, at)[0]
            if vector + 4 <= len(data):
                struct.pack_into("<I", data, vector, 0xFFFFFFFF)
    return bytes(data)


def root_points_at_itself() -> bytes:
    """The root offset leads back to the header, and its table to itself."""
    return struct.pack("<I", 4) + b"MSL2" + bytes(64)


def reads_itself() -> bytes:
    """A node reads its own result."""
    return _model([_tensor(), _tensor("u")], [_node("AddFusion", [0, 1], [1])], [_graph([0], [1], [0])])


def two_nodes_read_each_other() -> bytes:
    """A cycle of two nodes."""
    nodes = [_node("AddFusion", [0, 2], [1]), _node("AddFusion", [0, 1], [2])]
    return _model([_tensor(), _tensor("u"), _tensor("v")], nodes, [_graph([0], [2], [0, 1])])


def node_listed_twice() -> bytes:
    """A graph runs one node twice."""
    return _model([_tensor(), _tensor("u")], [_node("Abs", [0], [1])], [_graph([0], [1], [0, 0])])


def tensor_index_beyond_the_table() -> bytes:
    """A node reads tensor 4294967295."""
    return _model([_tensor(), _tensor("u")], [_node("Abs", [2**32 - 1], [1])], [_graph([0], [1], [0])])


def node_index_beyond_the_table() -> bytes:
    """A graph runs node 70000 of one."""
    return _model([_tensor(), _tensor("u")], [_node("Abs", [0], [1])], [_graph([0], [1], [70000])])


def input_is_also_written() -> bytes:
    """A node writes the model's input."""
    return _model([_tensor(), _tensor("u")], [_node("Abs", [0], [0])], [_graph([0], [0], [0])])


def constant_is_written() -> bytes:
    """A node writes into the mapped bytes of a constant."""
    tensors = [_tensor(), _tensor("c", [2, 2], np.zeros(4, np.float32))]
    return _model(tensors, [_node("Abs", [0], [1])], [_graph([0], [1], [0])])


def sub_graph_calls_itself() -> bytes:
    """A sub-graph whose only work is to call itself, without end."""
    return _calls(tail=False)


def sub_graph_calls_itself_last() -> bytes:
    """The same as a tail call, which needs no stack: a loop without end."""
    return _calls(tail=True)


def _calls(tail: bool) -> bytes:
    tensors = [_tensor(f"t{i}", [1]) for i in range(7)]
    nodes = [
        _node("PartialFusion", [0], [1], sub_graph_index=1),
        _node("Call", [1], [2]),
        _node("PartialFusion", [3], [4], sub_graph_index=1),
        _node("Call", [4], [5], is_tail_call=tail),
        _node("Abs", [5], [6]),
    ]
    inner = _graph([3], [5], [2, 3]) if tail else _graph([3], [6], [2, 3, 4])
    return _model(tensors, nodes, [_graph([0], [2], [0, 1]), inner])


def main_graph_as_its_own_sub_graph() -> bytes:
    """A closure over graph 0, the one that is running."""
    nodes = [_node("PartialFusion", [0], [1], sub_graph_index=0), _node("Call", [1], [2])]
    return _model([_tensor(), _tensor("u"), _tensor("v")], nodes, [_graph([0], [2], [0, 1])])


def sub_graph_number_out_of_range() -> bytes:
    """Closures over graphs -1 and 2^62."""
    nodes = [
        _node("PartialFusion", [0], [1], sub_graph_index=-1),
        _node("PartialFusion", [0], [2], sub_graph_index=2**62),
        _node("Call", [1], [3]),
    ]
    tensors = [_tensor(f"t{i}") for i in range(4)]
    return _model(tensors, nodes, [_graph([0], [3], [0, 1, 2])])


def closure_used_as_a_tensor() -> bytes:
    """An operator reads a closure as if it were numbers, and another is the model's output."""
    nodes = [_node("PartialFusion", [0], [1], sub_graph_index=1), _node("Abs", [1], [2]), _node("Abs", [3], [4])]
    graphs = [_graph([0], [2, 1], [0, 1]), _graph([3], [4], [2])]
    return _model([_tensor(f"t{i}") for i in range(5)], nodes, graphs)


def product_of_dims_wraps_to_zero() -> bytes:
    """Dimensions whose product is 2^64, zero in 64 bits."""
    return _one("Abs", [_tensor("x", [2**30, 2**30, 2**4]), _tensor("y")], [0])


def product_of_dims_wraps_for_a_constant() -> bytes:
    """A constant without bytes for dimensions whose product is 2^64."""
    huge = _tensor("c", [2**16, 2**16, 2**16, 2**16], np.zeros(0, np.float32))
    return _one("AddFusion", [_tensor(), huge, _tensor("y")], [0, 1])


def more_memory_than_there_is() -> bytes:
    """Two million million bytes asked for by a small file."""
    return _one("ConstantOfShape", [_ints("shape", [2**13, 2**13, 2**13]), _tensor("y")], [0], fed=())


def tiled_without_end() -> bytes:
    """Multiples whose product leaves 64 bits."""
    tensors = [_tensor("x", [2, 2]), _ints("multiples", [2**31 - 1, 2**31 - 1]), _tensor("y")]
    return _one("TileFusion", tensors, [0, 1])


def negative_dimension() -> bytes:
    """An input of -2147483648 elements."""
    return _one("Abs", [_tensor("x", [-(2**31), 3]), _tensor("y")], [0])


def nine_dimensions() -> bytes:
    """More dimensions than a tensor can have."""
    return _one("Abs", [_tensor("x", [1] * 900), _tensor("y")], [0])


def constant_shorter_than_its_shape() -> bytes:
    """Four bytes for a million elements."""
    short = _tensor("c", [1000, 1000], np.zeros(1, np.float32))
    return _one("AddFusion", [_tensor("x", [1000, 1000]), short, _tensor("y")], [0, 1])


def stride_of_zero() -> bytes:
    """A convolution that never moves on: division by zero."""
    w = _tensor("w", [1, 2, 2, 1], np.zeros(4, np.float32))
    x = _tensor("x", [1, 4, 4, 1])
    attrs = {"kernel_size": [2, 2], "stride": [0, 0], "dilation": [1, 1], "pad_list": [0] * 4}
    return _one("Conv2DFusion", [x, w, _tensor("y")], [0, 1], group=1, in_channel=1, out_channel=1, **attrs)


def group_of_zero() -> bytes:
    """A convolution in zero groups: division by zero."""
    w = _tensor("w", [1, 2, 2, 1], np.zeros(4, np.float32))
    attrs = {"kernel_size": [2, 2], "stride": [1, 1], "dilation": [1, 1], "pad_list": [0] * 4}
    return _one("Conv2DFusion", [_tensor("x", [1, 4, 4, 1]), w, _tensor("y")], [0, 1], group=0, **attrs)


def padding_that_overflows() -> bytes:
    """Padding and dilation near 2^63: their sums wrap."""
    w = _tensor("w", [1, 2, 2, 1], np.zeros(4, np.float32))
    attrs = {"kernel_size": [2, 2], "stride": [1, 1], "dilation": [2**62, 2**62], "pad_list": [2**63 - 1] * 4}
    return _one("Conv2DFusion", [_tensor("x", [1, 4, 4, 1]), w, _tensor("y")], [0, 1], group=1, **attrs)


def pool_of_the_smallest_integer() -> bytes:
    """A pooling window and step of -2^63, whose negation is itself."""
    least = [-(2**63)] * 2
    return _one("MaxPoolFusion", [_tensor("x", [1, 4, 4, 1]), _tensor("y")], [0], kernel_size=least, strides=least)


def pool_of_padding() -> bytes:
    """Windows of 500 x 500 over a padded image of 8 x 8: three thousand million places, 64 of them in the image."""
    return _one("MaxPoolFusion", [_tensor("x", [1, 8, 8, 1]), _tensor("y")], [0], kernel_size=[500, 500],
                strides=[1, 1], pad=[300] * 4, pad_mode=0)  # fmt: skip


def pool_of_everything() -> bytes:
    """A window of 1000 x 1000 around every pixel of an image of 1000 x 1000."""
    return _one("AvgPoolFusion", [_tensor("x", [1, 1000, 1000, 1]), _tensor("y")], [0], kernel_size=[1000, 1000],
                strides=[1, 1], pad=[500] * 4, pad_mode=0)  # fmt: skip


def transposed_convolution_of_many_phases() -> bytes:
    """65535 phases, each of which looks for its taps among 200000."""
    tensors = [_tensor("x", [1, 1, 1, 1]), _tensor("w", [1, 1, 200000, 1]), _tensor("y")]
    return _one("Conv2dTransposeFusion", tensors, [0, 1], (0, 1), stride=[1, 65535], dilation=[1, 1], pad_mode=0)


def split_into_minus_one() -> bytes:
    """A negative number of parts with sizes that wrap."""
    return _one("Split", [_tensor("x", [4]), _tensor("y")], [0], output_num=-1, size_splits=[2**62, 2**62], axis=0)


def gather_outside() -> bytes:
    """Indices before and behind the data."""
    tensors = [_tensor("x", [2, 2]), _ints("i", [-(2**31), 2**31 - 1, 2]), _ints("axis", [0]), _tensor("y")]
    return _one("Gather", tensors, [0, 1, 2])


def transpose_with_a_wild_permutation() -> bytes:
    """Axes that are no permutation."""
    return _one("Transpose", [_tensor("x", [2, 2]), _ints("perm", [100000, -100000]), _tensor("y")], [0, 1])


def axis_far_outside() -> bytes:
    """An axis of 2^62."""
    return _one("Concat", [_tensor("x"), _tensor("y")], [0, 0], axis=2**62)


def slice_of_smallest_step() -> bytes:
    """A strided slice with the step -2^31 and ends that wrap."""
    smallest = -(2**31)
    tensors = [_tensor("x", [4]), *(_ints(n, [v]) for n, v in (("b", 2**31 - 1), ("e", smallest), ("s", smallest)))]
    return _one("StridedSlice", [*tensors, _tensor("y")], [0, 1, 2, 3])


def reshape_by_several_minus_ones() -> bytes:
    """A target shape with two open dimensions and a zero."""
    return _one("Reshape", [_tensor("x", [4]), _ints("shape", [-1, -1, 0]), _tensor("y")], [0, 1])


def range_without_end() -> bytes:
    """A range of 2^32 numbers with the step 0."""
    values = [_ints(n, [v]) for n, v in (("start", 0), ("limit", 2**31 - 1), ("delta", 0))]
    return _one("Range", [*values, _tensor("y", dataType=_INT32)], [0, 1, 2], fed=())


def _compressed(form: str, bits: int, dims: Sequence[int], data: bytes, count: int = 1) -> bytes:
    quant = [{"scale": 1.0, "zeroPoint": 0, "numBits": bits}] * count
    weights = _tensor("w", dims, np.frombuffer(data, np.uint8), dataType=_INT8, quantParams=quant)
    weights["weightQuantCompressType"] = form
    return _one("MatMulFusion", [_tensor("x", [1, dims[-1]]), weights, _tensor("y")], [0, 1], transpose_b=True)


def bomb_of_indexed_weights() -> bytes:
    """Sixty bytes that unpack to a thousand million equal weights: an index of no bits at all."""
    return _compressed("INDEXING", 8, [2**15, 2**15], b"\x01\x80" + bytes(60))


def bomb_of_sparse_weights() -> bytes:
    """Sixty bytes for a thousand million weights, none of them listed."""
    return _compressed("SPARSE", 8, [2**15, 2**15], bytes(60))


def packed_weights_of_many_bits() -> bytes:
    """Packed weights of 2^31-1 bits each: a shift by more than a word has."""
    return _compressed("BITPACKING", 2**31 - 1, [4, 4], bytes(64))


def sparse_run_beyond_the_end() -> bytes:
    """A sparse tensor whose first run leads out of the tensor."""
    return _compressed("SPARSE", 8, [2, 4], bytes([32, 0, 0, 0, 1, 1, 0x80, 0xFF, 0xFF, 0xFF, 0xFF]))


def entropy_table_that_does_not_add_up() -> bytes:
    """Symbol frequencies of 2^32-1: the decoding table would be written far outside."""
    table = struct.pack("<HHI", 2, 5, 1) + struct.pack("<II", 2**32 - 1, 33) + bytes(64)
    return _one("MatMulFusion", [_tensor("x", [1, 4]), _fse(table), _tensor("y")], [0, 1], transpose_b=True)


def bomb_of_entropy_coded_weights() -> bytes:
    """One symbol of frequency 32 that costs no bits, a thousand million times."""
    table = struct.pack("<HHI", 1, 5, 1) + struct.pack("<I", 32) + bytes(64)
    weights = {**_fse(table), "dims": [2**15, 2**15]}
    return _one("MatMulFusion", [_tensor("x", [1, 2**15]), weights, _tensor("y")], [0, 1], transpose_b=True)


def _fse(table: bytes) -> dict[str, Any]:
    quant = [{"scale": 1.0, "numBits": 8}]
    data = np.frombuffer(table, np.uint8)
    return _tensor("w", [4, 4], data, quantParams=quant, weightQuantCompressType="FSE")


def quantisation_for_no_axis() -> bytes:
    """Five sets of quantisation parameters for a 2 by 3 weight."""
    quant = [{"scale": float("inf"), "zeroPoint": -(2**31), "numBits": 8}] * 5
    weights = _tensor("w", [2, 3], np.zeros(6, np.int8), dataType=_INT8, quantParams=quant)
    return _one("MatMulFusion", [_tensor("x", [1, 3]), weights, _tensor("y")], [0, 1], transpose_b=True)


def constant_in_another_file() -> bytes:
    """A constant that says it lies in /etc/passwd."""
    outside = _tensor("c", [2, 2], np.zeros(0, np.float32), externalData=[{"location": "/etc/passwd", "length": 16}])
    return _one("AddFusion", [_tensor(), outside, _tensor("y")], [0, 1])


def unknown_element_type() -> bytes:
    """Data type 77."""
    return _one("Abs", [_tensor("x", dataType=77), _tensor("y")], [0])


def unknown_operator() -> bytes:
    """Operator number 255."""
    data = bytearray(_one("Abs", [_tensor(), _tensor("y")], [0]))
    at = [i for i in range(len(data) - 1) if data[i] == 1 and data[i + 1] == 0]
    for i in at:
        data[i] = 255
    return bytes(data)


def unknown_enumerator() -> bytes:
    """Activation type 113 and format 99."""
    return _one("Activation", [_tensor("x", format=99), _tensor("y")], [0], activation_type=113)


def names_that_are_not_text() -> bytes:
    """Names with bytes that are not UTF-8 and a zero byte."""
    data = _model([_tensor("xxxxxxx"), _tensor("yyyyyyy")], [_node("Abs", [0], [1])], [_graph([0], [1], [0])])
    return data.replace(b"xxxxxxx", b"\xff\xfe\xc0\x80\x00%n").replace(b"yyyyyyy", b"%s%s%n\xf5")


def equal_names() -> bytes:
    """Every tensor has the same name."""
    return _one("AddFusion", [_tensor("a"), _tensor("a"), _tensor("a")], [0, 1], fed=(0, 1))


def a_thousand_inputs() -> bytes:
    """One tensor is the model's input a thousand times over."""
    return _one("AddN", [_tensor(), _tensor("y")], [0] * 1000, fed=[0] * 1000)
