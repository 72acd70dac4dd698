"""The .ms reader against files MindSpore Lite wrote, and against damaged ones."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import CORPUS, DATA

from converter.errors import ConvertError, SourceFileError, SourceFormatError
from converter.exporter import export
from converter.exporter.tables import Offset, TableWriter
from converter.importers import ms
from converter.ir.graph import Model, Value
from converter.ir.verify import verify

SMALL = sorted((DATA / "ms").glob("*.ms"))
LARGE = sorted((*CORPUS.glob("zoo/*.ms"), *CORPUS.glob("quantized_by_mindspore_lite/*.ms")))


def described(model: Model) -> list[Any]:
    """Everything a model says, as plain data."""
    return [
        (
            [tensor(v) for v in graph.inputs],
            [(n.op, n.name, n.attrs, n.quant_type, [tensor(v) for v in (*n.inputs, *n.outputs)]) for n in graph.nodes],
            [v.name for v in (*graph.inputs, *graph.outputs)],
        )
        for graph in model.graphs
    ]


def tensor(v: Value) -> Any:
    """All but the name: MindSpore Lite gives some to several tensors, the exporter numbers those."""
    data = None if v.data is None else (str(v.data.dtype), v.data.tobytes())
    return v.dtype, v.shape if v.is_const else known(v.shape), data, v.quant, v.compression


def known(shape: Any) -> Any:
    """MindSpore Lite gives a result of unknown shape as -1 in places; both mean nothing is known."""
    return None if shape is None or -1 in shape else shape


def same_after_export(path: Path) -> None:
    model = ms.load(path)
    again = ms.parse(export(model), "exported")
    assert again.fmk == model.fmk
    assert described(again) == described(model)
    for old, new in zip(model.main.values(), again.main.values()):
        assert new.name == old.name or new.name.rpartition("_")[0] == old.name


@pytest.mark.parametrize("path", SMALL, ids=lambda p: p.stem)
def test_file_of_mindspore_lite_survives_export(path: Path) -> None:
    model = ms.load(path)
    verify(model)
    assert model.main.nodes
    same_after_export(path)


@pytest.mark.corpus
@pytest.mark.parametrize("path", LARGE, ids=lambda p: p.stem)
def test_large_file_of_mindspore_lite_survives_export(path: Path) -> None:
    same_after_export(path)


def test_attributes_and_constants_are_read() -> None:
    model = ms.load(DATA / "ms" / "cnn.ms")
    conv = next(n for n in model.main.nodes if n.op == "Conv2DFusion")
    assert conv.attrs["kernel_size"] == [3, 3]
    assert conv.attrs["activation_type"] == "RELU6"
    weight = conv.inputs[1].data
    assert weight is not None
    assert weight.dtype == np.float32
    assert weight.shape[1:3] == (3, 3)


def test_missing_and_empty_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceFileError, match="cannot read"):
        ms.load(tmp_path / "none.ms")
    (tmp_path / "empty.ms").touch()
    with pytest.raises(SourceFormatError, match="not a "):
        ms.load(tmp_path / "empty.ms")


@pytest.mark.parametrize("size", [1, 7, 8, 100, 1000, 2000])
def test_truncated_file_is_refused(size: int) -> None:
    data = (DATA / "ms" / "a_res.ms").read_bytes()[:size]
    with pytest.raises(SourceFormatError):
        ms.parse(data, "truncated.ms")


def test_any_damaged_byte_gives_a_model_or_a_clear_error() -> None:
    original = (DATA / "ms" / "a_res.ms").read_bytes()
    rng = random.Random(1)
    for at in rng.sample(range(len(original)), 600):
        data = bytearray(original)
        data[at] ^= 1 << rng.randrange(8)
        try:
            ms.parse(bytes(data), "damaged.ms")
        except ConvertError as error:
            assert "damaged.ms" in str(error)


def test_tables_that_refer_to_each_other_endlessly_are_refused() -> None:
    """A small file in which many offsets lead to one large vector must not take long."""
    writer = TableWriter(0)
    node = Offset(writer.table("CNode", {"inputIndex": [0] * 20_000}))
    data = writer.finish(writer.table("MetaGraph", {"nodes": [node] * 20_000}), b"MSL2")
    with pytest.raises(SourceFormatError, match="far more often"):
        ms.parse(data, "bomb.ms")
