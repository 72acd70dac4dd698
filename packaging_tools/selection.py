"""A library with only the operators that given models need, and the kernels these call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from lite_runtime import _native, _profile


def of_models(paths: Iterable[Path]) -> dict[str, str]:
    """What CMake must be told (see core/selection.h). Raises LiteRuntimeError for a file that is no model."""
    nodes = [node for path in paths for node in _profile.nodes(_native.Model.from_file(path))]
    return {
        "LITE_RUNTIME_OPS": _listed(node.op for node in nodes),
        "LITE_RUNTIME_QUANTIZED_OPS": _listed(node.op for node in nodes if node.quantized),
    }


def _listed(names: Iterable[str]) -> str:
    return ";".join(sorted(set(names)))


def write(definitions: Mapping[str, str], source: Path) -> None:
    """Writes them into a copy of the project's sources, which is then built so."""
    lines = [f'set({name} "{value}" CACHE STRING "")\n' for name, value in definitions.items()]
    (source / "selected_ops.cmake").write_text("".join(lines), encoding="utf-8")
