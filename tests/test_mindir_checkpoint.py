"""Weights of a checkpoint replace those of a MindIR."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support import DATA

import converter
import lite_runtime
from converter.errors import SourceFormatError
from converter.importers.mindir.proto import message_class

MODEL = DATA / "lenet" / "lenet_mnist5k.mindir"
CHECKPOINT = DATA / "lenet" / "lenet_mnist5k.ckpt"


def _accuracy(path: Path) -> float:
    with np.load(DATA / "lenet" / "lenet_mnist5k_test.npz") as data:
        x, labels = data["x"][:200], data["y"][:200]
    predict = lite_runtime.load(path)
    images = [x[i : i + 1].transpose(0, 2, 3, 1) for i in range(len(x))]
    found = [int(np.argmax(predict(np.ascontiguousarray(image)))) for image in images]
    return float(np.mean(np.array(found) == labels))


def _checkpoint(path: Path, change: object) -> None:
    """Writes MindSpore's own checkpoint with changed values."""
    message = message_class("Checkpoint", "checkpoint").FromString(CHECKPOINT.read_bytes())
    change(message)
    path.write_bytes(message.SerializeToString())


def test_the_trained_weights_come_back(tmp_path: Path) -> None:
    """A model whose weights were spoilt is as good as the original with the checkpoint applied."""

    def spoil(message: object) -> None:
        for value in message.value:
            value.tensor.tensor_content = bytes(len(value.tensor.tensor_content))

    _checkpoint(tmp_path / "zeros.ckpt", spoil)
    converter.convert(MODEL, tmp_path / "zeros.ms", weight_file=tmp_path / "zeros.ckpt")
    converter.convert(MODEL, tmp_path / "same.ms", weight_file=CHECKPOINT)
    converter.convert(MODEL, tmp_path / "plain.ms")
    assert _accuracy(tmp_path / "zeros.ms") < 0.3
    assert (tmp_path / "same.ms").read_bytes() == (tmp_path / "plain.ms").read_bytes()


def test_parts_of_one_parameter_are_joined(tmp_path: Path) -> None:
    def split(message: object) -> None:
        whole = next(v for v in message.value if v.tag == "fc1.weight")
        second = message.value.add()
        second.CopyFrom(whole)
        content = whole.tensor.tensor_content
        whole.tensor.tensor_content, second.tensor.tensor_content = content[:1000], content[1000:]

    _checkpoint(tmp_path / "split.ckpt", split)
    converter.convert(MODEL, tmp_path / "split.ms", weight_file=tmp_path / "split.ckpt")
    converter.convert(MODEL, tmp_path / "plain.ms")
    assert (tmp_path / "split.ms").read_bytes() == (tmp_path / "plain.ms").read_bytes()


def test_missing_parameters_are_noted(tmp_path: Path) -> None:
    def drop(message: object) -> None:
        del message.value[0]

    _checkpoint(tmp_path / "part.ckpt", drop)
    report = converter.convert(MODEL, tmp_path / "part.ms", weight_file=tmp_path / "part.ckpt")
    assert any("conv1.weight" in note for note in report.notes)


def _wrong_shape(message: object) -> None:
    message.value[0].tensor.dims[0] = 4
    message.value[0].tensor.dims[1] = 2


def _other_names(message: object) -> None:
    for value in message.value:
        value.tag += "_other"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_wrong_shape, r"conv1.weight.*\[8, 1, 5, 5\].*\[4, 2, 5, 5\]"),
        (_other_names, "none of its parameters"),
        (lambda m: m.value[0].tensor.dims.append(2), "has 800 bytes"),
    ],
)
def test_checkpoints_that_do_not_fit_are_refused(tmp_path: Path, change: object, reason: str) -> None:
    _checkpoint(tmp_path / "bad.ckpt", change)
    with pytest.raises(SourceFormatError, match=reason):
        converter.convert(MODEL, tmp_path / "bad.ms", weight_file=tmp_path / "bad.ckpt")
    assert not (tmp_path / "bad.ms").exists()


def test_damaged_checkpoints_are_refused(tmp_path: Path) -> None:
    data = CHECKPOINT.read_bytes()
    for size in (0, 1, 10, 5000, len(data) - 1):
        (tmp_path / "cut.ckpt").write_bytes(data[:size])
        with pytest.raises(SourceFormatError):
            converter.convert(MODEL, tmp_path / "cut.ms", weight_file=tmp_path / "cut.ckpt")
