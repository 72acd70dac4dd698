"""Hostile files: none may crash a reader, hang it, make it ask for absurd memory, or raise a foreign error."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import ROOT

HERE = ROOT / "tests" / "attacks"
FORMATS = ("ms", "mindir", "onnx", "tflite")
# Seconds for all files of one format; each has less, see attacks/feed.py.
PATIENCE = 300


def files(suffix: str) -> list[Path]:
    return sorted(HERE.glob(f"*/*.{suffix}"))


@pytest.fixture(scope="module")
def outcomes() -> dict[str, dict[str, str]]:
    """Filled format by format: what came of each file."""
    return {}


@pytest.fixture(autouse=True)
def link_out_of_the_folder(tmp_path: Path) -> Iterator[None]:
    """The file that weights_behind_a_link names: it has enough bytes, but lies elsewhere."""
    target = tmp_path / "outside"
    target.write_bytes(b"\1" + bytes(63))
    links = [HERE / folder / "link_outside" for folder in ("onnx", "mindir")]
    for link in links:
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    yield
    for link in links:
        link.unlink()


def feed(paths: list[Path]) -> dict[str, str]:
    """The outcome of each file; a process that ends early is begun again after the file that ended it."""
    found: dict[str, str] = {}
    while paths:
        command = [sys.executable, str(HERE / "feed.py"), *map(str, paths)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=PATIENCE)
        for line in done.stdout.splitlines():
            name, _, outcome = line.partition("\t")
            found[name] = outcome or f"exit code {done.returncode}\n{done.stderr[-3000:]}"
        if done.returncode == 0:
            break
        assert found, f"the feeder does not start:\n{done.stderr}"
        paths = paths[[str(path) for path in paths].index(list(found)[-1]) + 1 :]
    return found


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_attack_is_refused_or_harmless(outcomes: dict[str, dict[str, str]], suffix: str) -> None:
    paths = files(suffix)
    assert len(paths) > 20
    outcomes[suffix] = feed(paths)
    assert list(outcomes[suffix]) == [str(path) for path in paths]
    broken = {Path(name).name: what for name, what in outcomes[suffix].items() if not harmless(what)}
    assert not broken, "\n".join(f"{name}: {what}" for name, what in broken.items())


def harmless(outcome: str) -> bool:
    return all(word == "accepted" or word.endswith("Error") for word in outcome.split()) and "\n" not in outcome


@pytest.mark.parametrize("suffix", ["onnx", "mindir"])
def test_weights_are_not_read_from_outside_the_folder(outcomes: dict[str, dict[str, str]], suffix: str) -> None:
    names = ["above_the_folder", "at_an_absolute_path", "behind_a_link", "beyond_the_file", "of_negative_length"]
    paths = [HERE / suffix / f"weights_{name}.{suffix}" for name in names]
    for name, outcome in feed(paths).items():
        assert outcome in ("SourceFileError", "SourceFormatError"), name


def test_the_files_are_those_that_the_scripts_make(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    import make

    made = set(make.makers())
    assert made == {str(path.relative_to(HERE)) for suffix in FORMATS for path in (HERE / suffix).glob(f"*.{suffix}")}
