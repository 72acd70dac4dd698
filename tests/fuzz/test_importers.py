"""Mutated model files: an importer converts or refuses them, whatever they say.

A few seconds for each format, always the same cases first; with ``-m fuzz`` ten minutes each, new ones every time.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import DATA, ROOT

_LONG, _SHORT = 600, 6
ATTACKS = ROOT / "tests" / "attacks"


def sources(suffix: str) -> list[Path]:
    """Small files of the format: real ones where there are, and the attacks."""
    folders = {"ms": ["ms"], "mindir": ["mindir_v1", "mindir_v3"]}.get(suffix, [])
    real = [path for folder in folders for path in sorted((DATA / folder).glob(f"*.{suffix}"))]
    found = [*real, *sorted((ATTACKS / suffix).glob(f"*.{suffix}"))]
    return [path for path in found if path.stat().st_size < 8192 and path.stem not in _SLOW]


# They take seconds, by design.
_SLOW = {"constant_expanded_again_and_again", "branches_inside_branches"}


def fuzz(suffix: str, seconds: float, seed: int, folder: Path) -> None:
    command = [sys.executable, str(ROOT / "tests" / "fuzz" / "importer.py"), suffix, str(seconds), str(seed)]
    done = subprocess.run([*command, str(folder), *map(str, sources(suffix))], capture_output=True, text=True)
    case = folder / f"case.{suffix}"
    what = (
        f"seed {seed}: exit code {done.returncode} with {case}\n{case.read_bytes().hex()[:6000]}\n{done.stderr[-4000:]}"
    )
    assert done.returncode == 0, what
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
