"""What is written here runs in MindSpore Lite 2.0.0 with the same answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from in_mindspore_lite import run
from support import (
    CORPUS,
    DATA,
    MINDIR,
    OPTIONS,
    ZOO,
    assert_all_close,
    assert_close,
    channels_last,
    recorded,
)

import converter
from converter import exporter
from converter.importers import ms

pytestmark = pytest.mark.interop


def _check(source: Path, recording: Path, folder: Path, **options: str) -> None:
    target = folder / "model.ms"
    converter.convert(source, target, **options)
    inputs, expected = recorded(recording)
    assert_all_close(run(target, channels_last(inputs), folder), expected, source.stem)


@pytest.mark.parametrize("optimize", ["general", "none"])
@pytest.mark.parametrize("source", MINDIR, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_small_nets(source: Path, optimize: str, tmp_path: Path) -> None:
    _check(source, source.with_suffix(".npz"), tmp_path, optimize=optimize, **OPTIONS.get(source.stem, {}))


def test_trained_network(tmp_path: Path) -> None:
    target = tmp_path / "lenet.ms"
    converter.convert(DATA / "lenet" / "lenet_mnist5k.mindir", target)
    with np.load(DATA / "lenet" / "lenet_mnist5k_test.npz") as test:
        images, labels, logits = test["x"], test["y"], test["logits"]
    (output,) = run(target, channels_last([images]), tmp_path)
    assert_close(output, logits)
    assert (output.argmax(axis=1) == labels).mean() == 0.977


@pytest.mark.corpus
@pytest.mark.parametrize("name", ZOO)
def test_image_networks(name: str, tmp_path: Path) -> None:
    source = CORPUS / "zoo" / f"{name}.mindir"
    _check(source, source.with_suffix(".npz"), tmp_path)


@pytest.mark.corpus
def test_model_with_external_weights(tmp_path: Path) -> None:
    folder = CORPUS / "mindir_v1" / "external_data"
    _check(folder / "ext_graph.mindir", folder / "ext.npz", tmp_path)


# Its runtime refuses its own a_io.ms (one output listed twice) and computes its own mm.ms wrongly.
@pytest.mark.parametrize("name", ["a_res", "cnn", "enc", "lstm", "multi", "tenc", "wide"])
def test_rewritten_files_of_its_own(name: str, tmp_path: Path) -> None:
    rewritten = tmp_path / "model.ms"
    rewritten.write_bytes(exporter.export(ms.load(DATA / "ms" / f"{name}.ms")))
    inputs, expected = recorded(DATA / "mindir_v1" / f"{name}.npz")
    assert_all_close(run(rewritten, channels_last(inputs), tmp_path), expected, name)
