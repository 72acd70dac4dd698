"""The wheel and the source distribution hold what they should and nothing else."""

from __future__ import annotations

import re
import subprocess
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from support import ROOT

pytestmark = pytest.mark.download

_MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (path,) = dist.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_one_wheel_serves_every_python_of_a_platform(wheel: Path) -> None:
    assert re.fullmatch(r"lite_runtime-[\d.]+-py3-none-(linux|manylinux)\w+\.whl", wheel.name)


def test_wheel_is_under_a_megabyte(wheel: Path) -> None:
    assert wheel.stat().st_size < _MEGABYTE


def test_wheel_installs_three_packages_without_sources(unpacked: Path) -> None:
    files = [path.relative_to(unpacked) for path in unpacked.rglob("*") if path.is_file()]
    (info,) = (path.name for path in unpacked.glob("*.dist-info"))
    assert {path.parts[0] for path in files} == {"converter", "lite_runtime", "packaging_tools", info}
    templates = {str(path.relative_to(ROOT)) for path in (ROOT / "packaging_tools" / "pi").iterdir() if path.is_file()}
    assert {str(path) for path in files if path.suffix != ".py" and path.parts[0] != info} == {
        *(path for path in templates if not path.endswith(".py")),
        "lite_runtime/liblite_runtime.so",
        "lite_runtime/self_test.npz",
        "converter/generated/model.bfbs",
        "converter/generated/mind_ir.desc",
        "converter/generated/checkpoint.desc",
    }


def test_wheel_holds_every_python_file_of_the_source(unpacked: Path) -> None:
    for package in ("converter", "lite_runtime", "packaging_tools"):
        source = {p.relative_to(ROOT) for p in (ROOT / package).rglob("*.py") if "core" not in p.parts}
        assert {p.relative_to(unpacked) for p in (unpacked / package).rglob("*.py")} == source


def test_runtime_needs_numpy_only(unpacked: Path) -> None:
    (metadata,) = unpacked.glob("*.dist-info/METADATA")
    required = Parser().parsestr(metadata.read_text()).get_all("Requires-Dist")
    assert [line for line in required if "extra ==" not in line] == ["numpy>=1.21"]


def test_nothing_names_the_build_machine(unpacked: Path) -> None:
    for path in unpacked.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert str(ROOT).encode() not in data, path
            assert b"/tmp/" not in data, path


def test_library_exports_its_c_interface_only(unpacked: Path) -> None:
    library = unpacked / "lite_runtime" / "liblite_runtime.so"
    symbols = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    exported = {line.split()[-1] for line in symbols.splitlines()}
    header = (ROOT / "lite_runtime" / "core" / "include" / "lite_runtime.h").read_text()
    assert exported == set(re.findall(r"^LR_API .*?\b(lr_\w+)\(", header, re.MULTILINE))


def test_library_is_stripped(unpacked: Path) -> None:
    library = unpacked / "lite_runtime" / "liblite_runtime.so"
    sections = subprocess.run(["readelf", "-SW", library], capture_output=True, text=True, check=True).stdout
    assert ".symtab" not in sections
    assert ".debug" not in sections


def test_source_distribution_can_be_built_from(dist: Path) -> None:
    # The wheel above was built from it; here: it has the sources and none of the large test models.
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert {"CMakeLists.txt", "LICENSE", "README.md", "pyproject.toml", "schema/ops.fbs"} <= names
    assert "lite_runtime/core/include/lite_runtime.h" in names
    assert not {name for name in names if name.startswith(("tests/data/", ".ci/", "build/"))}
    assert path.stat().st_size < _MEGABYTE
