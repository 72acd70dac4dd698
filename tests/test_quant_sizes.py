"""How small weights of 8 and 4 bits make MobileNetV2 and MiniLM."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support import ROOT

# Behind the installed packages, of which this project may be one.
sys.path.append(str(ROOT))

import converter
from benchmarks.quantization import mobilenet, sentence_embedding, tables

_SETTINGS = [pytest.param(tables.weights(8), 0.27, id="8 bits"), pytest.param(tables.weights(4), 0.16, id="4 bits")]
_BLOCKS = pytest.param(tables.blocks(32), 0.16, id="blocks of 4 bits")


def _part_of_float(source: Path, config: tables.Config, folder: Path) -> float:
    sizes = []
    for settings in ({}, config):
        converter.convert(source, folder / "net.ms", config=settings, check=False)
        sizes.append((folder / "net.ms").stat().st_size)
    return sizes[1] / sizes[0]


@pytest.mark.parametrize(("config", "most"), _SETTINGS)
def test_mobilenet(config: tables.Config, most: float, tmp_path: Path) -> None:
    assert _part_of_float(mobilenet.model(tmp_path), config, tmp_path) <= most


@pytest.mark.download
@pytest.mark.parametrize(("config", "most"), [*_SETTINGS, _BLOCKS])
def test_minilm(config: tables.Config, most: float, tmp_path: Path) -> None:
    assert _part_of_float(sentence_embedding.model(tmp_path), config, tmp_path) <= most
