"""Three-dimensional convolution, which the .ms format lacks: the sum, over the depth of the kernel, of
two-dimensional convolutions of the frames that this slice of the kernel meets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from converter.importers.mindir.faults import Malformed, Refusal
from converter.importers.mindir.ops.linear import channels_first_only
from converter.importers.mindir.registry import op
from converter.importers.mindir.scope import Ints, Layout, PadMode, Scope
from converter.ir.graph import Value


@op("Conv3D")
def conv3d(
    b: Scope,
    x: Value,
    weight: Value,
    *,
    kernel_size: Ints,
    stride: Ints = (1, 1, 1),
    dilation: Ints = (1, 1, 1),
    pad_mode: PadMode = "VALID",
    pad: Ints = (0, 0, 0, 0, 0, 0),
    pad_list: Ints | None = None,
    groups: int = 1,
    format: Layout = "NCDHW",
) -> Value:
    """x [N, C, D, H, W], weight [out, in / groups, kd, kh, kw]; pads are front, back, top, bottom, left, right."""
    channels_first_only(format)
    dims = _dims(x, weight)
    kernel, steps, spread = (_triple(n, v) for n, v in zip(_WINDOW, (kernel_size, stride, dilation)))
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, spread)]
    pads = _pads(dims[2:], spans, steps, pad_mode, pad if pad_list is None else pad_list)
    out = [(n + sum(p) - s) // t + 1 for n, p, s, t in zip(dims[2:], pads, spans, steps)]
    kernels = weight.data
    if kernels is None or tuple(kernels.shape[1:]) != (dims[1] // groups, *kernel) or min(out) < 1:
        raise Malformed(f"its weight {weight.shape} and kernel {kernel} do not fit its input {dims}")
    last = b.transpose(x, (0, 2, 3, 4, 1), "pre")
    if any(pads[0]):
        table = b.constant("depth_pads", [[0, 0], list(pads[0]), [0, 0], [0, 0], [0, 0]])
        last = b.add("PadFusion", last, table, tag="pad", padding_mode="CONSTANT", constant_value=0.0)
    total: Value | None = None
    for i in range(kernel[0]):
        first = i * spread[0]
        tag = f"slice{i}"
        bounds = [
            b.constant(f"{tag}_begin", [0, first, 0, 0, 0]),
            b.constant(f"{tag}_end", [dims[0], first + (out[0] - 1) * steps[0] + 1, dims[3], dims[4], dims[1]]),
            b.constant(f"{tag}_step", [1, steps[0], 1, 1, 1]),
        ]
        frames = b.add("StridedSlice", last, *bounds, tag=tag)
        flat = b.constant(f"{tag}_shape", [dims[0] * out[0], dims[3], dims[4], dims[1]])
        part = b.add(
            "Conv2DFusion",
            b.add("Reshape", frames, flat, tag=f"{tag}_flat"),
            b.constant(f"{tag}_weight", np.ascontiguousarray(kernels[:, :, i].transpose(0, 2, 3, 1)), kernels.dtype),
            tag=f"{tag}_conv",
            format="NHWC",
            kernel_size=kernel[1:],
            stride=steps[1:],
            dilation=spread[1:],
            pad_mode="PAD",
            pad_list=[*pads[1], *pads[2]],
            mode=1,
            group=groups,
            in_channel=dims[1],
            out_channel=kernels.shape[0],
        )
        total = part if total is None else b.add("AddFusion", total, part, tag=f"{tag}_sum")
    assert total is not None
    deep = b.add("Reshape", total, b.constant("shape", [dims[0], *out, kernels.shape[0]]), tag="deep")
    return b.transpose(deep, (0, 4, 1, 2, 3), "post")


@op("Conv3DTranspose")
def conv3d_transpose(b: Scope, *inputs: Value) -> Value:
    raise Refusal(
        "transposed three-dimensional convolutions are not offered.",
        suggestion="Upsample and use Conv3D, or convert with --allowCustom=on.",
    )


_WINDOW = ("kernel_size", "stride", "dilation")


def _dims(x: Value, weight: Value) -> list[int]:
    if x.shape is None or len(x.shape) != 5 or min(x.shape) < 1:
        raise Refusal(
            "a convolution over three dimensions needs to know the shape of its input.",
            suggestion="Export the model with fixed input shapes.",
        )
    if weight.data is None:
        raise Refusal("its weight is computed at run time.")
    return list(x.shape)


def _triple(name: str, values: Sequence[int]) -> list[int]:
    numbers = [int(v) for v in values]
    numbers = numbers * 3 if len(numbers) == 1 else numbers[-3:]
    if len(numbers) != 3 or min(numbers) < 1:
        raise Malformed(f"its attribute '{name}' is {list(values)}: three positive numbers are expected")
    return numbers


def _pads(
    lengths: Sequence[int], spans: Sequence[int], steps: Sequence[int], mode: str, given: Sequence[int]
) -> list[tuple[int, int]]:
    """Zeros before and after, for each dimension."""
    if mode == "VALID":
        return [(0, 0)] * 3
    if mode == "SAME":
        totals = [max(0, (-(-n // t) - 1) * t + s - n) for n, s, t in zip(lengths, spans, steps)]
        return [(total // 2, total - total // 2) for total in totals]
    pads = [int(p) for p in given]
    if len(pads) != 6 or min(pads) < 0:
        raise Malformed(f"its padding {pads} is not front, back, top, bottom, left, right")
    return list(zip(pads[::2], pads[1::2]))
