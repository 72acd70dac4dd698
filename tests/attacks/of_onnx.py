"""Hostile ONNX files, see make.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper

_F = TensorProto.FLOAT


def _value(name: str, shape: Sequence[Any] | None = (2, 2), kind: int = _F) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def _model(nodes: Sequence[NodeProto], constants: Sequence[TensorProto] = (), **more: Any) -> ModelProto:
    inputs, outputs = more.get("inputs", [_value("x")]), more.get("outputs", [_value("y", None)])
    graph = helper.make_graph(nodes, "g", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def _bytes(nodes: Sequence[NodeProto], constants: Sequence[TensorProto] = (), **more: Any) -> bytes:
    return _model(nodes, constants, **more).SerializeToString()


def _outside(location: str, offset: int = 0, length: int = 16) -> bytes:
    """A model whose weight lies elsewhere."""
    weight = TensorProto(name="w", dims=[2, 2], data_type=_F, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        weight.external_data.add(key=key, value=str(value))
    return _bytes([helper.make_node("Add", ["x", "w"], ["y"])], [weight])


def cut_in_the_middle() -> bytes:
    """Half of a valid file."""
    whole = _bytes([helper.make_node("Abs", ["x"], ["y"])])
    return whole[: len(whole) // 2]


def field_longer_than_the_file() -> bytes:
    """The graph claims 2^62 bytes."""
    return b"\x08\x08\x3a" + b"\xff" * 8 + b"\x3f" + bytes(32)


def number_that_never_ends() -> bytes:
    """A length of nothing but continuation bytes."""
    return b"\x3a" + b"\xff" * 4096


def groups_inside_groups() -> bytes:
    """Ten thousand opened groups, a wire type that parsers recurse into."""
    return b"\x08\x08" + b"\x3b" * 10000


def weights_above_the_folder() -> bytes:
    """External data at ../../../../../../etc/passwd."""
    return _outside("../../../../../../../../etc/passwd")


def weights_at_an_absolute_path() -> bytes:
    """External data at /etc/passwd."""
    return _outside("/etc/passwd")


def weights_behind_a_link() -> bytes:
    """External data in a file that is a symbolic link out of the folder (made by the test)."""
    return _outside("link_outside")


def weights_in_a_device() -> bytes:
    """External data in a folder instead of a file."""
    return _outside(".")


def weights_beyond_the_file() -> bytes:
    """External data at an offset that wraps, in the model file itself."""
    return _outside("weights_beyond_the_file.onnx", 2**63 - 1, 2**63 - 1)


def weights_of_negative_length() -> bytes:
    """External data of negative offset and length."""
    return _outside("weights_of_negative_length.onnx", -(2**63), -(2**63))


def path_with_a_zero_byte() -> bytes:
    """External data in a file whose name no system call takes."""
    return _outside("a\0b")


def constant_of_absurd_dims() -> bytes:
    """A constant of 2^62 times 2^62 elements and no bytes."""
    weight = TensorProto(name="w", dims=[2**62, 2**62, 4], data_type=_F, raw_data=b"")
    return _bytes([helper.make_node("Add", ["x", "w"], ["y"])], [weight])


def constant_of_negative_dims() -> bytes:
    """A constant of -1 times -4 elements: their product fits its 16 bytes."""
    weight = TensorProto(name="w", dims=[-1, -4], data_type=_F, raw_data=bytes(16))
    return _bytes([helper.make_node("Add", ["x", "w"], ["y"])], [weight])


def constant_of_an_unknown_type() -> bytes:
    """Element type 9999."""
    weight = TensorProto(name="w", dims=[4], data_type=9999, raw_data=bytes(16))
    return _bytes([helper.make_node("Add", ["x", "w"], ["y"])], [weight])


def constant_of_many_dims() -> bytes:
    """A constant of four thousand dimensions of one element."""
    weight = TensorProto(name="w", dims=[1] * 4000, data_type=_F, raw_data=bytes(4))
    return _bytes([helper.make_node("Add", ["x", "w"], ["y"])], [weight])


def input_of_absurd_dims() -> bytes:
    """An input of 2^40 by 2^40 elements."""
    return _bytes([helper.make_node("Abs", ["x"], ["y"])], inputs=[_value("x", [2**40, 2**40])])


def constant_made_huge() -> bytes:
    """A shape constant that asks for 2^60 equal elements."""
    shape = helper.make_tensor("s", TensorProto.INT64, [2], [2**30, 2**30])
    nodes = [helper.make_node("ConstantOfShape", ["s"], ["c"]), helper.make_node("Add", ["x", "c"], ["y"])]
    return _bytes(nodes, [shape])


def constant_expanded_again_and_again() -> bytes:
    """Forty doublings of a constant, each small, together 2^40 elements: a bomb for constant folding."""
    nodes = [helper.make_node("Concat", [f"c{i}", f"c{i}"], [f"c{i + 1}"], axis=0) for i in range(40)]
    nodes += [helper.make_node("Shape", ["c40"], ["n"]), helper.make_node("Cast", ["n"], ["f"], to=_F)]
    nodes.append(helper.make_node("Add", ["x", "f"], ["y"]))
    return _bytes(nodes, [helper.make_tensor("c0", _F, [1], [1.0])])


def range_without_end() -> bytes:
    """A constant range of 2^62 numbers."""
    ends = [helper.make_tensor(n, TensorProto.INT64, [], [v]) for n, v in (("a", 0), ("b", 2**62), ("d", 1))]
    nodes = [helper.make_node("Range", ["a", "b", "d"], ["r"]), helper.make_node("Cast", ["r"], ["f"], to=_F)]
    return _bytes([*nodes, helper.make_node("ReduceSum", ["f"], ["y"])], ends)


def range_of_step_zero() -> bytes:
    """A constant range that never advances."""
    ends = [helper.make_tensor(n, TensorProto.INT64, [], [v]) for n, v in (("a", 0), ("b", 9), ("d", 0))]
    nodes = [helper.make_node("Range", ["a", "b", "d"], ["r"]), helper.make_node("Cast", ["r"], ["f"], to=_F)]
    return _bytes([*nodes, helper.make_node("ReduceSum", ["f"], ["y"])], ends)


def tile_of_a_constant() -> bytes:
    """A constant repeated 2^40 times."""
    constants = [helper.make_tensor("c", _F, [1], [1.0]), helper.make_tensor("n", TensorProto.INT64, [1], [2**40])]
    nodes = [helper.make_node("Tile", ["c", "n"], ["t"]), helper.make_node("ReduceSum", ["t"], ["s"])]
    return _bytes([*nodes, helper.make_node("Add", ["x", "s"], ["y"])], constants)


def cycle() -> bytes:
    """Two nodes that read each other."""
    return _bytes([helper.make_node("Add", ["x", "y"], ["z"]), helper.make_node("Abs", ["z"], ["y"])])


def reads_itself() -> bytes:
    """A node that reads its own result."""
    return _bytes([helper.make_node("Add", ["x", "y"], ["y"])])


def _nested(depth: int) -> GraphProto:
    if depth == 0:
        return helper.make_graph([helper.make_node("Abs", ["x"], ["b0"])], "b", [], [_value("b0")])
    inner = _nested(depth - 1)
    node = helper.make_node("If", ["c"], [f"b{depth}"], then_branch=inner, else_branch=inner)
    return helper.make_graph([node], "b", [], [_value(f"b{depth}")])


def _deep_if(depth: int) -> bytes:
    c = _value("c", [], TensorProto.BOOL)
    return _bytes([*_nested(depth).node, helper.make_node("Abs", [f"b{depth}"], ["y"])], inputs=[_value("x"), c])


def branches_inside_branches() -> bytes:
    """If inside If, eight deep, both branches alike: the work doubles with each."""
    return _deep_if(8)


def branches_deeper_than_protobuf_reads() -> bytes:
    """If inside If a hundred and fifty deep, only then_branch of each."""
    inner = helper.make_graph([helper.make_node("Abs", ["x"], ["b"])], "b", [], [_value("b")]).SerializeToString()
    for _ in range(150):  # put together by hand: the protobuf library refuses to
        inner = _field(1, _field(1, b"c") + _field(2, b"b") + _field(4, b"If") + _attribute(inner))
        inner += _field(2, b"g") + _field(12, _value("b").SerializeToString())
    head = _model([helper.make_node("Abs", ["x"], ["y"])])
    head.ClearField("graph")
    return head.SerializeToString() + _field(7, inner)


def _attribute(graph: bytes) -> bytes:
    return _field(5, _field(1, b"then_branch") + b"\xa0\x01\x05" + _field(6, graph))


def _field(number: int, payload: bytes) -> bytes:
    length, size = b"", len(payload)
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + payload


def function_that_calls_itself() -> bytes:
    """A model function whose body is a call of itself."""
    model = _model([helper.make_node("f", ["x"], ["y"], domain="d")])
    body = [helper.make_node("f", ["a"], ["b"], domain="d")]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("d", 1)]
    model.functions.append(helper.make_function("d", "f", ["a"], ["b"], body, opsets))
    model.opset_import.add(domain="d", version=1)
    return model.SerializeToString()


def functions_that_double() -> bytes:
    """Thirty functions, each calling the one before twice: 2^30 nodes from two kilobytes."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("d", 1)]
    model = _model([helper.make_node("f30", ["x"], ["y"], domain="d")])
    for i in range(31):
        op, domain = (f"f{i - 1}", "d") if i else ("Abs", "")
        body = [helper.make_node(op, [a], [b], domain=domain) for a, b in (("a", "m"), ("m", "b"))]
        model.functions.append(helper.make_function("d", f"f{i}", ["a"], ["b"], body, opsets))
    model.opset_import.add(domain="d", version=1)
    return model.SerializeToString()


def equal_names() -> bytes:
    """Input, constant, node results and output all share one name."""
    constant = helper.make_tensor("x", _F, [2, 2], [0.0] * 4)
    nodes = [helper.make_node("Abs", ["x"], ["x"], name="n"), helper.make_node("Abs", ["x"], ["x"], name="n")]
    return _bytes(nodes, [constant, constant], outputs=[_value("x"), _value("x")])


def names_that_are_not_text() -> bytes:
    """Operator, node and value names that are not UTF-8."""
    data = _bytes([helper.make_node("Abs", ["x"], ["yyyyyyy"], name="nnnnnnn")], outputs=[_value("yyyyyyy")])
    return data.replace(b"yyyyyyy", b"\xff\xfe\xc0\x80\x00%n").replace(b"nnnnnnn", b"\xf5%s%s%n\x80")


def attributes_of_wrong_types() -> bytes:
    """A convolution whose strides are a string, whose group is a tensor and whose pads are a graph."""
    weight = helper.make_tensor("w", _F, [1, 1, 1, 1], [1.0])
    graph = helper.make_graph([], "g", [], [])
    group = helper.make_tensor("t", _F, [1], [1.0])
    node = helper.make_node("Conv", ["x", "w"], ["y"], strides="two", group=group, pads=graph)
    return _bytes([node], [weight], inputs=[_value("x", [1, 1, 4, 4])])


def attributes_out_of_range() -> bytes:
    """A convolution with strides of 0, dilations of -2^63 and pads of 2^62."""
    weight = helper.make_tensor("w", _F, [1, 1, 2, 2], [1.0] * 4)
    attrs = {"strides": [0, 0], "dilations": [-(2**63)] * 2, "pads": [2**62] * 4, "group": 0}
    return _bytes([helper.make_node("Conv", ["x", "w"], ["y"], **attrs)], [weight], inputs=[_value("x", [1, 1, 4, 4])])


def opset_of_the_far_future() -> bytes:
    """Opset 2^62."""
    model = _model([helper.make_node("Abs", ["x"], ["y"])])
    model.opset_import[0].version = 2**62
    return model.SerializeToString()


def loop_of_many_turns() -> bytes:
    """A loop of 2^62 constant turns, which must not be unrolled."""
    body = helper.make_graph(
        [helper.make_node("Abs", ["v"], ["w"]), helper.make_node("Identity", ["k"], ["l"])],
        "body",
        [_value("i", [], TensorProto.INT64), _value("k", [], TensorProto.BOOL), _value("v")],
        [_value("l", [], TensorProto.BOOL), _value("w")],
    )
    ends = [helper.make_tensor("n", TensorProto.INT64, [], [2**62]), helper.make_tensor("t", TensorProto.BOOL, [], [1])]
    return _bytes([helper.make_node("Loop", ["n", "t", "x"], ["y"], body=body)], ends)
