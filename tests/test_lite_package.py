"""lite_package: what it writes for a Raspberry Pi, and what it refuses.

The library inside is this machine's: only tests marked `arm` compile and run the real ones.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support import DATA, PACKAGES

from packaging_tools import lite_package
from packaging_tools.raspberrypi import ARCHITECTURES

_MODEL = DATA / "ms" / "cnn.ms"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stand-ins for the release wheels."""
    folder = tmp_path_factory.mktemp("wheels")
    for platform in ARCHITECTURES.values():
        with zipfile.ZipFile(folder / f"lite_runtime-0.1.0-py3-none-{platform.tag}.whl", "w") as archive:
            for path in (*(PACKAGES / "lite_runtime").glob("*.py"), PACKAGES / "lite_runtime" / "liblite_runtime.so"):
                archive.write(path, f"lite_runtime/{path.name}")
    return folder


def _run(*flags: str) -> int:
    return lite_package.main(["--target=raspberrypi", *flags])


@pytest.fixture(scope="module")
def made(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "out"
    assert _run(f"--model={_MODEL}", f"--output={folder}", f"--wheels={wheels}", "--service") == 0
    return folder


def test_a_package_for_each_architecture_and_a_stage(made: Path) -> None:
    files = {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()}
    debs = {f"lite-cnn_0.1.0_{architecture}.deb" for architecture in ("arm64", "armhf")}
    step = "stage-lite-cnn/00-install"
    stage = {"stage-lite-cnn/prerun.sh", "stage-lite-cnn/EXPORT_IMAGE", f"{step}/00-run.sh", f"{step}/00-packages"}
    assert files == {*debs, *stage, *(f"{step}/files/{deb}" for deb in debs)}


def test_pi_gen_can_run_its_scripts(made: Path) -> None:
    for script in made.rglob("*.sh"):
        assert script.stat().st_mode & 0o111, script
        subprocess.run(["bash", "-n", script], check=True)


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not installed")
def test_dpkg_reads_the_package(made: Path, tmp_path: Path) -> None:
    (deb,) = made.glob("*_arm64.deb")
    fields = subprocess.run(["dpkg-deb", "-f", deb], capture_output=True, text=True, check=True).stdout
    assert "Architecture: arm64" in fields
    assert "Depends: python3 (>= 3.9), python3-numpy" in fields
    subprocess.run(["dpkg-deb", "-R", deb, tmp_path / "root"], check=True)
    root = tmp_path / "root"
    assert (root / "usr/share/lite-cnn/cnn.ms").read_bytes() == _MODEL.read_bytes()
    assert (root / "usr/lib/python3/dist-packages/lite_runtime/liblite_runtime.so").is_file()
    assert (root / "usr/bin/lite-cnn").resolve() == (root / "usr/share/lite-cnn/classify.py").resolve()
    for script in ("preinst", "postinst", "prerm", "postrm"):
        text = (root / "DEBIAN" / script).read_text()
        assert "@" not in text
        subprocess.run(["sh", "-n", root / "DEBIAN" / script], check=True)
    # Every file is as its checksum says.
    subprocess.run(["md5sum", "--quiet", "-c", "DEBIAN/md5sums"], cwd=root, check=True)


def test_same_bytes_twice(made: Path, wheels: Path, tmp_path: Path) -> None:
    assert _run(f"--model={_MODEL}", f"--output={tmp_path / 'out'}", f"--wheels={wheels}", "--service") == 0
    for path in made.rglob("*.deb"):
        assert (tmp_path / "out" / path.relative_to(made)).read_bytes() == path.read_bytes()


def test_bad_input_is_refused_and_nothing_is_written(
    wheels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = tmp_path / "cut.ms"
    cut.write_bytes(_MODEL.read_bytes()[:500])
    text = tmp_path / "model.txt"
    text.write_text("no model")
    full = tmp_path / "full"
    full.mkdir()
    (full / "kept").write_text("mine")
    out, good = f"--output={tmp_path / 'out'}", f"--model={_MODEL}"
    cases = [
        ([f"--model={text}", out], "is not a .ms file"),
        ([f"--model={tmp_path / 'none.ms'}", out], "cannot be opened"),
        ([f"--model={cut}", out], "cut.ms"),
        ([good, good, out], "has the name of"),
        ([good, f"--output={full}"], "is not empty"),
        ([good, f"--output={text}"], "is a file"),
        ([good, f"--output={text}/below"], "cannot be written"),
        ([good, out, "--name=Not A Name"], "no name for a Debian package"),
        ([good, out, f"--labels={tmp_path / 'none.txt'}"], "cannot be read"),
        ([good, out, f"--wheels={full}"], "has no wheel"),
    ]
    before = sorted(tmp_path.rglob("*"))
    for flags, words in cases:
        wanted = flags if any(flag.startswith("--wheels") for flag in flags) else [*flags, f"--wheels={wheels}"]
        assert _run(*wanted) == 1
        assert words in capsys.readouterr().err, flags
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("flags", [["--target=toaster"], ["--target=raspberrypi"], [], ["--target"]])
def test_wrong_flags_end_with_2(flags: list[str]) -> None:
    command = [sys.executable, "-m", "packaging_tools.lite_package", *flags]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PACKAGES)
    assert done.returncode == 2
    assert "usage: lite_package" in done.stderr
