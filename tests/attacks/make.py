"""Writes the hostile model files of this folder, each with what it tries.

    PYTHONPATH=.:tests python tests/attacks/make.py

One function makes one file, named after it; its docstring is the attack. The files in ``found/`` were found by
fuzzing and are kept as they are.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
Maker = Callable[[], bytes]


def makers() -> dict[str, Maker]:
    """What makes each file, by its path in this folder."""
    import of_mindir
    import of_ms
    import of_onnx
    import of_tflite

    modules = {"ms": of_ms, "mindir": of_mindir, "onnx": of_onnx, "tflite": of_tflite}
    return {
        f"{suffix}/{name}.{suffix}": function
        for suffix, module in modules.items()
        for name, function in vars(module).items()
        if getattr(function, "__module__", "") == module.__name__ and not name.startswith("_") and function.__doc__
    }


def main() -> None:
    for name, maker in makers().items():
        path = HERE / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(maker())
        print(f"{name:45} {path.stat().st_size:7} bytes  {(maker.__doc__ or '').splitlines()[0]}")


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    main()
