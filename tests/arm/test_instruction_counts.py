"""Instructions under emulation: the plugin counts what is known beforehand, products with few bits take few."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cpp_build import ROOT, build

sys.path.append(str(ROOT))

from benchmarks import instructions
from benchmarks.arm.root import build_plugin

pytestmark = pytest.mark.arm
_COMPILER = "aarch64-linux-gnu-gcc"

# Between the two calls of getppid (system call 173): 1000 turns with an instruction of each class.
_PROGRAM = """
.global _start
_start:
  mov x8, #173
  svc #0
  mov x9, #1000
.Lturn:
  fmla v0.4s, v1.4s, v2.s[1]
  fmla v3.4s, v1.4s, v2.4s
  fadd v4.4s, v1.4s, v2.4s
  sdot v5.4s, v6.16b, v7.16b
  ldr q8, [sp]
  ldr x10, [sp]
  add x11, x11, #1
  subs x9, x9, #1
  b.ne .Lturn
  mov x8, #173
  svc #0
  mov x8, #93
  mov x0, #0
  svc #0
"""


@pytest.mark.skipif(
    not (shutil.which(_COMPILER) and shutil.which("qemu-aarch64") and shutil.which("cc")),
    reason="needs gcc-aarch64-linux-gnu, qemu-user and a C compiler",
)
def test_counts_are_exact(tmp_path: Path) -> None:
    (tmp_path / "turns.s").write_text(_PROGRAM)
    program = tmp_path / "turns"
    flags = ["-nostdlib", "-static", "-march=armv8.2-a+dotprod"]
    subprocess.run([_COMPILER, *flags, "-o", str(program), str(tmp_path / "turns.s")], check=True)
    counts = tmp_path / "counts"
    plugin = f"{build_plugin(tmp_path)},out={counts}"
    subprocess.run(["qemu-aarch64", "-cpu", "cortex-a76", "-plugin", plugin, str(program)], check=True)
    before, after = (instructions.parse(line) for line in counts.read_text().splitlines())
    assert {kind: after[kind] - before[kind] for kind in after} == {
        "fmla": 2000,
        "dot": 1000,
        "simd": 1000,
        "load_store_simd": 1000,
        "load_store": 1000,
        "branch": 1001,  # the turns' and the second svc
        "integer": 2002,
        "other": 0,
    }


@pytest.mark.skipif(
    not (shutil.which("aarch64-linux-gnu-g++") and shutil.which("qemu-aarch64") and shutil.which("cc")),
    reason="needs g++-aarch64-linux-gnu, qemu-user and a C compiler",
)
@pytest.mark.parametrize(
    ("cpu", "most"),
    [
        ("cortex-a76", 0.9),  # with dot products: less than in floats
        ("cortex-a72", 1.6),  # without: a quarter of what floats made of the integers would take
    ],
)
def test_a_row_times_weights_of_four_bits(cpu: str, most: float, tmp_path: Path) -> None:
    options = [
        f"-DCMAKE_TOOLCHAIN_FILE={ROOT / 'cmake' / 'aarch64-linux-gnu.cmake'}",
        "-DCMAKE_EXE_LINKER_FLAGS=-static",
    ]
    program = build("tests-aarch64-linux-gnu", ["row_products"], *options) / "row_products"
    counts = tmp_path / "counts"
    plugin = f"{build_plugin(tmp_path)},out={counts}"
    subprocess.run(["qemu-aarch64", "-cpu", cpu, "-plugin", plugin, str(program)], check=True)
    start, floats, bits = (
        instructions.total(instructions.parse(line)) for line in counts.read_text().splitlines()[-3:]
    )
    assert bits - floats <= most * (floats - start)
