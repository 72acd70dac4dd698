"""Corners that random graphs found: empty tensors, open lengths, slices beyond the ends, layers of constants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx_cases import F32, Case, converted, floats, node, single, witness
from onnx_suite import run
from support import assert_close

from converter.errors import UnsupportedError


def test_backward_slice_of_an_open_dimension_begins_at_the_first_element(tmp_path: Path) -> None:
    x = floats(4, 3)
    case = single("Slice", x, np.array([-9]), np.array([-(2**63)]), np.array([0]), np.array([-1]))
    case.dynamic = {"x": (0,)}
    path = case.save(tmp_path)
    _, session = converted(path)
    assert_close(run(session, [x])[0], x[:1], 0)


def test_open_lengths_in_32_bits_stay_open(tmp_path: Path) -> None:
    """As exporters of TensorFlow write shapes."""
    nodes = [
        node("Shape", "x", name="s"),
        node("Cast", "s", name="n", to=onnx.TensorProto.INT32),
        node("Gather", "n", "first", name="g"),
        node("Concat", "g", "rest", name="t", axis=0),
        node("Cast", "t", name="w", to=onnx.TensorProto.INT64),
        node("Reshape", "x", "w"),
    ]
    constants = {"first": np.array([0]), "rest": np.array([-1], np.int32)}
    case = Case("reshape", nodes, {"x": floats(3, 4, 2)}, constants, dynamic={"x": (0,)})
    path = case.save(tmp_path)
    _, session = converted(path)
    for x in (case.inputs["x"], floats(5, 4, 2)):
        assert run(session, [x])[0].shape == (len(x), 8)
    nodes[2:] = []
    _, session = converted(Case("cast", nodes, {"x": floats(3, 4)}, dynamic={"x": (0,)}).save(tmp_path))
    assert run(session, [floats(3, 4)])[0].tolist() == [3, 4]


def test_rounding_up_beside_an_open_length_is_right_or_refused(tmp_path: Path) -> None:
    """The last window of the known height would begin in the padding."""
    case = single("MaxPool", floats(1, 4, 2, 1), ceil_mode=1, kernel_shape=[2, 1], strides=[3, 1], pads=[1, 0, 0, 0])
    case.dynamic = {"x": (3,)}
    with pytest.raises(UnsupportedError, match="rounding up"):
        converted(case.save(tmp_path))


@pytest.mark.parametrize("axis", [-1, 1, 2, 3])
def test_flattening_an_open_length_that_is_cropped_to_nothing(axis: int, tmp_path: Path) -> None:
    nodes = [node("Slice", "x", "first", "last", "along", name="s"), node("Flatten", "s", axis=axis)]
    constants = {"first": np.array([2]), "last": np.array([2**62]), "along": np.array([1])}
    case = Case("flatten", nodes, {"x": floats(1, 2, 3)}, constants, dynamic={"x": (0, 1, 2)})
    path = case.save(tmp_path)
    _, session = converted(path)
    for shape in ((1, 2, 3), (4, 2, 3), (2, 5, 3)):
        x = floats(*shape)
        expected = witness(path, {"x": x})[0]
        actual = run(session, [x])[0]
        assert actual.shape == expected.shape
        assert_close(actual, expected, 0)


ROWS_PADDED = ([2, -2], [-2, 2], [5, 4], [-1, -1], [7, -1])


@pytest.mark.parametrize(
    ("mode", "pads"),
    [*(("wrap", pads) for pads in ROWS_PADDED), *(("constant", pads) for pads in (*ROWS_PADDED, [-5, 4], [4, -5]))],
)
@pytest.mark.parametrize("dynamic", [{}, {"x": (0,)}], ids=["known", "open"])
def test_padding_and_cropping(mode: str, pads: list[int], dynamic: dict[str, tuple[int, ...]], tmp_path: Path) -> None:
    """Wrapped around a single row, or cropped beyond what there was, into what the other end adds."""
    case = single("Pad", floats(3, 2), np.array([pads[0], 0, pads[1], 0]), opset=19, mode=mode)
    case.dynamic = dynamic
    path = case.save(tmp_path)
    _, session = converted(path)
    for rows in (3, 4) if dynamic else (3,):
        x = floats(rows, 2)
        assert_close(run(session, [x])[0], witness(path, {"x": x})[0], 0)


# Layers that ONNX's reference implementation, with which shapes are computed, gets wrong in places.
ON_CONSTANTS = [
    single("ConvTranspose", floats(1, 4, 5, 3), floats(4, 1, 2, 2), group=2, strides=[2, 1]),
    single("BatchNormalization", floats(1, 3, 2, 2, 2), *(np.abs(floats(3)) + 1 for _ in range(4))),
    single("Softmax", floats(2, 3, 4), opset=11, axis=1),
    single("Unsqueeze", floats(2, 3), opset=11, axes=[-1, -3]),
    single("GRU", floats(3, 2, 4), floats(1, 6, 4), floats(1, 6, 2), hidden_size=2, direction="reverse"),
    single("Slice", floats(4), np.array([-9]), np.array([-(2**63)]), np.array([0]), np.array([-2])),
]


@pytest.mark.parametrize("case", ON_CONSTANTS, ids=lambda case: case.name)
def test_layers_of_constants(case: Case, tmp_path: Path) -> None:
    constant = Case(
        case.name,
        [*case.nodes, helper.make_node("Neg", ["z"], ["negative"])],
        {"z": floats(2)},
        {**case.constants, **case.inputs},
        case.opset,
        outputs=2,
    )
    path = constant.save(tmp_path)
    _, session = converted(path)
    for actual, expected in zip(run(session, [constant.inputs["z"]]), witness(path, constant.inputs)):
        assert_close(actual, expected, 1e-5)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_expanding_an_open_length(count: int, tmp_path: Path) -> None:
    case = Case("expand", [node("Expand", "x", "s")], {"x": floats(2, 1)}, {"s": np.array([1, 3])})
    case.dynamic = {"x": (0,)}
    _, session = converted(case.save(tmp_path))
    x = floats(count, 1)
    assert_close(run(session, [x])[0], np.broadcast_to(x, (count, 3)), 0)


def test_empty_tensors_keep_their_shape(tmp_path: Path) -> None:
    """Where a Transpose that moves ones alone could be a Reshape."""
    x = np.zeros((7, 1, 8, 0), F32)
    case = single("Unsqueeze", x, np.array([2]))
    case.dynamic = {"x": (2,)}
    path = case.save(tmp_path)
    _, session = converted(path)
    assert run(session, [x])[0].shape == (7, 1, 1, 8, 0)


_SIZES = np.concatenate([np.logspace(-37, 38.5, 200), [88.7, 89, 89.4, 89.41, 90, 3.4028234e38, np.inf, np.nan, 0]])
_ENDS = np.concatenate([_SIZES, -_SIZES]).astype(F32)
_FUNCTIONS = {"Sign": np.sign, "Sinh": np.sinh, "Cosh": np.cosh, "Asinh": np.arcsinh, "Acosh": np.arccosh}


@pytest.mark.parametrize("op", _FUNCTIONS)
def test_functions_up_to_the_ends_of_floats(op: str, tmp_path: Path) -> None:
    _, session = converted(single(op, _ENDS).save(tmp_path))
    with np.errstate(all="ignore"):
        expected = _FUNCTIONS[op](_ENDS.astype(np.float64)).astype(F32)
    np.testing.assert_allclose(run(session, [_ENDS])[0], expected, rtol=1e-6)
