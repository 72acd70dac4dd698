"""``lite_package``: makes what a device is given: the runtime, models and a demonstration.

Exit code 0; 1 when something is wrong with the model, the output folder or the build; 2 for a wrong flag. A target is
a module with two functions: ``add_options(parser)`` for flags of its own and ``package(request)``.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lite_runtime import _native
from lite_runtime.errors import LiteRuntimeError
from packaging_tools.errors import PackagingError
from packaging_tools.output import new_folder

# Loaded only when asked for.
TARGETS = {"android": "packaging_tools.android", "raspberrypi": "packaging_tools.raspberrypi"}


@dataclass(frozen=True)
class Request:
    """What a target makes its package of.

    ``models`` are .ms files that this engine can run, with different names; ``folder`` is empty and becomes the
    output when ``package`` returns; ``arguments`` are the parsed flags.
    """

    models: tuple[Path, ...]
    folder: Path
    arguments: argparse.Namespace


def parser() -> argparse.ArgumentParser:
    """The flags that all targets have."""
    p = argparse.ArgumentParser(
        "lite_package", description="Packages the runtime and .ms models for a device.", allow_abbrev=False
    )
    p.add_argument("--target", required=True, choices=sorted(TARGETS), help="the kind of device")
    p.add_argument("--model", required=True, action="append", type=Path, help="a .ms model; may be given several times")
    p.add_argument("--output", required=True, type=Path, help="folder to write, which must be new or empty")
    p.add_argument("--wheels", type=Path, help="folder of release wheels to take the runtime from; else it is compiled")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    p = parser()
    target = _target(given)
    if target is not None:
        target.add_options(p)
    args = p.parse_args(given)
    assert target is not None  # argparse has refused an unknown or missing target
    try:
        models = _checked(args.model)
        with new_folder(args.output) as folder:
            done = target.package(Request(models, folder, args))
    except (PackagingError, LiteRuntimeError) as error:
        print(f"lite_package: {error}", file=sys.stderr)
        return 1
    print("\n".join(done))
    return 0


def _target(arguments: Sequence[str]) -> Any:
    """The module of the target that was asked for, or None: then the parser has something to say."""
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--target", nargs="?")
    name = early.parse_known_args(arguments)[0].target
    return importlib.import_module(TARGETS[name]) if name in TARGETS else None


def _checked(paths: Sequence[Path]) -> tuple[Path, ...]:
    """The models, each valid and of operators the engine has. Raises PackagingError or LiteRuntimeError."""
    names: dict[str, Path] = {}
    for path in paths:
        if path.suffix != ".ms":
            raise PackagingError(f"--model={path} is not a .ms file: convert it first, with converter_lite")
        if path.name in names:
            raise PackagingError(f"--model={path} has the name of {names[path.name]}: rename one of them")
        names[path.name] = path
        _native.Session(_native.Model.from_file(path), threads=1, infer_only=True)
    return tuple(paths)


if __name__ == "__main__":
    sys.exit(main())
