"""Mutated model files: an importer converts or refuses them, whatever they say.

A few seconds for each format, always the same cases first; with ``-m fuzz`` ten minutes each, new ones every time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import DATA, ROOT

_LONG, _SHORT = 600, 6
ATTACKS = ROOT / "tests" / "attacks"
PROGRAM = ROOT / "tests" / "fuzz" / "importer.py"


def sources(suffix: str) -> list[Path]:
    """Small files of the format: real ones where there are, and the attacks."""
    folders = {"ms": ["ms"], "mindir": ["mindir_v1", "mindir_v3"]}.get(suffix, [])
    real = [path for folder in folders for path in sorted((DATA / folder).glob(f"*.{suffix}"))]
    found = [*real, *sorted((ATTACKS / suffix).glob(f"*.{suffix}"))]
    return [path for path in found if path.stat().st_size < 8192 and path.stem not in _SLOW]


# They take seconds, by design.
_SLOW = {"constant_expanded_again_and_again", "branches_inside_branches"}


def last_case(folder: Path) -> str:
    """The bytes that were at work, to make the case again."""
    return "".join(f"{path} {path.read_bytes().hex()[:6000]}\n" for path in folder.glob("case.*"))


def fuzz(suffix: str, seconds: float, seed: int, folder: Path) -> None:
    path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(PROGRAM.parent)])
    done = subprocess.run(
        [sys.executable, str(PROGRAM), suffix, str(seconds), str(seed), str(folder), *map(str, sources(suffix))],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert done.returncode == 0, f"seed {seed}, {suffix}: {last_case(folder)}exit code {done.returncode}\n{done.stderr}"
    converted, refused = map(int, done.stdout.split()[-2:])
    assert converted + refused > 0
    print(f"{suffix}: {converted} converted, {refused} refused")


@pytest.mark.parametrize("suffix", ["ms", "mindir", "onnx", "tflite"])
def test_mutated_files(tmp_path: Path, suffix: str) -> None:
    fuzz(suffix, _SHORT, 1, tmp_path)


@pytest.mark.fuzz
@pytest.mark.parametrize("suffix", ["ms", "mindir", "onnx", "tflite"])
def test_mutated_files_for_long(tmp_path: Path, suffix: str) -> None:
    fuzz(suffix, _LONG, time.time_ns(), tmp_path)
