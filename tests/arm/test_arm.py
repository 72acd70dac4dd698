"""The C++ tests on ARM: cross-built statically, run by qemu as the CPUs of Raspberry Pis and phones.

Each CPU must choose the tier it can run, and never meet an illegal instruction.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from cpp_build import ROOT, assert_all_passed, build, model_arguments, output_of

pytestmark = pytest.mark.arm

_QEMU = {"aarch64-linux-gnu": "qemu-aarch64", "arm-linux-gnueabihf": "qemu-arm"}
# Target, CPU, tier it must choose. The Cortex-A8 has NEON but no fused multiply-add (VFPv4).
_CPUS = [
    ("aarch64-linux-gnu", "cortex-a53", "neon"),
    ("aarch64-linux-gnu", "cortex-a76", "dotprod"),
    ("aarch64-linux-gnu", "max", "i8mm"),
    ("arm-linux-gnueabihf", "cortex-a7", "neon"),
    ("arm-linux-gnueabihf", "cortex-a8", "scalar"),
]
_PROGRAMS = ["kernel_test", "thread_pool_test", "model_test"]


@pytest.fixture(scope="module")
def programs() -> dict[str, Path]:
    """Where the test programs of each target are."""

    def options(target: str) -> list[str]:
        return [f"-DCMAKE_TOOLCHAIN_FILE={ROOT / 'cmake' / target}.cmake", "-DCMAKE_EXE_LINKER_FLAGS=-static"]

    return {target: build(f"tests-{target}", _PROGRAMS, *options(target)) for target in _QEMU}


def _command(programs: dict[str, Path], target: str, cpu: str, program: str) -> list[str]:
    return [_QEMU[target], "-cpu", cpu, str(programs[target] / program)]


@pytest.mark.parametrize(("target", "cpu", "tier"), _CPUS)
def test_kernels(programs: dict[str, Path], target: str, cpu: str, tier: str) -> None:
    printed = assert_all_passed(_command(programs, target, cpu, "kernel_test"))
    assert ("neon: not available" in printed) == (tier == "scalar")


@pytest.mark.parametrize(("target", "cpu", "tier"), _CPUS)
@pytest.mark.parametrize("forced", ["", "i8mm", "dotprod", "neon", "scalar", "avx2"])
def test_tier(programs: dict[str, Path], target: str, cpu: str, tier: str, forced: str) -> None:
    """The best tier unless an available one is asked for by name."""
    command = [*_command(programs, target, cpu, "kernel_test"), "tier"]
    tiers = ("i8mm", "dotprod", "neon", "scalar")  # each CPU runs its best and those behind
    expected = forced if forced in tiers[tiers.index(tier) :] else tier
    assert output_of(command, LITE_RUNTIME_ISA=forced).strip() == expected


@pytest.mark.parametrize(("target", "cpu"), [("aarch64-linux-gnu", "cortex-a53"), ("arm-linux-gnueabihf", "cortex-a7")])
def test_thread_pool(programs: dict[str, Path], target: str, cpu: str) -> None:
    assert_all_passed(_command(programs, target, cpu, "thread_pool_test"))


@pytest.mark.parametrize("name", ["cnn", "tenc", "lstm", "multi"])
@pytest.mark.parametrize(("target", "cpu"), [(target, cpu) for target, cpu, _ in _CPUS])
def test_model(programs: dict[str, Path], tmp_path: Path, target: str, cpu: str, name: str) -> None:
    """The whole engine: a model through the C interface, with MindSpore's recorded outputs."""
    command = _command(programs, target, cpu, "model_test")
    assert_all_passed([*command, *model_arguments(name, tmp_path, threads=2)])
