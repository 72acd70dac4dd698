"""Bad input gives a one-line error that names file and cause, an exit code, and no output file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from runtime_models import sum_model
from support import CORPUS, DATA, ROOT
from test_cli import MODEL, failure, flags

import converter
import lite_runtime
from converter.cli import main
from converter.importers.mindir.proto import message_class

SMALL = DATA / "mindir_v1" / "a_io.mindir"
# Seconds in which all damaged variants of one file must be done; they take a fraction of it.
PATIENCE = 600


def refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: Path, code: int, *parts: str, **more: object
) -> str:
    """The line printed for a conversion that must fail with this code and leave nothing behind."""
    before = sorted(tmp_path.iterdir())
    output = {"outputFile": tmp_path / "out", **more}
    found, line = failure(capsys, flags(modelFile=model, **output))
    assert found == code, line
    assert str(model) in line
    for part in parts:
        assert part in line
    assert sorted(tmp_path.iterdir()) == before
    return line


# --- source files ---


@pytest.mark.parametrize("fmk", ["MINDIR", "ONNX", "TFLITE", "MSLITE"])
def test_file_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str], fmk: str) -> None:
    refused(tmp_path, capsys, tmp_path / "none.mindir", 3, "does not exist", fmk=fmk)
    refused(tmp_path, capsys, tmp_path, 3, "is not a file", fmk=fmk)


@pytest.mark.parametrize("fmk", ["MINDIR", "ONNX", "TFLITE", "MSLITE"])
def test_file_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str], fmk: str) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    refused(tmp_path, capsys, empty, 4, fmk=fmk)


def test_format_cannot_be_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unknown = tmp_path / "model.bin"
    unknown.write_bytes(b"anything at all")
    refused(tmp_path, capsys, unknown, 2, "cannot tell the format", "--fmk")


@pytest.mark.parametrize("fmk", ["MINDIR", "ONNX", "TFLITE", "MSLITE"])
@pytest.mark.parametrize(
    "content",
    [b"\x89PNG\r\n\x1a\n" + bytes(64), b"hello, world\n" * 9, bytes(64), b"\xff" * 64],
    ids=["png", "text", "zeros", "ones"],
)
def test_not_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str], fmk: str, content: bytes) -> None:
    other = tmp_path / "other"
    other.write_bytes(content)
    refused(tmp_path, capsys, other, 4, fmk=fmk)


@pytest.mark.parametrize("source", ["ms/a_io.ms", "lenet/lenet_mnist5k_test.npz"])
def test_another_format_than_stated(tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str) -> None:
    refused(tmp_path, capsys, DATA / source, 4, fmk="MINDIR")


@pytest.mark.parametrize("folder", ["mindir_v1", "mindir_v3"])
def test_mindir_truncated(tmp_path: Path, folder: str) -> None:
    """At every length of a small file of one dialect; of the other, at some, and everywhere near the end."""
    source = SMALL if folder == "mindir_v1" else DATA / folder / "dyn.mindir"
    data = source.read_bytes()
    cut = tmp_path / "cut.mindir"
    sizes = range(len(data)) if folder == "mindir_v1" else (*range(0, len(data), 31), *range(len(data) - 64, len(data)))
    for size in sizes:
        cut.write_bytes(data[:size])
        with pytest.raises(converter.ConvertError) as caught:
            converter.convert(cut, tmp_path / "out")
        assert str(cut) in str(caught.value), size
        assert caught.value.exit_code > 1, size
    assert [path.name for path in tmp_path.iterdir()] == ["cut.mindir"]


def test_mindir_with_damaged_bytes(tmp_path: Path) -> None:
    """Some damage gives another valid model; the rest is refused in the converter's own words."""
    data = SMALL.read_bytes()
    damaged = tmp_path / "damaged.mindir"
    outcomes = []
    for position in range(0, len(data), 2):
        damaged.write_bytes(data[:position] + bytes([data[position] ^ 0x55]) + data[position + 1 :])
        try:
            converter.convert(damaged, tmp_path / "out")
        except converter.ConvertError as error:
            assert str(damaged) in str(error), position
            assert not (tmp_path / "out.ms").exists()
            outcomes.append(False)
        else:
            (tmp_path / "out.ms").unlink()
            outcomes.append(True)
    assert outcomes.count(False) > len(outcomes) // 4


# --- encryption ---


@pytest.mark.parametrize(("name", "mode"), [("cnn_gcm", "AES-GCM"), ("cnn_cbc", "AES-CBC")])
def test_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, mode: str) -> None:
    model = DATA / "mindir_v1" / f"{name}.mindir"
    right = b"0123456789ABCDEF".hex()
    other = "AES-CBC" if mode == "AES-GCM" else "AES-GCM"
    refused(tmp_path, capsys, model, 5, fmk="MINDIR", decryptMode=mode)
    refused(tmp_path, capsys, model, 5, fmk="MINDIR", decryptMode=mode, decryptKey=b"0123456789ABCDEE".hex())
    refused(tmp_path, capsys, model, 5, fmk="MINDIR", decryptMode=other, decryptKey=right)
    for wrong in ("xyz", "0123", right + "00"):
        assert failure(capsys, flags(modelFile=model, outputFile=tmp_path / "o", decryptKey=wrong))[0] in (2, 5)
    assert list(tmp_path.iterdir()) == []
    converter.convert(model, tmp_path / "m", decrypt_key=right, decrypt_mode=mode)
    assert (tmp_path / "m.ms").is_file()


def test_key_for_a_model_that_is_not_encrypted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(tmp_path, capsys, MODEL, 5, fmk="MINDIR", decryptKey=b"0123456789ABCDEF".hex())
    refused(tmp_path, capsys, DATA / "ms" / "a_io.ms", 2, "decryptKey is for MINDIR models", decryptKey="00" * 16)


def test_encrypted_file_truncated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, mode in (("cnn_gcm", "AES-GCM"), ("cnn_cbc", "AES-CBC")):
        data = (DATA / "mindir_v1" / f"{name}.mindir").read_bytes()
        cut = tmp_path / f"{name}.mindir"
        for size in (*range(0, 60, 3), len(data) // 2, len(data) - 16, len(data) - 1):
            cut.write_bytes(data[:size])
            with pytest.raises(converter.ConvertError) as caught:
                converter.convert(cut, tmp_path / "o", decrypt_key=b"0123456789ABCDEF", decrypt_mode=mode)
            assert caught.value.exit_code in (4, 5)
        cut.unlink()
    assert list(tmp_path.iterdir()) == []


# --- weights in other files ---


def split(folder: Path) -> tuple[Path, Path]:
    """A copy of a small model with its weights in a file of their own, as MindSpore writes large models."""
    model = message_class("ModelProto").FromString(MODEL.read_bytes())
    weights = bytearray([1]) + bytes(63)
    for parameter in model.graph.parameter:
        data = parameter.raw_data
        parameter.ClearField("raw_data")
        parameter.external_data.location = "net_variables/data_0"
        parameter.external_data.offset, parameter.external_data.length = len(weights), len(data)
        weights += data + bytes(-len(data) % 64)
    path, data_file = folder / "net_graph.mindir", folder / "net_variables" / "data_0"
    path.write_bytes(model.SerializeToString())
    data_file.parent.mkdir()
    data_file.write_bytes(weights)
    return path, data_file


def test_weights_in_another_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, weights = split(tmp_path)
    converter.convert(model, tmp_path / "out")
    converter.convert(MODEL, tmp_path / "whole")
    assert (tmp_path / "out.ms").read_bytes() == (tmp_path / "whole.ms").read_bytes()
    (tmp_path / "out.ms").unlink()

    content = weights.read_bytes()
    for size in (0, 64, 100, len(content) // 2):
        weights.write_bytes(content[:size])
        found, line = failure(capsys, flags(modelFile=model, outputFile=tmp_path / "out"))
        assert found in (3, 4)
        assert "net_variables/data_0" in line
    weights.unlink()
    refused(tmp_path, capsys, model, 3, "net_variables/data_0", fmk="MINDIR")
    weights.parent.rmdir()
    refused(tmp_path, capsys, model, 3, "net_variables", fmk="MINDIR")


# --- what cannot be converted ---


def test_unknown_operators_are_all_listed_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "unknown.mindir"
    model.write_bytes(SMALL.read_bytes().replace(b"Add", b"Xyz").replace(b"Mul", b"Qrs"))
    report = tmp_path / "report.json"
    assert main(flags(modelFile=model, outputFile=tmp_path / "o", report=report)) == 6
    captured = capsys.readouterr()
    assert captured.out == ""
    first, *problems = captured.err.splitlines()
    assert first.startswith("CONVERT RESULT FAILED:6 ")
    assert str(model) in first
    assert any("Xyz" in problem for problem in problems)
    assert any("Qrs" in problem for problem in problems)
    assert '"op": "Xyz"' in report.read_text()
    assert not (tmp_path / "o.ms").exists()


@pytest.mark.corpus
@pytest.mark.parametrize("model", sorted((CORPUS / "broken_ms").glob("*.ms")), ids=lambda path: path.stem)
def test_files_of_mindspore_lite_that_lack_operators(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: Path
) -> None:
    with pytest.raises(lite_runtime.LiteRuntimeError) as caught:
        lite_runtime.load(model)
    assert str(model) in str(caught.value)
    found, line = failure(capsys, flags(modelFile=model, outputFile=tmp_path / "o"))
    assert found in (4, 6, 7)
    assert str(model) in line
    assert list(tmp_path.iterdir()) == []


# --- flags, configuration, output ---


def test_unknown_flag_and_configuration_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "c.cfg"
    config.write_text("[registry]\ndisable_fussion=on\n")
    arguments = {"modelFile": MODEL, "outputFile": tmp_path / "o"}
    assert failure(capsys, flags(**arguments, configFile=config)) == (
        2,
        f"CONVERT RESULT FAILED:2 {config}: [registry] unknown key disable_fussion (did you mean disable_fusion?)",
    )
    assert failure(capsys, flags(**arguments, optimise="none"))[1].endswith(
        "there is no flag --optimise (did you mean --optimize?); see converter_lite --help"
    )
    assert list(tmp_path.iterdir()) == [config]


def test_unwritable_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "folder.ms").mkdir()
    for output, cause in [
        (tmp_path / "folder", "it is a folder"),
        (tmp_path / "none" / "o", "does not exist"),
        (Path("/proc/self/o"), ""),
    ]:
        code, line = failure(capsys, flags(modelFile=MODEL, outputFile=output))
        assert code == 8
        assert f"{output}.ms: cannot write the output file" in line
        assert cause in line
    assert failure(capsys, flags(modelFile=MODEL, outputFile=tmp_path / "o", report=tmp_path / "none" / "r"))[0] == 8
    assert [path.name for path in tmp_path.iterdir()] == ["folder.ms"]


def test_a_failed_conversion_keeps_the_output_of_an_earlier_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out.ms").write_bytes(b"precious")
    cut = tmp_path / "cut.mindir"
    cut.write_bytes(MODEL.read_bytes()[:1000])
    refused(tmp_path, capsys, cut, 4)
    assert (tmp_path / "out.ms").read_bytes() == b"precious"


# --- the runtime ---


def damage(tmp_path: Path, model: Path, values: str, *more: str) -> tuple[int, int]:
    """Numbers of damaged variants that ran and that were refused. Fails on crash, hang or foreign exception."""
    position = tmp_path / "position"
    command = [sys.executable, str(ROOT / "tests" / "damage_ms.py"), str(model), str(position), values, *more]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        pytest.fail(f"{model.name}: hangs in case {_case(position)}")
    if done.returncode != 0:
        pytest.fail(f"{model.name}: exit code {done.returncode} in case {_case(position)}\n{done.stderr[-2000:]}")
    ran, refused = map(int, done.stdout.split())
    return ran, refused


def _case(position: Path) -> str:
    number = int.from_bytes(position.read_bytes(), "little")
    return f"byte {number >> 8} = {number & 255} (or length {number})"


@pytest.mark.parametrize(("name", "values"), [("a_io", "0,255,127,^128,^1,+1,+4"), ("a_res", "0,255,^128,+1")])
def test_ms_with_any_byte_damaged(tmp_path: Path, name: str, values: str) -> None:
    model = DATA / "ms" / f"{name}.ms"
    ran, refused = damage(tmp_path, model, values)
    assert ran + refused > 3 * model.stat().st_size
    assert min(ran, refused) > 100


def test_dynamic_ms_with_any_byte_damaged(tmp_path: Path) -> None:
    model = tmp_path / "sum.ms"
    model.write_bytes(sum_model())
    ran, refused = damage(tmp_path, model, "0,255,127,^128,^1,+1,+4")
    assert min(ran, refused) > 100


@pytest.mark.parametrize("name", ["a_io", "a_res", "lstm"])
def test_ms_truncated_anywhere(tmp_path: Path, name: str) -> None:
    model = DATA / "ms" / f"{name}.ms"
    ran, refused = damage(tmp_path, model, "", "--truncate")
    # Trailing bytes that nothing refers to may be missing.
    assert refused > 0.98 * model.stat().st_size
    assert ran < 16


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", lite_runtime.ModelFormatError),
        (b"MSL2", lite_runtime.ModelFormatError),
        (b"\x10\x00\x00\x00MSL2", lite_runtime.ModelFormatError),
        (bytes(1000), lite_runtime.ModelFormatError),
        (b"\xff" * 1000, lite_runtime.ModelFormatError),
        (MODEL.read_bytes(), lite_runtime.ModelFormatError),
    ],
    ids=["empty", "identifier", "header", "zeros", "ones", "mindir"],
)
def test_not_a_ms_file(tmp_path: Path, content: bytes, error: type[Exception]) -> None:
    path = tmp_path / "bad.ms"
    path.write_bytes(content)
    with pytest.raises(error) as caught:
        lite_runtime.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(error):
        lite_runtime.load(content)


def test_ms_file_missing(tmp_path: Path) -> None:
    with pytest.raises(lite_runtime.ModelFileError, match=r"none\.ms' does not exist"):
        lite_runtime.load(tmp_path / "none.ms")
    with pytest.raises(lite_runtime.ModelFileError, match="is not a file"):
        lite_runtime.load(tmp_path)
    with pytest.raises(lite_runtime.ModelFileError):
        lite_runtime.load("a\0b.ms")


def test_wrong_shape_dtype_and_count_at_predict() -> None:
    net = lite_runtime.load(sum_model((2, 3)))
    x = np.ones((2, 3), np.float32)
    for wrong, error in [
        ((x,), lite_runtime.ArgumentError),
        ((x, x, x), lite_runtime.ArgumentError),
        ((), lite_runtime.ArgumentError),
        ((x, x.astype(np.int32)), lite_runtime.ShapeError),
        ((x, x.astype(np.float16)), lite_runtime.ShapeError),
        ((x, x.T), lite_runtime.ShapeError),
        ((x, x[0]), lite_runtime.ShapeError),
        ((x, np.float32(1)), lite_runtime.ShapeError),
        ((x, np.array(["a"])), lite_runtime.ShapeError),
        ((x, np.array([None] * 6).reshape(2, 3)), lite_runtime.ShapeError),
    ]:
        with pytest.raises(error, match=r"input") as caught:
            net(*wrong)
        assert "\n" not in str(caught.value)
    assert net(x, x).tolist() == [[2, 2, 2]] * 2
