"""Random ONNX graphs give the answers of ONNX Runtime, or are refused; always the same graphs.

A few, with ``-m fuzz`` some more. LITE_RUNTIME_FUZZ_GRAPHS=20000 makes the latter as many; the program
onnx_differential.py takes other seeds.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import ROOT

pytest.importorskip("onnxruntime")
_FEW, _MORE = 150, int(os.environ.get("LITE_RUNTIME_FUZZ_GRAPHS", "800"))


@pytest.fixture(autouse=True)
def modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "fuzz"))


@pytest.mark.parametrize("graphs", [_FEW, pytest.param(_MORE, marks=pytest.mark.fuzz)])
def test_random_graphs(graphs: int) -> None:
    from onnx_differential import NO_WITNESS, PASS, REFUSED, random_graph, verdict

    kinds: Counter[str] = Counter()

    @settings(max_examples=graphs, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    @given(seed=st.integers(0, 2**32), nodes=st.integers(1, 8), level=st.sampled_from(["none", "general"]))
    def try_graph(seed: int, nodes: int, level: str) -> None:
        graph = random_graph(seed, nodes)
        with tempfile.TemporaryDirectory() as folder:
            kind, reason = verdict(graph, Path(folder), level)
        kinds[kind] += 1
        operators = [node.op_type for node in graph.nodes]
        assert kind in (PASS, REFUSED, NO_WITNESS), f"{reason} {operators}"

    try_graph()
    # Refusals must not be the rule.
    assert kinds[PASS] > 0.85 * sum(kinds.values()), kinds
