"""Control flow with weights inside the branches, and recurrent layers, on both ways through each net
(data/mindir_control/export_control.py)."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from mindir_nets import convert
from support import DATA, assert_all_close, channels_last, recorded, run_ms

from converter.importers.mindir import load

_ARCHIVES = {version: DATA / "mindir_control" / f"{version}.zip" for version in ("v1", "v3")}
_NETS = [
    "if_with_weights",
    "nested_if",
    "while_with_weights",
    "if_in_while",
    "while_in_while",
    "while_in_if",
    "gru",
    "rnn",
]


@pytest.mark.parametrize("level", ["none", "general"])
@pytest.mark.parametrize("version", _ARCHIVES)
@pytest.mark.parametrize("name", _NETS)
def test_both_ways(name: str, version: str, level: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(_ARCHIVES[version]) as archive:
        for file in (f"{name}.mindir", f"{name}.npz", f"{name}_2.npz"):
            archive.extract(file, tmp_path)
    net = convert(load(tmp_path / f"{name}.mindir"), level, tmp_path)
    for recording in (f"{name}.npz", f"{name}_2.npz"):
        inputs, expected = recorded(tmp_path / recording)
        assert_all_close(run_ms(net, channels_last(inputs)), expected, f"{name} {version} {recording}")
