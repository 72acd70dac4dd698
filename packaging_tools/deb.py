"""Writes Debian packages, without Debian's tools; equal contents give equal bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from packaging_tools.archives import Entry, ar, gz, tar, xz


def package(fields: Mapping[str, str], files: Sequence[Entry], scripts: Mapping[str, str]) -> bytes:
    """A .deb file.

    Args:
        fields: of the control file, in order; Installed-Size is added.
        files: what is installed; those under etc/ are configuration files, which an upgrade leaves alone.
        scripts: maintainer scripts by name: preinst, postinst, prerm, postrm.
    """
    control = [Entry("control", _control(fields, files).encode())]
    sums = "".join(f"{hashlib.md5(f.data).hexdigest()}  {f.path}\n" for f in _sorted(files) if not f.link)
    control.append(Entry("md5sums", sums.encode()))
    settings = "".join(f"/{f.path}\n" for f in _sorted(files) if PurePosixPath(f.path).parts[0] == "etc")
    if settings:
        control.append(Entry("conffiles", settings.encode()))
    control += [Entry(name, text.encode(), 0o755) for name, text in scripts.items()]
    members = [("debian-binary", b"2.0\n"), ("control.tar.gz", gz(tar(control))), ("data.tar.xz", xz(tar(files)))]
    return ar(members)


def _sorted(files: Sequence[Entry]) -> list[Entry]:
    return sorted(files, key=lambda entry: entry.path)


def _control(fields: Mapping[str, str], files: Sequence[Entry]) -> str:
    """The control file; a field's further lines are already indented by a space."""
    size = sum(-(-len(entry.data) // 1024) for entry in files)
    described = {**fields, "Installed-Size": str(size)}
    return "".join(f"{name}: {value}\n" for name, value in described.items())
