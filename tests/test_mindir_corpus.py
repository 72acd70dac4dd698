"""MindIR models, converted and run here, give the outputs that MindSpore recorded.

The largest error allowed is 1e-4 of the largest magnitude of an output.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support import CORPUS, DATA, MINDIR, OPTIONS, ZOO, assert_all_close, assert_close, channels_last, recorded, run_ms

import converter
import lite_runtime


def _check(source: Path, recording: Path, folder: Path, threads: int = 1, **options: str) -> None:
    report = converter.convert(source, folder / "model.ms", **options)
    inputs, expected = recorded(recording)
    assert_all_close(run_ms(Path(report.output), channels_last(inputs), threads), expected, source.stem)


@pytest.mark.parametrize("optimize", ["general", "none"])
@pytest.mark.parametrize("source", MINDIR, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_small_nets(source: Path, optimize: str, tmp_path: Path) -> None:
    _check(source, source.with_suffix(".npz"), tmp_path, optimize=optimize, **OPTIONS.get(source.stem, {}))


@pytest.mark.parametrize("optimize", ["general", "none"])
def test_trained_network_reads_digits(optimize: str, tmp_path: Path) -> None:
    converter.convert(DATA / "lenet" / "lenet_mnist5k.mindir", tmp_path / "lenet.ms", optimize=optimize)
    with np.load(DATA / "lenet" / "lenet_mnist5k_test.npz") as test:
        (images,), labels, logits = channels_last([test["x"]]), test["y"], test["logits"]
    net = lite_runtime.load(tmp_path / "lenet.ms", threads=1)
    scores = np.concatenate([net(image[None]) for image in images])
    assert_close(scores, logits)
    assert (scores.argmax(axis=1) == labels).mean() == 0.977


@pytest.mark.corpus
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", ZOO)
def test_image_networks(name: str, threads: int, tmp_path: Path) -> None:
    source = CORPUS / "zoo" / f"{name}.mindir"
    _check(source, source.with_suffix(".npz"), tmp_path, threads)


@pytest.mark.corpus
def test_model_with_external_weights(tmp_path: Path) -> None:
    folder = CORPUS / "mindir_v1" / "external_data"
    _check(folder / "ext_graph.mindir", folder / "ext.npz", tmp_path)
