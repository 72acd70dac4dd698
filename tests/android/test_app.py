"""The app of android_demo: what lite_package writes for it, its classes on this machine's Java, and a package of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from java import APP, LIBRARY, STUBS, build_glue, compile_java, jar, output_of, run_junit, sources
from PIL import Image
from runtime_models import sum_model
from small_models import given_back
from support import DATA, ROOT

import converter
import lite_runtime
from converter.ir.graph import QuantParam
from packaging_tools import lite_package
from packaging_tools.pi import classify

pytestmark = pytest.mark.android

_FRAMEWORK = Path("/usr/share/android-framework-res/framework-res.apk")
_MEAN, _STD = 0.1307, 0.3081
_SIZES = {"wide": (40, 13), "tall": (9, 31), "tiny": (2, 3), "exact": (6, 8)}


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What lite_package writes for the trained digit network and a digit of each kind."""
    folder = tmp_path_factory.mktemp("packaged")
    converter.convert(DATA / "lenet" / "lenet_mnist5k.mindir", folder / "lenet.ms")
    (folder / "labels.txt").write_text("".join(f"digit {kind}\n" for kind in range(10)))
    flags = [f"--model={folder}/lenet.ms", f"--labels={folder}/labels.txt", f"--mean={_MEAN}", f"--std={_STD}"]
    with np.load(DATA / "lenet" / "lenet_mnist5k_test.npz") as test:
        images, truth, logits = test["x"], test["y"], test["logits"]
    for kind in range(10):
        # One that the network reads right.
        index = np.flatnonzero((truth == kind) & (logits.argmax(axis=1) == kind))[0]
        pixels = 255 * (images[index, 0] * _STD + _MEAN)
        Image.fromarray(pixels.round().astype(np.uint8)).save(folder / f"{kind}.png")
        flags.append(f"--example={folder}/{kind}.png")
    assert lite_package.main(["--target=android", *flags, f"--output={folder}/out"]) == 0
    return folder / "out"


@pytest.fixture(scope="module")
def data(packaged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What DemoData.java reads."""
    folder = tmp_path_factory.mktemp("data")
    shutil.copytree(packaged / "assets", folder / "assets")
    net = lite_runtime.load(folder / "assets" / "lenet.ms", threads=1)
    scores = []
    for kind in range(10):
        picture = classify.read_picture(folder / "assets" / "pictures" / f"{kind}.png")
        scores.append(classify.probabilities(net(classify.prepared(picture, net.inputs[0], [_MEAN], [_STD]))))
    np.array(scores, np.float64).tofile(folder / "chances.bin")
    (folder / "two_inputs.ms").write_bytes(sum_model((1, 3)))
    (folder / "vector.ms").write_bytes(given_back(lite_runtime.DataType.FLOAT32, (4,)))
    (folder / "int8.ms").write_bytes(given_back(lite_runtime.DataType.INT8, (4,), QuantParam(0.25, -7)))
    _save_pictures(folder)
    return folder


def _save_pictures(folder: Path) -> None:
    """Pictures, models that take them, and what the Raspberry Pi's demonstration makes of them."""
    types = lite_runtime.DataType
    quantised = given_back(types.INT8, (1, 8, 6, 3), QuantParam(0.25, -7))
    (folder / "quantised_3.ms").write_bytes(quantised)
    rng = np.random.default_rng(5)
    for name, (width, height) in _SIZES.items():
        Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(folder / f"{name}.png")
    for dtype, channels in ((types.FLOAT32, 3), (types.FLOAT32, 1), (types.INT8, 3), (types.UINT8, 3)):
        model = folder / f"{dtype.numpy}_{channels}.ms"
        model.write_bytes(given_back(dtype, (1, 8, 6, channels)))
        spec = lite_runtime.load(model, threads=1).inputs[0]
        mean, std = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]) if channels == 3 else ([_MEAN], [_STD])
        for name in _SIZES:
            picture = classify.read_picture(folder / f"{name}.png")
            classify.prepared(picture, spec, mean, std).tofile(folder / f"{model.stem}_{name}.bin")


def resources(work: Path, assets: Path | None = None) -> tuple[Path, Path]:
    """Compiles the app's resources as Gradle would; returns the folder of R.java and the package without code."""
    if shutil.which("aapt") is None or not _FRAMEWORK.is_file():
        pytest.skip("aapt and android-framework-res are not installed")
    manifest, generated, package = work / "AndroidManifest.xml", work / "generated", work / "unsigned.apk"
    build = (APP.parent / "build.gradle").read_text(encoding="utf-8")
    root = (ROOT / "android_demo" / "build.gradle").read_text(encoding="utf-8")
    text = (APP / "main" / "AndroidManifest.xml").read_text(encoding="utf-8")
    facts = {
        name: re.search(rf"{name} = (\S+)", root + build)[1] for name in ("minSdkLevel", "sdkLevel", "versionCode")
    }  # type: ignore[index]
    head = f'<manifest package="org.literuntime.demo" android:versionCode="{facts["versionCode"]}"'
    sdk = f'<uses-sdk android:minSdkVersion="{facts["minSdkLevel"]}" android:targetSdkVersion="{facts["sdkLevel"]}" />'
    manifest.write_text(text.replace("<manifest", head, 1).replace("<uses-feature", f"{sdk}<uses-feature", 1))
    generated.mkdir()
    command = ["aapt", "package", "-f", "-m", "-J", generated, "-M", manifest, "-S", APP / "main" / "res",
               "-I", _FRAMEWORK, "-F", package, "-0", "ms"]  # fmt: skip
    output_of([*command, *(["-A", assets] if assets else [])])
    return generated, package


@pytest.fixture(scope="module")
def work(packaged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """R.java, and the library and the app compiled beside the stand-ins for Android's classes."""
    folder = tmp_path_factory.mktemp("app")
    generated, _ = resources(folder, packaged / "assets")
    stubs = compile_java(sources(STUBS), folder / "stubs")
    # Java 7: what the old dx, the one compiler for Android's machine to be had here, reads.
    files = sources(LIBRARY / "main", APP / "main", generated)
    compile_java(files, folder / "main", [stubs, jar("com.android.json")], release=7)
    test = [folder / "main", stubs, jar("junit4"), jar("com.android.json")]
    compile_java(sources(APP / "test"), folder / "test", test)
    return folder


@pytest.mark.parametrize("name", [path.stem for path in sources(APP / "test") if path.stem.endswith("Test")])
def test_junit(name: str, work: Path, data: Path, tmp_path: Path) -> None:
    classes = [work / "test", work / "main", work / "stubs", jar("com.android.json")]
    run_junit(classes, build_glue(tmp_path), {"literuntime.data": data}, [f"org.literuntime.demo.{name}"])


def test_lite_package_writes_assets_and_a_project(packaged: Path) -> None:
    settings = json.loads((packaged / "assets" / "settings.json").read_text(encoding="utf-8"))
    assert settings["model"] == "lenet.ms"
    assert settings["pictures"] == [f"pictures/{kind}.png" for kind in range(10)]
    assert (settings["mean"], settings["std"]) == ([_MEAN], [_STD])
    project = packaged / "project"
    for path in (packaged / "assets").rglob("*.*"):
        inside = project / "app" / "src" / "main" / path.relative_to(packaged)
        assert inside.read_bytes() == path.read_bytes()
    kept = {
        str(path.relative_to(ROOT / "android_demo"))
        for path in map(Path, output_of(["git", "-C", ROOT, "ls-files", ROOT / "android_demo"]).split())
        for path in [ROOT / path]
        if "test" not in path.parts and path.name != ".gitignore"
    }
    assert kept and all((project / name).is_file() for name in kept)
    engine = {str(path.relative_to(ROOT)) for path in (ROOT / "lite_runtime" / "core").rglob("*") if path.is_file()}
    assert all((project / "engine" / name).is_file() for name in (*engine, "CMakeLists.txt", "schema/model.fbs"))
    assert not (packaged / "jniLibs").exists()


def test_bad_input_is_refused_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANDROID_HOME", raising=False)
    model, out = f"--model={DATA}/ms/cnn.ms", f"--output={tmp_path}/out"
    (tmp_path / "a.ppm").write_bytes(b"P6 1 1 255 abc")
    (tmp_path / "ndk" / "build" / "cmake").mkdir(parents=True)
    (tmp_path / "ndk" / "build" / "cmake" / "android.toolchain.cmake").touch()
    cases = {
        f"--example={tmp_path}/a.ppm": "Android reads",
        f"--example={tmp_path}/none.png": "cannot be read",
        f"--labels={tmp_path}/none.txt": "cannot be read",
        "--abi=x86_64": "nothing is compiled without --ndk",
        f"--ndk={tmp_path}": "is no Android NDK",
        f"--ndk={tmp_path}/ndk --android-jar={tmp_path}/none.jar": "none.jar is not there",
        f"--ndk={tmp_path}/ndk": "ANDROID_HOME",
    }
    before = sorted(tmp_path.rglob("*"))
    for flags, words in cases.items():
        assert lite_package.main(["--target=android", model, out, *flags.split()]) == 1, flags
        assert words in capsys.readouterr().err, flags
    assert sorted(tmp_path.rglob("*")) == before


def test_what_the_build_files_name_is_there() -> None:
    """Gradle itself does not run here: what it would stumble over at once."""
    demo = ROOT / "android_demo"
    included = re.findall(r"':(\w+)'", (demo / "settings.gradle").read_text(encoding="utf-8"))
    assert included == ["lite_runtime", "app"]
    for module in included:
        build = (demo / module / "build.gradle").read_text(encoding="utf-8")
        (namespace,) = re.findall(r"namespace = '([\w.]+)'", build)
        assert (demo / module / "src" / "main" / "java" / namespace.replace(".", "/")).is_dir()
        assert build.count("{") == build.count("}")
        for name in re.findall(r"(?:consumerProguardFiles|path = file\()\s*'([^']+)'", build):
            assert (demo / module / name).is_file()
    manifest = (APP / "main" / "AndroidManifest.xml").read_text(encoding="utf-8")
    (activity,) = re.findall(r'<activity\s+android:name="([\w.]+)"', manifest)
    assert (APP / "main" / "java" / f"{activity.replace('.', '/')}.java").is_file()
    layout = "".join(path.read_text(encoding="utf-8") for path in (APP / "main" / "res" / "layout").glob("*.xml"))
    source = (APP / "main" / "java" / f"{activity.replace('.', '/')}.java").read_text(encoding="utf-8")
    for handler in re.findall(r'android:onClick="(\w+)"', layout):
        assert f"public void {handler}(View " in source
    done = subprocess.run(["grep", "-rn", "c++_static", demo / "lite_runtime" / "build.gradle"], capture_output=True)
    assert done.returncode == 0
