"""``lite_package --ops-from``: a small library for 64-bit ARM, run by qemu as the CPUs of Raspberry Pis."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from device_roots import python, unpacked
from small_mobilenet import convert
from support import DATA, ROOT, assert_close

import lite_runtime
from packaging_tools import lite_package, selection, zig

pytestmark = [pytest.mark.arm, pytest.mark.download]


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return convert(tmp_path_factory.mktemp("mobilenet"))


@pytest.fixture(scope="module")
def packages(mobilenet: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("ziglang", reason="zig is not installed: pip install 'lite-runtime[wheels]'")
    out = tmp_path_factory.mktemp("small") / "out"
    assert lite_package.main([f"--ops-from={mobilenet}", "--platform=manylinux-aarch64", f"--output={out}"]) == 0
    assert (out / "lite_runtime.h").is_file()
    return out / "manylinux-aarch64"


def test_a_library_for_mobilenet_is_small(packages: Path) -> None:
    size = (packages / "lite_runtime" / zig.LIBRARY).stat().st_size
    print(f"{size:,} bytes")
    assert size <= 410_000


@pytest.mark.parametrize("cpu", ["cortex-a53", "cortex-a76"])
def test_same_answer(packages: Path, mobilenet: Path, tmp_path: Path, cpu: str) -> None:
    unpacked("arm64")
    program = str(ROOT / "tests" / "arm" / "on_device.py")
    command = [*python("arm64", cpu, packages), program, str(mobilenet.parent), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    expected = lite_runtime.load(str(mobilenet))(np.load(mobilenet.with_suffix(".npy")))
    assert_close(np.load(tmp_path / "mobilenet.npy"), expected, 1e-4, cpu)
    doctor = json.loads((tmp_path / "doctor.json").read_text())
    assert "scalar" not in doctor["tiers"]
    assert doctor["self_test"] == {
        "passed": True,
        "detail": "the library lacks operators of the self-test: no network could be run",
    }


def test_the_same_bytes_from_sources_in_another_folder(
    packages: Path, mobilenet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled again from nothing, but for what zig keeps of its own libraries."""
    kept = os.environ.get("ZIG_GLOBAL_CACHE_DIR") or str(zig.source() / "build" / "zig-cache")
    monkeypatch.setenv("ZIG_GLOBAL_CACHE_DIR", kept)
    for name in ("cmake", "schema", "lite_runtime/core"):
        shutil.copytree(ROOT / name, tmp_path / "sources" / name)
    shutil.copyfile(ROOT / "CMakeLists.txt", tmp_path / "sources" / "CMakeLists.txt")
    monkeypatch.setenv("LITE_RUNTIME_SOURCE", str(tmp_path / "sources"))
    again = zig.build_engine(zig.PLATFORMS["manylinux-aarch64"], tmp_path / "work", selection.of_models([mobilenet]))
    assert again.read_bytes() == (packages / "lite_runtime" / zig.LIBRARY).read_bytes()


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (DATA / "ms" / "cnn.ms", ", Softmax '"),
        # Its operators are there, but for those that quantise, and not their form for integers.
        (Path("quantized/mobilenet.ms"), ", Conv2DFusion of quantised integers '"),
    ],
)
def test_other_models_are_refused_by_names_of_operators(
    packages: Path, mobilenet: Path, model: Path, words: str
) -> None:
    program = f"import lite_runtime; lite_runtime.load({str(mobilenet.parent / model)!r})"
    done = subprocess.run([*python("arm64", "cortex-a72", packages), "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    error = done.stderr.splitlines()[-1]
    assert error.startswith("lite_runtime.errors.UnsupportedModelError: ")
    assert " node(s) have an operator that this library leaves out: " in error
    assert words in error
    assert error.endswith(". Build it again with this model too: --ops-from=FILE")
