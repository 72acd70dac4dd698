"""The .ms schema as data, read from the reflection file that flatc makes of ``schema/*.fbs``.

Everything in the converter that depends on an operator's attributes (verifier, exporter, .ms importer)
is driven by these tables, so a new operator or attribute needs no code here.

The layout of the reflection file is FlatBuffers' own ``reflection.fbs``; slots below are its field ids.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import flatbuffers
from flatbuffers import number_types as nt
from flatbuffers.table import Table

# reflection.BaseType -> (name, flatbuffers number type)
_BASE_TYPES: dict[int, tuple[str, Any]] = {
    1: ("utype", nt.Uint8Flags),
    2: ("bool", nt.BoolFlags),
    3: ("byte", nt.Int8Flags),
    4: ("ubyte", nt.Uint8Flags),
    5: ("short", nt.Int16Flags),
    6: ("ushort", nt.Uint16Flags),
    7: ("int", nt.Int32Flags),
    8: ("uint", nt.Uint32Flags),
    9: ("long", nt.Int64Flags),
    10: ("ulong", nt.Uint64Flags),
    11: ("float", nt.Float32Flags),
    12: ("double", nt.Float64Flags),
    13: ("string", None),
    14: ("vector", None),
    15: ("table", None),
    16: ("union", None),
}


@dataclass(frozen=True)
class EnumType:
    """An enumeration: names to numbers and back."""

    name: str
    values: dict[str, int]

    @property
    def names(self) -> dict[int, str]:
        return {number: name for name, number in self.values.items()}


@dataclass(frozen=True)
class Field:
    """One field of a table.

    ``kind`` is a scalar's name ("bool", "int", "long", "float", ...), "string", "table", "union" or
    "vector"; ``element`` is the kind of a vector's elements. ``table`` names the table type of tables
    and vectors of tables, ``enum`` the enumeration of enum-typed scalars.
    """

    name: str
    slot: int
    kind: str
    default: Any
    element: str = ""
    table: str = ""
    enum: EnumType | None = None
    deprecated: bool = False


@dataclass(frozen=True)
class TableType:
    """A table: its fields by name, in slot order."""

    name: str
    fields: dict[str, Field] = field(default_factory=dict)


@dataclass(frozen=True)
class Schema:
    """All tables and enumerations; ``primitives`` maps operator names to their union number."""

    tables: dict[str, TableType]
    enums: dict[str, EnumType]
    primitives: dict[str, int]

    @property
    def primitive_names(self) -> dict[int, str]:
        return {number: name for name, number in self.primitives.items()}


@cache
def number_type(kind: str) -> Any:
    """The flatbuffers number type of a scalar kind."""
    return next(number for name, number in _BASE_TYPES.values() if name == kind)


@lru_cache(maxsize=1)
def schema() -> Schema:
    """The schema of the .ms format."""
    data = files("converter").joinpath("generated/model.bfbs").read_bytes()
    root = _Reader.root(data)
    enum_tables = root.tables(1)
    enums = [
        EnumType(_short(e.string(0)), {v.string(0): v.scalar(1, nt.Int64Flags) for v in e.tables(1)})
        for e in enum_tables
    ]
    objects = root.tables(0)
    names = [_short(o.string(0)) for o in objects]
    tables = {}
    for name, obj in zip(names, objects):
        fields = sorted((_field(f, names, enums) for f in obj.tables(1)), key=lambda f: f.slot)
        tables[name] = TableType(name, {f.name: f for f in fields})
    by_name = {e.name: e for e in enums}
    primitives = {k: v for k, v in by_name["PrimitiveType"].values.items() if v != 0}
    return Schema(tables, by_name, primitives)


def _short(qualified: str) -> str:
    return qualified.rsplit(".", 1)[-1]


def _field(f: _Reader, names: list[str], enums: list[EnumType]) -> Field:
    kind_of = f.table(1)
    base = kind_of.scalar(0, nt.Uint8Flags)
    element = kind_of.scalar(1, nt.Uint8Flags)
    index = kind_of.scalar(2, nt.Int32Flags, -1)
    kind = _BASE_TYPES[base][0]
    inner = _BASE_TYPES[element][0] if kind == "vector" else kind
    is_table = inner == "table"
    enum = enums[index] if index >= 0 and not is_table else None
    default: Any = None
    if kind in ("float", "double"):
        default = f.scalar(5, nt.Float64Flags)
    elif _BASE_TYPES[base][1] is not None:
        default = f.scalar(4, nt.Int64Flags)
        if kind == "bool":
            default = bool(default)
        elif enum is not None and kind != "utype":
            default = enum.names[default]
    return Field(
        name=f.string(0),
        slot=f.scalar(2, nt.Uint16Flags),
        kind=kind,
        default=default,
        element=inner if kind == "vector" else "",
        table=names[index] if is_table and index >= 0 else "",
        enum=enum if kind != "union" else None,
        deprecated=bool(f.scalar(6, nt.BoolFlags)),
    )


class _Reader:
    """Reads tables of a trusted flatbuffer by slot number."""

    def __init__(self, data: bytes, pos: int) -> None:
        self._table = Table(data, pos)

    @staticmethod
    def root(data: bytes) -> _Reader:
        return _Reader(data, flatbuffers.encode.Get(nt.UOffsetTFlags.packer_type, data, 0))

    def _at(self, slot: int) -> int:
        offset: int = self._table.Offset(4 + 2 * slot)
        return offset and offset + self._table.Pos

    def scalar(self, slot: int, number: Any, default: Any = 0) -> Any:
        at = self._at(slot)
        return self._table.Get(number, at) if at else default

    def string(self, slot: int) -> str:
        at = self._at(slot)
        return self._table.String(at).decode() if at else ""

    def table(self, slot: int) -> _Reader:
        return _Reader(self._table.Bytes, self._table.Indirect(self._at(slot)))

    def tables(self, slot: int) -> list[_Reader]:
        offset = self._table.Offset(4 + 2 * slot)
        if not offset:
            return []
        start = self._table.Vector(offset)
        return [
            _Reader(self._table.Bytes, self._table.Indirect(start + 4 * i))
            for i in range(self._table.VectorLen(offset))
        ]
