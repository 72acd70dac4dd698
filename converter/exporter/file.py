"""Puts bytes into a file all at once or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from converter.errors import OutputError


def write(path: str | os.PathLike[str], data: bytes | memoryview) -> None:
    """Writes ``data`` to ``path``, replacing what is there.

    The bytes go to a temporary file in the same folder, reach the disk, and take the name in one step,
    so a reader sees the old file or the whole new one. Raises OutputError; nothing is left behind then.
    """
    target = Path(path)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    except OSError as error:
        raise _failure(target, error) from error
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise _failure(target, error) from error
        raise


def _failure(target: Path, error: OSError) -> OutputError:
    return OutputError(f"{target}: cannot write the output file: {error.strerror or error}")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
