"""Quantised files written by MindSpore Lite's converter: every storage form and dynamic quantisation run here.

The witness is the float network's recorded outputs, within the error that the bits allow; ``interop`` compares with
MindSpore Lite's runtime where that loads the file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support import CORPUS, DATA, assert_all_close, assert_close, channels_last, recorded, run_ms

import converter
from converter.exporter import export, write
from converter.importers.ms import load
from converter.ir.graph import QuantParam, Value
from lite_runtime.types import DataType

_SMALL = DATA / "ms_quantized"
_LARGE = CORPUS / "quantized_by_mindspore_lite"

# Relative error (root mean square over all of an output) to the float network. A weight rounded to b bits is off by
# a few parts in 2^b, the more the fewer scales a tensor has; dynamic quantisation rounds activations too.
_PER_CHANNEL, _PER_TENSOR, _DYNAMIC = 3.0, 5.0, 4.0
_ERROR = {
    "cnn_wq8": _PER_CHANNEL / 2**8,
    "enc_dq": _DYNAMIC / 2**8,
    "enc_wq8": _PER_CHANNEL / 2**8,
    "lstm_wq8": _PER_CHANNEL / 2**8,
    "wide_dq": _DYNAMIC / 2**8,
    "wide_fp16": 2.0**-11,
    "wide_wq2": _PER_CHANNEL / 2**2,
    "wide_wq4": _PER_CHANNEL / 2**4,
    "wide_wq5": _PER_CHANNEL / 2**5,
    "wide_wq8": _PER_CHANNEL / 2**8,
    "wide_wq8fly": _PER_TENSOR / 2**8,
    "wide_wq8ne": _PER_CHANNEL / 2**8,
    "wide_wq12": _PER_CHANNEL / 2**12,
    "wide_wq16": _PER_CHANNEL / 2**16,
    "wide_wqmix": 0.04,  # the converter chose the bits for a signal-to-noise ratio
}


def _file(name: str) -> Path:
    small = _SMALL / f"{name}.ms"
    return small if small.exists() else _LARGE / f"{name}.ms"


def _marks(name: str) -> list[pytest.MarkDecorator]:
    return [] if (_SMALL / f"{name}.ms").exists() else [pytest.mark.corpus]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", [pytest.param(name, marks=_marks(name)) for name in _ERROR])
def test_close_to_the_float_network(name: str, threads: int) -> None:
    inputs, expected = recorded(DATA / "mindir_v1" / f"{name.split('_')[0]}.npz")
    for output, answer in zip(run_ms(_file(name), channels_last(inputs), threads), expected):
        error = np.linalg.norm(output.astype(np.float64) - answer) / np.linalg.norm(answer.astype(np.float64))
        assert error <= _ERROR[name]


def _as_integers(value: Value) -> None:
    """Turns entropy-coded float weights into entropy-coded int16 ones: other table entries, the same stream."""
    data = np.array(value.data).view(np.uint8).copy()
    symbols = int(data[:2].view(np.uint16)[0])
    start = -(-(8 + 4 * symbols) // 8) * 8
    centroids = data[start : start + 4 * symbols]
    floats = centroids.view(np.float32)
    scale = float(np.diff(np.sort(floats)).min()) / 16
    centroids[:] = np.rint(floats / scale).astype(np.int32).view(np.uint8)
    value.data, value.dtype, value.compression = data, DataType.INT16, "FSE_INT"
    value.quant = [QuantParam(scale, 0, 16)]


def test_entropy_coded_integers(tmp_path: Path) -> None:
    """MindSpore Lite's converter writes none; this is one of its files with integers in the tables of its codes."""
    source = _file("wide_wqmix")
    model = load(source)
    coded = {v for node in model.main.nodes for v in node.inputs if v.compression == "FSE"}
    assert coded
    for value in coded:
        _as_integers(value)
    write(tmp_path / "integers.ms", export(model))
    inputs = channels_last(recorded(DATA / "mindir_v1" / "wide.npz")[0])
    for output, answer in zip(run_ms(tmp_path / "integers.ms", inputs), run_ms(source, inputs)):
        # The finest step of a table is divided by 16, so a weight is off by 1/32 of it at most.
        assert_close(output, answer, 5e-3)


@pytest.mark.parametrize("level", ["none", "general"])
@pytest.mark.parametrize("name", [pytest.param(name, marks=_marks(name)) for name in _ERROR])
def test_converted_again(name: str, level: str, tmp_path: Path) -> None:
    """Every storage form is read, optimised and written anew: smaller than the float network, and the same answers."""
    source = _file(name)
    converter.convert(source, tmp_path / "again.ms", converter.FmkType.MSLITE, optimize=level)
    assert (tmp_path / "again.ms").stat().st_size <= 1.1 * source.stat().st_size + 1024
    inputs = channels_last(recorded(DATA / "mindir_v1" / f"{name.split('_')[0]}.npz")[0])
    assert_all_close(run_ms(tmp_path / "again.ms", inputs), run_ms(source, inputs), name)
