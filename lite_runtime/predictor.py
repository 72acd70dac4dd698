"""The short way: ``load`` gives a callable that takes and returns NumPy arrays."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lite_runtime import _native
from lite_runtime.errors import ArgumentError, ShapeError
from lite_runtime.model import load_file, run
from lite_runtime.tensor import check_dims, layout_hint
from lite_runtime.types import DataType


class TensorSpec(NamedTuple):
    """Name, shape and dtype of an input or output. ``shape`` has -1 for dimensions that may vary, and is None when
    not even their number is known. ``dtype`` is None for an output whose type is only known when the model runs."""

    name: str
    shape: tuple[int, ...] | None
    dtype: np.dtype | None

    def __repr__(self) -> str:
        shape = "[?]" if self.shape is None else str(list(self.shape)).replace("-1", "?")
        return f"{self.name}: {self.dtype or '?'}{shape}"


class Predictor:
    """A loaded model that is called like a function. See ``load``."""

    def __init__(self, model: _native.Model, threads: int) -> None:
        self._session = _native.Session(model, threads=threads)
        self._source = model.source
        self._declared = self._session.input_shapes
        self._names = [info.name for info in self._session.inputs()]
        self._output_names = [info.name for info in self._session.outputs()]

    @property
    def inputs(self) -> list[TensorSpec]:
        """What the model takes; -1 marks dimensions that may differ from call to call."""
        infos = self._session.inputs()
        return [TensorSpec(i.name, shape, i.dtype.numpy) for i, shape in zip(infos, self._declared)]

    @property
    def outputs(self) -> list[TensorSpec]:
        """What the model gives for the shapes it was last called with."""
        infos = self._session.outputs()
        return [TensorSpec(i.name, i.shape, i.dtype.numpy if i.dtype != DataType.UNKNOWN else None) for i in infos]

    def __call__(self, *inputs: Any) -> Any:
        """Runs the model.

        Args:
            inputs: one array per input in the order of ``inputs``, or a single dict of arrays by name. Arrays must
                have the input's dtype, nothing is cast. Dimensions declared -1 may differ from call to call.

        Returns: the output array, or a list of them when there are several; for a dict, a dict of all outputs by
            name. The arrays are the caller's own.

        Raises ArgumentError for a wrong number of inputs or names, ShapeError for a wrong shape or dtype,
            ExecutionError for values the model cannot take.
        """
        if len(inputs) == 1 and isinstance(inputs[0], Mapping):
            return dict(zip(self._output_names, self._run(self._ordered(inputs[0]))))
        values = self._run(inputs)
        return values[0] if len(values) == 1 else values

    def resize(self, *shapes: Sequence[int]) -> None:
        """Declares new input shapes, one per input, for example another batch size. -1 leaves a dimension open.

        Raises ArgumentError for a wrong number of shapes and ShapeError when the model cannot take them.
        """
        self._check_count(len(shapes))
        declared = [tuple(shape) for shape in shapes]
        fixed = all(size != -1 for shape in declared for size in shape)
        for name, shape in zip(self._names, declared):
            check_dims(f"shape of '{name}'", tuple(size for size in shape if size != -1))
        with self._session.lock:
            if fixed:
                self._session.resize(declared)
            self._declared = list(declared)

    def reset(self) -> None:
        """Lets a model that remembers earlier calls (streaming TFLite models do) start anew."""
        self._session.reset_variables()

    def _run(self, inputs: Sequence[Any]) -> list[np.ndarray]:
        session = self._session
        arrays = [value if isinstance(value, np.ndarray) else np.asarray(value) for value in inputs]
        shapes = [array.shape for array in arrays]
        with session.lock:
            if shapes != session.input_shapes:
                self._adapt(arrays)
            return run(session, arrays)

    def _adapt(self, arrays: list[np.ndarray]) -> None:
        """Resizes the session to the arrays, when the declared shapes allow it."""
        self._check_count(len(arrays))
        for name, array, declared in zip(self._names, arrays, self._declared):
            if declared is not None and not _fits(array.shape, declared):
                raise ShapeError(
                    f"input '{name}' takes shape {list(declared)}, but the array given is {list(array.shape)}"
                    + (layout_hint(array.shape, declared) or ": call resize to change the model's shapes")
                )
        for index, array in enumerate(arrays):
            self._session.check_dtype(index, array)
        self._session.resize(array.shape for array in arrays)

    def _ordered(self, inputs: Mapping[str, Any]) -> list[Any]:
        unknown = [name for name in inputs if name not in self._names]
        missing = [name for name in self._names if name not in inputs]
        if unknown or missing:
            raise ArgumentError(
                f"the model takes {self._quoted()}"
                + (f"; not given: {', '.join(map(repr, missing))}" if missing else "")
                + (f"; unknown: {', '.join(map(repr, unknown))}" if unknown else "")
            )
        return [inputs[name] for name in self._names]

    def _check_count(self, given: int) -> None:
        if given != len(self._names):
            raise ArgumentError(f"the model takes {len(self._names)} input(s) ({self._quoted()}), {given} were given")

    def _quoted(self) -> str:
        return ", ".join(map(repr, self._names))

    def __repr__(self) -> str:
        inputs = ", ".join(map(repr, self.inputs))
        outputs = ", ".join(map(repr, self.outputs))
        name = os.path.basename(self._source)  # noqa: PTH119 (see load_file)
        return f"<{name}: ({inputs}) -> ({outputs})>"


def load(source: str | os.PathLike[str] | bytes | bytearray | memoryview, threads: int | None = None) -> Predictor:
    """Loads a .ms model, from a file or from its bytes, as a function of arrays.

    Args:
        source: path of the file, or its content.
        threads: how many to compute with; by default one per core the process may use.

    Threads: calls from several threads are safe and wait for each other; load once per thread, or use
    ModelParallelRunner, to compute in parallel.

    Raises ModelFileError, ModelFormatError or UnsupportedModelError.

    Example:
        >>> net = load("model.ms")
        >>> net
        <model.ms: (x: float32[1, 28, 28, 1]) -> (y: float32[1, 10])>
        >>> y = net(x)
        >>> y = net({"x": x})["y"]
    """
    if threads is not None and (not isinstance(threads, int) or isinstance(threads, bool) or threads < 1):
        raise ArgumentError(f"threads must be a positive int or None, but got {threads!r}")
    if isinstance(source, (bytes, bytearray, memoryview)):
        return Predictor(_native.Model.from_buffer(source), threads or 0)
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(f"source must be a path or bytes, but got {type(source)}.")
    return Predictor(load_file(source), threads or 0)


def _fits(shape: tuple[int, ...], declared: tuple[int, ...]) -> bool:
    return len(shape) == len(declared) and all(want in (-1, size) for size, want in zip(shape, declared))
