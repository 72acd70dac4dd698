"""ONNX's own node tests: how many pass, that none is wrong, and that the published table says so."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import onnx
import pytest
from onnx_coverage import page, summary
from onnx_suite import CRASH, PASS, WRONG, Outcome, node_tests, run_cases
from support import ROOT

PAGE = ROOT / "docs" / "coverage_onnx.md"
# What the float-inference subset of onnx 1.23 holds and how much of it must pass.
SUBSET, LEAST_PASSES = 867, 780


@cache
def outcomes_at(level: str) -> list[Outcome]:
    with tempfile.TemporaryDirectory() as folder:
        return list(run_cases(node_tests(), Path(folder), level))


@pytest.fixture(params=["general", "none"])
def outcomes(request: pytest.FixtureRequest) -> list[Outcome]:
    return outcomes_at(request.param)


def test_none_is_wrong(outcomes: list[Outcome]) -> None:
    assert [(o.name, o.detail) for o in outcomes if o.kind in (WRONG, CRASH)] == []


def test_refusals_name_the_reason(outcomes: list[Outcome]) -> None:
    assert all(": " in o.detail for o in outcomes if o.kind not in (PASS, WRONG, CRASH))


def test_most_pass(outcomes: list[Outcome]) -> None:
    kinds = summary(outcomes)["float inference"]
    if onnx.__version__.startswith("1.23."):
        assert sum(kinds.values()) == SUBSET
    assert kinds[PASS] >= LEAST_PASSES * sum(kinds.values()) // SUBSET


def test_the_table_is_up_to_date() -> None:
    published = PAGE.read_text(encoding="utf-8")
    if f"onnx {onnx.__version__}:" not in published:
        pytest.skip(f"docs/{PAGE.name} was generated with another version than onnx {onnx.__version__}")
    assert page(outcomes_at("general")) == published, f"run: python tests/onnx_coverage.py docs/{PAGE.name}"
