"""Files written by MindSpore Lite's own converter run here and give the outputs that MindSpore recorded."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import CORPUS, DATA, assert_all_close, channels_last, recorded, run_ms

import converter

_SMALL = sorted((DATA / "ms").glob("*.ms"))
_ZOO = [
    f"{net}.mindspore_lite.ms"
    for net in ("mobilenet_v1_025", "mobilenet_v2_035_96", "shufflenet_v2_x0_5", "squeezenet1_1")
]


def _check(path: Path, recording: Path, threads: int = 1) -> None:
    inputs, expected = recorded(recording)
    assert_all_close(run_ms(path, channels_last(inputs), threads), expected, path.name)


@pytest.mark.parametrize("path", _SMALL, ids=lambda path: path.stem)
def test_small_nets(path: Path) -> None:
    _check(path, DATA / "mindir_v1" / f"{path.stem}.npz")


@pytest.mark.parametrize("level", ["none", "general"])
@pytest.mark.parametrize("path", _SMALL, ids=lambda path: path.stem)
def test_small_nets_converted_again(path: Path, level: str, tmp_path: Path) -> None:
    converter.convert(path, tmp_path / "again.ms", converter.FmkType.MSLITE, optimize=level)
    _check(tmp_path / "again.ms", DATA / "mindir_v1" / f"{path.stem}.npz")


@pytest.mark.corpus
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", _ZOO)
def test_image_networks(name: str, threads: int) -> None:
    _check(CORPUS / "zoo" / name, CORPUS / "zoo" / f"{name.split('.')[0]}.npz", threads)


@pytest.mark.corpus
def test_model_with_external_weights() -> None:
    folder = CORPUS / "mindir_v1" / "external_data"
    _check(folder / "ext.ms", folder / "ext.npz")
