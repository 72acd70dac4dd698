"""The ways to choose a weight's integers: MAX_MIN, MSE, HQQ and GPTQ, and what they read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import DATA, assert_close, channels_last, run_ms

import converter
from converter import engine
from converter.errors import ConvertError, SourceFileError, UsageError
from converter.ir.graph import Graph, Model
from converter.quant import quantize, recipe, samples
from converter.quant.moments import moments, rows_of
from converter.quant.ranges import Grid, Strategy, max_min, rounded
from converter.quant.weight_gptq import Compensation
from converter.quant.weight_hqq import hqq
from converter.quant.weight_mse import mse
from lite_runtime.types import DataType

_LENET = DATA / "lenet"


def _back(rows: np.ndarray, strategy: Strategy, bits: int) -> np.ndarray:
    grid = strategy(rows, bits)
    return (rounded(rows, grid, bits) - grid.zero) * grid.scale


def _heavy(seed: int) -> np.ndarray:
    """Rows with a few large values, as trained weights have them."""
    return np.random.default_rng(seed).standard_t(4, (32, 512))


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_mse_has_the_least_squared_error(bits: int) -> None:
    rows = _heavy(bits)
    error = {s: np.square(_back(rows, s, bits) - rows).sum(axis=1) for s in (max_min, mse)}
    assert (error[mse] <= error[max_min]).all()
    assert error[mse].sum() < 0.9 * error[max_min].sum()


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_hqq_lowers_the_norm_it_is_about(bits: int) -> None:
    rows = _heavy(bits) + 0.3
    norm = {s: (np.abs(_back(rows, s, bits) - rows) ** 0.7).sum(axis=1) for s in (max_min, hqq)}
    assert (norm[hqq] <= norm[max_min] * (1 + 1e-9)).all()
    assert norm[hqq].sum() < norm[max_min].sum()


@pytest.mark.parametrize("strategy", [max_min, mse, hqq])
@pytest.mark.parametrize("rows", [np.zeros((2, 5)), np.full((2, 5), -3.0), np.full((2, 1), 1e-40), np.zeros((2, 0))])
def test_constant_and_empty_rows(strategy: Strategy, rows: np.ndarray) -> None:
    for bits in (1, 4, 8):
        back = _back(rows, strategy, bits)
        assert np.isfinite(back).all() and np.abs(back - rows).max(initial=0) <= 1e-37 + 1e-6 * np.abs(rows).max(
            initial=0
        )


@pytest.mark.parametrize("bits", [2, 4])
def test_gptq_lowers_the_error_of_the_results(bits: int) -> None:
    """Against rounding one by one on the same grid, for inputs that depend on each other."""
    random = np.random.default_rng(7)
    mixed = random.standard_normal((24, 160))
    x = random.standard_normal((2000, 24)) @ mixed + 0.1 * random.standard_normal((2000, 160))
    x[:, 5] = 0  # an input that tells nothing
    rows = random.standard_normal((48, 160))
    grid = mse(rows, bits)
    compensated = Compensation(x.T @ x).rounded(rows, grid, bits)
    error = {}
    for name, q in (("gptq", compensated), ("plain", rounded(rows, grid, bits))):
        error[name] = np.square(x @ ((q - grid.zero) * grid.scale - rows).T).sum()
    assert compensated.min() >= -(1 << (bits - 1)) and compensated.max() < 1 << (bits - 1)
    assert error["gptq"] < 0.5 * error["plain"]
    assert np.array_equal(compensated[:, 5], rounded(rows, grid, bits)[:, 5])


def test_gptq_without_any_input_is_plain_rounding() -> None:
    rows = np.random.default_rng(8).standard_normal((4, 20))
    grid = Grid(np.full((4, 1), 0.3), np.zeros((4, 1)))
    assert np.array_equal(Compensation(np.zeros((20, 20))).rounded(rows, grid, 4), rounded(rows, grid, 4))


@pytest.mark.parametrize(
    "attrs",
    [
        {"pad_mode": "VALID", "stride": [1, 1]},
        {"pad_mode": "SAME", "stride": [2, 2]},
        {"pad_mode": "SAME", "stride": [1, 3], "dilation": [2, 1]},
        {"pad_mode": "PAD", "pad_list": [1, 0, 2, 3], "stride": [2, 1]},
    ],
)
def test_rows_of_a_convolution(attrs: dict[str, Any]) -> None:
    """Rows times weights are the convolution, as the engine has it."""
    random = np.random.default_rng(9)
    x, w = random.standard_normal((2, 9, 8, 3)), random.standard_normal((5, 3, 2, 3))
    graph = Graph("main")
    inputs = [graph.add_input("x", DataType.FLOAT32, x.shape), graph.constant("w", w.astype(np.float32))]
    dilation = {"dilation": [1, 1]} if "dilation" not in attrs else {}
    node = graph.add(
        "Conv2DFusion", inputs, "conv", kernel_size=[3, 2], group=1, in_channel=3, out_channel=5, **attrs, **dilation
    )
    graph.outputs = [node.output]
    expected = engine.evaluate(graph, [x.astype(np.float32)])[0]
    assert_close((rows_of(node, x) @ w.reshape(5, -1).T).reshape(expected.shape), expected, 1e-5)


def test_moments() -> None:
    """Of a product of the input, and of a product of an intermediate result."""
    random = np.random.default_rng(10)
    graph = Graph("main")
    x = graph.add_input("x", DataType.FLOAT32, (4, 6))
    first, second = (random.standard_normal(s).astype(np.float32) for s in ((6, 5), (3, 5)))
    a = graph.add("MatMulFusion", [x, graph.constant("a", first)], "a", activation_type="RELU")
    b = graph.add("MatMulFusion", [a.output, graph.constant("b", second)], "b", transpose_b=True)
    graph.outputs = [b.output]
    feeds = [[random.standard_normal((4, 6)).astype(np.float32)] for _ in range(3)]
    found = moments(Model([graph], "net"), [a, b], feeds)
    assert graph.outputs == [b.output]
    all_x = np.concatenate([f[0] for f in feeds])
    hidden = np.maximum(all_x @ first, 0)
    assert_close(found[a], all_x.T @ all_x, 1e-5)
    assert_close(found[b], hidden.T @ hidden, 1e-5)
    with pytest.raises(UsageError, match="needs calibration inputs"):
        moments(Model([graph], "net"), [a, b], [])
    with pytest.raises(UsageError, match="sample 0 has 2 arrays, the model has 1"):
        moments(Model([graph], "net"), [a, b], [[all_x, all_x]])


# Of 1000 test images; the float network has 97.7 %.
@pytest.mark.parametrize(
    ("strategy", "bits", "least"),
    [("MAX_MIN", 4, 0.973), ("MSE", 4, 0.973), ("HQQ", 4, 0.973), ("GPTQ", 4, 0.973), ("GPTQ", 2, 0.96)],
)
def test_lenet(strategy: str, bits: int, least: float, tmp_path: Path) -> None:
    with np.load(_LENET / "lenet_mnist5k_test.npz") as test:
        x, labels, calibration = test["x"], test["y"], test["xcal"]
    np.savez(tmp_path / "calibration.npz", calibration[:64])
    config = {
        "common_quant_param": {"quant_type": "WEIGHT_QUANT", "bit_num": str(bits), "min_quant_weight_channel": "0"},
        "weight_quant_param": {"quant_strategy": strategy},
    }
    given = {"calibration": tmp_path / "calibration.npz"} if strategy == "GPTQ" else {}
    converter.convert(_LENET / "lenet_mnist5k.mindir", tmp_path / "lenet.ms", config=config, check=False, **given)
    scores = run_ms(tmp_path / "lenet.ms", channels_last([x]))[0]
    assert (scores.argmax(axis=1) == labels).mean() >= least


def test_gptq_without_finite_moments_is_plain_rounding() -> None:
    """An infinite intermediate result, and one whose squares are."""
    random = np.random.default_rng(11)

    def build() -> Model:
        graph = Graph("main")
        x = graph.add_input("x", DataType.FLOAT32, (4, 64))
        infinite = graph.add("Log", [graph.add("SubFusion", [x, x], "zero").output], "infinite").output
        large = graph.add("MulFusion", [x, graph.constant("far", np.array(1e30, np.float32))], "large").output
        for name, read in (("a", x), ("b", infinite), ("c", large)):
            weight = graph.constant(name, weights[name])
            graph.outputs.append(graph.add("MatMulFusion", [read, weight], name).output)
        return Model([graph], "net")

    weights = {name: random.standard_normal((64, 32)).astype(np.float32) for name in "abc"}
    samples_ = [[random.standard_normal((4, 64)).astype(np.float32)] for _ in range(4)]
    found = {}
    for strategy in ("GPTQ", "MSE"):
        config = {"quant_strategy": strategy, "bit_num": 4, "bias_correction": False}
        model = build()
        notes = quantize(model, recipe.from_recipe([{"algorithm": "WEIGHT_QUANT", "config": config}]), samples_)
        found[strategy] = [n.inputs[1].data for n in model.main.nodes if n.op == "MatMulFusion"]
        assert (notes == []) == (strategy == "MSE")
        if notes:
            assert notes == [
                "GPTQ rounds 2 weight(s) to the nearest: their inputs' moments are not known or not finite"
            ]
    same = [np.array_equal(a, b) for a, b in zip(found["GPTQ"], found["MSE"])]
    assert same == [False, True, True]


def test_gptq_needs_calibration(tmp_path: Path) -> None:
    rules = [{"algorithm": "WEIGHT_QUANT", "config": {"quant_strategy": "GPTQ"}}]
    with pytest.raises(UsageError, match="quant_strategy=GPTQ needs calibration inputs, there are none"):
        converter.convert(_LENET / "lenet_mnist5k.mindir", tmp_path / "lenet.ms", recipe=rules, check=False)


def _two_inputs() -> Model:
    graph = Graph("main")
    graph.add_input("image", DataType.FLOAT32, (1, 2, 3, 4))
    graph.add_input("ids", DataType.INT32, (-1, 5))
    return Model([graph], "net")


def test_samples_by_name_and_in_order(tmp_path: Path) -> None:
    images, ids = np.arange(3 * 24, dtype=np.float64).reshape(3, 4, 2, 3), np.arange(15).reshape(3, 5)
    np.savez(tmp_path / "named.npz", ids=ids, image=images)
    np.savez(tmp_path / "ordered.npz", images, ids)
    sources: list[samples.Source] = [
        tmp_path / "named.npz",
        str(tmp_path / "ordered.npz"),
        ([images[i : i + 1], ids[i : i + 1]] for i in range(3)),
        [{"ids": ids[i : i + 1], "image": images[i : i + 1]} for i in range(3)],
    ]
    for source in sources:
        found = samples.read(source, _two_inputs(), to_channels_last=True)
        assert len(found) == 3
        for i, (image, numbers) in enumerate(found):
            assert image.dtype == np.float32 and np.array_equal(image[0], images[i].transpose(1, 2, 0))
            assert numbers.dtype == np.int32 and np.array_equal(numbers[0], ids[i])


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ([np.zeros((1, 2, 3, 4))], "sample 0 has 1 arrays, the model has 2 inputs"),
        ({"image": np.zeros((1, 2, 3, 4))}, r"lacks the input 'ids' \(it has image\)"),
        ([np.zeros((1, 2, 3, 5)), np.zeros((1, 5))], r"'image' takes \[1, 2, 3, 4\], the sample is \[1, 2, 3, 5\]"),
        ([np.full((1, 2, 3, 4), np.nan), np.zeros((1, 5))], "NaN or infinity for the input 'image'"),
    ],
)
def test_wrong_samples(sample: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        samples.read([sample], _two_inputs(), to_channels_last=False)


def test_wrong_files(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no arrays")
    np.savez(tmp_path / "one.npz", np.zeros(3))
    np.savez(tmp_path / "uneven.npz", np.zeros((3, 2, 3, 4)), np.zeros((2, 5)))
    cases: list[tuple[str, type[ConvertError], str]] = [
        ("none.npz", SourceFileError, "cannot be read"),
        ("text.npz", UsageError, "is not a .npz file"),
        ("one.npz", UsageError, r"holds 1 array\(s\), but the model has 2 input\(s\): 'image', 'ids'"),
        ("uneven.npz", UsageError, r"different numbers of samples: \[3, 2\]"),
    ]
    for name, kind, message in cases:
        with pytest.raises(kind, match=message):
            samples.read(tmp_path / name, _two_inputs(), to_channels_last=False)
