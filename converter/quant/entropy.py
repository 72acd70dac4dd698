"""Finite state entropy (tabled asymmetric numeral systems, Duda 2013), as .ms files store weights in it.

Layout, little-endian: u16 symbols, u16 table log, u32 chunks, u32 frequency of each symbol, padding to 8 bytes, a
float32 or int32 value of each symbol, padding to 8, u64 full chunks (chunks - 1), u64 last chunk, u8 bits in it. The
chunks are one string of bits, the first ones highest: what each element pushes, first to last, then the last state.
They are decoded last to first, and the first element's bits lead to the state the encoder began with.
"""

from __future__ import annotations

import struct

import numpy as np

# A code steps through its table by 5/8 of its size plus 3, which visits every entry from 16 entries on.
_LEAST_LOG, _GREATEST_LOG = 5, 14
MAX_SYMBOLS = 1 << 12
# Elements coded at once side by side, and how many elements before its own each part needs to find its state.
_PART, _WARM_UP = 4096, 256


def encode(indices: np.ndarray, values: np.ndarray) -> bytes:
    """The coded form of ``values[indices]``.

    Args:
        indices: integers in [0, len(values)), one axis; every symbol occurs.
        values: float32 or int32, 2 to MAX_SYMBOLS of them.
    """
    counts = np.bincount(indices, minlength=len(values))
    log = table_log(len(values))
    frequency = normalized(counts, log)
    fields, widths = _states(indices, frequency, log)
    stream = _packed(fields, widths)
    bits = int(widths.sum())
    chunks = -(-bits // 64)
    last_bits = bits - 64 * (chunks - 1)
    head = struct.pack("<HHI", len(values), log, chunks) + frequency.astype("<u4").tobytes()
    table = _aligned(_aligned(head) + values.astype(values.dtype.newbyteorder("<")).tobytes())
    return table + stream.astype("<u8").tobytes() + struct.pack("<B", last_bits)


def estimated_bytes(counts: np.ndarray) -> int:
    """About how long ``encode`` will be for symbols that occur this often (each at least once)."""
    frequency = normalized(counts, table_log(len(counts)))
    bits = -(counts * np.log2(frequency / frequency.sum())).sum()
    return 2 * (-(-(8 + 4 * len(counts)) // 8) * 8) - 8 + int(bits) // 64 * 8 + 9


def table_log(symbols: int) -> int:
    return min(max((symbols - 1).bit_length() + 3, _LEAST_LOG), _GREATEST_LOG)


def normalized(counts: np.ndarray, log: int) -> np.ndarray:
    """Frequencies of at least 1 that add up to 2^log, close to those of ``counts`` in code length."""
    size = 1 << log
    frequency: np.ndarray = np.maximum(1, np.floor(counts * (size / counts.sum()))).astype(np.int64)
    # One at a time where the length of the code changes least: there are at most as many steps as symbols.
    while (excess := int(frequency.sum()) - size) != 0:
        change = -1 if excess > 0 else 1
        ratio = np.log2((frequency + change) / frequency, where=frequency + change > 0, out=np.full(len(counts), -64.0))
        gain = counts * ratio
        if change < 0:
            gain[frequency == 1] = -np.inf
        for symbol in np.argsort(-gain, kind="stable")[: abs(excess)]:
            if frequency[symbol] + change >= 1:
                frequency[symbol] += change
    return frequency


def _states(indices: np.ndarray, frequency: np.ndarray, log: int) -> tuple[np.ndarray, np.ndarray]:
    """The bit fields pushed for each element, the final state last, and their widths.

    A state depends on all elements before it, but forgets them quickly: parts are coded side by side, each from some
    elements before its own on, and those whose first state was not what the part before ends with once more.
    """
    coder = _Coder(frequency, log)
    parts = -(-len(indices) // _PART)
    # Elements behind the end repeat the last one; they are cut off below.
    padded = np.concatenate([indices, np.full(parts * _PART - len(indices), indices[-1])]).reshape(parts, _PART)
    start = np.zeros(parts, np.int64)
    # A decoder may stop where there are no more bits, so the state to begin with must want some: the first entry of a
    # symbol does.
    start[0] = coder.first_state
    state = coder.first_state_of(padded[:-1, -_WARM_UP])
    for column in range(_PART - _WARM_UP + 1, _PART):
        state = coder.push(state, padded[:-1, column])[0]
    start[1:] = state
    fields, widths = np.zeros((parts, _PART), np.uint16), np.zeros((parts, _PART), np.uint8)
    ends = np.zeros((parts, _PART), np.uint16)
    wrong = np.arange(parts)
    while len(wrong):
        state = start[wrong]
        for column in range(_PART):
            state, fields[wrong, column], widths[wrong, column] = coder.push(state, padded[wrong, column])
            ends[wrong, column] = state
        differs = start[1:] != ends[:-1, -1]
        start[1:] = ends[:-1, -1]
        wrong = 1 + np.flatnonzero(differs)
    count = len(indices)
    final = ends.reshape(-1)[count - 1]
    fields = np.append(fields.reshape(-1)[:count], final)
    return fields, np.append(widths.reshape(-1)[:count], np.uint8(log))


class _Coder:
    """The table of a code: where a symbol leads from a state, and the bits that are pushed on the way."""

    def __init__(self, frequency: np.ndarray, log: int) -> None:
        size = 1 << log
        self._size = size
        self._log = log
        self._frequency = frequency
        step = (size >> 1) + (size >> 3) + 3
        place = (np.arange(size) * step) & (size - 1)
        symbols = np.empty(size, np.int64)
        symbols[place] = np.repeat(np.arange(len(frequency)), frequency)
        # The k-th entry of a symbol in the order of the table has number frequency + k.
        self._offset = np.concatenate([[0], np.cumsum(frequency)[:-1]])
        self._entries = np.argsort(symbols, kind="stable")
        self._least_bits = log - (np.floor(np.log2(frequency)).astype(np.int64))

    @property
    def first_state(self) -> int:
        return int(self._entries[0])

    def first_state_of(self, symbols: np.ndarray) -> np.ndarray:
        states: np.ndarray = self._entries[self._offset[symbols]]
        return states

    def push(self, state: np.ndarray, symbol: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The next state, and the pushed bits and their number."""
        x = state + self._size
        frequency = self._frequency[symbol]
        bits = self._least_bits[symbol]
        bits = bits - (x >> bits < frequency)
        field = x & ((1 << bits) - 1)
        return self._entries[self._offset[symbol] + (x >> bits) - frequency], field, bits


def _packed(fields: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Fields of up to 16 bits one after another in 64-bit words, the first ones highest."""
    end = np.cumsum(widths, dtype=np.int64)
    begin = end - widths
    halves = 2 * -(-int(end[-1]) // 64)
    # Of a window of two 32-bit words from the one a field begins in; sums of fields that do not overlap are exact.
    shift = (64 - widths.astype(np.int64) - begin % 32).astype(np.uint64)
    window = fields.astype(np.uint64) << shift
    word = begin // 32
    high = np.bincount(word, (window >> np.uint64(32)).astype(np.float64), halves + 1)
    low = np.bincount(word + 1, (window & np.uint64(0xFFFFFFFF)).astype(np.float64), halves + 1)
    words = (high + low)[:halves].astype(np.uint64).reshape(-1, 2)
    return words[:, 0] << np.uint64(32) | words[:, 1]


def _aligned(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)
