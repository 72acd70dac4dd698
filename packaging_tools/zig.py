"""Compiles the engine for any Linux with zig (PyPI: ziglang), which brings the C libraries of all of them."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging_tools.errors import PackagingError

LIBRARY = "liblite_runtime.so"


@dataclass(frozen=True)
class Platform:
    """One kind of device and C library.

    Attributes:
        tag: platform tag of its wheel.
        triple: what zig calls it, with the oldest glibc it must run on.
        cpu: the least CPU, in zig's words; the engine's tiers go beyond it where the CPU can.
        processor: CMake's name of the processor.
    """

    tag: str
    triple: str
    cpu: str
    processor: str

    @property
    def musl(self) -> bool:
        return "musl" in self.triple


# ARMv7 without NEON, which the specification leaves optional; zig's own baseline has it.
_ARMV7 = "generic+v7a-neon+vfp3d16"
PLATFORMS = {
    "manylinux-x86_64": Platform("manylinux_2_17_x86_64", "x86_64-linux-gnu.2.17", "x86_64", "x86_64"),
    "manylinux-aarch64": Platform("manylinux_2_17_aarch64", "aarch64-linux-gnu.2.17", "generic", "aarch64"),
    "manylinux-armv7l": Platform("manylinux_2_17_armv7l", "arm-linux-gnueabihf.2.17", _ARMV7, "armv7l"),
    "musllinux-x86_64": Platform("musllinux_1_2_x86_64", "x86_64-linux-musl", "x86_64", "x86_64"),
    "musllinux-aarch64": Platform("musllinux_1_2_aarch64", "aarch64-linux-musl", "generic", "aarch64"),
}


def source() -> Path:
    """The checkout with the engine's source: the one this package lies in, or the one LITE_RUNTIME_SOURCE names.

    Raises PackagingError in an installation that is told of none.
    """
    root = Path(os.environ.get("LITE_RUNTIME_SOURCE") or Path(__file__).resolve().parent.parent)
    if not (root / "CMakeLists.txt").is_file():
        raise PackagingError(
            "the engine's source is not here: run this in a checkout of the project, let LITE_RUNTIME_SOURCE name one, "
            "or give --wheels=DIR with the release wheels"
        )
    return root


def compiler() -> Path:
    """The zig program. Raises PackagingError when the package is missing."""
    spec = importlib.util.find_spec("ziglang")
    if spec is None or spec.origin is None:
        raise PackagingError("zig is not installed: pip install 'lite-runtime[wheels]', or pip install ziglang")
    return Path(spec.origin).parent / "zig"


def definitions(platform: Platform) -> dict[str, str]:
    """What CMake must be told to compile for the platform."""
    root = source()
    return {
        "CMAKE_TOOLCHAIN_FILE": str(root / "cmake" / "zig.cmake"),
        "LITE_RUNTIME_ZIG": str(compiler()),
        "LITE_RUNTIME_ZIG_TARGET": platform.triple,
        "LITE_RUNTIME_ZIG_CPU": platform.cpu,
        "LITE_RUNTIME_ZIG_PROCESSOR": platform.processor,
        "LITE_RUNTIME_ZIG_PYTHON": sys.executable,
    }


def build_engine(platform: Platform, folder: Path, selection: Mapping[str, str]) -> Path:
    """Compiles the library, stripped; returns its path.

    ``folder`` keeps the build: a second call is quick. So does ``run`` what zig compiles of its C and C++ libraries,
    which takes a few minutes once. ``selection`` is of selection.py; empty for all operators. Raises PackagingError
    with the compiler's words.
    """
    build = folder / platform.tag
    options = [f"-D{name}={value}" for name, value in {**definitions(platform), **selection}.items()]
    run(["cmake", "-S", source(), "-B", build, "-G", "Ninja", "-DLITE_RUNTIME_CONVERTER=OFF", *options], folder)
    run(["cmake", "--build", build, "--target", "lite_runtime"], folder)
    return build / "lite_runtime" / "core" / LIBRARY


def run(command: Iterable[str | Path], folder: Path, where: Path | None = None) -> str:
    """Runs a step of a build in ``where`` with the tools installed beside this Python first; returns what it printed.

    zig keeps what it compiled of its own in ZIG_GLOBAL_CACHE_DIR, or else in the checkout's build folder.
    """
    words = [str(word) for word in command]
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    words[0] = shutil.which(words[0], path=path) or words[0]
    cache = os.environ.get("ZIG_GLOBAL_CACHE_DIR") or str(source() / "build" / "zig-cache")
    environment = {**os.environ, "PATH": path, "ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache}
    folder.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(words, env=environment, cwd=where, capture_output=True, text=True)
    except OSError as error:
        raise PackagingError(
            f"{words[0]} cannot be run: {error.strerror}. pip install 'lite-runtime[wheels]'"
        ) from None
    if done.returncode:
        raise PackagingError(f"{' '.join(words)} failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout
