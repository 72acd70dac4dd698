"""What an ELF library says of itself, read without binutils: what it needs, its symbols, sections and pages.

Little-endian files only, which all platforms here have.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from packaging_tools.errors import PackagingError

_MACHINES = {3: "x86", 40: "arm", 62: "x86_64", 183: "aarch64"}
_PT_LOAD = 1
_SHT_DYNAMIC, _SHT_DYNSYM, _SHT_VERNEED = 6, 11, 0x6FFFFFFE
_DT_NEEDED = 1
_UNDEFINED = 0  # section index of symbols that other libraries define


class _Section(NamedTuple):
    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int


class Library:
    """A shared library or program. Raises PackagingError when the bytes are no such file.

    Attributes:
        machine: "x86_64", "aarch64", "arm" or "x86".
        page_alignment: the least alignment of its loaded segments, in bytes.
        sections: their names.
        needed: names of the libraries it needs.
        versions: the symbol versions it needs, for example "GLIBC_2.17".
        exported, imported: names of the dynamic symbols it defines and those it expects from others.
    """

    def __init__(self, data: bytes, source: str = "library") -> None:
        self._data = data
        if data[:4] != b"\x7fELF" or data[5:6] != b"\1":
            raise PackagingError(f"{source} is not a little-endian ELF file")
        self._wide = data[4] == 2
        try:
            table = self._headers()
            self.versions = frozenset(self._versions(table))
            self.needed = tuple(self._needed(table))
            symbols = list(self._symbols(table))
        except (struct.error, IndexError, ValueError):
            raise PackagingError(f"{source} is a damaged ELF file") from None
        self.exported = frozenset(name for name, section in symbols if section != _UNDEFINED)
        self.imported = frozenset(name for name, section in symbols if section == _UNDEFINED)

    @classmethod
    def of(cls, path: Path) -> Library:
        return cls(path.read_bytes(), str(path))

    def _headers(self) -> list[_Section]:
        """Reads machine, segments and names of sections; returns the sections."""
        wide = self._wide
        (machine,) = self._unpack("<H", 18)
        self.machine = _MACHINES.get(machine, f"machine {machine}")
        segments, sections = self._unpack("<QQ" if wide else "<II", 32 if wide else 28)
        segment_size, segment_count, section_size, section_count, names = self._unpack("<5H", 54 if wide else 42)
        loaded = [at for at in _places(segments, segment_size, segment_count) if self._unpack("<I", at) == (_PT_LOAD,)]
        alignments = [self._unpack("<Q" if wide else "<I", at + (48 if wide else 28))[0] for at in loaded]
        self.page_alignment = min(alignments, default=0)
        layout = "<IIQQQQII" if wide else "<8I"
        table = [_Section(*self._unpack(layout, at)) for at in _places(sections, section_size, section_count)]
        self.sections = tuple(self._text(table[names], section.name) for section in table)
        return table

    def _versions(self, table: list[_Section]) -> Iterator[str]:
        for section in _of_kind(table, _SHT_VERNEED):
            at = section.offset
            for _ in range(section.info):
                _, count, _, first, following = self._unpack("<HHIII", at)
                auxiliary = at + first
                for _ in range(count):
                    _, _, _, name, step = self._unpack("<IHHII", auxiliary)
                    yield self._text(table[section.link], name)
                    auxiliary += step
                at += following

    def _needed(self, table: list[_Section]) -> Iterator[str]:
        layout = "<qQ" if self._wide else "<iI"
        for section in _of_kind(table, _SHT_DYNAMIC):
            for at in range(section.offset, section.offset + section.size, struct.calcsize(layout)):
                tag, value = self._unpack(layout, at)
                if tag == _DT_NEEDED:
                    yield self._text(table[section.link], value)

    def _symbols(self, table: list[_Section]) -> Iterator[tuple[str, int]]:
        """(name, index of the defining section) of each dynamic symbol."""
        size, index = (24, 6) if self._wide else (16, 14)
        for section in _of_kind(table, _SHT_DYNSYM):
            for at in range(section.offset + size, section.offset + section.size, size):  # the first is empty
                (name,), (where,) = self._unpack("<I", at), self._unpack("<H", at + index)
                yield self._text(table[section.link], name), where

    def _unpack(self, layout: str, at: int) -> tuple[int, ...]:
        return struct.unpack_from(layout, self._data, at)

    def _text(self, strings: _Section, at: int) -> str:
        start = strings.offset + at
        return self._data[start : self._data.index(b"\0", start)].decode()


def _places(start: int, size: int, count: int) -> range:
    return range(start, start + size * count, size or 1)


def _of_kind(table: list[_Section], kind: int) -> Iterator[_Section]:
    return (section for section in table if section.kind == kind)
