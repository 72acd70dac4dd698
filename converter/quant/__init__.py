"""Quantisation: which nodes, by which algorithm (``recipe``), and the algorithms, a file each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from converter.ir.graph import Model, Node
from converter.quant import auto_mixed, dynamic, full, weight
from converter.quant.auto_mixed import Accuracy, Budget
from converter.quant.cost import Cost, Ledger, random_samples, runs_on
from converter.quant.full_placement import Placement
from converter.quant.pairs import Known, were_int8
from converter.quant.recipe import FULL, WEIGHT, Plan, Rule, Settings, plan
from lite_runtime.errors import LiteRuntimeError

__all__ = ["Accuracy", "Budget", "Outcome", "is_full", "quantize", "quantize_and_measure"]

Samples = Sequence[Sequence[np.ndarray]]
Tell = Callable[[str, int, int], None]

# Operators without an int8 form that have large weights.
_STORED = ("Gather", "LSTM", "GRU")
# Samples that the cost is measured on.
_MEASURED = 8
_LARGEST_MEASURED = 1 << 28  # bytes of constants


@dataclass
class Outcome:
    """``notes`` for the user; ``cost`` where the model could be run."""

    notes: list[str] = field(default_factory=list)
    cost: Cost | None = None


def _silent(stage: str, done: int, count: int) -> None:
    pass


def is_full(rules: Sequence[Rule]) -> bool:
    return any(rule.settings.algorithm == FULL for rule in rules)


def quantize(model: Model, rules: Sequence[Rule], samples: Samples = (), known: Known | None = None) -> list[str]:
    """Quantises a model in place as the rules say (see ``converter.quant.recipe``). Returns notes for the user.

    The model must be optimised and complete: its values' types and shapes are known as far as they can be. ``samples``
    are calibration inputs, an array for each of the model's inputs; they may be gone through several times. ``known``
    is what is known of a model that was quantised before (see ``converter.quant.pairs``).
    """
    return _quantize(model, rules, samples, None, None, _silent, known)[0]


def quantize_and_measure(
    model: Model,
    rules: Sequence[Rule],
    samples: Samples = (),
    budget: Budget | None = None,
    accuracy: Accuracy | None = None,
    tell: Tell = _silent,
    known: Known | None = None,
) -> Outcome:
    """``quantize``, mixing precisions within a budget where there is one, and says what it cost.

    ``tell`` is called with a stage and how much of it is done. Without samples the cost is measured on random inputs.
    """
    measured, data = samples[:_MEASURED], f"{min(len(samples), _MEASURED)} calibration inputs"
    if not measured:
        measured, data = random_samples(model.main.inputs), "random inputs"
    size = sum(v.data.nbytes for v in model.main.values() if v.data is not None)
    if size > _LARGEST_MEASURED or not runs_on(model, measured):
        notes = _quantize(model, rules, samples, budget, accuracy, tell, known)[0]
        why = "the model is too large" if size > _LARGEST_MEASURED else "it does not run on random inputs"
        return Outcome([*notes, f"what quantising cost was not measured: {why}"])
    ledger = Ledger(model)
    notes, outcome, reasons = _quantize(model, rules, samples, budget, accuracy, tell, known, ledger)
    try:
        return Outcome(notes, ledger.cost(measured, data, outcome.ranges, reasons, tell))
    except LiteRuntimeError as error:
        return Outcome([*notes, f"what quantising cost was not measured: {error}"])


def _quantize(
    model: Model,
    rules: Sequence[Rule],
    samples: Samples,
    budget: Budget | None,
    accuracy: Accuracy | None,
    tell: Tell,
    known: Known | None,
    ledger: Ledger | None = None,
) -> tuple[list[str], full.Outcome, dict[Node, str]]:
    planned = plan(model, rules)
    # First, while all is float: its ranges are those of the float model.
    seen = full.prepare(model, planned, samples, tell, known)
    dynamic.prepare(model, planned, samples, tell)
    if ledger is not None:
        ledger.see_weights()
    reasons: dict[Node, str] = {}
    notes: list[str] = []
    if budget is not None:
        choice = auto_mixed.choose(model, planned, samples, seen, budget, accuracy, tell)
        planned, notes = choice.plan, choice.notes
        reasons.update(choice.reasons)
    outcome = (
        full.apply(model, planned, seen, known) if full.has_products(planned) or budget is None else full.Outcome()
    )
    planned = {**planned, **_stored(model, planned, outcome.placed, known)}
    reasons = {**outcome.placed.reasons, **reasons}
    notes = notes + outcome.notes + weight.apply(model, planned, samples) + dynamic.apply(model, planned)
    return notes, outcome, reasons


def _stored(model: Model, planned: Plan, placed: Placement, known: Known | None) -> Plan:
    """The nodes that FULL_QUANT leaves float, but stores as 8 bits: tables, recurrent layers, and what was int8."""
    result: Plan = {}
    for node in (n for graph in model.graphs for n in graph.nodes if n not in placed.int8):
        settings = planned.get(node)
        is_table = settings is not None and settings.algorithm == FULL and node.op in _STORED
        if is_table or (known is not None and were_int8(node, known)):
            result[node] = Settings(WEIGHT, {"min_quant_weight_channel": 0})
    return result
