"""Operators that move elements without looking at them, against NumPy, for every element size."""

from __future__ import annotations

import numpy as np
import pytest
from harness import MODES, Case, check, run_op

from lite_runtime.errors import ExecutionError, ShapeError, UnsupportedModelError

RNG = np.random.default_rng(4)
TYPES = (np.bool_, np.int8, np.uint16, np.float16, np.float32, np.int32, np.float64, np.int64)
F32, I32 = np.float32, np.int32


def data(shape: tuple[int, ...], dtype: type = F32) -> np.ndarray:
    return np.asarray(RNG.integers(0, 2 if dtype == np.bool_ else 120, shape)).astype(dtype)


def reshape_cases() -> list[Case]:
    x = data((2, 3, 4))
    empty = data((0, 3))
    reshapes = (
        (x, [6, 4], (6, 4)),
        (x, [0, -1], (2, 12)),
        (x, [-1], (24,)),
        (x, [0, 0, 2, 2], (2, 3, 2, 2)),
        (x, [1, -1, 0], (1, 6, 4)),
        (x[0, 0, :1], [], ()),
        (x[0, 0, 0], [1, 1], (1, 1)),
        (empty, [0, 3], (0, 3)),
        (empty, [-1, 5], (0, 5)),
        (empty, [3, -1], (3, 0)),
    )
    return [
        *(Case("Reshape", (a, I32(want)), np.reshape(a, shape), name=f"{want}") for a, want, shape in reshapes),
        Case("Reshape", (x, np.array([4, 6])), x.reshape(4, 6), name="int64"),
        Case("ExpandDims", (x, I32(0)), x[None]),
        Case("ExpandDims", (x, I32([-1])), x[..., None]),
        Case("ExpandDims", (x[0, 0, 0], I32(0)), x[0, 0, :1], name="scalar"),
        Case("Unsqueeze", (x,), x[:, None, :, :, None], {"axis": [1, 4]}, name="1,4"),
        Case("Unsqueeze", (x,), x[None, ..., None], {"axis": [-1, 0]}, name="-1,0"),
        Case("Squeeze", (x[None, :1],), x[0], name="all"),
        Case("Squeeze", (x[None, :1],), x[:1], {"axis": [0]}, name="0"),
        Case("Squeeze", (x[None, :1],), x[0], {"axis": [-3, 0]}, name="-3,0"),
        Case("Flatten", (x,), x.reshape(2, 12), name="default"),
        Case("Flatten", (x,), x.reshape(1, 24), {"axis": 0}, name="0"),
        Case("Flatten", (x,), x.reshape(24, 1), {"axis": 3}, name="3"),
        Case("Flatten", (x,), x.reshape(6, 4), {"axis": -1}, name="-1"),
        Case("Flatten", (x[0, 0, 0],), x[0, 0, :1, None], name="scalar"),
        Case("Flatten", (empty,), empty, name="empty"),
        Case("Depend", (x, I32(1)), x),
        Case("Shape", (x,), I32([2, 3, 4])),
        Case("Shape", (empty,), I32([0, 3])),
        Case("Shape", (x[0, 0, 0],), np.zeros(0, I32)),
        Case("Rank", (x,), I32(3)),
        Case("Size", (x,), I32(24)),
        Case("Size", (empty,), I32(0)),
    ]


def transpose_cases() -> list[Case]:
    cases = []
    permutations = (
        ((5, 7), [1, 0]),
        ((1, 33, 70), [0, 2, 1]),
        ((1, 19, 21, 3), [0, 3, 1, 2]),
        ((2, 3, 40, 41), [0, 2, 3, 1]),
        ((2, 5, 6, 7), [3, 2, 1, 0]),
        ((2, 5, 6, 7), [0, 2, 1, 3]),
        ((2, 5, 6, 7), [-1, 0, 1, 2]),
        ((4, 2, 24), [1, 0, 2]),
        ((9, 2, 24), [0, 2, 1]),
        ((9, 2, 59), [0, 2, 1]),
        ((3, 4, 5), [0, 1, 2]),
        ((2, 3, 2, 3, 2, 3, 2, 3), [7, 0, 6, 1, 5, 2, 4, 3]),
        ((4, 1, 3), [1, 2, 0]),
        ((0, 4), [1, 0]),
        ((), []),
        # A permutation of another length changes nothing (as MindSpore Lite's own converter relies on).
        ((6, 5), [0, 2, 3, 1]),
    )
    for shape, perm in permutations:
        for dtype in TYPES:
            x = data(shape, dtype)
            y = x.transpose(perm) if len(perm) == len(shape) else x
            cases.append(Case("Transpose", (x, np.array(perm, I32)), y, name=f"{x.dtype}{list(shape)}{perm}"))
    x = data((2, 4, 5, 3))
    to_nchw = {"src_format": "NHWC", "dst_format": "NCHW"}
    to_nhwc = {"src_format": "NCHW", "dst_format": "NHWC"}
    return [
        *cases,
        Case("FormatTranspose", (x,), x.transpose(0, 3, 1, 2), to_nchw, name="to NCHW"),
        Case("FormatTranspose", (x,), x.transpose(0, 2, 3, 1), to_nhwc, name="to NHWC"),
        Case("FormatTranspose", (x,), x, name="same"),
    ]


def concat_cases() -> list[Case]:
    cases = []
    for dtype in TYPES:
        a, b, c = data((2, 3, 4), dtype), data((2, 1, 4), dtype), data((2, 0, 4), dtype)
        cases += [
            Case("Concat", (a, b, c, a), np.concatenate((a, b, c, a), 1), {"axis": 1}),
            Case("Concat", (a, a), np.concatenate((a, a), 2), {"axis": -1}),
            Case("Concat", (a, a), np.concatenate((a, a)), name=f"{a.dtype} default axis"),
            Case("Stack", (a, a, a), np.stack((a, a, a)), name=f"{a.dtype} default axis"),
            Case("Stack", (a, a), np.stack((a, a), -1), {"axis": -1}, name=f"{a.dtype} last"),
            Case("Unstack", (a,), [a[:, 0], a[:, 1], a[:, 2]], {"axis": 1}),
            Case("Split", (a,), np.split(a, [1], 1), {"axis": 1, "size_splits": [1, 2], "output_num": 2}),
            Case("Split", (a,), np.split(a, 2, -1), {"axis": -1, "output_num": 2}, name=f"{a.dtype} equal"),
        ]
    x = data((1, 12, 3))
    rows = [x[:, 0:3], x[:, 3:12]]
    overlap = {
        "split_dim": 1,
        "number_split": 3,
        "ratio": [1, 1, 1],
        "extend_top": [0, 1, 2],
        "extend_bottom": [1, 1, 0],
    }
    overlapping = [x[:, 0:5], x[:, 3:9], x[:, 6:12]]
    return [
        *cases,
        Case("Concat", (x,), x, name="one"),
        Case("Stack", (F32(1), F32(2)), F32([1, 2]), name="scalars"),
        Case("Split", (x,), rows, {"axis": 1, "size_splits": [3, -1]}, name="rest"),
        Case("Split", (x,), [x[:, :0], x], {"axis": 1, "size_splits": [0, 12]}, name="nothing"),
        Case("SplitWithOverlap", (x,), overlapping, overlap, name="overlap"),
    ]


def strided_cases() -> list[Case]:
    x = data((5, 6, 7))
    slices = (
        (np.s_[1:3, 2:5, 0:7], [1, 2, 0], [3, 5, 7], [1, 1, 1], {}),
        (np.s_[1:5:2, ::3], [1, 0], [5, 6], [2, 3], {}),
        (np.s_[-3:-1, 2:], [-3, 2], [-1, 99], [1, 1], {}),
        (np.s_[::-1, 4:0:-2], [4, 4], [0, 0], [-1, -2], {"end_mask": 1}),
        (np.s_[::-1], [0], [0], [-1], {"begin_mask": 1, "end_mask": 1}),
        (np.s_[99::-2, -100::2], [99, -100], [-99, 99], [-2, 2], {}),
        (np.s_[3:1, 1:1], [3, 1], [1, 1], [1, 1], {}),
        (np.s_[::100, ::-100], [0, 5], [5, -7], [100, -100], {}),
        (np.s_[2, :, -1], [2, 0, -1], [3, 0, 0], [1, 1, 1], {"end_mask": 2, "shrink_axis_mask": 5}),
        (np.s_[..., 1:3], [0, 1], [0, 3], [1, 1], {"ellipsis_mask": 1}),
        (np.s_[1:2, ..., 3], [1, 0, 3], [2, 0, 4], [1, 1, 1], {"ellipsis_mask": 2, "shrink_axis_mask": 4}),
        (np.s_[..., 1:3, 0:2, 1:4], [0, 1, 0, 1], [0, 3, 2, 4], [1, 1, 1, 1], {"ellipsis_mask": 1}),
        (np.s_[None, 1:3, None, 2], [0, 1, 0, 2], [0, 3, 0, 3], [1] * 4, {"new_axis_mask": 5, "shrink_axis_mask": 8}),
        (np.s_[None, ..., None], [0, 0, 0], [0, 0, 0], [1] * 3, {"new_axis_mask": 5, "ellipsis_mask": 2}),
        (np.s_[...], [], [], [], {}),
    )
    cases = [
        Case("StridedSlice", (x, I32(b), I32(e), I32(s)), x[index], attrs, name=f"{index}")
        for index, b, e, s, attrs in slices
    ]
    for dtype in TYPES:
        y = data((9, 40), dtype)
        one = (y, I32([8, 1]), I32([-10, 39]), I32([-3, 2]))
        cases.append(Case("StridedSlice", one, y[::-3, 1:39:2], name=f"{y.dtype}"))
    by_axes = (x, I32([1, -1]), I32([4, -99]), I32([0, -1]), I32([2, -3]))
    no_axes = (x, I32([1]), I32([4]), np.zeros(0, I32), np.zeros(0, I32))
    return [
        *cases,
        Case("StridedSlice", (x, I32([1]), I32([3])), x[1:3], name="no strides"),
        Case("StridedSlice", by_axes, x[1:4:2, :, ::-3], name="axes"),
        Case("StridedSlice", no_axes, x[1:4], name="empty axes"),
        Case("StridedSlice", (x[:0], I32([0]), I32([9]), I32([-2])), x[:0], name="empty"),
        Case("SliceFusion", (x, I32([1, 0, 2]), I32([2, -1, 3])), x[1:3, :, 2:5], name="3"),
        Case("SliceFusion", (x, I32([2]), I32([4])), x[:, :, 2:6], {"axes": [2]}, name="axes"),
        Case("SliceFusion", (x, I32([5]), I32([0])), x[5:], name="none"),
        Case("Crop", (x, data((3, 2, 4))), x[1:4, 1:3, 1:5], {"axis": 0, "offsets": [1]}, name="one offset"),
        Case("Crop", (x, data((9, 2, 4))), x[:, 1:3, 3:7], {"axis": 1, "offsets": [1, 3]}, name="offsets"),
        Case("Crop", (x, data((9, 2, 4))), x[:, :2, :4], {"axis": -2}, name="no offset"),
    ]


CASES = reshape_cases() + transpose_cases() + concat_cases() + strided_cases()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_movement(case: Case, mode: str) -> None:
    check(case, mode)


def test_threads() -> None:
    x = data((3, 257, 301))
    for perm in ([2, 1, 0], [0, 2, 1], [1, 0, 2]):
        (y,) = run_op("Transpose", [x, I32(perm)], constant=(1,), threads=3, repeats=3)
        np.testing.assert_array_equal(y, x.transpose(perm))
    (y,) = run_op("Concat", [x, x], {"axis": 2}, threads=3, repeats=3)
    np.testing.assert_array_equal(y, np.concatenate((x, x), 2))
    (y,) = run_op("StridedSlice", [x, I32([0, 256]), I32([3, 0]), I32([1, -2])], threads=3, repeats=3)
    np.testing.assert_array_equal(y, x[:, 256:0:-2])


X = data((2, 3, 4))
REFUSALS = (
    ("Reshape", [X, I32([5, -1])], {}, ShapeError, r"\[2, 3, 4\] has no multiple of 5 elements"),
    ("Reshape", [X, I32([-1, -1])], {}, ShapeError, "dimension -1 at 1"),
    ("Reshape", [X, I32([-2])], {}, ShapeError, "dimension -2 at 0"),
    ("Reshape", [X, I32([5, 5])], {}, ShapeError, "other than the 24 elements"),
    ("Reshape", [X, I32([1] * 9)], {}, UnsupportedModelError, "more than 8 dimensions"),
    ("ExpandDims", [X, I32(4)], {}, ShapeError, "axis 4 is outside"),
    ("Unsqueeze", [X], {"axis": [0, 0]}, ShapeError, "axis 0 is named twice"),
    ("Unsqueeze", [X], {"axis": list(range(6))}, UnsupportedModelError, "9 dimensions"),
    ("Squeeze", [X], {"axis": [1]}, ShapeError, "axis 1 of .* is not 1"),
    ("Flatten", [X], {"axis": 4}, ShapeError, "axis 4 is outside"),
    ("Transpose", [X, I32([0, 0, 1])], {}, ShapeError, "names axis 0 twice"),
    ("Transpose", [X, I32([0, 1, 3])], {}, ShapeError, "axis 3 is outside"),
    ("FormatTranspose", [X], {"src_format": "NCHW"}, ShapeError, "must have 4 dimensions"),
    ("FormatTranspose", [X], {"src_format": "KHWC"}, UnsupportedModelError, "formats 7 to 1"),
    ("Concat", [X, X[:, 1:]], {}, ShapeError, r"input 1 of shape \[2, 2, 4\] does not fit"),
    ("Concat", [X, X[0]], {}, ShapeError, r"input 1 of shape \[3, 4\] does not fit"),
    ("Concat", [X, X.astype(I32)], {}, ShapeError, "different types"),
    ("Stack", [X, X[0]], {}, ShapeError, "input 1 of shape"),
    ("Split", [X], {"axis": 1, "size_splits": [2, 2]}, ShapeError, "the sizes do not fit axis 1 of size 3"),
    ("Split", [X], {"axis": 1, "size_splits": [1, 1]}, ShapeError, "sum to 2, axis 1 has 3"),
    ("Split", [X], {"axis": 1, "size_splits": [-1, -1]}, ShapeError, "do not fit"),
    ("Split", [X], {"axis": 1}, ShapeError, "cannot be split into 2 outputs"),
    ("Unstack", [X], {"axis": 1}, ShapeError, "axis 1 has size 3, the node 2 outputs"),
    ("SplitWithOverlap", [X], {"ratio": [1, 1]}, ShapeError, "extend_top has 0 values"),
    ("StridedSlice", [X, I32([0]), I32([1]), I32([0])], {}, ShapeError, "the stride along axis 0 is 0"),
    ("StridedSlice", [X, I32([0]), I32([1, 1]), I32([1])], {}, ShapeError, "different lengths"),
    ("StridedSlice", [X, I32([0] * 4), I32([1] * 4), I32([1] * 4)], {}, ShapeError, "4 axes are sliced"),
    ("StridedSlice", [X, I32([2]), I32([3]), I32([1])], {"shrink_axis_mask": 1}, ExecutionError, "index 2 is outside"),
    ("StridedSlice", [X, I32([0, 0]), I32([0, 0]), I32([1, 1])], {"ellipsis_mask": 3}, ShapeError, "one ellipsis"),
    ("SliceFusion", [X, I32([1]), I32([2])], {}, ShapeError, "begin 1 and size 2 do not fit axis 0 of size 2"),
    ("SliceFusion", [X, I32([-1]), I32([1])], {}, ShapeError, "begin -1"),
    ("SliceFusion", [X, I32([0]), I32([-2])], {}, ShapeError, "size -2"),
    ("Crop", [X, X], {"offsets": [1]}, ShapeError, "offset 1 and size 2 do not fit axis 0"),
)


@pytest.mark.parametrize("op, inputs, attrs, error, message", REFUSALS)
def test_refusals(op: str, inputs: list[np.ndarray], attrs: dict, error: type, message: str) -> None:
    outputs = 2 if op in ("Split", "Unstack", "SplitWithOverlap") else 1
    for constant in ((), range(1, len(inputs))):
        with pytest.raises(error, match=message):
            run_op(op, inputs, attrs, outputs, tuple(constant))
