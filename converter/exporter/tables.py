"""Writes any table of the .ms schema from plain Python values, driven by ``converter.schema``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np

from converter.errors import InvalidGraphError
from converter.schema import Field, number_type, schema

# Kernels of the runtimes read constants with vector loads straight from the file.
DATA_ALIGNMENT = 16


class TableWriter:
    """Builds one flatbuffer from the leaves to the root.

    Values are mappings from field names to: scalars, enumerator names, strings, lists of these,
    nested mappings for tables, bytes-like or NumPy arrays for byte vectors. A field that is absent, None
    or equal to its default is not written. Same calls, same bytes.
    """

    def __init__(self, expected_size: int, source: str = "") -> None:
        self._builder = flatbuffers.Builder(expected_size)
        self._source = source
        self._schema = schema()

    def table(self, name: str, values: Mapping[str, Any]) -> int:
        """Writes a table and returns its offset."""
        fields = self._schema.tables[name].fields
        present = [(fields[key], value) for key, value in values.items() if value is not None]
        offsets = {f.name: self._offset(f, value) for f, value in present if f.kind in _BY_OFFSET}
        builder = self._builder
        builder.StartObject(max((f.slot for f in fields.values()), default=-1) + 1)
        for f, value in present:
            if f.name in offsets:
                builder.PrependUOffsetTRelativeSlot(f.slot, offsets[f.name], 0)
            else:
                self._scalar_slot(f, value)
        return int(builder.EndObject())

    def primitive(self, op: str, attrs: Mapping[str, Any]) -> int:
        """Writes a Primitive: the union of all operators' tables."""
        attributes = self.table(op, attrs)
        tag, value = (self._schema.tables["Primitive"].fields[name].slot for name in ("value_type", "value"))
        self._builder.StartObject(value + 1)
        self._builder.PrependUOffsetTRelativeSlot(value, attributes, 0)
        self._builder.PrependUint8Slot(tag, self._schema.primitives[op], 0)
        return int(self._builder.EndObject())

    def finish(self, root: int, identifier: bytes) -> memoryview:
        """The finished bytes, read-only and not copied: weights may fill half of the memory. Ends the writer."""
        builder = self._builder
        builder.Finish(root, identifier)
        data: bytearray = builder.Bytes
        del data[: builder.Head()]
        return memoryview(data).toreadonly()

    def _scalar_slot(self, f: Field, value: Any) -> None:
        number, default = _number(f, value), _number(f, f.default)
        if number == default:
            return
        self._builder.PrependSlot(number_type(f.kind), f.slot, number, default)

    def _offset(self, f: Field, value: Any) -> int:
        if isinstance(value, Offset):
            return value.at
        if f.kind == "string":
            return int(self._builder.CreateString(value))
        if f.kind == "table":
            return self.table(f.table, _as_mapping(f, value))
        if f.element == "string":
            return self._offsets([int(self._builder.CreateString(item)) for item in value])
        if f.element == "table":
            return self._offsets(
                [item.at if isinstance(item, Offset) else self.table(f.table, _as_mapping(f, item)) for item in value]
            )
        if f.element == "ubyte":
            return self._bytes(value)
        return self._scalars(f, value)

    def _offsets(self, offsets: Sequence[int]) -> int:
        self._builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self._builder.PrependUOffsetTRelative(offset)
        return int(self._builder.EndVector())

    def _bytes(self, value: Any) -> int:
        """A byte vector, copied once, whatever the array's strides and type."""
        array = value if isinstance(value, np.ndarray) else np.frombuffer(value, np.uint8)
        size = array.nbytes
        builder = self._builder
        builder.StartVector(1, size, DATA_ALIGNMENT)
        head = builder.Head() - size
        np.frombuffer(builder.Bytes, np.uint8, size, head).view(array.dtype).reshape(array.shape)[...] = array
        builder.head = head
        return int(builder.EndVector())

    def _scalars(self, f: Field, value: Any) -> int:
        kind = number_type(f.element)
        numbers = [_number(f, item) for item in value]
        dtype = np.dtype(kind.py_type if kind.bytewidth == 1 else kind.packer_type.format)
        try:
            array = np.array(numbers, dtype)
        except OverflowError:
            raise InvalidGraphError(
                f"{self._source}: {f.name} {list(value)[:8]} is out of range: the .ms format holds {dtype} there"
            ) from None
        return int(self._builder.CreateNumpyVector(array))


class Offset:
    """A table that has been written already."""

    __slots__ = ("at",)

    def __init__(self, at: int) -> None:
        self.at = at


_BY_OFFSET = frozenset({"string", "table", "vector"})


def _number(f: Field, value: Any) -> Any:
    return f.enum.values[value] if f.enum is not None and isinstance(value, str) else value


def _as_mapping(f: Field, value: Any) -> Mapping[str, Any]:
    """Vec2D as a list of lists, Vec as a list; other tables are mappings already."""
    return value if isinstance(value, Mapping) else {"data": value}
