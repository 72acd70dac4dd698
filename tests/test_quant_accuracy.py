"""Accuracy of quantised models on real tasks, with models fetched from PyPI (see benchmarks/quantization)."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from support import ROOT

# Behind the installed packages, of which this project may be one.
sys.path.append(str(ROOT))

import converter
import lite_runtime
from benchmarks.quantization import sentence_embedding, tables, text_lines, text_recognition

pytestmark = pytest.mark.download

_LINES = 60


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fetched")


@pytest.mark.parametrize("setting", ["full", "four bits"])
def test_text_is_read_as_well(setting: str, cache: Path, tmp_path: Path) -> None:
    """The first lines of the benchmark, which all settings read alike there."""
    source = text_recognition.model(cache)
    names = text_recognition.characters(source)
    lines = text_lines.lines(_LINES, 2026, cache)
    samples = [[text_recognition.network_input(line)] for line in text_lines.lines(16, 7, cache)]
    config = tables.full() if setting == "full" else tables.weights(4, quant_strategy="GPTQ")
    path = tmp_path / "net.ms"
    report = converter.convert(source, path, config=config, calibration=samples, check=False)
    run = lite_runtime.load(str(path))
    score = text_recognition.score(lambda x: run(np.ascontiguousarray(x.transpose(0, 2, 3, 1))), lines, names)
    assert score.exact >= 0.95 and score.errors <= 0.006
    if setting == "full":
        assert report.quantization["totals"]["int8_part"] >= 0.9


@pytest.mark.parametrize(
    ("config", "least"),
    [
        pytest.param(tables.dynamic(**tables.SMOOTH), 0.995, id="dynamic"),
        pytest.param(tables.weights(8), 0.999, id="eight bits"),
        pytest.param(tables.blocks(32, quant_strategy="GPTQ"), 0.98, id="blocks of four bits"),
        pytest.param(tables.full(**tables.SMOOTH), 0.99, id="full"),
    ],
)
def test_sentences_keep_their_meaning(config: tables.Config, least: float, cache: Path, tmp_path: Path) -> None:
    """Calibrated by other sentences than in the table, measured on the rest."""
    source = sentence_embedding.model(cache)
    tokens = sentence_embedding.Tokenizer(cache)
    text = (ROOT / "benchmarks" / "quantization" / "sentences.txt").read_text().splitlines()
    inputs = [tokens(line) for line in text]
    outputs = []
    for options in ({}, {"config": config, "calibration": inputs[1::3]}):
        converter.convert(source, tmp_path / "net.ms", check=False, **options)
        run = lite_runtime.load(str(tmp_path / "net.ms"))
        outputs.append(np.array([np.ravel(run(*x)) for i, x in enumerate(inputs) if i % 3 != 1], np.float64))
    cosines = (
        (outputs[0] * outputs[1]).sum(axis=1) / np.linalg.norm(outputs[0], axis=1) / np.linalg.norm(outputs[1], axis=1)
    )
    assert cosines.mean() >= least
