"""Debian systems of other architectures, unpacked into folders; qemu runs their programs.

They are kept in build/roots, or where LITE_RUNTIME_ROOTS says.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support import ROOT

SUITE = "bookworm"
PACKAGES = ("python3", "python3-numpy")
QEMU = {"arm64": "qemu-aarch64", "armhf": "qemu-arm"}
TRIPLES = {"arm64": "aarch64-linux-gnu", "armhf": "arm-linux-gnueabihf"}
_FOLDER = Path(os.environ.get("LITE_RUNTIME_ROOTS", ROOT / "build" / "roots"))


def unpacked(architecture: str) -> Path:
    """The root, unpacked now if it is not there. Skips the test where that is not possible."""
    root = _FOLDER / architecture
    if not root.exists():
        _unpack(architecture, *PACKAGES).rename(root)
    return root


def musl(architecture: str) -> Path:
    """A root with nothing but musl, the C library of other Linux systems, which is also the loader of its programs."""
    root = _FOLDER / f"{architecture}-musl"
    if not root.exists():
        _unpack(architecture, "musl").rename(root)
    return root


def _unpack(architecture: str, *packages: str) -> Path:
    """A folder into which the packages have been unpacked, with all they depend on. An option may be among them."""
    if shutil.which("mmdebstrap") is None:
        pytest.skip("mmdebstrap is not installed, which unpacks a Debian system for ARM")
    if os.geteuid() != 0:
        pytest.skip("unpacking a Debian system with mmdebstrap needs root")
    _FOLDER.mkdir(parents=True, exist_ok=True)
    begun = _FOLDER / f".{architecture}-{os.getpid()}"
    options = [word if word.startswith("-") else f"--include={word}" for word in packages]
    command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=extract", f"--architectures={architecture}"]
    done = subprocess.run(
        [*command, *options, SUITE, str(begun), *_sources()], capture_output=True, text=True, timeout=600
    )
    if done.returncode:
        shutil.rmtree(begun, ignore_errors=True)
        pytest.skip(f"a Debian system for {architecture} cannot be had: {done.stderr.strip()[-300:]}")
    return begun


def _sources() -> list[str]:
    """This machine's mirror of Debian where it has one, and its main archive alone, which is enough."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"]
    if shutil.which("apt-get") is None:
        return []
    listed = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    mirrors = [line.split()[0] for line in listed if line.endswith(f" {SUITE}")]
    return [f"deb {mirrors[0]} {SUITE} main"] if mirrors else []


def python(architecture: str, cpu: str, packages: Path) -> list[str]:
    """A command that runs the root's Python as on the CPU; it imports from the folder ``packages`` too."""
    root = unpacked(architecture)
    libraries = root / "usr/lib" / TRIPLES[architecture]
    # Where update-alternatives would have put links, had it run.
    path = f"LD_LIBRARY_PATH={libraries / 'blas'}:{libraries / 'lapack'}"
    (program,) = (root / "usr/bin").glob("python3.[0-9]*[0-9]")
    return [QEMU[architecture], "-cpu", cpu, "-L", str(root), "-E", path, "-E", f"PYTHONPATH={packages}", str(program)]


def run_inside(architecture: str, root: Path, command: list[str], timeout: float) -> subprocess.CompletedProcess[str]:
    """Runs a program of the root in it, as its root, and all it starts, by qemu: proot stands in for chroot."""
    emulated = [f"--qemu={QEMU[architecture]}", "--root-id", f"--rootfs={root}", "--cwd=/"]
    host = ["--bind=/proc", "--bind=/dev"]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive",
                   "PYTHONDONTWRITEBYTECODE": "1"}  # fmt: skip
    proot = shutil.which("proot")
    assert proot is not None
    return subprocess.run(
        [proot, *emulated, *host, *command], capture_output=True, text=True, timeout=timeout, env=environment
    )


def configured(architecture: str) -> Path:
    """A root whose dpkg holds all that is in it for installed. The scripts of those packages have not been run."""
    root = _FOLDER / f"{architecture}-configured"
    if root.exists():
        return root
    if shutil.which("proot") is None:
        pytest.skip("proot is not installed, in which programs of a Debian system for ARM run")
    begun = _unpack(architecture, "?essential", "python3,python3-numpy,init-system-helpers", "--skip=cleanup/apt/cache")
    state = begun / "var/lib/dpkg"
    for folder in ("info", "updates", "alternatives", "triggers"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    (state / "available").touch()
    with (state / "status").open("w") as status:
        for package in sorted((begun / "var/cache/apt/archives").glob("*.deb")):
            fields = subprocess.run(["dpkg-deb", "--field", package], capture_output=True, text=True, check=True).stdout
            name, rest = fields.split("\n", 1)
            status.write(f"{name}\nStatus: install ok installed\n{rest}\n")
            package.unlink()
    # What the scripts of these two would have done.
    libraries = begun / "usr/lib" / TRIPLES[architecture]
    for name, folder in (("libblas.so.3", "blas"), ("liblapack.so.3", "lapack")):
        (libraries / name).symlink_to(f"{folder}/{name}")
    begun.rename(root)
    return root
