"""Runs a model on calibration inputs and shows the values between its nodes, and what of them is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from converter import exporter
from converter.errors import UsageError
from converter.ir.graph import Model, Value
from lite_runtime import _native
from lite_runtime.errors import LiteRuntimeError

Samples = Iterable[Sequence[np.ndarray]]
# Called after each sample with how many are done and how many there are (0: not known).
Tell = Callable[[int, int], None]

BINS = 2048


class Observer:
    """A model that also gives some values of its main graph. ``values`` are computed ones or inputs."""

    def __init__(self, model: Model, values: Iterable[Value]) -> None:
        graph = model.main
        self._source = model.source
        self._inputs = list(graph.inputs)
        wanted = dict.fromkeys(v for v in values if v.data is None and v not in graph.inputs)
        outputs = graph.outputs
        try:
            graph.outputs = [*dict.fromkeys(outputs), *(v for v in wanted if v not in outputs)]
            self._place = {value: i for i, value in enumerate(graph.outputs)}
            self._session = _native.Session(_native.Model.from_buffer(exporter.export(model)))
        finally:
            graph.outputs = outputs
        self._feeds: dict[Value, np.ndarray] = {}

    def run(self, samples: Samples, tell: Tell = lambda done, count: None) -> Iterator[int]:
        """Runs one sample after another; gives the number of each, whose values can then be read.

        Raises UsageError when the model does not run on a sample.
        """
        count = len(samples) if isinstance(samples, Sequence) else 0
        for number, sample in enumerate(samples):
            self._run(sample, number)
            yield number
            tell(number + 1, count)

    def __getitem__(self, value: Value) -> np.ndarray:
        """What the value was for the present sample."""
        found = self._feeds.get(value)
        return found if found is not None else self._session.output_value(self._place[value])

    def _run(self, sample: Sequence[np.ndarray], number: int) -> None:
        session = self._session
        if len(sample) != session.input_count:
            counts = f"{len(sample)} arrays, the model has {session.input_count} inputs"
            raise UsageError(f"{self._source}: calibration sample {number} has {counts}")
        try:
            if [tuple(x.shape) for x in sample] != session.input_shapes:
                session.resize([x.shape for x in sample])
            for index, (info, x) in enumerate(zip(session.inputs(), sample)):
                session.set_input(index, np.ascontiguousarray(x, info.dtype.numpy))
            session.run()
        except (LiteRuntimeError, ValueError) as error:
            raise UsageError(
                f"{self._source}: the model does not run on calibration sample {number}: {error}"
            ) from error
        self._feeds = dict(zip(self._inputs, sample))


# Ranges whose parts can be counted in float32.
_FLOAT32_WIDTHS = (1e-30, 1e38)


@dataclass
class Statistics:
    """What was seen of a float value.

    Attributes:
        lows, highs: least and greatest value in each sample.
        finite: no sample had NaN or infinity in it.
        rank: dimensions, the same in all samples.
        channel_low, channel_high, channel_mean: by position along the last axis; None where that changes its size.
        counts: how many values lie in each of ``BINS`` equal parts of [low, high].
    """

    lows: list[float] = field(default_factory=list)
    highs: list[float] = field(default_factory=list)
    finite: bool = True
    rank: int = 0
    channel_low: np.ndarray | None = None
    channel_high: np.ndarray | None = None
    channel_mean: np.ndarray | None = None
    counts: np.ndarray = field(default_factory=lambda: np.zeros(BINS, np.int64))
    _rows: int = 0

    @property
    def low(self) -> float:
        return min(self.lows, default=0.0)

    @property
    def high(self) -> float:
        return max(self.highs, default=0.0)

    @property
    def centers(self) -> np.ndarray:
        """The middle of each part that ``counts`` counts."""
        width = (self.high - self.low) / BINS
        middles: np.ndarray = self.low + width * (np.arange(BINS) + 0.5)
        return middles

    def add_extremes(self, x: np.ndarray) -> None:
        if x.size == 0:
            return
        low, high = float(x.min()), float(x.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            self.finite = False
            return
        self.lows.append(low)
        self.highs.append(high)
        self.rank = x.ndim
        if x.ndim == 0:
            return
        rows = x.reshape(-1, x.shape[-1])
        lows, highs, mean = rows.min(axis=0), rows.max(axis=0), rows.mean(axis=0, dtype=np.float64)
        if self._rows == 0:
            self.channel_low, self.channel_high, self.channel_mean = lows, highs, mean
        elif self.channel_mean is None or self.channel_mean.shape != mean.shape:
            self.channel_low = self.channel_high = self.channel_mean = None
        else:
            assert self.channel_low is not None and self.channel_high is not None
            self.channel_low = np.minimum(self.channel_low, lows)
            self.channel_high = np.maximum(self.channel_high, highs)
            part = len(rows) / (self._rows + len(rows))
            self.channel_mean = self.channel_mean + part * (mean - self.channel_mean)
        self._rows += len(rows)

    def add_counts(self, x: np.ndarray) -> None:
        low, width = self.low, self.high - self.low
        if width > 0 and x.size:
            fits = _FLOAT32_WIDTHS[0] < width < _FLOAT32_WIDTHS[1]
            numbers: np.ndarray = x.reshape(-1).astype(np.float32 if fits else np.float64, copy=False)
            scaled = (numbers - low) * (BINS / width)
            self.counts += np.bincount(np.clip(scaled, 0, BINS - 1).astype(np.int32), minlength=BINS)


def statistics(
    model: Model,
    values: Iterable[Value],
    samples: Sequence[Sequence[np.ndarray]],
    tell: Callable[[str, int, int], None] = lambda stage, done, count: None,
) -> dict[Value, Statistics]:
    """What each float32 value of the main graph is on the samples; values of other types are left out.

    Raises UsageError when there are no samples, or the model does not run on one.
    """
    if not samples:
        raise UsageError(
            f"{model.source}: quantising activations needs calibration inputs, there are none: give calibrate_path in "
            "[data_preprocess_param], or convert(calibration=...)"
        )
    observer = Observer(model, values)
    found: dict[Value, Statistics] = {}
    for _ in observer.run(samples, lambda done, count: tell("calibrate: ranges", done, count)):
        for value in values:
            x = observer[value]
            if x.dtype == np.float32:
                found.setdefault(value, Statistics()).add_extremes(x)
    for _ in observer.run(samples, lambda done, count: tell("calibrate: histograms", done, count)):
        for value, seen in found.items():
            if seen.finite:
                seen.add_counts(observer[value])
    return found
