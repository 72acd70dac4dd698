"""ONNX to .ms with this project's converter; the int8 form from the same QDQ file as ONNX Runtime's."""

from __future__ import annotations

from pathlib import Path


def convert(variant: str, folder: Path) -> None:
    import converter

    converter.convert(folder / f"{variant}.onnx", folder / f"{variant}.ms")
