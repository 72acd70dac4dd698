"""One small net for each operator, exported by MindSpore 2.0.0 and 2.10.0 (data/mindir_ops/export_operators.py)."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from mindir_nets import convert_and_run
from support import DATA, assert_close, recorded

from converter.importers.mindir import load

_ARCHIVES = {version: DATA / "mindir_ops" / f"{version}.zip" for version in ("v1", "v3")}


def _names() -> list[str]:
    found = []
    for version, path in _ARCHIVES.items():
        with zipfile.ZipFile(path) as archive:
            found += [f"{version}/{Path(name).stem}" for name in archive.namelist() if name.endswith(".mindir")]
    return found


# float16 has 11 bits: a rounding that falls the other way differs by 2**-11.
_TOLERANCES = {"Cast": 1e-3}


@pytest.mark.parametrize("level", ["none", "general"])
@pytest.mark.parametrize("name", _names())
def test_operator(name: str, level: str, tmp_path: Path) -> None:
    version, _, stem = name.partition("/")
    with zipfile.ZipFile(_ARCHIVES[version]) as archive:
        (tmp_path / "net.mindir").write_bytes(archive.read(f"{stem}.mindir"))
        (tmp_path / "net.npz").write_bytes(archive.read(f"{stem}.npz"))
    inputs, expected = recorded(tmp_path / "net.npz")
    outputs = convert_and_run(load(tmp_path / "net.mindir"), level, inputs, tmp_path)
    assert len(outputs) == len(expected)
    for index, (output, answer) in enumerate(zip(outputs, expected)):
        assert_close(output, answer, _TOLERANCES.get(stem, 1e-4), f"{name} output {index}")
