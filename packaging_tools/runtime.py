"""The runtime's files for a platform, from a release wheel or compiled now."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import lite_runtime
from packaging_tools import zig
from packaging_tools.archives import Entry
from packaging_tools.errors import PackagingError


def files(platform: zig.Platform, wheels: Path | None, work: Path, selection: Mapping[str, str]) -> list[Entry]:
    """The Python package lite_runtime with its library. ``work`` is where to compile when there are no wheels."""
    if wheels is not None:
        return _of_wheel(platform, wheels)
    folder = Path(lite_runtime.__file__).resolve().parent
    paths = sorted((*folder.glob("*.py"), folder / "self_test.npz"))
    python = [Entry(f"lite_runtime/{path.name}", path.read_bytes()) for path in paths]
    library = zig.build_engine(platform, work, selection)
    return [*python, Entry(f"lite_runtime/{zig.LIBRARY}", library.read_bytes())]


def wheel(platform: zig.Platform, wheels: Path) -> Path:
    """The release wheel of this version for the platform. Raises PackagingError when it is not there."""
    found = sorted(wheels.glob(f"lite_runtime-{lite_runtime.__version__}-py3-none-*{platform.tag}*.whl"))
    if not found:
        raise PackagingError(
            f"--wheels={wheels} has no wheel of lite_runtime {lite_runtime.__version__} for {platform.tag}: "
            "build it with python -m packaging_tools.wheels"
        )
    return found[0]


def _of_wheel(platform: zig.Platform, wheels: Path) -> list[Entry]:
    path = wheel(platform, wheels)
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(name for name in archive.namelist() if name.startswith("lite_runtime/"))
            return [Entry(name, archive.read(name)) for name in names]
    except (zipfile.BadZipFile, OSError) as error:
        raise PackagingError(f"{path} is not a wheel: {error}") from None
