"""benchmarks/: the arithmetic of its tables, and a small network through every step with the engines there are."""

from __future__ import annotations

import importlib.util
import json
import sys
import xml.etree.ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from support import ROOT

# Behind the installed packages, of which this project may be one.
sys.path.append(str(ROOT))

from benchmarks import instructions, latency, plot, ratios, start, table
from benchmarks.names import FLOAT_NETWORKS, INT8_NETWORKS, TITLES
from benchmarks.operations import gflop
from benchmarks.peers import BY_NAME, ENGINES, Pythons, missing

OURS = "lite_runtime"


def engine(ms: float, p10: float | None = None, wall: float | None = None) -> dict[str, Any]:
    cpu = {"min": ms, "p10": p10 or ms, "median": ms}
    return {"cpu": cpu, "wall": {**cpu, "min": wall or ms}, "error": 1e-6, "runs": 10}


def results(**networks: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """By network and number of threads ("1"), the engines."""
    return {
        "precision": "fp32",
        "machine": {"cpu": "C", "cores": 2, "system": "S", "commit": "abc", "date": "2026-01-01", "python": "3"},
        "versions": {OURS: "1", "mnn": "2"},
        "rounds": 3,
        "peak_gflops": {"1": 100.0, "2": 200.0},
        "networks": {
            name: {"gflop": 8.0, "left_out": {}, "threads": {count.strip("t"): e for count, e in threads.items()}}
            for name, threads in networks.items()
        },
    }


def test_ratio_is_to_the_fastest_peer_of_each_statistic() -> None:
    engines = {OURS: engine(10, 12), "mnn": engine(8, 15), "ncnn": engine(9, 10), "openvino": engine(1)}
    assert ratios.fastest(engines, "cpu", "min") == "mnn" and ratios.fastest(engines, "cpu", "p10") == "ncnn"
    assert ratios.ratio(engines, "cpu", "min") == pytest.approx(10 / 8)
    assert ratios.ratio(engines, "cpu", "p10") == pytest.approx(12 / 10)
    assert ratios.ratio(engines, "cpu", "min", "openvino") == 10
    assert ratios.ratio({OURS: engine(1), "openvino": engine(1)}, "cpu", "min") is None


def test_geometric_mean_leaves_out_what_is_not_known() -> None:
    assert ratios.geometric_mean([0.5, None, 2.0]) == pytest.approx(1)
    assert ratios.geometric_mean([None]) is None


def test_summary_is_in_milliseconds() -> None:
    found = ratios.summary([i / 1000 for i in range(1, 12)])
    assert found == pytest.approx({"min": 1, "p10": 2, "median": 6})


def test_every_bar_that_is_missed_is_named() -> None:
    found = results(
        resnet50={
            "1t": {OURS: engine(120), "mnn": engine(100)},
            "2t": {OURS: engine(120, wall=80), "mnn": engine(130)},
        },
        minilm={"1t": {OURS: engine(50), "mnn": engine(100)}},
    )
    sentences = "\n".join(ratios.missed(found))
    assert "ResNet-50, 1 thread: 1.20 (min), 1.20 (p10)" in sentences and "MiniLM" not in sentences
    assert "geometric mean, 1 thread" not in sentences  # sqrt(1.2 * 0.5)
    assert "geometric mean, 2 threads, min: 0.92" in sentences
    assert "1.50× of 1 thread" in sentences and "67% of the measured peak" in sentences
    printed = table.latency(found)
    assert sentences.splitlines()[0] in printed and "**100.00 / 100.00**" in printed


def test_int8_has_a_bar_for_each_network_only() -> None:
    times = {"minilm": 99, "resnet50": 101}
    networks = {name: {"1t": {OURS: engine(ms), "mnn": engine(100)}} for name, ms in times.items()}
    found = {**results(**networks), "precision": "int8"}
    assert ratios.missed(found) == ["ResNet-50, 1 thread: 1.01 (min), 1.01 (p10) of the fastest peer, bar 1.00"]


def test_bars_that_are_met() -> None:
    found = results(
        resnet50={"1t": {OURS: engine(80), "mnn": engine(100)}, "2t": {OURS: engine(41), "mnn": engine(99)}}
    )
    assert ratios.missed(found) == [] and "Every bar is met" in table.latency(found)


def test_chart_has_a_bar_for_every_engine() -> None:
    found = results(resnet50={"1t": {OURS: engine(80), "mnn": engine(100), "openvino": engine(900)}})
    chart = xml.etree.ElementTree.fromstring(plot.ratio_chart(found, "1"))
    texts = [text.text for text in chart.iter("{http://www.w3.org/2000/svg}text")]
    assert {"ResNet-50", "0.80", "1.00", "9.00", "lite-runtime", "MNN", "OpenVINO"} <= set(texts)


def test_counts_and_their_bars() -> None:
    ours = {"fmla": 500, "dot": 0, "simd": 500, "load_store_simd": 100, "load_store": 0, "branch": 0, "integer": 100}
    found: dict[str, Any] = {
        "cpu": "cortex-a72",
        "precision": "fp32",
        "machine": {"commit": "abc", "date": "2026-01-01"},
        "networks": {
            "resnet50": {"gflop": 4e-6, "left_out": {"mnn": "no"}, "engines": {OURS: ours, "ncnn": {"fmla": 1000}}}
        },
    }
    assert instructions.missed(found) == [
        "ResNet-50: 1.20 of ncnn's count, bar 1.00",
        "ResNet-50: fmla are 50% of SIMD arithmetic, bar 60%",
    ]
    assert "| 1.20 | 2.40 | 50% |" in instructions.table(found) and "MNN no" in instructions.table(found)


def test_names_agree() -> None:
    assert set(FLOAT_NETWORKS) | set(INT8_NETWORKS) <= set(TITLES) and set(instructions.ENGINES) <= set(BY_NAME)
    for known in ENGINES:
        module, _, name = known.runner.partition(":")
        runner = getattr(importlib.import_module(f"benchmarks.runners.{module}"), name)
        assert runner.module.split(".")[0] == known.modules[0]
        assert importlib.util.find_spec(f"benchmarks.converters.{known.converter}") is not None


def test_an_engine_that_is_absent_is_named() -> None:
    assert missing(sys.executable, ["json", "no_such_module"]) == "no_such_module"
    assert "no_such_python" in missing("/no_such_python", ["json"])
    with pytest.raises(SystemExit, match="expected ENGINE=PATH"):
        Pythons(["unknown=/usr/bin/python"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A convolution and a product as a model of the name "tiny", with ONNX Runtime's output."""
    random = np.random.default_rng(0)
    weights = {"w": (4, 3, 3, 3), "m": (4, 5)}
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["input", "w"], ["c"], pads=[1, 1, 1, 1]),
            helper.make_node("GlobalAveragePool", ["c"], ["p"]),
            helper.make_node("Flatten", ["p"], ["f"]),
            helper.make_node("Gemm", ["f", "m"], ["output"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 5])],
        [numpy_helper.from_array(random.standard_normal(s).astype(np.float32), n) for n, s in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, tmp_path / "tiny.onnx")
    image = random.standard_normal((1, 3, 8, 8)).astype(np.float32)
    output = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"input": image})[0]
    np.savez(tmp_path / "tiny_io.npz", y=output, input=image)
    return tmp_path


def test_operations_are_counted_on_the_graph(folder: Path) -> None:
    assert gflop(folder / "tiny.onnx") == pytest.approx(2 * (8 * 8 * 4 * 27 + 4 * 5) / 1e9)


def test_latency_from_onnx_to_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--networks", "tiny", "--engines", OURS, "onnxruntime", "--threads", "1", "--rounds", "2"]
    report, chart = folder / "out.json", folder / "out.svg"
    latency.main([*arguments, "--folder", str(folder), "--json", str(report), "--plot", str(chart)])
    network = json.loads(report.read_text())["networks"]["tiny"]
    assert network["left_out"] == {} and set(network["threads"]["1"]) == {OURS, "onnxruntime"}
    for measured in network["threads"]["1"].values():
        assert measured["error"] < 1e-5 and 0 < measured["cpu"]["min"] <= measured["cpu"]["median"]
    assert "ONNX Runtime" in capsys.readouterr().out and chart.read_text().startswith("<svg")


def test_an_engine_that_answers_something_else_is_left_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = dict(np.load(folder / "tiny_io.npz"))
    np.savez(folder / "tiny_io.npz", y=example["y"] + 1, input=example["input"])
    latency.main(["--networks", "tiny", "--engines", OURS, "--threads", "1", "--rounds", "1", "--folder", str(folder)])
    assert "lite-runtime differs from PyTorch" in capsys.readouterr().out


def test_start_of_an_engine(folder: Path) -> None:
    report = folder / "start.json"
    arguments = ["--engines", OURS, "--repeats", "1", "--network", "tiny"]
    start.main([*arguments, "--folder", str(folder), "--json", str(report)])
    found = json.loads(report.read_text())
    assert all(found["engines"][OURS][step] > 0 for step in start.STEPS)
    assert 0 < found["engines"][OURS]["memory"] < 50 and found["idle"] < 0.05


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs PyTorch (pip install '.[bench]')")
def test_export_from_pytorch(tmp_path: Path) -> None:
    from benchmarks.converters import onnx as export

    export.convert("tiny", tmp_path)
    example = dict(np.load(tmp_path / "tiny_io.npz"))
    output = onnxruntime.InferenceSession(tmp_path / "tiny.onnx").run(None, {"input": example["input"]})[0]
    np.testing.assert_allclose(output, example["y"], rtol=1e-4, atol=1e-6)
