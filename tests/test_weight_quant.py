"""WEIGHT_QUANT: sizes against MindSpore Lite's files, an independent reader of stored weights, settings, bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stored_weights import decoded, integers
from support import CORPUS, DATA, assert_all_close, assert_close, channels_last, recorded, run_ms

import converter
from converter.errors import ConfigError
from converter.exporter import export, write
from converter.importers.ms import load
from converter.ir.graph import Graph, Model, Node, QuantParam, Value
from converter.quant import entropy, packing, quantize, recipe
from converter.quant.weight import channel_axis
from lite_runtime.types import DataType

_THEIRS = (DATA / "ms_quantized", CORPUS / "quantized_by_mindspore_lite")
# The bits of MindSpore Lite's files, and how they are asked for.
_SETTINGS: dict[str, dict[str, dict[str, str]]] = {
    **{f"wq{bits}": {"common_quant_param": {"bit_num": str(bits)}} for bits in (2, 4, 5, 8, 12, 16)},
    "wq8ne": {"common_quant_param": {"enable_encode": "false"}},
    "wq8fly": {"weight_quant_param": {"dequant_strategy": "ON_THE_FLY"}},
    "wqmix": {"common_quant_param": {"bit_num": "0"}, "mixed_bit_weight_quant_param": {"init_scale": "0.02"}},
}
_FILES = [f"wide_{name}" for name in _SETTINGS] + ["cnn_wq8", "enc_wq8", "lstm_wq8"]
_SMALL = {"cnn_wq8", "enc_wq8", "lstm_wq8", "wide_wq2", "wide_wq4", "wide_wq5", "wide_wq8fly", "wide_wqmix"}
_CASES = [pytest.param(name, marks=[] if name in _SMALL else [pytest.mark.corpus]) for name in _FILES]


def _config(**common: Any) -> dict[str, dict[str, str]]:
    return {"common_quant_param": {"quant_type": "WEIGHT_QUANT", **{k: str(v) for k, v in common.items()}}}


def _converted(folder: Path, net: str, config: dict[str, dict[str, str]] | None = None, **options: Any) -> Path:
    target = folder / f"{net}.ms"
    converter.convert(DATA / "mindir_v1" / f"{net}.mindir", target, config=config or {}, check=False, **options)
    return target


def _net(folder: Path, name: str) -> Path:
    net, setting = name.split("_")
    config = {"common_quant_param": {"quant_type": "WEIGHT_QUANT"}}
    for section, keys in _SETTINGS[setting].items():
        config[section] = {**config.get(section, {}), **keys}
    return _converted(folder, net, config)


def _weights(path: Path) -> list[tuple[Node, int, Value]]:
    """The quantised weights of a file and where they are read."""
    return [
        (node, index, value)
        for graph in load(path).graphs
        for node in graph.nodes
        for index, value in enumerate(node.inputs)
        if value.is_const and (value.quant or value.compression != "NONE")
    ]


@pytest.mark.parametrize("name", _CASES)
def test_never_larger_than_mindspore_lite(name: str, tmp_path: Path) -> None:
    theirs = next(folder / f"{name}.ms" for folder in _THEIRS if (folder / f"{name}.ms").exists())
    assert _net(tmp_path, name).stat().st_size <= theirs.stat().st_size


def _relative(actual: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(actual - expected) / np.linalg.norm(expected))


# Of normally distributed weights, 2^b points from the least to the greatest, which are up to 7 standard deviations
# apart in a channel: 7 / sqrt(12) / 2^b. With 2 bits the points are too few for that. Mixed bits state
# their noise, 0.02.
_NOISE = {
    **{f"wq{bits}": 2.0 * 2.0**-bits for bits in (4, 5, 8, 12, 16)},
    "wq2": 0.55,
    "wq8ne": 2.0 * 2.0**-8,
    "wq8fly": 3.0 * 2.0**-8,
    "wqmix": 0.02,
}


@pytest.mark.parametrize("name", [f"wide_{setting}" for setting in _SETTINGS] + ["cnn_wq8", "enc_wq8"])
def test_independent_reader(name: str, tmp_path: Path) -> None:
    """What an independent reader finds is close to the source's weights, and is what the runtime computes with."""
    net, setting = name.split("_")
    source = {
        value.name: np.asarray(value.data)
        for node in load(_converted(tmp_path, net)).main.nodes
        for value in node.inputs
        if value.is_const
    }
    path = _net(tmp_path, name)
    assert _weights(path)
    plain = load(path)
    for node in plain.main.nodes:
        for index, value in enumerate(node.inputs):
            if not value.is_const or not (value.quant or value.compression != "NONE"):
                continue
            weight = _decoded(node, index, value)
            assert _relative(weight, source[value.name]) <= _NOISE[setting]
            if node.op == "QuantDTypeCast":
                plain.main.replace(node.output, plain.main.constant(value.name, weight.astype(np.float32)))
                continue
            value.data, value.dtype, value.quant = weight.astype(np.float32), DataType.FLOAT32, []
            value.compression, node.quant_type = "NONE", "QUANT_NONE"
    plain.main.cleanup()
    write(tmp_path / "plain.ms", export(plain))
    inputs = channels_last(recorded(DATA / "mindir_v1" / f"{net}.npz")[0])
    for ours, expected in zip(run_ms(path, inputs), run_ms(tmp_path / "plain.ms", inputs)):
        assert_close(ours, expected, 1e-5)  # 3x3 windows of floats, not those of integers, by Winograd's transforms


def _decoded(node: Node, index: int, value: Value) -> np.ndarray:
    if node.op != "QuantDTypeCast":
        return decoded(value, channel_axis(node, index))
    scale, zero, mean, var = (np.asarray(v.data, np.float64) for v in node.inputs[1:])
    return (np.asarray(value.data) - zero) * scale * var + mean


@pytest.mark.parametrize("bits", range(1, 17))
def test_every_number_of_bits_and_form(bits: int) -> None:
    """All forms that fit give the integers back, whichever is the smallest."""
    random = np.random.default_rng(bits)
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    dtype = np.int8 if bits <= 8 else np.int16
    axis = 0
    spread = {
        "uniform": random.integers(low, high + 1, (8, 37)),
        "few": random.choice([low, high], (8, 37)),
        "sparse": np.where(random.random((8, 900)) < 0.01, random.integers(low, high + 1, (8, 900)), 0),
        "one": np.full((8, 37), high),
        "normal": np.clip(np.rint(random.standard_normal((8, 9000)) * (1 << bits) / 12), low, high),
    }
    seen = set()
    for numbers in spread.values():
        q = numbers.astype(dtype)
        zeros = np.zeros((8, 1), np.int32)
        for encode in (True, False) if bits in (8, 16) else (True,):
            stored = packing.smallest(q, bits, zeros, encode)
            value = Value("w", DataType.of(q.dtype), q.shape, stored.data)
            value.compression = stored.form
            value.quant = [QuantParam(1.0, 0, bits)] * 8
            assert np.array_equal(integers(value, axis), q)
            seen.add(stored.form)
    assert len(seen) >= 2 and (bits in (8, 16) or stored.data.nbytes <= packing.packed_bytes(q.size, bits) + 64)


def test_bit_packing_is_least_significant_first() -> None:
    q = np.array([-8, 7, 0], np.int8)  # 0, 15, 8 with their offset
    assert packing.pack_bits(q, 4).tolist() == [0xF0, 0x08]
    assert packing.pack_bits(np.array([-2048, 2047, 1], np.int16), 12).tolist() == [0x00, 0xF0, 0xFF, 0x01, 0x08, 0x00]


@pytest.mark.parametrize("count", [2, 3, 255, 256, 4095, 4096, 4097, 3 * 4096 + 5, 60000])
def test_entropy_code(count: int) -> None:
    """Coded in parts side by side, decoded one by one; close to the entropy."""
    random = np.random.default_rng(count)
    numbers = np.rint(random.standard_normal(count) * 5).astype(np.int32)
    numbers[:2] = (0, 1)
    found, indices = np.unique(numbers, return_inverse=True)
    data = np.frombuffer(entropy.encode(indices, found), np.uint8)
    value = Value("w", DataType.INT8, (count,), data)
    value.compression, value.quant = "FSE_INT", [QuantParam(1.0, 0, 8)]
    assert np.array_equal(integers(value, None), found[indices])
    counts = np.bincount(indices)
    assert abs(len(data) - entropy.estimated_bytes(counts)) <= 16 + 0.01 * len(data)
    if count == 60000:
        bits = -(counts * np.log2(counts / count)).sum()
        assert len(data) <= 1.01 * bits / 8 + 8 * len(found) + 40


def _dense(weight: np.ndarray, **attrs: Any) -> Model:
    """A product with one weight."""
    graph = Graph("main")
    x = graph.add_input("x", DataType.FLOAT32, (2, weight.shape[1]))
    node = graph.add("MatMulFusion", [x, graph.constant("w", weight)], "dense", transpose_b=True, **attrs)
    graph.outputs = [node.output]
    return Model([graph], "dense")


def _rules(**config: Any) -> list[recipe.Rule]:
    return recipe.from_recipe([{"algorithm": "WEIGHT_QUANT", "config": config}])


def _only_weight(model: Model) -> Value:
    return model.main.nodes[0].inputs[1]


def test_bias_correction_lowers_the_error() -> None:
    random = np.random.default_rng(1)
    weight = (random.standard_normal((32, 64)) + 0.1).astype(np.float32)
    errors = {}
    for correct in (True, False):
        model = _dense(weight)
        assert quantize(model, _rules(bit_num=5, bias_correction=correct)) == []
        errors[correct] = np.square(decoded(_only_weight(model), 0) - weight).sum(axis=1)
        assert any(p.mean_corr for p in _only_weight(model).quant) == correct
    assert errors[True].sum() < errors[False].sum()
    assert (errors[True] <= errors[False] * (1 + 1e-6)).all()


def test_per_channel_or_not() -> None:
    weight = np.random.default_rng(2).standard_normal((32, 64)).astype(np.float32)
    weight[0] *= 100
    for per_channel, count in ((True, 32), (False, 1)):
        model = _dense(weight)
        quantize(model, _rules(per_channel=per_channel))
        assert len(_only_weight(model).quant) == count


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_constant_channels_are_exact(bits: int) -> None:
    weight = np.random.default_rng(3).standard_normal((32, 64)).astype(np.float32)
    weight[0], weight[1], weight[2], weight[3] = 0, 0.25, -3, 1e-42
    model = _dense(weight)
    quantize(model, _rules(bit_num=bits))
    found = decoded(_only_weight(model), 0)
    assert_close(found[:3], weight[:3], 1e-6)
    assert np.abs(found[3]).max() <= 1e-37 and np.isfinite(found).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_stay_float(bad: float) -> None:
    weight = np.ones((32, 64), np.float32)
    weight[3, 4] = bad
    model = _dense(weight)
    assert quantize(model, _rules()) == ["weight 'w' stays float32: NaN or infinity in it"]
    assert _only_weight(model).dtype == DataType.FLOAT32


def test_the_largest_floats_do_not_overflow() -> None:
    weight = np.random.default_rng(4).uniform(-3.4e38, 3.4e38, (32, 64)).astype(np.float32)
    model = _dense(weight)
    quantize(model, _rules())
    found = decoded(_only_weight(model), 0)
    assert _relative(found / 1e38, weight / 1e38) < 2.0**-7


def test_a_weight_read_otherwise_stays_float() -> None:
    model = _dense(np.ones((64, 64), np.float32))
    graph = model.main
    both = graph.add("AddFusion", [graph.nodes[0].output, graph.nodes[0].inputs[1]], "sum")
    graph.outputs = [both.output]
    assert quantize(model, _rules()) == ["weight 'w' stays float32: AddFusion 'sum' reads it too"]


def test_least_sizes() -> None:
    for key, value, expected in (("min_quant_weight_size", 2048, 1), ("min_quant_weight_size", 2047, 0)):
        assert len(quantize(_dense(np.eye(32, 64, dtype=np.float32)), _rules(**{key: value}))) == expected


def test_skipped_nodes(tmp_path: Path) -> None:
    node = _weights(_converted(tmp_path, "wide", _config()))[0][0]
    found = _weights(_converted(tmp_path, "wide", _config(skip_quant_node=f"{node.name}")))
    assert len(found) == 4 and node.name not in {n.name for n, _, _ in found}
    with pytest.raises(ConfigError, match=r"skip_quant_node: the model has no node 'x'"):
        _converted(tmp_path, "wide", _config(skip_quant_node="x,"))


def test_recipe_and_config_file_lead_to_the_same_plan(tmp_path: Path) -> None:
    model = load(_converted(tmp_path, "wide"))
    skipped = next(n for n in model.main.nodes if n.op == "MatMulFusion")
    text = f"[common_quant_param]\nquant_type=WEIGHT_QUANT\nbit_num=4\nskip_quant_node={skipped.name}\n"
    (tmp_path / "my.cfg").write_text(text + "[weight_quant_param]\nbias_correction=false\n")
    rules = recipe.from_recipe(
        [
            {"algorithm": "WEIGHT_QUANT", "config": {"bit_num": 4, "bias_correction": False}},
            {"scope": f"^{skipped.name}$", "op": "MatMulFusion", "algorithm": "NONE"},
        ]
    )
    planned = recipe.plan(model, rules)
    assert planned == recipe.plan(model, recipe.from_config(converter.config.read_config(tmp_path / "my.cfg"), model))
    assert skipped not in planned and len(planned) > 3


def test_the_last_rule_holds(tmp_path: Path) -> None:
    rules = [
        {"algorithm": "WEIGHT_QUANT", "config": {"bit_num": 8}},
        {"op": "MatMulFusion", "algorithm": "WEIGHT_QUANT", "config": {"bit_num": 4}},
    ]
    found = _weights(_converted(tmp_path, "wide", recipe=rules))
    assert {(n.op, v.quant[0].bits) for n, _, v in found} == {("Conv2DFusion", 8), ("MatMulFusion", 4)}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({}, "rule 0: algorithm None: expected one of NONE, WEIGHT_QUANT"),
        ({"algorithm": "WEIGHT"}, "rule 0: algorithm 'WEIGHT'"),
        ({"algorithm": "NONE", "scop": ""}, r"unknown field 'scop' \(did you mean scope\?\)"),
        (
            {"algorithm": "NONE", "op": "MatMul"},
            r"op 'MatMul' is no operator of the .ms format \(did you mean MatMulFusion",
        ),
        ({"algorithm": "NONE", "scope": "("}, "is no regular expression"),
        ({"algorithm": "WEIGHT_QUANT", "config": {"bits": 4}}, "unknown key bits"),
        ({"algorithm": "WEIGHT_QUANT", "config": {"bit_num": 17}}, "bit_num=17: expected an integer from 0 to 16"),
        ({"algorithm": "DYNAMIC_QUANT", "config": {"bit_num": 4}}, "bit_num=4: DYNAMIC_QUANT has 8 bits"),
        ({"algorithm": "WEIGHT_QUANT", "config": {"bit_num": 4, "enable_encode": False}}, "needs enable_encode=true"),
    ],
)
def test_wrong_recipes(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        recipe.from_recipe([entry])


def test_settings_without_a_quant_type(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="sets no quant_type"):
        _converted(tmp_path, "wide", {"common_quant_param": {"bit_num": "4"}})


def test_with_float16(tmp_path: Path) -> None:
    """What is not quantised becomes float16."""
    inputs = channels_last(recorded(DATA / "mindir_v1" / "enc.npz")[0])
    plain = run_ms(_converted(tmp_path, "enc", _config(bit_num=8)), inputs)
    both = _converted(tmp_path, "enc", _config(bit_num=8), fp16=True)
    types = {v.dtype for n in load(both).main.nodes for v in n.inputs if v.is_const}
    assert types >= {DataType.INT8, DataType.FLOAT16} and DataType.FLOAT32 not in types
    for ours, expected in zip(run_ms(both, inputs), plain):
        assert_close(ours, expected, 1e-2)  # float16 has 11 bits


def test_quantised_files_convert_again(tmp_path: Path) -> None:
    source = _net(tmp_path, "wide_wq4")
    (tmp_path / "again").mkdir()
    converter.convert(source, tmp_path / "again" / "wide.ms", check=False)
    inputs = channels_last(recorded(DATA / "mindir_v1" / "wide.npz")[0])
    assert_all_close(run_ms(tmp_path / "again" / "wide.ms", inputs), run_ms(source, inputs), "again")
