"""Random TFLite models of one operator give the answers of LiteRT, or are refused; the published table says which.

With ``-m fuzz`` more of them; the program tflite_differential.py takes other seeds.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest
from support import ROOT

pytest.importorskip("ai_edge_litert")
pytest.importorskip("tflite")

PAGE = ROOT / "docs" / "coverage_tflite.md"


@pytest.fixture(autouse=True)
def modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "fuzz"))


def test_none_is_wrong() -> None:
    from tflite_coverage import first_verdicts
    from tflite_differential import PASS, REFUSED, WRONG

    found = first_verdicts()
    assert [v for v in found if v.kind == WRONG] == []
    assert all(v.reason for v in found if v.kind == REFUSED)
    assert sum(v.kind == PASS for v in found) > 20 * sum(v.kind == REFUSED for v in found)


def test_every_operator_of_the_importer_is_tried() -> None:
    from tflite_coverage import OPERATORS
    from tflite_ops import OPS

    elsewhere = {"ASSIGN_VARIABLE", "CALL_ONCE", "READ_VARIABLE", "VAR_HANDLE", "Convolution2DTransposeBias"}
    assert set(OPERATORS) - set(OPS) == elsewhere


def test_the_table_is_up_to_date() -> None:
    from tflite_coverage import first_verdicts, page

    published = PAGE.read_text(encoding="utf-8")
    if f"LiteRT {version('ai-edge-litert')}." not in published:
        pytest.skip(f"docs/{PAGE.name} was generated with another version of LiteRT")
    command = f"PYTHONPATH=tests:tests/fuzz python tests/fuzz/tflite_coverage.py docs/{PAGE.name}"
    assert page(first_verdicts()) == published, f"run: {command}"


@pytest.mark.fuzz
def test_more_seeds(tmp_path: Path) -> None:
    from tflite_differential import WRONG, verdicts
    from tflite_ops import OPS

    assert [v for v in verdicts(100, 10, sorted(OPS), tmp_path) if v.kind == WRONG] == []
