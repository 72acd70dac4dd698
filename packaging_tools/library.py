"""The target ``library``: the runtime with only the operators that given models need, for each platform."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from packaging_tools import runtime, zig
from packaging_tools.elf import Library
from packaging_tools.errors import PackagingError
from packaging_tools.lite_package import Request
from packaging_tools.wheels import problems

_HEADER = Path("lite_runtime/core/include/lite_runtime.h")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ops-from", required=True, action="append", type=Path, help="a .ms model; several times")
    parser.add_argument("--platform", action="append", choices=sorted(zig.PLATFORMS), help="only these; several times")


def package(request: Request) -> list[str]:
    """Writes PLATFORM/lite_runtime/, the Python package with its library, and lite_runtime.h; returns what to tell."""
    told = []
    with tempfile.TemporaryDirectory(prefix="lite_package-") as work:
        for name in request.arguments.platform or zig.PLATFORMS:
            platform = zig.PLATFORMS[name]
            for entry in runtime.files(platform, None, Path(work), request.selection):
                path = request.folder / name / entry.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(entry.data)
            library = request.folder / name / "lite_runtime" / zig.LIBRARY
            found = problems(Library.of(library), platform)
            if found:
                raise PackagingError(f"{library.name} for {name} " + "; ".join(found))
            told.append(f"{name}/lite_runtime/{zig.LIBRARY}: {library.stat().st_size:,} bytes")
    shutil.copyfile(zig.source() / _HEADER, request.folder / _HEADER.name)
    return told
