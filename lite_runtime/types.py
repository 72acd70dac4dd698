"""Enumerations shared by the runtime and the converter, with MindSpore Lite's names and numbers."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

__all__ = ["DataType", "Format", "ModelType"]


class DataType(IntEnum):
    """Element type of a tensor (MindSpore's TypeId)."""

    UNKNOWN = 0
    BOOL = 30
    INT8 = 32
    INT16 = 33
    INT32 = 34
    INT64 = 35
    UINT8 = 37
    UINT16 = 38
    UINT32 = 39
    UINT64 = 40
    FLOAT16 = 42
    FLOAT32 = 43
    FLOAT64 = 44
    INVALID = 2147483647

    @property
    def numpy(self) -> np.dtype:
        """The NumPy dtype of the same elements; raises ValueError for UNKNOWN and INVALID."""
        try:
            return _TO_NUMPY[self]
        except KeyError:
            raise ValueError(f"{self.name} has no NumPy dtype") from None

    @staticmethod
    def of(dtype: object) -> DataType:
        """The DataType of a NumPy dtype (or anything np.dtype accepts); raises ValueError for others."""
        try:
            return _FROM_NUMPY[np.dtype(dtype)]  # type: ignore[call-overload]
        except KeyError:
            raise ValueError(f"dtype {dtype} has no counterpart in a .ms model") from None


_TO_NUMPY: dict[DataType, np.dtype] = {
    DataType.BOOL: np.dtype(np.bool_),
    DataType.INT8: np.dtype(np.int8),
    DataType.INT16: np.dtype(np.int16),
    DataType.INT32: np.dtype(np.int32),
    DataType.INT64: np.dtype(np.int64),
    DataType.UINT8: np.dtype(np.uint8),
    DataType.UINT16: np.dtype(np.uint16),
    DataType.UINT32: np.dtype(np.uint32),
    DataType.UINT64: np.dtype(np.uint64),
    DataType.FLOAT16: np.dtype(np.float16),
    DataType.FLOAT32: np.dtype(np.float32),
    DataType.FLOAT64: np.dtype(np.float64),
}
_FROM_NUMPY = {dtype: data_type for data_type, dtype in _TO_NUMPY.items()}


class Format(IntEnum):
    """Layout of a tensor's dimensions."""

    DEFAULT = -1
    NCHW = 0
    NHWC = 1
    NHWC4 = 2
    HWKC = 3
    HWCK = 4
    KCHW = 5
    CKHW = 6
    KHWC = 7
    CHWK = 8
    HW = 9
    HW4 = 10
    NC = 11
    NC4 = 12
    NC4HW4 = 13
    NCDHW = 15
    NWC = 16
    NCW = 17
    NDHWC = 18
    NC8HW8 = 19


class ModelType(IntEnum):
    """Kind of a model file: MINDIR is MindSpore's exchange format, MINDIR_LITE a .ms file."""

    MINDIR = 0
    MINDIR_LITE = 4
