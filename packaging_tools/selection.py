"""A build with only what given models need: their operators, and the kernels those call.

Operators are read from the models; which sources an operator is made of, and which kernels these call, from the
engine's source. Errors on the safe side cost a few bytes: a kernel is kept when its name is a word of any source that
is compiled, and a source that is left out although it is needed does not link.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lite_runtime import _native, _profile
from packaging_tools.zig import source

# A header of ops/ is implemented by the sources with its name, or with its name before a "_".
_INCLUDE = re.compile(r'^#include "([\w/]+\.h)"', re.M)
_COMMENT = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\])*"|\bstd::\w+', re.S)
_REGISTRATION = re.compile(r"\bLR_REGISTER_(GENERAL_QUANTIZED|QUANTIZED)?\w*\(\s*(\w+)")
_FAMILY = re.compile(r"^(unary|binary|reduce)_")
_LISTED = re.compile(r"\bX\((\w+)\)")


@dataclass(frozen=True)
class Needs:
    """Names of primitives: those that nodes have, and those of them that compute on quantised integers."""

    ops: frozenset[str]
    quantized: frozenset[str]


def of_models(paths: Iterable[Path]) -> Needs:
    """What the models' nodes need. Raises LiteRuntimeError for a file that is no model."""
    nodes = [node for path in paths for node in _profile.nodes(_native.Model.from_file(path))]
    return Needs(frozenset(n.op for n in nodes), frozenset(n.op for n in nodes if n.quantized))


def write(needs: Needs, models: Sequence[Path], folder: Path) -> None:
    """Writes what CMake takes as LITE_RUNTIME_SELECTION: selected.h and selected.cmake (see core/selection.h)."""
    sources = _closure(needs)
    words = frozenset(word for path in sources for word in re.findall(r"\w+", _text(path)))
    quantized_of_all = frozenset().union(*(of_file[1] for of_file in map(_registered, _op_sources())))
    primitives = _primitives()
    lines = [f'#define LR_SELECTION "{",".join(model.name for model in models)}"']
    lines += [f"#define LR_SELECTED_OP_{name} {int(name in needs.ops)}" for name in primitives]
    lines += [f"#define LR_SELECTED_QUANTIZED_{name} {int(name in needs.quantized)}" for name in primitives]
    left_out = [str(number) for name, number in primitives.items() if name in quantized_of_all - needs.quantized]
    lines.append(f"#define LR_LEFT_OUT_QUANTIZED {''.join(f'{number}, ' for number in left_out)}")
    for kernel in _profile.kernel_names():
        lines.append(f"#define LR_SELECTED_KERNEL_{kernel} {int(_FAMILY.sub('', kernel) in words)}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "selected.h").write_text("\n".join(["#pragma once", *lines, ""]), encoding="utf-8")
    listed = sorted(path for path in sources if path.suffix == ".cc" and path.parent != _core())
    text = "".join(f"  {path.as_posix()}\n" for path in listed)
    (folder / "selected.cmake").write_text(f"set(OPS\n{text})\n", encoding="utf-8")


def _core() -> Path:
    return source() / "lite_runtime" / "core"


@cache
def _text(path: Path) -> str:
    """The source without comments, text and names of the standard library."""
    return _COMMENT.sub(" ", path.read_text(encoding="utf-8"))


def _op_sources() -> list[Path]:
    return sorted((_core() / "ops").rglob("*.cc"))


@cache
def _primitives() -> dict[str, int]:
    """Number of each primitive in the schema's union."""
    text = re.sub(r"//[^\n]*", "", (source() / "schema" / "ops.fbs").read_text(encoding="utf-8"))
    union = re.search(r"union PrimitiveType \{(.*?)\}", text, re.S)
    assert union is not None
    return {name: number for number, name in enumerate(re.findall(r"\w+", union[1]), 1)}


@cache
def _registered(path: Path) -> tuple[frozenset[str], frozenset[str]]:
    """Primitives whose operators the source registers: of any kind, and of quantised integers."""
    found: tuple[set[str], set[str]] = (set(), set())
    listed = set(_LISTED.findall(_text(path)))
    for quantized, name in _REGISTRATION.findall(_text(path)):
        # Where a list of primitives is registered by a macro, the name is the macro's parameter.
        found[bool(quantized)].update({name} if name in _primitives() else listed)
    ops, integers = (frozenset(names & _primitives().keys()) for names in found)
    return ops, integers


def _closure(needs: Needs) -> set[Path]:
    """Sources and headers of the engine and of the operators, with what implements the headers they include."""
    wanted = [*_core().glob("*.cc")]
    for path in _op_sources():
        ops, quantized = _registered(path)
        if ops & needs.ops or quantized & needs.quantized:
            wanted.append(path)
    found: set[Path] = set()
    while wanted:
        path = wanted.pop()
        if path in found or not path.is_file():
            continue
        found.add(path)
        wanted += [_core() / name for name in _INCLUDE.findall(path.read_text(encoding="utf-8"))]
        if path.suffix == ".h" and "ops" in path.parts:
            wanted += [path.with_suffix(".cc"), *path.parent.glob(f"{path.stem}_*.cc")]
    return {path for path in found if "kernels" not in path.relative_to(_core()).parts}
