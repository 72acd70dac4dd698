"""Small ONNX models, converted and run, against ONNX Runtime.

The node tests feed every parameter at run time; here axes, sizes and weights are constants of the model, as
exporters write them, and batches are dynamic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_suite import run
from support import assert_close

from converter.exporter import export
from converter.importers.onnx import load
from converter.ir.graph import Model
from converter.passes import optimize
from lite_runtime import _native

RNG = np.random.default_rng(11)
F32, I64 = np.float32, np.int64
onnxruntime = pytest.importorskip("onnxruntime")


def floats(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(F32)


@dataclass
class Case:
    """One node with constant parameters, or several nodes.

    ``inputs`` are fed at run time, their dimensions dynamic where ``dynamic`` names them; constants keep the
    names that ``nodes`` use.
    """

    name: str
    nodes: Sequence[onnx.NodeProto]
    inputs: Mapping[str, np.ndarray]
    constants: Mapping[str, Any] = field(default_factory=dict)
    opset: int = 17
    dynamic: Mapping[str, Sequence[int]] = field(default_factory=dict)
    outputs: int = 1
    tolerance: float = 1e-5

    def save(self, folder: Path) -> Path:
        names = [name for node in self.nodes for name in node.output][-self.outputs :]
        inputs = []
        for name, value in self.inputs.items():
            free = self.dynamic.get(name, ())
            shape = [f"{name}{i}" if i in free else n for i, n in enumerate(value.shape)]
            kind = helper.np_dtype_to_tensor_dtype(value.dtype)
            inputs.append(helper.make_tensor_value_info(name, kind, shape))
        constants = [numpy_helper.from_array(np.asarray(v), name) for name, v in self.constants.items()]
        outputs = [onnx.ValueInfoProto(name=name) for name in names]
        graph = helper.make_graph(list(self.nodes), self.name, inputs, outputs, constants)
        domains = {node.domain for node in self.nodes}
        imports = [helper.make_opsetid("", self.opset)] + [helper.make_opsetid(d, 1) for d in domains if d]
        model = helper.make_model(graph, opset_imports=imports, ir_version=8)
        path = folder / "model.onnx"
        path.write_bytes(model.SerializeToString())
        return path


def node(op: str, *inputs: str, outputs: int = 1, name: str = "", **attributes: Any) -> onnx.NodeProto:
    names = [f"{name or 'y'}{i or ''}" for i in range(outputs)]
    return helper.make_node(op, list(inputs), names, **attributes)


def single(op: str, x: np.ndarray, *constants: Any, label: str = "", opset: int = 17, **attributes: Any) -> Case:
    """One operator on x with constant further inputs (None: omitted)."""
    inputs = ["x"] + ["" if c is None else f"c{i}" for i, c in enumerate(constants)]
    named = {f"c{i}": c for i, c in enumerate(constants) if c is not None}
    return Case(f"{op} {label or attributes}", [node(op, *inputs, **attributes)], {"x": x}, named, opset)


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
        single("AveragePool", image, kernel_shape=[3, 2], pads=[1, 1, 1, 1], count_include_pad=1, ceil_mode=1, strides=[3, 2]),
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
                cases.append(single("Resize", image, None, None, np.array(sizes), label=f"{attributes} {sizes}", **attributes))
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
        single("Resize", image, np.array([0, 0, 0.2, 0.1, 1, 1, 0.9, 1.3], F32), None, np.array([1, 2, 4, 7]),
               mode="linear", coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=7.5),
    ]  # fmt: skip
    for mode in ("nearest", "linear"):
        for coordinates in ("half_pixel", "asymmetric"):
            case = single("Resize", image, None, scales, mode=mode, coordinate_transformation_mode=coordinates, label=f"dynamic {mode} {coordinates}")
            case.dynamic = {"x": (0, 2, 3)}
            cases.append(case)
    return cases


def products() -> list[Case]:
    a, b = floats(3, 4), floats(4, 5)
    cases = [
        single("Gemm", a, b, floats(5), alpha=0.5, beta=2.0),
        single("Gemm", a, floats(5, 4), floats(3, 1), transB=1),
        single("Gemm", floats(4, 3), b, np.array(1.5, F32), transA=1),
        single("MatMul", floats(2, 3, 4), b),
        single("MatMul", floats(2, 1, 3, 4), floats(5, 4, 2)),
        single("MatMul", floats(4), b, label="vector"),
        single("MatMul", floats(2, 3, 4), floats(4), label="by a vector"),
    ]
    equations = (
        ("ij,jk->ik", (3, 4), (4, 5)), ("bij,bkj->bik", (2, 3, 4), (2, 5, 4)), ("bhid,bhjd->bhij", (2, 2, 3, 4), (2, 2, 5, 4)),
        ("ij,j", (3, 4), (4,)), ("i,j->ij", (3,), (4,)), ("abc,cd->abd", (2, 3, 4), (4, 5)), ("abcd,cde->abe", (2, 3, 4, 5), (4, 5, 2)),
        ("bnd,bmd->bnm", (2, 3, 4), (2, 5, 4)),
    )  # fmt: skip
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
        single("ScatterElements", x, RNG.permuted(np.tile(np.arange(4), (2, 3, 5, 1)), axis=3).transpose(0, 1, 3, 2), floats(2, 3, 4, 5), axis=2),
        single("ScatterND", x, i(1, 0, 0, 2).reshape(2, 2), floats(2, 4, 5)),
        single("Squeeze", floats(1, 3, 1), i(-1)),
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
        Case("LayerNormalization moments", [node("LayerNormalization", "x", "s", outputs=3)], {"x": x}, {"s": floats(5)}, outputs=3),
    ]  # fmt: skip


def activations() -> list[Case]:
    x = floats(3, 40) * 3
    plain = ("Relu", "Sigmoid", "Tanh", "Softplus", "Softsign", "HardSwish", "Erf", "Sign", "Ceil", "Floor", "Round", "Mish")
    functions = ("Sin", "Cos", "Tan", "Atan", "Sinh", "Asinh")
    unit = np.tanh(x) * 0.999
    return [
        *(single(op, x, opset=18) for op in plain),
        *(single(op, x) for op in functions),
        single("Cosh", x), single("Asin", unit), single("Acos", unit), single("Atanh", unit), single("Acosh", np.abs(x) + 1),
        single("LeakyRelu", x, alpha=0.3), single("Elu", x, alpha=0.7), single("Celu", x, alpha=1.3),
        single("Selu", x), single("Selu", x, alpha=1.1, gamma=0.9), single("ThresholdedRelu", x, alpha=0.8),
        single("HardSigmoid", x), single("HardSigmoid", x, alpha=1 / 6, beta=0.5), single("Shrink", x, lambd=1.0, bias=0.5),
        single("Gelu", x, opset=20), single("Gelu", x, opset=20, approximate="tanh"),
        single("PRelu", floats(2, 6, 3, 4), floats(6, 1, 1)), single("PRelu", x, floats(40)), single("PRelu", x, np.array([0.2], F32)),
        single("Clip", x, np.array(-1, F32), np.array(2, F32)), single("Clip", x, None, np.array(2, F32), label="above"),
        single("Clip", x, opset=6 + 1, min=-0.5, max=0.5), single("Mod", x, np.array([1.5], F32), fmod=1),
        single("Mod", RNG.integers(-9, 9, (4, 5)), np.array([-4, 3, 5, 7, -2])),
    ]  # fmt: skip


def recurrent() -> list[Case]:
    cases = []
    steps, batch, width, hidden = 5, 2, 3, 4
    for op, gates, states in (("LSTM", 4, 2), ("GRU", 3, 1), ("RNN", 1, 1)):
        variants: list[dict[str, Any]] = [
            {}, {"direction": "reverse"}, {"direction": "bidirectional"}, {"clip": 0.4},
            {"direction": "bidirectional", "activations": ["Relu", "Tanh", "Sigmoid"][: 3 if op == "LSTM" else gates and 2 if op == "GRU" else 1] * 2},
        ]  # fmt: skip
        if op == "GRU":
            variants += [{"linear_before_reset": 1}, {"linear_before_reset": 1, "direction": "bidirectional"}]
        if op == "LSTM":
            variants += [{"input_forget": 1}]
        for variant in variants:
            directions = 2 if variant.get("direction") == "bidirectional" else 1
            constants = {
                "w": floats(directions, gates * hidden, width), "r": floats(directions, gates * hidden, hidden),
                "b": floats(directions, 2 * gates * hidden), "lengths": np.array([5, 3], np.int32),
                "h": floats(directions, batch, hidden), "c": floats(directions, batch, hidden),
            }  # fmt: skip
            x = {"x": floats(steps, batch, width)}
            given = ["h", "c"][:states]
            names = {k: constants[k] for k in ("w", "r", "b", *given)}
            whole = [node(op, "x", "w", "r", "b", "", *given, outputs=1 + states, hidden_size=hidden, **variant)]
            cases.append(Case(f"{op} {variant}", whole, x, names, outputs=1 + states, tolerance=1e-4))
            short = [node(op, "x", "w", "r", "b", "lengths", outputs=1 + states, hidden_size=hidden, **variant)]
            names = {k: constants[k] for k in ("w", "r", "b", "lengths")}
            cases.append(Case(f"{op} lengths {variant}", short, x, names, outputs=1 + states, tolerance=1e-4))
            loop = Case(f"{op} dynamic {variant}", whole, x, {k: constants[k] for k in ("w", "r", "b", *given)}, outputs=1 + states, tolerance=1e-4)
            loop.dynamic = {"x": (0,)}
            cases.append(loop)
    return cases


def signals() -> list[Case]:
    from onnx.reference import ReferenceEvaluator  # noqa: F401  (DFT and STFT are in ONNX Runtime too)

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
        single("Col2Im", floats(2, 8, 15), np.array([5, 6]), np.array([2, 2]), opset=18, pads=[1, 0, 0, 1], strides=[2, 1], dilations=[1, 2]),
    ]  # fmt: skip


def extras() -> list[Case]:
    x = floats(2, 3, 8)
    two = {"x": x, "z": floats(2, 3, 8)}
    ms = {"domain": "com.microsoft"}
    return [
        Case("FastGelu", [node("FastGelu", "x", "b", **ms)], {"x": x}, {"b": floats(8)}),
        Case("BiasGelu", [node("BiasGelu", "x", "b", **ms)], {"x": x}, {"b": floats(8)}),
        Case("QuickGelu", [node("QuickGelu", "x", **ms)], {"x": x}),
        Case("SkipLayerNormalization", [node("SkipLayerNormalization", "x", "z", "g", "b", epsilon=1e-5, **ms)], two, {"g": floats(8), "b": floats(8)}),
        Case("one output twice", [node("Relu", "x", name="a"), helper.make_node("Identity", ["a"], ["b"])], {"x": x}, outputs=2),
        Case("an input as output", [helper.make_node("Identity", ["x"], ["y"]), helper.make_node("Neg", ["x"], ["z"])], {"x": x}, outputs=2),
        Case("a constant as output", [helper.make_node("Neg", ["x"], ["y"]), helper.make_node("Identity", ["c"], ["z"])], {"x": x}, {"c": floats(3)}, outputs=2),
    ]  # fmt: skip


GROUPS = (convolutions, pools, resizes, products, movements, reductions, norms, activations, recurrent, signals, extras)
CASES = [case for group in GROUPS for case in group()]


def witness(path: Path, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # As the graph is written: no fusion to integer arithmetic, no other order of sums.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(str(path), options).run(None, dict(inputs))


def converted(path: Path, level: str = "general") -> tuple[Model, _native.Session]:
    model = load(path)
    optimize(model, level)
    return model, _native.Session(_native.Model.from_buffer(export(model)), threads=1)


@pytest.mark.parametrize("level", ["none", "general"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_equals_onnx_runtime(case: Case, level: str, tmp_path: Path) -> None:
    path = case.save(tmp_path)
    _, session = converted(path, level)
    found = run(session, list(case.inputs.values()))
    for actual, expected in zip(found, witness(path, case.inputs)):
        assert_close(actual, expected, case.tolerance, case.name)


class TestQuantized:
    """Models with quantised weights and activations keep their integers and give the same answers."""

    @staticmethod
    def weights(shape: tuple[int, ...], axis: int | None, dtype: type = np.int8) -> dict[str, np.ndarray]:
        limits = np.iinfo(dtype)
        count = () if axis is None else (shape[axis],)
        return {
            "w": RNG.integers(limits.min, limits.max, shape).astype(dtype),
            "ws": np.asarray(RNG.uniform(0.001, 0.01, count), F32),
            "wz": np.asarray(RNG.integers(-3, 4, count) + (0 if dtype == np.int8 else 128)).astype(dtype),
        }

    @staticmethod
    def stored(model: Model) -> list[tuple[str, int]]:
        """Operators that read constants stored as int8, and how many scales these have."""
        return [
            (n.op, len(v.quant)) for n in model.main.nodes for v in n.inputs
            if v.is_const and v.quant and v.data is not None and v.data.dtype == np.int8
        ]  # fmt: skip

    @pytest.mark.parametrize("dtype", [np.int8, np.uint8])
    @pytest.mark.parametrize("axis", [0, None])
    def test_convolution(self, dtype: type, axis: int | None, tmp_path: Path) -> None:
        constants = {
            **self.weights((4, 3, 3, 3), axis, dtype), "xs": np.array(0.02, F32), "xz": np.array(7, dtype),
            "b": RNG.integers(-500, 500, 4).astype(np.int32), "bs": np.full(4, 0.02 * 0.005, F32),
        }  # fmt: skip
        nodes = [
            node("QuantizeLinear", "x", "xs", "xz", name="q"), node("DequantizeLinear", "q", "xs", "xz", name="d"),
            node("DequantizeLinear", "w", "ws", "wz", name="wd", **({} if axis is None else {"axis": axis})),
            node("DequantizeLinear", "b", "bs", name="bd", axis=0),
            node("Conv", "d", "wd", "bd", name="c", pads=[1, 1, 1, 1]), node("Relu", "c"),
        ]  # fmt: skip
        case = Case("conv", nodes, {"x": floats(2, 3, 6, 5)}, constants)
        path = case.save(tmp_path)
        model, session = converted(path)
        assert self.stored(model) == [("Conv2DFusion", 1 if axis is None else 4)]
        casts = [n for n in model.main.nodes if n.op == "QuantDTypeCast"]
        assert len(casts) == 2
        shift = 128 if dtype == np.uint8 else 0
        assert [(q.scale, q.zero_point) for q in casts[0].output.quant] == [(pytest.approx(0.02), 7 - shift)]
        assert_close(run(session, [case.inputs["x"]])[0], witness(path, case.inputs)[0], 1e-5)

    @pytest.mark.parametrize("transposed", [False, True])
    def test_matrix_product(self, transposed: bool, tmp_path: Path) -> None:
        constants = self.weights((16, 8) if transposed else (8, 16), 0 if transposed else 1)
        nodes = [node("DequantizeLinear", "w", "ws", "wz", name="d", axis=0 if transposed else 1)]
        nodes += [node("Transpose", "d", name="t", perm=[1, 0])] if transposed else []
        nodes.append(node("MatMul", "x", "t" if transposed else "d"))
        case = Case("matmul", nodes, {"x": floats(3, 8)}, constants)
        path = case.save(tmp_path)
        model, session = converted(path)
        assert self.stored(model) == [("MatMulFusion", 16)]
        assert_close(run(session, [case.inputs["x"]])[0], witness(path, case.inputs)[0], 1e-5)

    def test_blocks(self, tmp_path: Path) -> None:
        """Scales for every 4 rows: the numbers are right, the storage is float."""
        constants = {"w": RNG.integers(-99, 99, (8, 6)).astype(np.int8), "s": np.asarray(RNG.uniform(0.1, 1, (2, 6)), F32)}
        nodes = [node("DequantizeLinear", "w", "s", name="d", axis=0, block_size=4), node("MatMul", "x", "d")]
        case = Case("blocks", nodes, {"x": floats(3, 8)}, constants, opset=21)
        path = case.save(tmp_path)
        _, session = converted(path)
        assert_close(run(session, [case.inputs["x"]])[0], witness(path, case.inputs)[0], 1e-5)

    def test_embedding_and_scaled_cast(self, tmp_path: Path) -> None:
        """Integers times a scale, spelled out: rows of an embedding and the weights of a product."""
        constants = {
            "e": RNG.integers(-127, 127, (300, 8)).astype(np.int8), "es": np.asarray(RNG.uniform(0.01, 0.1, (300, 1)), F32),
            "w": RNG.integers(-127, 127, (8, 160)).astype(np.int8), "ws": np.asarray(RNG.uniform(0.01, 0.1, (160,)), F32),
        }  # fmt: skip
        nodes = [
            node("Cast", "e", name="ef", to=1), node("Mul", "ef", "es", name="ed"), node("Gather", "ed", "x", name="g"),
            node("Cast", "w", name="wf", to=1), node("Mul", "wf", "ws", name="wd"), node("MatMul", "g", "wd"),
        ]  # fmt: skip
        case = Case("embedding", nodes, {"x": RNG.integers(-300, 300, (2, 5))}, constants)
        path = case.save(tmp_path)
        model, session = converted(path)
        assert self.stored(model) == [("MatMulFusion", 160)]
        assert any(n.op == "Gather" and n.inputs[0].data is not None and n.inputs[0].data.dtype == np.int8 for n in model.main.nodes)
        assert_close(run(session, [case.inputs["x"]])[0], witness(path, case.inputs)[0], 1e-5)

    @pytest.mark.parametrize("depth", [6, 700])
    def test_integer_product_is_exact(self, depth: int, tmp_path: Path) -> None:
        """Also where the sums leave the range in which float32 is exact."""
        x = RNG.integers(0, 256, (3, depth)).astype(np.uint8)
        x[0] = 255
        w = RNG.integers(-128, 128, (depth, 5)).astype(np.int8)
        w[:, 0] = 127
        constants = {"w": w, "xz": np.array(3, np.uint8), "wz": np.array([1, 0, -2, 5, 7], np.int8)}
        case = Case("integers", [node("MatMulInteger", "x", "w", "xz", "wz")], {"x": x}, constants)
        path = case.save(tmp_path)
        _, session = converted(path)
        expected = (x.astype(I64) - 3) @ (w.astype(I64) - constants["wz"])
        np.testing.assert_array_equal(run(session, [x])[0], expected)

    def test_dynamic_quantisation(self, tmp_path: Path) -> None:
        constants = {"w": RNG.integers(-128, 128, (12, 7)).astype(np.int8), "wz": np.array(0, np.int8), "ws": np.array(0.03, F32)}
        nodes = [
            helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
            node("MatMulInteger", "q", "w", "z", "wz", name="i"), node("Cast", "i", name="f", to=1),
            node("Mul", "s", "ws", name="scale"), node("Mul", "f", "scale"),
        ]  # fmt: skip
        case = Case("dynamic", nodes, {"x": floats(4, 12)}, constants)
        path = case.save(tmp_path)
        _, session = converted(path)
        assert_close(run(session, [case.inputs["x"]])[0], witness(path, case.inputs)[0], 1e-5)

    def test_quantised_operators(self, tmp_path: Path) -> None:
        u8 = lambda v: np.array(v, np.uint8)  # noqa: E731
        constants = {
            "xs": np.array(0.02, F32), "xz": u8(120), "w": RNG.integers(-128, 128, (4, 3, 3, 3)).astype(np.int8),
            "ws": np.asarray(RNG.uniform(0.001, 0.01, 4), F32), "wz": np.zeros(4, np.int8), "ys": np.array(0.05, F32), "yz": u8(110),
            "b": RNG.integers(-500, 500, 4).astype(np.int32),
        }  # fmt: skip
        x = RNG.integers(0, 256, (1, 3, 6, 5)).astype(np.uint8)
        inputs = ("x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b")
        case = Case("qlinear", [node("QLinearConv", *inputs, strides=[2, 1])], {"x": x}, constants)
        path = case.save(tmp_path)
        _, session = converted(path)
        found, expected = run(session, [x])[0].astype(int), witness(path, case.inputs)[0].astype(int)
        # The scale is multiplied in another order, which may turn one tie.
        assert np.abs(found - expected).max() <= 1


class TestControlFlow:
    @staticmethod
    def graph(name: str, nodes: list[onnx.NodeProto], inputs: list[Any], outputs: list[Any], **constants: Any) -> Any:
        kept = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
        return helper.make_graph(nodes, name, inputs, outputs, kept)

    @staticmethod
    def value(name: str, kind: int = TensorProto.FLOAT, shape: Any = None) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    def check(self, case: Case, folder: Path, *feeds: Mapping[str, np.ndarray]) -> None:
        path = case.save(folder)
        for level in ("none", "general"):
            _, session = converted(path, level)
            for feed in feeds:
                for actual, expected in zip(run(session, list(feed.values())), witness(path, feed)):
                    assert_close(actual, expected, 1e-5, case.name)

    def test_branches_with_weights_and_captures(self, tmp_path: Path) -> None:
        v = self.value
        then = self.graph("then", [node("MatMul", "h", "w", name="t")], [], [v("t")], w=floats(4, 4))
        inner_then = self.graph("inner_then", [node("Add", "h", "x", name="it")], [], [v("it")])
        inner_else = self.graph("inner_else", [node("Mul", "h", "half", name="ie")], [], [v("ie")], half=F32(0.5))
        other = self.graph(
            "else",
            [
                node("ReduceMax", "h", name="m", keepdims=0), node("Less", "m", "limit", name="small"),
                node("If", "small", name="e", then_branch=inner_then, else_branch=inner_else),
            ],
            [], [v("e")], limit=F32(1.0),
        )  # fmt: skip
        nodes = [
            node("Relu", "x", name="h"), node("ReduceSum", "x", name="s", keepdims=0), node("Greater", "s", "zero", name="c"),
            node("If", "c", name="r", then_branch=then, else_branch=other), node("Neg", "r"),
        ]  # fmt: skip
        case = Case("if", nodes, {"x": floats(3, 4)}, {"zero": F32(0)})
        ones = np.ones((3, 4), F32)
        self.check(case, tmp_path, {"x": ones}, {"x": -ones}, {"x": np.where(np.eye(3, 4) > 0, 5, -9).astype(F32)})

    def test_a_known_condition_leaves_no_branch(self, tmp_path: Path) -> None:
        then = self.graph("then", [node("Neg", "x", name="t")], [], [self.value("t")])
        other = self.graph("else", [node("Unknown", "x", name="e", domain="nowhere")], [], [self.value("e")])
        case = Case("if", [node("If", "c", then_branch=then, else_branch=other)], {"x": floats(3)}, {"c": np.array(True)})
        path = case.save(tmp_path)
        model, session = converted(path)
        assert len(model.graphs) == 1
        assert_close(run(session, [case.inputs["x"]])[0], -case.inputs["x"])

    def loop_case(self, body_nodes: list[onnx.NodeProto], outputs: list[Any], count: int, **constants: Any) -> Any:
        v = self.value
        inputs = [v("i", TensorProto.INT64, []), v("go", TensorProto.BOOL, []), v("s")]
        return self.graph("body", body_nodes, inputs, outputs, **constants)

    def test_loop_until_a_condition(self, tmp_path: Path) -> None:
        """s = s W while the sum of squares is below a limit; W is captured, the count is the second state."""
        v = self.value
        body = self.graph(
            "body",
            [
                node("MatMul", "s", "w", name="s2"), node("Mul", "s2", "s2", name="sq"),
                node("ReduceSum", "sq", name="norm", keepdims=0), node("Less", "norm", "limit", name="go2"),
                node("Add", "n", "one", name="n2"),
            ],
            [v("i", TensorProto.INT64, []), v("go", TensorProto.BOOL, []), v("s"), v("n", TensorProto.INT64, [])],
            [v("go2", TensorProto.BOOL), v("s2"), v("n2", TensorProto.INT64)], limit=F32(1e4), one=np.array(1),
        )  # fmt: skip
        nodes = [helper.make_node("Loop", ["", "go", "x", "zero"], ["y", "count"], body=body)]
        constants = {"w": np.eye(4, dtype=F32) * 1.7, "zero": np.array(0), "go": np.array(True)}
        case = Case("while", nodes, {"x": floats(3, 4)}, constants, outputs=2)
        self.check(case, tmp_path, {"x": floats(3, 4)}, {"x": floats(3, 4) * 0.01}, {"x": floats(3, 4) * 99})

    @pytest.mark.parametrize("known", [True, False])
    def test_loop_that_collects(self, known: bool, tmp_path: Path) -> None:
        """Running sums of rows, and each of them."""
        v = self.value
        body = self.graph(
            "body",
            [
                node("Gather", "x", "i", name="row"), node("Add", "s", "row", name="s2"), node("Identity", "go", name="go2"),
                node("Mul", "s2", "two", name="out"),
            ],
            [v("i", TensorProto.INT64, []), v("go", TensorProto.BOOL, []), v("s", shape=[4])],
            [v("go2", TensorProto.BOOL), v("s2", shape=[4]), v("out", shape=[4])], two=F32(2),
        )  # fmt: skip
        nodes = [helper.make_node("Loop", ["n", "", "zero"], ["y", "all"], body=body)]
        x, zero = floats(5, 4), np.zeros(4, F32)
        if known:
            case = Case("for", nodes, {"x": x}, {"n": np.array(5), "zero": zero}, outputs=2)
            self.check(case, tmp_path, {"x": x})
            return
        case = Case("for", nodes, {"n": np.array(5), "x": x}, {"zero": zero}, outputs=2)
        self.check(case, tmp_path, {"n": np.array(5), "x": x}, {"n": np.array(2), "x": x})

    @pytest.mark.parametrize("steps", [4, 100])
    def test_scan(self, steps: int, tmp_path: Path) -> None:
        """Backwards over the second axis, collected along the last one."""
        v = self.value
        body = self.graph(
            "body", [node("Add", "s", "e", name="s2"), node("Mul", "s2", "e", name="out")],
            [v("s", shape=[3]), v("e", shape=[3])], [v("s2", shape=[3]), v("out", shape=[3])],
        )  # fmt: skip
        attributes = {"scan_input_axes": [1], "scan_input_directions": [1], "scan_output_axes": [1], "scan_output_directions": [1]}
        nodes = [helper.make_node("Scan", ["zero", "x"], ["y", "all"], body=body, num_scan_inputs=1, **attributes)]
        case = Case("scan", nodes, {"x": floats(3, steps)}, {"zero": np.zeros(3, F32)}, outputs=2)
        self.check(case, tmp_path, case.inputs)


def test_local_functions_are_expanded(tmp_path: Path) -> None:
    """With attributes passed through, an absent input, and one function calling another."""
    inner = helper.make_function(
        "own", "Scaled", ["a", "b"], ["c"],
        [node("LeakyRelu", "a", name="l"), helper.make_node("Add", ["l", "b"], ["c"])], [helper.make_opsetid("", 17)], ["slope"],
    )  # fmt: skip
    inner.node[0].attribute.add(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT)
    outer = helper.make_function(
        "own", "Twice", ["p", "q"], ["r"],
        [
            helper.make_node("Scaled", ["p", "p"], ["m"], domain="own"), helper.make_node("Clip", ["m", "q"], ["r"]),
        ],
        [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)], ["slope"],
    )  # fmt: skip
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
    constants: dict[str, Any] = {"w": floats(4, 3, 3, 3), "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "axes": np.array([2, 3])}
    constants |= {"low": F32(-1), "high": F32(1), "begin": np.array([1]), "end": np.array([4]), "along": np.array([1])}
    reduced = ("ReduceMean", "s") if opset < 18 else ("ReduceMean", "s", "axes")
    nodes = [
        node("Pad", "x", name="p", pads=[0, 0, 1, 1, 0, 0, 1, 1]) if opset < 11 else node("Pad", "x", "pads", name="p"),
        node("Conv", "p", "w", name="c"),
        node("Clip", "c", name="k", min=-1.0, max=1.0) if opset < 11 else node("Clip", "c", "low", "high", name="k"),
        node("Slice", "k", name="s", starts=[1], ends=[4], axes=[1]) if opset < 10 else node("Slice", "k", "begin", "end", "along", name="s"),
        node(*reduced, name="m", keepdims=1, **axes),
        node("Squeeze", "m", name="q", axes=[2, 3]) if opset < 13 else node("Squeeze", "m", "axes", name="q"),
        node("Dropout", "q", name="d"), node("Softmax", "d", axis=1),
    ]  # fmt: skip
    case = Case(f"opset {opset}", nodes, {"x": floats(2, 3, 7, 6)}, constants, opset)
    path = case.save(tmp_path)
    _, session = converted(path)
    from onnx.reference import ReferenceEvaluator

    expected = ReferenceEvaluator(onnx.load(path)).run(None, dict(case.inputs))
    assert_close(run(session, [case.inputs["x"]])[0], expected[0], 1e-5)
