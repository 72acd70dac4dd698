"""Dimensions a MindIR leaves open: one file serves several shapes, or --inputShape fixes them.

The second recordings were made by the same MindSpore from the .mindir itself, loaded again.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support import DATA, assert_all_close, channels_last, recorded, run_ms

import converter
import lite_runtime as mslite

_NETS = [path.with_name(path.name.replace("_2.npz", "")) for path in sorted(DATA.glob("mindir_v*/*_2.npz"))]


def _runs(net: Path) -> list[tuple[list, list]]:
    pairs = (recorded(net.with_name(f"{net.name}{suffix}.npz")) for suffix in ("", "_2"))
    return [(channels_last(inputs), outputs) for inputs, outputs in pairs]


@pytest.mark.parametrize("level", ["none", "general"])
@pytest.mark.parametrize("net", _NETS, ids=lambda net: f"{net.parent.name}/{net.name}")
def test_resize_there_and_back(net: Path, level: str, tmp_path: Path) -> None:
    converter.convert(net.with_suffix(".mindir"), tmp_path / "net.ms", optimize=level)
    model = mslite.Model()
    model.build_from_file(str(tmp_path / "net.ms"), mslite.ModelType.MINDIR_LITE)
    assert any(d == -1 for tensor in model.get_inputs() for d in tensor.shape)
    first, second = _runs(net)
    assert first[0][0].shape != second[0][0].shape
    for inputs, expected in (first, second, first):
        model.resize(model.get_inputs(), [list(x.shape) for x in inputs])
        for tensor, x in zip(model.get_inputs(), inputs):
            tensor.set_data_from_numpy(x)
        outputs = [tensor.get_data_to_numpy() for tensor in model.predict(model.get_inputs())]
        assert_all_close(outputs, expected, net.name)


@pytest.mark.parametrize("net", _NETS, ids=lambda net: f"{net.parent.name}/{net.name}")
def test_fixed_by_input_shape(net: Path, tmp_path: Path) -> None:
    for recording in ("", "_2"):
        inputs, expected = recorded(net.with_name(f"{net.name}{recording}.npz"))
        report = converter.convert(
            net.with_suffix(".mindir"), tmp_path / "net.ms", input_shape={"x": list(inputs[0].shape)}
        )
        assert report.inputs[0].shape == list(channels_last(inputs)[0].shape)
        assert_all_close(run_ms(tmp_path / "net.ms", channels_last(inputs)), expected, net.name)
