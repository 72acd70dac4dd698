"""lite_runtime.Interpreter is LiteRT's and tflite_runtime's: one script, the same details and answers on each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")
pytest.importorskip("tflite")

from packaged import fetch
from support import DATA, PACKAGES, assert_close
from tflite_nets import Case, Const, build, litert

import converter
import lite_runtime
from lite_runtime import ArgumentError, ExecutionError, Interpreter, ModelFileError, ModelFormatError, ShapeError

_SCRIPT = Path(__file__).parent / "interpreter_script.py"
_random = np.random.default_rng(5)
_CONV = {"strideW": 1, "strideH": 1, "dilationWFactor": 1, "dilationHFactor": 1, "padding": 0}


def _integers(dtype: Any, *shape: int) -> np.ndarray:
    info = np.iinfo(dtype)
    return _random.integers(info.min, info.max + 1, shape).astype(dtype)


CASES = {
    "float": Case(
        "CONV_2D",
        [
            _random.standard_normal((2, 9, 11, 6), np.float32),
            Const(_random.standard_normal((5, 3, 3, 6)), np.float32),
            Const(np.arange(5), np.float32),
        ],
        _CONV,
        options_type="Conv2DOptions",
    ),
    "int8": Case(
        "CONV_2D",
        [_integers(np.int8, 2, 9, 11, 6), Const(_integers(np.int8, 5, 3, 3, 6), np.int8), Const(np.arange(5) * 100)],
        _CONV,
        [np.int8],
        "Conv2DOptions",
        version=3,
        quantization={
            "x0": (0.05, -3),
            "const1": ([0.01, 0.02, 0.03, 0.015, 0.025], 0),
            "const2": ([0.0005, 0.001, 0.0015, 0.00075, 0.00125], 0),
            "y0": (0.4, 7),
        },
    ),
    "uint8": Case("DEQUANTIZE", [_integers(np.uint8, 2, 3, 4, 5)], quantization={"x0": (0.25, 128)}),
    "two inputs": Case("ADD", [_random.standard_normal((3, 4), np.float32)] * 2, options_type="AddOptions"),
}


def _convert(case: Case, folder: Path) -> tuple[Path, Path]:
    """A .tflite file of the case and the .ms file made from it."""
    source, target = folder / "net.tflite", folder / "net.ms"
    shapes = [y.shape for y in litert(build(case), case.inputs)]
    source.write_bytes(build(case, shapes))
    converter.convert(source, target)
    return source, target


def _run(python: str, module: str, model: Path, case: Case, folder: Path, **environment: str) -> tuple[Any, list]:
    """What the script says of the model and its answers, with the Interpreter of a module."""
    inputs, outputs = folder / "in.npz", folder / f"{module}.npz"
    np.savez(inputs, *case.inputs)
    command = [python, str(_SCRIPT), module, str(model), str(inputs), str(outputs)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    with np.load(outputs) as arrays:
        return json.loads(done.stdout), [arrays[name] for name in arrays.files]


def _assert_same(ours: tuple[Any, list], theirs: tuple[Any, list]) -> None:
    assert ours[0] == theirs[0]
    assert len(ours[1]) == len(theirs[1])
    for actual, expected in zip(*(answers for _, answers in (ours, theirs))):
        assert actual.dtype == expected.dtype
        if expected.dtype.kind == "f":
            assert_close(actual, expected)
        else:
            # Of integers half-way between two, LiteRT may take the other one.
            assert np.abs(actual.astype(int) - expected.astype(int)).max() <= 1


@pytest.mark.parametrize("name", CASES)
def test_one_script_on_both(name: str, tmp_path: Path) -> None:
    source, target = _convert(CASES[name], tmp_path)
    ours = _run(sys.executable, "lite_runtime", target, CASES[name], tmp_path, PYTHONPATH=str(PACKAGES))
    theirs = _run(sys.executable, "ai_edge_litert", source, CASES[name], tmp_path)
    _assert_same(ours, theirs)


@pytest.fixture(scope="module")
def tflite_runtime(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python with tflite-runtime 2.14, for which only Pythons up to 3.11 have a wheel."""
    for python in _old_pythons():
        folder = tmp_path_factory.mktemp("tflite_runtime")
        subprocess.run([python, "-m", "venv", folder], check=True)
        inside = str(folder / "bin" / "python")
        packages = ["tflite-runtime==2.14.0", "numpy<2"]
        command = [inside, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", *packages]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return inside
    pytest.skip("no Python 3.9 to 3.11, for which tflite-runtime 2.14 has a wheel")


def _old_pythons() -> list[str]:
    roots = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [sys.executable, *map(str, roots.glob("3.*/bin/python"))]
    probe = "import sys, venv, ensurepip; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 11))"
    return [
        python for python in candidates if subprocess.run([python, "-c", probe], capture_output=True).returncode == 0
    ]


@pytest.mark.download
@pytest.mark.parametrize("name", CASES)
def test_one_script_on_tflite_runtime(name: str, tflite_runtime: str, tmp_path: Path) -> None:
    source, target = _convert(CASES[name], tmp_path)
    ours = _run(sys.executable, "lite_runtime", target, CASES[name], tmp_path, PYTHONPATH=str(PACKAGES))
    theirs = _run(tflite_runtime, "tflite_runtime", source, CASES[name], tmp_path)
    _assert_same(ours, theirs)


# A float model and an int8 one that remembers earlier runs.
_REAL = {
    "face_detection_short_range.tflite": "mediapipe==0.10.14",
    "hey_jarvis.tflite": "pymicro-wakeword==2.5.0",
}


@pytest.mark.download
@pytest.mark.parametrize("name", _REAL)
def test_real_models_side_by_side(name: str, tflite_runtime: str, tmp_path: Path) -> None:
    """One script, one TFLite model: LiteRT and tflite_runtime run it, we run what we made of it."""
    source, target = fetch([_REAL[name]], ".tflite", tmp_path) / name, tmp_path / "net.ms"
    converter.convert(source, target)
    inputs = []
    for spec in lite_runtime.load(str(target)).inputs:
        integers = np.dtype(spec.dtype).kind in "iu"
        inputs.append(_integers(spec.dtype, *spec.shape) if integers else _random.random(spec.shape, np.float32))
    case = Case("", inputs)
    ours = _run(sys.executable, "lite_runtime", target, case, tmp_path, PYTHONPATH=str(PACKAGES))
    for python, module in ((sys.executable, "ai_edge_litert"), (tflite_runtime, "tflite_runtime")):
        _assert_same(ours, _run(python, module, source, case, tmp_path))


@pytest.fixture
def net(tmp_path: Path) -> Interpreter:
    _, target = _convert(CASES["float"], tmp_path)
    return Interpreter(str(target), num_threads=1)


def test_resize(net: Interpreter) -> None:
    index = net.get_input_details()[0]["index"]
    output = net.get_output_details()[0]["index"]
    x = CASES["float"].inputs[0]
    net.allocate_tensors()
    net.set_tensor(index, x)
    net.invoke()
    whole = net.get_tensor(output)
    net.resize_tensor_input(index, [1, 9, 11, 6])
    with pytest.raises(ValueError, match="allocate_tensors"):
        net.invoke()
    net.allocate_tensors()
    assert net.get_output_details()[0]["shape"].tolist() == [1, 9, 11, 5]
    net.set_tensor(index, x[1:])
    net.invoke()
    np.testing.assert_array_equal(net.get_tensor(output), whole[1:])


def test_impossible_resize_is_an_error_and_another_can_follow(net: Interpreter) -> None:
    index = net.get_input_details()[0]["index"]
    net.resize_tensor_input(index, [2, 9, 11, 7])
    with pytest.raises(ShapeError):
        net.allocate_tensors()
    net.resize_tensor_input(index, [2, 9, 11, 6])
    net.allocate_tensors()
    net.invoke()


def test_open_dimensions_start_at_one_and_are_told_apart(tmp_path: Path) -> None:
    converter.convert(DATA / "mindir_v3" / "dyn.mindir", tmp_path / "dyn.ms")
    net = Interpreter(str(tmp_path / "dyn.ms"))
    detail = net.get_input_details()[0]
    assert -1 in detail["shape_signature"]
    assert detail["shape"].tolist() == np.abs(detail["shape_signature"]).tolist()
    index = detail["index"]
    bigger = [3 if size == -1 else size for size in detail["shape_signature"].tolist()]
    net.resize_tensor_input(index, bigger, strict=True)
    net.allocate_tensors()
    net.set_tensor(index, np.ones(bigger, np.float32))
    net.invoke()
    with pytest.raises(ShapeError, match="more than -1"):
        net.resize_tensor_input(index, [*bigger, 1], strict=True)


def test_tensor_is_the_array_itself(net: Interpreter) -> None:
    net.allocate_tensors()
    index, output = net.get_input_details()[0]["index"], net.get_output_details()[0]["index"]
    net.tensor(index)()[:] = CASES["float"].inputs[0]
    net.invoke()
    first = net.get_tensor(output)
    np.testing.assert_array_equal(net.tensor(output)(), first)
    net.tensor(index)()[:] = 0
    net.invoke()
    assert not np.array_equal(net.tensor(output)(), first)


def test_constants_can_be_read_and_all_tensors_are_listed(net: Interpreter) -> None:
    net.allocate_tensors()
    constants = {d["name"]: d["index"] for d in net.get_tensor_details()}
    np.testing.assert_array_equal(net.get_tensor(constants["const1"]), CASES["float"].operands[1].array)
    assert {d["index"] for d in net.get_input_details() + net.get_output_details()} <= set(constants.values())
    net.reset_all_variables()
    assert net.get_signature_list() == {}


_MISTAKES: dict[str, tuple[Callable[[Interpreter], object], type[Exception], str]] = {
    "dtype": (lambda net: net.set_tensor(0, np.zeros((2, 9, 11, 6))), ShapeError, "takes float32.*float64.*astype"),
    "shape": (lambda net: net.set_tensor(0, np.zeros((1, 9, 11, 6), np.float32)), ShapeError, "resize_tensor_input"),
    "layout": (lambda net: net.set_tensor(0, np.zeros((2, 6, 9, 11), np.float32)), ShapeError, "channels last"),
    "index": (lambda net: net.set_tensor(99, np.zeros(1)), ArgumentError, "there is no tensor 99"),
    "negative index": (lambda net: net.get_tensor(-1), ArgumentError, "there is no tensor -1"),
    "index of a name": (lambda net: net.get_tensor("x0"), TypeError, "must be int"),  # type: ignore[arg-type]
    "output set": (lambda net: net.set_tensor(3, np.zeros(1)), ArgumentError, "not an input"),
    "negative size": (lambda net: net.resize_tensor_input(0, [2, -1, 11, 6]), ShapeError, "negative"),
    "constant's array": (lambda net: net.tensor(1), ArgumentError, "get_tensor"),
    "subgraph": (lambda net: net.get_tensor(0, 1), ArgumentError, "main graph"),
}


@pytest.mark.parametrize("name", _MISTAKES)
def test_mistakes_are_explained(name: str, net: Interpreter) -> None:
    mistake, error, message = _MISTAKES[name]
    net.allocate_tensors()
    with pytest.raises(error, match=message):
        mistake(net)


def test_use_before_allocation(net: Interpreter) -> None:
    for early in (net.invoke, lambda: net.get_tensor(3), lambda: net.set_tensor(0, CASES["float"].inputs[0])):
        with pytest.raises(ArgumentError, match="allocate_tensors"):
            early()


def test_what_cannot_be_loaded(tmp_path: Path) -> None:
    source, target = _convert(CASES["float"], tmp_path)
    with pytest.raises(ModelFormatError, match="converter_lite --fmk=TFLITE"):
        Interpreter(str(source))
    with pytest.raises(ModelFormatError, match="converter_lite --fmk=TFLITE"):
        Interpreter(model_content=source.read_bytes())
    with pytest.raises(ModelFormatError):
        Interpreter(model_content=b"nonsense")
    with pytest.raises(ModelFileError):
        Interpreter(str(tmp_path / "absent.ms"))
    for arguments in (
        {},
        {"model_path": str(target), "model_content": b""},
        {"model_path": str(target), "num_threads": 0},
        {"model_path": str(target), "experimental_delegates": ["edgetpu"]},
        {"model_path": str(target), "experimental_preserve_all_tensors": True},
    ):
        with pytest.raises(ArgumentError):
            Interpreter(**arguments)  # type: ignore[arg-type]


def test_a_failed_run_leaves_the_last_answers(tmp_path: Path) -> None:
    table = _random.standard_normal((5, 6), np.float32)
    case = Case("GATHER", [np.array([4, 0, 2], np.int32)[::-1].copy()], {"axis": 0}, options_type="GatherOptions")
    case.operands = [Const(table, np.float32), case.operands[0]]
    _, target = _convert(case, tmp_path)
    net = Interpreter(str(target))
    net.allocate_tensors()
    index, output = net.get_input_details()[0]["index"], net.get_output_details()[0]["index"]
    net.set_tensor(index, case.inputs[0])
    net.invoke()
    net.set_tensor(index, np.array([0, 99, 0], np.int32))
    with pytest.raises(ExecutionError):
        net.invoke()
    np.testing.assert_array_equal(net.get_tensor(output), table[[2, 0, 4]])
