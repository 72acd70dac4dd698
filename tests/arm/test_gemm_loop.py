"""The inner loops of the float GEMM on 64-bit ARM, as LLVM's model of a core sees them: bound by multiply-adds alone.

llvm-mca has no model of the Cortex-A72's own: it takes that of the A57. neoverse-n1 stands for the Cortex-A76.
"""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from cpp_build import ROOT

pytestmark = pytest.mark.arm

_COMPILER = "aarch64-linux-gnu-g++"
_KERNELS = ROOT / "lite_runtime" / "core" / "kernels"
_ITERATIONS = 200
# A loop of so many multiply-adds is a tile's, not a rest's.
_TILE = 100


def _mca() -> str:
    names = ["llvm-mca", *(f"llvm-mca-{version}" for version in range(25, 13, -1))]
    found = next((path for path in map(shutil.which, names) if path is not None), None)
    if found is None:
        pytest.skip("llvm-mca is not installed (apt-get install llvm)")
    return found


@pytest.fixture(scope="module")
def disassembly(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, str]]:
    """Address and text of every instruction of gemm_f32."""
    target = tmp_path_factory.mktemp("gemm") / "gemm.o"
    options = ["-O2", "-std=c++17", "-DLR_TIER=neon", f"-I{_KERNELS.parent}", f"-I{_KERNELS}"]
    source = _KERNELS / "gemm_f32_aarch64.cc"
    subprocess.run([_COMPILER, *options, "-c", str(source), "-o", str(target)], check=True)
    command = ["aarch64-linux-gnu-objdump", "-dC", "--no-show-raw-insn", str(target)]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    body = listing.split("<lr::neon::gemm_f32(lr::GemmF32 const&)>:\n")[1].split("\n\n")[0]
    lines = [re.fullmatch(r"\s*([0-9a-f]+):\s+(.*?)(?:\s+//.*)?", line) for line in body.splitlines()]
    return [(int(m[1], 16), m[2]) for m in lines if m is not None]


def _tile_loops(disassembly: list[tuple[int, str]]) -> list[list[str]]:
    """The innermost loops with a tile's worth of multiply-adds."""
    loops = []
    for address, text in disassembly:
        jump = re.match(r"b\.(?:ne|any)\s+([0-9a-f]+)", text)
        if jump is None:
            continue
        body = [text for at, text in disassembly if int(jump[1], 16) <= at < address]
        straight = not any(re.match(r"b\b|b\.|cb|tb", text) for text in body)
        if straight and sum(text.startswith("fmla") for text in body) >= _TILE:
            loops.append([*body, "b.ne 0"])
    return loops


def _cycles(code: list[str], cpu: str) -> float:
    command = [_mca(), "-mtriple=aarch64-linux-gnu", f"-mcpu={cpu}", f"-iterations={_ITERATIONS}"]
    done = subprocess.run(command, input="\n".join(code), capture_output=True, text=True, check=True)
    cycles = re.search(r"Total Cycles:\s+(\d+)", done.stdout)
    assert cycles is not None, done.stdout
    return int(cycles[1]) / _ITERATIONS


@pytest.mark.parametrize("cpu", ["cortex-a72", "neoverse-n1"])
def test_multiply_adds_are_the_bound(disassembly: list[tuple[int, str]], cpu: str) -> None:
    loops = _tile_loops(disassembly)
    assert loops
    for loop in loops:
        multiply_adds = [text for text in loop if text.startswith("fmla")]
        assert _cycles(loop, cpu) <= 1.05 * _cycles(multiply_adds, cpu)


def test_nothing_is_spilled(disassembly: list[tuple[int, str]]) -> None:
    for loop in _tile_loops(disassembly):
        assert not [text for text in loop if "[sp" in text or text.startswith(("st", "mov"))]


def test_few_instructions_beside_multiply_adds(disassembly: list[tuple[int, str]]) -> None:
    for loop in _tile_loops(disassembly):
        assert len(loop) <= 1.11 * sum(text.startswith("fmla") for text in loop)
