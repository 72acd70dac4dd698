"""Fourier transforms, as products with constant matrices."""

from __future__ import annotations

import numpy as np

from converter.importers.onnx.builder import Builder, MaybeValue
from converter.importers.onnx.registry import onnx_op
from converter.importers.onnx.spatial import from_nhwc, to_nhwc
from converter.ir.graph import Value

# Largest matrix that stands for a transform, in elements.
_MAX_MATRIX = 1 << 24


@onnx_op("DFT", until=19)
def dft_19(
    b: Builder, x: Value, length: MaybeValue = None, *, axis: int = 1, inverse: int = 0, onesided: int = 0
) -> Value:
    return _dft(b, x, length, axis, bool(inverse), bool(onesided))


@onnx_op("DFT", since=20)
def dft(
    b: Builder, x: Value, length: MaybeValue = None, axis: MaybeValue = None, *, inverse: int = 0, onesided: int = 0
) -> Value:
    along = -2 if axis is None else b.ints(axis, "the axis")[0]
    return _dft(b, x, length, along, bool(inverse), bool(onesided))


def _dft(b: Builder, x: Value, length: MaybeValue, axis: int, inverse: bool, onesided: bool) -> Value:
    """Elements are [real] or [real, imaginary] in the last dimension."""
    dims = b.need_dims(x, "a Fourier transform")
    rank = len(dims)
    axis = b.axis(axis, rank)
    real_result = inverse and onesided
    count = b.ints(length, "the length")[0] if length is not None else dims[axis]
    if length is None and real_result:
        count = 2 * (dims[axis] - 1)
    if axis == rank - 1 or dims[-1] not in (1, 2) or count < 1:
        raise b.refuse(f"an input of shape {list(dims)} cannot be transformed along axis {axis}.", attribute="axis")
    matrix = _matrix(dims[axis], count, dims[-1], inverse, onesided)
    if matrix.size > _MAX_MATRIX:
        raise b.refuse(f"a transform of {count} elements is too long to be a matrix.")
    order = [i for i in range(rank - 1) if i != axis] + [axis, rank - 1]
    lead = [dims[i] for i in order[:-2]]
    parts = 1 if real_result else 2
    flat = b.reshape(b.transpose(x, order), [*lead, dims[axis] * dims[-1]])
    y = b.reshape(b.op("MatMulFusion", flat, matrix), [*lead, matrix.shape[1] // parts, parts])
    return b.transpose(y, [order.index(i) for i in range(rank)])


def _matrix(given: int, count: int, parts: int, inverse: bool, onesided: bool) -> np.ndarray:
    """[given * parts, results * parts of a result]: what each number adds to each.

    Missing elements are zeros, surplus ones are cut off. A one-sided inverse gets the first half of a
    spectrum, whose other half is its mirror image.
    """
    results = count if inverse or not onesided else count // 2 + 1
    n, k = np.arange(given)[:, None], np.arange(results)[None]
    angle = (2 if inverse else -2) * np.pi * (n * k % count) / count
    wave = np.exp(1j * angle) / (count if inverse else 1)
    wave[count:] = 0
    if inverse and onesided:
        mirrored = (n > 0) & (2 * n != count)
        wave = np.where(n > count // 2, 0, np.where(mirrored, 2 * wave, wave))
        return np.stack([wave.real, -wave.imag], 1)[:, :parts].reshape(given * parts, results).astype(np.float32)
    from_real = np.stack([wave.real, wave.imag], -1)
    from_imaginary = np.stack([-wave.imag, wave.real], -1)
    both = np.stack([from_real, from_imaginary], 1)[:, :parts]
    return both.reshape(given * parts, results * 2).astype(np.float32)


@onnx_op("STFT")
def stft(
    b: Builder, signal: Value, step: Value, window: MaybeValue = None, length: MaybeValue = None, *, onesided: int = 1
) -> Value:
    """Frames of the signal times the window, transformed: a convolution with waves as kernels."""
    batch, samples, parts = b.need_dims(signal, "a Fourier transform")
    stride = b.ints(step, "the step between frames")[0]
    if length is not None:
        size = b.ints(length, "the length of a frame")[0]
    elif window is not None:
        size = b.need_dims(window, "a window")[0]
    else:
        raise b.refuse("neither a window nor the length of a frame is given. The model is invalid.")
    if window is not None and window.data is None:
        raise b.refuse("its window is computed at run time.", suggestion="Make the window a constant of the model.")
    if stride < 1 or not 1 <= size <= samples or size * size > _MAX_MATRIX:
        raise b.refuse(f"frames of {size} every {stride} elements do not fit a signal of {samples}.")
    waves = _matrix(size, size, parts, inverse=False, onesided=bool(onesided)).reshape(size, parts, -1)
    if window is not None and window.data is not None:
        waves = waves * window.data.reshape(-1, 1, 1)
    channels = waves.shape[2]
    kernel = np.ascontiguousarray(waves.transpose(2, 0, 1)[:, None]).astype(np.float32)
    y = b.op(
        "Conv2DFusion", to_nhwc(b, b.transpose(signal, [0, 2, 1]), 3), kernel,
        format="NHWC", kernel_size=[1, size], stride=[1, stride], dilation=[1, 1], pad_mode="PAD",
        pad_list=[0, 0, 0, 0], group=1, in_channel=parts, out_channel=channels, activation_type="NO_ACTIVATION",
    )  # fmt: skip
    frames = (samples - size) // stride + 1
    y = b.transpose(from_nhwc(b, y, 3), [0, 2, 1])
    return b.reshape(y, [batch, frames, channels // 2, 2])
