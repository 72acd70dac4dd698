"""FULL_QUANT: int8 weights and activations, ranges from calibration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import DATA, channels_last, recorded, run_ms

import converter
import lite_runtime
from converter import engine
from converter.errors import ConfigError, UsageError
from converter.exporter import export, write
from converter.importers.ms import load
from converter.ir.graph import Graph, Model, Value
from converter.quant import full, quantize, recipe
from converter.quant.channel_scales import equalize
from lite_runtime.types import DataType

_LENET = DATA / "lenet"
METHODS = ("MAX_MIN", "KL", "REMOVAL_OUTLIER", "PERCENTILE", "MSE")


def _config(**keys: Any) -> dict[str, dict[str, str]]:
    return {"common_quant_param": {"quant_type": "FULL_QUANT"}, "full_quant_param": keys}


def _rules(**keys: Any) -> list[recipe.Rule]:
    return recipe.from_recipe([{"algorithm": "FULL_QUANT", "config": keys}])


def _accuracy(model: Path) -> float:
    """Of digits that training has not seen, the part that is named right."""
    with np.load(_LENET / "lenet_mnist5k_test.npz") as arrays:
        x, labels = arrays["x"], arrays["y"]
    run = lite_runtime.load(str(model))
    found = [run(np.ascontiguousarray(image.transpose(1, 2, 0)[None])).argmax() for image in x]
    return float((np.array(found) == labels).mean())


def _lenet_samples(count: int = 256) -> list[list[np.ndarray]]:
    with np.load(_LENET / "lenet_mnist5k_test.npz") as arrays:
        return [[image[None]] for image in arrays["xcal"][:count]]


@pytest.mark.parametrize("method", METHODS)
def test_digits_are_told_as_well_as_in_floats(method: str, tmp_path: Path) -> None:
    path = tmp_path / "lenet.ms"
    settings = _config(activation_quant_method=method)
    converter.convert(_LENET / "lenet_mnist5k.mindir", path, config=settings, calibration=_lenet_samples())
    assert _accuracy(path) >= 0.975
    nodes = load(path).main.nodes
    assert {n.quant_type for n in nodes if n.op in ("Conv2DFusion", "MatMulFusion", "MaxPoolFusion", "Reshape")} == {
        "QUANT_ALL",
        "QUANT_DYNAMIC",
    }
    assert sum(n.op == "QuantDTypeCast" for n in nodes) == 1


@pytest.mark.parametrize("net", ["wide", "cnn", "enc", "tenc", "convs", "dyn", "mm", "lstm"])
def test_close_to_the_float_network(net: str, tmp_path: Path) -> None:
    """A few parts in 2^8, several layers deep."""
    path = tmp_path / f"{net}.ms"
    inputs, expected = recorded(DATA / "mindir_v1" / f"{net}.npz")
    source = DATA / "mindir_v1" / f"{net}.mindir"
    converter.convert(source, path, config=_config(), calibration=[inputs], check=False)
    for output, answer in zip(run_ms(path, channels_last(inputs)), expected):
        if answer.dtype.kind == "f":
            error = np.linalg.norm(output.astype(np.float64) - answer)
            assert error <= 6.0 / 2**8 * np.linalg.norm(answer.astype(np.float64))


def _model(build: Any, shape: tuple[int, ...]) -> Model:
    graph = Graph("main")
    x = graph.add_input("x", DataType.FLOAT32, shape)
    outputs = build(graph, x)
    graph.outputs = list(outputs) if isinstance(outputs, tuple) else [outputs]
    model = Model([graph], "net")
    engine.infer_shapes(model)
    return model


def _apply(model: Model, samples: list[list[np.ndarray]]) -> full.Outcome:
    plan = recipe.plan(model, _rules())
    return full.apply(model, plan, full.prepare(model, plan, samples))


def _f(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _conv(graph: Graph, x: Value, out: int, kernel: int = 3, name: str = "conv", **attrs: Any) -> Value:
    group = attrs.get("group", 1)
    channels = (x.shape or ())[-1] if x.shape else attrs["in_channel"]
    weight = _f(out, kernel, kernel, channels // group, seed=len(graph.nodes))
    inputs = [x, graph.constant(f"{name}_w", weight), graph.constant(f"{name}_b", _f(out, seed=7))]
    defaults: dict[str, Any] = {
        "kernel_size": [kernel, kernel], "stride": [1, 1], "dilation": [1, 1], "pad_mode": "SAME", "group": 1,
        "in_channel": channels, "out_channel": out,
    }  # fmt: skip
    result = graph.add("Conv2DFusion", inputs, name, **{**defaults, **attrs}).output
    result.shape, result.dtype = (*(x.shape or ())[:-1], out), DataType.FLOAT32
    return result


def _run(model: Model, x: np.ndarray, folder: Path) -> list[np.ndarray]:
    write(folder / "net.ms", export(model))
    return run_ms(folder / "net.ms", [x])


def test_a_product_is_the_formula(tmp_path: Path) -> None:
    """int32 sums of (x - zero) * w plus the bias, times the scales, to the nearest integer, plus the zero point."""
    w, bias, x = _f(12, 7, seed=1), _f(7, seed=2), _f(5, 12, seed=3)

    def build(graph: Graph, value: Value) -> Value:
        inputs = [value, graph.constant("w", w), graph.constant("b", bias)]
        first = graph.add("MatMulFusion", inputs, "first", activation_type="RELU").output
        second = graph.add("MatMulFusion", [first, graph.constant("v", np.eye(7, dtype=np.float32))], "second")
        return second.output

    model = _model(build, (5, 12))
    quantize(model, _rules(bias_correction=False), [[x]])
    cast, first, _ = model.main.nodes
    (before,), (after,) = cast.output.quant, first.output.quant
    scales = np.array([p.scale for p in first.inputs[1].quant])
    assert len(scales) == 7 and np.allclose(scales, np.abs(w).max(axis=0) / 127)
    q = np.clip(np.rint(x / np.float32(before.scale)) + before.zero_point, -128, 127)
    sums = (q - before.zero_point) @ np.rint(w / scales) + np.rint(bias / (before.scale * scales))
    expected = np.clip(np.rint(sums * (before.scale * scales / after.scale)) + after.zero_point, after.zero_point, 127)
    model.main.outputs = [first.output]
    model.main.cleanup()
    found = _run(model, x, tmp_path)[0]
    assert found.dtype == np.int8 and np.abs(found.astype(int) - expected).max() <= 1


def test_int8_is_kept_through_what_moves_pools_joins_and_adds() -> None:
    def build(graph: Graph, x: Value) -> Value:
        y = _conv(graph, x, 8, activation_type="RELU")
        pooled = graph.add("MaxPoolFusion", [y], "pool", kernel_size=[2, 2], strides=[2, 2], pad_mode="VALID").output
        average = graph.add("AvgPoolFusion", [y], "mean", kernel_size=[2, 2], strides=[2, 2], pad_mode="VALID").output
        both = graph.add("Concat", [pooled, average], "concat", axis=3).output
        swish = graph.add("Activation", [both], "swish", activation_type="SWISH").output
        doubled = graph.add("AddFusion", [swish, both], "add").output
        size = graph.constant("size", np.array([8, 8], np.int32))
        larger = graph.add("Resize", [doubled, size], "resize", method="LINEAR", coordinate_transform_mode="HALF_PIXEL")
        perm = graph.constant("perm", np.array([0, 2, 1, 3], np.int32))
        turned = graph.add("Transpose", [larger.output, perm], "turn").output
        flat = graph.add("Reshape", [turned, graph.constant("shape", np.array([1, -1], np.int32))], "flat").output
        return graph.add("MatMulFusion", [flat, graph.constant("w", _f(1024, 4))], "dense").output

    model = _model(build, (1, 8, 8, 3))
    samples = [[_f(1, 8, 8, 3, seed=i)] for i in range(4)]
    quantize(model, _rules(), samples)
    assert [n.op for n in model.main.nodes if n.quant_type == "QUANT_NONE"] == ["QuantDTypeCast"]
    by_name = {n.name: n for n in model.main.nodes}
    for name in ("pool", "resize", "turn", "flat"):
        assert by_name[name].output.quant == by_name[name].inputs[0].quant


def test_what_only_a_concat_reads_has_the_scale_of_its_result() -> None:
    def build(graph: Graph, x: Value) -> Value:
        first, second = _conv(graph, x, 8, activation_type="RELU"), _conv(graph, x, 8)
        third = _conv(graph, x, 8)
        pooled = graph.add("MaxPoolFusion", [first], "pool", kernel_size=[1, 1], strides=[1, 1]).output
        inner = graph.add("Concat", [first, second, pooled], "inner", axis=3).output
        outer = graph.add("Concat", [inner, third], "outer", axis=3).output
        return _conv(graph, graph.add("AddFusion", [outer, outer], "twice").output, 4, in_channel=32)

    model = _model(build, (1, 8, 8, 3))
    quantize(model, _rules(), [[_f(1, 8, 8, 3, seed=i)] for i in range(4)])
    by_name = {n.name: n for n in model.main.nodes}
    outer, inner = by_name["outer"], by_name["inner"]
    first, second, pooled = inner.inputs
    assert outer.inputs[0].quant == outer.inputs[1].quant == second.quant == outer.output.quant
    # The pooling reads the first one, too, and gives what it reads.
    assert first.quant == pooled.quant != outer.output.quant


def test_what_a_normalisation_reads_stays_float() -> None:
    def build(graph: Graph, x: Value) -> Value:
        y = graph.add("MatMulFusion", [x, graph.constant("w", _f(16, 16))], "first").output
        total = graph.add("AddFusion", [x, y], "residual").output
        scale, shift = graph.constant("g", _f(16)), graph.constant("s", _f(16))
        norm = graph.add("LayerNormFusion", [total, scale, shift], "norm", begin_norm_axis=-1, begin_params_axis=-1)
        return graph.add("MatMulFusion", [norm.output, graph.constant("v", _f(16, 4))], "second").output

    model = _model(build, (4, 16))
    outcome = _apply(model, [[_f(4, 16)]])
    reasons = {node.name: reason for node, reason in outcome.placed.reasons.items()}
    assert reasons == {
        "residual": "LayerNormFusion 'norm' reads it in full precision",
        "norm": "LayerNormFusion has no int8 form",
    }
    assert [n.op for n in model.main.nodes] == [
        "QuantDTypeCast", "MatMulFusion", "AddFusion", "LayerNormFusion", "QuantDTypeCast", "MatMulFusion",
    ]  # fmt: skip
    assert not any(v.quant for n in model.main.nodes if n.op == "MatMulFusion" for v in n.outputs)


def test_skipped_nodes_and_recipes_leave_layers_float(tmp_path: Path) -> None:
    path = tmp_path / "lenet.ms"
    rules = [{"algorithm": "FULL_QUANT"}, {"scope": "fc1|fc2", "algorithm": "NONE"}]
    source = _LENET / "lenet_mnist5k.mindir"
    converter.convert(source, path, recipe=rules, calibration=_lenet_samples(8), check=False)
    kinds = {n.name.split("/")[-2]: n.quant_type for n in load(path).main.nodes if n.op == "MatMulFusion"}
    assert kinds == {"fc1-Dense": "QUANT_NONE", "fc2-Dense": "QUANT_NONE", "fc3-Dense": "QUANT_DYNAMIC"}


def test_an_output_keeps_its_name_and_type(tmp_path: Path) -> None:
    model = _model(lambda graph, x: _conv(graph, x, 4, name="y"), (1, 6, 6, 3))
    expected = _run(model, _f(1, 6, 6, 3), tmp_path)[0]
    quantize(model, _rules(), [[_f(1, 6, 6, 3)]])
    (output,) = model.main.outputs
    assert output.name == "y" and output.dtype == DataType.FLOAT32
    found = _run(model, _f(1, 6, 6, 3), tmp_path)[0]
    assert np.linalg.norm(found - expected) <= 0.02 * np.linalg.norm(expected)


def test_bias_correction_takes_the_mean_error_away(tmp_path: Path) -> None:
    """A weight whose rounding is off in one direction, for inputs that are all positive."""
    x = np.random.default_rng(4).uniform(0.5, 1.5, (64, 32)).astype(np.float32)
    w = np.full((32, 3), 0.3, np.float32)
    w[0] = 127
    errors = {}
    for corrected in (True, False):
        model = _model(
            lambda graph, v: graph.add("MatMulFusion", [v, graph.constant("w", w)], "dense").output, (64, 32)
        )
        quantize(model, _rules(bias_correction=corrected), [[x]])
        errors[corrected] = abs(float((_run(model, x, tmp_path)[0] - x @ w).mean()))
    assert errors[True] < 0.1 * errors[False]


def _dense_pair(activation: str) -> Model:
    first, second = _f(8, 16, seed=1), _f(16, 4, seed=2)
    first[:, 3] *= 200
    second[3] /= 200

    def build(graph: Graph, x: Value) -> Value:
        inputs = [x, graph.constant("w", first), graph.constant("b", _f(16, seed=3))]
        y = graph.add("MatMulFusion", inputs, "first", activation_type=activation).output
        return graph.add("MatMulFusion", [y, graph.constant("v", second)], "second").output

    return _model(build, (6, 8))


def test_equalisation_keeps_the_meaning_and_evens_the_ranges(tmp_path: Path) -> None:
    model = _dense_pair("RELU")
    x = _f(6, 8, seed=5)
    before = _run(model, x, tmp_path)[0]
    assert equalize(model.main, model.main.nodes)
    assert np.abs(_run(model, x, tmp_path)[0] - before).max() <= 1e-5 * np.abs(before).max()
    first, second = (node.inputs[1].data for node in model.main.nodes)
    assert first is not None and second is not None
    assert np.allclose(np.abs(first).max(axis=0), np.abs(second).max(axis=1), rtol=1e-3)
    # A RELU6 is not homogeneous.
    assert not equalize(_dense_pair("RELU6").main, _dense_pair("RELU6").main.nodes)


def _error(model: Model, x: np.ndarray, expected: np.ndarray, folder: Path, **keys: Any) -> float:
    quantize(model, _rules(**keys), [[x]])
    return float(np.linalg.norm(_run(model, x, folder)[0] - expected) / np.linalg.norm(expected))


def test_equalisation_helps_channels_of_very_different_sizes(tmp_path: Path) -> None:
    x = _f(6, 8, seed=5)
    expected = _run(_dense_pair("RELU"), x, tmp_path)[0]
    plain = _error(_dense_pair("RELU"), x, expected, tmp_path)
    assert _error(_dense_pair("RELU"), x, expected, tmp_path, cross_layer_equalization=True) < 0.3 * plain


@pytest.mark.parametrize("residual", [False, True])
def test_smooth_shift_helps_outliers_behind_a_normalisation(residual: bool, tmp_path: Path) -> None:
    gamma, beta = _f(16, seed=6), _f(16, seed=7)
    gamma[2], beta[5] = 80, 60

    def build(graph: Graph, x: Value) -> Any:
        scale, shift = graph.constant("g", gamma), graph.constant("s", beta)
        norm = graph.add("LayerNormFusion", [x, scale, shift], "norm", begin_norm_axis=-1, begin_params_axis=-1).output
        w = _f(16, 4)
        w[[2, 5]] /= 50
        y = graph.add("MatMulFusion", [norm, graph.constant("w", w)], "dense").output
        return (y, norm) if residual else y

    x = _f(32, 16, seed=8)
    expected = _run(_model(build, (32, 16)), x, tmp_path)
    errors = {}
    for on in (False, True):
        model = _model(build, (32, 16))
        quantize(model, _rules(enable_smooth_shift=on), [[x]])
        assert any(n.op == "ScaleFusion" for n in model.main.nodes) == (on and residual)
        found = _run(model, x, tmp_path)
        errors[on] = np.linalg.norm(found[0] - expected[0])
        if residual:
            assert np.allclose(found[1], expected[1], atol=1e-5)
    assert errors[True] < 0.2 * errors[False]


# ---- what cannot serve ----


def test_no_calibration_inputs() -> None:
    model = _model(lambda graph, x: _conv(graph, x, 4), (1, 6, 6, 3))
    with pytest.raises(UsageError, match="quantising activations needs calibration inputs, there are none"):
        quantize(model, _rules())


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ([np.zeros((1, 3, 5, 5), np.float32)], r"the input 'x' takes \[1, 28, 28, 1\], the sample is \[1, 5, 5, 3\]"),
        ([np.full((1, 1, 28, 28), np.nan, np.float32)], "NaN or infinity for the input 'x'"),
        ([], r"calibration sample 0 has 0 arrays, the model has 1 inputs"),
    ],
)
def test_samples_that_do_not_fit(sample: list[np.ndarray], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        converter.convert(
            _LENET / "lenet_mnist5k.mindir", tmp_path / "x.ms", config=_config(), calibration=[sample], check=False
        )
    assert not (tmp_path / "x.ms").exists()


def test_a_model_without_products_is_refused() -> None:
    model = _model(lambda graph, x: graph.add("Softmax", [x], "softmax", axis=[-1]).output, (2, 5))
    with pytest.raises(UsageError, match="finds no convolution or matrix product"):
        quantize(model, _rules(), [[_f(2, 5)]])


def test_weights_and_activations_that_are_not_finite_stay_float() -> None:
    def build(graph: Graph, x: Value) -> Value:
        bad = _f(8, 8)
        bad[0, 0] = np.inf
        y = graph.add("MatMulFusion", [x, graph.constant("w", bad)], "bad_weight").output
        z = graph.add("Log", [graph.add("SubFusion", [x, x], "zero").output], "infinite").output
        z = graph.add("MatMulFusion", [z, graph.constant("v", _f(8, 8))], "bad_input").output
        good = graph.add("MatMulFusion", [x, graph.constant("u", _f(8, 8))], "good").output
        return graph.add("AddFusion", [y, z], "sum").output, good

    model = _model(build, (4, 8))
    outcome = _apply(model, [[_f(4, 8)]])
    reasons = {node.name: reason for node, reason in outcome.placed.reasons.items()}
    assert reasons["bad_weight"] == "NaN or infinity in the weight 'w'"
    assert reasons["bad_input"] == "'infinite' was NaN or infinite in calibration"
    assert [node.name for node in outcome.placed.int8] == ["good"]


def test_constant_channels_and_activations_are_safe(tmp_path: Path) -> None:
    """Zero channels, biases far above their weights, an input that never changes."""
    w = np.zeros((6, 4), np.float32)
    w[:, 1], w[:, 2] = 1e-30, 1e-3
    bias = np.array([5.0, 3.0, 1e6, 0.0], np.float32)

    def build(graph: Graph, x: Value) -> Value:
        inputs = [x, graph.constant("w", w), graph.constant("b", bias)]
        y = graph.add("MatMulFusion", inputs, "first").output
        return graph.add("MatMulFusion", [y, graph.constant("v", np.eye(4, dtype=np.float32))], "second").output

    model = _model(build, (3, 6))
    x = np.full((3, 6), 0.25, np.float32)
    notes = quantize(model, _rules(), [[x]])
    assert notes == [
        "only 1 calibration input(s): other inputs may leave the ranges found, and be clipped",
        "always the same value in calibration, so of unknown range: 'x'",
    ]
    found = _run(model, x, tmp_path)[0]
    assert np.allclose(found, x @ w + bias, rtol=0.01, atol=0.005 * 1e6)


def test_bits_out_of_range() -> None:
    with pytest.raises(ConfigError, match="bit_num=4: FULL_QUANT has 8 bits"):
        recipe.from_recipe([{"algorithm": "FULL_QUANT", "config": {"bit_num": 4}}])
    with pytest.raises(ConfigError, match=r"target_device=DSP: not offered"):
        recipe.from_recipe([{"algorithm": "FULL_QUANT", "config": {"target_device": "DSP"}}])
    with pytest.raises(ConfigError, match=r"percentile=101: expected a number between 50 and 100"):
        recipe.from_recipe([{"algorithm": "FULL_QUANT", "config": {"percentile": 101}}])


_I32 = np.int32
# Operators that only move values: inputs behind the first, and attributes.
_MOVING: dict[str, tuple[list[np.ndarray], dict[str, Any]]] = {
    "Gather": ([np.array([3, 0], _I32), np.array(1, _I32)], {}),
    "TileFusion": ([np.array([1, 1, 2, 1], _I32)], {}),
    "DepthToSpace": ([], {"block_size": 2, "format": "NHWC"}),
    "SpaceToDepth": ([], {"block_size": 2, "format": "NHWC"}),
    "PadFusion": ([np.array([[0, 0], [1, 0], [0, 2], [0, 0]], _I32)], {"padding_mode": "CONSTANT"}),
    "SliceFusion": ([np.array([0, 1, 0, 2], _I32), np.array([1, 3, 4, 4], _I32)], {"axes": [0, 1, 2, 3]}),
    "StridedSlice": ([np.array(v, _I32) for v in ([0, 0, 1, 0], [1, 4, 4, 8], [1, 2, 1, 1])], {}),
    "Resize": ([np.array([8, 8], _I32)], {"method": "NEAREST", "coordinate_transform_mode": "ASYMMETRIC"}),
    "MaxPoolFusion": ([], {"kernel_size": [2, 2], "strides": [2, 2], "pad_mode": "VALID"}),
    "Transpose": ([np.array([0, 2, 1, 3], _I32)], {}),
}
_REQUANTIZED: dict[str, tuple[list[np.ndarray], dict[str, Any]]] = {
    "AvgPoolFusion": ([], {"kernel_size": [2, 2], "strides": [2, 2], "pad_mode": "VALID"}),
    "ReduceFusion": ([np.array([1, 2], _I32)], {"mode": "ReduceMean", "keep_dims": True}),
    "Activation": ([], {"activation_type": "HSWISH"}),
    "Abs": ([], {}),
}


@pytest.mark.parametrize("op", [*_MOVING, *_REQUANTIZED])
def test_operators_between_two_convolutions(op: str, tmp_path: Path) -> None:
    """Nothing becomes float in between, and the result is near that of the float model."""
    constants, attrs = {**_MOVING, **_REQUANTIZED}[op]

    def build(graph: Graph, x: Value) -> Value:
        y = _conv(graph, x, 8, name="before")
        inputs = [y, *(graph.constant(f"c{i}", c) for i, c in enumerate(constants))]
        middle = graph.add(op, inputs, "middle", **attrs).output
        shapes = {"DepthToSpace": 2, "SpaceToDepth": 32, "SliceFusion": 4}
        middle.shape = (1, -1, -1, shapes.get(op, 8))
        weight = graph.constant("w", _f(4, 1, 1, middle.shape[3]))
        conv = {"kernel_size": [1, 1], "stride": [1, 1], "dilation": [1, 1], "pad_mode": "VALID", "group": 1}
        return graph.add("Conv2DFusion", [middle, weight], "after", **conv).output

    samples = [[_f(1, 4, 4, 3, seed=i)] for i in range(4)]
    expected = _run(_model(build, (1, 4, 4, 3)), samples[0][0], tmp_path)[0]
    model = _model(build, (1, 4, 4, 3))
    quantize(model, _rules(), samples)
    kinds = [n.op for n in model.main.nodes]
    assert kinds == ["QuantDTypeCast", "Conv2DFusion", op, "Conv2DFusion", "QuantDTypeCast"]
    same = model.main.nodes[2].output.quant == model.main.nodes[2].inputs[0].quant
    assert same == (op in _MOVING)
    found = _run(model, samples[0][0], tmp_path)[0]
    assert np.linalg.norm(found - expected) <= 0.03 * np.linalg.norm(expected)


@pytest.mark.parametrize("method", ["MAX_MIN", "KL", "REMOVAL_OUTLIER", "PERCENTILE", "MSE"])
@pytest.mark.parametrize("size", [1e-42, 1e-30, 1e30, 1e36])
def test_ranges_at_the_ends_of_float32(size: float, method: str, tmp_path: Path) -> None:
    """Activations that are subnormal, or as large as can be: counted, quantised, and finite."""

    def build(graph: Graph, x: Value) -> Value:
        y = _conv(graph, x, 8, name="first")
        y.producer.inputs[1].data = y.producer.inputs[1].data * np.float32(size)
        y.producer.inputs[2].data = y.producer.inputs[2].data * np.float32(size)
        return _conv(graph, y, 4, name="second")

    samples = [[_f(1, 6, 6, 3, seed=i)] for i in range(4)]
    expected = _run(_model(build, (1, 6, 6, 3)), samples[0][0], tmp_path)[0]
    model = _model(build, (1, 6, 6, 3))
    quantize(model, _rules(activation_quant_method=method), samples)
    assert [n.op for n in model.main.nodes].count("QuantDTypeCast") == 2
    found = _run(model, samples[0][0], tmp_path)[0]
    error = np.linalg.norm((found - expected).astype(np.float64))
    # Steps of int8 are no smaller than the least normal number.
    assert np.isfinite(found).all() and (size < 1e-37 or error <= 0.1 * np.linalg.norm(expected.astype(np.float64)))


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 and no archive", "cut"])
def test_calibration_files_that_are_damaged(content: bytes | str, tmp_path: Path) -> None:
    path = tmp_path / "inputs.npz"
    if isinstance(content, str):
        np.savez_compressed(path, x=_f(4, 3, 8, 8))
        content = path.read_bytes()[:200]
    path.write_bytes(content)
    source = DATA / "mindir_v1" / "cnn.mindir"
    config = {"common_quant_param": {"quant_type": "FULL_QUANT"}}
    with pytest.raises(converter.ConvertError, match=r"not a \.npz file of arrays, or it is damaged"):
        converter.convert(source, tmp_path / "net.ms", config=config, calibration=path, check=False)
