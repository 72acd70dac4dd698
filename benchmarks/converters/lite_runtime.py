"""ONNX to .ms with this project's converter; int8 by its FULL_QUANT, calibrated with the same inputs as the others."""

from __future__ import annotations

from pathlib import Path

from benchmarks.names import INT8, network_of


def convert(variant: str, folder: Path) -> None:
    import converter

    source, target = folder / f"{network_of(variant)}.onnx", folder / f"{variant}.ms"
    if not variant.endswith(INT8):
        converter.convert(source, target)
        return
    from benchmarks.converters.onnx import calibration_inputs

    samples = list(calibration_inputs(network_of(variant), folder))
    converter.convert(source, target, recipe=[{"algorithm": "FULL_QUANT"}], calibration=samples)
