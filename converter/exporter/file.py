"""Puts bytes into a file all at once or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from converter.errors import OutputError


def write(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes ``data`` to ``path``, replacing what is there.

    The bytes go to a temporary file in the same folder, reach the disk, and take the name in one step,
    so a reader sees the old file or the whole new one. Raises OutputError; nothing is left behind then.
    """
    target = Path(path)
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except OSError as error:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        raise OutputError(f"{target}: cannot write the output file: {error.strerror or error}") from error
    except BaseException:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
