"""A package of the app, put together and signed by Debian's tools as Gradle would do it with Android's.

It has not run: there is no Android here. Its libraries are the ones of test_native.py, which Android would not load.
"""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path

import pytest
from java import APP, LIBRARY, STUBS, compile_java, jar, output_of, sources
from test_app import packaged, resources  # noqa: F401

from packaging_tools.elf import Library

pytestmark = [pytest.mark.android, pytest.mark.download]

_TOOLS = ("aapt", "apksigner", "dexdump", "keytool", "zipalign")


@pytest.fixture(scope="module")
def apk(packaged: Path, compiled: Path, dx: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    absent = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if absent:
        pytest.skip(f"not installed: {', '.join(absent)}")
    work = tmp_path_factory.mktemp("apk")
    generated, package = resources(work, packaged / "assets")
    stubs = compile_java(sources(STUBS), work / "stubs", release=7)
    classes = sources(LIBRARY / "main", APP / "main", generated)
    compile_java(classes, work / "main", [stubs, jar("com.android.json")], release=7)
    main = "com.android.dx.command.Main"
    output_of(["java", "-cp", dx, main, "--dex", f"--output={work}/classes.dex", work / "main"])
    shutil.copytree(compiled / "jniLibs", work / "lib")
    names = [str(path.relative_to(work)) for path in sorted((work / "lib").rglob("*.so"))]
    output_of(["sh", "-c", f"cd {work} && aapt add {package} classes.dex {' '.join(names)}"])
    signed, key = work / "app.apk", work / "key.jks"
    output_of(["zipalign", "-p", "4", package, signed])
    secret = ["-storepass", "password", "-keypass", "password", "-alias", "test", "-dname", "CN=test"]
    output_of(["keytool", "-genkeypair", "-keystore", key, *secret, "-keyalg", "RSA", "-validity", "10000"])
    output_of(["apksigner", "sign", "--ks", key, "--ks-pass", "pass:password", "--min-sdk-version", "24", signed])
    return signed


def test_signature_and_alignment(apk: Path) -> None:
    verified = output_of(["apksigner", "verify", "--verbose", "--min-sdk-version", "24", apk])
    assert "Verified using v2 scheme (APK Signature Scheme v2): true" in verified
    assert "Verification successful" in output_of(["zipalign", "-c", "-v", "-p", "4", apk])
    damaged = bytearray(apk.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    apk.with_name("damaged.apk").write_bytes(damaged)
    with pytest.raises(AssertionError, match=r"DOES NOT VERIFY|not verify|ERROR|exception"):
        output_of(["apksigner", "verify", "--min-sdk-version", "24", apk.with_name("damaged.apk")])


def test_what_android_reads_in_it(apk: Path) -> None:
    told = output_of(["aapt", "dump", "badging", apk])
    assert "package: name='org.literuntime.demo' versionCode='1'" in told
    assert "sdkVersion:'24'" in told
    assert "targetSdkVersion:'36'" in told
    assert "launchable-activity: name='org.literuntime.demo.MainActivity'" in told
    assert "uses-permission" not in told


def test_model_is_stored_as_it_is(apk: Path, packaged: Path) -> None:  # noqa: F811
    with zipfile.ZipFile(apk) as archive:
        model = archive.getinfo("assets/lenet.ms")
        assert model.compress_type == zipfile.ZIP_STORED
        assert archive.read(model) == (packaged / "assets" / "lenet.ms").read_bytes()
        names = set(archive.namelist())
        libraries = [name for name in names if name.endswith(".so")]
        assert libraries
        for name in libraries:
            assert Library(archive.read(name)).page_alignment == 16384
    assert {f"assets/pictures/{kind}.png" for kind in range(10)} <= names
    assert apk.stat().st_size < 1_500_000


def test_every_class_is_in_androids_form(apk: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(apk) as archive:
        archive.extract("classes.dex", tmp_path)
    dumped = output_of(["dexdump", tmp_path / "classes.dex"])
    found = set(re.findall(r"Class descriptor  : 'L([\w/$]+);'", dumped))
    named = {
        str(path.relative_to(module / "main" / "java")).removesuffix(".java")
        for module in (LIBRARY, APP)
        for path in sources(module / "main")
    }
    assert named <= found
    assert not [name for name in found if name.startswith("android/")]
