"""Takes the weights out of an ONNX file without parsing or copying them.

A ModelProto is a protobuf message; its weights are the ``raw_data`` fields of the initialisers of its
main graph. ``split`` walks just those levels of the wire format and returns the message without the
large ``raw_data`` fields, together with views of their bytes. Everything else is left to protobuf.
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZE = {_FIXED64: 8, _FIXED32: 4}

# Field numbers of ModelProto, GraphProto and TensorProto.
_MODEL_GRAPH = 7
_GRAPH_INITIALIZER = 5
_TENSOR_RAW_DATA = 9

# Smaller tensors stay in the message: shape inference wants to see their values.
SMALL_BYTES = 1024


class WireError(ValueError):
    """The bytes are not a protobuf message."""


def split(data: memoryview) -> tuple[bytes, dict[int, memoryview]]:
    """The message without its large weights, and those by their position among the initialisers.

    Raises WireError when a length or tag runs over the end of what holds it.
    """
    weights: dict[int, memoryview] = {}
    out = bytearray()
    count = 0
    for number, kind, whole, payload in _fields(data):
        if number == _MODEL_GRAPH and kind == _BYTES:
            graph, count = _split_graph(payload, weights, count)
            _append(out, number, graph)
        else:
            out += whole
    return bytes(out), weights


def _split_graph(data: memoryview, weights: dict[int, memoryview], count: int) -> tuple[bytes, int]:
    out = bytearray()
    for number, kind, whole, payload in _fields(data):
        if number != _GRAPH_INITIALIZER or kind != _BYTES:
            out += whole
            continue
        if len(payload) > SMALL_BYTES:
            _append(out, number, _split_tensor(payload, weights, count))
        else:
            out += whole
        count += 1
    return bytes(out), count


def _split_tensor(data: memoryview, weights: dict[int, memoryview], index: int) -> bytes:
    out = bytearray()
    for number, kind, whole, payload in _fields(data):
        if number == _TENSOR_RAW_DATA and kind == _BYTES and len(payload) > SMALL_BYTES:
            weights[index] = payload
        else:
            out += whole
    return bytes(out)


def _fields(data: memoryview) -> Iterator[tuple[int, int, memoryview, memoryview]]:
    """(field number, wire type, the field with its tag, its payload) for each field."""
    at, end = 0, len(data)
    while at < end:
        start = at
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == _VARINT:
            first = at
            _, at = _varint(data, at)
        elif kind == _BYTES:
            length, first = _varint(data, at)
            at = first + length
        elif kind in _FIXED_SIZE:
            first = at
            at += _FIXED_SIZE[kind]
        else:
            raise WireError(f"wire type {kind} at byte {start}")
        if at > end:
            raise WireError(f"a field at byte {start} runs {at - end} bytes over the end")
        yield tag >> 3, kind, data[start:at], data[first:at]


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise WireError(f"a number at byte {at} does not end")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7


def _append(out: bytearray, number: int, payload: bytes) -> None:
    for value in (number << 3 | _BYTES, len(payload)):
        while value > 0x7F:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)
    out += payload
