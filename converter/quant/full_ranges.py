"""Scale and zero point of each activation: from its range, which the chosen method finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from converter.ir.graph import Graph, QuantParam, Value
from converter.quant.activation_kl import kl
from converter.quant.activation_max_min import max_min
from converter.quant.activation_mse import mse
from converter.quant.activation_outlier import removal_outlier
from converter.quant.activation_percentile import percentile
from converter.quant.calibration import Statistics
from converter.quant.full_placement import KEEPING, Placement, operands
from converter.quant.recipe import Plan, Settings

# The range of a value from what calibration saw of it.
METHODS: dict[str, Callable[[Statistics], tuple[float, float]]] = {
    "MAX_MIN": max_min,
    "KL": kl,
    "REMOVAL_OUTLIER": removal_outlier,
    "PERCENTILE": percentile,
    "MSE": mse,
}
_LOW, _HIGH = -128, 127
_LEAST_SCALE = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Range:
    """What was seen of an activation, and what of that is kept."""

    seen: Statistics
    low: float
    high: float
    method: str

    @property
    def param(self) -> QuantParam:
        return asymmetric(self.low, self.high)


def asymmetric(low: float, high: float) -> QuantParam:
    """int8 from ``low`` to ``high``, widened to hold 0, which is a value of its own.

    The zero point is the integer nearest to -128 - low / scale. A range of nothing but 0 has the scale 1.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(np.float32(max((high - low) / (_HIGH - _LOW), _LEAST_SCALE))) if high > low else 1.0
    zero = int(np.clip(np.rint(_LOW - low / scale), _LOW, _HIGH)) if high > low else 0
    return QuantParam(scale, zero, narrow_range=False)


def quantized(x: np.ndarray, param: QuantParam) -> np.ndarray:
    """int8: x / scale to the nearest integer, half to even, plus the zero point, limited to the type's range."""
    q: np.ndarray = np.clip(np.rint(x.astype(np.float64) / param.scale) + param.zero_point, _LOW, _HIGH)
    return q.astype(np.int8)


def choose(graph: Graph, placed: Placement, plan: Plan, seen: Mapping[Value, Statistics]) -> dict[Value, Range]:
    """A range for each float value that an int8 node reads or gives.

    Operators that only move values have the range of their input on both sides. What only a Concat reads has the
    range of its result, where the operator that gives it can give any: nothing is rounded twice, or copied.
    """
    source: dict[Value, Value] = {}
    wanted: dict[Value, Settings] = {}
    for node in graph.nodes:
        if node not in placed.int8:
            continue
        for value in operands(node):
            if value.data is None:
                wanted.setdefault(source.get(value, value), plan[node])
        for value in node.outputs:
            if placed.int8[node] == KEEPING:
                source[value] = source.get(node.inputs[0], node.inputs[0])
            elif node not in placed.gives_floats:
                wanted.setdefault(value, plan[node])
    found = {value: _range(seen[value], settings) for value, settings in wanted.items()}
    for node in reversed(graph.nodes):
        if node.op == "Concat" and node in placed.int8:
            joined = found[node.output]
            for value in node.inputs:
                if _is_part(value, graph, placed):
                    found[value] = replace(found[value], low=joined.low, high=joined.high)
    found.update({value: found[origin] for value, origin in source.items() if origin in found})
    return found


def _is_part(value: Value, graph: Graph, placed: Placement) -> bool:
    """Whether a Concat alone reads the value, whose range may be any."""
    producer = value.producer
    any_range = producer is not None and placed.gives_int8(producer) and placed.int8[producer] != KEEPING
    return any_range and len(value.uses) == 1 and not graph.is_output(value)


def _range(seen: Statistics, settings: Settings) -> Range:
    method = settings["activation_quant_method"]
    if not seen.lows:
        return Range(seen, 0.0, 0.0, method)
    low, high = percentile(seen, settings["percentile"]) if method == "PERCENTILE" else METHODS[method](seen)
    return Range(seen, max(low, seen.low), min(high, seen.high), method)
