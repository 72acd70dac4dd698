"""docs/coverage_mindcv.md says what data/mindcv.json measured."""

from __future__ import annotations

from mindcv_coverage import PAGE, TOLERANCE, load, page


def test_the_page_is_up_to_date() -> None:
    assert page(load()) == PAGE.read_text(encoding="utf-8"), "run: python tests/mindcv_coverage.py page"


def test_all_are_right() -> None:
    rows = [row for dialects in load().values() for row in dialects.values()]
    assert len(rows) > 100
    for row in rows:
        assert row["none"] <= TOLERANCE and row["general"] <= TOLERANCE
