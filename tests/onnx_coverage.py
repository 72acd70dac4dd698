"""Writes the table of ONNX operators: python tests/onnx_coverage.py docs/coverage_onnx.md"""

from __future__ import annotations

import re
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import onnx
from onnx import defs
from onnx_suite import PASS, REFUSED, Outcome, node_tests, run_cases

import converter.importers.onnx  # noqa: F401  (registers the lowerings)
from converter.importers.onnx.reader import OLDEST_OPSET
from converter.importers.onnx.registry import DOMAIN_MICROSOFT, DOMAIN_ONNX, Entry, entries

_LONGEST_REASON = 110


def summary(outcomes: Sequence[Outcome]) -> dict[str, Counter[str]]:
    """How many tests fell into each class, of the float-inference subset and of the rest."""
    return {
        "float inference": Counter(o.kind for o in outcomes if o.float_inference),
        "all others": Counter(o.kind for o in outcomes if not o.float_inference),
    }


def page(outcomes: Sequence[Outcome]) -> str:
    """The page for these outcomes of the node tests."""
    counts = "".join(
        f"| {name} | {sum(kinds.values())} | {kinds[PASS]} | {kinds[REFUSED]} |\n"
        for name, kinds in summary(outcomes).items()
    )
    return (
        "# ONNX operators\n\n"
        f"Opsets {OLDEST_OPSET} to {defs.onnx_opset_version()} are read. An operator is expressed by .ms operators, "
        "or by ONNX's own definition of it in terms of other operators; what cannot be expressed exactly is refused "
        "before anything is written, with the node's name and the reason.\n\n"
        f"This page is generated from the node tests of onnx {onnx.__version__}: each is converted at the optimisation "
        "level `general`, run, and compared with the recorded outputs. None gives a wrong answer. NaN in a window of "
        "MaxPool gives NaN, as in NumPy and PyTorch; ONNX Runtime's answer depends on its place in the window.\n\n"
        "| Node tests | all | pass | refused |\n| --- | ---: | ---: | ---: |\n"
        f"{counts}\n"
        "*Float inference* are the tests with tensors of float, int64 and bool and one operator of the default "
        "domain.\n\n"
        f"{_table(outcomes)}\n"
        "Of the domain `com.microsoft`: "
        + ", ".join(f"`{op}`" for domain, op in sorted(entries()) if domain == DOMAIN_MICROSOFT)
        + ".\n"
    )


def _table(outcomes: Sequence[Outcome]) -> str:
    by_operator: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if len(outcome.operators) == 1 and outcome.operators[0][0] == DOMAIN_ONNX:
            by_operator[outcome.operators[0][1]].append(outcome)
    rows = "".join(_row(op, versions, by_operator[op]) for op, versions in sorted(_operators().items()))
    return "| Operator | Opsets | How | Node tests | Refused |\n| --- | --- | --- | --- | --- |\n" + rows


def _operators() -> dict[str, list[defs.OpSchema]]:
    """The versions of every operator of the default domain that is not withdrawn."""
    found: dict[str, list[defs.OpSchema]] = defaultdict(list)
    for schema in defs.get_all_schemas_with_history():
        if schema.domain == DOMAIN_ONNX:
            found[schema.name].append(schema)
    newest = {op: max(versions, key=lambda s: s.since_version) for op, versions in found.items()}
    return {op: found[op] for op, schema in newest.items() if not schema.deprecated or op == "Upsample"}


def _row(op: str, versions: list[defs.OpSchema], outcomes: list[Outcome]) -> str:
    lowerings = entries().get((DOMAIN_ONNX, op), ())
    if lowerings:
        how, opsets = "operators", _opsets(lowerings, versions)
    elif any(s.has_function or s.has_context_dependent_function for s in versions):  # type: ignore[attr-defined]
        how, opsets = "definition", f"{max(OLDEST_OPSET, min(s.since_version for s in versions))}+"
    else:
        how, opsets = "—", "—"
    kinds = Counter(o.kind for o in outcomes)
    tests = " ".join(f"{kinds[k]} {k}" for k in (PASS, REFUSED) if kinds[k])
    return f"| {op} | {opsets} | {how} | {tests} | {_reasons(o.detail for o in outcomes if o.kind == REFUSED)} |\n"


def _opsets(lowerings: Iterable[Entry], versions: list[defs.OpSchema]) -> str:
    first = max(OLDEST_OPSET, min(e.since for e in lowerings), min(s.since_version for s in versions))
    last = max(e.until for e in lowerings)
    return f"{first}+" if last > 1000 else f"{first}–{last}"


def _reasons(details: Iterable[str]) -> str:
    """The distinct reasons, most frequent first, without the names of tensors."""
    reasons: Counter[str] = Counter()
    for detail in details:
        text = detail.split("\n")[-1].split(": ", 1)[-1].strip()
        text = re.sub(r" \('[^']*'\)|'[^']*' (?=has the type)", "", text).split(". ")[0].rstrip(".").replace("|", "\\|")
        reasons[text if len(text) <= _LONGEST_REASON else text[: _LONGEST_REASON - 1] + "…"] += 1
    return "; ".join(reason for reason, _ in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))[:3])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        Path(sys.argv[1]).write_text(page(list(run_cases(node_tests(), Path(folder)))), encoding="utf-8")
