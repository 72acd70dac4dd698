"""FULL_QUANT: int8 weights and activations, with ranges from calibration inputs.

The contract is TFLite's and MindSpore Lite's: weights symmetric per output channel, activations asymmetric with one
scale each, int32 biases. Rounding is to the nearest integer, half to even, everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from converter.errors import UsageError
from converter.ir.graph import Model, Node, Value
from converter.quant.calibration import Statistics, statistics
from converter.quant.channel_scales import equalize, smooth
from converter.quant.full_placement import KINDS, PRODUCT, Placement, candidates, operands, place, refusal
from converter.quant.full_ranges import Range, choose
from converter.quant.full_rewrite import Rewriter
from converter.quant.full_weights import Constants, constants
from converter.quant.pairs import Known, merged
from converter.quant.recipe import FULL, Plan

Tell = Callable[[str, int, int], None]

# With less than so many calibration inputs the user is warned.
_FEW = 8


@dataclass
class Outcome:
    """What was done: the placement, and the range of each quantised activation by its name in the float model."""

    placed: Placement = field(default_factory=Placement)
    ranges: dict[str, Range] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def prepare(
    model: Model,
    plan: Plan,
    samples: Sequence[Sequence[np.ndarray]],
    tell: Tell = lambda stage, done, count: None,
    known: Known | None = None,
) -> dict[Value, Statistics]:
    """Runs the model on the samples, and where that is asked for moves scales between its layers, in place.

    Returns what was seen of each value that may become int8. Of a model that was quantised before, the ranges ``known``
    are kept; then there need not be samples. Raises UsageError for samples that do not serve.
    """
    if not any(settings.algorithm == FULL for settings in plan.values()):
        return {}
    chosen = candidates(model, plan)
    if not any(KINDS[node.op] == PRODUCT for node in chosen):
        raise UsageError(f"{model.source}: FULL_QUANT finds no convolution or matrix product among the chosen nodes")
    if known is not None and known.activations:
        seen = statistics(model, _values(chosen), samples, tell) if samples else {}
        return merged(seen, known.statistics(model.main))
    seen = statistics(model, _values(chosen), samples, tell)
    if _move_scales(model, plan, chosen, seen):
        seen = statistics(model, _values(candidates(model, plan)), samples, tell)
    return seen


def apply(model: Model, plan: Plan, seen: Mapping[Value, Statistics], known: Known | None = None) -> Outcome:
    """Quantises the nodes that are planned so, in place. ``seen`` is what ``prepare`` found."""
    if not any(settings.algorithm == FULL for settings in plan.values()):
        return Outcome()
    placed = place(model, plan, seen)
    if not any(kind == PRODUCT for kind in placed.int8.values()):
        why = "; ".join(dict.fromkeys(r for n, r in placed.reasons.items() if n in candidates(model, plan)))
        raise UsageError(f"{model.source}: FULL_QUANT finds nothing to compute in int8 ({why})")
    ranges = choose(model.main, placed, plan, seen)
    names = {value.name: found for value, found in ranges.items()}

    sources = {node: node.inputs[0] for node in placed.int8}

    def weights(node: Node, scale: float) -> Constants:
        settings = plan[node]
        value = sources[node]
        mean = seen[value].channel_mean if settings["bias_correction"] and value in seen else None
        before = known.weights.get(node.inputs[1].name, ()) if known is not None else ()
        return constants(node, scale, mean, settings["per_channel"], before)

    Rewriter(model.main, placed, ranges, weights).run()
    return Outcome(placed, names, _notes(ranges))


def has_products(plan: Plan) -> bool:
    return any(s.algorithm == FULL and KINDS.get(n.op) == PRODUCT for n, s in plan.items())


def _values(nodes: Sequence[Node]) -> list[Value]:
    return list(dict.fromkeys(v for n in nodes for v in (*operands(n), *n.outputs) if v.data is None))


def _move_scales(model: Model, plan: Plan, chosen: Sequence[Node], seen: Mapping[Value, Statistics]) -> bool:
    """Moves scales between layers where that is asked for. Returns whether anything changed."""
    products = [n for n in chosen if KINDS[n.op] == PRODUCT and not refusal(n, seen, plan)]
    changed = equalize(model.main, [n for n in products if plan[n]["cross_layer_equalization"]])
    smoothed = {n: plan[n]["smooth_alpha"] for n in products if plan[n]["enable_smooth_shift"]}
    return smooth(model.main, smoothed, seen) or changed


def _notes(ranges: dict[Value, Range]) -> list[str]:
    notes = []
    count = max((len(r.seen.lows) for r in ranges.values() if r.seen.counts.any()), default=_FEW)
    if count < _FEW:
        notes.append(f"only {count} calibration input(s): other inputs may leave the ranges found, and be clipped")
    constant = [v.name for v, r in ranges.items() if r.seen.lows and r.seen.low == r.seen.high]
    if constant:
        shown = ", ".join(f"'{name}'" for name in constant[:3]) + (" ..." if len(constant) > 3 else "")
        notes.append(f"always the same value in calibration, so of unknown range: {shown}")
    return notes
