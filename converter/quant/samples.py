"""Calibration inputs: from a .npz file or from Python, in the layout of the source model."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Union
from zipfile import BadZipFile

import numpy as np

from converter.errors import SourceFileError, UsageError
from converter.importers.layout import channels_last_perm
from converter.ir.graph import Model, Value

# A sample: an array for each input, in order or by name.
Sample = Union[Sequence[np.ndarray], Mapping[str, np.ndarray]]
Source = Union[str, "os.PathLike[str]", Iterable[Sample]]


def read(source: Source, model: Model, to_channels_last: bool) -> list[list[np.ndarray]]:
    """The samples, an array per input of ``model`` each.

    Args:
        source: samples; or a .npz with an array per input, by name or in order, which holds the samples one after
            another along its first axis: each takes as many entries of it as the input has there (1 where open).
        to_channels_last: the samples' 4-D arrays are NCHW, the model takes NHWC.

    Raises SourceFileError or UsageError.
    """
    inputs = model.main.inputs
    samples: Iterable[Sample] = _from_file(Path(source), inputs) if isinstance(source, (str, os.PathLike)) else source
    result = []
    for number, sample in enumerate(samples):
        arrays = _ordered(sample, inputs) if isinstance(sample, Mapping) else list(sample)
        if len(arrays) != len(inputs):
            raise UsageError(
                f"calibration sample {number} has {len(arrays)} arrays, the model has {len(inputs)} inputs"
            )
        result.append([_turned(np.asarray(a), v, to_channels_last, number) for a, v in zip(arrays, inputs)])
    return result


def _ordered(sample: Mapping[str, np.ndarray], inputs: Sequence[Value]) -> list[np.ndarray]:
    missing = [v.name for v in inputs if v.name not in sample]
    if missing:
        raise UsageError(f"a calibration sample lacks the input '{missing[0]}' (it has {', '.join(sample)})")
    return [sample[v.name] for v in inputs]


def _turned(x: np.ndarray, value: Value, to_channels_last: bool, number: int) -> np.ndarray:
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise UsageError(f"calibration sample {number}: NaN or infinity for the input '{value.name}'")
    if to_channels_last and x.ndim == 4:
        x = x.transpose(channels_last_perm(4))
    shape = value.shape
    if shape is not None and (x.ndim != len(shape) or any(d not in (-1, s) for d, s in zip(shape, x.shape))):
        raise UsageError(
            f"calibration sample {number}: the input '{value.name}' takes {list(shape)}, the sample is {list(x.shape)}"
        )
    return np.ascontiguousarray(x, value.dtype.numpy)


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a .npz file by name. Raises SourceFileError or UsageError."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except OSError as error:
        raise SourceFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise UsageError(f"{path}: is not a .npz file of arrays, or it is damaged") from error


def _from_file(path: Path, inputs: Sequence[Value]) -> list[list[np.ndarray]]:
    stored = arrays_of(path)
    by_name = all(v.name in stored for v in inputs)
    arrays = [stored[v.name] for v in inputs] if by_name else list(stored.values())
    if len(arrays) < len(inputs):
        names = ", ".join(f"'{v.name}'" for v in inputs)
        raise UsageError(f"{path}: holds {len(arrays)} array(s), but the model has {len(inputs)} input(s): {names}")
    columns = []
    for value, array in zip(inputs, arrays):
        first = value.shape[0] if value.shape and value.shape[0] > 0 else 1
        if array.ndim == 0 or len(array) < first:
            raise UsageError(
                f"{path}: the input '{value.name}' takes {first} entries at once, there are {array.shape[:1]}"
            )
        columns.append([array[i : i + first] for i in range(0, len(array) - first + 1, first)])
    if len({len(column) for column in columns}) != 1:
        raise UsageError(f"{path}: the inputs have different numbers of samples: {[len(c) for c in columns]}")
    return [list(sample) for sample in zip(*columns)]
