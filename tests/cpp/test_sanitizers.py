"""The C++ tests again, watched by AddressSanitizer, UndefinedBehaviorSanitizer and ThreadSanitizer."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cpp_build import assert_all_passed, build, model_arguments


def _require(sanitizers: str, folder: Path) -> None:
    """Skips where the compiler has no runtime library for these sanitizers, or its programs cannot start."""
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    source, program = folder / "probe.cc", folder / "probe"
    source.write_text("int main() { return 0; }\n")
    made = subprocess.run(
        [compiler, f"-fsanitize={sanitizers}", str(source), "-o", str(program)], capture_output=True, text=True
    )
    if made.returncode != 0:
        pytest.skip(f"{compiler} cannot build with -fsanitize={sanitizers}: {made.stderr.strip().splitlines()[-1]}")
    ran = subprocess.run([str(program)], capture_output=True, text=True)
    if ran.returncode != 0:
        pytest.skip(f"programs with -fsanitize={sanitizers} do not start here: {ran.stderr.strip()[-200:]}")


@pytest.mark.sanitize
@pytest.mark.parametrize(
    ("sanitizers", "programs"),
    [("address,undefined", ["kernel_test", "thread_pool_test"]), ("thread", ["thread_pool_test"])],
)
def test_nothing_found(tmp_path: Path, sanitizers: str, programs: list[str]) -> None:
    _require(sanitizers, tmp_path)
    options = f"-DLITE_RUNTIME_SANITIZE={sanitizers}"
    folder = build(f"tests-{sanitizers.replace(',', '-')}", [*programs, "model_test"], options)
    for program in programs:
        assert_all_passed([str(folder / program)])
    for model in ["cnn", "tenc", "lstm", "multi"]:
        assert_all_passed([str(folder / "model_test"), *model_arguments(model, tmp_path, threads=2)])
