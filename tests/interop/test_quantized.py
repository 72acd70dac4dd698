"""Quantised files that MindSpore Lite 2.0.0 wrote and can load itself give the same answers here as there."""

from __future__ import annotations

from pathlib import Path

import pytest
from in_mindspore_lite import run
from support import CORPUS, DATA, assert_close, channels_last, recorded, run_ms

pytestmark = pytest.mark.interop

_SMALL = DATA / "ms_quantized"
_LARGE = CORPUS / "quantized_by_mindspore_lite"


def _check(path: Path, folder: Path) -> None:
    """1e-5: both sum floats, each in its own order; a quantised activation that came out differently would show
    as an error of about 1e-3."""
    inputs = channels_last(recorded(DATA / "mindir_v1" / f"{path.stem.split('_')[0]}.npz")[0])
    for i, (ours, theirs) in enumerate(zip(run_ms(path, inputs), run(path, inputs, folder))):
        assert_close(ours, theirs, 1e-5, f"{path.stem} output {i}")


@pytest.mark.parametrize("name", ["enc_dq", "lstm_wq8", "wide_wqmix"])
def test_small(name: str, tmp_path: Path) -> None:
    _check(_SMALL / f"{name}.ms", tmp_path)


@pytest.mark.corpus
@pytest.mark.parametrize("name", ["wide_dq", "wide_fp16"])
def test_large(name: str, tmp_path: Path) -> None:
    _check(_LARGE / f"{name}.ms", tmp_path)
