"""The release wheels in $LITE_RUNTIME_WHEELS, the folder that ``python -m packaging_tools.wheels`` has written.

On x86-64 they run here: with every Python there is, and those for musl with Debian's. The other tests of this folder
install those for ARM and glibc; they build these wheels themselves where the variable is not set.
"""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
from device_roots import QEMU, musl
from support import DATA, ROOT, assert_close

import lite_runtime
from packaging_tools import wheels, zig

_WHEELS = os.environ.get("LITE_RUNTIME_WHEELS", "")
pytestmark = [
    pytest.mark.download,
    pytest.mark.skipif(not _WHEELS, reason="LITE_RUNTIME_WHEELS does not name the folder of the release wheels"),
]
_PYTHONS = sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/3.*/bin/python"))
# The oldest NumPy there is to be supported, with the oldest Python.
_NUMPY = {"3.9": "numpy==1.21.*"}
_MODEL = DATA / "ms" / "cnn.ms"
_RUNNER = ROOT / "android_demo/lite_runtime/src/main/cpp/lite_run.cc"


def _wheel(platform: str) -> Path:
    (path,) = Path(_WHEELS).glob(f"lite_runtime-*-py3-none-{zig.PLATFORMS[platform].tag}.whl")
    return path


def _output(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env={**os.environ, **environment})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A folder with cnn.ms, its input as cnn.npy and cnn.bin, and the answer of the engine under test."""
    folder = tmp_path_factory.mktemp("case")
    (folder / "cnn.ms").symlink_to(_MODEL)
    run = lite_runtime.load(str(_MODEL))
    x = np.random.default_rng(3).standard_normal(run.inputs[0].shape).astype(np.float32)
    np.save(folder / "cnn.npy", x)
    x.tofile(folder / "cnn.bin")
    return folder, run(x)


@pytest.mark.parametrize("platform", zig.PLATFORMS)
def test_each_keeps_the_promises(platform: str) -> None:
    path = _wheel(platform)
    wheels.check(path.read_bytes(), zig.PLATFORMS[platform], path.name)
    print(f"{path.stat().st_size:,} bytes")


@pytest.mark.parametrize("python", _PYTHONS, ids=lambda path: path.parents[1].name)
def test_python(python: Path, case: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    version = _output(python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()
    if tuple(map(int, version.split("."))) < (3, 9):
        pytest.skip("older than Python 3.9")
    _output(python, "-m", "venv", tmp_path / "venv")
    program = tmp_path / "venv" / "bin" / "python"
    _output(program, "-m", "pip", "install", "--quiet", _wheel("manylinux-x86_64"), _NUMPY.get(version, "numpy"))
    folder, expected = case
    _output(program, ROOT / "tests/arm/on_device.py", folder, tmp_path, PYTHONPATH="")
    assert_close(np.load(tmp_path / "cnn.npy"), expected, 1e-5)
    assert "self-test     passed" in _output(program, "-m", "lite_runtime", "doctor", PYTHONPATH="")


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_musl(machine: str, case: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    """A C++ program linked with the wheel's library."""
    root = musl({"x86_64": "amd64", "aarch64": "arm64"}[machine])
    emulator = [] if machine == os.uname().machine else [QEMU["arm64"]]
    with zipfile.ZipFile(_wheel(f"musllinux-{machine}")) as archive:
        library = Path(archive.extract(f"lite_runtime/{zig.LIBRARY}", tmp_path))
    include = ROOT / "lite_runtime/core/include"
    # What zig's C++ library has but the program does not call needs a newer musl than this one.
    target = ["-target", f"{machine}-linux-musl", "-dynamic", "-Os", "-Wl,--gc-sections"]
    zig.run([zig.compiler(), "c++", *target, f"-I{include}", _RUNNER, library, "-o", tmp_path / "lite_run"], tmp_path)
    folder, expected = case
    loader = [*emulator, root / f"lib/ld-musl-{machine}.so.1", "--library-path", library.parent]
    files = [f"--input={folder}/cnn.bin", f"--output={tmp_path}/y"]
    _output(*loader, tmp_path / "lite_run", _MODEL, *files, "--threads=2")
    assert_close(np.fromfile(tmp_path / "y0", np.float32), expected.ravel(), 1e-4, machine)


def test_the_source_distribution_is_there() -> None:
    assert len(list(Path(_WHEELS).glob("lite_runtime-*.tar.gz"))) == 1
