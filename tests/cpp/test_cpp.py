"""The C++ tests on this machine: kernels of every tier, dispatch, thread pool, models through the C interface."""

from __future__ import annotations

import platform
import re
import subprocess
from pathlib import Path

import pytest
from cpp_build import assert_all_passed, build, model_arguments, output_of

_BASELINE = {"x86_64": "sse2", "aarch64": "neon"}.get(platform.machine(), "scalar")


@pytest.fixture(scope="module")
def programs() -> Path:
    return build("tests", ["kernel_test", "thread_pool_test", "model_test"])


@pytest.mark.parametrize("program", ["kernel_test", "thread_pool_test"])
def test_program(programs: Path, program: str) -> None:
    assert_all_passed([str(programs / program)])


@pytest.mark.parametrize("tier", ["scalar", _BASELINE, ""])
@pytest.mark.parametrize("name", ["cnn", "tenc", "lstm", "multi"])
def test_model(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, tier: str) -> None:
    monkeypatch.setenv("LITE_RUNTIME_ISA", tier)
    assert_all_passed([str(programs / "model_test"), *model_arguments(name, tmp_path, threads=2)])


@pytest.mark.parametrize("tier", ["scalar", _BASELINE])
def test_environment_forces_a_tier(programs: Path, tier: str) -> None:
    assert output_of([str(programs / "kernel_test"), "tier"], LITE_RUNTIME_ISA=tier).strip() == tier


@pytest.mark.parametrize("name", ["", "sse9000", "AVX2 "])
def test_unknown_tier_names_change_nothing(programs: Path, name: str) -> None:
    command = [str(programs / "kernel_test"), "tier"]
    assert output_of(command, LITE_RUNTIME_ISA=name) == output_of(command)


def test_tiers_share_no_symbols(programs: Path) -> None:
    """A symbol that two tiers define (an inline function, a std:: template) would let the linker run one tier's
    instructions on a CPU that lacks them. So each tier defines symbols in its own namespace only."""
    objects = programs.parent.parent / "lite_runtime" / "core" / "kernels" / "CMakeFiles"
    seen = 0
    for tier in objects.glob("lite_runtime_kernels_*.dir"):
        name = tier.name[len("lite_runtime_kernels_") : -len(".dir")]
        listing = subprocess.run(
            ["nm", "-C", "--defined-only", *map(str, tier.glob("*.o"))], capture_output=True, text=True, check=True
        )
        for line in listing.stdout.splitlines():
            symbol = re.fullmatch(r"[0-9a-f]+ ([A-Za-z]) (.*)", line)
            if symbol is None or symbol[1] in "rdb":  # file-local data: constants
                continue
            seen += 1
            assert f"lr::{name}::" in symbol[2], f"{tier.name} defines {symbol[2]}"
    assert seen > 100
