"""Quantised files written by MindSpore Lite's converter: every storage form and dynamic quantisation run here.

The witness is the float network's recorded outputs, within the error that the bits allow; ``interop`` compares with
MindSpore Lite's runtime where that loads the file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support import CORPUS, DATA, assert_all_close, channels_last, recorded, run_ms

import converter

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


@pytest.mark.parametrize("level", ["none", "general"])
@pytest.mark.parametrize("name", [pytest.param(name, marks=_marks(name)) for name in _ERROR])
def test_converted_again(name: str, level: str, tmp_path: Path) -> None:
    """Every storage form is read, optimised and written anew: smaller than the float network, and the same answers."""
    source = _file(name)
    converter.convert(source, tmp_path / "again.ms", converter.FmkType.MSLITE, optimize=level)
    assert (tmp_path / "again.ms").stat().st_size <= 1.1 * source.stat().st_size + 1024
    inputs = channels_last(recorded(DATA / "mindir_v1" / f"{name.split('_')[0]}.npz")[0])
    assert_all_close(run_ms(tmp_path / "again.ms", inputs), run_ms(source, inputs), name)
