"""What quantising cost: the figures in the report, the page, and the budget of automatic mixed precision."""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import DATA

import converter
from converter import cli, engine
from converter.errors import ConfigError, UsageError
from converter.importers.ms import load
from converter.ir.graph import Graph, Model
from converter.quant import Budget, quantize_and_measure, recipe
from converter.quant.cost import Cost, Error
from converter.report import Report
from converter.report_page import page
from lite_runtime.types import DataType

_LENET = DATA / "lenet" / "lenet_mnist5k.mindir"
_FULL = {"common_quant_param": {"quant_type": "FULL_QUANT"}}


def _digits(count: int) -> list[list[np.ndarray]]:
    with np.load(DATA / "lenet" / "lenet_mnist5k_test.npz") as arrays:
        return [[x[None]] for x in arrays["xcal"][:count]]


def _convert(folder: Path, config: dict[str, dict[str, str]], **options: Any) -> Report:
    return converter.convert(_LENET, folder / "net.ms", config=config, calibration=_digits(8), check=False, **options)


def test_figures_of_each_layer(tmp_path: Path) -> None:
    found = _convert(tmp_path, _FULL).quantization
    layers = {layer["name"].split("/")[-2]: layer for layer in found["layers"] if layer["macs"]}
    assert list(layers) == ["conv1-Conv2d", "conv2-Conv2d", "fc1-Dense", "fc2-Dense", "fc3-Dense"]
    for layer in layers.values():
        assert layer["kind"] == "int8" and layer["bits"] == 8 and layer["reason"] == ""
        assert 20 < layer["snr"] < 60 and 0.99 < layer["cosine"] <= 1 and layer["max_error"] > 0
        assert layer["seconds_before"] > 0 and layer["seconds_after"] > 0
    dense = layers["fc1-Dense"]
    assert dense["bytes_before"] == 4 * (dense["macs"] + 120) and dense["bytes_after"] < 0.4 * dense["bytes_before"]
    assert found["totals"]["int8_part"] == 1.0
    (output,) = found["outputs"]
    assert 20 < output["snr"] < 60


def test_errors_are_those_of_the_written_model(tmp_path: Path) -> None:
    """The result's SNR, computed from the two models' answers."""
    found = _convert(tmp_path, _FULL)
    import lite_runtime

    converter.convert(_LENET, tmp_path / "float.ms", check=False)
    runs = [lite_runtime.load(str(tmp_path / name)) for name in ("float.ms", "net.ms")]
    inputs = [np.ascontiguousarray(x[0].transpose(0, 2, 3, 1)) for x in _digits(8)]
    exact, rounded = (np.concatenate([run(x) for x in inputs]).astype(np.float64) for run in runs)
    snr = 10 * math.log10(np.square(exact).sum() / np.square(exact - rounded).sum())
    assert found.quantization["outputs"][0]["snr"] == pytest.approx(snr, abs=1e-6)
    assert found.quantization["outputs"][0]["max_error"] == pytest.approx(np.abs(exact - rounded).max(), rel=1e-6)


def test_reasons_where_layers_stay_float(tmp_path: Path) -> None:
    config = {**_FULL, "common_quant_param": {**_FULL["common_quant_param"], "min_quant_weight_channel": "10"}}
    layers = {layer["name"]: layer for layer in _convert(tmp_path, config).quantization["layers"]}
    conv1 = next(layer for name, layer in layers.items() if "conv1" in name)
    assert (conv1["kind"], conv1["reason"]) == ("float", "no more than min_quant_weight_channel=10 channels")


def test_histograms_show_what_is_clipped(tmp_path: Path) -> None:
    config = {**_FULL, "full_quant_param": {"activation_quant_method": "PERCENTILE", "percentile": "98"}}
    found = _convert(tmp_path, config).quantization["histograms"]
    histograms = [h for h in found if h["kind"] == "activation"]
    assert all(sum(h["counts"]) > 0 and h["low"] <= h["clip_low"] <= h["clip_high"] <= h["high"] for h in histograms)
    assert any(h["clip_high"] < 0.9 * h["high"] for h in histograms)
    assert all(0 < h["outside"] < 0.021 for h in histograms if h["clip_high"] < h["high"])


def test_histograms_of_weights_show_what_is_clipped(tmp_path: Path) -> None:
    """The part of values that are further than half a step from every value they can become, from the files."""
    common = {"quant_type": "WEIGHT_QUANT", "bit_num": "4", "min_quant_weight_channel": "0"}
    found = _convert(tmp_path, {"common_quant_param": common, "weight_quant_param": {"quant_strategy": "MSE"}})
    histograms = {h["name"]: h for h in found.quantization["histograms"]}
    converter.convert(_LENET, tmp_path / "float.ms", check=False)
    plain, rounded = (load(tmp_path / name).main.nodes for name in ("float.ms", "net.ms"))
    weights = [(x.inputs[1].data, y.inputs[1]) for x, y in zip(plain, rounded) if y.quant_type == "QUANT_WEIGHT"]
    assert len(weights) == len(histograms) == 5
    for data, stored in weights:
        assert data is not None
        rows = data.reshape(len(stored.quant), -1)
        scale, zero, mean = np.array([(p.scale, p.zero_point, p.mean_corr) for p in stored.quant]).T[:, :, None]
        out = ((rows - mean) / scale < -8.5 - zero) | ((rows - mean) / scale > 7.5 - zero)
        shown = histograms[stored.name]
        assert shown["outside"] == pytest.approx(out.mean(), abs=1e-4) and sum(shown["counts"]) == data.size
        assert (shown["low"], shown["high"]) == (float(data.min()), float(data.max()))


def test_histograms_of_blocks(tmp_path: Path) -> None:
    common = {"quant_type": "WEIGHT_QUANT", "bit_num": "4", "min_quant_weight_channel": "0"}
    for symmetric in ("true", "false"):
        keys = {"block_size": "32", "block_symmetric": symmetric}
        found = _convert(tmp_path, {"common_quant_param": common, "weight_quant_param": keys})
        blocks = [h for h in found.quantization["histograms"] if h["method"] == "4 bits in blocks of 32"]
        assert len(blocks) == 3 and all(h["outside"] < 0.05 for h in blocks)
        assert all(h["clip_low"] <= 0.7 * h["low"] and h["clip_high"] >= 0.7 * h["high"] for h in blocks)


def test_results_that_became_nan_are_the_largest_error() -> None:
    error = Error()
    error.add(np.array([1.0, np.nan, 2.0]), np.array([1.0, np.nan, 2.0]))
    assert error.snr == math.inf
    error.add(np.array([1.0, 2.0]), np.array([1.0, np.nan]))
    assert error.snr == -math.inf and error.largest == math.inf


class _Tags(HTMLParser):
    """Every element is closed, and nothing is fetched from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.count: dict[str, int] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        assert not any(name in ("src", "href") for name, _ in attrs)
        if tag not in ("meta", "br", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", ["report.json", "report.html"])
def test_the_tool_writes_both_forms(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.cfg"
    config.write_text(
        f"[common_quant_param]\nquant_type=FULL_QUANT\n[data_preprocess_param]\ncalibrate_path=x:{tmp_path / 'cal'}\n"
        "calibrate_size=4\ninput_type=BIN\n"
    )
    (tmp_path / "cal").mkdir()
    for number, (x,) in enumerate(_digits(4)):
        x.transpose(0, 2, 3, 1).tofile(tmp_path / "cal" / f"{number}.bin")
    flags = [f"--modelFile={_LENET}", f"--outputFile={tmp_path / 'net'}", f"--configFile={config}", "--check=off"]
    assert cli.main([*flags, f"--report={tmp_path / name}"]) == 0
    shown = capsys.readouterr().out
    assert "100.0% of the multiply-adds in int8" in shown and "SNR dB" in shown
    layers = json.loads((tmp_path / "report.json").read_text())["quantization"]["layers"]
    tags = _Tags()
    text = (tmp_path / "report.html").read_text()
    tags.feed(text)
    assert not tags.open and tags.count["tr"] == len(layers) + 2 + 2 and tags.count["svg"] > 0
    assert not re.search(r"https?://", text)


def test_names_in_the_page_are_text() -> None:
    report = Report("<b>.mindir", "x.ms", "MINDIR", notes=["<script>alert(1)</script>"])
    text = page(report.as_dict())
    assert "<script>alert" not in text and "<b>.mindir" not in text


# ---- automatic mixed precision ----


def _mixed(**keys: str) -> dict[str, dict[str, str]]:
    return {**_FULL, "auto_mixed_precision": {"enable": "true", **keys}}


def _kinds(report: Report) -> list[str]:
    return [layer["kind"] for layer in report.quantization["layers"] if layer["macs"]]


def test_the_budget_decides_how_much_is_int8(tmp_path: Path) -> None:
    """The size is asked for, so that no measured time decides."""
    snr, sizes = [], []
    for wanted in ("30", "49", "80"):
        report = _convert(tmp_path, _mixed(objective="SIZE", min_snr=wanted))
        snr.append(report.quantization["outputs"][0]["snr"])
        sizes.append(report.bytes_after)
        assert snr[-1] is None or snr[-1] >= float(wanted)
    assert sizes[0] < sizes[1] < sizes[2]


def test_only_the_layer_that_matters_stays_float() -> None:
    """A wide layer, which alone exceeds the budget, and narrow ones with more error for their size, which do not."""
    random = np.random.default_rng(6)
    samples = [[random.standard_normal((4, 64)).astype(np.float32)] for _ in range(4)]
    weights = {f"w{i}": random.standard_normal((64, 8)).astype(np.float32) * 1.5 for i in range(6)}
    weights["wide"] = random.standard_normal((64, 1024)).astype(np.float32)

    def quantized(budget: Budget | None) -> Cost:
        graph = Graph("main")
        x = graph.add_input("x", DataType.FLOAT32, (4, 64))
        parts = [graph.add("MatMulFusion", [x, graph.constant(n, w)], n).output for n, w in weights.items()]
        graph.outputs = [graph.add("Concat", parts, "all", axis=1).output]
        model = Model([graph], "net")
        engine.infer_shapes(model)
        found = quantize_and_measure(model, recipe.from_recipe([{"algorithm": "DYNAMIC_QUANT"}]), samples, budget)
        assert found.cost is not None
        return found.cost

    least = quantized(None).outputs[0].snr
    assert least is not None
    found = quantized(Budget("SIZE", min_snr=least + 3))
    assert [layer.name for layer in found.layers if layer.kind == "float"] == ["wide", "all"]


def test_layers_that_int8_makes_slower_stay_float(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from converter.quant import auto_mixed

    real = auto_mixed.timed
    calls: list[int] = []

    def timed(data: memoryview, sample: Any) -> Any:
        """The second model measured, in int8, has a slow fc1."""
        calls.append(1)
        steps = real(data, sample)
        factor = {name: (100.0 if "fc1" in name else 0.01) if len(calls) == 2 else 1.0 for name in steps}
        return {name: step._replace(seconds=factor[name]) for name, step in steps.items()}

    monkeypatch.setattr(auto_mixed, "timed", timed)
    report = _convert(tmp_path, _mixed(min_snr="15"))
    layers = {layer["name"].split("/")[-2]: layer for layer in report.quantization["layers"] if layer["macs"]}
    assert layers["fc1-Dense"]["kind"] == "float" and "int8 is no faster" in layers["fc1-Dense"]["reason"]
    assert layers["conv2-Conv2d"]["kind"] == "int8"


def test_bits_of_weights_within_a_budget_of_accuracy(tmp_path: Path) -> None:
    with np.load(DATA / "lenet" / "lenet_mnist5k_test.npz") as arrays:
        np.savez(tmp_path / "labelled.npz", x=arrays["x"][:200], labels=arrays["y"][:200])
    config = {
        "common_quant_param": {"quant_type": "WEIGHT_QUANT", "min_quant_weight_channel": "0"},
        "auto_mixed_precision": {
            "enable": "true", "objective": "SIZE", "max_accuracy_drop": "1", "bit_widths": "2,4,8",
            "accuracy_data": str(tmp_path / "labelled.npz"),
        },
    }  # fmt: skip
    report = _convert(tmp_path, config)
    assert "automatic mixed precision within 1 % less accuracy" in report.notes[0]
    assert report.bytes_after < 0.15 * 356768
    bits = {v.quant[0].bits for n in load(tmp_path / "net.ms").main.nodes for v in n.inputs if v.quant}
    assert bits <= {2, 4, 8}


def test_accuracy_from_python(tmp_path: Path) -> None:
    seen: list[float] = []

    def accuracy(run: Any) -> float:
        """Falls with the error of the answers."""
        x = np.ascontiguousarray(_digits(1)[0][0].transpose(0, 2, 3, 1))
        seen.append(float(run([x])[0].max()))
        return 1 - abs(seen[-1] - seen[0]) / abs(seen[0])

    report = _convert(tmp_path, _mixed(objective="SIZE", max_accuracy_drop="0"), accuracy=accuracy)
    assert len(seen) > 2 and report.bytes_after > 100_000


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"enable": "true"}, "needs a budget"),
        ({"enable": "true", "min_snr": "20", "max_accuracy_drop": "1"}, "needs a budget"),
        ({"min_snr": "20"}, "has settings, but not enable=true"),
        ({"enable": "true", "max_accuracy_drop": "1"}, "max_accuracy_drop needs accuracy_data"),
        ({"enable": "true", "min_snr": "20", "bit_widths": "4,17"}, "bit_widths: expected integers from 1 to 16"),
        ({"enable": "true", "min_snr": "-3"}, "min_snr=-3: expected a number between 0 and 200"),
        ({"enable": "true", "min_snr": "20", "objective": "FAST"}, "objective=FAST: expected one of SPEED, SIZE"),
    ],
)
def test_budgets_that_say_nothing(keys: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        _convert(tmp_path, {**_FULL, "auto_mixed_precision": keys})


def test_a_budget_without_a_quantisation(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[auto_mixed_precision\] has settings, but .* sets no quant_type"):
        _convert(tmp_path, {"auto_mixed_precision": {"enable": "true", "min_snr": "20"}})
    with pytest.raises(UsageError, match="needs calibration inputs"):
        converter.convert(_LENET, tmp_path / "net.ms", config=_mixed(min_snr="20"), check=False)


def test_dynamic_quantisation_within_a_budget(tmp_path: Path) -> None:
    common = {"quant_type": "DYNAMIC_QUANT"}
    found = []
    for wanted in ("20", "150"):
        budget = {"enable": "true", "objective": "SIZE", "min_snr": wanted}
        report = _convert(tmp_path, {"common_quant_param": common, "auto_mixed_precision": budget})
        found.append(_kinds(report).count("int8"))
    assert found == [3, 0]
