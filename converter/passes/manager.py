"""Runs passes in order, keeps what they need true, and blames the right one when something breaks."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from converter.engine import infer_shapes
from converter.errors import ConvertError, InvalidGraphError
from converter.ir.graph import Model
from converter.ir.verify import verify
from lite_runtime.types import DataType

# Checks every invariant after every pass; the tests set it.
VERIFY_VARIABLE = "LITE_RUNTIME_VERIFY_PASSES"


@dataclass(frozen=True)
class Pass:
    """A change of the graph that keeps what the model computes.

    ``call`` returns whether it changed anything. It finds the nodes in execution order, and may leave new
    ones anywhere in the list, dead ones in it, and new values without type. With ``needs_types`` it finds
    the dtype of every value and all shapes that can be known before running.
    """

    name: str
    call: Callable[[Model], bool]
    needs_types: bool = False


@dataclass(frozen=True)
class Repeat:
    """Passes to run again and again until none changes anything (at most ``limit`` rounds)."""

    passes: tuple[Pass, ...]
    limit: int = 12


@dataclass(frozen=True)
class PassResult:
    """What one pass did, over all its rounds."""

    name: str
    modified: bool
    seconds: float
    nodes_removed: int


def run_passes(
    model: Model, plan: Sequence[Pass | Repeat], progress: Callable[[str], None] | None = None
) -> list[PassResult]:
    """Runs the plan; one result for each pass, in order of first run.

    ``progress`` is called with a pass's name before it runs. An error names the pass.
    """
    runner = _Runner(model, progress)
    for step in plan:
        if isinstance(step, Pass):
            runner.run(step)
            continue
        for _ in range(step.limit):
            if sum(runner.run(p) for p in step.passes) == 0:
                break
    return list(runner.results.values())


class _Runner:
    def __init__(self, model: Model, progress: Callable[[str], None] | None) -> None:
        self._model = model
        self._progress = progress
        self._verify = os.environ.get(VERIFY_VARIABLE, "") not in ("", "0")
        self._changed = True
        self.results: dict[str, PassResult] = {}

    def run(self, step: Pass) -> bool:
        if self._progress is not None:
            self._progress(step.name)
        start, before = time.perf_counter(), self._node_count()
        try:
            # What stays unknown after inference (run-time shapes) is not asked for again until something changes.
            if step.needs_types and self._changed and not all_typed(self._model):
                infer_shapes(self._model)
                self._changed = False
            modified = step.call(self._model)
            if modified:
                self._changed = True
                self._clean_up(step)
        except ConvertError:
            raise
        except Exception as error:
            raise InvalidGraphError(f"{self._model.source}: pass '{step.name}' failed: {error!r}") from error
        self._note(step.name, modified, time.perf_counter() - start, before - self._node_count())
        return modified

    def _clean_up(self, step: Pass) -> None:
        for graph in self._model.graphs:
            graph.cleanup()
        if self._verify:
            verify(self._model, after=step.name)

    def _note(self, name: str, modified: bool, seconds: float, removed: int) -> None:
        old = self.results.get(name, PassResult(name, False, 0.0, 0))
        self.results[name] = PassResult(
            name, old.modified or modified, old.seconds + seconds, old.nodes_removed + removed
        )

    def _node_count(self) -> int:
        return sum(len(graph.nodes) for graph in self._model.graphs)


def all_typed(model: Model) -> bool:
    """Whether every result has a data type and a shape; those of control flow need none."""
    return all(
        value.dtype != DataType.UNKNOWN and value.shape is not None
        for graph in model.graphs
        for node in graph.nodes
        if node.op not in ("PartialFusion", "Switch", "Call")
        for value in node.outputs
    )


def each_graph(call: Callable[..., bool]) -> Callable[[Model], bool]:
    """A pass over a model from one over a graph."""

    def over_model(model: Model) -> bool:
        return sum(call(graph) for graph in model.graphs) > 0

    return over_model
