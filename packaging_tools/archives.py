"""tar and ar archives whose bytes depend on their contents alone."""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

# A time that every archive format can hold: 1980-01-01.
EPOCH = 315532800


@dataclass(frozen=True)
class Entry:
    """A file of an archive, or with ``link`` a symbolic link. ``path`` is relative and has no "./"."""

    path: str
    data: bytes = b""
    mode: int = 0o644
    link: str = ""


def tar(entries: Iterable[Entry]) -> bytes:
    """A tar archive as dpkg wants it: every folder has an entry, all names begin with "./", all belongs to root."""
    by_path = {entry.path: entry for entry in entries}
    folders = {str(parent) for path in by_path for parent in PurePosixPath(path).parents} - {"."}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(_header("./", 0o755, tarfile.DIRTYPE))
        for path in sorted(folders | set(by_path)):
            if path in folders:
                archive.addfile(_header(f"./{path}/", 0o755, tarfile.DIRTYPE))
                continue
            entry = by_path[path]
            header = _header(f"./{path}", entry.mode, tarfile.SYMTYPE if entry.link else tarfile.REGTYPE)
            header.linkname, header.size = entry.link, len(entry.data)
            archive.addfile(header, io.BytesIO(entry.data))
    return out.getvalue()


def _header(name: str, mode: int, kind: bytes) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.mode, header.type, header.mtime = mode, kind, EPOCH
    header.uname = header.gname = "root"
    return header


def xz(data: bytes) -> bytes:
    return lzma.compress(data, format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC32, preset=9)


def gz(data: bytes) -> bytes:
    return gzip.compress(data, compresslevel=9, mtime=0)


def ar(members: Iterable[tuple[str, bytes]]) -> bytes:
    """A Unix ar archive with short names, as a .deb is."""
    out = bytearray(b"!<arch>\n")
    for name, data in members:
        if len(name) > 15:
            raise ValueError(f"the name {name!r} is longer than the 15 characters ar has")
        out += f"{name:<16}{EPOCH:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode("ascii")
        out += data + b"\n" * (len(data) % 2)
    return bytes(out)
