"""ONNX to .ms with this project's converter; the int8 form from the same QDQ file as ONNX Runtime's."""

from __future__ import annotations

from pathlib import Path

from benchmarks.names import INT8


def convert(variant: str, folder: Path) -> None:
    import converter

    # Two runtimes round a few values of a quantised network to neighbouring integers.
    threshold = 0.03 if variant.endswith(INT8) else None
    converter.convert(folder / f"{variant}.onnx", folder / f"{variant}.ms", check_threshold=threshold)
