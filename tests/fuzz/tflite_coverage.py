"""Writes the table of TFLite operators:

PYTHONPATH=tests:tests/fuzz python tests/fuzz/tflite_coverage.py docs/coverage_tflite.md
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import tflite
from tflite_differential import NO_WITNESS, PASS, REFUSED, TYPES, Verdict, reason, verdicts
from tflite_ops import OPS

import converter.importers.tflite  # noqa: F401  (registers the operators)
from converter.importers.tflite.context import OPERATORS

SEEDS = 4


@cache
def first_verdicts() -> list[Verdict]:
    with tempfile.TemporaryDirectory() as folder:
        return list(verdicts(0, SEEDS, sorted(OPS), Path(folder)))


def builtins() -> list[str]:
    """Names of the operators of TFLite's schema."""
    return [name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)]


def page(found: Sequence[Verdict]) -> str:
    kinds = Counter(v.kind for v in found)
    columns = [np.dtype(t).name for t in TYPES]
    others = [name for name in builtins() if name not in OPERATORS and name not in ("CUSTOM", "DELEGATE")]
    untried = sorted(name for name in OPERATORS if name not in OPS)
    return (
        "# TFLite operators\n\n"
        f"This page is generated: {SEEDS} models of each operator in each type, with random shapes, options, axes and "
        "broadcasting (`tests/fuzz/tflite_ops.py`), are converted at both levels of `--optimize`, run, and compared "
        f"with LiteRT {version('ai-edge-litert')}. Of {kinds[PASS] + kinds[REFUSED]} that LiteRT accepts, "
        f"{kinds[PASS]} give its answers (floats to 2e-5 of the largest, quantised int8 and uint8 within 1, all others "
        f"exactly) and {kinds[REFUSED]} are refused; none is wrong. 64-bit integers become 32-bit ones.\n\n"
        "*yes*: all are right; *partly*: some options are refused; *no*: refused; empty: LiteRT took none of them. "
        "int8 and uint8 are quantised.\n\n"
        f"| Operator | {' | '.join(columns)} | Refused |\n|{' --- |' * (len(columns) + 2)}\n"
        f"{''.join(_row(op, [v for v in found if v.op == op]) for op in sorted(OPS))}\n"
        f"Tested otherwise: {', '.join(f'`{name}`' for name in untried)}.\n\n"
        f"Refused by name, all of them at once (`--allowCustom` keeps them as Custom nodes): "
        f"{', '.join(f'`{name}`' for name in sorted(others))}.\n"
    )


def _row(op: str, found: Sequence[Verdict]) -> str:
    by_type: dict[str, set[str]] = defaultdict(set)
    for verdict in found:
        by_type[verdict.dtype.name].add(verdict.kind)
    cells = " | ".join(_cell(by_type[np.dtype(t).name] - {NO_WITNESS}) for t in TYPES)
    reasons = sorted({reason(v.reason).rstrip(".") for v in found if v.kind == REFUSED})
    return f"| {op} | {cells} | {'; '.join(reasons)} |\n"


def _cell(kinds: set[str]) -> str:
    return {(): "", (PASS,): "yes", (REFUSED,): "no", (PASS, REFUSED): "partly"}[tuple(sorted(kinds))]


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(first_verdicts()), encoding="utf-8")
