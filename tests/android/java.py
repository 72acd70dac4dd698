"""Compiles and runs the Java of android_demo on this machine's Java."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from support import PACKAGES, ROOT

DEMO = ROOT / "android_demo"
LIBRARY = DEMO / "lite_runtime" / "src"
APP = DEMO / "app" / "src"
STUBS = ROOT / "tests" / "android" / "stubs"
_JARS = Path("/usr/share/java")


def jar(name: str) -> Path:
    """A library of Debian's; skips the test when it is not installed."""
    path = _JARS / f"{name}.jar"
    if not path.is_file():
        pytest.skip(f"{path.name} is not installed")
    return path


def sources(*folders: Path) -> list[Path]:
    return sorted(path for folder in folders for path in folder.rglob("*.java"))


def output_of(command: Iterable[str | Path]) -> str:
    """Standard output of a command that must succeed."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-6000:]}{done.stderr[-6000:]}"
    return done.stdout


def compile_java(files: Iterable[Path], target: Path, classes: Iterable[Path] = (), release: int = 8) -> Path:
    """Compiles with all warnings as errors, but that the release is old; returns the folder of classes."""
    target.mkdir(parents=True, exist_ok=True)
    path = ":".join(str(entry) for entry in classes)
    options = ["--release", str(release), "-Xlint:all,-options", "-Werror", "-encoding", "UTF-8", "-proc:none"]
    output_of(["javac", *options, "-cp", path, "-d", target, *files])
    return target


def java_home() -> Path:
    return Path(shutil.which("javac") or "").resolve().parent.parent


def build_glue(folder: Path) -> Path:
    """The JNI library beside a copy of the engine that Python uses; returns their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(PACKAGES / "lite_runtime" / "liblite_runtime.so", folder)
    cpp, include = LIBRARY / "main" / "cpp", java_home() / "include"
    output_of(
        ["g++", "-std=c++17", "-O1", "-g", "-fPIC", "-shared", "-fno-exceptions", "-fno-rtti", "-fvisibility=hidden",
         "-Wall", "-Wextra", "-Werror", f"-I{ROOT}/lite_runtime/core/include", f"-I{include}", f"-I{include}/linux",
         cpp / "glue.cc", f"-L{folder}", "-llite_runtime", "-Wl,-rpath,$ORIGIN", "-Wl,--no-undefined",
         f"-Wl,--version-script={cpp / 'exports.map'}", "-o", folder / "liblite_runtime_jni.so"]
    )  # fmt: skip
    return folder


def run_junit(classes: Iterable[Path], natives: Path, properties: dict[str, object], tests: Iterable[str]) -> str:
    """Runs JUnit tests with Java's checks of native code on; returns what was printed. All must pass."""
    path = ":".join(str(entry) for entry in (*classes, jar("junit4"), jar("hamcrest")))
    given = [f"-D{name}={value}" for name, value in properties.items()]
    command = ["java", "-Xcheck:jni", "-Xmx256m", "--add-opens=java.base/java.io=ALL-UNNAMED", "-cp", path,
               f"-Djava.library.path={natives}", *given, "org.junit.runner.JUnitCore", *tests]  # fmt: skip
    printed = output_of(command)
    assert "\nOK (" in printed, printed
    # What -Xcheck:jni has to say.
    assert "WARNING" not in printed and "FATAL" not in printed, printed
    return printed
