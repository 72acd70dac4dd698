"""Makes a corpus for fuzz_ms: the models of the operator tests, so that every operator is reached.

    PYTHONPATH=.:tests:tests/ops python tests/fuzz/make_corpus.py FOLDER [MORE_MODELS ...]

Runs the tests of tests/ops up to the point where they load a model, and keeps that model instead. Copies the .ms
files among MORE_MODELS (files or folders) beside them. Fails when an operator of the engine is in no model.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import pytest

from converter import engine
from converter.errors import ConvertError
from converter.importers import ms
from converter.schema import schema
from lite_runtime import _native

_OPS = Path(__file__).resolve().parent.parent / "ops"
# Mutations of larger files rarely hit anything but weights.
_MAX_BYTES = 6000


class _Collector:
    """Keeps every small model that a test loads, and ends the test there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ops: set[str] = set()

    def keep(self, data: bytes, *_: Any) -> NoReturn:
        data = bytes(data)
        if len(data) <= _MAX_BYTES:
            name = hashlib.sha1(data).hexdigest()[:16]
            (self._folder / f"{name}.ms").write_bytes(data)
            self.ops |= _operators(data)
        pytest.skip("model kept")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if _is_new(getattr(item, "callspec", None))]
        _native.Model.from_buffer = self.keep  # type: ignore[method-assign,assignment]


def _is_new(variant: Any) -> bool:
    """Whether a parametrised test makes a model that no other variant of it makes."""
    parameters = {} if variant is None else variant.params
    return parameters.get("threads", 1) == 1 and parameters.get("mode", "fed") in ("fed", "mixed")


def _operators(data: bytes) -> set[str]:
    return {node.op for graph in ms.parse(data, "model").graphs for node in graph.nodes}


def _copy(sources: list[str], folder: Path) -> set[str]:
    """Copies small models; returns the operators in them."""
    ops: set[str] = set()
    for source in map(Path, sources):
        for file in sorted(source.rglob("*.ms")) if source.is_dir() else [source]:
            if file.stat().st_size <= 2 * _MAX_BYTES:
                shutil.copyfile(file, folder / f"{file.parent.name}_{file.name}")
                with suppress(ConvertError):  # a hostile one
                    ops |= _operators(file.read_bytes())
    return ops


def main() -> int:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    collector = _Collector(folder)
    pytest.main(["-qq", "-p", "no:cacheprovider", "-m", "", "-rN", "--no-header", str(_OPS)], plugins=[collector])
    ops = collector.ops | _copy(sys.argv[2:], folder)
    missing = {op for op in schema().primitives if engine.supported(op)} - ops
    print(f"{len(list(folder.iterdir()))} models of {len(ops)} operators")
    if missing:
        print("in no model:", ", ".join(sorted(missing)))
    return bool(missing)


if __name__ == "__main__":
    sys.exit(main())
