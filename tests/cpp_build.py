"""Builds and runs the C++ test programs, for this machine or another."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support import DATA, channels_last, recorded

ROOT = Path(__file__).resolve().parent.parent


def _tool(name: str) -> str:
    """A build tool from the PATH or from beside this Python."""
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip(f"{name} is not installed (pip install {name})")
    return found


def _run(command: list[str]) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PATH": path})
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


def build(folder: str, targets: list[str], *options: str) -> Path:
    """Builds targets of the C++ tests in build/<folder> and returns where the programs are."""
    cmake, ninja = _tool("cmake"), _tool("ninja")
    where = ROOT / "build" / folder
    launcher = ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
    configure = [cmake, "-S", str(ROOT), "-B", str(where), "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}", *launcher]
    _run([*configure, "-DLITE_RUNTIME_TESTS=ON", "-DLITE_RUNTIME_CONVERTER=OFF", *options])
    _run([ninja, "-C", str(where), *targets])
    return where / "tests" / "cpp"


def _raw_files(folder: Path, prefix: str, arrays: list[np.ndarray]) -> list[str]:
    paths = [folder / f"{prefix}{index}.bin" for index in range(len(arrays))]
    for path, array in zip(paths, arrays):
        array.tofile(path)
    return [str(path) for path in paths]


def model_arguments(name: str, folder: Path, threads: int) -> list[str]:
    """Arguments with which model_test checks a small .ms model against MindSpore's recorded outputs."""
    inputs, outputs = recorded(DATA / "mindir_v1" / f"{name}.npz")
    answers = [a.astype(np.int32) if a.dtype == np.int64 else a for a in outputs]
    files = recorded_files(folder, channels_last(inputs), answers)
    return [str(DATA / "ms" / f"{name}.ms"), str(threads), "float32", "1e-4", *files]


def recorded_files(folder: Path, inputs: list[np.ndarray], outputs: list[np.ndarray]) -> list[str]:
    """The arguments of model_test that name inputs, in the model's own layout, and the outputs to expect."""
    return [*_raw_files(folder, "in", inputs), "--", *_raw_files(folder, "out", outputs)]


def output_of(command: list[str], **environment: str) -> str:
    """Standard output of a program that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    assert done.returncode == 0, f"{' '.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def assert_all_passed(command: list[str]) -> str:
    """Runs a test program; it must report cases, and none failed. Returns what it printed."""
    printed = output_of(command)
    closing = re.fullmatch(r"(\d+) passed, 0 failed", printed.splitlines()[-1])
    assert closing is not None and int(closing[1]) > 0, printed
    return printed
