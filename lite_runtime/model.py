"""MindSpore Lite's Model and ModelParallelRunner on top of the engine's sessions."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

import numpy as np

from lite_runtime import _native
from lite_runtime.context import Context, check_offered
from lite_runtime.errors import ArgumentError, ModelFileError, ShapeError
from lite_runtime.tensor import Tensor, check_dims
from lite_runtime.types import ModelType


class Model:
    """A model and one session to run it.

    Threads: calls from several threads are safe and wait for each other. The tensors of ``get_inputs`` are shared
    by all callers; give each thread its own, or use ModelParallelRunner, which also computes in parallel.

    A call that fails leaves the model as it was: it can be used again.

    Example:
        >>> model = Model()
        >>> model.build_from_file("model.ms", ModelType.MINDIR_LITE)
        >>> inputs = model.get_inputs()
        >>> inputs[0].set_data_from_numpy(x)
        >>> y = model.predict(inputs)[0].get_data_to_numpy()
    """

    def __init__(self) -> None:
        self._session: _native.Session | None = None
        self._inputs: list[Tensor] = []
        self._source = ""

    def build_from_file(
        self, model_path: str, model_type: ModelType, context: Context | None = None, config_path: str = ""
    ) -> None:
        """Loads a .ms file and plans its execution.

        Args:
            model_path: the file.
            model_type: ModelType.MINDIR_LITE.
            context: how to run it; by default on all cores.
            config_path: must be empty, MindSpore Lite's runtime configuration files are not offered.

        Raises ModelFileError, ModelFormatError, UnsupportedModelError, ArgumentError or ShapeError, and TypeError
        for an argument of a wrong type.
        """
        _check_type("model_path", model_path, (str, os.PathLike))
        _check_build(model_type, config_path)
        context = _check_context(context)
        self._build(load_file(model_path), context)

    def build_from_buffer(
        self, data: bytes | bytearray | memoryview, model_type: ModelType, context: Context | None = None
    ) -> None:
        """Like ``build_from_file``, for the bytes of a .ms file."""
        _check_type("data", data, (bytes, bytearray, memoryview))
        _check_build(model_type, "")
        context = _check_context(context)
        self._build(_native.Model.from_buffer(data), context)

    def _build(self, model: _native.Model, context: Context) -> None:
        session = _session(model, context, context.cpu.thread_num)
        self._inputs = [Tensor._of(info) for info in session.inputs()]
        self._source = model.source
        self._session = session

    def get_inputs(self) -> list[Tensor]:
        """The inputs to fill in: the same tensors at every call. Empty before a model is built."""
        return list(self._inputs)

    def predict(self, inputs: list[Tensor]) -> list[Tensor]:
        """Runs the model. The outputs are new tensors at every call.

        Raises ArgumentError for a wrong number of inputs, ShapeError for a wrong shape or dtype, ExecutionError for
        values the model cannot take.
        """
        session = self._built()
        with session.lock:
            return _predict(session, inputs)

    def resize(self, inputs: list[Tensor], dims: list[list[int]]) -> None:
        """Gives every input a new shape and plans again; the tensors in ``inputs`` take the new shapes.

        On failure the old shapes stay.
        """
        session = self._built()
        _check_tensors(inputs)
        shapes = _check_dims(dims)
        if len(inputs) != len(shapes):
            raise ValueError(
                f"inputs' size does not match dims' size, but got inputs: {len(inputs)} and dims: {len(shapes)}."
            )
        _check_count(session, len(inputs))
        with session.lock:
            session.resize(shapes)
            for tensor, shape in zip((*inputs, *self._inputs), shapes * 2):
                tensor.shape = list(shape)

    def _built(self) -> _native.Session:
        if self._session is None:
            raise ArgumentError("the model is not built: call build_from_file first")
        return self._session

    def __str__(self) -> str:
        return f"model_path: {self._source}."


class ModelParallelRunner:
    """Several sessions of one model, which share its weights, for many threads at once.

    ``context.parallel.workers_num`` is the number of predictions that run at the same time (0: as many as fit the
    cores), ``context.cpu.thread_num`` the threads of each (0: the cores divided among the workers).

    Example:
        >>> runner = ModelParallelRunner()
        >>> runner.build_from_file("model.ms")
        >>> inputs = runner.get_inputs()
        >>> inputs[0].set_data_from_numpy(x)
        >>> y = runner.predict(inputs)[0].get_data_to_numpy()
    """

    def __init__(self) -> None:
        self._sessions: list[_native.Session] = []
        self._idle: list[_native.Session] = []
        self._free = threading.Semaphore(0)
        self._infos: list[_native.TensorInfo] = []
        self._source = ""

    def build_from_file(self, model_path: str, context: Context | None = None) -> None:
        """Loads a .ms file and plans its execution for every worker. Raises like ``Model.build_from_file``."""
        _check_type("model_path", model_path, (str, os.PathLike))
        context = _check_context(context)
        workers, threads = _share_cores(context.parallel.workers_num, context.cpu.thread_num)
        model = load_file(model_path)
        sessions = [_session(model, context, threads) for _ in range(workers)]
        self._source = model.source
        self._infos = sessions[0].inputs()
        self._idle = list(sessions)
        self._sessions = sessions
        self._free = threading.Semaphore(workers)

    def get_inputs(self) -> list[Tensor]:
        """New tensors to fill in, so that every thread has its own. Empty before a model is built."""
        return [Tensor._of(info) for info in self._infos]

    def predict(self, inputs: list[Tensor]) -> list[Tensor]:
        """Runs the model on a free worker, or waits for one. Safe to call from any number of threads.

        The worker takes the shapes of the given tensors. Raises like ``Model.predict``.
        """
        if not self._sessions:
            raise ArgumentError("the model is not built: call build_from_file first")
        _check_tensors(inputs)
        _check_count(self._sessions[0], len(inputs))
        free, idle = self._free, self._idle
        with free:
            session = idle.pop()
            try:
                shapes = [tensor._shape or () for tensor in inputs]
                if shapes != session.input_shapes:
                    session.resize(shapes)
                return _predict(session, inputs)
            finally:
                idle.append(session)

    def __str__(self) -> str:
        return f"model_path: {self._source}."


def load_file(path: str | os.PathLike[str]) -> _native.Model:
    """Opens a .ms file; ModelFileError also for folders and missing files, with one wording on all platforms."""
    if not os.path.isfile(path):  # noqa: PTH113 (importing pathlib takes longer than this whole package)
        kind = "is not a file" if os.path.exists(path) else "does not exist"  # noqa: PTH110
        raise ModelFileError(f"model file '{os.fspath(path)}' {kind}")
    return _native.Model.from_file(path)


def run(session: _native.Session, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Runs a session whose inputs have the shapes of the arrays; the results are new arrays.

    The caller holds the session, by its lock or otherwise.
    """
    for index, array in enumerate(arrays):
        session.set_input(index, array)
    session.run()
    return session.output_values()


def _predict(session: _native.Session, inputs: list[Tensor]) -> list[Tensor]:
    _check_tensors(inputs)
    _check_count(session, len(inputs))
    for index, (tensor, shape) in enumerate(zip(inputs, session.input_shapes)):
        if tensor._shape != shape or not tensor._fixed:
            raise ShapeError(
                f"input '{session.inputs()[index].name}' has shape {list(shape or ())}, but the tensor given has "
                f"{tensor.shape}: call resize(inputs, dims) to change the model's shapes"
            )
    values = run(session, [tensor.get_data_to_numpy() for tensor in inputs])
    return [Tensor._of(info, value) for info, value in zip(session.planned_outputs, values)]


def _session(model: _native.Model, context: Context, threads: int) -> _native.Session:
    cpu = context.cpu
    return _native.Session(
        model,
        threads=threads,
        affinity=cpu.thread_affinity_mode,
        cores=cpu.thread_affinity_core_list,
        half=cpu.precision_mode == "preferred_fp16",
    )


def _share_cores(workers: int, threads: int) -> tuple[int, int]:
    """Number of workers and threads of each, where 0 means: what the cores allow."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    if not workers:
        workers = max(1, cores // max(1, threads))
    return workers, threads or max(1, cores // workers)


def _check_type(name: str, value: object, types: tuple[type, ...]) -> None:
    if not isinstance(value, types):
        raise TypeError(f"{name} must be {types[0].__name__}, but got {type(value)}.")


def _check_context(context: Context | None) -> Context:
    if context is None:
        return Context()
    _check_type("context", context, (Context,))
    check_offered(context)
    return context


def _check_build(model_type: ModelType, config_path: str) -> None:
    _check_type("model_type", model_type, (ModelType,))
    if model_type != ModelType.MINDIR_LITE:
        raise ArgumentError(
            "model_type MINDIR is not offered: convert the model with converter_lite and load the .ms file "
            "as ModelType.MINDIR_LITE"
        )
    _check_type("config_path", config_path, (str,))
    if config_path:
        raise ArgumentError("config_path is not offered by this runtime: leave it empty")


def _check_tensors(inputs: list[Tensor]) -> None:
    _check_type("inputs", inputs, (list,))
    for index, tensor in enumerate(inputs):
        if not isinstance(tensor, Tensor):
            raise TypeError(f"inputs element must be Tensor, but got {type(tensor)} at index {index}.")


def _check_dims(dims: list[list[int]]) -> list[tuple[int, ...]]:
    _check_type("dims", dims, (list,))
    for index, dim in enumerate(dims):
        if not isinstance(dim, (list, tuple)):
            raise TypeError(f"dims element must be list, but got {type(dim)} at index {index}.")
        check_dims(f"dims[{index}]", tuple(dim))
    return [tuple(dim) for dim in dims]


def _check_count(session: _native.Session, given: int) -> None:
    if given != session.input_count:
        names = ", ".join(f"'{info.name}'" for info in session.inputs())
        raise ArgumentError(f"the model takes {session.input_count} input(s) ({names}), but {given} were given")
