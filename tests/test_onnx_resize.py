"""Resize beside ONNX Runtime: every mode, to short and long results, of sizes known and not known before the run."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from onnx_cases import F32, Case, converted, floats, node, witness
from onnx_suite import run
from support import assert_close

from converter.errors import UnsupportedError
from lite_runtime.errors import ShapeError

_COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric")
_ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
_SHAPES = ((1, 1), (2, 1), (2, 3), (5, 4))
_SIZES = ((1, 1), (1, 5), (2, 2), (7, 1))
_SCALES = ((1, 1), (2, 3), (0.5, 1.5))
_INTERPOLATIONS = [("linear", ""), ("cubic", ""), *(("nearest", rounding) for rounding in _ROUNDINGS)]


def _case(mode: str, coordinates: str, rounding: str, **parameters: np.ndarray) -> Case:
    names = ["", "scales" if "scales" in parameters else "", *(["sizes"] if "sizes" in parameters else [])]
    attributes = {"nearest_mode": rounding} if rounding else {}
    resize = node("Resize", "x", *names, mode=mode, coordinate_transformation_mode=coordinates, **attributes)
    return Case("resize", [resize], {}, parameters, opset=19)


def _targets() -> list[dict[str, np.ndarray]]:
    return [{"sizes": np.array([1, 2, *s])} for s in _SIZES] + [{"scales": np.array([1, 1, *s], F32)} for s in _SCALES]


def _compare(case: Case, shapes: list[tuple[int, ...]], folder: Path) -> int:
    """Runs the model at each shape that ONNX Runtime accepts; how many."""
    path = case.save(folder)
    _, session = converted(path)
    compared = 0
    for shape in shapes:
        inputs = {"x": floats(*shape), **{name: x for name, x in case.inputs.items() if name != "x"}}
        try:
            expected = witness(path, inputs)[0]
        except Exception as error:  # a result of no elements; onnxruntime's exceptions have no base of their own
            assert "onnxruntime" in type(error).__module__
            continue
        if expected.size:
            actual = run(session, list(inputs.values()))[0]
            if not np.allclose(actual, expected, 1e-5, 1e-5):
                # ONNX Runtime rounds places in the middle of two elements otherwise than ONNX does, and aligns the
                # corners of a fractional length otherwise.
                expected = ReferenceEvaluator(onnx.load(path)).run(None, inputs)[0]
            assert_close(actual, expected, 1e-5, f"{case.constants} {shape}")
            compared += 1
    return compared


@pytest.mark.parametrize("coordinates", _COORDINATES)
@pytest.mark.parametrize(("mode", "rounding"), _INTERPOLATIONS)
def test_known_size(mode: str, rounding: str, coordinates: str, tmp_path: Path) -> None:
    compared = 0
    for target, shape in itertools.product(_targets(), _SHAPES):
        if "scales" in target and min(int(n * s) for n, s in zip(shape, target["scales"][2:])) < 1:
            continue
        case = _case(mode, coordinates, rounding, **target)
        case.inputs = {"x": floats(1, 2, *shape)}
        compared += _compare(case, [(1, 2, *shape)], tmp_path)
    assert compared >= 20


@pytest.mark.parametrize("coordinates", _COORDINATES)
@pytest.mark.parametrize(("mode", "rounding"), _INTERPOLATIONS)
@pytest.mark.parametrize("fed", [False, True], ids=["constant", "fed"])
def test_open_size(mode: str, rounding: str, coordinates: str, fed: bool, tmp_path: Path) -> None:
    """Right at every size, or refused when it is converted."""
    for target in _targets():
        if fed and "sizes" not in target:
            continue
        case = _case(mode, coordinates, rounding, **target)
        case.inputs = {"x": floats(1, 2, 5, 4), **(target if fed else {})}
        case.constants = {} if fed else target
        case.dynamic = {"x": (2, 3)}
        try:
            assert _compare(case, [(1, 2, *shape) for shape in _SHAPES], tmp_path) == len(_SHAPES)
        except UnsupportedError as error:
            assert "only known at run time" in str(error)


def test_stated_sizes_hold_open_batches_to_them(tmp_path: Path) -> None:
    """ONNX would mix images of a batch that is not the stated one."""
    case = _case("linear", "half_pixel", "", sizes=np.array([1, 2, 6, 6]))
    case.inputs, case.dynamic = {"x": floats(1, 2, 3, 4)}, {"x": (0, 1, 2)}
    assert _compare(case, [(1, 2, 3, 4), (1, 2, 5, 4)], tmp_path) == 2
    _, session = converted(case.save(tmp_path))
    with pytest.raises(ShapeError):
        run(session, [floats(2, 2, 3, 4)])
    case.inputs = {"x": floats(1, 3, 3, 4)}
    case.dynamic = {"x": (2,)}
    with pytest.raises(UnsupportedError, match="just height and width"):
        converted(case.save(tmp_path))
