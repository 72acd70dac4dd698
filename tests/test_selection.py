"""Libraries with only the operators of given models: what is chosen, and which flags are refused.

tests/arm/test_small_library.py compiles and runs one.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from small_mobilenet import convert
from support import CORPUS, DATA

import converter
from lite_runtime.errors import ModelFormatError
from packaging_tools import lite_package, selection

_OTHER = DATA / "ms" / "cnn.ms"
_MARKER = "selected_ops.cmake"


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return convert(tmp_path_factory.mktemp("mobilenet"))


def test_the_operators_of_models(mobilenet: Path) -> None:
    assert selection.of_models([mobilenet]) == {
        "LITE_RUNTIME_OPS": "AddFusion;Conv2DFusion;MatMulFusion;ReduceFusion",
        "LITE_RUNTIME_QUANTIZED_OPS": "",
        "LITE_RUNTIME_FORMS": "DType::kFloat32;schema::ActivationType_NO_ACTIVATION;schema::ActivationType_RELU6;"
        "schema::Format_NHWC;schema::PadMode_PAD;schema::ReduceMode_ReduceMean",
    }
    both = selection.of_models([mobilenet, _OTHER, mobilenet.parent / "quantized" / "mobilenet.ms"])
    assert {"ReduceFusion", "Softmax", "QuantDTypeCast"} <= set(both["LITE_RUNTIME_OPS"].split(";"))
    assert {"AddFusion", "Conv2DFusion"} <= set(both["LITE_RUNTIME_QUANTIZED_OPS"].split(";"))
    assert "Softmax" not in both["LITE_RUNTIME_QUANTIZED_OPS"]
    forms = both["LITE_RUNTIME_FORMS"].split(";")
    assert {"DType::kInt8", "schema::ActivationType_RELU", "schema::ReduceMode_ReduceMean"} <= set(forms)


@pytest.mark.parametrize(("file", "parts"), [("ms/a_res.ms", {"Winograd"}), ("ms/lstm.ms", set())])
def test_the_parts_of_models(file: str, parts: set[str]) -> None:
    forms = selection.of_models([DATA / file])["LITE_RUNTIME_FORMS"].split(";")
    assert {form.partition("k")[2] for form in forms if form.startswith("Part::")} == parts


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cut.ms").write_bytes(_OTHER.read_bytes()[:500])
    with pytest.raises(ModelFormatError, match="cut"):
        selection.of_models([tmp_path / "cut.ms"])


@pytest.mark.corpus
def test_the_small_network_has_the_operators_of_mobilenet(mobilenet: Path, tmp_path: Path) -> None:
    converter.convert(CORPUS / "zoo" / "mobilenet_v2_035_96.mindir", tmp_path / "real.ms")
    assert selection.of_models([tmp_path / "real.ms"]) == selection.of_models([mobilenet])


def test_a_project_for_gradle_has_the_selection(mobilenet: Path, tmp_path: Path) -> None:
    flags = ["--target=android", f"--model={mobilenet}", f"--ops-from={_OTHER}", f"--output={tmp_path}/out"]
    assert lite_package.main(flags) == 0
    written = (tmp_path / "out" / "project" / "engine" / _MARKER).read_text()
    for name, value in selection.of_models([mobilenet, _OTHER]).items():
        assert f'set({name} "{value}" CACHE' in written
    assert _MARKER in (tmp_path / "out" / "project" / "engine" / "CMakeLists.txt").read_text()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--target=library"], "--ops-from"),
        (["--target=library", f"--ops-from={_OTHER}", "--platform=toaster"], "toaster"),
        (["--target=library", f"--ops-from={_OTHER}", f"--model={_OTHER}"], "--model"),
    ],
)
def test_wrong_flags_end_with_2(
    flags: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        lite_package.main([*flags, f"--output={tmp_path}/out"])
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_damaged_model_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cut.ms").write_bytes(_OTHER.read_bytes()[:500])
    assert lite_package.main([f"--ops-from={tmp_path}/cut.ms", f"--output={tmp_path}/out"]) == 1
    assert "cut.ms" in capsys.readouterr().err
