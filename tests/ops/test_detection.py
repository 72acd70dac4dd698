"""Boxes and parts of images: against ONNX Runtime and against loops that follow the definition."""

from __future__ import annotations

import itertools
import math

import numpy as np
import onnxruntime
import pytest
from harness import MODES, Case, check, run_op
from onnx import TensorProto, helper

from lite_runtime.errors import ExecutionError, ShapeError, UnsupportedModelError

RNG = np.random.default_rng(9)
F32, I32 = np.float32, np.int32


def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    return RNG.uniform(low, high, shape).astype(F32)


def suppressed_by_onnx(inputs: list[np.ndarray], **attrs: int) -> np.ndarray:
    names = ["boxes", "scores", "most", "overlap", "score"][: len(inputs)]
    feeds = dict(zip(names, inputs))
    if "most" in feeds:
        feeds["most"] = feeds["most"].astype(np.int64)
    types = {"boxes": TensorProto.FLOAT, "scores": TensorProto.FLOAT, "most": TensorProto.INT64}
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("NonMaxSuppression", names, ["y"], **attrs)],
        "g",
        [value(name, types.get(name, TensorProto.FLOAT), list(array.shape)) for name, array in feeds.items()],
        [value("y", TensorProto.INT64, [None, 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0].astype(I32)


def suppression_cases() -> list[Case]:
    boxes, scores = uniform(2, 60, 4), uniform(2, 3, 60)
    scores[:, :, ::7] = 0.5  # equal scores keep their order
    sets = (
        [boxes, scores],
        [boxes, scores, I32([5])],
        [boxes, scores, I32(100), F32([0.4])],
        [boxes, scores, I32([100]), F32(0.4), F32([0.3])],
        [boxes, scores, I32([100]), F32(0.0), F32([0.9])],
        [boxes, scores, I32([100]), F32(1.0), F32([2.0])],
        [boxes[:, :0], scores[:, :, :0], I32([3]), F32(0.5)],
    )
    cases = []
    for i, inputs in enumerate(sets):
        scalars = [array.reshape(1) if array.ndim == 0 else array for array in inputs]
        for center in (0, 1):
            y = suppressed_by_onnx(scalars, center_point_box=center)
            cases.append(Case("NonMaxSuppression", inputs, y, {"center_point_box": center}, name=f"{i} {center}"))
    return cases


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    height = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    width = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return height * width / (sum(areas) - height * width)


def best_apart(boxes: np.ndarray, scores: np.ndarray, least: float, threshold: float, most: int) -> list[int]:
    chosen: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        if scores[i] < least or len(chosen) == most:
            break
        if all(overlap(boxes[i], boxes[j]) <= threshold for j in chosen):
            chosen.append(int(i))
    return chosen


DETECTION = {
    "scale": [5.0, 6.0, 10.0, 11.0],  # of height, width, x, y
    "nms_iou_threshold": 0.4,
    "nms_score_threshold": 0.35,
    "max_detections": 8,
    "detections_per_class": 5,
    "max_classes_per_detection": 1,
    "num_classes": 3,
}


def detected(codes: np.ndarray, scores: np.ndarray, anchors: np.ndarray, how: dict) -> list[np.ndarray]:
    h_scale, w_scale, x_scale, y_scale = how["scale"]
    y = codes[0, :, 0] / y_scale * anchors[:, 2] + anchors[:, 0]
    x = codes[0, :, 1] / x_scale * anchors[:, 3] + anchors[:, 1]
    height = np.exp(codes[0, :, 2] / h_scale) * anchors[:, 2]
    width = np.exp(codes[0, :, 3] / w_scale) * anchors[:, 3]
    boxes = np.stack((y - height / 2, x - width / 2, y + height / 2, x + width / 2), 1).astype(F32)
    scores = scores[0, :, -how["num_classes"] :]
    rules = how["nms_score_threshold"], how["nms_iou_threshold"]
    if how.get("use_regular_nms"):
        found = [
            (scores[i, c], i, c)
            for c in range(how["num_classes"])
            for i in best_apart(boxes, scores[:, c], *rules, how["detections_per_class"])
        ]
        found = sorted(found, key=lambda one: -one[0])[: how["max_detections"]]
    else:
        found = [
            (scores[i, c], i, c)
            for i in best_apart(boxes, scores.max(1), *rules, how["max_detections"])
            for c in np.argsort(-scores[i], kind="stable")[: how["max_classes_per_detection"]]
        ]
    size = how["max_detections"] * how["max_classes_per_detection"]
    rows, labels, values = np.zeros((1, size, 4), F32), np.zeros((1, size), F32), np.zeros((1, size), F32)
    for k, (score, i, c) in enumerate(found):
        rows[0, k], labels[0, k], values[0, k] = boxes[i], c, score
    return [rows, labels, values, F32([len(found)])]


def detection_cases() -> list[Case]:
    cases = []
    for background in (0, 1):
        n = 50
        anchors = np.concatenate((uniform(n, 2), uniform(n, 2, low=0.1, high=0.4)), 1)
        inputs = RNG.normal(size=(1, n, 4)).astype(F32), uniform(1, n, 3 + background), anchors
        for more in (
            {},
            {"use_regular_nms": True},
            {"max_classes_per_detection": 2},
            {"max_classes_per_detection": 9, "max_detections": 2},
            {"nms_score_threshold": 0.99},
            {"use_regular_nms": True, "nms_score_threshold": 0.99, "max_detections": 40},
        ):
            how = {**DETECTION, **more}
            name = f"{background} {more}"
            cases.append(Case("DetectionPostProcess", inputs, detected(*inputs, how), how, 1e-6, name))
    return cases


def cropped(images: np.ndarray, boxes: np.ndarray, numbers: np.ndarray, size: tuple[int, int], how: dict) -> np.ndarray:
    out = np.full((len(boxes), *size, images.shape[3]), how.get("extrapolation_value", 0.0), F32)
    last = np.array(images.shape[1:3]) - 1
    for k, i, j in itertools.product(range(len(boxes)), range(size[0]), range(size[1])):
        place = []
        for at, n, begin, end, most in zip((i, j), size, boxes[k, :2], boxes[k, 2:], last):
            part = at / (n - 1) if n > 1 else 0.5
            place.append(float((begin + (end - begin) * part) * most))
        if not all(0 <= p <= most for p, most in zip(place, last)):
            continue
        image = images[numbers[k]]
        if how["method"] == "NEAREST":
            out[k, i, j] = image[int(place[0] + 0.5), int(place[1] + 0.5)]
            continue
        (top, part_y), (left, part_x) = ((math.floor(p), p - math.floor(p)) for p in place)
        bottom, right = (math.ceil(p) for p in place)
        upper = image[top, left] * (1 - part_x) + image[top, right] * part_x
        lower = image[bottom, left] * (1 - part_x) + image[bottom, right] * part_x
        out[k, i, j] = upper * (1 - part_y) + lower * part_y
    return out


def crop_cases() -> list[Case]:
    images = uniform(3, 9, 11, 4)
    boxes = uniform(6, 4, low=-0.2, high=1.2)
    boxes[0] = 0, 0, 1, 1
    numbers = I32([0, 1, 2, 2, 1, 0])
    cases = []
    for method, size in itertools.product(("LINEAR", "NEAREST"), ((5, 4), (1, 3), (1, 1), (9, 11))):
        how = {"method": method, "extrapolation_value": 0.5}
        y = cropped(images, boxes, numbers, size, how)
        operands = (images, boxes, numbers, I32(size))
        cases.append(Case("CropAndResize", operands, y, how, 1e-5, f"{method} {size}"))
    none = (images, boxes[:0], numbers[:0], I32([2, 2]))
    return [*cases, Case("CropAndResize", none, np.zeros((0, 2, 2, 4), F32), {"method": "LINEAR"}, name="none")]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", suppression_cases() + detection_cases() + crop_cases(), ids=str)
def test_detection(case: Case, mode: str) -> None:
    check(case, mode)


def test_crop_threads() -> None:
    images, boxes, numbers, size = uniform(2, 40, 50, 8), uniform(7, 4), I32([0, 1, 0, 1, 0, 1, 0]), I32([20, 30])
    one, many = (
        run_op("CropAndResize", [images, boxes, numbers, size], {"method": "LINEAR"}, threads=threads)[0]
        for threads in (1, 3)
    )
    np.testing.assert_array_equal(one, many)


def test_scores_that_are_no_numbers_take_no_part() -> None:
    boxes = uniform(1, 20, 4)
    scores = uniform(1, 1, 20)
    scores[0, 0, ::3] = np.nan
    (y,) = run_op("NonMaxSuppression", [boxes, scores, I32(20), F32(1.0)])
    assert set(y[:, 2]) == {i for i in range(20) if i % 3}


BOXES, SCORES = uniform(1, 5, 4), uniform(1, 2, 5)
CODES, CLASSES, ANCHORS = uniform(1, 5, 4), uniform(1, 5, 3), uniform(5, 4)
IMAGES, WHERE = uniform(2, 3, 4, 5), uniform(1, 4)
REFUSALS = (
    ("NonMaxSuppression", [BOXES, SCORES[:, :, :4]], {}, ShapeError, r"boxes \[1, 5, 4\] and scores \[1, 2, 4\]"),
    ("NonMaxSuppression", [BOXES, SCORES, I32([1, 2])], {}, ShapeError, "input 2 must hold one number, has 2"),
    ("NonMaxSuppression", [BOXES.astype(I32), SCORES], {}, UnsupportedModelError, "only float32"),
    ("DetectionPostProcess", [CODES, CLASSES, ANCHORS[1:]], DETECTION, ShapeError, "do not fit"),
    ("DetectionPostProcess", [CODES, CLASSES, ANCHORS], {**DETECTION, "num_classes": 1}, ShapeError, "num_classes 1"),
    ("DetectionPostProcess", [CODES, CLASSES, ANCHORS], {**DETECTION, "scale": [1.0]}, ShapeError, "4 values"),
    ("DetectionPostProcess", [CODES, CLASSES, ANCHORS], {**DETECTION, "max_detections": 0}, ShapeError, "out of range"),
    ("CropAndResize", [IMAGES, WHERE, I32([2]), I32([2, 2])], {}, ExecutionError, "box 0 is in image 2 of 2"),
    ("CropAndResize", [IMAGES, WHERE, I32([0]), I32([0, 2])], {}, ShapeError, "two numbers above 0"),
    ("CropAndResize", [IMAGES, WHERE, I32([0, 1]), I32([2, 2])], {}, ShapeError, "do not fit"),
    ("CropAndResize", [IMAGES, WHERE, I32([0]), I32([2, 2])], {"method": "CUBIC"}, UnsupportedModelError, "CUBIC"),
)


@pytest.mark.parametrize("op, inputs, attrs, error, message", REFUSALS)
def test_refusals(op: str, inputs: list[np.ndarray], attrs: dict, error: type, message: str) -> None:
    outputs = 4 if op == "DetectionPostProcess" else 1
    for constant in ((), range(2, len(inputs))):
        with pytest.raises(error, match=message):
            run_op(op, inputs, attrs, outputs, tuple(constant))


@pytest.mark.parametrize("op", ["RandomStandardNormal", "UniformReal"])
def test_random(op: str) -> None:
    shape = I32([7, 11, 999])
    (first,) = run_op(op, [shape], {"seed": 1, "seed2": 2})
    (again,) = run_op(op, [shape], {"seed": 1, "seed2": 2}, constant=(0,))
    (other,) = run_op(op, [shape], {"seed": 2, "seed2": 2})
    (own,) = run_op(op, [shape])
    (next_own,) = run_op(op, [shape])
    (later,) = run_op(op, [shape], {"seed": 1, "seed2": 2}, constant=(0,), repeats=2)
    assert first.dtype == F32
    assert first.shape == (7, 11, 999)
    np.testing.assert_array_equal(first, again)
    for different in (other, own, later):
        assert not np.isin(first, different).all()
    assert not np.array_equal(own, next_own)
    mean, deviation = (0.0, 1.0) if op == "RandomStandardNormal" else (0.5, 12**-0.5)
    # 77,000 numbers: five standard errors.
    for sample in (first, own):
        assert abs(sample.mean() - mean) < 5 * deviation / sample.size**0.5
        assert abs(sample.std() - deviation) < 5 * deviation / sample.size**0.5
        neighbours = np.corrcoef(sample.ravel()[:-1], sample.ravel()[1:])[0, 1]
        assert abs(neighbours) < 5 / sample.size**0.5
    if op == "UniformReal":
        assert first.min() >= 0
        assert first.max() < 1
    else:
        within = [(np.abs(first) < limit).mean() for limit in (1, 2, 3)]
        np.testing.assert_allclose(within, [0.6827, 0.9545, 0.9973], atol=0.01)


def test_random_shape_refusal() -> None:
    with pytest.raises(ShapeError, match="dimension -1"):
        run_op("UniformReal", [I32([2, -1])])
