"""Random ONNX graphs, converted and run here and by ONNX Runtime: the answers must agree.

    PYTHONPATH=tests:tests/fuzz python tests/fuzz/onnx_differential.py FIRST_SEED COUNT [FOLDER]

Prints every seed whose graph is wrong or crashes, writes its model into FOLDER, and counts the rest.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnx_layers  # noqa: F401  (adds to the table)
from onnx.reference import ReferenceEvaluator
from onnx_graphs import F32, I64, Graph, MisfitError, run_onnx
from onnx_ops import TABLE
from onnx_suite import PASS, REFUSED, WRONG, run

from converter.errors import UnsupportedError
from converter.exporter import export
from converter.importers.onnx import load
from converter.passes import optimize
from lite_runtime import _native
from lite_runtime.errors import ShapeError, UnsupportedModelError

NO_WITNESS = "no witness"
# As fractions of the largest value: float32 sums in another order, through a few layers.
_TOLERANCE = 2e-4
OPSETS = (7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23)


def random_graph(seed: int, nodes: int) -> Graph:
    rng = random.Random(seed)
    graph = Graph(rng, rng.choice(OPSETS))
    for _ in range(rng.randint(1, 3)):
        rank = rng.choice([0, 1, 2, 3, 3, 4, 4, 4, 5])
        # An empty dimension now and then.
        shape = [rng.choice([1, 1, 2, 3, 4, 5, 7, 8]) if rng.random() < 0.985 else 0 for _ in range(rank)]
        kind = rng.choice([F32, F32, F32, F32, I64, np.int32, np.bool_])
        graph.fed(graph.array(*shape, dtype=kind), constant=rng.random() < 0.15)
    graph.grow(TABLE, nodes)
    if not graph.nodes:
        graph.add("Shape", graph.values[0])
    return graph


def difference(actual: list[np.ndarray], expected: list[np.ndarray]) -> str:
    """What differs, or an empty string."""
    if len(actual) != len(expected):
        return f"{len(actual)} outputs, expected {len(expected)}"
    for i, (found, wanted) in enumerate(zip(actual, expected)):
        if found.shape != wanted.shape:
            return f"output {i}: shape {found.shape}, expected {wanted.shape}"
        if wanted.dtype.kind == "f":
            error = np.abs(found.astype(np.float64) - wanted.astype(np.float64)).max(initial=0)
            if not error <= _TOLERANCE * max(np.abs(wanted).max(initial=0), 1e-3):
                return f"output {i}: differs by {error:.3g} of {np.abs(wanted).max():.3g}"
        elif not np.array_equal(found, wanted):
            return f"output {i}: {found.ravel()[:6]}, expected {wanted.ravel()[:6]}"
    return ""


def verdict(graph: Graph, folder: Path, level: str) -> tuple[str, str]:
    """PASS, REFUSED, WRONG or NO_WITNESS, with the reason. Any other exception is a defect and left alone."""
    model, inputs = graph.model, graph.inputs
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    try:
        expected = run_onnx(model, inputs)
    except MisfitError:
        return NO_WITNESS, ""  # with an open dimension, ONNX Runtime infers shapes that contradict each other
    try:
        imported = load(path)
        optimize(imported, level)
        session = _native.Session(_native.Model.from_buffer(export(imported)), threads=1)
    except (UnsupportedError, UnsupportedModelError) as error:
        return REFUSED, str(error)
    found = _difference_at(graph, session, inputs, expected)
    if found:
        return WRONG, found
    longer = graph.longer_inputs()
    try:
        expected = run_onnx(model, longer)
    except MisfitError:
        return PASS, ""
    if all(np.isfinite(array).all() for array in expected):
        try:
            found = _difference_at(graph, session, longer, expected)
        except ShapeError as error:
            if any(node.op_type == "Resize" for node in graph.nodes):
                return REFUSED, str(error)  # to a stated size along an axis that was open
            raise
    return (WRONG, f"resized: {found}") if found else (PASS, "")


def _difference_at(
    graph: Graph, session: _native.Session, inputs: dict[str, np.ndarray], expected: list[np.ndarray]
) -> str:
    try:
        actual = run(session, list(inputs.values()))
    except ShapeError:
        # ONNX Runtime joins empty tensors of any shape.
        if _reference(graph, inputs) is None:
            return ""
        raise
    found = difference(actual, expected)
    return found if found and _differs_from_reference(graph, inputs, actual) else ""


def _reference(graph: Graph, inputs: dict[str, np.ndarray]) -> list[np.ndarray] | None:
    """The answers of ONNX's own implementation, where it has any."""
    try:
        return list(ReferenceEvaluator(graph.model).run(None, inputs))
    except Exception:
        return None


def _differs_from_reference(graph: Graph, inputs: dict[str, np.ndarray], actual: list[np.ndarray]) -> bool:
    """ONNX's own implementation has the last word: ONNX Runtime errs in some corners.

    Not on constants, which the converter folds with that implementation.
    """
    if any(value.constant for value in graph.values):
        return True
    answers = _reference(graph, inputs)
    return answers is None or bool(difference(actual, answers))


def main() -> int:
    first, count = int(sys.argv[1]), int(sys.argv[2])
    folder = Path(sys.argv[3]) if len(sys.argv) > 3 else Path.cwd()
    folder.mkdir(parents=True, exist_ok=True)
    kinds: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for seed in range(first, first + count):
        graph = random_graph(seed, 1 + seed % 8)
        for level in ("none", "general"):
            kind, reason = _guarded(graph, folder, level)
            kinds[kind] += 1
            if kind == REFUSED:
                reasons[reason.split("\n")[-1][-100:]] += 1
            elif kind not in (PASS, NO_WITNESS):
                ops = " ".join(node.op_type for node in graph.nodes)
                print(f"seed {seed} {level} opset {graph.opset} {kind}: {reason} [{ops}]", flush=True)
                onnx.save(graph.model, str(folder / f"{seed}.onnx"))
    print(dict(kinds))
    for reason, times in reasons.most_common(25):
        print(times, reason)
    return bool(kinds[WRONG] or kinds["CRASH"])


def _guarded(graph: Graph, folder: Path, level: str) -> tuple[str, str]:
    try:
        return verdict(graph, folder, level)
    except Exception as error:
        return "CRASH", f"{type(error).__name__}: {error}".replace("\n", " ")[:300]


if __name__ == "__main__":
    sys.exit(main())
