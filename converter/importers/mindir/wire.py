"""Takes the weights out of a serialised ModelProto before protobuf parses it, so that nothing copies them.

The wire format is a sequence of fields, each a varint tag (number * 8 + type) and, for type 2, a varint
length with that many bytes. Weights are the raw_data of the main graph's parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

_GRAPH, _PARAMETER, _RAW_DATA = 7, 3, 9  # ModelProto.graph, GraphProto.parameter, TensorProto.raw_data
_BYTES = 2
_FIXED = {1: 8, 5: 4}  # wire type -> size of fields without a length

# The bytes of each parameter's weights in order, None for one without.
Weights = list[Optional[memoryview]]


class _UnexpectedError(Exception):
    """Something that a MindIR file does not have; protobuf shall judge it."""


def split_weights(data: memoryview) -> tuple[bytes, Weights]:
    """The model without its weights, and views of the weights; the whole model and nothing where in doubt."""
    try:
        return _split(data)
    except _UnexpectedError:
        return bytes(data), []


def _split(data: memoryview) -> tuple[bytes, Weights]:
    model: list[bytes | memoryview] = []
    weights: Weights = []
    graphs = 0
    for number, whole, content in _fields(data):
        if number != _GRAPH or content is None:
            model.append(whole)
            continue
        graphs += 1
        if graphs > 1:
            raise _UnexpectedError
        graph: list[bytes | memoryview] = []
        for inner, part, tensor in _fields(content):
            if inner == _PARAMETER and tensor is not None:
                rest, raw = _without_raw_data(tensor)
                weights.append(raw)
                graph += [_header(_PARAMETER, len(rest)), rest]
            else:
                graph.append(part)
        model += [_header(_GRAPH, sum(len(part) for part in graph)), *graph]
    return b"".join(model), weights


def _without_raw_data(tensor: memoryview) -> tuple[bytes, memoryview | None]:
    rest: list[memoryview] = []
    raw: memoryview | None = None
    for number, whole, content in _fields(tensor):
        if number == _RAW_DATA and content is not None:
            raw = content
        else:
            rest.append(whole)
    return b"".join(rest), raw


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview, memoryview | None]]:
    """Number, all bytes, and for fields with a length the content, of every field in turn."""
    at = 0
    while at < len(data):
        start = at
        tag, at = _varint(data, at)
        kind = tag & 7
        content = None
        if kind == _BYTES:
            length, at = _varint(data, at)
            content = data[at : at + length]
            at += length
        elif kind == 0:
            _, at = _varint(data, at)
        elif kind in _FIXED:
            at += _FIXED[kind]
        else:
            raise _UnexpectedError
        if at > len(data):
            raise _UnexpectedError
        yield tag >> 3, data[start:at], content


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _UnexpectedError


def _header(number: int, length: int) -> bytes:
    """The tag and length of a field."""
    encoded = bytearray([number << 3 | _BYTES])
    while length >= 0x80:
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    encoded.append(length)
    return bytes(encoded)
