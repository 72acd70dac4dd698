"""Files we quantised, in MindSpore Lite 2.0.0 where it loads them: entropy-coded and float16 weights, dynamic and full
quantisation. (Weights of a fixed number of bits it does not load, its own neither.)"""

from __future__ import annotations

from pathlib import Path

import numpy as np
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


@pytest.mark.parametrize("net", ["wide", "enc", "cnn"])
def test_float16_weights(net: str, tmp_path: Path) -> None:
    path = tmp_path / f"{net}.ms"
    converter.convert(DATA / "mindir_v1" / f"{net}.mindir", path, fp16=True, check=False)
    inputs = channels_last(recorded(DATA / "mindir_v1" / f"{net}.npz")[0])
    for i, (ours, theirs) in enumerate(zip(run_ms(path, inputs), run(path, inputs, tmp_path))):
        assert_close(ours, theirs, 1e-5, f"{net} output {i}")


@pytest.mark.parametrize("net", ["wide", "tenc", "lstm", "cnn"])
def test_full_quantisation(net: str, tmp_path: Path) -> None:
    """1.2e-2: two steps of an int8 result of several layers: its kernels round sums in another way. Grouped
    convolutions have one scale for all channels there."""
    path = tmp_path / f"{net}.ms"
    inputs, _ = recorded(DATA / "mindir_v1" / f"{net}.npz")
    config = {
        "common_quant_param": {"quant_type": "FULL_QUANT"},
        "full_quant_param": {"per_channel": "false" if net == "cnn" else "true"},
    }
    source = DATA / "mindir_v1" / f"{net}.mindir"
    converter.convert(source, path, config=config, calibration=[inputs], check=False)
    feeds = channels_last(inputs)
    for i, (ours, theirs) in enumerate(zip(run_ms(path, feeds), run(path, feeds, tmp_path))):
        assert_close(ours, theirs, 1.2e-2, f"{net} output {i}")


def test_full_quantisation_of_the_digit_network(tmp_path: Path) -> None:
    """As above, for four digits."""
    path = tmp_path / "lenet.ms"
    with np.load(DATA / "lenet" / "lenet_mnist5k_test.npz") as arrays:
        samples, digits = [[x[None]] for x in arrays["xcal"][:32]], arrays["x"][:4]
    config = {"common_quant_param": {"quant_type": "FULL_QUANT"}}
    source = DATA / "lenet" / "lenet_mnist5k.mindir"
    converter.convert(source, path, config=config, calibration=samples, check=False)
    for digit in digits:
        feeds = channels_last([digit[None]])
        (ours,), (theirs,) = run_ms(path, feeds), run(path, feeds, tmp_path)
        assert_close(ours, theirs, 1.2e-2, "digit")
