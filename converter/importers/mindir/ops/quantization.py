"""FakeQuant nodes of quantisation-aware training: rounding to the integers between learnt ends, as floats.

Ends are moved so that 0 is one of the integers. An activation becomes a pair of QuantDTypeCast, which keeps its scale
and zero point; a weight becomes the numbers that its integers stand for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from converter.importers.mindir.faults import Malformed, Refusal
from converter.importers.mindir.registry import op
from converter.importers.mindir.scope import Scope
from converter.ir.graph import QuantParam, Value
from lite_runtime.types import DataType

_INT8_ZERO = 128  # the integer that int8's zero stands for among 0 ... 255


@dataclass(frozen=True)
class _Grid:
    """Values (q - zero) * scale for the integers q from least to greatest; arrays of one number, or one per channel."""

    scale: np.ndarray
    zero: np.ndarray
    least: int
    greatest: int

    @property
    def low(self) -> np.ndarray:
        return np.asarray((self.least - self.zero) * self.scale)

    @property
    def high(self) -> np.ndarray:
        return np.asarray((self.greatest - self.zero) * self.scale)

    def rounded(self, x: np.ndarray) -> np.ndarray:
        """Each value as the nearest of the grid, the higher one of two."""
        low = self.low
        steps = np.floor((np.clip(x, low, self.high) - low) / self.scale + 0.5)
        return np.asarray(steps * self.scale + low, np.float32)


def _grid(b: Scope, low: Value, high: Value, bits: int, symmetric: bool, narrow: bool) -> _Grid:
    if low.data is None or high.data is None:
        raise Refusal("its range is only known at run time.")
    if not 2 <= bits <= 16:
        raise Refusal(f"{bits} bits are not offered.", attribute="num_bits")
    ends = np.minimum(low.data.astype(np.float64), 0), np.maximum(high.data.astype(np.float64), 0)
    if ends[0].shape != ends[1].shape or not (np.isfinite(ends[0]).all() and np.isfinite(ends[1]).all()):
        raise Malformed("its range has ends that are not finite, or of different shapes")
    if symmetric:
        reach = np.maximum(-ends[0], ends[1])
        ends = -reach, reach
    least, greatest = int(narrow), (1 << bits) - 1
    width = ends[1] - ends[0]
    scale = np.where(width > 0, width / (greatest - least), 1.0)
    zero = np.clip(np.floor(least - ends[0] / scale + 0.5), least, greatest)
    return _Grid(scale, zero, least, greatest)


@op("FakeQuantPerLayer")
def fake_quant_per_layer(
    b: Scope, x: Value, low: Value, high: Value, *,
    num_bits: int = 8, symmetric: bool = False, narrow_range: bool = False,
) -> Value:  # fmt: skip
    grid = _grid(b, low, high, num_bits, symmetric, narrow_range)
    if grid.scale.size != 1:
        raise Malformed(f"its range has {grid.scale.size} ends, one is expected")
    if x.data is not None and x.is_const:
        return b.constant("rounded", grid.rounded(x.data), np.float32)
    if num_bits > 8:
        raise Refusal(f"activations of {num_bits} bits are not offered.", attribute="num_bits")
    scale, zero = float(grid.scale.ravel()[0]), int(grid.zero.ravel()[0])
    if grid.greatest - grid.least < 255:
        x = b.add("Clip", x, tag="clip", min=float(grid.low.ravel()[0]), max=float(grid.high.ravel()[0]))
    real, int8 = int(DataType.FLOAT32), int(DataType.INT8)
    level = b.add("QuantDTypeCast", x, tag="int8", src_t=real, dst_t=int8)
    level.dtype, level.shape = DataType.INT8, x.shape
    level.quant = [QuantParam(scale, zero - _INT8_ZERO, narrow_range=False)]
    return b.add("QuantDTypeCast", level, src_t=int8, dst_t=real)


@op("FakeQuantPerChannel")
def fake_quant_per_channel(
    b: Scope, x: Value, low: Value, high: Value, *,
    num_bits: int = 8, symmetric: bool = False, narrow_range: bool = False, channel_axis: int = 1,
) -> Value:  # fmt: skip
    grid = _grid(b, low, high, num_bits, symmetric, narrow_range)
    if x.data is None or not x.is_const:
        raise Refusal("activations with a scale for each channel are not offered.")
    rank = x.data.ndim
    if not -rank <= channel_axis < rank or grid.scale.size not in (1, x.data.shape[channel_axis]):
        raise Malformed(f"its {grid.scale.size} ranges do not belong to axis {channel_axis} of {list(x.data.shape)}")
    shape = [1] * rank
    shape[channel_axis] = grid.scale.size
    along = _Grid(grid.scale.reshape(shape), grid.zero.reshape(shape), grid.least, grid.greatest)
    return b.constant("rounded", along.rounded(x.data), np.float32)
