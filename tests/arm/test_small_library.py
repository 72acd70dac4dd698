"""``lite_package --ops-from``: a small library for 64-bit ARM, run by qemu as the CPUs of Raspberry Pis."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from device_roots import python, unpacked
from onnx import TensorProto, helper, numpy_helper
from small_mobilenet import convert
from support import DATA, ROOT, assert_close

import converter
import lite_runtime
from packaging_tools import lite_package, selection, zig

pytestmark = [pytest.mark.arm, pytest.mark.download]


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return convert(tmp_path_factory.mktemp("mobilenet"))


@pytest.fixture(scope="module")
def packages(mobilenet: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("ziglang", reason="zig is not installed: pip install 'lite-runtime[wheels]'")
    out = tmp_path_factory.mktemp("small") / "out"
    assert lite_package.main([f"--ops-from={mobilenet}", "--platform=manylinux-aarch64", f"--output={out}"]) == 0
    assert (out / "lite_runtime.h").is_file()
    return out / "manylinux-aarch64"


def test_a_library_for_mobilenet_is_small(packages: Path) -> None:
    size = (packages / "lite_runtime" / zig.LIBRARY).stat().st_size
    print(f"{size:,} bytes")
    assert size <= 200_000


@pytest.mark.parametrize("cpu", ["cortex-a53", "cortex-a76"])
def test_same_answer(packages: Path, mobilenet: Path, tmp_path: Path, cpu: str) -> None:
    unpacked("arm64")
    program = str(ROOT / "tests" / "arm" / "on_device.py")
    command = [*python("arm64", cpu, packages), program, str(mobilenet.parent), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    expected = lite_runtime.load(str(mobilenet))(np.load(mobilenet.with_suffix(".npy")))
    assert_close(np.load(tmp_path / "mobilenet.npy"), expected, 1e-4, cpu)
    doctor = json.loads((tmp_path / "doctor.json").read_text())
    assert "scalar" not in doctor["tiers"]
    assert doctor["self_test"] == {
        "passed": True,
        "detail": "the library lacks operators of the self-test: no network could be run",
    }


def test_the_same_bytes_from_sources_in_another_folder(
    packages: Path, mobilenet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled again from nothing, but for what zig keeps of its own libraries."""
    kept = os.environ.get("ZIG_GLOBAL_CACHE_DIR") or str(zig.source() / "build" / "zig-cache")
    monkeypatch.setenv("ZIG_GLOBAL_CACHE_DIR", kept)
    for name in ("cmake", "schema", "lite_runtime/core"):
        shutil.copytree(ROOT / name, tmp_path / "sources" / name)
    shutil.copyfile(ROOT / "CMakeLists.txt", tmp_path / "sources" / "CMakeLists.txt")
    monkeypatch.setenv("LITE_RUNTIME_SOURCE", str(tmp_path / "sources"))
    again = zig.build_engine(zig.PLATFORMS["manylinux-aarch64"], tmp_path / "work", selection.of_models([mobilenet]))
    assert again.read_bytes() == (packages / "lite_runtime" / zig.LIBRARY).read_bytes()


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (DATA / "ms" / "cnn.ms", ", Softmax '"),
        # Its operators are there, but for those that quantise, and not their form for integers.
        (Path("quantized/mobilenet.ms"), ", Conv2DFusion of quantised integers '"),
    ],
)
def test_other_models_are_refused_by_names_of_operators(
    packages: Path, mobilenet: Path, model: Path, words: str
) -> None:
    error = _refusal(packages, mobilenet.parent / model)
    assert " node(s) have an operator that this library leaves out: " in error
    assert words in error


def _refusal(packages: Path, model: Path) -> str:
    """How the library refuses the model. It must say that something is left out, and what to do."""
    program = f"import lite_runtime; lite_runtime.load({str(model)!r})"
    done = subprocess.run([*python("arm64", "cortex-a72", packages), "-c", program], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    error = done.stderr.splitlines()[-1]
    assert error.startswith("lite_runtime.errors.UnsupportedModelError: ")
    assert "this library leaves out" in error
    assert error.endswith(". Build it again with this model too: --ops-from=FILE")
    return error


def _converted(nodes: list[Any], weights: dict[str, np.ndarray], shape: list[int], out: Path, **options: Any) -> Path:
    """The model that the converter makes of these ONNX nodes, from x of float32, or of int32, to y."""
    kind = TensorProto.INT32 if any(w.dtype == np.int32 for w in weights.values()) else TensorProto.FLOAT
    ends = [helper.make_tensor_value_info("x", kind, shape)], [helper.make_tensor_value_info("y", kind, None)]
    constants = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "g", *ends, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), out / "m.onnx")
    converter.convert(out / "m.onnx", out / "m.ms", **options)
    return out / "m.ms"


def _random(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).standard_normal(shape).astype(np.float32)


_CONV = helper.make_node("Conv", ["x", "w"], ["c"])
_MEAN = helper.make_node("ReduceMean", ["pixels"], ["y"], axes=[2, 3], keepdims=0)
_PRODUCT = helper.make_node("MatMul", ["x", "w"], ["y"])
_WEIGHTS_ONLY = {"common_quant_param": {"quant_type": "WEIGHT_QUANT", "min_quant_weight_size": "0"}}


@pytest.mark.parametrize(
    ("nodes", "weights", "shape", "options", "words"),
    [
        (
            [_CONV, helper.make_node("Relu", ["c"], ["pixels"]), _MEAN],
            _random(8, 3, 3, 3),
            [1, 3, 8, 8],
            {},
            "activation_type RELU",
        ),
        ([helper.make_node("Mul", ["x", "w"], ["y"])], _random(8), [4, 8], {}, "MulFusion"),
        ([helper.make_node("Add", ["x", "w"], ["y"])], np.arange(8, dtype=np.int32), [4, 8], {}, "type int32"),
        ([_PRODUCT], _random(64, 64), [4, 64], {"config": _WEIGHTS_ONLY}, "weights stored as int8"),
        ([_PRODUCT], _random(64, 64), [4, 64], {"fp16": True}, "float16"),
    ],
)
def test_forms_that_are_left_out_are_refused_by_name(
    nodes: list[Any], weights: np.ndarray, shape: list[int], options: dict[str, Any], words: str,
    packages: Path, tmp_path: Path,
) -> None:  # fmt: skip
    assert words in _refusal(packages, _converted(nodes, {"w": weights}, shape, tmp_path, **options))


def test_a_mode_that_is_left_out_is_refused_by_name(packages: Path, tmp_path: Path) -> None:
    node = helper.make_node("ReduceMax", ["x"], ["y"], axes=[1])
    assert "mode ReduceMax" in _refusal(packages, _converted([node], {}, [4, 8], tmp_path))


def test_windows_without_their_fast_kernels(packages: Path, tmp_path: Path) -> None:
    """3x3 with a stride of 1, and depthwise 5x5: MobileNetV2 has neither."""
    unpacked("arm64")
    nodes = [
        helper.make_node("Conv", ["x", "square"], ["c"], pads=[1] * 4),
        helper.make_node("Conv", ["c", "depthwise"], ["pixels"], pads=[2] * 4, group=32),
        _MEAN,
    ]
    weights = {"square": _random(32, 32, 3, 3), "depthwise": _random(32, 1, 5, 5)}
    model = _converted(nodes, weights, [1, 32, 24, 24], tmp_path)
    np.save(model.with_suffix(".npy"), _random(1, 24, 24, 32))
    (tmp_path / "out").mkdir()
    program = str(ROOT / "tests" / "arm" / "on_device.py")
    command = [*python("arm64", "cortex-a72", packages), program, str(tmp_path), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    expected = lite_runtime.load(str(model))(np.load(model.with_suffix(".npy")))
    # Winograd's sums, here only, are less exact.
    assert_close(np.load(tmp_path / "out" / "m.npy"), expected, 1e-4, "windows")
