"""benchmark_lite: what it reports, checks and refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import DATA, channels_last, recorded

from converter import exporter
from converter.ir.graph import Graph, Model
from lite_runtime import DataType, LiteRuntimeError, _counters, _native, _profile, benchmark, isa
from lite_runtime._native import Session
from lite_runtime.model import load_file

MODEL = DATA / "ms" / "cnn.ms"


def run(tmp_path: Path, *flags: str, model: Path = MODEL) -> dict[str, Any]:
    """The report of a command that succeeds."""
    path = tmp_path / "report.json"
    assert benchmark.main([f"--modelFile={model}", "--loopCount=3", f"--report={path}", *flags]) == 0
    report: dict[str, Any] = json.loads(path.read_text())
    return report


def refused(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    """The message of a command that fails."""
    assert benchmark.main(list(flags)) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("benchmark_lite: ") and captured.err.count("\n") == 1
    return captured.err


def files_of(tmp_path: Path, name: str = "cnn") -> tuple[str, dict[str, np.ndarray]]:
    """--inDataFile for a recorded model, and its recorded outputs by name."""
    inputs, outputs = recorded(DATA / "mindir_v1" / f"{name}.npz")
    paths = [tmp_path / f"in{i}.bin" for i in range(len(inputs))]
    for path, array in zip(paths, channels_last(inputs)):
        array.tofile(path)
    session = Session(load_file(DATA / "ms" / f"{name}.ms"))
    names = [info.name for info in session.outputs()]
    return f"--inDataFile={','.join(map(str, paths))}", dict(zip(names, outputs))


def test_latency_and_memory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = run(tmp_path, "--numThreads=1", "--warmUpLoopCount=1")
    latency = report["latency_ms"]
    assert 0 < latency["min"] <= latency["median"] <= latency["p90"] <= latency["max"]
    memory = report["memory"]
    assert memory["constants"] > 0 and memory["arena"] > 0 and memory["peak_rss"] > 10e6
    assert (report["isa"], report["threads"]) == (isa(), 1)
    assert "nodes" not in report
    printed = capsys.readouterr().out
    assert "median" in printed and "arena" in printed


def test_time_of_every_operator(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = run(tmp_path, "--timeProfiling=true")
    nodes = report["nodes"]
    assert sum(node["share"] for node in nodes) == pytest.approx(1)
    assert sum(op["ms"] for op in report["ops"]) == pytest.approx(sum(node["ms"] for node in nodes))
    assert sum(op["calls"] for op in report["ops"]) == len(nodes)
    convolutions = [node for node in nodes if node["op"] == "Conv2DFusion"]
    assert convolutions and all(node["gflops"] > 0 for node in convolutions)
    assert report["peak_gflops"] > 0.5
    assert "Conv2DFusion" in capsys.readouterr().out


def convolution(group: int, shape: tuple[int, ...], filters: tuple[int, ...], transposed: bool = False) -> Session:
    attributes = {"kernel_size": filters[1:3], "group": group, "in_channel": shape[3], "format": "NHWC"}
    op = "Conv2dTransposeFusion" if transposed else "Conv2DFusion"
    attributes["out_channel"] = filters[3] * group if transposed else filters[0]
    return single(op, shape, filters, **{k: list(v) if isinstance(v, tuple) else v for k, v in attributes.items()})


def single(op: str, shape: tuple[int, ...], constant: tuple[int, ...], **attributes: Any) -> Session:
    """One operator of an input and a constant."""
    return Session(_native.Model.from_buffer(bytes_of(op, shape, constant, **attributes)))


def bytes_of(op: str, shape: tuple[int, ...], constant: tuple[int, ...], **attributes: Any) -> bytes:
    graph = Graph("main")
    x = graph.add_input("x", DataType.FLOAT32, shape)
    w = graph.constant("w", np.ones(constant, np.float32))
    graph.outputs = [graph.add(op, [x, w], "y", **attributes).output]
    return exporter.export(Model([graph], "test"))


@pytest.mark.parametrize(
    ("session", "multiply_adds"),
    [
        (lambda: convolution(1, (1, 8, 9, 4), (6, 3, 3, 4)), 6 * 7 * 6 * 3 * 3 * 4),
        (lambda: convolution(2, (1, 8, 9, 4), (6, 3, 3, 2)), 6 * 7 * 6 * 3 * 3 * 2),
        (lambda: convolution(4, (1, 8, 9, 4), (4, 3, 3, 1)), 6 * 7 * 4 * 3 * 3),
        (lambda: convolution(1, (1, 8, 9, 4), (4, 3, 3, 5), transposed=True), 8 * 9 * 4 * 3 * 3 * 5),
        (lambda: single("MatMulFusion", (2, 3, 5), (5, 7)), 2 * 3 * 5 * 7),
        (lambda: single("MatMulFusion", (2, 3, 5), (7, 5), transpose_b=True), 2 * 3 * 5 * 7),
        (lambda: single("MatMulFusion", (5, 3), (5, 7), transpose_a=True), 3 * 5 * 7),
        (lambda: single("FullConnection", (3, 5), (7, 5)), 3 * 5 * 7),
        (lambda: single("AddFusion", (3, 5), (3, 5)), 0),
    ],
)
def test_operations_are_those_of_the_formula(session: Callable[[], Session], multiply_adds: int) -> None:
    (step,) = _profile.run_timed(session())
    assert step.operations == 2 * multiply_adds


@pytest.mark.parametrize("suffix", ["npz", "txt"])
def test_accuracy_against_recorded_outputs(tmp_path: Path, suffix: str) -> None:
    inputs, outputs = files_of(tmp_path)
    path = tmp_path / f"expected.{suffix}"
    if suffix == "npz":
        np.savez(path, **outputs)
    else:
        lines = []
        for name, value in outputs.items():
            lines += [
                f"{name} {value.ndim} {' '.join(map(str, value.shape))}",
                " ".join(map(repr, value.ravel().tolist())),
            ]
        path.write_text("\n".join(lines))
    report = run(tmp_path, inputs, f"--benchmarkDataFile={path}", "--accuracyThreshold=1")
    assert all(entry["cosine"] > 0.9999 for entry in report["accuracy"])
    run(tmp_path, inputs, f"--benchmarkDataFile={path}", "--cosineDistanceThreshold=0.999")


def test_missed_accuracy_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs, outputs = files_of(tmp_path)
    path = tmp_path / "expected.npz"
    np.savez(path, **{name: -value for name, value in outputs.items()})
    common = [f"--modelFile={MODEL}", "--loopCount=1", inputs, f"--benchmarkDataFile={path}"]
    assert benchmark.main(common) == 1
    assert benchmark.main([*common, "--cosineDistanceThreshold=0.9"]) == 1
    assert benchmark.main([*common, "--accuracyThreshold=1000"]) == 0
    assert "FAILED" in capsys.readouterr().out


def test_shapes_and_npy_inputs(tmp_path: Path) -> None:
    model = tmp_path / "dynamic.ms"
    model.write_bytes(bytes_of("MatMulFusion", (-1, 5), (5, 7)))
    np.save(tmp_path / "x.npy", np.zeros((3, 5), np.float32))
    flags = ["--inputShape=x:3,5", f"--inDataFile={tmp_path / 'x.npy'}", "--timeProfiling=true"]
    assert run(tmp_path, *flags, model=model)["nodes"][0]["shape"] == [3, 7]


def test_open_shapes_must_be_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "dynamic.ms"
    model.write_bytes(bytes_of("MatMulFusion", (-1, 5), (5, 7)))
    assert "--inputShape=x:1,..." in refused(capsys, f"--modelFile={model}")
    assert "x.npy is float64[3, 5]" in _wrong_array(tmp_path, model, capsys)


def _wrong_array(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> str:
    np.save(tmp_path / "x.npy", np.zeros((3, 5)))
    return refused(capsys, f"--modelFile={model}", "--inputShape=x:3,5", f"--inDataFile={tmp_path / 'x.npy'}")


def test_counters(tmp_path: Path) -> None:
    try:
        _counters.Counters(_counters.EVENTS["CLOCK"]).close()
    except LiteRuntimeError as error:
        pytest.skip(str(error))
    report = run(tmp_path, "--perfProfiling=true", "--perfEvent=CLOCK")
    assert all(node["task_clock_ns"] >= 0 for node in report["nodes"])
    assert sum(node["task_clock_ns"] for node in report["nodes"]) > 0


def test_counters_that_cannot_be_had_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        _counters.Counters(_counters.EVENTS["CYCLE"]).close()
    except LiteRuntimeError:
        message = refused(capsys, f"--modelFile={MODEL}", "--perfProfiling=true")
        assert "perfProfiling" in message and "perf_event_paranoid" in message
    else:
        assert benchmark.main([f"--modelFile={MODEL}", "--loopCount=1", "--perfProfiling=true"]) == 0


def test_kernels_marks_the_tier_in_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "kernels.json"
    assert benchmark.main(["--kernels", f"--report={path}"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in printed if line.startswith(f"* {isa()}: ")]
    assert f"* {isa()}::gemm_f32" in printed and "  scalar::unary_exp" in printed
    report = json.loads(path.read_text())
    assert [tier["name"] for tier in report["tiers"] if tier["chosen"]] == [isa()]
    assert report["tiers"][-1]["name"] == "scalar" and len(report["kernels"]) == len(set(report["kernels"]))


def test_float16_or_why_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    precision = run(tmp_path, "--enableFp16=true")["precision"]
    assert precision in capsys.readouterr().out
    assert precision == "float16" if _native.OFFERS_HALF else "does not compute in float16" in precision


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--modelFile is needed"),
        (["--modelFile=missing.ms"], "does not exist"),
        ([f"--modelFile={DATA / 'mindir_v1' / 'cnn.mindir'}"], "not a .ms model"),
        ([f"--modelFile={MODEL}", "--inputShape=nosuch:1,2"], "no input 'nosuch'"),
        ([f"--modelFile={MODEL}", "--inputShape=x:1,a"], "--inputShape"),
        ([f"--modelFile={MODEL}", "--inDataFile=a,b,c,d,e"], "5 file(s)"),
        ([f"--modelFile={MODEL}", "--inDataFile=missing.bin"], "missing.bin cannot be read"),
        ([f"--modelFile={MODEL}", f"--inDataFile={MODEL}"], "bytes, but input"),
        ([f"--modelFile={MODEL}", "--benchmarkDataFile=missing.txt"], "missing.txt cannot be read"),
        ([f"--modelFile={MODEL}", f"--benchmarkDataFile={__file__}"], "cannot be read"),
        ([f"--modelFile={MODEL}", "--loopCount=1", "--report=/nosuch/file.json"], "cannot be written"),
    ],
)
def test_what_is_wrong_is_said(flags: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in refused(capsys, *flags)


@pytest.mark.parametrize(
    "flag", ["--loops=3", "--loopCount=0", "--loopCount=x", "--timeProfiling=yes", "--cpuBindMode=3", "--modelFil=x"]
)
def test_unknown_flags_and_values_are_refused(flag: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        benchmark.main([f"--modelFile={MODEL}", flag])
    assert stopped.value.code == 2


def test_steps_are_told_in_order() -> None:
    session = Session(load_file(MODEL), threads=1)
    steps = _profile.run_timed(session)
    assert [step.node for step in steps] == sorted(step.node for step in steps)
    assert all(step.seconds > 0 and step.name for step in steps)


def test_peak_grows_with_the_tier() -> None:
    assert _profile.measure_peak(1, 0.02) > 1e8
    with pytest.raises(LiteRuntimeError, match="threads"):
        _profile.measure_peak(0)
