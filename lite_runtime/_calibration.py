"""Inputs from files, and the comparison of outputs with recorded ones, as MindSpore Lite's benchmark does them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lite_runtime._native import TensorInfo
from lite_runtime.errors import ArgumentError

# Differences up to absolute + relative * |expected| count as none.
_ABSOLUTE, _RELATIVE = 1e-5, 1e-5


class Accuracy(NamedTuple):
    """How near an output is: mean relative error in percent of the elements that differ, cosine similarity, and the
    largest absolute error."""

    name: str
    mean_error: float
    cosine: float
    max_error: float


def read_inputs(files: str, infos: Sequence[TensorInfo]) -> list[np.ndarray]:
    """One file per input, separated by commas: raw elements, or a .npy array of the input's type and shape."""
    paths = files.split(",")
    if len(paths) != len(infos):
        raise ArgumentError(f"--inDataFile names {len(paths)} file(s), but the model has {len(infos)} input(s)")
    return [_read_input(path, info) for path, info in zip(paths, infos)]


def _read_input(path: str, info: TensorInfo) -> np.ndarray:
    dtype, shape = info.dtype.numpy, info.shape or ()
    try:
        array = np.load(path) if path.endswith(".npy") else np.fromfile(path, np.uint8)
    except (OSError, ValueError) as error:
        raise ArgumentError(f"--inDataFile: {path} cannot be read: {error}") from None
    if path.endswith(".npy"):
        if array.dtype != dtype or array.shape != shape:
            found = f"{array.dtype}{list(array.shape)}"
            raise ArgumentError(f"{path} is {found}, but input '{info.name}' is {dtype}{list(shape)}")
        return array
    needed = int(np.prod(shape)) * dtype.itemsize
    if array.nbytes != needed:
        raise ArgumentError(
            f"{path} has {array.nbytes} bytes, but input '{info.name}' ({dtype}{list(shape)}) needs {needed}"
        )
    return array.view(dtype).reshape(shape)


def random_inputs(infos: Sequence[TensorInfo]) -> list[np.ndarray]:
    """The same at every call: floats between 0 and 1, integers 0 or 1, which may be indices or a mask."""
    random = np.random.default_rng(0)
    arrays = []
    for info in infos:
        shape = info.shape or ()
        dtype = info.dtype.numpy
        values = random.random(shape) if dtype.kind == "f" else random.integers(0, 2, shape)
        arrays.append(np.asarray(values, dtype))
    return arrays


def read_expected(path: str) -> dict[str, np.ndarray]:
    """Recorded outputs by name: a .npz, or MindSpore Lite's text of two lines for each output, "name rank dim dim ..."
    and the elements."""
    try:
        if path.endswith(".npz"):
            with np.load(path) as arrays:
                return {name: arrays[name] for name in arrays.files}
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 (pathlib takes longer to import than this package)
            return _parse(file.read().splitlines())
    except (OSError, ValueError, IndexError) as error:
        raise ArgumentError(
            f"--benchmarkDataFile: {os.fspath(path)} cannot be read ({error}). It must be a .npz with an array for "
            'each output, or a text of two lines for each, "name rank dim dim ..." and the elements'
        ) from None


def _parse(lines: list[str]) -> dict[str, np.ndarray]:
    lines = [line for line in lines if line.strip()]
    found = {}
    for head, values in zip(lines[::2], lines[1::2]):
        name, rank, *dims = head.split()
        if len(dims) != int(rank):
            raise ValueError(f"output '{name}' is said to have {rank} dimensions, {len(dims)} follow")
        found[name] = np.array(values.split(), np.float64).reshape([int(dim) for dim in dims])
    if not found or len(lines) % 2:
        raise ValueError("the number of lines is not even, or 0")
    return found


def compare(outputs: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> list[Accuracy]:
    """Every output beside its recording. Raises ArgumentError when one is missing or of another size."""
    missing = [name for name in outputs if name not in expected]
    if missing:
        raise ArgumentError(
            f"--benchmarkDataFile lacks {', '.join(map(repr, missing))}; it has {', '.join(map(repr, expected))}"
        )
    return [_accuracy(name, value, expected[name]) for name, value in outputs.items()]


def _accuracy(name: str, value: np.ndarray, expected: np.ndarray) -> Accuracy:
    if value.size != expected.size:
        raise ArgumentError(f"output '{name}' has {value.size} elements, its recording {expected.size}")
    a, b = (array.astype(np.float64).ravel() for array in (value, expected))
    if not np.isfinite(a).all():
        return Accuracy(name, float("inf"), -1.0, float("inf"))
    error = np.abs(a - b)
    wrong = error > _ABSOLUTE + _RELATIVE * np.abs(b)
    # Beside nearly nothing, the error itself counts.
    small = np.abs(b) < np.finfo(np.float32).eps
    relative = np.where(small, error, error / np.where(small, 1.0, np.abs(b)))
    mean = 100 * float(relative[wrong].mean()) if wrong.any() else 0.0
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    cosine = float(a @ b) / lengths if lengths else float(not error.any())
    return Accuracy(name, mean, cosine, float(error.max(initial=0)))
