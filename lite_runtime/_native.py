"""The engine's C interface (``core/include/lite_runtime.h``) bound with ctypes, and thin classes over it.

Only this file and ``_profile.py``, which extends it, know about pointers. It checks what would be unsafe (dtype,
byte count, contiguity, use by two threads at once); shapes are checked by the engine and by ``model.py``.
"""

from __future__ import annotations

import ctypes
import os
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from lite_runtime.errors import (
    BY_STATUS,
    ArgumentError,
    ExecutionError,
    LiteRuntimeError,
    ModelFileError,
    OutOfMemoryError,
    ShapeError,
)
from lite_runtime.types import DataType

VERSION = "0.1.0"
MAX_RANK = 8
_LIBRARY = "liblite_runtime.so"
_LIBRARY_VARIABLE = "LITE_RUNTIME_LIBRARY"


class _Options(ctypes.Structure):
    _fields_ = (
        ("struct_size", ctypes.c_uint32),
        ("threads", ctypes.c_int32),
        ("infer_only", ctypes.c_int32),
        ("affinity_mode", ctypes.c_int32),
        ("half", ctypes.c_int32),
        ("cores", ctypes.POINTER(ctypes.c_int32)),
        ("core_count", ctypes.c_size_t),
    )


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("dtype", ctypes.c_int32),
        ("format", ctypes.c_int32),
        ("rank", ctypes.c_int32),
        ("dims", ctypes.c_int64 * MAX_RANK),
        ("data", ctypes.c_void_p),
        ("bytes", ctypes.c_size_t),
    )


class _Quantization(ctypes.Structure):
    _fields_ = (("scale", ctypes.c_double), ("zero_point", ctypes.c_int32))


class _Shape(ctypes.Structure):
    _fields_ = (("rank", ctypes.c_int32), ("dims", ctypes.c_int64 * MAX_RANK))


# The fields of _Tensor in one call, three times as fast as one by one.
_unpack_tensor = struct.Struct(f"@Piii{MAX_RANK}qPN").unpack_from
# A pointer to the first byte of a writable buffer of any size, in a quarter of the time of array.ctypes.data.
_pointer_to: Callable[[Any], Any] = (ctypes.c_char * 0).from_buffer

_NodeCallback = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.POINTER(_Tensor),
    ctypes.c_size_t,
    ctypes.c_double,
)


class _Attribute(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("data", ctypes.c_void_p), ("bytes", ctypes.c_size_t))


class _CustomCall(ctypes.Structure):
    _fields_ = (
        ("node", ctypes.c_char_p),
        ("attributes", ctypes.POINTER(_Attribute)),
        ("attribute_count", ctypes.c_size_t),
        ("inputs", ctypes.POINTER(_Tensor)),
        ("input_count", ctypes.c_size_t),
        ("outputs", ctypes.POINTER(_Tensor)),
        ("output_count", ctypes.c_size_t),
    )


_CustomFunction = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(_CustomCall))

_Handle = ctypes.c_void_p
_OutHandle = ctypes.POINTER(_Handle)
_OutTensor = ctypes.POINTER(_Tensor)
_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "lr_version": (ctypes.c_char_p, ()),
    "lr_last_error": (ctypes.c_char_p, ()),
    "lr_isa": (ctypes.c_char_p, ()),
    "lr_op_supported": (ctypes.c_int, (ctypes.c_int32,)),
    "lr_model_load_file": (ctypes.c_int, (ctypes.c_char_p, _OutHandle)),
    "lr_model_load_fd": (ctypes.c_int, (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, _OutHandle)),
    "lr_model_load_buffer": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, _OutHandle)),
    "lr_model_free": (None, (_Handle,)),
    "lr_session_create": (ctypes.c_int, (_Handle, ctypes.POINTER(_Options), _OutHandle)),
    "lr_session_free": (None, (_Handle,)),
    "lr_session_input_count": (ctypes.c_size_t, (_Handle,)),
    "lr_session_output_count": (ctypes.c_size_t, (_Handle,)),
    "lr_session_input": (ctypes.c_int, (_Handle, ctypes.c_size_t, _OutTensor)),
    "lr_session_output": (ctypes.c_int, (_Handle, ctypes.c_size_t, _OutTensor)),
    "lr_session_resize": (ctypes.c_int, (_Handle, ctypes.POINTER(_Shape), ctypes.c_size_t)),
    "lr_session_set_input": (ctypes.c_int, (_Handle, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t)),
    "lr_session_run": (ctypes.c_int, (_Handle,)),
    "lr_session_reset_variables": (ctypes.c_int, (_Handle,)),
    "lr_session_tensor_count": (ctypes.c_size_t, (_Handle,)),
    "lr_session_tensor": (ctypes.c_int, (_Handle, ctypes.c_size_t, _OutTensor)),
    "lr_session_input_index": (ctypes.c_int, (_Handle, ctypes.c_size_t, ctypes.POINTER(ctypes.c_size_t))),
    "lr_session_output_index": (ctypes.c_int, (_Handle, ctypes.c_size_t, ctypes.POINTER(ctypes.c_size_t))),
    "lr_session_quantization_count": (ctypes.c_size_t, (_Handle, ctypes.c_size_t)),
    "lr_session_quantization": (
        ctypes.c_int,
        (_Handle, ctypes.c_size_t, ctypes.c_size_t, ctypes.POINTER(_Quantization)),
    ),
    "lr_offers_half": (ctypes.c_int, ()),
    "lr_session_uses_half": (ctypes.c_int, (_Handle,)),
    "lr_session_run_observed": (ctypes.c_int, (_Handle, _NodeCallback, ctypes.c_void_p)),
    "lr_register_custom": (ctypes.c_int, (ctypes.c_char_p, _CustomFunction, _CustomFunction, ctypes.c_void_p)),
    "lr_custom_fail": (None, (ctypes.c_char_p,)),
}
# They return at once and never call back into Python.
_GETTERS = frozenset({"lr_last_error", "lr_session_input", "lr_session_output", "lr_session_tensor"})


def _open() -> ctypes.CDLL:
    """The engine: the file LITE_RUNTIME_LIBRARY names, else the one beside this module."""
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), _LIBRARY)  # noqa: PTH100, PTH118, PTH120
    path = os.environ.get(_LIBRARY_VARIABLE) or beside
    try:
        library = ctypes.CDLL(path)
        getters = ctypes.PyDLL(path)
    except OSError as error:
        raise ImportError(
            f"cannot load the engine {path}: {error}. Install lite-runtime for this platform (pip install .), "
            f"or let {_LIBRARY_VARIABLE} name the library."
        ) from None
    for name, (result, arguments) in _SIGNATURES.items():
        try:
            # A call through CDLL lets other Python threads run meanwhile, which costs more than a getter itself.
            function = getattr(getters if name in _GETTERS else library, name)
        except AttributeError:
            raise ImportError(f"{path} is not the engine of lite_runtime {VERSION}: it has no {name}") from None
        function.restype = result
        function.argtypes = arguments
        setattr(library, name, function)
    found = library.lr_version().decode()
    if found != VERSION:
        raise ImportError(f"{path} is version {found}, but lite_runtime is {VERSION}: install both from one build")
    return library


_lib = _open()
OFFERS_HALF = bool(_lib.lr_offers_half())  # whether this CPU computes in float16
_last_error = _lib.lr_last_error
_session_output = _lib.lr_session_output
_session_set_input = _lib.lr_session_set_input
_session_run = _lib.lr_session_run


def isa() -> str:
    """Name of the instruction-set tier in use: "scalar", "sse2", "avx2", "neon", ..."""
    return str(_lib.lr_isa().decode())


def op_supported(primitive: int) -> bool:
    """Whether the engine implements the primitive with this number."""
    return bool(_lib.lr_op_supported(primitive))


def _check(status: int) -> None:
    if status:
        raise _error(status)


def _error(status: int) -> LiteRuntimeError:
    message = _last_error().decode("utf-8", "replace")
    return BY_STATUS.get(status, LiteRuntimeError)(message or f"the engine failed with status {status}")


class TensorInfo(NamedTuple):
    """What is known of a tensor.

    ``shape`` is None when not even the rank is known, and has -1 for unknown dimensions.
    ``has_value`` says whether it can be read now.
    """

    name: str
    dtype: DataType
    format: int
    shape: tuple[int, ...] | None
    has_value: bool


def _info(tensor: _Tensor) -> TensorInfo:
    _, dtype, layout, rank, *dims, data, _ = _unpack_tensor(tensor)
    name = (tensor.name or b"").decode("utf-8", "replace")
    shape = tuple(dims[:rank]) if rank >= 0 else None
    return TensorInfo(name, _data_type(dtype), layout, shape, bool(data))


_DATA_TYPES = {int(data_type): data_type for data_type in DataType}
_DTYPES = {
    int(data_type): data_type.numpy for data_type in DataType if data_type not in (DataType.UNKNOWN, DataType.INVALID)
}


def _data_type(number: int) -> DataType:
    return _DATA_TYPES.get(number, DataType.UNKNOWN)


def _value(tensor: _Tensor) -> np.ndarray:
    """A copy of the tensor's value. Raises ExecutionError when it has none."""
    return _copy(_view(tensor))


def _copy(view: np.ndarray) -> np.ndarray:
    try:
        return view.copy()
    except MemoryError:
        raise OutOfMemoryError(f"no memory for a copy of {view.nbytes} bytes, of shape {view.shape}") from None


def _view(tensor: _Tensor) -> np.ndarray:
    """The tensor's value in the engine's memory, to be used before the engine's next step."""
    _, number, _, rank, *dims, data, size = _unpack_tensor(tensor)
    dtype = _DTYPES.get(number)
    if dtype is None or rank < 0 or (size and not data):
        raise ExecutionError(f"tensor '{_info(tensor).name}' has no value: run the session first")
    shape = dims[:rank]
    if not size:
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, (ctypes.c_char * size).from_address(data))


class Model:
    """A verified, immutable model. May be shared by any number of threads and sessions."""

    def __init__(self, handle: int, source: str, owner: object = None) -> None:
        self._handle: int | None = handle
        self._owner = owner  # keeps the bytes of a buffer alive
        self.source = source

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Model:
        """Maps a .ms file. Raises ModelFileError, ModelFormatError or UnsupportedModelError."""
        encoded = os.fsencode(path)
        if b"\0" in encoded:
            raise ModelFileError(f"{path!r} is not a file name: it contains a zero byte")
        handle = _Handle()
        _check(_lib.lr_model_load_file(encoded, ctypes.byref(handle)))
        assert handle.value is not None
        return cls(handle.value, os.fsdecode(path))

    @classmethod
    def from_descriptor(cls, descriptor: int, offset: int = 0, length: int = -1) -> Model:
        """Maps ``length`` bytes (-1: to the end) from ``offset`` of an open file, which may be closed afterwards.

        Raises ModelFileError, ArgumentError (a region outside the file), ModelFormatError or UnsupportedModelError.
        """
        handle = _Handle()
        _check(_lib.lr_model_load_fd(descriptor, offset, length, ctypes.byref(handle)))
        assert handle.value is not None
        return cls(handle.value, f"file descriptor {descriptor}")

    @classmethod
    def from_buffer(cls, data: bytes | bytearray | memoryview) -> Model:
        """Verifies a .ms file in memory. What cannot be written to is used in place, anything else is copied."""
        view = memoryview(data)
        data = data if isinstance(data, bytes) or (view.readonly and view.contiguous) else view.tobytes()
        start = data if isinstance(data, bytes) else np.frombuffer(data, np.uint8).ctypes.data
        handle = _Handle()
        _check(_lib.lr_model_load_buffer(start, memoryview(data).nbytes, 0, ctypes.byref(handle)))
        assert handle.value is not None
        return cls(handle.value, "<buffer>", data)

    def __del__(self, _free: Callable[[int], None] = _lib.lr_model_free) -> None:
        handle, self._handle = getattr(self, "_handle", None), None
        if handle is not None:
            _free(handle)


class Session:
    """One planned execution of a model, with its own memory.

    Calls from several threads wait for each other; use one session per thread to run in parallel.
    ``lock`` is reentrant: hold it to keep several calls together, as ``run`` and ``output_value``.
    ``input_shapes`` are the inputs' present shapes, ``planned_outputs`` what was known of the outputs before a run.

    Args:
        model: the model; sessions of one model share its weights.
        threads: 0 for as many as the process may use cores.
        infer_only: infer shapes and stop; the session cannot run.
        affinity: 0 no binding, 1 big cores first, 2 little cores first.
        cores: explicit core numbers, override ``affinity``.
        half: compute in float16 where the CPU does and the model suits (``uses_half``).
    """

    def __init__(
        self,
        model: Model,
        threads: int = 0,
        infer_only: bool = False,
        affinity: int = 0,
        cores: Sequence[int] = (),
        half: bool = False,
    ) -> None:
        self.lock = threading.RLock()
        self.model = model
        core_list = (ctypes.c_int32 * len(cores))(*cores)
        options = _Options(
            struct_size=ctypes.sizeof(_Options),
            threads=threads,
            infer_only=infer_only,
            affinity_mode=affinity,
            half=half,
            cores=ctypes.cast(core_list, ctypes.POINTER(ctypes.c_int32)),
            core_count=len(cores),
        )
        handle = _Handle()
        _check(_lib.lr_session_create(model._handle, ctypes.byref(options), ctypes.byref(handle)))
        self._handle = handle.value
        # Of each output, its description when it was last read and a view of its memory in the engine.
        self._views: dict[int, tuple[bytes, np.ndarray]] = {}
        self._tensor = _Tensor()
        self._tensor_ref = ctypes.byref(self._tensor)
        self.input_count = int(_lib.lr_session_input_count(self._handle))
        self.output_count = int(_lib.lr_session_output_count(self._handle))
        self._note_ends()

    def __del__(self, _free: Callable[[int], None] = _lib.lr_session_free) -> None:
        handle, self._handle = getattr(self, "_handle", None), None
        if handle is not None:
            _free(handle)

    def _note_ends(self) -> None:
        self._input_infos = self._infos(_lib.lr_session_input, self.input_count)
        self._input_dtypes = [_DTYPES.get(info.dtype) for info in self._input_infos]
        self.input_shapes = [info.shape for info in self._input_infos]
        self.planned_outputs = self.outputs()

    def _infos(self, getter: Callable[..., int], count: int) -> list[TensorInfo]:
        with self.lock:
            return [_info(self._read(getter, index)) for index in range(count)]

    def _read(self, getter: Callable[..., int], index: int) -> _Tensor:
        status = getter(self._handle, index, self._tensor_ref)
        if status:
            raise _error(status)
        return self._tensor

    def inputs(self) -> list[TensorInfo]:
        return list(self._input_infos)

    def outputs(self) -> list[TensorInfo]:
        """The outputs; dimensions that depend on values are unknown before ``run``."""
        return self._infos(_session_output, self.output_count)

    def resize(self, shapes: Iterable[Sequence[int]]) -> None:
        """Gives every input a new shape and plans again. On failure the old shapes stay."""
        given = [tuple(shape) for shape in shapes]
        array = (_Shape * len(given))()
        for target, shape in zip(array, given):
            if len(shape) > MAX_RANK:
                raise ShapeError(f"shape {list(shape)} has {len(shape)} dimensions, at most {MAX_RANK} are possible")
            target.rank = len(shape)
            for i, size in enumerate(shape):
                target.dims[i] = size
        with self.lock:
            _check(_lib.lr_session_resize(self._handle, array, len(given)))
            self._note_ends()

    def check_dtype(self, index: int, array: np.ndarray) -> None:
        """Raises ArgumentError when there is no such input, ShapeError when its dtype is another."""
        if not 0 <= index < self.input_count:
            raise ArgumentError(f"input {index} does not exist, the model has {self.input_count} input(s)")
        if array.dtype != self._input_dtypes[index]:
            info = self._input_infos[index]
            wanted = self._input_dtypes[index] or info.dtype.name
            raise ShapeError(
                f"input '{info.name}' takes {wanted}, but the array given is {array.dtype}: convert it with .astype"
            )

    def set_input(self, index: int, array: np.ndarray) -> None:
        """Copies the array into the input. Its dtype and size must be the input's."""
        self.check_dtype(index, array)
        if not array.flags.c_contiguous:
            array = np.ascontiguousarray(array)
        pointer = _pointer_to(array) if array.flags.writeable else array.__array_interface__["data"][0]
        with self.lock:
            status = _session_set_input(self._handle, index, pointer, array.nbytes)
            if status:
                raise _error(status)

    def run(self) -> None:
        """Computes the outputs from the inputs last set. Other threads run meanwhile."""
        with self.lock:
            status = _session_run(self._handle)
            if status:
                raise _error(status)

    def uses_half(self) -> bool:
        """Whether the next run computes in float16. No longer so when values of an earlier one were too large."""
        with self.lock:
            return bool(_lib.lr_session_uses_half(self._handle))

    def reset_variables(self) -> None:
        """Gives the variables of a model that remembers earlier runs their initial values again."""
        with self.lock:
            _check(_lib.lr_session_reset_variables(self._handle))

    def output_value(self, index: int) -> np.ndarray:
        """A copy of output ``index`` as the last ``run`` left it."""
        with self.lock:
            tensor = self._read(_session_output, index)
            description = bytes(tensor)
            known = self._views.get(index)
            if known is None or known[0] != description:
                known = self._views[index] = (description, _view(tensor))
            return _copy(known[1])

    def output_values(self) -> list[np.ndarray]:
        """``output_value`` of every output."""
        with self.lock:
            return [self.output_value(index) for index in range(self.output_count)]

    def run_observed(self, callback: Callable[[int, str, str, list[np.ndarray], float], None]) -> None:
        """Runs and calls ``callback(node index, name, op, output values, seconds)`` after each node.

        The values are copies. An exception in the callback stops the run and is raised from here.
        """
        failure: list[BaseException] = []

        def call(_: Any, index: int, name: bytes, op: bytes, outputs: Any, count: int, seconds: float) -> int:
            try:
                values = [_value(outputs[i]) for i in range(count) if outputs[i].data or not outputs[i].bytes]
                callback(index, (name or b"").decode("utf-8", "replace"), op.decode(), values, seconds)
            except BaseException as error:
                failure.append(error)
                return 1
            return 0

        with self.lock:
            status = _lib.lr_session_run_observed(self._handle, _NodeCallback(call), None)
            if failure:
                raise failure[0]
            _check(status)

    def tensor_count(self) -> int:
        return int(_lib.lr_session_tensor_count(self._handle))

    def tensors(self) -> list[TensorInfo]:
        """Every tensor of the main graph, by its index in the file."""
        return self._infos(_lib.lr_session_tensor, self.tensor_count())

    def tensor_value(self, index: int) -> np.ndarray | None:
        """A copy of the value of the tensor with this index in the file, or None when it has none."""
        with self.lock:
            tensor = self._read(_lib.lr_session_tensor, index)
            return _value(tensor) if tensor.data else None

    def input_indices(self) -> list[int]:
        """Of each input, its index among ``tensors``."""
        return self._end_indices(_lib.lr_session_input_index, self.input_count)

    def output_indices(self) -> list[int]:
        """Of each output, its index among ``tensors``."""
        return self._end_indices(_lib.lr_session_output_index, self.output_count)

    def _end_indices(self, getter: Callable[..., int], count: int) -> list[int]:
        found = ctypes.c_size_t()
        indices = []
        for end in range(count):
            _check(getter(self._handle, end, ctypes.byref(found)))
            indices.append(found.value)
        return indices

    def quantization(self, tensor: int) -> list[tuple[float, int]]:
        """(scale, zero point) of the tensor with this index in the file: none, one, or one per channel."""
        found = _Quantization()
        pairs = []
        for channel in range(_lib.lr_session_quantization_count(self._handle, tensor)):
            _check(_lib.lr_session_quantization(self._handle, tensor, channel, ctypes.byref(found)))
            pairs.append((found.scale, found.zero_point))
        return pairs

    def tensor_values(self) -> Iterator[np.ndarray | None]:
        """``tensor_value`` of every tensor."""
        return (self.tensor_value(index) for index in range(self.tensor_count()))


class CustomCall(NamedTuple):
    """One call of a custom operator: ``values`` has None for inputs whose value is not known yet."""

    node: str
    attributes: dict[str, bytes]
    inputs: list[TensorInfo]
    values: list[np.ndarray | None]
    output_count: int


def register_custom(
    name: str,
    infer: Callable[[CustomCall], Sequence[tuple[Sequence[int], DataType]]],
    compute: Callable[[CustomCall], Sequence[np.ndarray]],
) -> None:
    """Lets the engine call ``infer`` and ``compute`` for Custom nodes of this type.

    ``infer`` gives a (shape, dtype) per output, ``compute`` an array per output. What they raise becomes the
    message of the ExecutionError of the session call that led here.
    """

    def infer_outputs(call: _CustomCall) -> None:
        types = infer(_custom_call(call))
        _same_count(len(types), call.output_count)
        for index, (shape, dtype) in enumerate(types):
            output = call.outputs[index]
            output.dtype, output.rank = int(dtype), len(shape)
            for axis, dim in enumerate(shape):
                output.dims[axis] = dim

    def compute_outputs(call: _CustomCall) -> None:
        arrays = compute(_custom_call(call))
        _same_count(len(arrays), call.output_count)
        for index, array in enumerate(arrays):
            output = call.outputs[index]
            wanted = (tuple(output.dims[: output.rank]), _DTYPES[output.dtype])
            if (array.shape, array.dtype) != wanted:
                found = f"{array.dtype}{list(array.shape)}"
                raise ShapeError(f"output {index} is {found}, but {wanted[1]}{list(wanted[0])} was inferred")
            ctypes.memmove(output.data, np.ascontiguousarray(array).ctypes.data, array.nbytes)

    functions = (_guarded(infer_outputs), _guarded(compute_outputs))
    _custom_functions.append(functions)
    _check(_lib.lr_register_custom(name.encode(), *functions, None))


# The engine may call a function as long as a session lives, so none is ever freed.
_custom_functions: list[tuple[Any, Any]] = []


def _same_count(found: int, wanted: int) -> None:
    if found != wanted:
        raise ShapeError(f"{found} output(s) were given, but the node has {wanted}")


def _custom_call(call: _CustomCall) -> CustomCall:
    attributes = {
        (a.name or b"").decode("utf-8", "replace"): ctypes.string_at(a.data, a.bytes) if a.bytes else b""
        for a in call.attributes[: call.attribute_count]
    }
    inputs = call.inputs[: call.input_count]
    values = [_value(t) if t.data else None for t in inputs]
    return CustomCall((call.node or b"").decode("utf-8", "replace"), attributes, [_info(t) for t in inputs], values,
                      call.output_count)  # fmt: skip


def _guarded(body: Callable[[_CustomCall], None]) -> Any:
    def function(_: Any, call: Any) -> int:
        try:
            body(call.contents)
        except Exception as error:  # any exception of the user's code, handed to the caller of the session
            _lib.lr_custom_fail(f"{type(error).__name__}: {error}".encode())
            return 1
        return 0

    return _CustomFunction(function)
