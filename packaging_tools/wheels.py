"""Release wheels of every platform and the source distribution: ``python -m packaging_tools.wheels --output=DIR``.

All wheels are compiled with zig, whatever machine this is, and packed in bytes that depend on their contents alone.
Each is checked before it is written (``check``). Exit code 0; 1 when something cannot be built or breaks a promise;
2 for a wrong flag.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from packaging_tools import zig
from packaging_tools.elf import Library
from packaging_tools.errors import PackagingError
from packaging_tools.output import new_folder

LARGEST_WHEEL = 1_000_000
_LIBRARY = f"lite_runtime/{zig.LIBRARY}"
# Runs a function of the build backend where the project lies: function, output folder, settings.
_BACKEND = """
import json, sys
from scikit_build_core import build
print(getattr(build, sys.argv[1])(sys.argv[2], json.loads(sys.argv[3])))
"""
# What every Linux with glibc (manylinux) or musl (musllinux) has.
_SYSTEM_LIBRARIES = {
    False: {"libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libgcc_s.so.1",
            "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1", "ld-linux-armhf.so.3"},
    True: {"libc.so"},
}  # fmt: skip
_NEWEST_GLIBC = (2, 17)
_MACHINES = {"x86_64": "x86_64", "aarch64": "aarch64", "armv7l": "arm"}
# A Raspberry Pi 5 has pages of 16 KiB.
_LEAST_PAGE = {"x86_64": 4096, "aarch64": 16384, "armv7l": 4096}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code."""
    p = argparse.ArgumentParser("packaging_tools.wheels", description=__doc__, allow_abbrev=False)
    p.add_argument("--output", required=True, type=Path, help="folder to write, which must be new or empty")
    p.add_argument("--platform", action="append", choices=sorted(zig.PLATFORMS), help="only these; several times")
    p.add_argument("--work", type=Path, help="folder that keeps the builds, for a quick second time (build/wheels)")
    args = p.parse_args(arguments)
    try:
        work = args.work or zig.source() / "build" / "wheels"
        with new_folder(args.output) as folder:
            written = [build(zig.PLATFORMS[name], work, folder) for name in args.platform or zig.PLATFORMS]
            written.append(source_distribution(work, folder))
            told = [f"{path.name}: {path.stat().st_size:,} bytes" for path in written]
    except PackagingError as error:
        print(f"packaging_tools.wheels: {error}", file=sys.stderr)
        return 1
    print("\n".join(told))
    return 0


def build(platform: zig.Platform, work: Path, folder: Path) -> Path:
    """Writes the platform's wheel into ``folder``. Raises PackagingError, also when the wheel breaks a promise."""
    settings = {f"cmake.define.{name}": value for name, value in zig.definitions(platform).items()}
    settings["build-dir"] = str(work / platform.tag)
    with tempfile.TemporaryDirectory(prefix="wheel-") as made:
        name = _backend("build_wheel", Path(made), settings, work)
        distribution, version = name.split("-")[:2]
        path = folder / f"{distribution}-{version}-py3-none-{platform.tag}.whl"
        data = retagged((Path(made) / name).read_bytes(), platform.tag)
    check(data, platform, path.name)
    path.write_bytes(data)
    return path


def source_distribution(work: Path, folder: Path) -> Path:
    """Writes the source distribution into ``folder``."""
    return folder / _backend("build_sdist", folder, {}, work)


def _backend(function: str, folder: Path, settings: dict[str, str], work: Path) -> str:
    """Name of the file that the build backend wrote into ``folder``."""
    command = [sys.executable, "-c", _BACKEND, function, str(folder.resolve()), json.dumps(settings)]
    return zig.run(command, work, zig.source()).splitlines()[-1]


def retagged(wheel: bytes, platform: str) -> bytes:
    """The wheel as one for every Python 3 on the platform, in bytes that depend on the files' contents alone."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        files = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
        programs = {info.filename for info in archive.infolist() if info.external_attr >> 16 & 0o111}
    (about,) = (name for name in files if name.endswith(".dist-info/WHEEL"))
    record = about.replace("WHEEL", "RECORD")
    lines = [line for line in files[about].decode().splitlines() if not line.startswith("Tag:")]
    files[about] = "\n".join([*filter(None, lines), f"Tag: py3-none-{platform}", ""]).encode()
    del files[record]
    sums = [f"{name},sha256={_digest(files[name])},{len(files[name])}\n" for name in sorted(files)]
    files[record] = "".join([*sums, f"{record},,\n"]).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files, key=lambda name: (".dist-info/" in name, name == record, name)):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (0o100755 if name in programs else 0o100644) << 16
            archive.writestr(info, files[name])
    return out.getvalue()


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def check(wheel: bytes, platform: zig.Platform, name: str) -> None:
    """Raises PackagingError naming every promise the wheel breaks: size, and all that ``problems`` looks at."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        library = Library(archive.read(_LIBRARY), f"{name}: {_LIBRARY}")
    found = problems(library, platform)
    if len(wheel) > LARGEST_WHEEL:
        found.append(f"has {len(wheel):,} bytes, more than {LARGEST_WHEEL:,}")
    if found:
        raise PackagingError(f"{name} " + "; ".join(found))


def problems(library: Library, platform: zig.Platform) -> list[str]:
    """What would keep the library from running on some machine of the platform, or was left in it."""
    found = []
    if library.machine != _MACHINES[platform.processor]:
        found.append(f"is for {library.machine}, not {platform.processor}")
    strange = sorted(set(library.needed) - _SYSTEM_LIBRARIES[platform.musl])
    if strange:
        found.append(f"needs {', '.join(strange)}")
    newer = sorted(version for version in library.versions if not _is_old(version))
    if newer:
        found.append(f"needs the symbol versions {', '.join(newer)}")
    left = sorted(name for name in library.sections if name == ".symtab" or name.startswith(".debug"))
    if left:
        found.append(f"is not stripped: it has {', '.join(left)}")
    private = sorted(name for name in library.exported if not name.startswith("lr_"))
    if private:
        found.append(f"exports {', '.join(private[:5])}")
    if library.page_alignment < _LEAST_PAGE[platform.processor]:
        found.append(f"is aligned for pages of {library.page_alignment} bytes only")
    return found


def _is_old(version: str) -> bool:
    """Whether glibc 2.17 has the symbol version; those of libstdc++ and libgcc are never accepted."""
    family, _, number = version.rpartition("_")
    parts = number.split(".")
    return family == "GLIBC" and all(map(str.isdigit, parts)) and tuple(map(int, parts)) <= _NEWEST_GLIBC


if __name__ == "__main__":
    sys.exit(main())
