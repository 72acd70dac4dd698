"""converter_lite and the Python API: flags, refusals, results, reports."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx_cases import Case, node, witness
from support import DATA, assert_close, channels_last, recorded

import converter
import lite_runtime
from converter.cli import main, parse_input_shape
from converter.importers import ms

MODEL = DATA / "mindir_v1" / "a_res.mindir"
# The flags of MindSpore Lite's converter_lite with the value that each has by default.
MINDSPORE_LITE_FLAGS = {
    "fmk": "MINDIR",
    "modelFile": str(MODEL),
    "outputFile": "",
    "weightFile": "",
    "inputDataType": "DEFAULT",
    "outputDataType": "DEFAULT",
    "configFile": "",
    "fp16": "off",
    "trainModel": "false",
    "decryptKey": "",
    "decryptMode": "AES-GCM",
    "inputShape": "",
    "inputDataFormat": "",
    "outputDataFormat": "",
    "encryption": "false",
    "encryptKey": "",
    "infer": "false",
    "device": "",
    "saveType": "MINDIR_LITE",
    "optimize": "general",
    "optimizeTransformer": "false",
}


def flags(**values: object) -> list[str]:
    return [f"--{name}={value}" for name, value in values.items()]


def failure(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> tuple[int, str]:
    """Exit code and message of a run that must fail with one line on stderr and nothing on stdout."""
    code = main(arguments)
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith(f"CONVERT RESULT FAILED:{code} ")
    return code, lines[0]


def test_converts_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "model"
    assert main(flags(fmk="MINDIR", modelFile=MODEL, outputFile=output)) == 0
    captured = capsys.readouterr()
    summary, checked, *_, success = captured.out.splitlines()
    assert checked.startswith("checked against ")
    assert success == "CONVERT RESULT SUCCESS:0"
    assert f"{MODEL} (MINDIR) -> {output}.ms: " in summary
    assert captured.err == ""
    assert [path.name for path in tmp_path.iterdir()] == ["model.ms"]
    inputs, expected = recorded(MODEL.with_suffix(".npz"))
    actual = lite_runtime.load(tmp_path / "model.ms")(*channels_last(inputs))
    assert_close(actual, expected[0])


def test_every_flag_of_mindspore_lite_is_accepted_by_name(tmp_path: Path) -> None:
    assert main(flags(**{**MINDSPORE_LITE_FLAGS, "outputFile": tmp_path / "m"})) == 0


def test_flags_may_be_separated_from_their_values(tmp_path: Path) -> None:
    assert main(["--modelFile", str(MODEL), "--outputFile", str(tmp_path / "m.ms")]) == 0
    assert (tmp_path / "m.ms").is_file()


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("fmk", "TF", "fmk=TF is not offered: use one of MINDIR"),
        ("fmk", "CAFFE", "fmk=CAFFE is not offered"),
        ("fmk", "OM", "fmk=OM is not offered"),
        ("fmk", "PYTORCH", "fmk=PYTORCH is not offered"),
        ("fmk", "mindir", "--fmk=mindir: expected TF or CAFFE or ONNX or MINDIR"),
        ("weightFile", "x.caffemodel", "weightFile takes a checkpoint"),
        ("inputDataType", "DOUBLE", "--inputDataType=DOUBLE: expected DEFAULT or FLOAT or FLOAT16"),
        ("outputDataType", "float", "--outputDataType=float: expected DEFAULT"),
        ("fp16", "yes", "--fp16=yes: expected on or off"),
        ("trainModel", "true", "--trainModel=true is not offered"),
        ("trainModel", "on", "--trainModel=on: expected true or false"),
        ("decryptMode", "SM4", "--decryptMode=SM4: expected AES-GCM or AES-CBC"),
        ("inputShape", "x", "--inputShape: 'x' is not of the form name:1,32,32,3"),
        ("inputShape", "nope:1,2", "inputShape names 'nope', which is not an input"),
        ("inputShape", "x:1,2", "inputShape gives 'x' 2 dimensions [1, 2], the model has 4: [1, 3, 8, 8]"),
        ("inputShape", "x:0,3,8,8", "dimensions are positive, or -1"),
        ("inputDataFormat", "NC", "--inputDataFormat=NC: expected NHWC or NCHW"),
        ("outputDataFormat", "NHWC", "--outputDataFormat=NHWC is not offered"),
        ("encryption", "true", "--encryption=true is not offered"),
        ("encryptKey", "00", "--encryptKey=00 is not offered"),
        ("infer", "1", "--infer=1: expected true or false"),
        ("device", "Ascend", "--device=Ascend is not offered"),
        ("saveType", "MINDIR", "--saveType=MINDIR is not offered"),
        ("saveType", "X", "--saveType=X: expected MINDIR_LITE or MINDIR"),
        ("optimize", "gpu_oriented", "--optimize=gpu_oriented: expected none or general"),
        ("optimizeTransformer", "true", "--optimizeTransformer=true is not offered"),
        ("configFile", "none.cfg", "none.cfg: cannot read the configuration file"),
    ],
)
def test_what_is_not_offered_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str, value: str, message: str
) -> None:
    arguments = {"fmk": "MINDIR", "modelFile": MODEL, "outputFile": tmp_path / "m", flag: value}
    code, line = failure(capsys, flags(**arguments))
    assert code == 2
    assert message in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--modelfile=a"], "there is no flag --modelfile (did you mean --modelFile?)"),
        (["--modelFile=a", "--outputFile=b", "--fp61=on"], "there is no flag --fp61 (did you mean --fp16?)"),
        (["--modelFile=a", "--outputFile=b", "--zzz"], "there is no flag --zzz; see converter_lite --help"),
        (["--modelFile=a"], "--outputFile"),
        (["--outputFile=a"], "--modelFile"),
        (["a.mindir"], "modelFile"),
        (["--modelFile=a", "--outputFile=b", "c"], "unexpected extra argument"),
        (["--modelFile"], "--modelFile"),
    ],
)
def test_wrong_command_lines(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    code, line = failure(capsys, arguments)
    assert code == 2
    assert message in line


def test_help_names_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"--{name}" in text for name in MINDSPORE_LITE_FLAGS)


def test_the_installed_command_prints_its_version() -> None:
    done = subprocess.run([sys.executable, "-m", "converter.cli", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"converter_lite {lite_runtime.__version__}\n")


def test_progress_is_shown_on_a_terminal_only(tmp_path: Path) -> None:
    terminal, end = os.openpty()
    command = [sys.executable, "-m", "converter.cli", *flags(modelFile=MODEL, outputFile=tmp_path / "m")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=end, env={**os.environ, "TERM": "xterm"}) as process:
        os.close(end)
        shown = b""
        with contextlib.suppress(OSError):  # how Linux says that the other end was closed
            while part := os.read(terminal, 4096):
                shown += part
        out = process.communicate()[0]
    os.close(terminal)
    assert process.returncode == 0
    assert out.decode().endswith("CONVERT RESULT SUCCESS:0\n")
    assert b"0:00:00" in shown


def test_input_shape_syntax() -> None:
    assert parse_input_shape("") == {}
    assert parse_input_shape("x:1,3,-1,-1; graph:0/y:2;") == {"x": [1, 3, -1, -1], "graph:0/y": [2]}


def test_input_shape_changes_the_model(tmp_path: Path) -> None:
    converter.convert(MODEL, tmp_path / "m", input_shape={"x": [2, 3, 16, 16]})
    net = lite_runtime.load(tmp_path / "m.ms")
    assert net.inputs[0].shape == (2, 16, 16, 3)
    assert net(np.ones((2, 16, 16, 3), np.float32)).shape[0] == 2


def test_input_shape_opens_a_dimension(tmp_path: Path) -> None:
    converter.convert(MODEL, tmp_path / "m", input_shape={"x": [-1, 3, 8, 8]})
    net = lite_runtime.load(tmp_path / "m.ms")
    assert net.inputs[0].shape == (-1, 8, 8, 3)
    inputs, expected = recorded(MODEL.with_suffix(".npz"))
    twice = np.concatenate(channels_last(inputs) * 2)
    assert_close(net(twice), np.concatenate([expected[0]] * 2))


def test_inputs_may_stay_channels_first(tmp_path: Path) -> None:
    assert main(flags(modelFile=MODEL, outputFile=tmp_path / "m", inputDataFormat="NCHW")) == 0
    inputs, expected = recorded(MODEL.with_suffix(".npz"))
    assert_close(lite_runtime.load(tmp_path / "m.ms")(*inputs), expected[0])


@pytest.mark.parametrize("optimize", ["none", "general"])
def test_both_levels_of_optimisation_give_the_same_answers(tmp_path: Path, optimize: str) -> None:
    for name in ("a_res", "cnn", "multi"):
        model = DATA / "mindir_v1" / f"{name}.mindir"
        report = converter.convert(model, tmp_path / name, optimize=optimize)
        inputs, expected = recorded(model.with_suffix(".npz"))
        actual = lite_runtime.load(report.output)(*channels_last(inputs))
        for one, other in zip(actual if isinstance(actual, list) else [actual], expected):
            assert_close(one, other)


def test_disable_fusion_in_the_configuration_is_optimize_none(tmp_path: Path) -> None:
    (tmp_path / "c.cfg").write_text("[registry]\ndisable_fusion=on\n")
    converter.convert(MODEL, tmp_path / "a", config=tmp_path / "c.cfg")
    converter.convert(MODEL, tmp_path / "b", optimize="none")
    assert (tmp_path / "a.ms").read_bytes() == (tmp_path / "b.ms").read_bytes()


def test_types_of_inputs_and_outputs(tmp_path: Path) -> None:
    arguments = {"modelFile": MODEL, "outputFile": tmp_path / "m"}
    assert main(flags(**arguments, inputDataType="UINT8", outputDataType="INT32")) == 0
    assert main(flags(**{**arguments, "outputFile": tmp_path / "plain"})) == 0
    net, plain = lite_runtime.load(tmp_path / "m.ms"), lite_runtime.load(tmp_path / "plain.ms")
    assert (net.inputs[0].name, net.inputs[0].dtype) == (plain.inputs[0].name, np.uint8)
    assert (net.outputs[0].name, net.outputs[0].dtype) == (plain.outputs[0].name, np.int32)
    x = np.random.default_rng(0).integers(0, 255, net.inputs[0].shape, np.uint8)
    # A float is cast to an integer by dropping its fraction, as NumPy does.
    np.testing.assert_array_equal(net(x), plain(x.astype(np.float32)).astype(np.int32))


def test_fp16_halves_the_weights_and_keeps_the_answers(tmp_path: Path) -> None:
    model = DATA / "mindir_v1" / "wide.mindir"
    plain = converter.convert(model, tmp_path / "plain")
    assert main(flags(modelFile=model, outputFile=tmp_path / "half", fp16="on")) == 0
    assert (tmp_path / "half.ms").stat().st_size < 0.55 * plain.bytes_after
    constants = [v for v in ms.load(tmp_path / "half.ms").main.values() if v.data is not None]
    assert constants
    assert not any(v.data.dtype == np.float32 for v in constants)
    inputs, expected = recorded(model.with_suffix(".npz"))
    actual = lite_runtime.load(tmp_path / "half.ms")(*channels_last(inputs))
    # float16 keeps 11 bits: 5e-4 per weight.
    for one, other in zip(actual if isinstance(actual, list) else [actual], expected):
        assert_close(one, other, 5e-3)


def test_fp16_leaves_what_it_cannot_hold(tmp_path: Path) -> None:
    """The note names it, and the answers stay those of the float model."""
    constants = {"far": np.array([1e5, 1.0, np.inf], np.float32), "near": np.array([1.5, -2.0, 65504.0], np.float32)}
    nodes = [node("Mul", "x", "far", name="a"), node("Add", "a", "near")]
    path = Case("net", nodes, {"x": np.ones(3, np.float32)}, constants).save(tmp_path)
    report = converter.convert(path, tmp_path / "half.ms", fp16=True)
    assert report.notes == ["constant 'far' stays float32: its value 100000 exceeds float16's 65504"]
    x = np.array([2.0, 3.0, 4.0], np.float32)
    np.testing.assert_array_equal(lite_runtime.load(tmp_path / "half.ms")(x), witness(path, {"x": x})[0])


def test_infer_runs_the_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(flags(modelFile=MODEL, outputFile=tmp_path / "m", infer="true")) == 0
    capsys.readouterr()
    dynamic = DATA / "mindir_v1" / "dyn.mindir"
    code, line = failure(capsys, flags(modelFile=dynamic, outputFile=tmp_path / "d", infer="true"))
    assert code == 2
    assert "infer needs fixed shapes" in line
    assert not (tmp_path / "d.ms").exists()


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert main(flags(modelFile=DATA / "mindir_v3" / "cnn.mindir", outputFile=tmp_path / name)) == 0
    assert (tmp_path / "a.ms").read_bytes() == (tmp_path / "b.ms").read_bytes()


def test_a_ms_file_can_be_converted_again(tmp_path: Path) -> None:
    source = DATA / "ms" / "cnn.ms"
    assert main(flags(fmk="MSLITE", modelFile=source, outputFile=tmp_path / "again")) == 0
    inputs, expected = recorded(DATA / "mindir_v1" / "cnn.npz")
    assert_close(lite_runtime.load(tmp_path / "again.ms")(*channels_last(inputs)), expected[0])


def test_the_source_is_never_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "m.ms"
    source.write_bytes((DATA / "ms" / "a_res.ms").read_bytes())
    code, line = failure(capsys, flags(modelFile=source, outputFile=tmp_path / "m"))
    assert code == 2
    assert "would replace the source" in line
    assert source.read_bytes() == (DATA / "ms" / "a_res.ms").read_bytes()


def test_report_in_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "report.json"
    assert main(flags(modelFile=MODEL, outputFile=tmp_path / "m", report=report)) == 0
    told = json.loads(report.read_text())
    assert told["result"] == "success"
    assert told["bytes_after"] == (tmp_path / "m.ms").stat().st_size
    assert told["bytes_before"] == MODEL.stat().st_size
    assert 0 < told["nodes_after"] < told["nodes_before"]
    assert set(told["stages"]) == {"read", "optimize", "export", "check", "write"}
    assert told["inputs"] == [{"name": "x", "dtype": "float32", "shape": [1, 8, 8, 3]}]
    capsys.readouterr()
    failure(capsys, flags(modelFile=tmp_path / "none.mindir", outputFile=tmp_path / "n", report=report))
    told = json.loads(report.read_text())
    assert (told["result"], told["kind"], told["exit_code"]) == ("failure", "SourceFileError", 3)


def test_python_convert_returns_a_report_and_tells_of_its_progress(tmp_path: Path) -> None:
    stages: list[str] = []
    report = converter.convert(MODEL, tmp_path / "m", progress=stages.append)
    assert report.fmk == "MINDIR"
    assert report.output == str(tmp_path / "m.ms")
    assert report.seconds > 0
    assert [s for s in stages if s in report.stages] == ["read", "optimize", "export", "check", "write"]
    assert len(stages) > 4


def test_python_convert_writes_beside_the_source_by_default(tmp_path: Path) -> None:
    source = tmp_path / "net.mindir"
    source.write_bytes(MODEL.read_bytes())
    assert converter.convert(source).output == str(tmp_path / "net.ms")
    assert (tmp_path / "net.ms").is_file()


def test_converter_class_has_mindspore_lites_properties_and_defaults() -> None:
    settings = converter.Converter()
    assert str(settings).splitlines() == [
        "config_info: {},",
        "weight_fp16: False,",
        "input_shape: {},",
        "input_format: Format.NHWC,",
        "input_data_type: DataType.FLOAT32,",
        "output_data_type: DataType.FLOAT32,",
        "save_type: ModelType.MINDIR_LITE,",
        "decrypt_key: ,",
        "decrypt_mode: AES-GCM,",
        "enable_encryption: False,",
        "encrypt_key: ,",
        "infer: False,",
        "optimize: general,",
        "device: .",
    ]


@pytest.mark.parametrize(
    ("name", "good", "wrong_type", "wrong_value"),
    [
        ("weight_fp16", True, 1, None),
        ("input_shape", {"x": [1, -1]}, "x:1", None),
        ("input_shape", {"x": [1]}, {"x": (1, 2)}, None),
        ("input_shape", {"x": [1]}, {"x": [1.0]}, None),
        ("input_format", converter.Format.NCHW, 0, converter.Format.NC),
        ("input_data_type", converter.DataType.INT8, 43, converter.DataType.BOOL),
        ("output_data_type", converter.DataType.UNKNOWN, "FLOAT", converter.DataType.FLOAT64),
        ("save_type", converter.ModelType.MINDIR, 4, None),
        ("decrypt_key", "00ff", b"00", None),
        ("decrypt_mode", "AES-CBC", 1, "SM4"),
        ("enable_encryption", True, "true", None),
        ("encrypt_key", "00", 0, None),
        ("infer", True, "true", None),
        ("optimize", "ascend_oriented", None, "fast"),
        ("device", "Ascend", None, "GPU"),
    ],
)
def test_converter_class_checks_its_properties(
    name: str, good: object, wrong_type: object, wrong_value: object
) -> None:
    settings = converter.Converter()
    setattr(settings, name, good)
    assert getattr(settings, name) == good
    with pytest.raises(TypeError, match=name):
        setattr(settings, name, wrong_type)
    if wrong_value is not None:
        with pytest.raises(ValueError, match=name):
            setattr(settings, name, wrong_value)
    assert getattr(settings, name) == good


def test_converter_class_converts(tmp_path: Path) -> None:
    settings = converter.Converter()
    settings.save_type = converter.ModelType.MINDIR_LITE
    settings.input_shape = {"x": [1, 3, 8, 8]}
    settings.set_config_info("registry", {"disable_fusion": "on"})
    assert settings.get_config_info() == {"registry": {"disable_fusion": "on"}}
    settings.convert(converter.FmkType.MINDIR, str(MODEL), str(tmp_path / "m"))
    converter.convert(MODEL, tmp_path / "none", optimize="none")
    assert (tmp_path / "m.ms").read_bytes() == (tmp_path / "none.ms").read_bytes()


def test_converter_class_refuses_what_is_not_offered(tmp_path: Path) -> None:
    for name, value in [
        ("save_type", converter.ModelType.MINDIR),
        ("enable_encryption", True),
        ("encrypt_key", "00"),
        ("device", "Ascend"),
        ("optimize", "ascend_oriented"),
    ]:
        settings = converter.Converter()
        setattr(settings, name, value)
        with pytest.raises(converter.UsageError, match="not offered"):
            settings.convert(converter.FmkType.MINDIR, str(MODEL), str(tmp_path / "m"))
    with pytest.raises(TypeError, match="fmk_type must be FmkType"):
        converter.Converter().convert(3, str(MODEL), str(tmp_path / "m"))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="model_file must be str"):
        converter.Converter().convert(converter.FmkType.MINDIR, 3, "m")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_converter_class_takes_each_section_from_one_place(tmp_path: Path) -> None:
    config = tmp_path / "c.cfg"
    config.write_text("[registry]\ndisable_fusion=on\n")
    settings = converter.Converter()
    settings.set_config_info("registry", {"disable_fusion": "off"})
    with pytest.raises(converter.UsageError, match=r"section \[registry\] is set by set_config_info and stands in"):
        settings.convert(converter.FmkType.MINDIR, str(MODEL), str(tmp_path / "m"), config_file=str(config))


def test_enums_have_mindspore_lites_numbers_in_both_packages() -> None:
    assert converter.DataType is lite_runtime.DataType
    assert converter.Format is lite_runtime.Format
    assert converter.ModelType is lite_runtime.ModelType
    names = {"TF": 0, "CAFFE": 1, "ONNX": 2, "MINDIR": 3, "TFLITE": 4, "PYTORCH": 5}
    assert {name: int(converter.FmkType[name]) for name in names} == names
