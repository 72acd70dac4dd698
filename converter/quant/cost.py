"""What quantising cost and what it gained, layer by layer: errors, bits, bytes, time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from converter import exporter
from converter.errors import UsageError
from converter.ir.graph import Model, Node, Value
from converter.quant import histograms
from converter.quant.calibration import Observer
from converter.quant.full_ranges import Range
from converter.quant.histograms import Histogram
from converter.quant.weight import channel_axis, weight_inputs
from lite_runtime import _native, _profile
from lite_runtime.errors import LiteRuntimeError
from lite_runtime.types import DataType

Samples = Sequence[Sequence[np.ndarray]]
_TIMED_RUNS = 7
_BITS = {DataType.INT8: 8, DataType.UINT8: 8, DataType.INT16: 16, DataType.FLOAT16: 16}
_COMPUTING = ("QUANT_ALL", "QUANT_DYNAMIC")


@dataclass
class Layer:
    """One node of the float model and what became of it.

    Attributes:
        name, op: of the node.
        kind: "int8" where it computes in integers, "weights" where only its weights are integers, else "float".
        bits: of its weights; None where it has none.
        snr: 10 log10 of the power of its results over that of their error, in dB; infinite where there is none.
        cosine: of the angle between its results and those of the float model.
        max_error: the largest error of a result.
        bytes_before, bytes_after: of its constants.
        macs: multiply-adds in one run, on the first sample.
        seconds_before, seconds_after: least time of several runs, on the first sample; 0 where another layer does it.
        reason: why it does not compute in int8, or "".
    """

    name: str
    op: str
    kind: str = "float"
    bits: float | None = None
    snr: float | None = None
    cosine: float | None = None
    max_error: float | None = None
    bytes_before: int = 0
    bytes_after: int = 0
    macs: int = 0
    seconds_before: float = 0.0
    seconds_after: float = 0.0
    reason: str = ""


@dataclass
class Cost:
    """``layers`` in execution order; ``outputs`` as layers of the model's results; ``casts_seconds`` in the quantised
    model; ``data`` says on what it was measured."""

    data: str = ""
    layers: list[Layer] = field(default_factory=list)
    outputs: list[Layer] = field(default_factory=list)
    histograms: list[Histogram] = field(default_factory=list)
    casts: int = 0
    casts_seconds: float = 0.0

    def worst(self, count: int = 10) -> list[Layer]:
        """The layers with the least SNR."""
        measured = [layer for layer in self.layers if layer.snr is not None and math.isfinite(layer.snr)]
        return sorted(measured, key=lambda layer: layer.snr or 0.0)[:count]

    def totals(self) -> dict[str, Any]:
        macs = sum(layer.macs for layer in self.layers)
        in_int8 = sum(layer.macs for layer in self.layers if layer.kind == "int8")
        return {
            "macs": macs,
            "int8_macs": in_int8,
            "int8_part": in_int8 / macs if macs else 0.0,
            "bytes_before": sum(layer.bytes_before for layer in self.layers),
            "bytes_after": sum(layer.bytes_after for layer in self.layers),
            "seconds_before": sum(layer.seconds_before for layer in self.layers),
            "seconds_after": sum(layer.seconds_after for layer in self.layers) + self.casts_seconds,
            "casts": self.casts,
            "casts_seconds": self.casts_seconds,
        }

    def as_dict(self) -> dict[str, Any]:
        """For JSON: infinite numbers are None."""

        def plain(layer: Layer) -> dict[str, Any]:
            return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(layer).items()}

        return {
            "data": self.data,
            "totals": self.totals(),
            "outputs": [plain(layer) for layer in self.outputs],
            "layers": [plain(layer) for layer in self.layers],
            "histograms": [asdict(histogram) for histogram in self.histograms],
        }


class Ledger:
    """Made before a model is quantised, asked for the cost afterwards."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._float = exporter.export(model)
        # Nodes change when they are quantised: what is needed of them is noted now.
        self._nodes = [(n, n.name, n.op, _constant_bytes(n)) for n in model.main.nodes]
        self._names = {v: n.name for n in model.main.nodes for v in n.outputs[:1]}
        values = [n.outputs[0] for n in model.main.nodes if n.outputs[0].dtype in (DataType.FLOAT32, DataType.UNKNOWN)]
        self._observer = Observer(model, values)
        self._observed = values
        self._outputs = list(dict.fromkeys(model.main.outputs))
        self._output_names = [v.name for v in self._outputs]
        self.see_weights()

    def cost(
        self, samples: Samples, data: str, ranges: Mapping[str, Range], reasons: Mapping[Node, str],
        tell: Callable[[str, int, int], None] = lambda stage, done, count: None,
    ) -> Cost:  # fmt: skip
        """Compares the model as it is now with what it was.

        Args:
            samples: inputs to compare on.
            data: what these are, in words.
            ranges: of the activations that became int8, by their former names.
            reasons: why nodes stayed float.
        """
        result = Cost(data)
        result.histograms = [histograms.of_activation(name, found) for name, found in ranges.items()]
        result.histograms += self._of_weights()
        layers = {name: Layer(name, op, bytes_before=size, bytes_after=size) for _, name, op, size in self._nodes}
        present = {n.name: n for n in self._model.main.nodes}
        for node, name, _, _ in self._nodes:
            layer = layers[name]
            if name in present:
                _describe(layer, present[name])
            if layer.kind != "int8":
                layer.reason = reasons.get(node, "")
        errors = self._errors(samples, present, tell)
        for name, error in errors.items():
            if name in layers:
                error.fill(layers[name])
        self._time(samples[:1], layers, result)
        result.layers = list(layers.values())
        result.outputs = self._output_errors(samples)
        return result

    def see_weights(self) -> None:
        """Notes the weights as they are now: called when scales were moved between them, before they are rounded."""
        self._weights = [
            (n, i, n.inputs[i].name, n.inputs[i].data, channel_axis(n, i))
            for n in self._model.main.nodes
            for i in weight_inputs(n)
        ]

    def _of_weights(self) -> list[Histogram]:
        found: dict[str, Histogram | None] = {}
        for node, index, name, data, axis in self._weights:
            if name not in found and data is not None and not node.dead:
                found[name] = histograms.of_weight(name, data, axis, node, index)
        return [histogram for histogram in found.values() if histogram is not None]

    def _errors(
        self, samples: Samples, present: Mapping[str, Node], tell: Callable[[str, int, int], None]
    ) -> dict[str, Error]:
        pairs = [(v, present[self._names[v]].outputs[0]) for v in self._observed if self._names[v] in present]
        after = Observer(self._model, [v for _, v in pairs])
        errors: dict[str, Error] = {}
        runs = zip(self._observer.run(samples), after.run(samples, lambda d, c: tell("compare layers", d, c)))
        for _ in runs:
            for old, new in pairs:
                x, y = self._observer[old], after[new]
                if x.dtype != np.float32 or x.shape != y.shape:
                    continue
                if new.quant and y.dtype == np.int8:
                    y = (y.astype(np.float32) - new.quant[0].zero_point) * np.float32(new.quant[0].scale)
                errors.setdefault(self._names[old], Error()).add(x, y)
        return errors

    def _output_errors(self, samples: Samples) -> list[Layer]:
        before, after = Observer(self._model, ()), self._observer
        errors = [Error() for _ in self._outputs]
        for _ in zip(before.run(samples), after.run(samples)):
            for error, old, new in zip(errors, self._outputs, dict.fromkeys(self._model.main.outputs)):
                x, y = after[old], before[new]
                if x.dtype == np.float32 and x.shape == y.shape:
                    error.add(x, y)
        found = [Layer(name, "output") for name in self._output_names]
        for layer, error in zip(found, errors):
            error.fill(layer)
        return found

    def _time(self, samples: Samples, layers: Mapping[str, Layer], result: Cost) -> None:
        if not samples:
            return
        before, after = timed(self._float, samples[0]), timed(exporter.export(self._model), samples[0])
        for name, step in before.items():
            if name in layers:
                layers[name].seconds_before = step.seconds
                layers[name].macs = round(step.operations / 2)
        for name, step in after.items():
            if name in layers:
                layers[name].seconds_after = step.seconds
            elif step.op in ("QuantDTypeCast", "DynamicQuant"):
                result.casts += 1
                result.casts_seconds += step.seconds


def timed(data: memoryview, sample: Sequence[np.ndarray], runs: int = _TIMED_RUNS) -> dict[str, _profile.Step]:
    """The steps of a model by name, each with the least time of several runs on one thread."""
    session = _native.Session(_native.Model.from_buffer(data), threads=1)
    if [tuple(x.shape) for x in sample] != session.input_shapes:
        session.resize([x.shape for x in sample])
    for index, (info, x) in enumerate(zip(session.inputs(), sample)):
        session.set_input(index, np.ascontiguousarray(x, info.dtype.numpy))
    best: dict[str, _profile.Step] = {}
    for _ in range(runs):
        for step in _profile.run_timed(session):
            if step.name not in best or step.seconds < best[step.name].seconds:
                best[step.name] = step
    return best


class Error:
    """The error of one value over several samples."""

    def __init__(self) -> None:
        self.signal = self.noise = self.product = self.other = self.largest = 0.0

    def add(self, x: np.ndarray, y: np.ndarray) -> None:
        a, b = x.astype(np.float64).ravel(), y.astype(np.float64).ravel()
        if not np.isfinite(b[np.isfinite(a)]).all():
            self.noise = self.largest = math.inf
        at = np.isfinite(a) & np.isfinite(b)
        a, b = a[at], b[at]
        difference = a - b
        self.signal += float(a @ a)
        self.other += float(b @ b)
        self.product += float(a @ b)
        self.noise += float(difference @ difference)
        self.largest = max(self.largest, float(np.abs(difference).max(initial=0)))

    @property
    def snr(self) -> float:
        if self.noise == 0:
            return math.inf
        if math.isinf(self.noise):
            return -math.inf
        return 10 * math.log10(self.signal / self.noise) if self.signal > 0 else -math.inf

    def fill(self, layer: Layer) -> None:
        norm = math.sqrt(self.signal * self.other)
        layer.snr, layer.max_error = self.snr, self.largest
        layer.cosine = self.product / norm if norm else float(self.signal == self.other)


def random_samples(inputs: Sequence[Value], count: int = 4) -> Samples:
    """Standard normal numbers for floats, 0 and 1 for others; open dimensions are 1, behind the first 16."""
    random = np.random.default_rng(0)

    def one(value: Value) -> np.ndarray:
        shape = [d if d >= 0 else 1 if axis == 0 else 16 for axis, d in enumerate(value.shape or ())]
        kind = value.dtype.numpy
        numbers = random.standard_normal(shape) if kind.kind == "f" else random.integers(0, 2, shape)
        return np.asarray(numbers).astype(kind)

    return [[one(value) for value in inputs] for _ in range(count)]


def runs_on(model: Model, samples: Samples) -> bool:
    """Whether the model takes these inputs."""
    try:
        for _ in Observer(model, ()).run(samples[:1]):
            pass
    except (LiteRuntimeError, UsageError):
        return False
    return True


def _constant_bytes(node: Node) -> int:
    return sum(v.data.nbytes + 28 * len(v.quant) for v in node.inputs if v.is_const and v.data is not None)


def _describe(layer: Layer, node: Node) -> None:
    layer.bytes_after = _constant_bytes(node)
    weights = [v for v in node.inputs if v.is_const and v.data is not None and (v.quant or v.compression != "NONE")]
    layer.kind = "int8" if node.quant_type in _COMPUTING else "weights" if weights or node.op == "Custom" else "float"
    if node.quant_type == "QUANT_DYNAMIC" and node.op in ("Gather", "LSTM", "GRU"):
        layer.kind = "weights"
    stored = max(weights, key=lambda v: v.data.nbytes if v.data is not None else 0, default=None)
    if stored is not None and stored.data is not None:
        elements = math.prod(stored.shape or ()) or 1
        packed = 8 * stored.data.nbytes / elements
        layer.bits = float(stored.quant[0].bits) if stored.quant else round(packed, 2)
    elif node.op == "Custom" and layer.kind == "weights":
        layer.bits = 4.0
    elif any(v.is_const and v.dtype == DataType.FLOAT32 for v in node.inputs):
        layer.bits = 32.0
