"""The inner loops of the GEMMs on 64-bit ARM, as LLVM's model of a core sees them: bound by multiply-adds alone.

llvm-mca has no model of the Cortex-A72's own: it takes that of the A57. neoverse-n1 stands for the Cortex-A76.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import NamedTuple

import pytest
from cpp_build import ROOT

pytestmark = pytest.mark.arm

_COMPILER = "aarch64-linux-gnu-g++"
_KERNELS = ROOT / "lite_runtime" / "core" / "kernels"
_ITERATIONS = 200
# A loop of so many multiply-adds is a tile's, not a rest's.
_TILE = 100


class Build(NamedTuple):
    """The loops of a kernel's tile, instruction by instruction, its multiply-add, and LLVM's CPUs that run it."""

    loops: list[list[str]]
    multiply_add: str
    cpus: list[str]


def _mca() -> str:
    names = ["llvm-mca", *(f"llvm-mca-{version}" for version in range(25, 13, -1))]
    found = next((path for path in map(shutil.which, names) if path is not None), None)
    if found is None:
        pytest.skip("llvm-mca is not installed (apt-get install llvm)")
    return found


class Kernel(NamedTuple):
    tier: str
    function: str
    source: str
    flags: list[str]
    multiply_add: str
    cpus: list[str]


# Of the CPUs that compute in float16 or have dot products LLVM knows one.
_BUILDS = [
    Kernel("neon", "gemm_f32(lr::Gemm<float> const&)", "gemm_aarch64.cc", [], "fmla", ["cortex-a72", "neoverse-n1"]),
    Kernel("fp16", "gemm_f16(lr::Gemm<unsigned short> const&)", "gemm_aarch64.cc", ["-march=armv8.2-a+fp16"], "fmla",
           ["neoverse-n1"]),
    Kernel("dotprod", "gemm_i8(lr::GemmI8 const&)", "gemm_i8_aarch64.cc", ["-march=armv8.2-a+dotprod"], "sdot",
           ["neoverse-n1"]),
]  # fmt: skip


@pytest.fixture(scope="module", params=_BUILDS, ids=[kernel.tier for kernel in _BUILDS])
def build(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The kernel, compiled."""
    tier, function, file, flags, multiply_add, cpus = request.param
    target = tmp_path_factory.mktemp("gemm") / "gemm.o"
    options = ["-O2", "-std=c++17", *flags, f"-DLR_TIER={tier}", f"-I{_KERNELS.parent}", f"-I{_KERNELS}"]
    source = _KERNELS / file
    subprocess.run([_COMPILER, *options, "-c", str(source), "-o", str(target)], check=True)
    command = ["aarch64-linux-gnu-objdump", "-dC", "--no-show-raw-insn", str(target)]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # The tile may be a function of its own.
    assert f"<lr::{tier}::{function}>:\n" in listing
    lines = [re.fullmatch(r"\s*([0-9a-f]+):\s+(.*?)(?:\s+//.*)?", line) for line in listing.splitlines()]
    loops = _tile_loops([(int(m[1], 16), m[2]) for m in lines if m is not None], multiply_add)
    assert loops
    return Build(loops, multiply_add, cpus)


def _tile_loops(disassembly: list[tuple[int, str]], multiply_add: str) -> list[list[str]]:
    """The innermost loops with a tile's worth of multiply-adds."""
    loops = []
    for address, text in disassembly:
        jump = re.match(r"(b\.(?:ne|any)|cbnz\s+\w+,)\s+([0-9a-f]+)", text)
        if jump is None:
            continue
        body = [text for at, text in disassembly if int(jump[2], 16) <= at < address]
        straight = not any(re.match(r"b\b|b\.|cb|tb", text) for text in body)
        if straight and sum(text.startswith(multiply_add) for text in body) >= _TILE:
            loops.append([*body, "b.ne 0"])
    return loops


def _cycles(code: list[str], cpu: str) -> float:
    command = [_mca(), "-mtriple=aarch64-linux-gnu", f"-mcpu={cpu}", f"-iterations={_ITERATIONS}"]
    done = subprocess.run(command, input="\n".join(code), capture_output=True, text=True, check=True)
    cycles = re.search(r"Total Cycles:\s+(\d+)", done.stdout)
    assert cycles is not None, done.stdout
    return int(cycles[1]) / _ITERATIONS


def test_multiply_adds_are_the_bound(build: Build) -> None:
    for loop in build.loops:
        multiply_adds = [text for text in loop if text.startswith(build.multiply_add)]
        for cpu in build.cpus:
            assert _cycles(loop, cpu) <= 1.05 * _cycles(multiply_adds, cpu), cpu


def test_nothing_is_spilled(build: Build) -> None:
    for loop in build.loops:
        assert not [text for text in loop if "[sp" in text or text.startswith(("st", "mov"))]


def test_few_instructions_beside_multiply_adds(build: Build) -> None:
    for loop in build.loops:
        assert len(loop) <= 1.11 * sum(text.startswith(build.multiply_add) for text in loop)
