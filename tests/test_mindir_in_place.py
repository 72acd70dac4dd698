"""Nets that change tensors in place, exported by MindSpore 2.10.0 (data/mindir_in_place/export_in_place.py)."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from mindir_nets import convert_and_run
from support import DATA, assert_all_close, recorded

from converter.errors import UnsupportedError
from converter.importers.mindir import load
from converter.importers.mindir.memory import IN_PLACE

_ARCHIVE = DATA / "mindir_in_place" / "v3.zip"
_REFUSED = {
    "OfAWeight": "it changes the weight 'w' in place",
    "SeenThroughView": "its input was changed in place, through another view of it or in another graph",
}


def _names() -> list[str]:
    with zipfile.ZipFile(_ARCHIVE) as archive:
        return [name.partition(".")[0] for name in archive.namelist() if name.endswith(".mindir")]


def _unpacked(name: str, folder: Path) -> Path:
    with zipfile.ZipFile(_ARCHIVE) as archive:
        for suffix in ("mindir", "npz"):
            (folder / f"net.{suffix}").write_bytes(archive.read(f"{name}.{suffix}"))
    return folder / "net.mindir"


@pytest.mark.parametrize("level", ["none", "general"])
@pytest.mark.parametrize("name", [name for name in _names() if name not in _REFUSED])
def test_in_place(name: str, level: str, tmp_path: Path) -> None:
    path = _unpacked(name, tmp_path)
    inputs, expected = recorded(path.with_suffix(".npz"))
    assert_all_close(convert_and_run(load(path), level, inputs, tmp_path), expected, name)


@pytest.mark.parametrize("name", _REFUSED)
def test_what_cannot_be_told_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=_REFUSED[name]):
        load(_unpacked(name, tmp_path))


def test_every_primitive_is_in_a_net() -> None:
    with zipfile.ZipFile(_ARCHIVE) as archive:
        nets = b"".join(archive.read(f"{name}.mindir") for name in _names())
    assert {name for name in IN_PLACE if name.encode() not in nets} == set()
