"""Resizing of images."""

from __future__ import annotations

from typing import Any

from converter.importers.mindir.faults import Malformed, Refusal
from converter.importers.mindir.registry import op
from converter.importers.mindir.scope import Ints, Scope
from converter.ir.graph import Value

_METHODS = {
    "ResizeBilinear": "LINEAR",
    "ResizeBilinearV2": "LINEAR",
    "ResizeNearestNeighbor": "NEAREST",
    "ResizeNearestNeighborV2": "NEAREST",
}


@op(*_METHODS)
def resize(b: Scope, x: Value, *, size: Ints, align_corners: bool = False, half_pixel_centers: bool = False) -> Value:
    """x [N, C, H, W]; ``size`` is the new height and width."""
    mode = "ALIGN_CORNERS" if align_corners else "HALF_PIXEL" if half_pixel_centers else "ASYMMETRIC"
    return _resized(b, x, size, _METHODS[b.op], mode)


@op("UpsampleBilinear2D", "UpsampleNearest2D")
def upsample(b: Scope, x: Value, *, size: Ints | None = None, scales: Any = None, align_corners: bool = False) -> Value:
    if not size:
        shape = b.result_shape()
        if shape is None or len(shape) != 4 or min(shape[2:]) < 0:
            raise Refusal(
                "the size of its result is not known.", attribute="scales", suggestion="Export with static shapes."
            )
        size = list(shape[2:])
    if b.op == "UpsampleNearest2D":
        return _resized(b, x, size, "NEAREST", "ASYMMETRIC")
    return _resized(b, x, size, "LINEAR", "ALIGN_CORNERS" if align_corners else "HALF_PIXEL")


def _resized(b: Scope, x: Value, size: Ints, method: str, mode: str) -> Value:
    if len(size) != 2 or min(size) < 1:
        raise Malformed(f"its size {size} is not a height and a width")
    y = b.add(
        "Resize",
        b.channels_last(x),
        format="NHWC",
        method=method,
        new_height=size[0],
        new_width=size[1],
        coordinate_transform_mode=mode,
        nearest_mode="ROUND_HALF_UP" if method == "NEAREST" and mode == "ALIGN_CORNERS" else None,
    )
    return b.channels_first(y, 4)


@op("DepthToSpace", "SpaceToDepth")
def rearrange(b: Scope, x: Value, *, block_size: int) -> Value:
    return b.channels_first(b.add(b.op, b.channels_last(x), block_size=block_size, format="NHWC"), 4)


@op("PixelShuffle")
def pixel_shuffle(b: Scope, x: Value, *, upscale_factor: int) -> Value:
    """[N, C r r, H, W] -> [N, C, H r, W r]; unlike DepthToSpace, the channel is the slow part of the depth."""
    shape = b.static_shape(x)
    if len(shape) != 4 or upscale_factor < 1 or shape[1] % (upscale_factor * upscale_factor):
        raise Malformed(f"upscale_factor = {upscale_factor} does not suit an input of shape {list(shape)}")
    n, depth, height, width = shape
    factor, channels = upscale_factor, depth // (upscale_factor * upscale_factor)
    parts = b.add("Reshape", x, b.constant("parts", [n, channels, factor, factor, height, width]), tag="split")
    mixed = b.add("Transpose", parts, b.constant("perm", [0, 1, 4, 2, 5, 3]), tag="mixed")
    return b.add("Reshape", mixed, b.constant("shape", [n, channels, height * factor, width * factor]))
