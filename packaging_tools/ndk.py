"""Compiles the engine for Android: its libraries with the NDK, the program lite_run with zig."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from packaging_tools import zig
from packaging_tools.elf import Library
from packaging_tools.errors import PackagingError

ABIS = ("arm64-v8a", "armeabi-v7a", "x86_64")
# The oldest Android: 7.0.
API = 24
# Android 15 has pages of this size on some devices.
PAGE = 16384
# lite_run is static: Android's C library is not needed for it, nor is its calling convention for floats.
_RUNNERS = {
    "arm64-v8a": zig.PLATFORMS["musllinux-aarch64"],
    "armeabi-v7a": zig.Platform("musl_armv7l", "arm-linux-musleabihf", zig.PLATFORMS["manylinux-armv7l"].cpu, "armv7l"),
    "x86_64": zig.PLATFORMS["musllinux-x86_64"],
}
_SOURCE = Path("android_demo/lite_runtime/src/main/cpp")
_LIBRARIES = (Path("engine/lite_runtime/core/liblite_runtime.so"), Path("liblite_runtime_jni.so"))
_TOOLCHAIN = Path("build/cmake/android.toolchain.cmake")


def toolchain(ndk: Path) -> Path:
    """CMake's toolchain file of an NDK. Raises PackagingError when the folder is none."""
    file = ndk / _TOOLCHAIN
    if not file.is_file():
        raise PackagingError(f"--ndk={ndk} is no Android NDK: there is no {_TOOLCHAIN} in it")
    return file.resolve()


def build(ndk: Path, abis: Iterable[str], work: Path, selection: Mapping[str, str]) -> dict[str, bytes]:
    """The libraries by ABI/NAME, stripped. Raises PackagingError with the compiler's words, or for no NDK."""
    file = toolchain(ndk)
    built = {}
    for abi in abis:
        folder = work / abi
        options = [
            f"-DCMAKE_TOOLCHAIN_FILE={file}",
            f"-DANDROID_ABI={abi}",
            f"-DANDROID_PLATFORM=android-{API}",
            "-DANDROID_STL=c++_static",
            "-DCMAKE_BUILD_TYPE=Release",
            *(f"-D{name}={value}" for name, value in selection.items()),
        ]
        zig.run(["cmake", "-S", zig.source() / _SOURCE, "-B", folder, "-G", "Ninja", *options], work)
        zig.run(["cmake", "--build", folder], work)
        for path in _LIBRARIES:
            _check(folder / path)
            built[f"{abi}/{path.name}"] = (folder / path).read_bytes()
    return built


def _check(path: Path) -> None:
    library = Library.of(path)
    if library.page_alignment < PAGE:
        raise PackagingError(
            f"{path.name} is aligned for pages of {library.page_alignment} bytes and Android 15 needs {PAGE}: "
            "take a newer NDK"
        )
    foreign = [name for name in library.needed if name.startswith("libc++")]
    if foreign:
        raise PackagingError(f"{path.name} needs {', '.join(foreign)}: the NDK did not link its C++ library statically")


def build_runner(abi: str, work: Path, selection: Mapping[str, str]) -> bytes:
    """The program lite_run. Raises PackagingError with the compiler's words."""
    folder = work / f"runner-{abi}"
    options = [f"-D{name}={value}" for name, value in {**zig.definitions(_RUNNERS[abi]), **selection}.items()]
    zig.run(["cmake", "-S", zig.source() / _SOURCE, "-B", folder, "-G", "Ninja", *options], work)
    zig.run(["cmake", "--build", folder, "--target", "lite_run"], work)
    return (folder / "lite_run").read_bytes()
