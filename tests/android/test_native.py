"""The libraries and lite_run, compiled by zig with musl: an Android library needs the NDK, which is not to be had here.

Everything but the C library is what the NDK gets: the sources, the CMake project, clang and a static libc++.
"""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
from support import DATA, assert_close

from packaging_tools.elf import Library

pytestmark = [pytest.mark.android, pytest.mark.download]

# What the libraries ask of the system, from libc.map.txt and its neighbours for libm and libdl in the sources of
# Android 7.0: every name is in the oldest Android that is supported.
_BIONIC = frozenset((DATA / "android_7_symbols.txt").read_text(encoding="utf-8").split())
# musl's names for the same, and what libc++, or the compiler, asks of musl only.
_MUSL = {
    "bcmp": "memcmp",
    "__errno_location": "__errno",
    "__clock_gettime64": "clock_gettime",
    "__fstat_time64": "fstat",
    "aligned_alloc": "posix_memalign",
    "__tls_get_addr": "pthread_getspecific",
}
_CPUS = {
    "arm64-v8a": ("qemu-aarch64", ("cortex-a53", "cortex-a76", "max")),
    "armeabi-v7a": ("qemu-arm", ("cortex-a7", "cortex-a8")),
}


def _libraries(folder: Path) -> list[Path]:
    found = sorted(folder.rglob("*.so"))
    assert found
    return found


def test_each_abi_has_both_libraries(compiled: Path) -> None:
    for abi in (compiled / "jniLibs").iterdir():
        assert {path.name for path in abi.iterdir()} == {"liblite_runtime.so", "liblite_runtime_jni.so"}


def test_pages_of_16_kilobytes(compiled: Path) -> None:
    for path in _libraries(compiled / "jniLibs"):
        assert Library.of(path).page_alignment == 16384, path


def test_nothing_is_asked_for_that_android_7_lacks(compiled: Path) -> None:
    for path in _libraries(compiled / "jniLibs"):
        library = Library.of(path)
        asked = {_MUSL.get(name, name) for name in library.imported if not name.startswith("lr_")}
        assert asked <= _BIONIC, (path, sorted(asked - _BIONIC))


def test_no_cpp_crosses_the_interfaces(compiled: Path) -> None:
    for path in _libraries(compiled / "jniLibs"):
        library = Library.of(path)
        assert not [name for name in library.exported | library.imported if name.startswith("_Z")]
        assert set(library.needed) <= {"libc.so", "liblite_runtime.so"}
        if path.name == "liblite_runtime_jni.so":
            assert library.exported == {"JNI_OnLoad"}
            engine = Library.of(path.with_name("liblite_runtime.so"))
            assert {name for name in library.imported if name.startswith("lr_")} <= engine.exported


def test_libraries_are_stripped(compiled: Path) -> None:
    for path in _libraries(compiled / "jniLibs"):
        assert not {name for name in Library.of(path).sections if name.startswith((".debug", ".symtab"))}, path


def test_archive_has_the_layout_that_gradle_takes(compiled: Path, lenet: Path) -> None:
    (path,) = compiled.glob("*.aar")
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        assert archive.testzip() is None
        libraries = {f"jni/{found.relative_to(compiled / 'jniLibs')}" for found in _libraries(compiled / "jniLibs")}
        metadata = "META-INF/com/android/build/gradle/aar-metadata.properties"
        fixed = {"AndroidManifest.xml", "classes.jar", "R.txt", "proguard.txt", metadata}
        assert names == {*fixed, *libraries, "assets/lenet.ms"}
        assert archive.read("assets/lenet.ms") == lenet.read_bytes()
        with archive.open("classes.jar") as jar, zipfile.ZipFile(jar) as classes:
            found = set(classes.namelist())
    assert {"org/literuntime/LiteRuntime.class", "org/literuntime/ModelAssets.class"} <= found
    assert not [name for name in found if name.startswith("android/")]


@pytest.mark.arm
def test_runner_gives_mindspores_answer(compiled: Path, lenet: Path, tmp_path: Path) -> None:
    with np.load(DATA / "lenet" / "lenet_mnist5k_test.npz") as test:
        images, logits = test["x"][:8], test["logits"][:8]
    ran = 0
    for abi in (compiled / "runner").iterdir():
        emulator, cpus = _CPUS.get(abi.name, ("", ()))
        assert not Library.of(abi / "lite_run").needed
        for cpu in cpus:
            for image, expected in zip(images, logits):
                np.ascontiguousarray(image.transpose(1, 2, 0)).tofile(tmp_path / "in0")
                command = [emulator, "-cpu", cpu, abi / "lite_run", lenet, f"--input={tmp_path}/in0",
                           f"--output={tmp_path}/out", "--threads=2", "--repeat=2"]  # fmt: skip
                done = subprocess.run(command, capture_output=True, text=True)
                assert done.returncode == 0, done.stderr
                assert_close(np.fromfile(tmp_path / "out0", np.float32), expected, 1e-4, f"{abi.name} {cpu}")
                assert f"\n  {expected.argmax()}: " in done.stdout
                ran += 1
    assert ran


@pytest.mark.arm
def test_runner_refuses_what_is_wrong(compiled: Path, lenet: Path, tmp_path: Path) -> None:
    program = ["qemu-aarch64", compiled / "runner" / "arm64-v8a" / "lite_run"]
    if not Path(program[1]).is_file() or shutil.which("qemu-aarch64") is None:
        pytest.skip("no lite_run for arm64-v8a")
    (tmp_path / "short").write_bytes(b"1234")
    cases = {
        (): (2, "usage"),
        (lenet, "--nonsense=1"): (2, "usage"),
        (lenet, "--threads=many"): (1, "not a number"),
        (tmp_path / "none.ms",): (1, "cannot be opened"),
        (tmp_path / "short",): (1, "too few"),
        (lenet, f"--input={tmp_path}/none"): (1, "cannot be opened"),
        (lenet, f"--input={tmp_path}/short"): (1, "bytes"),
        (lenet, f"--input={tmp_path}/short", f"--input={tmp_path}/short"): (1, "1 inputs"),
        (lenet, "--output=/nowhere/out"): (1, "cannot be written"),
    }
    for arguments, (code, words) in cases.items():
        done = subprocess.run([*program, *arguments], capture_output=True, text=True)
        assert (done.returncode, words in done.stderr) == (code, True), (arguments, done.stderr)
