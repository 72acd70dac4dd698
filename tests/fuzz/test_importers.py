"""Mutated model files: an importer converts or refuses them, whatever they say.

A few seconds for each format, with ``-m fuzz`` some more, always the same cases first. LITE_RUNTIME_FUZZ_SECONDS=600
makes the latter last as long for each format, with new cases every time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import DATA, ROOT

_SHORT, _LONGER = 6, 10
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
    seconds = os.environ.get("LITE_RUNTIME_FUZZ_SECONDS")
    if seconds is None:
        fuzz(suffix, _LONGER, 2, tmp_path)
    else:
        fuzz(suffix, float(seconds), time.time_ns(), tmp_path)
