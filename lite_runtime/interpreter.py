"""tflite_runtime's Interpreter for .ms models: scripts written for it change the import and the model file.

>>> from lite_runtime.interpreter import Interpreter
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from lite_runtime import _native
from lite_runtime._native import TensorInfo
from lite_runtime.errors import ArgumentError, ModelFormatError, ShapeError, UnsupportedModelError
from lite_runtime.model import load_file
from lite_runtime.tensor import check_dims, layout_hint
from lite_runtime.types import DataType

_TFLITE_IDENTIFIER = b"TFL3"


class Interpreter:
    """A model that is filled in, invoked and read tensor by tensor.

    A tensor is named by its index, which ``get_input_details`` and the like tell; it is the tensor's place in the
    .ms file and differs from that in the .tflite file it was converted from. Inputs and outputs have the order, the
    names, the layout and the integers' scales of the source.

    Threads: to be used by one thread at a time; make an Interpreter per thread to compute in parallel.

    Example:
        >>> interpreter = Interpreter(model_path="model.ms", num_threads=2)
        >>> interpreter.allocate_tensors()
        >>> interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
        >>> interpreter.invoke()
        >>> y = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    """

    def __init__(
        self,
        model_path: str | os.PathLike[str] | None = None,
        model_content: bytes | bytearray | memoryview | None = None,
        experimental_delegates: Sequence[object] | None = None,
        num_threads: int | None = None,
        experimental_op_resolver_type: object = None,
        experimental_preserve_all_tensors: bool = False,
    ) -> None:
        """Loads a model.

        Args:
            model_path: a .ms file; or
            model_content: the bytes of one.
            experimental_delegates: must be empty, the engine computes everything itself.
            num_threads: how many to compute with; by default one per core the process may use.
            experimental_op_resolver_type: chooses among TensorFlow Lite's kernels, means nothing here.
            experimental_preserve_all_tensors: must be False, values inside the model are not kept.

        Raises ArgumentError (a ValueError), ModelFileError, ModelFormatError or UnsupportedModelError.
        """
        if experimental_delegates:
            _refuse_delegates()
        if experimental_preserve_all_tensors:
            raise ArgumentError(
                "experimental_preserve_all_tensors is not offered: the memory of values inside the model is reused. "
                "Use lite_runtime.Model for its outputs, or convert a model that has the value as an output"
            )
        model = _load(model_path, model_content)
        self._session = _native.Session(model, threads=_threads(num_threads))
        self._inputs = self._session.input_indices()
        self._outputs = self._session.output_indices()
        # The shapes of the file: None or -1 where they are open until resize_tensor_input.
        self._signatures = dict(zip(self._inputs, self._session.input_shapes))
        self._signatures.update(zip(self._outputs, (info.shape for info in self._session.planned_outputs)))
        self._wanted = [_smallest(shape) for shape in self._session.input_shapes]
        self._values: dict[int, np.ndarray] | None = None

    def allocate_tensors(self) -> None:
        """Plans the execution for the present input shapes; needed before the first use and after a resize.

        Raises ShapeError when the model cannot take them; the shapes wanted stay, so that others can be tried.
        """
        if self._values is not None:
            return
        if self._wanted != self._session.input_shapes:
            self._session.resize(self._wanted)
        ends = zip(self._inputs + self._outputs, self._session.inputs() + self._session.planned_outputs)
        self._values = {index: _zeros(info) for index, info in ends}

    def get_input_details(self) -> list[dict[str, Any]]:
        """Of each input: name, index, shape, shape_signature (-1 for dimensions that may vary), dtype, quantization
        (scale and zero point), quantization_parameters and sparsity_parameters."""
        infos = zip(self._inputs, self._session.inputs(), self._wanted)
        return [self._details(index, info._replace(shape=shape)) for index, info, shape in infos]

    def get_output_details(self) -> list[dict[str, Any]]:
        """Of each output what ``get_input_details`` says of inputs, as of the last allocate_tensors or invoke."""
        return [self._details(index, info) for index, info in zip(self._outputs, self._session.outputs())]

    def get_tensor_details(self) -> list[dict[str, Any]]:
        """Of each tensor of the model, by index, what ``get_input_details`` says of inputs."""
        details = [self._details(index, info) for index, info in enumerate(self._session.tensors())]
        for end in (*self.get_input_details(), *self.get_output_details()):
            details[end["index"]] = end
        return details

    def _details(self, index: int, info: TensorInfo) -> dict[str, Any]:
        shape = _smallest(info.shape)
        signature = self._signatures.get(index, info.shape)
        parameters = _quantization(self._session.quantization(index), shape)
        single = len(parameters["scales"]) == 1
        return {
            "name": info.name,
            "index": index,
            "shape": np.array(shape, np.int32),
            "shape_signature": np.array(signature if signature and -1 in signature else shape, np.int32),
            "dtype": None if info.dtype == DataType.UNKNOWN else info.dtype.numpy.type,
            "quantization": (float(parameters["scales"][0]), int(parameters["zero_points"][0])) if single else (0.0, 0),
            "quantization_parameters": parameters,
            "sparsity_parameters": {},
        }

    def set_tensor(self, tensor_index: int, value: Any) -> None:
        """Copies an array into an input. Raises ShapeError (a ValueError) for another dtype or shape."""
        target = self._allocated(self._input(tensor_index, "set"))
        given = np.asarray(value)
        name = self._session.inputs()[self._inputs.index(tensor_index)].name
        if given.dtype != target.dtype:
            raise ShapeError(
                f"input '{name}' takes {target.dtype}, but the array given is {given.dtype}: convert it with .astype"
            )
        if given.shape != target.shape:
            raise ShapeError(
                f"input '{name}' takes shape {list(target.shape)}, but the array given is {list(given.shape)}"
                + (layout_hint(given.shape, target.shape) or ": call resize_tensor_input and allocate_tensors")
            )
        np.copyto(target, given)

    def get_tensor(self, tensor_index: int, subgraph_index: int = 0) -> np.ndarray:
        """A copy of an input, an output (zeros before ``invoke``) or a constant.

        Raises ArgumentError (a ValueError) for values inside the model, which are not kept.
        """
        if subgraph_index:
            raise ArgumentError(f"sub-graph {subgraph_index} cannot be read: only tensors of the main graph can")
        self._check_index(tensor_index)
        if tensor_index in self._signatures:
            return self._allocated(tensor_index).copy()
        value = self._session.tensor_value(tensor_index)
        if value is None:
            raise ArgumentError(
                f"tensor {tensor_index} is a value inside the model, which is not kept: only inputs, outputs and "
                "constants can be read"
            )
        return value

    def tensor(self, tensor_index: int) -> Callable[[], np.ndarray]:
        """A function that gives the array of an input or output itself; writing to an input's sets the input.

        The array an output had is replaced by ``invoke``: call the function again for the new one.
        """
        self._check_index(tensor_index)
        if tensor_index not in self._signatures:
            raise ArgumentError(f"tensor {tensor_index} is neither input nor output: use get_tensor")
        return lambda: self._allocated(tensor_index)

    def invoke(self) -> None:
        """Computes the outputs from the inputs.

        Raises ArgumentError when tensors are not allocated, ExecutionError for values the model cannot take; the
        outputs are those of the last successful run then.
        """
        values = [self._allocated(index) for index in self._inputs]
        with self._session.lock:
            for position, value in enumerate(values):
                self._session.set_input(position, value)
            self._session.run()
            results = self._session.output_values()
        assert self._values is not None
        self._values.update(zip(self._outputs, results))

    def resize_tensor_input(self, input_index: int, tensor_size: Sequence[int], strict: bool = False) -> None:
        """Gives an input another shape from the next ``allocate_tensors`` on; with ``strict`` only where the file
        leaves it open. Raises ArgumentError or ShapeError (both ValueErrors)."""
        position = self._inputs.index(self._input(input_index, "resized"))
        shape = tuple(int(size) for size in tensor_size)
        check_dims("tensor_size", shape)
        declared = self._signatures[input_index]
        if strict and declared is not None:
            same = len(shape) == len(declared) and all(d in (-1, size) for d, size in zip(declared, shape))
            if not same:
                raise ShapeError(f"input {input_index} has shape {list(declared)}; {list(shape)} changes more than -1")
        if shape != self._wanted[position]:
            self._wanted[position] = shape
            self._values = None

    def reset_all_variables(self) -> None:
        """Lets a model that remembers earlier runs start anew."""
        self._session.reset_variables()

    def get_signature_list(self) -> dict[str, Any]:
        """Empty: a .ms file names its inputs and outputs, but no signatures."""
        return {}

    def _input(self, index: int, what: str) -> int:
        self._check_index(index)
        if index not in self._inputs:
            raise ArgumentError(f"tensor {index} is not an input and cannot be {what}: the inputs are {self._inputs}")
        return index

    def _check_index(self, index: int) -> None:
        count = self._session.tensor_count()
        if isinstance(index, bool) or not isinstance(index, (int, np.integer)):
            raise TypeError(f"a tensor index must be int, but got {type(index)}.")
        if not 0 <= index < count:
            raise ArgumentError(f"there is no tensor {index}: the model has {count}")

    def _allocated(self, index: int) -> np.ndarray:
        if self._values is None:
            raise ArgumentError("the tensors are not allocated: call allocate_tensors() first")
        return self._values[index]


def load_delegate(library: str, options: object = None) -> NoReturn:
    """Raises ArgumentError: the engine computes everything itself, on the CPU."""
    _refuse_delegates()


def _refuse_delegates() -> NoReturn:
    raise ArgumentError("delegates are not offered: this runtime computes everything itself, on the CPU")


def _load(path: str | os.PathLike[str] | None, content: bytes | bytearray | memoryview | None) -> _native.Model:
    if (path is None) == (content is None):
        raise ArgumentError("give either model_path or model_content")
    if path is not None:
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"model_path must be str, but got {type(path)}.")
        try:
            return load_file(path)
        except (ModelFormatError, UnsupportedModelError) as error:
            with open(path, "rb") as file:  # noqa: PTH123 (see load_file)
                raise _explained(error, file.read(8), os.fspath(path)) from None
    if not isinstance(content, (bytes, bytearray, memoryview)):
        raise TypeError(f"model_content must be bytes, but got {type(content)}.")
    try:
        return _native.Model.from_buffer(content)
    except (ModelFormatError, UnsupportedModelError) as error:
        raise _explained(error, bytes(content[:8]), "model_content") from None


def _explained(
    error: ModelFormatError | UnsupportedModelError, head: bytes, source: str
) -> ModelFormatError | UnsupportedModelError:
    """The error, saying what to do when the file is one for TensorFlow Lite."""
    if head[4:8] != _TFLITE_IDENTIFIER:
        return error
    return ModelFormatError(
        f"{source} is a TensorFlow Lite model: convert it first, "
        "converter_lite --fmk=TFLITE --modelFile=model.tflite --outputFile=model"
    )


def _threads(number: int | None) -> int:
    if number is None:
        return 0
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ArgumentError(f"num_threads must be a positive int or None, but got {number!r}")
    return number


def _smallest(shape: tuple[int, ...] | None) -> tuple[int, ...]:
    """The shape with 1 for what is not known, as TensorFlow Lite shows and allocates it."""
    return tuple(1 if size == -1 else size for size in shape or ())


def _zeros(info: TensorInfo) -> np.ndarray:
    dtype = np.float32 if info.dtype == DataType.UNKNOWN else info.dtype.numpy
    return np.zeros(_smallest(info.shape), dtype)


def _quantization(pairs: Sequence[tuple[float, int]], shape: tuple[int, ...]) -> dict[str, Any]:
    """quantization_parameters; per channel along the first axis that has as many slices as there are pairs."""
    axis = shape.index(len(pairs)) if len(pairs) > 1 and len(pairs) in shape else 0
    return {
        "scales": np.array([scale for scale, _ in pairs], np.float32),
        "zero_points": np.array([zero_point for _, zero_point in pairs], np.int32),
        "quantized_dimension": axis,
    }
