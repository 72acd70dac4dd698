"""Hostile MindIR files, see make.py."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from converter.importers.mindir.proto import message_class

_FLOAT = 1
_TUPLE, _LIST, _GRAPH_TYPE, _TENSOR_TYPE, _INT64 = 20, 21, 18, 17, 7
_GCM_MAGIC, _CBC_MAGIC = 0x7F3A5ED8, 0x7F3A5ED9


def _model(nodes: Sequence[tuple[str, Sequence[str], str]], output: str = "y", dims: Sequence[int] = (2, 2)) -> Any:
    """A model with input x and these (operator, inputs, output) nodes."""
    model = message_class("ModelProto")(ir_version="0.1.1", producer_name="MindSpore", model_version="2.0.0")
    model.mind_ir_version, model.little_endian = 1, True
    graph = model.graph
    graph.name = "g"
    graph.input.add(name="x").tensor.add(dims=dims, data_type=_FLOAT)
    graph.output.add(name=output).tensor.add(dims=dims, data_type=_FLOAT)
    for op, inputs, result in nodes:
        graph.node.add(input=inputs, output=[result], name=result, op_type=op, domain="ai.mindspore")
    return model


def _with_weight(**tensor: Any) -> bytes:
    """x + w, where w is this tensor."""
    model = _model([("Add", ["x", "w"], "y")])
    external = tensor.pop("external_data", None)
    weight = model.graph.parameter.add(**{"name": "w", "data_type": _FLOAT, "dims": [2, 2], **tensor})
    if external is not None:
        weight.external_data.location, weight.external_data.offset, weight.external_data.length = external
    return model.SerializeToString()


def cut_in_the_middle() -> bytes:
    """Half of a valid file."""
    whole = _model([("Abs", ["x"], "y")]).SerializeToString()
    return whole[: len(whole) // 2]


def field_longer_than_the_file() -> bytes:
    """The graph claims 2^62 bytes."""
    return b"\x0a\x05" + b"0.1.1" + b"\x3a" + b"\xff" * 8 + b"\x3f" + bytes(32)


def groups_inside_groups() -> bytes:
    """Ten thousand opened groups, a wire type that parsers recurse into."""
    return b"\x0a\x05" + b"0.1.1" + b"\x3b" * 10000


def weights_above_the_folder() -> bytes:
    """External data at ../../../../../../etc/passwd."""
    return _with_weight(external_data=("../../../../../../../../etc/passwd", 0, 16))


def weights_at_an_absolute_path() -> bytes:
    """External data at /etc/passwd."""
    return _with_weight(external_data=("/etc/passwd", 0, 16))


def weights_behind_a_link() -> bytes:
    """External data in a file that is a symbolic link out of the folder (made by the test)."""
    return _with_weight(external_data=("link_outside", 0, 16))


def weights_beyond_the_file() -> bytes:
    """External data at an offset that wraps, in the model file itself."""
    return _with_weight(external_data=("weights_beyond_the_file.mindir", 2**63 - 1, 2**63 - 1))


def weights_of_negative_length() -> bytes:
    """External data of negative offset and length."""
    return _with_weight(external_data=("weights_of_negative_length.mindir", -(2**63), -(2**63)))


def path_with_a_zero_byte() -> bytes:
    """External data in a file whose name no system call takes."""
    return _with_weight(external_data=("a\0b", 0, 16))


def constant_of_absurd_dims() -> bytes:
    """A weight of 2^62 times 2^62 times 4 elements and no bytes: their product is 0 in 64 bits."""
    return _with_weight(dims=[2**62, 2**62, 4], raw_data=b"")


def constant_of_negative_dims() -> bytes:
    """A weight of -1 times -4 elements: their product fits its 16 bytes."""
    return _with_weight(dims=[-1, -4], raw_data=bytes(16))


def constant_of_an_unknown_type() -> bytes:
    """Element type 18, packed in halves of bytes."""
    return _with_weight(data_type=18, raw_data=bytes(16))


def constant_of_many_dims() -> bytes:
    """A weight of four thousand dimensions of one element."""
    return _with_weight(dims=[1] * 4000, raw_data=bytes(4))


def constant_of_impossible_numbers() -> bytes:
    """A weight of 32-bit integers that are given as 64-bit ones and do not fit."""
    return _with_weight(data_type=4, dims=[2], int64_data=[-(2**63), 2**63 - 1])


def bomb_of_compressed_weights() -> bytes:
    """A weight that unpacks from 16 bytes to 2^40 elements."""
    return _with_weight(dims=[2**20, 2**20], compression_type=3, raw_data=bytes(16))


def input_of_absurd_dims() -> bytes:
    """An input of 2^40 by 2^40 elements."""
    return bytes(_model([("Abs", ["x"], "y")], dims=[2**40, 2**40]).SerializeToString())


def cycle() -> bytes:
    """Two nodes that read each other."""
    return bytes(_model([("Add", ["x", "y"], "z"), ("Abs", ["z"], "y")]).SerializeToString())


def reads_itself() -> bytes:
    """A node that reads its own result."""
    return bytes(_model([("Add", ["x", "y"], "y")]).SerializeToString())


def long_chain() -> bytes:
    """Two thousand nodes in a row, listed last first: deep recursion for whoever sorts them."""
    nodes = [("Abs", ["x" if i == 0 else f"n{i - 1}"], f"n{i}") for i in range(2000)]
    return bytes(_model(nodes[::-1], "n1999").SerializeToString())


def tuple_inside_tuple() -> bytes:
    """An attribute of ninety tuples inside each other."""
    return _deep(90)


def tuple_deeper_than_protobuf_reads() -> bytes:
    """An attribute of three hundred tuples inside each other, put together by hand."""
    inner = b"\x88\x01\x07"
    for _ in range(300):
        inner = b"\x88\x01\x14" + b"\x92\x01" + _varint(len(inner)) + inner
    attribute = _field(1, b"a") + inner
    node = _field(1, b"x") + _field(2, b"y") + _field(4, b"Abs") + _field(5, attribute)
    head = _model([("Abs", ["x"], "z")])
    head.ClearField("graph")
    return bytes(head.SerializeToString()) + _field(7, _field(1, node))


def _deep(depth: int) -> bytes:
    model = _model([("Abs", ["x"], "y")])
    attribute = model.graph.node[0].attribute.add(name="shape", type=_TUPLE)
    for _ in range(depth):
        attribute = attribute.values.add(type=_TUPLE)
    attribute.type, attribute.i = _INT64, 1
    return bytes(model.SerializeToString())


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def _field(number: int, payload: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(payload)) + payload


def function_that_calls_itself() -> bytes:
    """A graph that calls a function, which calls itself."""
    model = _model([("REF::f", ["x"], "y")])
    _function(model, "f", [("REF::f", ["f:a"], "f:b")])
    return bytes(model.SerializeToString())


def functions_that_double() -> bytes:
    """Thirty functions, each calling the one before twice: 2^30 nodes from a few kilobytes."""
    model = _model([("REF::f30", ["x"], "y")])
    for i in range(31):
        op = f"REF::f{i - 1}" if i else "REF::Abs"
        _function(model, f"f{i}", [(op, [f"f{i}:a"], f"f{i}:m"), (op, [f"f{i}:m"], f"f{i}:b")])
    return bytes(model.SerializeToString())


def _function(model: Any, name: str, nodes: Sequence[tuple[str, Sequence[str], str]]) -> None:
    graph = model.functions.add(name=name)
    graph.input.add(name=f"{name}:a").tensor.add(dims=[2, 2], data_type=_FLOAT)
    graph.output.add(name=f"{name}:b").tensor.add(dims=[2, 2], data_type=_FLOAT)
    for op, inputs, result in nodes:
        graph.node.add(input=inputs, output=[result], name=result, op_type=op, domain="ai.mindspore")


def equal_names() -> bytes:
    """Input, parameter and results all share one name."""
    model = _model([("Abs", ["x"], "x"), ("Abs", ["x"], "x")], "x")
    model.graph.parameter.add(name="x", data_type=_FLOAT, dims=[2, 2], raw_data=bytes(16))
    return bytes(model.SerializeToString())


def names_that_are_not_text() -> bytes:
    """Names of values, nodes and operators that are not UTF-8."""
    data = bytes(_model([("Abs", ["x"], "yyyyyyy")], "yyyyyyy").SerializeToString())
    return data.replace(b"yyyyyyy", b"\xff\xfe\xc0\x80\x00%n")


def unknown_enumerators() -> bytes:
    """Attribute type 999 and element type 999."""
    model = _model([("Cast", ["x"], "y")])
    data = bytes(model.SerializeToString())
    return data.replace(b"\x10\x01", b"\x10\x7f")


def attributes_out_of_range() -> bytes:
    """A convolution in zero groups with strides of 0 and pads of 2^62."""
    model = _model([("Conv2D", ["x", "w"], "y")], dims=[1, 1, 4, 4])
    model.graph.parameter.add(name="w", data_type=_FLOAT, dims=[1, 1, 2, 2], raw_data=bytes(16))
    for name, number in (("group", 0), ("pad_mode", 99), ("out_channel", -1)):
        model.graph.node[0].attribute.add(name=name, type=_INT64, i=number)
    for name, numbers in (("stride", [0] * 4), ("dilation", [-(2**63)] * 4), ("pad", [2**62] * 4)):
        attribute = model.graph.node[0].attribute.add(name=name, type=_TUPLE)
        for number in numbers:
            attribute.values.add(type=_INT64, i=number)
    return bytes(model.SerializeToString())


def dialect_of_the_far_future() -> bytes:
    """MindIR version 2^62."""
    model = _model([("Abs", ["x"], "y")])
    model.mind_ir_version = 2**62
    return bytes(model.SerializeToString())


def encrypted_block_of_huge_lengths() -> bytes:
    """An encrypted block whose lengths are 2^31-1 (the test gives a key)."""
    return struct.pack("<I", _GCM_MAGIC) + bytes(16) + struct.pack("<iii", *[2**31 - 1] * 3) + bytes(64)


def encrypted_block_of_negative_lengths() -> bytes:
    """An encrypted block of lengths -1, which would read backwards without end."""
    return struct.pack("<I", _CBC_MAGIC) + struct.pack("<iii", -1, -1, -1) + bytes(64)


def encrypted_block_of_no_length() -> bytes:
    """Empty encrypted blocks, which would never advance."""
    return (struct.pack("<I", _CBC_MAGIC) + struct.pack("<iii", 0, 0, 0)) * 8
