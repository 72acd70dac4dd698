"""The storage forms of quantised weights in .ms files, and the choice of the smallest.

NONE         int8 or int16 elements
BITPACKING   values of ``bits`` bits with an offset of 2^(bits-1), least significant bit first
INDEXING     the distinct values, then an index of each element
SPARSE       the values of the elements that are not their channel's zero point, and the runs between them
FSE_INT      an entropy code, see ``converter.quant.entropy``
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from converter.quant import entropy

# The runtime refuses more elements per byte than this, whatever the form.
_ELEMENTS_PER_BYTE = 4096
# Entropy codes take time to decode: they must be smaller by this part than what comes next.
_WORTH = 1 / 64
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Stored:
    """``form`` is the WeightQuantCompressType, ``data`` the elements as they are or the coded bytes."""

    form: str
    data: np.ndarray


def smallest(q: np.ndarray, bits: int, zero_points: np.ndarray, encode: bool = True) -> Stored:
    """The smallest form of integer weights.

    Args:
        q: int8 (up to 8 bits) or int16, values in [-2^(bits-1), 2^(bits-1)).
        zero_points: of each element, broadcastable to ``q``.
        encode: without it, the elements as they are.
    """
    plain = Stored("NONE", q)
    if not encode or q.size == 0:
        return plain
    counts = np.bincount(q.reshape(-1).astype(np.int64) + (1 << (bits - 1)), minlength=1 << bits)
    found = np.flatnonzero(counts)
    listed = q != zero_points
    # (bytes, form, how to make it), the simpler of two equal ones first.
    candidates: list[tuple[float, str, Callable[[], np.ndarray]]] = [(q.nbytes, "NONE", lambda: q)]
    if bits not in (8, 16):
        candidates.append((packed_bytes(q.size, bits), "BITPACKING", partial(pack_bits, q, bits)))
    candidates.append((_indexed_bytes(q.size, bits, len(found)), "INDEXING", partial(_indexed, q, bits, found)))
    sparse = _Sparse(q, bits, listed)
    candidates.append((sparse.bytes, "SPARSE", sparse.make))
    if 2 <= len(found) <= entropy.MAX_SYMBOLS:
        size = entropy.estimated_bytes(counts[found]) * (1 + _WORTH)
        candidates.append((size, "FSE_INT", partial(_coded, q, bits, found)))
    fitting = [c for c in candidates if q.size // _ELEMENTS_PER_BYTE <= c[0] / 2]
    _, form, make = min(fitting, key=lambda candidate: candidate[0])
    return Stored(form, make())


def packed_bytes(count: int, bits: int) -> int:
    word = 8 if bits < 8 else 16
    return -(-count * bits // word) * word // 8


def pack_bits(q: np.ndarray, bits: int) -> np.ndarray:
    """BITPACKING: uint8 bytes; whole 16-bit words for more than 8 bits."""
    flat = q.reshape(-1)
    out = np.zeros(packed_bytes(flat.size, bits), np.uint8)
    for start in range(0, flat.size, _BLOCK):  # a block ends at a byte
        block = (flat[start : start + _BLOCK].astype(np.int32) + (1 << (bits - 1))).astype("<u2")
        spread = np.unpackbits(block.view(np.uint8).reshape(-1, 2), axis=1, bitorder="little")[:, :bits]
        packed = np.packbits(spread.reshape(-1), bitorder="little")
        out[start * bits // 8 : start * bits // 8 + len(packed)] = packed
    return out


def _fields(values: np.ndarray, width: int) -> np.ndarray:
    """Bits of numbers of one width, the highest first."""
    places = np.arange(width - 1, -1, -1)
    return (values.reshape(-1, 1) >> places & 1).astype(np.uint8).reshape(-1)


def _index_bits(count: int) -> int:
    return (count - 1).bit_length()


def _values(found: np.ndarray, bits: int) -> list[np.ndarray]:
    """The distinct values (with their offset): how many, 0 for all 2^bits, then they themselves."""
    count = np.array([len(found) % (1 << bits)])
    return [_fields(count, bits), _fields(found, bits)]


def _places(q: np.ndarray, bits: int, found: np.ndarray) -> np.ndarray:
    """Each element's place among the distinct values."""
    table = np.zeros(1 << bits, np.int64)
    table[found] = np.arange(len(found))
    return table[q.reshape(-1).astype(np.int64) + (1 << (bits - 1))]


def _indexed_bytes(count: int, bits: int, found: int) -> int:
    return -(-(bits + found * bits + count * _index_bits(found)) // 8)


def _indexed(q: np.ndarray, bits: int, found: np.ndarray) -> np.ndarray:
    indices = _fields(_places(q, bits, found), _index_bits(len(found)))
    return np.packbits(np.concatenate([*_values(found, bits), indices]))


class _Sparse:
    """SPARSE: its size, and its bytes when asked for."""

    def __init__(self, q: np.ndarray, bits: int, listed: np.ndarray) -> None:
        at = np.flatnonzero(listed)
        self._elements = q.reshape(-1)[at]
        self._bits = bits
        self._runs = np.diff(at, prepend=-1) - 1
        self._run_bits = int(self._runs.max(initial=0)).bit_length()
        offset = 1 << (bits - 1)
        # A list of values is never empty: a count of 0 stands for all of them.
        self._found = np.unique(self._elements.astype(np.int64)) + offset if len(at) else np.array([offset])
        each = _index_bits(len(self._found)) + self._run_bits
        self.bytes = -(-(8 + 32 + bits + len(self._found) * bits + len(at) * each) // 8)

    def make(self) -> np.ndarray:
        places = _places(self._elements, self._bits, self._found)
        head = [_fields(np.array([self._run_bits]), 8), _fields(np.array([len(self._elements)]), 32)]
        indices = _fields(places, _index_bits(len(self._found)))
        runs = _fields(self._runs, self._run_bits)
        return np.packbits(np.concatenate([*head, *_values(self._found, self._bits), indices, runs]))


def _coded(q: np.ndarray, bits: int, found: np.ndarray) -> np.ndarray:
    values = (found - (1 << (bits - 1))).astype(np.int32)
    return np.frombuffer(entropy.encode(_places(q, bits, found), values), np.uint8)
