"""Single ONNX operators, converted and run, against ONNX Runtime.

The node tests feed every parameter at run time; here axes, sizes and weights are constants of the model, as
exporters write them, and some dimensions are dynamic.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx_cases import F32, I64, RNG, Case, converted, floats, node, single, witness
from onnx_suite import run
from support import assert_close


def convolutions() -> list[Case]:
    image, line, volume = floats(2, 6, 11, 9), floats(2, 6, 15), floats(1, 4, 7, 6, 5)
    both = floats(8, 6, 3, 2), floats(8)
    cases = [
        single("Conv", image, *both),
        single("Conv", image, *both, pads=[1, 0, 2, 1], strides=[2, 1], dilations=[1, 2]),
        single("Conv", image, *both, auto_pad="SAME_UPPER", strides=[2, 2]),
        single("Conv", image, *both, auto_pad="SAME_LOWER", strides=[2, 2]),
        single("Conv", image, *both, auto_pad="VALID"),
        single("Conv", image, floats(12, 2, 3, 3), group=3),
        single("Conv", image, floats(6, 1, 3, 3), floats(6), group=6, pads=[1, 1, 1, 1]),
        single("Conv", line, floats(5, 6, 4), floats(5), strides=[2], pads=[1, 2]),
        single("Conv", line, floats(6, 1, 3), group=6, dilations=[2], label="1-D depthwise"),
        single("Conv", volume, floats(5, 4, 3, 2, 2), floats(5), strides=[2, 1, 2], pads=[1, 0, 1, 2, 1, 0]),
        single("Conv", volume, floats(8, 1, 2, 2, 2), group=4, dilations=[2, 1, 1]),
        single("ConvTranspose", image, floats(6, 4, 3, 3), floats(4), strides=[2, 2], pads=[1, 1, 1, 1]),
        single("ConvTranspose", image, floats(6, 4, 3, 2), strides=[3, 2], output_padding=[1, 0]),
        single("ConvTranspose", image, floats(6, 2, 3, 3), group=3, dilations=[2, 1]),
        single("ConvTranspose", image, floats(6, 4, 3, 3), strides=[2, 2], output_shape=[21, 19]),
        single("ConvTranspose", image, floats(6, 4, 3, 3), strides=[2, 2], auto_pad="SAME_UPPER"),
        single("ConvTranspose", image, floats(6, 4, 3, 3), strides=[2, 2], auto_pad="SAME_LOWER"),
        single("ConvTranspose", line, floats(6, 4, 5), floats(4), strides=[3], pads=[2, 1]),
        single("ConvTranspose", volume, floats(4, 3, 3, 2, 3), floats(3), strides=[2, 1, 2], pads=[1, 0, 1, 0, 1, 1]),
        single("ConvTranspose", volume, floats(4, 1, 2, 2, 2), group=2, strides=[1, 2, 1], output_padding=[0, 1, 0]),
    ]
    dynamic = single("Conv", image, *both, auto_pad="SAME_UPPER", strides=[2, 2], label="dynamic")
    dynamic.dynamic = {"x": (0, 2, 3)}
    return [*cases, dynamic]


def pools() -> list[Case]:
    image, line, volume = floats(2, 3, 11, 9), floats(2, 3, 15), floats(1, 2, 7, 6, 5)
    cases = []
    for op in ("MaxPool", "AveragePool"):
        for extra in ({}, {"ceil_mode": 1}, {"pads": [1, 0, 1, 1]}, {"pads": [1, 1, 1, 1], "ceil_mode": 1}):
            cases.append(single(op, image, kernel_shape=[3, 2], strides=[2, 2], **extra))
        cases += [
            single(op, image, kernel_shape=[3, 3], auto_pad="SAME_UPPER", strides=[2, 2]),
            single(op, image, kernel_shape=[2, 2], auto_pad="SAME_LOWER"),
            single(op, line, kernel_shape=[4], strides=[3], pads=[1, 2]),
            single(op, volume, kernel_shape=[3, 2, 2], strides=[2, 1, 2], pads=[1, 0, 1, 1, 1, 0]),
            single(f"Global{op}", image),
            single(f"Global{op}", line),
        ]
    cases += [
        single("AveragePool", image, kernel_shape=[3, 3], pads=[1, 2, 0, 1], strides=[2, 2], count_include_pad=1),
        single(
            "AveragePool",
            image,
            kernel_shape=[3, 2],
            pads=[1, 1, 1, 1],
            count_include_pad=1,
            ceil_mode=1,
            strides=[3, 2],
        ),
        single("MaxPool", image, kernel_shape=[3, 2], dilations=[2, 3], strides=[2, 1], pads=[1, 1, 1, 0]),
        single("AveragePool", image, kernel_shape=[2, 2], dilations=[3, 2], opset=19),
        single("LpPool", image, kernel_shape=[3, 2], strides=[2, 2], p=2),
        single("LpPool", image, kernel_shape=[2, 2], p=3, pads=[1, 0, 0, 1]),
        single("GlobalLpPool", image, p=2),
    ]
    return cases


def resizes() -> list[Case]:
    image = floats(1, 2, 5, 6)
    cases = []
    modes = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
    for mode in ("nearest", "linear", "cubic"):
        for coordinates in modes:
            for sizes in ([1, 2, 10, 9], [1, 2, 3, 13]):
                attributes = {"mode": mode, "coordinate_transformation_mode": coordinates}
                cases.append(
                    single("Resize", image, None, None, np.array(sizes), label=f"{attributes} {sizes}", **attributes)
                )
    for rounding in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
        scales = np.array([1, 1, 2.5, 0.6], F32)
        cases.append(single("Resize", image, None, scales, nearest_mode=rounding))
    scales = np.array([1, 1, 2, 3], F32)
    cases += [
        single("Resize", image, scales, opset=10, mode="nearest"),
        single("Resize", image, scales, opset=10, mode="linear"),
        single("Upsample", image, scales, opset=9, mode="nearest"),
        single("Resize", image, None, np.array([1, 1, 0.5, 0.8], F32), mode="linear", label="smaller"),
        single("Resize", image, None, scales, mode="cubic", exclude_outside=1, cubic_coeff_a=-0.5),
        single(
            "Resize",
            image,
            np.array([0, 0, 0.2, 0.1, 1, 1, 0.9, 1.3], F32),
            None,
            np.array([1, 2, 4, 7]),
            mode="linear",
            coordinate_transformation_mode="tf_crop_and_resize",
            extrapolation_value=7.5,
        ),
    ]
    for mode in ("nearest", "linear"):
        for coordinates in ("half_pixel", "asymmetric"):
            case = single(
                "Resize",
                image,
                None,
                scales,
                mode=mode,
                coordinate_transformation_mode=coordinates,
                label=f"dynamic {mode} {coordinates}",
            )
            case.dynamic = {"x": (0, 2, 3)}
            cases.append(case)
    return cases


def products() -> list[Case]:
    a, b = floats(3, 4), floats(4, 5)
    cases = [
        single("Gemm", a, b, floats(5), alpha=0.5, beta=2.0),
        single("Gemm", a, floats(5, 4), floats(3, 1), transB=1),
        single("Gemm", floats(4, 3), b, np.array(1.5, F32), transA=1),
        single("Gemm", a, floats(4, 1), np.array(1.5, F32), label="one column and a scalar"),
        single("MatMul", floats(2, 3, 4), b),
        single("MatMul", floats(2, 1, 3, 4), floats(5, 4, 2)),
        single("MatMul", floats(4), b, label="vector"),
        single("MatMul", floats(2, 3, 4), floats(4), label="by a vector"),
    ]
    equations = (
        ("ij,jk->ik", (3, 4), (4, 5)),
        ("bij,bkj->bik", (2, 3, 4), (2, 5, 4)),
        ("bhid,bhjd->bhij", (2, 2, 3, 4), (2, 2, 5, 4)),
        ("ij,j", (3, 4), (4,)),
        ("i,j->ij", (3,), (4,)),
        ("abc,cd->abd", (2, 3, 4), (4, 5)),
        ("abcd,cde->abe", (2, 3, 4, 5), (4, 5, 2)),
        ("bnd,bmd->bnm", (2, 3, 4), (2, 5, 4)),
    )
    for equation, first, second in equations:
        nodes = [node("Einsum", "x", "z", equation=equation)]
        cases.append(Case(f"Einsum {equation}", nodes, {"x": floats(*first), "z": floats(*second)}))
    cases += [single("Einsum", floats(3, 4, 5), equation=e) for e in ("ijk->kij", "ijk->j", "ijk->")]
    return cases


def movements() -> list[Case]:
    x = floats(2, 3, 4, 5)
    i = lambda *v: np.array(v, I64)  # noqa: E731
    cases = [
        single("Slice", x, i(1, -3), i(99, -1), i(0, 2)),
        single("Slice", x, i(3, -1), i(-99, 0), i(2, 3), i(-1, -2)),
        single("Slice", x, i(0), i(2**63 - 1), i(1), i(2), label="to the end"),
        single("Slice", x, opset=9, starts=[0, 1], ends=[1, 3], axes=[1, 3]),
        single("Pad", x, i(1, 0, 0, 2, 0, 1, 2, 0), np.array(3.5, F32)),
        single("Pad", x, i(0, 0, 1, 2, 0, 0, 2, 1), mode="reflect"),
        single("Pad", x, i(0, 0, 1, 2, 0, 0, 2, 1), mode="edge"),
        single("Pad", x, i(0, 0, -1, 2, 0, 0, 1, -2), label="crops"),
        single("Pad", x, i(1, 2, 1, 0), None, i(1, 3), opset=19, mode="edge"),
        single("Pad", x, i(1, 2, 1, 0), None, i(1, 3), opset=19, mode="wrap"),
        single("Pad", x, opset=10, pads=[0, 0, 1, 1, 0, 0, 1, 1], value=1.0),
        single("Tile", x, i(1, 2, 1, 3)),
        single("Expand", floats(3, 1), i(2, 1, 4)),
        single("Gather", x, i(0, -1, 2), axis=2),
        single("GatherElements", x, RNG.integers(-4, 4, (2, 3, 2, 5)), axis=2),
        single("GatherND", x, i(1, -1, 0, 2).reshape(2, 2)),
        single("GatherND", x, RNG.integers(0, 3, (2, 6, 1)), batch_dims=1),
        single(
            "ScatterElements",
            x,
            RNG.permuted(np.tile(np.arange(4), (2, 3, 5, 1)), axis=3).transpose(0, 1, 3, 2),
            floats(2, 3, 4, 5),
            axis=2,
        ),
        single("ScatterND", x, i(1, 0, 0, 2).reshape(2, 2), floats(2, 4, 5)),
        single("Squeeze", floats(1, 3, 1), i(-1)),
        single("Slice", x, i(-9, 3), i(-(2**63), 0), i(3, 1), i(-2, -1), label="backward from before the start"),
        Case(
            "Shape after axes in any order",
            [node("Squeeze", "x", name="s", axes=[3, 0, 2]), node("Shape", "s")],
            {"x": floats(1, 3, 1, 1)},
            opset=9,
        ),
        single("Unsqueeze", x, i(0, -1)),
        single("Unsqueeze", floats(3, 4), opset=11, axes=[0, 3]),
        single("Reshape", x, i(0, -1, 5)),
        single("Flatten", x, axis=2),
        single("Flatten", x, axis=-3),
        single("Trilu", floats(2, 5, 4), np.array(-1, I64), upper=0),
        single("CumSum", x, np.array(-2), exclusive=1, reverse=1),
        single("DepthToSpace", floats(1, 8, 2, 3), blocksize=2, mode="CRD"),
        single("DepthToSpace", floats(1, 8, 2, 3), blocksize=2),
        single("SpaceToDepth", floats(1, 2, 4, 6), blocksize=2),
        single("OneHot", RNG.integers(-5, 6, (2, 3)), np.array(5), np.array([-1, 2], F32), axis=1),
        single("Compress", x, np.array([True, False, True, False]), axis=2),
        single("NonZero", (x > 0.5).astype(F32)),
    ]
    cases += [
        Case("Split", [node("Split", "x", "c", outputs=3, axis=-1)], {"x": x}, {"c": i(1, 3, 1)}, outputs=3),
        Case("Split even", [node("Split", "x", outputs=2, axis=2)], {"x": x}, outputs=2),
        Case("Split by number", [node("Split", "x", outputs=2, axis=1, num_outputs=2)], {"x": x}, opset=18, outputs=2),
        Case("TopK", [node("TopK", "x", "k", outputs=2, axis=1)], {"x": x}, {"k": i(2)}, outputs=2),
        Case("TopK least", [node("TopK", "x", "k", outputs=2, largest=0)], {"x": x}, {"k": i(3)}, outputs=2),
    ]
    return cases


def reductions() -> list[Case]:
    x = floats(2, 3, 4)
    kinds = ("Sum", "Mean", "Max", "Min", "Prod", "SumSquare", "L1", "L2", "LogSum", "LogSumExp")
    cases = []
    for kind in kinds:
        data = np.abs(x) + 1 if kind == "LogSum" else x * 30 if kind == "LogSumExp" else x
        cases += [
            single(f"Reduce{kind}", data, opset=11, axes=[1, -1], keepdims=0),
            single(f"Reduce{kind}", data, np.array([1]), opset=18),
            single(f"Reduce{kind}", data, opset=18, noop_with_empty_axes=1, label="nothing"),
        ]
    return [*cases, single("ArgMax", x, axis=1, keepdims=0), single("ArgMin", x, axis=-1, select_last_index=1)]


def norms() -> list[Case]:
    x, image = floats(2, 6, 5), floats(2, 6, 4, 3)
    c = lambda: floats(6)  # noqa: E731
    positive = np.abs(floats(6)) + 0.5
    return [
        single("BatchNormalization", image, c(), c(), c(), positive, epsilon=1e-3),
        single("BatchNormalization", x, c(), c(), c(), positive),
        single("BatchNormalization", floats(4, 6), c(), c(), c(), positive),
        single("InstanceNormalization", image, c(), c()),
        single("InstanceNormalization", x, c(), c(), epsilon=1e-2),
        single("LayerNormalization", x, floats(5), floats(5)),
        single("LayerNormalization", x, floats(6, 5), axis=1),
        single("LayerNormalization", x, floats(1, 5), floats(6, 5), label="broadcast scale"),
        single("GroupNormalization", image, floats(6), floats(6), opset=21, num_groups=3),
        single("LpNormalization", x, axis=1, p=1),
        single("LpNormalization", x, axis=-1),
        single("LRN", image, size=3, alpha=0.1, beta=0.6, bias=1.5),
        single("MeanVarianceNormalization", image),
        single("Softmax", image, axis=1),
        single("Softmax", image, opset=11, axis=2),
        single("LogSoftmax", image, axis=-2),
        single("Hardmax", x, axis=1),
        Case(
            "LayerNormalization moments",
            [node("LayerNormalization", "x", "s", outputs=3)],
            {"x": x},
            {"s": floats(5)},
            outputs=3,
        ),
    ]


def activations() -> list[Case]:
    x = floats(3, 40) * 3
    plain = (
        "Relu",
        "Sigmoid",
        "Tanh",
        "Softplus",
        "Softsign",
        "HardSwish",
        "Erf",
        "Sign",
        "Ceil",
        "Floor",
        "Round",
        "Mish",
    )
    functions = ("Sin", "Cos", "Tan", "Atan", "Sinh", "Asinh")
    unit = np.tanh(x) * 0.999
    return [
        *(single(op, x, opset=18) for op in plain),
        *(single(op, x) for op in functions),
        single("Cosh", x),
        single("Asin", unit),
        single("Acos", unit),
        single("Atanh", unit),
        single("Acosh", np.abs(x) + 1),
        single("Asinh", np.array([1e-30, -1e-4, 3.0, -1e10, 1e25, -1e38], F32), label="of any size"),
        single("LeakyRelu", x, alpha=0.3),
        single("Elu", x, alpha=0.7),
        single("Celu", x, alpha=1.3),
        single("Selu", x),
        single("Selu", x, alpha=1.1, gamma=0.9),
        single("ThresholdedRelu", x, alpha=0.8),
        single("HardSigmoid", x),
        single("HardSigmoid", x, alpha=1 / 6, beta=0.5),
        single("Shrink", x, lambd=1.0, bias=0.5),
        single("Gelu", x, opset=20),
        single("Gelu", x, opset=20, approximate="tanh"),
        single("PRelu", floats(2, 6, 3, 4), floats(6, 1, 1)),
        single("PRelu", x, floats(40)),
        single("PRelu", x, np.array([0.2], F32)),
        single("Clip", x, np.array(-1, F32), np.array(2, F32)),
        single("Clip", x, None, np.array(2, F32), label="above"),
        single("Clip", x, opset=6 + 1, min=-0.5, max=0.5),
        single("Mod", x, np.array([1.5], F32), fmod=1),
        single("Mod", RNG.integers(-9, 9, (4, 5)), np.array([-4, 3, 5, 7, -2])),
    ]


def recurrent() -> list[Case]:
    cases = []
    steps, batch, width, hidden = 5, 2, 3, 4
    for op, gates, states in (("LSTM", 4, 2), ("GRU", 3, 1), ("RNN", 1, 1)):
        variants: list[dict[str, Any]] = [
            {},
            {"direction": "reverse"},
            {"direction": "bidirectional"},
            {"clip": 0.4},
            {
                "direction": "bidirectional",
                "activations": ["Relu", "Tanh", "Sigmoid"][: {"LSTM": 3, "GRU": 2, "RNN": 1}[op]] * 2,
            },
        ]
        if op == "GRU":
            variants += [{"linear_before_reset": 1}, {"linear_before_reset": 1, "direction": "bidirectional"}]
        if op == "LSTM":
            variants += [{"input_forget": 1}]
        for variant in variants:
            directions = 2 if variant.get("direction") == "bidirectional" else 1
            constants = {
                "w": floats(directions, gates * hidden, width),
                "r": floats(directions, gates * hidden, hidden),
                "b": floats(directions, 2 * gates * hidden),
                "lengths": np.array([5, 3], np.int32),
                "h": floats(directions, batch, hidden),
                "c": floats(directions, batch, hidden),
            }
            x = {"x": floats(steps, batch, width)}
            given = ["h", "c"][:states]
            names = {k: constants[k] for k in ("w", "r", "b", *given)}
            whole = [node(op, "x", "w", "r", "b", "", *given, outputs=1 + states, hidden_size=hidden, **variant)]
            cases.append(Case(f"{op} {variant}", whole, x, names, outputs=1 + states, tolerance=1e-4))
            short = [node(op, "x", "w", "r", "b", "lengths", outputs=1 + states, hidden_size=hidden, **variant)]
            names = {k: constants[k] for k in ("w", "r", "b", "lengths")}
            cases.append(Case(f"{op} lengths {variant}", short, x, names, outputs=1 + states, tolerance=1e-4))
            loop = Case(
                f"{op} dynamic {variant}",
                whole,
                x,
                {k: constants[k] for k in ("w", "r", "b", *given)},
                outputs=1 + states,
                tolerance=1e-4,
            )
            loop.dynamic = {"x": (0,)}
            cases.append(loop)
    return cases


def samplings() -> list[Case]:
    """Most points lie outside the image."""
    image, grid = floats(2, 3, 5, 6), floats(2, 4, 3, 2) * 2
    return [
        single("GridSample", image, grid, opset=20, mode=mode, padding_mode=padding, align_corners=aligned)
        for mode in ("linear", "nearest", "cubic")
        for padding in ("zeros", "border", "reflection")
        for aligned in (0, 1)
    ]


def signals() -> list[Case]:
    x = floats(2, 12, 3, 2)
    return [
        single("DFT", x, axis=1),
        single("DFT", x, axis=1, inverse=1),
        single("DFT", x[..., :1], axis=1, onesided=1),
        single("DFT", x, np.array(16), axis=1, label="padded"),
        single("DFT", x, np.array(8), axis=1, label="cut"),
        single("STFT", floats(2, 40, 1), np.array(5), np.hanning(16).astype(F32)),
        single("STFT", floats(2, 40, 1), np.array(8), None, np.array(16), label="no window"),
        single("Col2Im", floats(1, 12, 30), np.array([6, 7]), np.array([2, 2]), opset=18),
        single(
            "Col2Im",
            floats(2, 8, 15),
            np.array([5, 6]),
            np.array([2, 2]),
            opset=18,
            pads=[1, 0, 0, 1],
            strides=[2, 1],
            dilations=[1, 2],
        ),
    ]


def extras() -> list[Case]:
    x = floats(2, 3, 8)
    two = {"x": x, "z": floats(2, 3, 8)}
    ms = {"domain": "com.microsoft"}
    return [
        Case("FastGelu", [node("FastGelu", "x", "b", **ms)], {"x": x}, {"b": floats(8)}),
        Case("BiasGelu", [node("BiasGelu", "x", "b", **ms)], {"x": x}, {"b": floats(8)}),
        Case("QuickGelu", [node("QuickGelu", "x", **ms)], {"x": x}),
        Case(
            "SkipLayerNormalization",
            [node("SkipLayerNormalization", "x", "z", "g", "b", epsilon=1e-5, **ms)],
            two,
            {"g": floats(8), "b": floats(8)},
        ),
        Case(
            "one output twice",
            [node("Relu", "x", name="a"), helper.make_node("Identity", ["a"], ["b"])],
            {"x": x},
            outputs=2,
        ),
        Case(
            "an input as output",
            [helper.make_node("Identity", ["x"], ["y"]), helper.make_node("Neg", ["x"], ["z"])],
            {"x": x},
            outputs=2,
        ),
        Case(
            "a constant as output",
            [helper.make_node("Neg", ["x"], ["y"]), helper.make_node("Identity", ["c"], ["z"])],
            {"x": x},
            {"c": floats(3)},
            outputs=2,
        ),
    ]


GROUPS = (
    convolutions,
    pools,
    resizes,
    products,
    movements,
    reductions,
    norms,
    activations,
    recurrent,
    samplings,
    signals,
    extras,
)
CASES = [case for group in GROUPS for case in group()]


@pytest.mark.parametrize("level", ["none", "general"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_equals_onnx_runtime(case: Case, level: str, tmp_path: Path) -> None:
    path = case.save(tmp_path)
    _, session = converted(path, level)
    found = run(session, list(case.inputs.values()))
    for actual, expected in zip(found, witness(path, case.inputs)):
        assert_close(actual, expected, case.tolerance, case.name)


def test_local_functions_are_expanded(tmp_path: Path) -> None:
    """With attributes passed through, an absent input, and one function calling another."""
    inner = helper.make_function(
        "own",
        "Scaled",
        ["a", "b"],
        ["c"],
        [node("LeakyRelu", "a", name="l"), helper.make_node("Add", ["l", "b"], ["c"])],
        [helper.make_opsetid("", 17)],
        ["slope"],
    )
    inner.node[0].attribute.add(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT)
    outer = helper.make_function(
        "own",
        "Twice",
        ["p", "q"],
        ["r"],
        [
            helper.make_node("Scaled", ["p", "p"], ["m"], domain="own"),
            helper.make_node("Clip", ["m", "q"], ["r"]),
        ],
        [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)],
        ["slope"],
    )
    outer.node[0].attribute.add(name="slope", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT)
    case = Case("functions", [node("Twice", "x", "", domain="own", slope=0.3)], {"x": floats(3, 4)})
    path = case.save(tmp_path)
    model = onnx.load(path)
    model.functions.extend([inner, outer])
    path.write_bytes(model.SerializeToString())
    _, session = converted(path)
    x = case.inputs["x"]
    assert_close(run(session, [x])[0], np.where(x > 0, x, 0.3 * x) + x, 1e-6)


@pytest.mark.parametrize("opset", [*range(7, onnx.defs.onnx_opset_version() + 1)])
def test_one_network_in_every_opset(opset: int, tmp_path: Path) -> None:
    """What changed most between opsets: softmax, padding, slicing, reduction, squeezing, dropout."""
    axes = {"axes": [2, 3]} if opset < 18 else {}
    constants: dict[str, Any] = {
        "w": floats(4, 3, 3, 3),
        "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        "axes": np.array([2, 3]),
    }
    constants |= {"low": F32(-1), "high": F32(1), "begin": np.array([1]), "end": np.array([4]), "along": np.array([1])}
    reduced = ("ReduceMean", "s") if opset < 18 else ("ReduceMean", "s", "axes")
    nodes = [
        node("Pad", "x", name="p", pads=[0, 0, 1, 1, 0, 0, 1, 1]) if opset < 11 else node("Pad", "x", "pads", name="p"),
        node("Conv", "p", "w", name="c"),
        node("Clip", "c", name="k", min=-1.0, max=1.0) if opset < 11 else node("Clip", "c", "low", "high", name="k"),
        node("Slice", "k", name="s", starts=[1], ends=[4], axes=[1])
        if opset < 10
        else node("Slice", "k", "begin", "end", "along", name="s"),
        node(*reduced, name="m", keepdims=1, **axes),
        node("Squeeze", "m", name="q", axes=[2, 3]) if opset < 13 else node("Squeeze", "m", "axes", name="q"),
        node("Dropout", "q", name="d"),
        node("Softmax", "d", axis=1),
    ]
    case = Case(f"opset {opset}", nodes, {"x": floats(2, 3, 7, 6)}, constants, opset)
    path = case.save(tmp_path)
    _, session = converted(path)
    from onnx.reference import ReferenceEvaluator

    expected = ReferenceEvaluator(onnx.load(path)).run(None, dict(case.inputs))
    assert_close(run(session, [case.inputs["x"]])[0], expected[0], 1e-5)
