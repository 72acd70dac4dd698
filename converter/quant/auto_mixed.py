"""Automatic mixed precision: the smallest or fastest model within a budget of error or accuracy.

The error that each layer alone brings to the model's results is measured in each of its precisions, and so is the time
its kernels take. Beginning with the cheapest precision everywhere, layers are made more precise one after another, the
one that takes away most error for its cost first, until the model is within the budget; where that is, is found by
bisection. Errors do not quite add up, and the last of these layers may have been the one that mattered: so others
become cheaper again, in groups and by halves of these, as long as the model itself stays within the budget.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from converter import exporter
from converter.errors import UsageError
from converter.ir.clone import Clone
from converter.ir.graph import Model, Node, Value
from converter.quant import dynamic, full, weight
from converter.quant.calibration import Statistics
from converter.quant.cost import Error, timed
from converter.quant.full_placement import KINDS, PRODUCT, refusal
from converter.quant.recipe import DYNAMIC, FULL, WEIGHT, Plan, Settings
from lite_runtime import _native

Samples = Sequence[Sequence[np.ndarray]]
# A model: arrays for its inputs to those of its outputs.
Run = Callable[[Sequence[np.ndarray]], list[np.ndarray]]
# How good a model's answers are, from 0 to 1.
Accuracy = Callable[[Run], float]
Tell = Callable[[str, int, int], None]

_SAMPLES = 8
# A layer's own error only ranks it: whether a mixture is within the budget is measured on all of them.
_SENSITIVITY_SAMPLES = 3
# Mixtures whose layers' errors add up to so many times the budget are not tried.
_HOPELESS = 3
# int8 must be faster by this part to count as faster.
_FASTER = 0.97
_FLOAT_BITS = 32


@dataclass(frozen=True)
class Budget:
    """``objective`` is SPEED or SIZE. One of ``min_snr`` (of each of the model's results, in dB) and ``max_drop`` (of
    the accuracy, from 0 to 1) is given. ``bits`` are what weights may have where they alone are quantised."""

    objective: str = "SPEED"
    min_snr: float | None = None
    max_drop: float | None = None
    bits: tuple[int, ...] = (4, 8)

    def __str__(self) -> str:
        return f"{self.min_snr:g} dB" if self.min_snr is not None else f"{100 * (self.max_drop or 0):g} % less accuracy"


@dataclass
class _Option:
    """A precision of a layer: its settings (None: float), its cost, and the relative noise it alone brings."""

    label: str
    settings: Settings | None
    cost: float
    noise: float = 0.0


@dataclass
class Choice:
    """``plan`` replaces the one given; ``reasons`` say why layers are not in the cheapest precision."""

    plan: Plan
    reasons: dict[Node, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def choose(
    model: Model,
    plan: Plan,
    samples: Samples,
    seen: Mapping[Value, Statistics],
    budget: Budget,
    accuracy: Accuracy | None = None,
    tell: Tell = lambda stage, done, count: None,
) -> Choice:
    """Raises UsageError without samples, or where not even the float model is within the budget."""
    if not samples:
        raise UsageError(f"{model.source}: automatic mixed precision needs calibration inputs, there are none")
    search = _Search(model, plan, samples[:_SAMPLES], seen, budget, accuracy, tell)
    return search.run()


class _Search:
    def __init__(
        self, model: Model, plan: Plan, samples: Samples, seen: Mapping[Value, Statistics], budget: Budget,
        accuracy: Accuracy | None, tell: Tell,
    ) -> None:  # fmt: skip
        self._model = model
        self._plan = plan
        self._samples = samples
        self._seen = seen
        self._budget = budget
        self._accuracy = accuracy
        self._tried = 0
        self._tell = tell
        self._memo = weight.Memo()
        self._answers = [*map(self._runner(exporter.export(model)), samples)]
        self._float_accuracy = accuracy(self._runner(exporter.export(model))) if accuracy is not None else 0.0

    def run(self) -> Choice:
        options = self._options()
        if not options:
            return Choice(self._plan, notes=["automatic mixed precision found no layer to choose for"])
        reasons = self._drop_slower(options)
        self._measure(options)
        path = _path(options)
        first = self._first_within(options, path)
        if first == len(path) - 1 and not self._is_within(self._planned(options, path[first])):
            raise UsageError(
                f"{self._model.source}: automatic mixed precision: not even the most precise model is within the "
                f"budget of {self._budget}"
            )
        before, state = None, path[first]
        while state != before:
            before, state = state, self._cheaper(options, state, _by_worth(options, state))
        return self._choice(options, state, reasons)

    def _cheaper(
        self, options: Mapping[Node, list[_Option]], state: dict[Node, int], nodes: Sequence[Node]
    ) -> dict[Node, int]:
        """The state with as many of these layers as possible in a precision a step cheaper."""
        if not nodes:
            return state
        tried = {**state, **{node: state[node] - 1 for node in nodes}}
        if not self._is_hopeless(options, tried):
            self._tried += 1
            self._tell("try cheaper layers, mixture", self._tried, 0)
            if self._is_within(self._planned(options, tried)):
                return tried
        middle = len(nodes) // 2
        for half in (nodes[:middle], nodes[middle:]) if middle else ():
            state = self._cheaper(options, state, half)
        return state

    def _is_hopeless(self, options: Mapping[Node, list[_Option]], state: Mapping[Node, int]) -> bool:
        """Whether the layers' own errors, which add up roughly, are far from the budget."""
        if self._budget.min_snr is None:
            return False
        return sum(found[state[node]].noise for node, found in options.items()) > _HOPELESS * self._limit()

    def _limit(self) -> float:
        assert self._budget.min_snr is not None
        return float(10 ** (-self._budget.min_snr / 10))

    def _first_within(self, options: Mapping[Node, list[_Option]], states: Sequence[dict[Node, int]]) -> int:
        """Of states that become better, the first within the budget; the last one is not tried."""
        first, last = 0, len(states) - 1
        steps = math.ceil(math.log2(len(states)))
        for done in range(steps):
            if first == last:
                break
            middle = (first + last) // 2
            self._tell("try mixtures", done, steps)
            if self._is_within(self._planned(options, states[middle])):
                last = middle
            else:
                first = middle + 1
        return first

    def _options(self) -> dict[Node, list[_Option]]:
        """The precisions of each layer, cheapest first, float last."""
        found: dict[Node, list[_Option]] = {}
        by_size = self._budget.objective == "SIZE"
        for node, settings in self._plan.items():
            if node not in self._model.main.nodes:
                continue
            is_product = settings.algorithm == FULL and KINDS.get(node.op) == PRODUCT
            if is_product and not refusal(node, self._seen, self._plan):
                size = _elements(node)
                options = [_Option("int8", settings, float(size))]
                if by_size and weight.weight_inputs(node):
                    options.append(_Option("8-bit weights", _weights_only(settings, 8), 1.01 * size))
                found[node] = [*options, _Option("float", None, 4.0 * size)]
            elif settings.algorithm == DYNAMIC and dynamic.is_product(node):
                size = _elements(node)
                found[node] = [_Option("int8", settings, float(size)), _Option("float", None, 4.0 * size)]
            elif settings.algorithm == WEIGHT and weight.weight_inputs(node):
                size = _elements(node)
                options = [
                    _Option(
                        f"{bits} bits", Settings(WEIGHT, {**settings.values, **_bits(settings, bits)}), size * bits / 8
                    )
                    for bits in sorted(self._budget.bits)
                ]
                found[node] = [*options, _Option("float", None, 4.0 * size)]
        return found

    def _drop_slower(self, options: dict[Node, list[_Option]]) -> dict[Node, str]:
        """Gives the options the time they take as cost; takes those out that are slower than floats."""
        reasons: dict[Node, str] = {}
        if self._budget.objective != "SPEED" or not any(o[0].label == "int8" for o in options.values()):
            return reasons
        self._tell("measure kernels", 0, 2)
        quantized = self._export({node: found[0] for node, found in options.items()})
        before = timed(exporter.export(self._model), self._samples[0])
        self._tell("measure kernels", 1, 2)
        after = timed(quantized, self._samples[0])
        for node, found in options.items():
            if found[0].label != "int8" or node.name not in before or node.name not in after:
                continue
            found[0].cost, found[-1].cost = after[node.name].seconds, before[node.name].seconds
            if found[0].cost > _FASTER * found[-1].cost:
                reasons[node] = f"int8 is no faster: {1e6 * found[0].cost:.0f} us, float {1e6 * found[-1].cost:.0f} us"
                options[node] = found[-1:]
        return reasons

    def _measure(self, options: Mapping[Node, list[_Option]]) -> None:
        """Fills in the noise of each option that is not float."""
        todo = [(node, option) for node, found in options.items() for option in found if option.settings is not None]
        for number, (node, option) in enumerate(todo):
            only = {n: found[-1] for n, found in options.items()}
            only[node] = option
            option.noise = self._noise(self._export(only), _SENSITIVITY_SAMPLES)
            self._tell("measure sensitivity", number + 1, len(todo))

    def _planned(self, options: Mapping[Node, list[_Option]], state: Mapping[Node, int]) -> dict[Node, _Option]:
        return {node: found[state[node]] for node, found in options.items()}

    def _is_within(self, chosen: Mapping[Node, _Option]) -> bool:
        data = self._export(chosen)
        if self._accuracy is not None and self._budget.max_drop is not None:
            return self._accuracy(self._runner(data)) >= self._float_accuracy - self._budget.max_drop - 1e-9
        return self._noise(data) <= self._limit()

    def _plan_of(self, chosen: Mapping[Node, _Option]) -> Plan:
        plan = {node: s for node, s in self._plan.items() if node not in chosen}
        plan.update({node: option.settings for node, option in chosen.items() if option.settings is not None})
        return plan

    def _export(self, chosen: Mapping[Node, _Option]) -> memoryview:
        """The model with these precisions."""
        plan = self._plan_of(chosen)
        clone = Clone(self._model)
        copied = {clone.nodes[node]: settings for node, settings in plan.items()}
        if full.has_products(plan):
            full.apply(clone.model, copied, {clone[value]: found for value, found in self._seen.items()})
        weight.apply(clone.model, copied, self._samples, self._memo)
        dynamic.apply(clone.model, copied)
        return exporter.export(clone.model)

    def _noise(self, data: memoryview, count: int = _SAMPLES) -> float:
        """Of the results of the first ``count`` samples, the largest power of the error as a part of the result's."""
        errors = [Error() for _ in self._answers[0]]
        run = self._runner(data)
        for sample, answers in zip(self._samples[:count], self._answers):
            for error, x, y in zip(errors, answers, run(sample)):
                if x.dtype.kind == "f" and x.shape == y.shape:
                    error.add(x, y)
        return max((e.noise / e.signal if e.signal > 0 else float(e.noise > 0) for e in errors), default=0.0)

    @staticmethod
    def _runner(data: memoryview) -> Run:
        session = _native.Session(_native.Model.from_buffer(data))

        def run(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
            if [tuple(x.shape) for x in inputs] != session.input_shapes:
                session.resize([x.shape for x in inputs])
            for index, (info, x) in enumerate(zip(session.inputs(), inputs)):
                session.set_input(index, np.ascontiguousarray(x, info.dtype.numpy))
            session.run()
            return session.output_values()

        return run

    def _choice(
        self, options: Mapping[Node, list[_Option]], state: Mapping[Node, int], known: Mapping[Node, str]
    ) -> Choice:
        reasons = dict(known)
        counts: dict[str, int] = {}
        for node, found in options.items():
            option = found[state[node]]
            counts[option.label] = counts.get(option.label, 0) + 1
            if state[node] > 0:
                alone = -10 * math.log10(max(found[0].noise, 1e-30))
                reasons[node] = (
                    f"mixed precision: {found[0].label} here alone gives {alone:.1f} dB at the model's result"
                )
        shown = ", ".join(f"{count} in {label}" for label, count in counts.items())
        note = f"automatic mixed precision within {self._budget}: layers {shown}"
        return Choice(self._plan_of(self._planned(options, state)), reasons, [note])


def _path(options: Mapping[Node, list[_Option]]) -> list[dict[Node, int]]:
    """From the cheapest option everywhere to the last, one step at a time, the best one for its cost first."""
    state = dict.fromkeys(options, 0)
    path = [dict(state)]
    while True:
        best, node = -1.0, None
        for candidate, found in options.items():
            at = state[candidate]
            if at + 1 == len(found):
                continue
            gain = max(found[at].noise - found[at + 1].noise, 0.0)
            worth = gain / max(found[at + 1].cost - found[at].cost, 1e-12)
            if worth > best:
                best, node = worth, candidate
        if node is None:
            return path
        state[node] += 1
        path.append(dict(state))


def _by_worth(options: Mapping[Node, list[_Option]], state: Mapping[Node, int]) -> list[Node]:
    """The layers that could be cheaper by a step, those first that then save most for their error."""

    def error(node: Node) -> float:
        found, i = options[node], state[node]
        return max(found[i - 1].noise - found[i].noise, 0.0) / max(found[i].cost - found[i - 1].cost, 1e-12)

    return sorted((node for node in state if state[node]), key=error)


def _elements(node: Node) -> int:
    return sum(v.data.size for v in node.inputs if v.is_const and v.data is not None) or 1


def _weights_only(settings: Settings, bits: int) -> Settings:
    shared = ("min_quant_weight_size", "min_quant_weight_channel")
    values = {"min_quant_weight_channel": 0, **{k: v for k, v in settings.values.items() if k in shared}}
    return Settings(WEIGHT, {**values, "bit_num": bits})


def _bits(settings: Settings, bits: int) -> dict[str, object]:
    """Blocks are for 4 bits only."""
    return {"bit_num": bits, "block_size": settings["block_size"] if bits == 4 else "0"}
