"""DepthToSpace and its kin: against ONNX Runtime, and against loops that follow the definition."""

from __future__ import annotations

import itertools

import numpy as np
import onnxruntime
import pytest
from harness import MODES, Case, check, run_op
from onnx import TensorProto, helper

from lite_runtime.errors import ShapeError, UnsupportedModelError

RNG = np.random.default_rng(8)
TYPES = (np.bool_, np.int8, np.uint16, np.float16, np.float32, np.int32, np.float64, np.int64)
F32, I32 = np.float32, np.int32


def data(shape: tuple[int, ...], dtype: type = F32) -> np.ndarray:
    return np.asarray(RNG.integers(0, 2 if dtype == np.bool_ else 120, shape)).astype(dtype)


def by_onnx(op: str, x: np.ndarray, **attrs: object) -> np.ndarray:
    """The answer of ONNX Runtime for an NHWC tensor."""
    value = helper.make_tensor_value_info
    node = helper.make_node(op, ["x"], ["y"], **attrs)
    shapes = [value("x", TensorProto.FLOAT, None)], [value("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph([node], "g", *shapes)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"x": x.astype(F32).transpose(0, 3, 1, 2)})
    return y.transpose(0, 2, 3, 1).astype(x.dtype)


def depth_cases() -> list[Case]:
    cases = []
    for dtype in TYPES:
        for block, channels in ((2, 3), (3, 1), (1, 4)):
            deep = data((2, 3, 4, channels * block * block), dtype)
            wide = data((2, 3 * block, 2 * block, channels), dtype)
            name = f"{deep.dtype} {block}"
            for mode in ("DCR", "CRD"):
                y = by_onnx("DepthToSpace", deep, blocksize=block, mode=mode)
                how = {"block_size": block, "mode": mode, "format": "NHWC"}
                cases.append(Case("DepthToSpace", (deep,), y, how, name=f"{name} {mode}"))
            y = by_onnx("SpaceToDepth", wide, blocksize=block)
            cases.append(Case("SpaceToDepth", (wide,), y, {"block_size": block, "format": "NHWC"}, name=name))
    x = data((1, 2, 2, 8))
    y = by_onnx("DepthToSpace", x, blocksize=2, mode="DCR")
    return [
        *cases,
        Case("DepthToSpace", (x,), y, {"block_size": 2}, name="no mode"),
        Case("DepthToSpace", (x[:0],), y[:0], {"block_size": 2}, name="empty"),
    ]


def to_batch(x: np.ndarray, block: list[int], paddings: list[list[int]]) -> np.ndarray:
    rest = [[0, 0]] * (x.ndim - 1 - len(block))
    x = np.pad(x, [[0, 0], *paddings, *rest])
    places = itertools.product(*(range(b) for b in block))
    return np.concatenate([x[(slice(None), *(slice(p, None, b) for p, b in zip(place, block)))] for place in places])


def to_space(x: np.ndarray, block: list[int], crops: list[list[int]]) -> np.ndarray:
    batch = x.shape[0] // int(np.prod(block))
    whole = np.zeros((batch, *(s * b for s, b in zip(x.shape[1:], block)), *x.shape[1 + len(block) :]), x.dtype)
    for i, place in enumerate(itertools.product(*(range(b) for b in block))):
        target = (slice(None), *(slice(p, None, b) for p, b in zip(place, block)))
        whole[target] = x[i * batch : (i + 1) * batch]
    kept = (slice(first, size - last) for (first, last), size in zip(crops, whole.shape[1:]))
    return whole[(slice(None), *kept)]


def batch_cases() -> list[Case]:
    cases = []
    images = (
        ((2, 4, 6, 3), [2, 3], [[0, 0], [0, 0]]),
        ((1, 5, 4, 2), [2, 3], [[1, 2], [0, 2]]),
        ((2, 7, 3), [4], [[3, 2]]),
        ((2, 3, 2, 5, 2), [3, 2, 1], [[0, 0], [1, 1], [0, 2]]),
        ((1, 2, 2, 1), [4, 4], [[4, 2], [1, 1]]),
        ((2, 0, 4, 1), [1, 2], [[0, 0], [0, 0]]),
    )
    for dtype in TYPES:
        for shape, block, paddings in images:
            x = data(shape, dtype)
            y = to_batch(x, block, paddings)
            name = f"{x.dtype} {list(shape)}"
            cases += [
                Case("SpaceToBatchND", (x,), y, {"block_shape": block, "paddings": paddings}, name=name),
                Case(
                    "BatchToSpaceND",
                    (y,),
                    to_space(y, block, paddings),
                    {"block_shape": block, "crops": paddings},
                    name=name,
                ),
            ]
    x, paddings = data((1, 5, 4, 2)), [[1, 2], [0, 2]]
    y = to_batch(x, [2, 3], paddings)
    return [
        *cases,
        Case("SpaceToBatch", (x,), y, {"block_size": [2, 3], "paddings": paddings}),
        Case("BatchToSpace", (y,), x, {"block_size": [2, 3], "crops": paddings}),
        Case("SpaceToBatchND", (x, I32([2, 3]), I32(paddings)), y, name="operands"),
        Case("BatchToSpace", (y, I32([2, 3]), I32(paddings)), x, name="operands"),
    ]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", depth_cases() + batch_cases(), ids=str)
def test_space(case: Case, mode: str) -> None:
    check(case, mode)


X = data((4, 3, 4, 6))
NONE = [[0, 0], [0, 0]]
REFUSALS = (
    ("DepthToSpace", {"block_size": 2}, ShapeError, "block_size 2 does not fit 6 channels"),
    ("DepthToSpace", {"block_size": 0}, ShapeError, "block_size is 0"),
    ("DepthToSpace", {"block_size": 2**40}, ShapeError, "block_size is"),
    ("DepthToSpace", {"block_size": 1, "mode": "ABC"}, UnsupportedModelError, "mode 'ABC'"),
    ("SpaceToDepth", {"block_size": 2}, ShapeError, "block_size 2 does not fit an image of 3 x 4"),
    ("SpaceToBatchND", {"block_shape": [2, 2], "paddings": NONE}, ShapeError, "do not fit the padded axis 1 of size 3"),
    ("SpaceToBatchND", {"block_shape": [2, 2]}, ShapeError, "2 block sizes and 0 borders"),
    ("SpaceToBatchND", {"block_shape": [0, 2], "paddings": NONE}, ShapeError, "out of range"),
    ("BatchToSpaceND", {"block_shape": [3, 1], "crops": NONE}, ShapeError, "blocks of 3 do not fit a batch of 4"),
    ("BatchToSpaceND", {"block_shape": [2, 2], "crops": [[4, 3], [0, 0]]}, ShapeError, "larger than axis 1"),
    ("BatchToSpaceND", {"block_shape": [2, 2], "crops": [[-1, 0], [0, 0]]}, ShapeError, "out of range"),
)


@pytest.mark.parametrize("op, attrs, error, message", REFUSALS)
def test_refusals(op: str, attrs: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        run_op(op, [X], attrs)
