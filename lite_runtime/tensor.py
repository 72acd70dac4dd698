"""MindSpore Lite's Tensor: a named array that goes into or comes out of a model."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lite_runtime._native import MAX_RANK, TensorInfo
from lite_runtime.errors import ShapeError
from lite_runtime.types import DataType, Format


class Tensor:
    """A named array with its own memory.

    Data is copied in by ``set_data_from_numpy`` and never shared with the model: tensors that ``predict`` gave
    keep their values when the model runs again. A tensor may be used by one thread at a time.

    Example:
        >>> tensor = Tensor()
        >>> tensor.shape = [1, 2]
        >>> tensor.set_data_from_numpy(np.ones((1, 2), np.float32))
        >>> tensor.get_data_to_numpy()
        array([[1., 1.]], dtype=float32)
    """

    __slots__ = ("_data", "_dtype", "_format", "_name", "_shape")

    def __init__(self, tensor: Tensor | None = None) -> None:
        """A scalar float32 tensor, or a copy of another one."""
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"tensor must be Tensor, but got {type(tensor)}.")
        self._name: str = tensor._name if tensor else ""
        self._dtype: DataType = tensor._dtype if tensor else DataType.FLOAT32
        self._shape: tuple[int, ...] | None = tensor._shape if tensor else ()
        self._format: Format = tensor._format if tensor else Format.NCHW
        data = tensor._data if tensor else None
        self._data: np.ndarray | None = None if data is None else data.copy()

    @classmethod
    def _of(cls, info: TensorInfo, data: np.ndarray | None = None) -> Tensor:
        """A tensor for an input or output of a model. Takes over data."""
        tensor = cls.__new__(cls)
        tensor._name = info.name
        tensor._dtype = info.dtype if data is None else DataType.of(data.dtype)
        tensor._shape = info.shape if data is None else data.shape
        tensor._format = _FORMATS.get(info.format, Format.DEFAULT)
        tensor._data = data
        return tensor

    @property
    def name(self) -> str:
        return self._name

    @name.setter
    def name(self, value: str) -> None:
        if not isinstance(value, str):
            raise TypeError(f"name must be str, but got {type(value)}.")
        self._name = value

    @property
    def dtype(self) -> DataType:
        """Element type. Setting another one drops the data."""
        return self._dtype

    @dtype.setter
    def dtype(self, value: DataType) -> None:
        if not isinstance(value, DataType):
            raise TypeError(f"dtype must be DataType, but got {type(value)}.")
        if value != self._dtype:
            self._data = None
        self._dtype = value

    @property
    def shape(self) -> list[int]:
        """Dimensions, -1 where they are not known before ``Model.resize``. Setting another shape keeps the
        data when the number of elements stays the same, and drops it otherwise."""
        return list(self._shape or ())

    @shape.setter
    def shape(self, value: Sequence[int]) -> None:
        if not isinstance(value, (list, tuple)):
            raise TypeError(f"shape must be list, but got {type(value)}.")
        shape = tuple(value)
        check_dims("shape", shape)
        if self._data is not None:
            self._data = self._data.reshape(shape) if math.prod(shape) == self._data.size else None
        self._shape = shape

    @property
    def format(self) -> Format:
        """Layout of the dimensions; a remark that changes nothing."""
        return self._format

    @format.setter
    def format(self, value: Format) -> None:
        if not isinstance(value, Format):
            raise TypeError(f"format must be Format, but got {type(value)}.")
        self._format = value

    @property
    def element_num(self) -> int:
        """Number of elements, 0 while a dimension is not known."""
        return math.prod(self._shape) if self._fixed and self._shape is not None else 0

    @property
    def data_size(self) -> int:
        """Size of the data in bytes, 0 while a dimension is not known."""
        return self.element_num * self._dtype.numpy.itemsize

    @property
    def _fixed(self) -> bool:
        return self._shape is not None and all(size >= 0 for size in self._shape)

    def set_data_from_numpy(self, numpy_obj: np.ndarray) -> None:
        """Copies an array in.

        Its dtype must be the tensor's: nothing is cast. Its shape must be the tensor's, up to dimensions of size
        1, or flat with as many elements. Raises ShapeError otherwise.
        """
        if not isinstance(numpy_obj, np.ndarray):
            raise TypeError(f"numpy_obj must be numpy.ndarray, but got {type(numpy_obj)}.")
        if not self._fixed:
            raise ShapeError(
                f"the shape {self.shape} of tensor '{self._name}' is not known yet: call model.resize(inputs, dims)"
            )
        dtype = self._dtype.numpy
        if numpy_obj.dtype != dtype:
            raise ShapeError(
                f"tensor '{self._name}' takes {dtype}, but the array given is {numpy_obj.dtype}: "
                "convert it with .astype"
            )
        if not _same_layout(numpy_obj.shape, self._shape or ()):
            raise ShapeError(
                f"tensor '{self._name}' takes shape {self.shape}, but the array given is {list(numpy_obj.shape)}"
                f"{layout_hint(numpy_obj.shape, self._shape or ())}"
            )
        self._data = np.array(numpy_obj, order="C").reshape(self._shape or ())

    def get_data_to_numpy(self) -> np.ndarray:
        """The tensor's own array (zeros when no data was set): writing to it changes the tensor."""
        if self._data is None:
            self._data = np.zeros([max(size, 0) for size in self.shape], self._dtype.numpy)
        return self._data

    def __str__(self) -> str:
        return (
            f"name: {self.name},\ndtype: DataType.{self.dtype.name},\nshape: {self.shape},\n"
            f"format: Format.{self.format.name},\nelement_num: {self.element_num},\ndata_size: {self.data_size}."
        )

    def __repr__(self) -> str:
        return f"<Tensor {self.name}: {self.dtype.name.lower()}{self.shape}>"


_FORMATS = {int(f): f for f in Format}


def check_dims(what: str, shape: tuple[int, ...]) -> None:
    """Raises unless shape is a tuple of at most MAX_RANK ints of at least 0."""
    for size in shape:
        if not isinstance(size, (int, np.integer)) or isinstance(size, bool):
            raise TypeError(f"{what} {list(shape)} must hold int, but got {type(size)}.")
        if size < 0:
            raise ShapeError(f"{what} {list(shape)} has a negative dimension")
    if len(shape) > MAX_RANK:
        raise ShapeError(f"{what} {list(shape)} has {len(shape)} dimensions, at most {MAX_RANK} are possible")


def _same_layout(given: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    if given == wanted:
        return True
    if len(given) == 1:
        return given[0] == math.prod(wanted)
    return [s for s in given if s != 1] == [s for s in wanted if s != 1]


def layout_hint(given: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """What to say to someone who gives a channels-first array where channels-last is wanted, else ""."""
    if len(given) != 4 or len(wanted) != 4:
        return ""
    turned = tuple(given[i] for i in (0, 2, 3, 1))
    if any(want not in (-1, size) for size, want in zip(turned, wanted)):
        return ""
    return ": the model takes channels last, transpose it with .transpose(0, 2, 3, 1)"
