"""docs/coverage_models.md says what data/models.json measured."""

from __future__ import annotations

from model_coverage import PAGE, load, page


def test_the_table_is_up_to_date() -> None:
    assert page(load()) == PAGE.read_text(encoding="utf-8"), "run: python tests/model_coverage.py page"


def test_all_are_converted() -> None:
    assert [row for row in load() if row.refused] == []
