"""Resize, against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from harness import Case, check, run_op
from witness import first, last, onnx_node

from lite_runtime.errors import ShapeError, UnsupportedModelError

RNG = np.random.default_rng(10)
# Blends of at most 16 float32 values, with weights rounded in single precision.
TOLERANCE = 2e-6
MODES = {"ASYMMETRIC": "asymmetric", "ALIGN_CORNERS": "align_corners", "HALF_PIXEL": "half_pixel"}
NEAREST = {
    "ROUND_HALF_DOWN": "round_prefer_floor",
    "ROUND_HALF_UP": "round_prefer_ceil",
    "FLOOR": "floor",
    "CEIL": "ceil",
}
SIZES = [((1, 4, 5, 3), (8, 10)), ((2, 6, 8, 20), (10, 12)), ((1, 9, 7, 17), (4, 3)), ((1, 5, 5, 1), (1, 1))]
SIZES += [((1, 1, 1, 4), (3, 2)), ((1, 3, 11, 2), (9, 5))]


def uniform(*shape: int) -> np.ndarray:
    return RNG.uniform(-1, 1, shape).astype(np.float32)


def onnx_resize(x: np.ndarray, size: tuple[int, int], **attrs: Any) -> np.ndarray:
    sizes = np.array([x.shape[0], x.shape[3], *size], np.int64)
    (y,) = onnx_node("Resize", [first(x), None, None, sizes], **attrs)
    return last(y)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("shape", "size"), SIZES)
@pytest.mark.parametrize("coordinates", MODES)
def test_linear(coordinates: str, shape: tuple[int, ...], size: tuple[int, int], threads: int) -> None:
    x = uniform(*shape)
    expected = onnx_resize(x, size, mode="linear", coordinate_transformation_mode=MODES[coordinates])
    attrs = {"method": "LINEAR", "coordinate_transform_mode": coordinates, "new_height": size[0], "new_width": size[1]}
    check(Case("Resize", (x,), expected, attrs, TOLERANCE), threads=threads)


@pytest.mark.parametrize("rounding", [None, *NEAREST])
@pytest.mark.parametrize(("shape", "size"), SIZES)
@pytest.mark.parametrize("coordinates", MODES)
def test_nearest(coordinates: str, shape: tuple[int, ...], size: tuple[int, int], rounding: str | None) -> None:
    x = uniform(*shape)
    # Without a mode, positions are cut off, but rounded where the corners are aligned.
    plain = "round_prefer_ceil" if coordinates == "ALIGN_CORNERS" else "floor"
    expected = onnx_resize(
        x,
        size,
        mode="nearest",
        coordinate_transformation_mode=MODES[coordinates],
        nearest_mode=NEAREST[rounding] if rounding else plain,
    )
    attrs: dict[str, Any] = {"method": "NEAREST", "coordinate_transform_mode": coordinates}
    attrs |= {"new_height": size[0], "new_width": size[1]}
    if rounding:
        attrs["nearest_mode"] = rounding
    check(Case("Resize", (x,), expected, attrs), threads=2)


@pytest.mark.parametrize("exclude", [0, 1])
@pytest.mark.parametrize("coefficient", [-0.5, -0.75])
@pytest.mark.parametrize(("shape", "size"), SIZES)
@pytest.mark.parametrize("coordinates", MODES)
def test_cubic(
    coordinates: str, shape: tuple[int, ...], size: tuple[int, int], coefficient: float, exclude: int
) -> None:
    x = uniform(*shape)
    expected = onnx_resize(
        x,
        size,
        mode="cubic",
        coordinate_transformation_mode=MODES[coordinates],
        cubic_coeff_a=coefficient,
        exclude_outside=exclude,
    )
    attrs = {"method": "CUBIC", "coordinate_transform_mode": coordinates, "cubic_coeff": coefficient}
    attrs |= {"exclude_outside": exclude, "new_height": size[0], "new_width": size[1]}
    check(Case("Resize", (x,), expected, attrs, TOLERANCE), threads=2)


@pytest.mark.parametrize("mode", ["fed", "mixed", "constant"])
@pytest.mark.parametrize(
    "given",
    [
        np.array([8, 10], np.int32),
        np.array([1, 8, 10, 3], np.int32),
        np.array([8, 10], np.int64),
        np.array([2, 2], np.float32),
        np.array([1, 2, 2, 1], np.float32),
        np.array([1.9, 2.1], np.float32),  # sizes are rounded
    ],
    ids=str,
)
def test_size_as_an_input(given: np.ndarray, mode: str) -> None:
    x = uniform(1, 4, 5, 3)
    expected = np.repeat(np.repeat(x, 2, 1), 2, 2)
    check(Case("Resize", (x, given), expected, {"method": "NEAREST"}), mode)


def test_zoom_factor() -> None:
    x = uniform(1, 3, 4, 2)
    expected = onnx_resize(x, (7, 10), mode="linear", coordinate_transformation_mode="align_corners")
    attrs = {"method": "LINEAR", "coordinate_transform_mode": "ALIGN_CORNERS"}
    check(Case("Resize", (x, np.array([3], np.int32)), expected, attrs, TOLERANCE), "mixed")


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float64, np.bool_])
def test_nearest_moves_values_of_any_type(dtype: type) -> None:
    x = RNG.integers(0, 2, (2, 3, 4, 5)).astype(dtype)
    expected = np.repeat(np.repeat(x, 3, 1), 2, 2)
    check(Case("Resize", (x,), expected, {"method": "NEAREST", "new_height": 9, "new_width": 8}))


def test_no_images() -> None:
    (y,) = run_op("Resize", [uniform(0, 3, 4, 5)], {"method": "LINEAR", "new_height": 6, "new_width": 8})
    assert y.shape == (0, 6, 8, 5)


def test_refusals() -> None:
    x, size = uniform(1, 3, 4, 2), {"new_height": 6, "new_width": 8}
    for inputs, attrs, message in [
        ([x], {}, "new size 0 x 0"),
        ([x], {"new_height": -1, "new_width": 8}, "new size -1 x 8"),
        ([x, np.array([np.inf, 1], np.float32)], {}, "new size -1 x 4"),
        ([x, np.array([1, 2, 3], np.int32)], {}, "3 values"),
        ([x[0]], size, "4 dimensions"),
        ([uniform(1, 0, 4, 2)], size, "out of range"),
    ]:
        with pytest.raises(ShapeError, match=message):
            run_op("Resize", inputs, attrs)
    for data, attrs, message in [
        (x, {**size, "method": "UNKNOWN"}, "method=-1"),
        (x, {**size, "preserve_aspect_ratio": True}, "preserve_aspect_ratio"),
        (x.astype(np.int32), {**size, "method": "LINEAR"}, "int32"),
    ]:
        with pytest.raises(UnsupportedModelError, match=message):
            run_op("Resize", [data], attrs)
