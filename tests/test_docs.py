"""The commands and Python snippets of the documentation run, in order, and its tables are complete."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import DATA, PACKAGES, ROOT

from converter import cli, errors
from lite_runtime import benchmark
from lite_runtime import errors as runtime_errors

_PAGES = (
    "README.md",
    "docs/api.md",
    "docs/converter_lite.md",
    "docs/benchmark_lite.md",
    "docs/architecture.md",
    "docs/device.md",
)
_BLOCK = re.compile(
    r"^(?P<note><!-- (?P<remark>.*?) -->\n)?```(?P<language>sh|python)\n(?P<text>.*?)^```$", re.M | re.S
)


# A checkout that is built in place has no installed command.
_PREPARE = """set -e
command -v benchmark_lite >/dev/null || benchmark_lite() { "$PYTHON" -m lite_runtime.benchmark "$@"; }
command -v converter_lite >/dev/null || converter_lite() { "$PYTHON" -m converter.cli "$@"; }
"""


def _run(command: list[str], folder: Path) -> None:
    """Runs a command in a folder with this Python and its tools; it must succeed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHON": sys.executable, "PYTHONPATH": str(PACKAGES)}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("page", _PAGES)
def test_commands_and_snippets_run(page: str, tmp_path: Path) -> None:
    # Blocks with a remark `<!-- not run here: why -->` build the project or need a network; .ci/run takes those steps.
    shutil.copy(DATA / "lenet" / "lenet_mnist5k.mindir", tmp_path / "net.mindir")
    snippets = []
    for block in _BLOCK.finditer((ROOT / page).read_text()):
        if (block["remark"] or "").startswith("not run here"):
            continue
        if block["language"] == "python":
            snippets.append(block["text"])
            continue
        _run(["bash", "-c", _PREPARE + block["text"]], tmp_path)
    if snippets:
        if not (tmp_path / "model.ms").exists():
            snippets.insert(0, "import converter; converter.convert('net.mindir', 'model.ms')")
        _run([sys.executable, "-c", "\n".join(snippets)], tmp_path)


def test_every_flag_is_documented() -> None:
    documented = re.findall(r"^\| `--(\w+)`", (ROOT / "docs" / "converter_lite.md").read_text(), re.M)
    options = {name for parameter in cli.typer.main.get_command(cli.app).params for name in parameter.opts}
    assert {f"--{name}" for name in documented} == options - {"--help"}


def test_every_flag_of_benchmark_lite_is_documented() -> None:
    documented = re.findall(r"^\| `--(\w+)`", (ROOT / "docs" / "benchmark_lite.md").read_text(), re.M)
    options = {name for action in benchmark.parser()._actions for name in action.option_strings}
    assert {f"--{name}" for name in documented} == options - {"-h", "--help"}


def test_every_error_is_documented() -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    for module, base in ((errors, errors.ConvertError), (runtime_errors, runtime_errors.LiteRuntimeError)):
        classes = [c for c in vars(module).values() if isinstance(c, type) and issubclass(c, base)]
        assert [c.__name__ for c in classes if f"`{c.__name__}`" not in text] == []


def test_every_exit_code_is_documented() -> None:
    text = (ROOT / "docs" / "converter_lite.md").read_text()
    codes = {c.exit_code for c in vars(errors).values() if isinstance(c, type) and hasattr(c, "exit_code")}
    assert codes <= {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.M)}


@pytest.mark.parametrize("page", _PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
        if "://" not in target:
            assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"
