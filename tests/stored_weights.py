"""An independent reader of quantised weights in .ms files, written from the description of the format alone."""

from __future__ import annotations

import numpy as np

from converter.ir.graph import Value


def decoded(value: Value, axis: int | None) -> np.ndarray:
    """The float64 numbers a stored weight stands for; ``axis`` has the channels."""
    if value.compression == "FSE":
        return _fse(_bytes(value), int(np.prod(value.shape)), "<f4").reshape(value.shape)
    q = integers(value, axis).astype(np.float64)
    shape = [1] * q.ndim
    if axis is not None and len(value.quant) > 1:
        shape[axis] = len(value.quant)
    scale, zero, var, mean = (
        np.array([getattr(p, name) for p in value.quant], np.float64).reshape(shape if len(value.quant) > 1 else [])
        for name in ("scale", "zero_point", "var_corr", "mean_corr")
    )
    return (q - zero) * scale * var + mean


def integers(value: Value, axis: int | None) -> np.ndarray:
    shape, count = value.shape, int(np.prod(value.shape))
    bits = value.quant[0].bits
    offset = 1 << (bits - 1)
    if value.compression == "NONE":
        return np.asarray(value.data)
    if value.compression == "FSE_INT":
        return _fse(_bytes(value), count, "<i4").reshape(shape)
    if value.compression == "BITPACKING":
        stream = np.unpackbits(_bytes(value), bitorder="little")[: count * bits].reshape(count, bits)
        return ((stream.astype(np.int64) << np.arange(bits)).sum(axis=1) - offset).reshape(shape)
    bit = _Bits(np.unpackbits(_bytes(value)))
    if value.compression == "INDEXING":
        table = _table(bit, bits)
        width = (len(table) - 1).bit_length()
        return np.array([table[bit.take(width)] for _ in range(count)]).reshape(shape)
    assert value.compression == "SPARSE"
    run_bits, listed = bit.take(8), bit.take(32)
    table = _table(bit, bits)
    width = (len(table) - 1).bit_length()
    found = [table[bit.take(width)] for _ in range(listed)]
    zeros = np.array([p.zero_point for p in value.quant])
    if len(zeros) > 1:
        zeros = zeros.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    out = np.broadcast_to(zeros, shape).reshape(-1).copy()
    at = 0
    for number in found:
        at += bit.take(run_bits)
        out[at] = number
        at += 1
    return out.reshape(shape)


class _Bits:
    def __init__(self, bits: np.ndarray) -> None:
        self._bits = bits.tolist()
        self._at = 0

    def take(self, width: int) -> int:
        number = 0
        for bit in self._bits[self._at : self._at + width]:
            number = 2 * number + bit
        self._at += width
        return number


def _bytes(value: Value) -> np.ndarray:
    return np.frombuffer(np.ascontiguousarray(value.data).tobytes(), np.uint8)


def _table(bit: _Bits, bits: int) -> list[int]:
    count = bit.take(bits) or 1 << bits
    return [bit.take(bits) - (1 << (bits - 1)) for _ in range(count)]


def _fse(data: np.ndarray, count: int, kind: str) -> np.ndarray:
    symbols, log = (int(x) for x in data[:4].view("<u2"))
    chunks = int(data[4:8].view("<u4")[0])
    frequency = data[8 : 8 + 4 * symbols].view("<u4").tolist()
    at = -(-(8 + 4 * symbols) // 8) * 8
    values = data[at : at + 4 * symbols].view(kind).tolist()
    at = -(-(at + 4 * symbols) // 8) * 8
    words = data[at : at + 8 * chunks].copy().view("<u8").byteswap().view(np.uint8)
    used = 64 * (chunks - 1) + int(data[at + 8 * chunks])
    assert len(data) == at + 8 * chunks + 1
    size = 1 << log
    assert sum(frequency) == size
    spread, place = [0] * size, 0
    for symbol, number in enumerate(frequency):
        for _ in range(number):
            spread[place] = symbol
            place = (place + size // 2 + size // 8 + 3) % size
    entries = []
    following = list(frequency)
    for symbol in spread:
        width = log - (following[symbol].bit_length() - 1)
        entries.append((values[symbol], width, (following[symbol] << width) - size))
        following[symbol] += 1
    # Popped from the end.
    bits = np.unpackbits(words)[:used].tolist()

    def pop(width: int) -> int:
        number = 0
        for bit in bits[len(bits) - width :]:
            number = 2 * number + bit
        del bits[len(bits) - width :]
        return number

    out, state = [], pop(log)
    for _ in range(count):
        number, width, base = entries[state]
        out.append(number)
        state = base + pop(width)
    assert not bits
    return np.array(out[::-1])


def blocks_decoded(
    packed: np.ndarray, scales: np.ndarray, zero_points: np.ndarray | None, size: int, columns: int
) -> np.ndarray:
    """The weights [rows, columns] of a MatMulNBits or GatherNBits node with 4 bits."""
    halves = np.stack([packed & 15, packed >> 4], axis=2).reshape(len(packed), -1)[:, :columns].astype(np.float64)
    block = np.arange(columns) // size
    zeros = 8.0 if zero_points is None else zero_points.astype(np.float64)[:, block]
    return (halves - zeros) * scales.astype(np.float64)[:, block]
