"""The target ``android``: a Gradle project with the models in it, and with an NDK the libraries and an AAR.

An Android library can be linked with the NDK alone, which has Android's C library. Without one the project is written,
which Android Studio or Gradle builds with the NDK that they fetch.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import struct
import tempfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from packaging_tools import aar, classification, ndk, selection, zig
from packaging_tools.errors import PackagingError
from packaging_tools.lite_package import Request

# What BitmapFactory reads.
_PICTURES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
# The engine's sources, as a folder of the project.
_ENGINE = ("CMakeLists.txt", "LICENSE", "schema", "lite_runtime/core")
# What building leaves in android_demo.
_LEFT_OUT = shutil.ignore_patterns(
    "build", ".gradle", ".cxx", ".idea", "local.properties", ".gitignore", "engine", "assets", "test"
)


def add_options(parser: argparse.ArgumentParser) -> None:
    classification.add_options(parser)
    parser.add_argument("--ndk", type=Path, default=_variable("ANDROID_NDK_HOME"), help="the NDK ($ANDROID_NDK_HOME)")
    parser.add_argument("--android-jar", type=Path, help="Android's classes (the newest below $ANDROID_HOME)")
    parser.add_argument("--abi", action="append", choices=ndk.ABIS, help="compile for these only; several times")
    parser.add_argument("--runner", action="store_true", help="compile lite_run, for adb shell; needs no NDK")


def _variable(name: str) -> Path | None:
    return Path(os.environ[name]) if os.environ.get(name) else None


def package(request: Request) -> list[str]:
    """Writes assets/ and project/, with an NDK jniLibs/ and an AAR, with --runner runner/; returns what to tell."""
    args = request.arguments
    if args.abi and not (args.ndk or args.runner):
        raise PackagingError("--abi: nothing is compiled without --ndk (or ANDROID_NDK_HOME) and without --runner")
    if args.ndk:
        ndk.toolchain(args.ndk)
    assets = _assets(request)
    _write(request.folder / "assets", assets)
    _write_project(request.folder / "project", assets)
    if request.selection:
        selection.write(request.selection, request.folder / "project" / "engine")
    told = [f"assets: {', '.join(assets)}", "project: open it in Android Studio, or build it with Gradle"]
    with tempfile.TemporaryDirectory(prefix="lite_package-") as work:
        if args.ndk:
            told += _libraries(request, Path(work))
        else:
            told.append("no jniLibs and no AAR: they need the NDK (--ndk or ANDROID_NDK_HOME)")
        if args.runner:
            told += _runners(request, Path(work))
    return told


def _assets(request: Request) -> dict[str, bytes]:
    """The models, the pictures and settings.json, which Settings.java reads, by name."""
    args = request.arguments
    pictures = {f"pictures/{path.name}": _read("--example", path) for path in args.example}
    if len(pictures) < len(args.example):
        raise PackagingError("--example: two pictures have the same name: rename one of them")
    for path in args.example:
        if path.suffix.lower() not in _PICTURES:
            raise PackagingError(f"--example={path}: Android reads {', '.join(_PICTURES)}")
    pictures = pictures or {"pictures/test_picture.png": _test_picture()}
    settings = {
        "model": request.models[0].name,
        "labels": _read("--labels", args.labels).decode("utf-8", "replace").splitlines() if args.labels else [],
        "pictures": list(pictures),
        "mean": args.mean,
        "std": args.std,
    }
    models = {path.name: _read("--model", path) for path in request.models}
    return {**models, **pictures, "settings.json": (json.dumps(settings, indent=1) + "\n").encode()}


def _read(flag: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PackagingError(f"{flag}={path} cannot be read: {error.strerror}") from None


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _write_project(folder: Path, assets: Mapping[str, bytes]) -> None:
    """android_demo with the assets in the app and the engine's sources beside it."""
    source = zig.source()
    shutil.copytree(source / "android_demo", folder, ignore=_LEFT_OUT)
    for name in _ENGINE:
        target = folder / "engine" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, target)
        else:
            shutil.copyfile(source / name, target)
    _write(folder / "app" / "src" / "main" / "assets", assets)


def _libraries(request: Request, work: Path) -> list[str]:
    """Writes jniLibs/ABI/*.so and the AAR, which has them, the classes and the models."""
    args = request.arguments
    classes = aar.classes(args.android_jar, work)
    built = ndk.build(args.ndk, args.abi or ndk.ABIS, work, request.selection)
    _write(request.folder / "jniLibs", built)
    name, data = aar.archive(classes, built, {path.name: path.read_bytes() for path in request.models})
    (request.folder / name).write_bytes(data)
    sizes = [f"jniLibs/{path}: {len(library):,} bytes" for path, library in built.items()]
    return [*sizes, f"{name}: {len(data):,} bytes"]


def _runners(request: Request, work: Path) -> Iterable[str]:
    folder = request.folder / "runner"
    for abi in request.arguments.abi or ndk.ABIS:
        program = ndk.build_runner(abi, work, request.selection)
        _write(folder, {f"{abi}/lite_run": program})
        (folder / abi / "lite_run").chmod(0o755)
        yield f"runner/{abi}/lite_run: {len(program):,} bytes"


def _test_picture() -> bytes:
    """A PNG file of colours, so that the app has something to look at."""
    size = 96
    rows = (
        b"\0" + bytes(value for x in range(size) for value in (x * 255 // size, y * 255 // size, (x ^ y) * 2 & 255))
        for y in range(size)
    )
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows), 9)), (b"IEND", b""))
    packed = (struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
              for kind, data in chunks)  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)
