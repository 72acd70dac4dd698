"""Hostile TFLite files, see make.py."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import flatbuffers

# Tables are lists of fields in schema order: None is absent, a number with its type is a scalar.
_ABS, _ADD, _CUSTOM, _CONV, _CONCAT = 101, 0, 32, 3, 2


class _Table(list[Any]):
    """Fields by slot: None, ("b" | "i" | "I", number), bytes, _Table, list of int32, or list of _Table."""


def _build(root: _Table) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(_write(builder, root), b"TFL3")
    return bytes(builder.Output())


def _write(builder: Any, value: Any) -> int:
    if isinstance(value, bytes):
        return int(builder.CreateByteVector(value))
    if isinstance(value, _Table):
        return _write_table(builder, value)
    if value and isinstance(value[0], _Table):
        offsets = [_write(builder, item) for item in value]
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return int(builder.EndVector())
    builder.StartVector(4, len(value), 4)
    for number in reversed(value):
        builder.PrependInt32(number)
    return int(builder.EndVector())


def _write_table(builder: Any, table: _Table) -> int:
    offsets = {i: _write(builder, v) for i, v in enumerate(table) if v is not None and not isinstance(v, tuple)}
    builder.StartObject(len(table))
    for slot, value in enumerate(table):
        if slot in offsets:
            builder.PrependUOffsetTRelativeSlot(slot, offsets[slot], 0)
        elif value is not None:
            kind, number = value
            {"b": builder.PrependInt8Slot, "i": builder.PrependInt32Slot, "I": builder.PrependUint32Slot}[kind](
                slot, number, 0
            )
    return int(builder.EndObject())


def _tensor(name: bytes, shape: Sequence[int] = (2, 2), kind: int = 0, buffer: int = 0, quant: Any = None) -> _Table:
    return _Table([list(shape), ("b", kind), ("I", buffer), name, quant])


def _operator(code: int, inputs: Sequence[int], outputs: Sequence[int], kind: int = 0, options: Any = None) -> _Table:
    return _Table([("I", code), list(inputs), list(outputs), ("b", kind), options])


def _model(
    tensors: Sequence[_Table],
    operators: Sequence[_Table],
    code: int = _ABS,
    buffers: Sequence[_Table] = (),
    ends: tuple[Sequence[int], Sequence[int]] = ((0,), (1,)),
) -> bytes:
    codes = [_Table([("b", min(code, 127)), None, ("i", 1), ("i", code)])]
    graph = _Table([list(tensors), list(ends[0]), list(ends[1]), list(operators), b"main"])
    return _build(_Table([("I", 3), codes, [graph], b"attack", [_Table([None]), *buffers]]))


def _two(first: _Table, **more: Any) -> bytes:
    """One operator from the first tensor to a second one."""
    return _model([first, _tensor(b"y")], [_operator(0, [0], [1])], **more)


def cut_in_the_middle() -> bytes:
    """Half of a valid file."""
    whole = _two(_tensor(b"x"))
    return whole[: len(whole) // 2]


def root_points_outside() -> bytes:
    """The root offset is 2^32-1."""
    return b"\xff\xff\xff\xffTFL3" + bytes(64)


def root_points_at_itself() -> bytes:
    """The root table and its field table are the header."""
    return struct.pack("<I", 4) + b"TFL3" + bytes(64)


def every_vector_is_endless() -> bytes:
    """Every length in the file becomes 2^31-1."""
    data = bytearray(_two(_tensor(b"x")))
    for at in range(8, len(data) - 4, 4):
        if struct.unpack_from("<I", data, at)[0] in (1, 2):
            struct.pack_into("<I", data, at, 2**31 - 1)
    return bytes(data)


def graphs_shared_without_end() -> bytes:
    """Four thousand sub-graphs that are one, of four thousand tensors that are one: 16 million from 32 kB."""
    builder = flatbuffers.Builder(1024)
    tensor = _write(builder, _tensor(b"x", [1] * 8))
    tensors = _repeated(builder, tensor, 4000)
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, tensors, 0)
    graphs = _repeated(builder, builder.EndObject(), 4000)
    builder.StartObject(3)
    builder.PrependUOffsetTRelativeSlot(2, graphs, 0)
    builder.Finish(builder.EndObject(), b"TFL3")
    return bytes(builder.Output())


def _repeated(builder: Any, offset: int, count: int) -> int:
    builder.StartVector(4, count, 4)
    for _ in range(count):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def product_of_dims_wraps_to_zero() -> bytes:
    """An input whose dimensions multiply to 2^64."""
    return _two(_tensor(b"x", [2**16] * 4))


def product_of_dims_wraps_for_a_constant() -> bytes:
    """A constant of 2^64 + 4 bytes' worth of elements in a buffer of four."""
    x = _tensor(b"c", [2**30, 2**30, 2**4], buffer=1)
    return _two(x, buffers=[_Table([b"\0" * 4])], ends=((), (1,)))


def negative_dims() -> bytes:
    """A constant of -1 times -1 elements."""
    return _two(_tensor(b"c", [-1, -1], buffer=1), buffers=[_Table([b"\0" * 4])], ends=((), (1,)))


def smallest_dimension() -> bytes:
    """An input of -2^31 elements."""
    return _two(_tensor(b"x", [-(2**31)]))


def many_dims() -> bytes:
    """An input of a thousand dimensions."""
    return _two(_tensor(b"x", [1] * 1000))


def buffer_beyond_the_table() -> bytes:
    """A tensor in buffer 2^32-1."""
    return _two(_tensor(b"c", buffer=2**32 - 1), ends=((), (1,)))


def buffer_beyond_the_file() -> bytes:
    """A buffer at offset 2^31 behind the flatbuffer."""
    outside = _Table([None, ("I", 2**31), ("I", 16)])
    return _two(_tensor(b"c", buffer=1), buffers=[outside], ends=((), (1,)))


def tensor_index_beyond_the_table() -> bytes:
    """An operator reads tensor 2^31-1 and writes tensor -5."""
    return _model([_tensor(b"x"), _tensor(b"y")], [_operator(0, [2**31 - 1], [-5])])


def operator_code_beyond_the_table() -> bytes:
    """An operator of code 70000."""
    return _model([_tensor(b"x"), _tensor(b"y")], [_operator(70000, [0], [1])])


def unknown_operator() -> bytes:
    """Builtin operator 100000."""
    return _two(_tensor(b"x"), code=100000)


def unknown_element_type() -> bytes:
    """Tensor type 99."""
    return _two(_tensor(b"x", kind=99))


def unknown_options() -> bytes:
    """Options of kind 127 that point into nowhere."""
    return _model([_tensor(b"x"), _tensor(b"y")], [_operator(0, [0], [1], 127, _Table([("i", 1)]))])


def options_of_another_operator() -> bytes:
    """A convolution with the options of a concatenation."""
    tensors = [_tensor(b"x", [1, 4, 4, 1]), _tensor(b"w", [1, 2, 2, 1], buffer=1), _tensor(b"y")]
    options = _Table([("i", 2**31 - 1), ("b", 99)])
    return _model(tensors, [_operator(0, [0, 1], [2], 10, options)], _CONV, [_Table([bytes(16)])], ((0,), (2,)))


def stride_of_zero() -> bytes:
    """A convolution that never moves on."""
    tensors = [_tensor(b"x", [1, 4, 4, 1]), _tensor(b"w", [1, 2, 2, 1], buffer=1), _tensor(b"y")]
    options = _Table([("b", 0), ("i", 0), ("i", -1)])
    return _model(tensors, [_operator(0, [0, 1], [2], 1, options)], _CONV, [_Table([bytes(16)])], ((0,), (2,)))


def no_operands() -> bytes:
    """An operator without inputs and outputs."""
    return _model([_tensor(b"x"), _tensor(b"y")], [_operator(0, [], [])])


def only_absent_operands() -> bytes:
    """An operator whose input and output are marked absent; so are the graph's."""
    return _model([_tensor(b"x"), _tensor(b"y")], [_operator(0, [-1], [-1])], ends=((-1,), (-1,)))


def cycle() -> bytes:
    """Two operators that read each other."""
    tensors = [_tensor(b"x"), _tensor(b"y"), _tensor(b"z")]
    return _model(tensors, [_operator(0, [0, 2], [1]), _operator(0, [1, 0], [2])], _ADD)


def reads_itself() -> bytes:
    """An operator that reads its own result."""
    return _model([_tensor(b"x"), _tensor(b"y")], [_operator(0, [0, 1], [1])], _ADD)


def written_twice() -> bytes:
    """Two operators write one tensor, which is the graph's input."""
    return _model([_tensor(b"x"), _tensor(b"y")], [_operator(0, [0], [0]), _operator(0, [0], [0])], ends=((0,), (0,)))


def equal_names() -> bytes:
    """Every tensor has the same name."""
    return _model([_tensor(b"x"), _tensor(b"x")], [_operator(0, [0], [1])])


def names_that_are_not_text() -> bytes:
    """Names that are not UTF-8."""
    return _model([_tensor(b"\xff\xfe\xc0\x80\x00%n"), _tensor(b"%s%s%n\xf5")], [_operator(0, [0], [1])])


def custom_operator_without_a_name() -> bytes:
    """A custom operator with no name and no options."""
    return _two(_tensor(b"x"), code=_CUSTOM)


def quantisation_without_end() -> bytes:
    """Scales of NaN for an axis that does not exist."""
    quant = _Table([None, None, [0x7FC00000] * 3, None, None, None, ("i", -(2**31))])
    return _two(_tensor(b"x", kind=9, quant=quant))


def graph_of_nothing() -> bytes:
    """A model whose only graph is empty."""
    return _build(_Table([("I", 3), None, [_Table([None])]]))
