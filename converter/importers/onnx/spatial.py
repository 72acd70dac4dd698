"""Windows over the dimensions after batch and channel: strides, padding, and the way to NHWC and back.

The .ms operators slide windows over the H and W of an NHWC tensor. One spatial dimension W is given an H of 1
in front of it; three are lowered by the operators themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from converter.importers.layout import channels_first_perm, channels_last_perm
from converter.importers.onnx.builder import Builder
from converter.ir.graph import Value


@dataclass(frozen=True)
class Window:
    """A sliding window; every list has one entry per spatial dimension.

    ``pads`` are (before, after); ``same`` says that they follow from the length of the input, which is not
    known yet, so that the result is ceil(length / stride) long.
    """

    kernel: list[int]
    strides: list[int]
    dilations: list[int]
    pads: list[tuple[int, int]]
    same: bool = False

    @property
    def rank(self) -> int:
        return len(self.kernel)

    def reach(self, i: int) -> int:
        """Number of elements from the first to the last that the window sees."""
        return (self.kernel[i] - 1) * self.dilations[i] + 1

    def flat_pads(self) -> list[int]:
        """top, bottom, left, right."""
        return [n for pair in self.pads for n in pair]

    def planar(self) -> Window:
        """A window over one dimension as one over two."""
        if self.rank != 1:
            return self
        return Window([1, *self.kernel], [1, *self.strides], [1, *self.dilations], [(0, 0), *self.pads], self.same)


def window(
    b: Builder,
    x: Value,
    kernel: Sequence[int],
    strides: Sequence[int] | None,
    dilations: Sequence[int] | None,
    pads: Sequence[int] | None,
    auto_pad: str,
) -> Window:
    """Checks the attributes and works out automatic padding. Raises LoweringError."""
    n = len(kernel)
    steps, spread = list(strides or [1] * n), list(dilations or [1] * n)
    if b.rank(x) != n + 2:
        raise b.refuse(f"a window over {n} dimensions does not fit its {b.rank(x)}-dimensional input.")
    for name, values in (("kernel_shape", kernel), ("strides", steps), ("dilations", spread)):
        if len(values) != n or min(values, default=0) < 1:
            raise b.refuse(
                f"{list(values)} does not fit {n} dimensions. The model is invalid: check the exporter.", name
            )
    whole = Window(list(kernel), steps, spread, [(0, 0)] * n)
    if auto_pad in ("", "NOTSET"):
        flat = list(pads or [0] * 2 * n)
        if len(flat) != 2 * n or min(flat, default=0) < 0:
            raise b.refuse(f"{flat} does not pad {n} dimensions.", attribute="pads")
        return Window(whole.kernel, steps, spread, list(zip(flat[:n], flat[n:])))
    if auto_pad == "VALID":
        return whole
    if auto_pad not in ("SAME_UPPER", "SAME_LOWER"):
        raise b.refuse(f"'{auto_pad}' is not one of ONNX's kinds of padding.", attribute="auto_pad")
    return _same(b, x, whole, lower=auto_pad == "SAME_LOWER")


def _same(b: Builder, x: Value, w: Window, lower: bool) -> Window:
    """As many results as strides begin in the input; an odd element of padding goes after, or before."""
    pads = []
    lengths = (x.shape or ())[2:]
    for i, length in enumerate(lengths):
        if length < 0 and w.strides[i] != 1:
            if lower:
                raise b.refuse(
                    "SAME_LOWER padding of a length that is only known at run time.",
                    attribute="auto_pad",
                    suggestion="Fix the input shapes with --inputShape.",
                )
            return Window(w.kernel, w.strides, w.dilations, w.pads, same=True)
        results = -(-length // w.strides[i]) if length >= 0 else 0
        total = w.reach(i) - 1 if length < 0 else max(0, (results - 1) * w.strides[i] + w.reach(i) - length)
        small, large = total // 2, total - total // 2
        pads.append((large, small) if lower else (small, large))
    return Window(w.kernel, w.strides, w.dilations, pads)


def to_nhwc(b: Builder, x: Value, rank: int) -> Value:
    """[N, C, W] or [N, C, H, W] as NHWC; the former with H = 1."""
    y = b.transpose(x, channels_last_perm(rank))
    return b.unsqueeze(y, [1]) if rank == 3 else y


def from_nhwc(b: Builder, y: Value, rank: int) -> Value:
    """NHWC as the rank-3 or rank-4 tensor it stands for."""
    y = b.squeeze(y, [1]) if rank == 3 else y
    return b.transpose(y, channels_first_perm(rank))
