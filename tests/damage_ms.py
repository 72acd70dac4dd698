"""Loads and runs a .ms file with every byte damaged, one at a time. Run by test_bad_input in a process of its own.

    python damage_ms.py FILE POSITION_FILE VALUES [--truncate]

VALUES is a comma-separated list of what to put in place of each byte: "0", "255", "^128" (xor), "+1". With
--truncate the file is cut at every length instead. The case at work is written to POSITION_FILE, so that it is known
after a crash. Prints how many cases ran and how many were refused; ends with a traceback when anything but a
LiteRuntimeError was raised.
"""

from __future__ import annotations

import math
import mmap
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import lite_runtime

# So that a model that asks for an absurd amount of memory fails here and not in the rest of the machine.
_MEMORY = 4 << 30
_MAX_ELEMENTS = 1 << 20


def cases(data: bytes, values: list[str], truncate: bool) -> Iterator[tuple[int, bytes]]:
    if truncate:
        yield from ((size, data[:size]) for size in range(len(data)))
        return
    for position, byte in enumerate(data):
        for new in sorted({_damaged(byte, value) for value in values} - {byte}):
            yield position << 8 | new, data[:position] + bytes([new]) + data[position + 1 :]


def _damaged(byte: int, value: str) -> int:
    if value.startswith("^"):
        return byte ^ int(value[1:])
    return (byte + int(value)) % 256 if value.startswith("+") else int(value)


def attempt(data: bytes) -> bool:
    """Whether the model ran; False when it was refused."""
    try:
        net = lite_runtime.load(data, threads=1)
        shapes = [tuple(2 if size < 0 else size for size in spec.shape or ()) for spec in net.inputs]
        if any(size > _MAX_ELEMENTS for shape in shapes for size in (*shape, math.prod(shape))):
            return True
        assert repr(net)
        net(*(np.ones(shape, spec.dtype) for shape, spec in zip(shapes, net.inputs)))
    except lite_runtime.LiteRuntimeError as error:
        assert str(error).strip()
        return False
    return True


def main() -> None:
    data, position_file, values = Path(sys.argv[1]).read_bytes(), sys.argv[2], sys.argv[3].split(",")
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    Path(position_file).write_bytes(bytes(8))
    ran = refused = 0
    with Path(position_file).open("r+b") as file, mmap.mmap(file.fileno(), 8) as position:
        for number, damaged in cases(data, values, "--truncate" in sys.argv):
            position[:] = number.to_bytes(8, "little")
            if attempt(damaged):
                ran += 1
            else:
                refused += 1
    print(ran, refused)


if __name__ == "__main__":
    main()
