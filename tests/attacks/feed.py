"""Feeds hostile files to their reader, in a process of its own (see test_attacks.py).

    python feed.py FILE ...

Prints each file's name before it is read and the outcome after: what refused it, or "accepted". Anything but a
ConvertError or LiteRuntimeError ends the process with a traceback; a file that takes too long, with SIGALRM.
"""

from __future__ import annotations

import resource
import signal
import sys
import tempfile
from pathlib import Path

import numpy as np

import converter
import lite_runtime

_MEMORY = 6 << 30
_SECONDS = 60
_MAX_ELEMENTS = 1 << 20
_KEY = b"0123456789ABCDEF"
_CBC = ("encrypted_block_of_negative_lengths", "encrypted_block_of_no_length")


def run(path: Path) -> None:
    """Runs a .ms file on ones, in bounds."""
    net = lite_runtime.load(path, threads=1)
    shapes = [tuple(2 if size < 0 else size for size in spec.shape or ()) for spec in net.inputs]
    if all(np.prod(shape, dtype=float) <= _MAX_ELEMENTS for shape in shapes):
        net(*(np.ones(shape, spec.dtype) for shape, spec in zip(shapes, net.inputs)))


def convert(path: Path) -> None:
    encrypted = path.stem.startswith("encrypted")
    key = {"decrypt_key": _KEY, "decrypt_mode": "AES-CBC" if path.stem in _CBC else "AES-GCM"} if encrypted else {}
    with tempfile.TemporaryDirectory() as folder:
        converter.convert(path, Path(folder) / "out", getattr(converter.FmkType, _FMK[path.suffix]), check=False, **key)


_FMK = {".ms": "MSLITE", ".mindir": "MINDIR", ".onnx": "ONNX", ".tflite": "TFLITE"}


def outcome(path: Path) -> str:
    """The names of the errors that refused the file, of every reader there is for it."""
    said = []
    for reader in (convert, run) if path.suffix == ".ms" else (convert,):
        try:
            reader(path)
            said.append("accepted")
        except (converter.ConvertError, lite_runtime.LiteRuntimeError) as error:
            assert str(error).strip(), "an error without a message"
            said.append(type(error).__name__)
    return " ".join(said)


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    for name in sys.argv[1:]:
        print(name, end="\t", flush=True)
        signal.alarm(_SECONDS)
        print(outcome(Path(name)), flush=True)


if __name__ == "__main__":
    main()
