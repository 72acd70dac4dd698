"""Release wheels: what is written into them and what is refused. tests/arm builds and runs the real ones."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import shutil
import subprocess
import zipfile

import pytest
from support import PACKAGES, ROOT

from packaging_tools import wheels
from packaging_tools.elf import Library
from packaging_tools.errors import PackagingError
from packaging_tools.zig import PLATFORMS

_LIBRARY = PACKAGES / "lite_runtime" / "liblite_runtime.so"
_INFO = "lite_runtime-0.1.0.dist-info"


def _readelf(*flags: str) -> str:
    return subprocess.run(["readelf", "-W", *flags, _LIBRARY], capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(shutil.which("readelf") is None, reason="readelf is not installed")
def test_libraries_are_read_as_readelf_reads_them() -> None:
    library = Library.of(_LIBRARY)
    assert set(library.needed) == set(re.findall(r"NEEDED.*\[(.*)\]", _readelf("-d")))
    assert library.versions == set(re.findall(r"Name: (\S+)", _readelf("-V")))
    assert set(library.sections) - {""} == set(re.findall(r"^\s+\[\s*\d+\] (\.\S+)", _readelf("-S"), re.M))
    symbols = re.findall(r"^\s*\d+: \w+ +\d+ \w+ +\w+ +\w+ +(\w+) ([^\s@]+)", _readelf("--dyn-syms"), re.M)
    assert library.exported == {name for where, name in symbols if where != "UND"}
    assert library.imported == {name for where, name in symbols if where == "UND"}
    loaded = re.findall(r"^\s+LOAD.*(0x\w+)$", _readelf("-l"), re.M)
    assert library.page_alignment == min(int(number, 16) for number in loaded)
    assert re.search(f"Machine: .*{library.machine.replace('_', '-')}", _readelf("-h"), re.I)


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"no library", _LIBRARY.read_bytes()[:4000]])
def test_what_is_no_library_is_refused(data: bytes) -> None:
    with pytest.raises(PackagingError, match=r"x\.so is"):
        Library(data, "x.so")


def _wheel(files: dict[str, bytes], date: tuple[int, ...] = (2020, 1, 1, 0, 0, 0)) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, date), data)  # type: ignore[arg-type]
    return out.getvalue()


_FILES = {
    "lite_runtime/liblite_runtime.so": _LIBRARY.read_bytes(),
    "lite_runtime/__init__.py": b"",
    f"{_INFO}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-linux_x86_64\n\n",
    f"{_INFO}/METADATA": b"Name: lite-runtime\n",
    f"{_INFO}/RECORD": b"old",
}


def test_a_wheel_is_retagged_and_depends_on_its_contents_alone() -> None:
    data = wheels.retagged(_wheel(_FILES), "manylinux_2_17_aarch64")
    backwards = dict(reversed(list(_FILES.items())))
    assert data == wheels.retagged(_wheel(backwards, (2024, 5, 6, 7, 8, 10)), "manylinux_2_17_aarch64")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        about = archive.read(f"{_INFO}/WHEEL").decode().splitlines()
        record = archive.read(f"{_INFO}/RECORD").decode().splitlines()
        assert [line for line in about if line.startswith("Tag:")] == ["Tag: py3-none-manylinux_2_17_aarch64"]
        assert sorted(line.split(",")[0] for line in record) == sorted(archive.namelist()) == sorted(_FILES)
        for name, sum_, size in (line.split(",") for line in record if not line.endswith(",,")):
            digest = base64.urlsafe_b64encode(hashlib.sha256(archive.read(name)).digest()).decode().rstrip("=")
            assert (sum_, int(size)) == (f"sha256={digest}", len(archive.read(name)))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("manylinux-aarch64", "is for x86_64, not aarch64"),
        ("manylinux-aarch64", "aligned for pages of 4096 bytes"),
        ("musllinux-x86_64", "libc.so.6"),
        # Built by the system's compiler, it needs its library.
        ("manylinux-x86_64", "libstdc++.so.6"),
        ("manylinux-x86_64", "GLIBCXX_"),
    ],
)
def test_a_library_of_the_systems_compiler_is_no_release(name: str, words: str) -> None:
    with pytest.raises(PackagingError, match=re.escape(words)):
        wheels.check(_wheel(_FILES), PLATFORMS[name], "x.whl")


def test_a_large_wheel_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels, "LARGEST_WHEEL", 1000)
    with pytest.raises(PackagingError, match="more than 1,000"):
        wheels.check(_wheel(_FILES), PLATFORMS["manylinux-x86_64"], "x.whl")


_OLD = ("GLIBC_2.17", "GLIBC_2.2.5")
_NOT_OLD = ("GLIBC_2.18", "GLIBC_3.0", "GLIBC_PRIVATE", "GLIBCXX_3.4", "GCC_3.0")


@pytest.mark.parametrize("version", [*_OLD, *_NOT_OLD])
def test_symbol_versions(version: str) -> None:
    assert wheels._is_old(version) == (version in _OLD)


def test_the_documentation_names_each_platform_and_its_tag() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| `py3-none-(\w+)` \|", (ROOT / "docs" / "device.md").read_text(), re.M)
    assert dict(rows) == {name: platform.tag for name, platform in PLATFORMS.items()}


def test_wrong_flags_end_with_2() -> None:
    with pytest.raises(SystemExit, match="2"):
        wheels.main(["--output=x", "--platform=toaster"])
