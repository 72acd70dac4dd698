"""Quantised TFLite models stay integers and give the answers of LiteRT's reference kernels, within 1.

LiteRT rounds a scaled sum twice (in fixed point), this runtime once (to nearest, half to even), so results that lie
half-way differ by 1.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")
pytest.importorskip("tflite")

from ai_edge_litert.interpreter import Interpreter, OpResolverType
from tflite_nets import Case, Const, build, litert

import converter
import lite_runtime as mslite
from converter.errors import UnsupportedError
from converter.exporter import export
from converter.importers.tflite import load
from converter.passes import optimize
from converter.witness import feed
from lite_runtime import _native

_random = np.random.default_rng(5)
_X, _W, _Y = (0.05, -3), (0.02, 0), (0.07, 4)


def _q(*shape: int, dtype: Any = np.int8) -> np.ndarray:
    limits = np.iinfo(dtype)
    return _random.integers(limits.min, limits.max + 1, shape).astype(dtype)


def _weights(*shape: int) -> Const:
    return Const(_random.integers(-127, 128, shape), np.int8)


def _scales(n: int) -> list[float]:
    return [float(s) for s in _random.uniform(0.005, 0.03, n)]


def _bias(n: int) -> Const:
    return Const(_random.integers(-4000, 4000, n), np.int32)


def _conv(kind: str, x: np.ndarray, weight: Const, axis_zero: int | None, **options: Any) -> Case:
    channels = weight.array.shape[0 if kind == "CONV_2D" else -1]
    scales = _scales(channels)
    quantization = {
        "x0": _X,
        "const1": (scales, axis_zero),
        "const2": ([s * _X[0] for s in scales], 0),
        "y0": (0.6, 7),
    }
    return Case(
        kind,
        [x, weight, _bias(channels)],
        {"strideW": 1, "strideH": 1, **options},
        results=(np.int8,),
        options_type="Conv2DOptions" if kind == "CONV_2D" else "DepthwiseConv2DOptions",
        version=3,
        quantization=quantization,
    )


def _case(op: str, operands: list[Any], options: dict[str, Any], kind: str, *quantization: Any) -> Case:
    """The scales and zero points of the operands, in order, then that of the result."""
    names = [f"{'const' if isinstance(x, Const) else 'x'}{i}" for i, x in enumerate(operands)]
    pairs = dict(zip([*names, "y0"], quantization))
    dtype = next(x.dtype for x in operands if not isinstance(x, Const))
    version = 1 if op in ("HARD_SWISH", "RESHAPE") else 2  # 2: with int8
    return Case(op, operands, options, (dtype,), kind, version, {k: v for k, v in pairs.items() if v is not None})


CASES = [
    *(_conv("CONV_2D", _q(2, 9, 8, 5), _weights(11, 3, 3, 5), 0, padding=p, strideW=s, strideH=s,
            fusedActivationFunction=a)
      for p in (0, 1) for s in (1, 2) for a in (0, 1, 3)),
    _conv("CONV_2D", _q(1, 6, 7, 19), _weights(13, 1, 1, 19), 0),
    _conv("CONV_2D", _q(1, 9, 9, 4), _weights(8, 3, 3, 4), 0, dilationWFactor=2, dilationHFactor=2),
    *(_conv("DEPTHWISE_CONV_2D", _q(2, 9, 8, 21), _weights(1, k, k, 21), None, padding=p, strideW=s, strideH=s,
            depthMultiplier=1)
      for k in (3, 5) for p in (0, 1) for s in (1, 2)),
    *(_case("FULLY_CONNECTED", [_q(n, 37), _weights(9, 37), _bias(9)], {}, "FullyConnectedOptions",
            _X, _W, (_X[0] * _W[0], 0), (0.4, -11))
      for n in (1, 5)),
    *(_case(op, [_q(2, 3, 4), _q(*shape)], {"fusedActivationFunction": a}, f"{op.capitalize()}Options",
            _X, (0.03, 9), y)
      for op, y in (("ADD", _Y), ("SUB", _Y), ("MUL", (0.11, 3)))
      for shape in ((2, 3, 4), (4,), (3, 1), (1,)) for a in (0, 1)),
    *(_case(op, [np.array([x], np.int8), np.array([[y]], np.int8)], {}, f"{op.capitalize()}Options",
            _X, (0.03, 9), _Y)
      for op in ("ADD", "SUB", "MUL") for x, y in ((100, -90), (-3, 120))),
    *(_case(f"{kind}_POOL_2D", [_q(1, 9, 8, 20)],
            {"padding": p, "strideW": s, "strideH": s, "filterWidth": 3, "filterHeight": 3}, "Pool2DOptions", _X, _X)
      for kind in ("AVERAGE", "MAX") for p in (0, 1) for s in (1, 2)),
    _case("CONCATENATION", [_q(2, 3, 4), _q(2, 3, 5), Const(_q(2, 3, 2), np.int8)], {"axis": 2},
          "ConcatenationOptions", _X, _X, _X, _X),
    *(_case(op, [_q(3, 300)], {}, "", _X, y)
      for op, y in (("LOGISTIC", (1 / 256, -128)), ("TANH", (1 / 128, 0)), ("RELU", _Y), ("RELU6", _Y))),
    _case("HARD_SWISH", [_q(3, 300)], {}, "HardSwishOptions", _X, _Y),
    _case("LEAKY_RELU", [_q(3, 300)], {"alpha": 0.2}, "LeakyReluOptions", _X, _Y),
    _case("SOFTMAX", [_q(6, 40)], {"beta": 1.0}, "SoftmaxOptions", _X, (1 / 256, -128)),
    *(_case("MEAN", [_q(*shape), Const(axes)], {"keepDims": keep}, "ReducerOptions", _X, None, y)
      for shape, axes, keep, y in (
          ((2, 5, 4, 9), [1, 2], True, (0.03, 4)),
          ((1, 7, 7, 300), [-2, 1], False, (0.03, -3)),
          ((3, 5, 4, 9), [0, 1], False, (0.03, 4)),
          ((2, 5, 4, 9), [1, 3], False, (0.03, 4)),
          ((3, 70), [1], True, (0.02, 0)),
      )),
    _case("PAD", [_q(2, 3, 4), Const([[0, 0], [1, 2], [0, 1]])], {}, "PadOptions", _X, None, _X),
    _case("RESHAPE", [_q(2, 3, 4), Const([4, 6])], {"newShape": [4, 6]}, "ReshapeOptions", _X, None, _X),
    _case("TRANSPOSE", [_q(2, 3, 4), Const([2, 0, 1])], {}, "TransposeOptions", _X, None, _X),
    _case("RESIZE_BILINEAR", [_q(1, 4, 5, 3), Const([8, 10])], {"halfPixelCenters": True}, "ResizeBilinearOptions",
          _X, None, _X),
    _case("RESIZE_NEAREST_NEIGHBOR", [_q(1, 4, 5, 3), Const([8, 10])], {}, "ResizeNearestNeighborOptions",
          _X, None, _X),
    _case("MAXIMUM", [_q(2, 3, 4), _q(2, 3, 4)], {}, "MaximumMinimumOptions", _X, _X, _X),
    # A short row that meets all others, in more than one piece; on either side.
    *(_case(op, operands, {}, f"{op.capitalize()}Options", _X, (0.03, 9), y)
      for op, y in (("ADD", _Y), ("SUB", _Y), ("MUL", (0.11, 3)))
      for operands in ([_q(2, 30, 35, 24), _q(2, 1, 1, 24)], [_q(1, 1, 1, 7), _q(1, 9, 300, 7)])),
]  # fmt: skip


def _session(path: Path, level: str, outputs: bool = False) -> tuple[_native.Session, list[str]]:
    """A session for a model; with ``outputs`` every quantised tensor of the graph is one."""
    model = load(str(path))
    if outputs:
        inner = [v for n in model.main.nodes for v in n.outputs if v.quant and n.op != "Assign"]
        model.main.outputs = list(dict.fromkeys([*model.main.outputs, *inner]))
    names = [v.name for v in model.main.outputs]
    optimize(model, level)
    return _native.Session(_native.Model.from_buffer(export(model)), threads=2), names


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operator(case: Case, tmp_path: Path) -> None:
    expected = litert(build(case), case.inputs, OpResolverType.BUILTIN_REF)
    path = tmp_path / "net.tflite"
    path.write_bytes(build(case, [y.shape for y in expected]))
    for level in ("none", "general"):
        session, _ = _session(path, level)
        feed(session, case.inputs)
        session.run()
        for actual, answer in zip(session.output_values(), expected):
            assert actual.dtype == answer.dtype and actual.shape == answer.shape
            difference = np.abs(actual.astype(int) - answer.astype(int))
            assert difference.max() <= 1, f"{level}: {difference.max()}"
            # Ties are rare among random numbers: more of them mean another formula.
            assert np.count_nonzero(difference) <= 0.1 * difference.size + 1


def _answers() -> Iterator[np.ndarray]:
    """Our answer to every case, as this process computes it."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            path = Path(folder) / "net.tflite"
            path.write_bytes(build(case, [y.shape for y in litert(build(case), case.inputs)]))
            session, _ = _session(path, "general")
            feed(session, case.inputs)
            session.run()
            yield from session.output_values()


def test_every_tier_gives_the_same_bits(tmp_path: Path) -> None:
    script = "import numpy, sys, test_tflite_quantized as t; numpy.savez(sys.argv[1], *t._answers())"
    found = []
    for tier in ("", "sse2", "scalar"):
        path = tmp_path / f"answers{tier}.npz"
        search = os.pathsep.join([str(Path(__file__).parent), *sys.path])
        environment = {**os.environ, "LITE_RUNTIME_ISA": tier, "PYTHONPATH": search}
        subprocess.run([sys.executable, "-c", script, path], check=True, env=environment)
        with np.load(path) as arrays:
            found.append([arrays[name] for name in arrays.files])
    for others in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], others, strict=True))


def test_what_has_no_integer_form_is_refused(tmp_path: Path) -> None:
    case = _case("PRELU", [_q(2, 3, 4), _weights(3, 4)], {}, "", _X, _W, _Y)
    path = tmp_path / "net.tflite"
    path.write_bytes(build(case, [[2, 3, 4]]))
    with pytest.raises(UnsupportedError, match=r"PRELU.*not offered for quantised tensors"):
        load(str(path))


@pytest.fixture(scope="module")
def wake_words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--python-version", "3.11",
               "--only-binary", ":all:", "--dest", str(folder), "--platform", "manylinux_2_35_x86_64",
               "pymicro-wakeword==2.5.0"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        for name in archive.namelist():
            if name.endswith(".tflite"):
                (folder / Path(name).name).write_bytes(archive.read(name))
    return folder


@pytest.mark.download
@pytest.mark.parametrize("level", ["none", "general"])
@pytest.mark.parametrize("name", ["okay_nabu", "alexa", "hey_jarvis", "hey_mycroft"])
def test_wake_words_over_time(wake_words: Path, name: str, level: str) -> None:
    """Models that remember: after every step of a sequence the output is LiteRT's within 1. Inside, where the
    differences of one layer meet those of the next, tensors stay within 6 of 255."""
    path = wake_words / f"{name}.tflite"
    session, names = _session(path, level, outputs=True)
    reference = Interpreter(
        str(path),
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    reference.allocate_tensors()
    indices = {detail["name"]: detail["index"] for detail in reference.get_tensor_details()}
    detail = reference.get_input_details()[0]
    random = np.random.default_rng(28)
    spectrum = random.standard_normal(detail["shape"][-1])
    logits = set()
    for _ in range(60):
        x = np.empty(detail["shape"], np.int8)
        for frame in range(x.shape[1]):
            spectrum = 0.9 * spectrum + 0.45 * random.standard_normal(spectrum.size)
            x[0, frame] = np.clip(16 * np.convolve(spectrum, np.ones(5), "same"), -128, 127)
        reference.set_tensor(detail["index"], x)
        reference.invoke()
        feed(session, [x])
        session.run()
        for position, (tensor, actual) in enumerate(zip(names, session.output_values())):
            if tensor not in indices:  # a result that a file's operator shares with its input
                continue
            expected = reference.get_tensor(indices[tensor])
            difference = np.abs(actual.astype(int).ravel() - expected.astype(int).ravel()).max()
            assert difference <= (1 if position == 0 else 6), tensor
            if actual.size == 1:
                logits.add(int(expected.ravel()[0]))
    assert len(logits) > 10  # the network did tell its inputs apart


@pytest.mark.download
def test_variables_can_be_reset(wake_words: Path, tmp_path: Path) -> None:
    converter.convert(wake_words / "hey_mycroft.tflite", tmp_path / "net.ms", check=False)
    interpreter = mslite.Interpreter(str(tmp_path / "net.ms"))
    predictor = mslite.load(tmp_path / "net.ms")
    interpreter.allocate_tensors()
    x = _q(1, 3, 40)
    start, end = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    runs = []
    for _ in range(2):
        answers = []
        for step in range(30):
            interpreter.set_tensor(start, np.roll(x, step))
            interpreter.invoke()
            answers.append(int(interpreter.get_tensor(end).ravel()[0]))
            assert int(predictor(np.roll(x, step)).ravel()[0]) == answers[-1]
        interpreter.reset_all_variables()
        predictor.reset()
        runs.append(answers)
    assert runs[0] == runs[1]
