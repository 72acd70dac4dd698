"""Output appears whole or not at all."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from packaging_tools.errors import PackagingError


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """An empty folder to fill. It becomes ``path`` when the block ends, and vanishes when it fails.

    Raises PackagingError when ``path`` exists with something in it, or cannot be written.
    """
    if path.exists() and not path.is_dir():
        raise PackagingError(f"--output={path} is a file: name a folder")
    try:
        if path.is_dir() and any(path.iterdir()):
            raise PackagingError(f"--output={path} is not empty: name a new folder, or remove what is in it")
        path.parent.mkdir(parents=True, exist_ok=True)
        filling = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    except OSError as error:
        raise PackagingError(f"--output={path} cannot be written: {error.strerror}") from None
    try:
        yield filling
        filling.chmod(0o755)
        filling.replace(path)
    except OSError as error:
        raise PackagingError(f"--output={path} cannot be written: {error}") from error
    finally:
        shutil.rmtree(filling, ignore_errors=True)
