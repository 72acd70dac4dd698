"""``lite_package``: makes what a device is given: the runtime, models and a demonstration.

Exit code 0; 1 when something is wrong with the model, the output folder or the build; 2 for a wrong flag. A target is
a module with two functions: ``add_options(parser)`` for flags of its own and ``package(request)``.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lite_runtime import _native
from lite_runtime.errors import LiteRuntimeError
from packaging_tools import selection
from packaging_tools.errors import PackagingError
from packaging_tools.output import new_folder

# Loaded only when asked for.
TARGETS = {name: f"packaging_tools.{name}" for name in ("android", "library", "raspberrypi")}
_DEFAULT = "library"


@dataclass(frozen=True)
class Request:
    """What a target makes its package of.

    ``models`` are .ms files that this engine can run, with different names; ``folder`` is empty and becomes the
    output when ``package`` returns; ``arguments`` are the parsed flags; ``selection`` is what CMake is told, so that
    the library has only the operators of ``models`` and of --ops-from: nothing without --ops-from.
    """

    models: tuple[Path, ...]
    folder: Path
    arguments: argparse.Namespace
    selection: Mapping[str, str]


def parser() -> argparse.ArgumentParser:
    """The flags that all targets have."""
    p = argparse.ArgumentParser(
        "lite_package", description="Packages the runtime and .ms models for a device.", allow_abbrev=False
    )
    p.add_argument("--target", default=_DEFAULT, choices=sorted(TARGETS), help=f"the kind of device ({_DEFAULT})")
    p.add_argument("--output", required=True, type=Path, help="folder to write, which must be new or empty")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    p = parser()
    target = _target(given)
    if target is not None:
        target.add_options(p)
    args = p.parse_args(given)
    assert target is not None  # argparse has refused an unknown target
    given_models, ops_from = getattr(args, "model", []), args.ops_from or []
    try:
        models = _checked("--model", given_models)
        _checked("--ops-from", ops_from)
        selected = selection.of_models([*ops_from, *models]) if ops_from else {}
        with new_folder(args.output) as folder:
            done = target.package(Request(models, folder, args, selected))
    except (PackagingError, LiteRuntimeError) as error:
        print(f"lite_package: {error}", file=sys.stderr)
        return 1
    print("\n".join(done))
    return 0


def _target(arguments: Sequence[str]) -> Any:
    """The module of the target that was asked for, or None: then the parser has something to say."""
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--target", nargs="?", default=_DEFAULT)
    name = early.parse_known_args(arguments)[0].target
    return importlib.import_module(TARGETS[name]) if name in TARGETS else None


def _checked(flag: str, paths: Sequence[Path]) -> tuple[Path, ...]:
    """The models, each valid and of operators the engine has. Raises PackagingError or LiteRuntimeError."""
    names: dict[str, Path] = {}
    for path in paths:
        if path.suffix != ".ms":
            raise PackagingError(f"{flag}={path} is not a .ms file: convert it first, with converter_lite")
        if path.name in names:
            raise PackagingError(f"{flag}={path} has the name of {names[path.name]}: rename one of them")
        names[path.name] = path
        _native.Session(_native.Model.from_file(path), threads=1, infer_only=True)
    return tuple(paths)


if __name__ == "__main__":
    sys.exit(main())
