"""Android's archive of a library: classes, native libraries and assets, as Gradle takes it."""

from __future__ import annotations

import io
import os
import re
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

import lite_runtime
from packaging_tools import ndk, zig
from packaging_tools.errors import PackagingError

_MANIFEST = """<?xml version="1.0" encoding="utf-8"?>
<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="org.literuntime">
    <uses-sdk android:minSdkVersion="{api}" />
</manifest>
"""
_METADATA = """aarFormatVersion=1.0
aarMetadataVersion=1.0
minCompileSdk={api}
"""


def classes(android_jar: Path | None, work: Path) -> bytes:
    """classes.jar: the Java of the library. Raises PackagingError without a compiler or Android's classes."""
    if shutil.which("javac") is None:
        raise PackagingError("an AAR has Java classes, and javac is not installed: apt install default-jdk-headless")
    android = android_jar or _newest_android_jar()
    if not android.is_file():
        raise PackagingError(f"--android-jar={android} is not there")
    module = zig.source() / "android_demo" / "lite_runtime"
    target = work / "classes"
    target.mkdir(parents=True)
    sources = sorted((module / "src" / "main" / "java").rglob("*.java"))
    zig.run(
        ["javac", "--release", "8", "-Xlint:-options", "-encoding", "UTF-8", "-cp", android, "-d", target, *sources],
        work,
    )
    return _zip({str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*.class")})


def _newest_android_jar() -> Path:
    home = os.environ.get("ANDROID_HOME")
    if not home:
        raise PackagingError("an AAR is compiled against Android's classes: give ANDROID_HOME or --android-jar")
    found = sorted(Path(home).glob("platforms/android-*/android.jar"), key=_level)
    if not found:
        raise PackagingError(f"ANDROID_HOME={home} has no platforms/android-*/android.jar: install a platform")
    return found[-1]


def _level(jar: Path) -> int:
    number = re.match(r"android-(\d+)", jar.parent.name)
    return int(number[1]) if number else 0


def archive(classes_jar: bytes, libraries: Mapping[str, bytes], assets: Mapping[str, bytes]) -> tuple[str, bytes]:
    """The AAR's name and bytes; equal contents give equal bytes.

    Args:
        libraries: by ABI/NAME.
        assets: by name.
    """
    rules = zig.source() / "android_demo" / "lite_runtime" / "consumer-rules.pro"
    files = {
        "AndroidManifest.xml": _MANIFEST.format(api=ndk.API).encode(),
        "classes.jar": classes_jar,
        "R.txt": b"",
        "proguard.txt": rules.read_bytes(),
        "META-INF/com/android/build/gradle/aar-metadata.properties": _METADATA.format(api=ndk.API).encode(),
        **{f"jni/{path}": data for path, data in libraries.items()},
        **{f"assets/{name}": data for name, data in assets.items()},
    }
    return f"lite-runtime-{lite_runtime.__version__}.aar", _zip(files)


def _zip(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for name in sorted(files):
            target.writestr(zipfile.ZipInfo(name), files[name], zipfile.ZIP_DEFLATED)
    return out.getvalue()
