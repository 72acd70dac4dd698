"""The packages for Raspberry Pis in Debian systems: installed, their demonstration run, removed.

All of it emulated: for 64-bit ARM, dpkg, the maintainer scripts and Python are those of the ARM system. proot passes on
32-bit ARM's statx, so that package is unpacked here and only its program is run as on the device.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from device_roots import configured, python, run_inside
from support import DATA

import converter
from packaging_tools import lite_package

pytestmark = [pytest.mark.arm, pytest.mark.download]


@pytest.fixture
def package(release_wheel: Callable[[str], Path], tmp_path: Path) -> Callable[[str, str], Path]:
    """A function that makes the package of the digit network, from an architecture and its wheel's platform."""

    def make(architecture: str, platform: str) -> Path:
        converter.convert(DATA / "lenet" / "lenet_mnist5k.mindir", tmp_path / "digits.ms")
        (tmp_path / "labels.txt").write_text("".join(f"digit {digit}\n" for digit in range(10)))
        flags = [f"--model={tmp_path / 'digits.ms'}", f"--labels={tmp_path / 'labels.txt'}", "--mean=0", "--std=1"]
        flags += [f"--arch={architecture}", f"--wheels={release_wheel(platform).parent}", "--service"]
        assert lite_package.main(["--target=raspberrypi", *flags, f"--output={tmp_path / 'out'}"]) == 0
        (deb,) = (tmp_path / "out").glob("*.deb")
        return deb

    return make


def _assert_classified(printed: str, tiers: set[str]) -> None:
    """What the program prints of the picture that comes with it."""
    assert re.search(r"test_picture\.ppm: [\d.]+ ms, [\d.]+ fps, CPU \S+", printed), printed
    assert len(re.findall(r"^ +[\d.]+% digit \d$", printed, re.M)) == 5, printed
    (tier,) = re.findall(r", tier (\w+)$", printed, re.M)
    assert tier in tiers


def test_installed_run_and_removed(package: Callable[[str, str], Path]) -> None:
    root, deb = configured("arm64"), package("arm64", "manylinux-aarch64")
    (root / "tmp" / deb.name).write_bytes(deb.read_bytes())

    def inside(*command: str) -> str:
        done = run_inside("arm64", root, list(command), timeout=300)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    wanted = root / "etc/systemd/system/multi-user.target.wants/lite-digits.service"
    inside("dpkg", "--install", f"/tmp/{deb.name}")
    try:
        assert inside("dpkg-query", "--show", "--showformat=${db:Status-Abbrev}", "lite-digits").strip() == "ii"
        assert wanted.is_symlink()  # the service is enabled for the next boot
        _assert_classified(inside("lite-digits"), {"neon", "dotprod", "i8mm"})
        assert "\nself-test     passed" in inside("python3", "-m", "lite_runtime", "doctor")
    finally:
        inside("dpkg", "--purge", "lite-digits")
    assert not (root / "usr/share/lite-digits").exists()
    assert not wanted.is_symlink()


def test_program_on_32_bit_arm(package: Callable[[str, str], Path], tmp_path: Path) -> None:
    folder = tmp_path / "unpacked"
    subprocess.run(["dpkg-deb", "--extract", package("armhf", "manylinux-armv7l"), folder], check=True)
    share = folder / "usr/share/lite-digits"
    command = [*python("armhf", "cortex-a7", folder / "usr/lib/python3/dist-packages"), str(share / "classify.py")]
    flags = [f"--model={share / 'digits.ms'}", f"--labels={share / 'labels.txt'}", f"--images={share / 'examples'}"]
    environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([*command, *flags], capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    _assert_classified(done.stdout, {"neon"})
