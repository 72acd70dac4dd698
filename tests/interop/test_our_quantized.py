"""Files we quantised, in MindSpore Lite 2.0.0 where it loads them: entropy-coded weights and dynamic quantisation."""

from __future__ import annotations

from pathlib import Path

import pytest
from in_mindspore_lite import run
from support import DATA, assert_close, channels_last, recorded, run_ms

import converter

pytestmark = pytest.mark.interop

_CONFIGS = {
    "mixed": {"common_quant_param": {"quant_type": "WEIGHT_QUANT", "bit_num": "0"}},
    "dynamic": {"common_quant_param": {"quant_type": "DYNAMIC_QUANT"}},
}


@pytest.mark.parametrize(
    ("net", "config"),
    [(net, "mixed") for net in ("wide", "enc", "cnn")] + [(net, "dynamic") for net in ("wide", "enc", "lstm", "tenc")],
)
def test_same_answers(net: str, config: str, tmp_path: Path) -> None:
    """1e-5: both sum floats, each in its own order."""
    path = tmp_path / f"{net}.ms"
    converter.convert(DATA / "mindir_v1" / f"{net}.mindir", path, config=_CONFIGS[config], check=False)
    inputs = channels_last(recorded(DATA / "mindir_v1" / f"{net}.npz")[0])
    for i, (ours, theirs) in enumerate(zip(run_ms(path, inputs), run(path, inputs, tmp_path))):
        assert_close(ours, theirs, 1e-5, f"{net} output {i}")
