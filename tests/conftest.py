"""Skips what this machine cannot run, each with its reason."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from support import CORPUS, ROOT, mindspore_lite_python

# Programs that tests start import the packages under test, not those of the folder they are started in.
os.environ.setdefault("PYTHONSAFEPATH", "1")
# An installed package compiles the engine from here.
os.environ.setdefault("LITE_RUNTIME_SOURCE", str(ROOT))

_ARM_TOOLS = ("aarch64-linux-gnu-g++", "arm-linux-gnueabihf-g++", "qemu-aarch64", "qemu-arm")
_JAVA_TOOLS = ("java", "javac", "g++")


def _missing(marker: str) -> str | None:
    """Why tests with this marker cannot run here, or None."""
    if marker == "corpus" and not CORPUS.is_dir():
        return "no model corpus beside the checkout (set LITE_RUNTIME_CORPUS)"
    if marker == "arm":
        absent = [tool for tool in _ARM_TOOLS if shutil.which(tool) is None]
        return f"not installed: {', '.join(absent)}" if absent else None
    if marker == "android":
        absent = [tool for tool in _JAVA_TOOLS if shutil.which(tool) is None]
        return f"not installed: {', '.join(absent)}" if absent else None
    if marker == "interop" and mindspore_lite_python() is None:
        return "no Python 3.7 with mindspore-lite==2.0.0 (set MINDSPORE_LITE_PYTHON)"
    return None


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers():
        reason = _missing(marker.name)
        if reason is not None:
            pytest.skip(reason)


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution: $LITE_RUNTIME_DIST, or built now."""
    if "LITE_RUNTIME_DIST" in os.environ:
        return Path(os.environ["LITE_RUNTIME_DIST"])
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="session")
def release_wheel(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function from a platform of packaging_tools.zig to its release wheel: in $LITE_RUNTIME_WHEELS, or built now.

    What was compiled stays in build/wheels: the next time takes seconds. Skips the test where zig is not installed.
    """
    from packaging_tools import wheels, zig

    folder = tmp_path_factory.mktemp("wheels")

    @cache
    def build(name: str) -> Path:
        if "LITE_RUNTIME_WHEELS" in os.environ:
            (wheel,) = Path(os.environ["LITE_RUNTIME_WHEELS"]).glob(f"*{zig.PLATFORMS[name].tag}.whl")
            return wheel
        if importlib.util.find_spec("ziglang") is None:
            pytest.skip("zig is not installed: pip install '.[wheels]'")
        return wheels.build(zig.PLATFORMS[name], zig.source() / "build" / "wheels", folder)

    return build
