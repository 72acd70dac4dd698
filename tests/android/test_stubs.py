"""The stand-ins for Android's classes say what Android says: names, arguments and their types, as of API 36."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from java import STUBS, sources

pytestmark = [pytest.mark.android, pytest.mark.download]

_SIGNATURES = "chaquopy-stubs-android==36.20260406"
_METHOD = re.compile(r"^  (?:public|protected) (?:static |final |abstract )*(?:<.*> )?[\w.]+ (\w+)\((.*?)\)", re.M)
# What Python's signatures have for Java's simple types.
_PYTHON = {"int": "int", "String": "str", "boolean": "bool", "int[]": "JavaArrayJInt", "Object...": "java.lang.Object"}


@pytest.fixture(scope="module")
def signatures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("signatures")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", f"--dest={folder}", _SIGNATURES]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def _class(signatures: Path, package: str, name: str) -> ast.ClassDef:
    first, *rest = package.split(".")
    page = signatures.joinpath(f"{first}-stubs", *rest, "__init__.pyi").read_text(encoding="utf-8")
    found = [node for node in ast.parse(page).body if isinstance(node, ast.ClassDef) and node.name == name]
    assert found, f"{package}.{name}"
    return found[0]


def _types(method: ast.FunctionDef) -> list[str]:
    """Of each argument but self."""
    given = [*method.args.posonlyargs, *method.args.args]
    types = [ast.unparse(argument.annotation) for argument in given if argument.annotation is not None]
    if method.args.vararg is not None and method.args.vararg.annotation is not None:
        types.append(ast.unparse(method.args.vararg.annotation))
    return types


def _agree(java: str, python: str) -> bool:
    wanted = _PYTHON.get(java, java)
    words = set(re.findall(r"[\w.]+", python))
    return any(word == wanted or word.endswith(f".{wanted}") for word in words)


@pytest.mark.parametrize("source", sources(STUBS), ids=lambda path: path.stem)
def test_stand_in_says_what_android_says(source: Path, signatures: Path) -> None:
    android = _class(signatures, str(source.parent.relative_to(STUBS)).replace("/", "."), source.stem)
    for name, arguments in _METHOD.findall(source.read_text(encoding="utf-8")):
        java = [argument.split()[0] for argument in arguments.split(", ") if argument]
        offered = [
            node for node in android.body if isinstance(node, ast.FunctionDef) and node.name in (name, f"{name}_")
        ]
        assert offered, f"{source.stem} has no {name}"
        fitting = [types for types in map(_types, offered) if len(types) == len(java) and all(map(_agree, java, types))]
        assert fitting, f"{source.stem}.{name}({', '.join(java)}): Android has {list(map(_types, offered))}"
