"""Arithmetic in float16 on emulated ARM CPUs: whole models, and values that leave float16's range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from cpp_build import ROOT, assert_all_passed, build, model_arguments, recorded_files
from onnx_cases import Case, node, witness
from support import CORPUS, channels_last, recorded

import converter

pytestmark = pytest.mark.arm

_TARGET = "aarch64-linux-gnu"
# Of the largest value: about ten times what one rounding to float16 may change, for nets of fifty layers.
_TOLERANCE = "1e-2"
_RNG = np.random.default_rng(5)


@pytest.fixture(scope="module")
def model_test() -> Path:
    toolchain = f"-DCMAKE_TOOLCHAIN_FILE={ROOT / 'cmake' / _TARGET}.cmake"
    return build(f"tests-{_TARGET}", ["model_test"], toolchain, "-DCMAKE_EXE_LINKER_FLAGS=-static") / "model_test"


def _run(program: Path, cpu: str, *arguments: str) -> None:
    assert_all_passed(["qemu-aarch64", "-cpu", cpu, str(program), *arguments])


@pytest.mark.parametrize("name", ["mobilenet_v2_035_96", "mobilenet_v3_small_075", "shufflenet_v2_x0_5"])
def test_networks(model_test: Path, tmp_path: Path, name: str) -> None:
    """MindSpore's recorded outputs, and the same class."""
    source = CORPUS / "zoo" / f"{name}.mindir"
    if not source.is_file():
        pytest.skip("the corpus is not there")
    converter.convert(source, tmp_path / "net.ms")
    inputs, outputs = recorded(source.with_suffix(".npz"))
    files = recorded_files(tmp_path, channels_last(inputs), outputs)
    _run(model_test, "cortex-a76", str(tmp_path / "net.ms"), "2", "float16", _TOLERANCE, *files)


@pytest.mark.parametrize(
    ("cpu", "precision"), [("cortex-a72", "refused"), ("cortex-a76", "float16"), ("max", "float16")]
)
@pytest.mark.parametrize("name", ["cnn", "tenc"])
def test_every_cpu(model_test: Path, tmp_path: Path, name: str, cpu: str, precision: str) -> None:
    path, threads, _, _, *files = model_arguments(name, tmp_path, threads=2)
    _run(model_test, cpu, path, threads, precision, _TOLERANCE, *files)


def _weights(largest: float, *shape: int) -> np.ndarray:
    values: np.ndarray = _RNG.uniform(-1, 1, shape).astype(np.float32)
    return values * np.float32(largest / np.abs(values).max())


def _check(
    program: Path, folder: Path, nodes: Sequence[onnx.NodeProto], constants: Mapping[str, Any], *how: str
) -> None:
    """A net of ``x`` of 1x6x9x9 against ONNX Runtime; how: precision and tolerance."""
    x = _RNG.uniform(-1, 1, (1, 6, 9, 9)).astype(np.float32)
    # Flattened, results have ONNX's order.
    flat = node("Flatten", nodes[-1].output[0], name="flat")
    path = Case("net", [*nodes, flat], {"x": x}, constants).save(folder)
    expected = witness(path, {"x": x})
    assert all(np.isfinite(value).all() for value in expected)
    converter.convert(path, folder / "net.ms")
    files = recorded_files(folder, channels_last([x]), expected)
    for threads in ("1", "2"):
        _run(program, "cortex-a76", str(folder / "net.ms"), threads, *how, *files)


def _chain(*operators: str) -> list[onnx.NodeProto]:
    """Operators one after the other; the weights of a Conv are the constants w0, w1, ... by its place."""
    names = ["x", *(f"v{i}" for i in range(len(operators)))]
    return [
        node(op, names[i], *([f"w{i}"] if op == "Conv" else []), name=names[i + 1]) for i, op in enumerate(operators)
    ]


def test_weights_too_large_for_float16(model_test: Path, tmp_path: Path) -> None:
    """That convolution is computed in float32, its neighbours are not."""
    weights = {"w0": _weights(1e5, 8, 6, 3, 3), "w2": _weights(1, 8, 8, 1, 1), "w3": _weights(1, 8, 8, 1, 1)}
    nodes = _chain("Conv", "Tanh", "Conv", "Conv", "Softmax")
    _check(model_test, tmp_path, nodes, weights, "float16", _TOLERANCE)


def test_weights_too_small_for_float16(model_test: Path, tmp_path: Path) -> None:
    weights = {"w0": _weights(3e-7, 8, 6, 3, 3), "w1": _weights(1e6, 8, 8, 1, 1), "w2": _weights(1, 8, 8, 1, 1)}
    _check(model_test, tmp_path, _chain("Conv", "Conv", "Conv", "Neg"), weights, "float16", _TOLERANCE)


@pytest.mark.parametrize("last", ["Neg", "Sigmoid", "Softmax"])
def test_values_too_large_for_float16(model_test: Path, tmp_path: Path, last: str) -> None:
    """The session finds out by itself: its answers are those of float32, also where the limits would hide infinity."""
    weights = {f"w{i}": _weights(300, 8, 6 if i == 0 else 8, 1, 1) for i in range(3)}
    weights["w3"] = _weights(1e-6, 8, 8, 1, 1)
    _check(model_test, tmp_path, _chain("Conv", "Conv", "Conv", "Conv", last), weights, "overflow", "1e-5")


def test_depthwise_values_too_large_for_float16(model_test: Path, tmp_path: Path) -> None:
    weights = {"w0": _weights(300, 8, 6, 1, 1), "w1": _weights(300, 8, 1, 3, 3), "w2": _weights(1e-4, 8, 8, 1, 1)}
    nodes = _chain("Conv", "Conv", "Conv")
    nodes[1] = node("Conv", "v0", "w1", name="v1", group=8)
    _check(model_test, tmp_path, nodes, weights, "overflow", "1e-5")


def test_inputs_too_large_for_float16(model_test: Path, tmp_path: Path) -> None:
    nodes = [node("Mul", "x", "scale", name="s"), *_chain("Conv", "Conv")]
    nodes[1] = node("Conv", "s", "w0", name="v0")
    weights = {"scale": np.float32(1e6), "w0": _weights(1, 8, 6, 3, 3), "w1": _weights(1, 8, 8, 1, 1)}
    _check(model_test, tmp_path, nodes, weights, "overflow", "1e-5")


def test_shapes_that_depend_on_values_are_for_float32(model_test: Path, tmp_path: Path) -> None:
    nodes = [*_chain("Conv", "NonZero"), node("Cast", "v1", name="v2", to=1)]
    _check(model_test, tmp_path, nodes, {"w0": _weights(1, 8, 6, 1, 1)}, "refused", "0")
