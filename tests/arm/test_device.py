"""The release wheels installed in Debian systems for ARM, and their Python run by qemu as the CPUs of Raspberry Pis.

The same models must give the same answers as on this machine, and no CPU may meet an instruction it does not have.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from device_roots import python, unpacked
from support import CORPUS, DATA, ROOT, assert_close

import converter
import lite_runtime
from packaging_tools.zig import PLATFORMS

pytestmark = [pytest.mark.arm, pytest.mark.download]

# CPU, and the tiers it may choose: the best of those it has.
_CPUS = {
    "arm64": {
        "cortex-a53": ["neon"],
        "cortex-a72": ["neon"],
        "cortex-a76": ["dotprod"],
        "max": ["dotprod", "i8mm"],
    },
    # The Cortex-A8 and A9 have NEON, but no fused multiply-add (VFPv4).
    "armhf": {"cortex-a7": ["neon"], "cortex-a8": ["scalar"], "cortex-a9": ["scalar"]},
}
_RUNS = [(architecture, cpu) for architecture, cpus in _CPUS.items() for cpu in cpus]
_WHEELS = {"arm64": "manylinux-aarch64", "armhf": "manylinux-armv7l"}
_INT8: dict[str, Any] = {"common_quant_param": {"quant_type": "FULL_QUANT"}}


def _convert(source: Path, samples: list[np.ndarray], name: str, folder: Path) -> None:
    """NAME.ms and NAME_int8.ms with their input, the first sample; samples are NCHW."""
    converter.convert(source, folder / f"{name}.ms")
    calibration = [[sample] for sample in samples]
    converter.convert(source, folder / f"{name}_int8.ms", config=_INT8, calibration=calibration)
    for stem in (name, f"{name}_int8"):
        np.save(folder / f"{stem}.npy", samples[0].transpose(0, 2, 3, 1))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A digit network, and MobileNetV2 where the corpus is, each in float32 and in int8."""
    folder = tmp_path_factory.mktemp("models")
    with np.load(DATA / "lenet" / "lenet_mnist5k_test.npz") as arrays:
        digits = [digit[None] for digit in arrays["xcal"][:64]]
    _convert(DATA / "lenet" / "lenet_mnist5k.mindir", digits, "lenet", folder)
    net = CORPUS / "zoo" / "mobilenet_v2_035_96.mindir"
    if net.is_file():
        with np.load(net.with_suffix(".npz")) as arrays:
            _convert(net, [arrays["in0"]], "mobilenet", folder)
    return folder


@pytest.fixture(scope="module")
def expected(models: Path) -> dict[str, np.ndarray]:
    """This machine's answers."""
    paths = sorted(models.glob("*.ms"))
    return {path.stem: lite_runtime.load(str(path))(np.load(path.with_suffix(".npy"))) for path in paths}


@pytest.fixture(scope="module")
def installed(release_wheel: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function from a Debian architecture to the folder into which pip has installed its wheel, judging its tag."""

    @cache
    def install(architecture: str) -> Path:
        unpacked(architecture)  # skips first what takes no time
        folder = tmp_path_factory.mktemp(architecture)
        wheel, tag = release_wheel(_WHEELS[architecture]), PLATFORMS[_WHEELS[architecture]].tag
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:",
                   f"--platform={tag}", "--python-version=3.11", f"--target={folder}", str(wheel)]  # fmt: skip
        subprocess.run(command, check=True, timeout=300)
        return folder

    return install


def _output(command: list[str]) -> str:
    """What a program prints that must succeed; of this machine's environment it is told nothing."""
    environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, f"status {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.parametrize(("architecture", "cpu"), _RUNS)
def test_same_answers_on_every_cpu(
    installed: Callable[[str], Path],
    models: Path,
    expected: dict[str, np.ndarray],
    architecture: str,
    cpu: str,
    tmp_path: Path,
) -> None:
    command = [*python(architecture, cpu, installed(architecture)), str(ROOT / "tests" / "arm" / "on_device.py")]
    _output([*command, str(models), str(tmp_path)])
    doctor = json.loads((tmp_path / "doctor.json").read_text())
    assert doctor["tier"] in _CPUS[architecture][cpu]
    assert doctor["self_test"]["passed"], doctor["self_test"]
    for name, answer in expected.items():
        actual = np.load(tmp_path / f"{name}.npy")
        if name.endswith("_int8"):
            np.testing.assert_array_equal(actual, answer, name)
        else:
            assert_close(actual, answer, 1e-4, name)


def test_console_script(installed: Callable[[str], Path]) -> None:
    packages = installed("arm64")
    script = packages / "bin" / "lite_runtime"
    printed = _output([*python("arm64", "cortex-a72", packages), str(script), "doctor"])
    assert "\ntier          neon: the best this CPU can run; it cannot run " in printed
