"""The Java library of android_demo over the real engine, on this machine's Java: JUnit tests in its src/test."""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from java import LIBRARY, STUBS, build_glue, compile_java, jar, output_of, run_junit, sources
from runtime_models import sum_model
from small_models import given_back
from support import DATA, ROOT, channels_last, recorded

import lite_runtime
from converter import exporter
from converter.ir.graph import Graph, Model, QuantParam

pytestmark = pytest.mark.android


def _save(folder: Path, name: str, arrays: list[np.ndarray]) -> None:
    for index, array in enumerate(arrays):
        np.ascontiguousarray(array).tofile(folder / f"{name}{index}")


def _answered(folder: Path, name: str) -> None:
    """Copies a model with recorded inputs and what Python's runtime and MindSpore answer."""
    shutil.copy(DATA / "ms" / f"{name}.ms", folder)
    inputs, outputs = recorded(DATA / "mindir_v1" / f"{name}.npz")
    given = channels_last(inputs)
    answers = lite_runtime.load(folder / f"{name}.ms", threads=1)(*given)
    _save(folder, f"{name}.in", given)
    _save(folder, f"{name}.python", answers if isinstance(answers, list) else [answers])
    _save(folder, f"{name}.mindspore", outputs)


def _gather() -> bytes:
    graph = Graph("main")
    index = graph.add_input("index", lite_runtime.DataType.INT32, (1,))
    table = graph.constant("table", np.array([10, 20, 30], np.float32))
    axis = graph.constant("axis", np.array(0, np.int32))
    graph.outputs = [graph.add("Gather", [table, index, axis], "value").output]
    return bytes(exporter.export(Model([graph], "gather")))


def _unsupported() -> bytes:
    graph = Graph("main")
    values = [graph.add_input(f"x{i}", lite_runtime.DataType.FLOAT32, (2,)) for i in range(10)]
    graph.outputs = [graph.add("Adam", values, "adam").output]
    return bytes(exporter.export(Model([graph], "unsupported")))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What TestData.java reads."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("cnn", "a_io"):
        _answered(folder, name)
    models = {
        "sum": sum_model(),
        "sum_int64": sum_model((3,), lite_runtime.DataType.INT64),
        # An emoji, a Latin letter and a byte that is no UTF-8, in place of the seven bytes of a plain name.
        "strange_name": _renamed(_named("abcdefg"), b"abcdefg", "\U0001f600\u00e9".encode() + b"\xff"),
        "gather": _gather(),
        "unsupported": _unsupported(),
        "int8": given_back(lite_runtime.DataType.INT8, (4,), QuantParam(0.25, -7)),
        "cut": (DATA / "ms" / "cnn.ms").read_bytes()[:5000],
        "empty": b"",
    }
    for name, model in models.items():
        (folder / f"{name}.ms").write_bytes(model)
    (folder / "attacks").mkdir()
    for path in (ROOT / "tests" / "attacks" / "ms").glob("*.ms"):
        shutil.copy(path, folder / "attacks")
    return folder


def _named(name: str) -> bytes:
    graph = Graph("main")
    x = graph.add_input(name, lite_runtime.DataType.FLOAT32, (3,))
    graph.outputs = [graph.add("ExpFusion", [x], "y").output]
    return bytes(exporter.export(Model([graph], "named")))


def _renamed(model: bytes, before: bytes, after: bytes) -> bytes:
    assert len(before) == len(after) and model.count(before) == 1
    return model.replace(before, after)


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("assets") / "assets.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(DATA / "ms" / "cnn.ms", "compressed.ms", zipfile.ZIP_DEFLATED)
        archive.write(DATA / "ms" / "cnn.ms", "stored.ms", zipfile.ZIP_STORED)
    return path


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The library, compiled beside the stand-ins for Android's classes, and its tests."""
    folder = tmp_path_factory.mktemp("classes")
    stubs = compile_java(sources(STUBS), folder / "stubs")
    main = compile_java(sources(LIBRARY / "main"), folder / "main", [stubs])
    test = compile_java(sources(LIBRARY / "test"), folder / "test", [main, stubs, jar("junit4")])
    return [test, main, stubs]


@pytest.fixture(scope="module")
def natives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_glue(tmp_path_factory.mktemp("natives"))


@pytest.mark.parametrize("name", [path.stem for path in sources(LIBRARY / "test") if path.stem.endswith("Test")])
def test_junit(name: str, classes: list[Path], natives: Path, data: Path, assets: Path) -> None:
    properties = {
        "literuntime.data": data,
        "literuntime.assets": assets,
        "literuntime.version": lite_runtime.__version__,
        "literuntime.isa": lite_runtime.isa(),
    }
    print(run_junit(classes, natives, properties, [f"org.literuntime.{name}"]))


def test_glue_registers_every_native_method(natives: Path) -> None:
    """One that it forgets would fail when it is first called."""
    java = (LIBRARY / "main" / "java" / "org" / "literuntime" / "Native.java").read_text(encoding="utf-8")
    glue = (LIBRARY / "main" / "cpp" / "glue.cc").read_text(encoding="utf-8")
    declared = re.findall(r"static native [\w\[\]]+ (\w+)\(", java)
    assert declared == re.findall(r'method\("(\w+)"', glue)
    symbols = output_of(["nm", "-D", "--defined-only", natives / "liblite_runtime_jni.so"])
    assert [line.split()[-1] for line in symbols.splitlines()] == ["JNI_OnLoad"]


def test_numbers_are_those_of_the_engine() -> None:
    java = LIBRARY / "main" / "java" / "org" / "literuntime"
    types = dict(re.findall(r"^  (\w+)\((\d+), \d\)", (java / "DataType.java").read_text(encoding="utf-8"), re.M))
    assert {name: int(number) for name, number in types.items()} == {
        kind.name: kind.value for kind in lite_runtime.DataType if kind.name != "INVALID"
    }
    sizes = dict(re.findall(r"^  (\w+)\(\d+, (\d)\)", (java / "DataType.java").read_text(encoding="utf-8"), re.M))
    assert {name: int(size) for name, size in sizes.items() if name != "UNKNOWN"} == {
        kind.name: kind.numpy.itemsize for kind in lite_runtime.DataType if kind.name not in ("INVALID", "UNKNOWN")
    }
    header = (ROOT / "lite_runtime" / "core" / "include" / "lite_runtime.h").read_text(encoding="utf-8")
    statuses = re.findall(r"LR_ERROR_\w+ = (\d)", header)
    failures = (java / "Failures.java").read_text(encoding="utf-8")
    assert statuses == re.findall(r"case (\d):", failures)
