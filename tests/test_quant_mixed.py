"""Automatic mixed precision on MobileNetV2 (224 x 224, random weights): measured sensitivity and kernel times."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from support import ROOT

# Behind the installed packages, of which this project may be one.
sys.path.append(str(ROOT))

import converter
from benchmarks.quantization import mobilenet, tables
from converter.report import Report


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mobilenet.model(tmp_path_factory.mktemp("mobilenet"))


def _converted(source: Path, folder: Path, config: tables.Config, **budget: str) -> Report:
    samples = [[x] for x in np.random.default_rng(1).standard_normal((2, 1, 3, 224, 224), np.float32)]
    settings = {**config, "auto_mixed_precision": {"enable": "true", **budget}} if budget else config
    return converter.convert(source, folder / "net.ms", config=settings, calibration=samples, check=False)


def test_the_fastest_model_within_a_budget(source: Path, tmp_path: Path) -> None:
    """Some layers in int8, and of each that is not the measured reason."""
    report = _converted(source, tmp_path, tables.full(), objective="SPEED", min_snr="20")
    found = report.quantization
    assert found["outputs"][0]["snr"] >= 20 and found["totals"]["int8_part"] > 0.1
    floats = [layer for layer in found["layers"] if layer["macs"] and layer["kind"] == "float"]
    measured = ("int8 is no faster: ", "mixed precision: int8 here alone gives ")
    products = [layer for layer in floats if layer["op"] in ("Conv2DFusion", "MatMulFusion")]
    assert all(layer["reason"].startswith(measured) for layer in products)
