"""Seeded mutations of a file's bytes, for the importers' fuzz tests."""

from __future__ import annotations

import random

# Numbers that lie at the edges of what 8, 16 and 32 bits, varints and lengths can say.
_BYTES = (0, 1, 2, 3, 4, 7, 8, 0x0A, 0x10, 0x12, 0x1A, 0x7F, 0x80, 0xFE, 0xFF)
_WORDS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 2**30, 2**31 - 1, 2**31, 2**32 - 1)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The bytes with one to four of these done to them: replaced, flipped, cut out, repeated, moved."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        rng.choice(_MUTATIONS)(out, rng)
    return bytes(out)


def _replace(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(len(data))] = rng.choice(_BYTES)


def _flip(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _word(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(max(1, len(data) // 4)) * 4
    data[at : at + 4] = rng.choice(_WORDS).to_bytes(4, "little")


def _cut(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    del data[at : at + rng.choice((1, 2, 4, 32))]
    data += b"\0" if not data else b""


def _repeat(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    data[at:at] = data[at : at + rng.choice((1, 2, 4, 32))]


def _move(data: bytearray, rng: random.Random) -> None:
    size = rng.choice((1, 2, 4, 16))
    a, b = rng.randrange(len(data)), rng.randrange(len(data))
    data[b : b + size] = data[a : a + size]
    data += b"\0" if not data else b""


_MUTATIONS = (_replace, _replace, _flip, _flip, _word, _word, _cut, _repeat, _move)
