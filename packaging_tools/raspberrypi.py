"""The target ``raspberrypi``: a Debian package for each ARM architecture and a stage for pi-gen.

The package holds the runtime, the models, a program that classifies images and a systemd service for it.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

import lite_runtime
from packaging_tools import classification, deb, pi_gen, runtime
from packaging_tools.archives import Entry
from packaging_tools.errors import PackagingError
from packaging_tools.lite_package import Request
from packaging_tools.zig import PLATFORMS

# By Debian's name. The runtime's armhf library needs ARMv7: a Raspberry Pi 2 or newer.
ARCHITECTURES = {"arm64": PLATFORMS["manylinux-aarch64"], "armhf": PLATFORMS["manylinux-armv7l"]}
_TEMPLATES = Path(__file__).parent / "pi"
_PYTHON = "usr/lib/python3/dist-packages"
# Debian's rule for names of packages.
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_MAINTAINER = "lite-runtime <lite-runtime@localhost>"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--wheels", type=Path, help="folder of release wheels with the runtime; else it is compiled")
    parser.add_argument("--name", default="", help="name of the Debian package (lite- and the first model's name)")
    classification.add_options(parser)
    parser.add_argument("--service", action="store_true", help="start the service at boot")
    parser.add_argument("--arch", choices=sorted(ARCHITECTURES), action="append", help="only for these; several times")


def package(request: Request) -> list[str]:
    """Writes NAME_VERSION_ARCH.deb and the folder stage-NAME; returns what to tell."""
    args = request.arguments
    if args.wheels and request.selection:
        raise PackagingError("--ops-from compiles the runtime, and --wheels has one with all operators: leave one out")
    name = args.name or "lite-" + re.sub(r"[^a-z0-9+.-]+", "-", request.models[0].stem.lower()).strip("-")
    if not _NAME.fullmatch(name):
        raise PackagingError(f"--name={name} is no name for a Debian package: small letters, digits, +, - and .")
    common = _demo(name, request)
    debs = {}
    with tempfile.TemporaryDirectory(prefix="lite_package-") as work:
        for architecture in args.arch or ARCHITECTURES:
            entries = runtime.files(ARCHITECTURES[architecture], args.wheels, Path(work), request.selection)
            files = [*_prefixed(_PYTHON, entries), *common]
            data = deb.package(_fields(name, architecture, request.models), files, _scripts(name, args.service))
            debs[f"{name}_{lite_runtime.__version__}_{architecture}.deb"] = data
    for file, data in debs.items():
        (request.folder / file).write_bytes(data)
    pi_gen.write(request.folder / f"stage-{name}", debs)
    told = [f"{file}: {len(data):,} bytes" for file, data in debs.items()]
    return [*told, f"stage-{name}: for pi-gen's STAGE_LIST"]


def _prefixed(folder: str, entries: Iterable[Entry]) -> list[Entry]:
    return [Entry(f"{folder}/{entry.path}", entry.data, entry.mode, entry.link) for entry in entries]


def _demo(name: str, request: Request) -> list[Entry]:
    """All but the runtime: models, program, its settings and its service."""
    args, share = request.arguments, f"usr/share/{name}"
    settings = {
        "model": f"/{share}/{request.models[0].name}",
        "labels": f"/{share}/labels.txt" if args.labels else "",
        "images": f"/{share}/examples",
        "mean": args.mean,
        "std": args.std,
    }
    files = [
        *(Entry(f"{share}/{model.name}", _read("--model", model)) for model in request.models),
        *(Entry(f"{share}/examples/{picture.name}", _read("--example", picture)) for picture in args.example),
        Entry(f"{share}/classify.py", (_TEMPLATES / "classify.py").read_bytes(), 0o755),
        Entry(f"{share}/settings.json", (json.dumps(settings, indent=1) + "\n").encode()),
        Entry(f"usr/bin/{name}", b"", 0o777, f"../share/{name}/classify.py"),
        Entry(f"etc/default/{name}", _filled("default", name)),
        Entry(f"usr/lib/systemd/system/{name}.service", _filled("service", name)),
        Entry(f"usr/share/doc/{name}/copyright", _filled("copyright", name)),
    ]
    if args.labels:
        files.append(Entry(f"{share}/labels.txt", _read("--labels", args.labels)))
    if not args.example:
        files.append(Entry(f"{share}/examples/test_picture.ppm", _test_picture()))
    return files


def _read(flag: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PackagingError(f"{flag}={path} cannot be read: {error.strerror}") from None


def _filled(template: str, name: str) -> bytes:
    return (_TEMPLATES / template).read_text(encoding="utf-8").replace("@NAME@", name).encode()


def _test_picture() -> bytes:
    """A colour wheel of sorts, so that the demonstration has something to look at."""
    size = 96
    rows = (bytes((x * 255 // size, y * 255 // size, (x ^ y) * 2 & 255)) for y in range(size) for x in range(size))
    return b"P6\n%d %d\n255\n" % (size, size) + b"".join(rows)


def _scripts(name: str, service: bool) -> dict[str, str]:
    """The maintainer scripts."""
    scripts = {script: _filled(script, name).decode() for script in ("preinst", "postinst", "prerm", "postrm")}
    scripts["postinst"] = scripts["postinst"].replace("@ENABLE@", "yes" if service else "no")
    return scripts


def _fields(name: str, architecture: str, models: Iterable[Path]) -> dict[str, str]:
    listed = ", ".join(model.name for model in models)
    return {
        "Package": name,
        "Version": lite_runtime.__version__,
        "Architecture": architecture,
        "Maintainer": _MAINTAINER,
        "Section": "science",
        "Priority": "optional",
        "Depends": "python3 (>= 3.9), python3-numpy (>= 1:1.21)",
        "Recommends": "python3-pil",
        "Suggests": "python3-picamera2",
        # Each such package brings the runtime: only one can be installed.
        "Provides": "lite-runtime",
        "Conflicts": "lite-runtime",
        "Replaces": "lite-runtime",
        "Description": f"lite-runtime with {listed}\n Runs .ms models. The program {name} classifies images.",
    }
