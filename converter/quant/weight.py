"""WEIGHT_QUANT: constant weights as integers of 1 to 16 bits (or a mixture), in the smallest form of storage.

The nodes compute in floats: a weight stands for (q - zero point) * scale + mean correction, per output channel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Union

import numpy as np

from converter.ir.graph import Model, Node, QuantParam, Value
from converter.quant import packing, weight_blocks
from converter.quant.calibration import Samples
from converter.quant.moments import moments
from converter.quant.ranges import Quantized, Rounding, Strategy, max_min, quantize, rounded
from converter.quant.recipe import WEIGHT, Plan, Settings
from converter.quant.weight_gptq import Compensation
from converter.quant.weight_hqq import hqq
from converter.quant.weight_mixed import entropy_coded
from converter.quant.weight_mse import mse
from lite_runtime.types import DataType

# The weights of each operator, by input.
_WEIGHTS: dict[str, tuple[int, ...]] = {
    "Conv2DFusion": (1,),
    "Conv2dTransposeFusion": (1,),
    "MatMulFusion": (0, 1),
    "FullConnection": (1,),
    "Gather": (0,),
    "LSTM": (1, 2, 3),
    "GRU": (1, 2),
}
# GPTQ rounds in another way, on the same grid as MSE.
_STRATEGIES: dict[str, Strategy] = {"MAX_MIN": max_min, "MSE": mse, "HQQ": hqq, "GPTQ": mse}
# A weight must shrink to this part of its float32 bytes, parameters included; else its errors buy little.
_WORTH = 0.85
_TOO_SMALL = f"with its parameters it would not shrink to {_WORTH:.0%}"
# Bytes of a QuantParam in the file: its own (with 8 bits, with others) and its place in the list.
_PARAM_BYTES = {8: 20, 16: 28}


@dataclass(frozen=True)
class Weight:
    """A constant and the one node that computes with it: all its readers, where several do the same."""

    value: Value
    node: Node
    index: int


@dataclass(frozen=True)
class _Whole:
    """A quantised weight in one tensor."""

    stored: packing.Stored
    dtype: DataType
    params: Sequence[QuantParam]

    def use(self, weight: Weight) -> None:
        value = weight.value
        value.data, value.compression, value.dtype = self.stored.data, self.stored.form, self.dtype
        value.quant = list(self.params)
        for node, _ in value.uses:
            node.quant_type = "QUANT_WEIGHT"


@dataclass(frozen=True)
class _Blocks:
    blocks: weight_blocks.Blocks
    size: int

    def use(self, weight: Weight) -> None:
        weight_blocks.use(list(weight.value.uses), weight.value.name, self.blocks, self.size)


_Result = Union[_Whole, _Blocks]


def weights(model: Model, plan: Plan) -> Iterator[Weight]:
    """The constants that may be quantised, each once, in execution order."""
    seen: set[Value] = set()
    for graph in model.graphs:
        for node in graph.nodes:
            if node not in plan:
                continue
            for index in weight_inputs(node):
                value = node.inputs[index]
                if value not in seen:
                    seen.add(value)
                    yield Weight(value, node, index)


def weight_inputs(node: Node) -> list[int]:
    """Inputs that hold float32 weights which nothing has compressed yet."""
    if node.quant_type != "QUANT_NONE":
        return []
    indices = _WEIGHTS.get(node.op, ())
    if node.op == "LSTM":  # (x, w, r, b ...) or (x, h0, c0, all weights)
        indices = (3,) if len(node.inputs) == 4 and node.inputs[3].rank != 2 else (1, 2)
    return [i for i in indices if i < len(node.inputs) and is_plain_weight(node.inputs[i])]


def channel_axis(node: Node, index: int) -> int | None:
    """The axis of a weight with one set of parameters per channel, as the runtimes expect it; None for none."""
    rank = node.inputs[index].rank or 0
    if node.op == "Conv2dTransposeFusion":
        return rank - 1
    if node.op == "MatMulFusion":
        last = node.attr("transpose_a") if index == 0 else not node.attr("transpose_b")
        return rank - 1 if last else rank - 2 if rank > 1 else None
    if node.op == "LSTM" and index == 3:
        return None
    return 0


class Memo:
    """Weights quantised before, for those who try many plans on copies of one model, which share their weights."""

    def __init__(self) -> None:
        self._found: dict[tuple[Any, ...], tuple[np.ndarray, _Result]] = {}

    def get(self, weight: Weight, settings: Settings) -> _Result | None:
        return self._found.get(self._key(weight, settings), (None, None))[1]

    def put(self, weight: Weight, settings: Settings, data: np.ndarray, result: _Result) -> None:
        self._found[self._key(weight, settings, data)] = (data, result)  # with the array, so that its id stays its own

    @staticmethod
    def _key(weight: Weight, settings: Settings, data: np.ndarray | None = None) -> tuple[Any, ...]:
        array = weight.value.data if data is None else data
        return id(array), weight.node.name, weight.index, tuple(sorted(settings.values.items()))


def apply(model: Model, plan: Plan, samples: Samples = (), memo: Memo | None = None) -> list[str]:
    """Quantises the weights of the nodes that are planned so, in place. Returns notes for the user.

    ``samples`` are calibration inputs, for GPTQ. Raises UsageError where that needs some and has none.
    """
    memo = memo or Memo()
    chosen = {node: settings for node, settings in plan.items() if settings.algorithm == WEIGHT}
    notes = Notes()
    planned = list(weights(model, chosen))
    by_data = [w.node for w in planned if w.index == 1 and chosen[w.node]["quant_strategy"] == "GPTQ"]
    new = [w.node for w in planned if w.node in by_data and memo.get(w, chosen[w.node]) is None]
    moments_of = moments(model, new, samples) if new else {}
    reasons = [refusal(model, weight, chosen) for weight in planned]  # all before any is changed: a node may have two
    for weight, reason in zip(planned, reasons):
        before = None if reason else memo.get(weight, chosen[weight.node])
        if before is not None:
            before.use(weight)
        elif not reason:
            rounding = Compensation(moments_of[weight.node]).rounded if weight.node in moments_of else rounded
            reason = _quantize(model, weight, chosen[weight.node], rounding, memo)
        if reason:
            notes.add(weight.value.name, reason)
    plain = sum(node not in moments_of for node in new)
    without = f"GPTQ rounds {plain} weight(s) to the nearest: their inputs' moments are not known or not finite"
    return notes.lines() + ([without] if plain else [])


class Notes:
    """Weights that stay float32, one line for each reason."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {}

    def add(self, name: str, reason: str) -> None:
        self._names.setdefault(reason, []).append(name)

    def lines(self) -> list[str]:
        return [f"{self._listed(names)} float32: {reason}" for reason, names in self._names.items()]

    @staticmethod
    def _listed(names: list[str]) -> str:
        if len(names) == 1:
            return f"weight '{names[0]}' stays"
        return f"{len(names)} weights ('{names[0]}' ... '{names[-1]}') stay"


def is_plain_weight(value: Value) -> bool:
    """A float32 constant that nothing has quantised or compressed yet."""
    return value.is_const and value.dtype == DataType.FLOAT32 and value.compression == "NONE" and not value.quant


def refusal(model: Model, weight: Weight, plan: Plan) -> str:
    """Why the weight cannot be quantised, or ""."""
    value = weight.value
    assert value.data is not None
    axis = channel_axis(weight.node, weight.index)
    for node, index in value.uses:
        if node not in plan or index not in weight_inputs(node):
            return f"{node.op} '{node.name}' reads it too"
        if channel_axis(node, index) != axis:
            return f"its channels are others for {node.op} '{node.name}'"
        if plan[node] != plan[weight.node]:
            return f"the settings for {node.op} '{node.name}' are others"
    if any(graph.is_output(value) for graph in model.graphs):
        return "it is an output of the model"
    settings = plan[weight.node]
    if value.data.size <= settings["min_quant_weight_size"]:
        return f"no more than min_quant_weight_size={settings['min_quant_weight_size']} elements"
    if value.data.ndim == 4 and value.data.shape[0] <= settings["min_quant_weight_channel"]:
        return f"no more than min_quant_weight_channel={settings['min_quant_weight_channel']} channels"
    if not np.isfinite(value.data).all():
        return "NaN or infinity in it"
    return ""


def _quantize(model: Model, weight: Weight, settings: Settings, rounding: Rounding, memo: Memo) -> str:
    """Quantises one weight; returns why not, or ""."""
    data = weight.value.data
    assert data is not None
    blocks = _blocks(weight, settings, rounding)
    if blocks is not None:
        memo.put(weight, settings, data, blocks)
        blocks.use(weight)
        return ""
    # Weights that are dequantised on the fly have one scale each, as MindSpore Lite writes them.
    per_channel = settings["per_channel"] and not settings["dequant_strategy"]
    axis = channel_axis(weight.node, weight.index) if per_channel else None
    limit = _WORTH * data.nbytes
    bits = settings["bit_num"]
    if bits == 0:
        coded = entropy_coded(data, settings["init_scale"])
        if coded is None or len(coded) > limit:
            return "a table of codes is not worth while for so few or such different values"
        return _use(weight, settings, _Whole(packing.Stored("FSE", coded), DataType.FLOAT32, ()), memo)
    if axis is None:
        rounding = rounded
    correct = settings["bias_correction"] and rounding is rounded
    result = quantize(data, axis, bits, _STRATEGIES[settings["quant_strategy"]], correct, rounding)
    if settings["dequant_strategy"]:
        if result.q.nbytes + 16 * len(result.params) > limit:
            return _TOO_SMALL
        _dequantize_on_the_fly(model, weight, result, axis)
        return ""
    stored = packing.smallest(result.q, bits, result.zero_points, settings["enable_encode"])
    if stored.data.nbytes + len(result.params) * _PARAM_BYTES.get(bits, 28) > limit:
        return _TOO_SMALL
    return _use(weight, settings, _Whole(stored, DataType.of(result.q.dtype), result.params), memo)


def _use(weight: Weight, settings: Settings, result: _Whole, memo: Memo) -> str:
    assert weight.value.data is not None
    memo.put(weight, settings, weight.value.data, result)
    result.use(weight)
    return ""


def _blocks(weight: Weight, settings: Settings, rounding: Rounding) -> _Blocks | None:
    """A weight in blocks where it is to be and can be."""
    value, size = weight.value, int(settings["block_size"])
    if size == 0 or not all(weight_blocks.fits(node, index) for node, index in value.uses):
        return None
    assert value.data is not None
    by_column = channel_axis(weight.node, weight.index) == 1
    rows = np.ascontiguousarray(value.data.T) if by_column else value.data
    blocks = weight_blocks.in_blocks(rows, size, settings["block_symmetric"], rounding)
    if blocks is None or blocks.nbytes > _WORTH * value.data.nbytes:
        return None
    return _Blocks(blocks, size)


def _dequantize_on_the_fly(model: Model, weight: Weight, result: Quantized, axis: int | None) -> None:
    """Puts a QuantDTypeCast between the integers and their readers in each graph."""
    old, params = weight.value, result.params
    stored = Value(old.name, DataType.of(result.q.dtype), old.shape, result.q)
    stored.quant = params
    columns = {
        "scales": np.array([p.scale for p in params], np.float32),
        "zero_points": np.array([p.zero_point for p in params], np.int32),
        "mean_corrections": np.array([p.mean_corr for p in params], np.float32),
        "var_corrections": np.array([p.var_corr for p in params], np.float32),
    }
    for graph in model.graphs:
        readers = [(node, index) for node, index in old.uses if node in graph.nodes]
        if not readers:
            continue
        inputs = [stored, *(graph.constant(f"{old.name}_{name}", data) for name, data in columns.items())]
        first = min(graph.nodes.index(node) for node, _ in readers)
        cast = graph.add(
            "QuantDTypeCast",
            inputs,
            f"{old.name}_dequantized",
            source=weight.node.source,
            src_t=int(stored.dtype),
            dst_t=int(DataType.FLOAT32),
            axis=axis or 0,
        )
        graph.nodes.insert(first, graph.nodes.pop())
        cast.output.dtype, cast.output.shape = DataType.FLOAT32, old.shape
        for node, index in readers:
            node.set_input(index, cast.output)
