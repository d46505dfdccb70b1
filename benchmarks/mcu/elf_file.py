"""What benchmarks and tests want to know of a 32-bit ELF file: section sizes, symbols."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_HEADER = struct.Struct("<16sHHIIIIIHHHHHH")
_SECTION = struct.Struct("<10I")
_SYMBOL = struct.Struct("<IIIBBH")
_SYMBOL_TABLE, _NO_BITS = 2, 8
_ALLOCATED, _EXECUTABLE, _WRITABLE = 2, 4, 1


@dataclass(frozen=True, slots=True)
class Section:
    name: str
    kind: int
    flags: int
    offset: int
    size: int
    link: int


@dataclass(frozen=True, slots=True)
class ElfFile:
    """An object or a program.

    Attributes:
        code: bytes of executable sections.
        constants: bytes of sections that are only read.
        data: bytes of sections that are written, zeros included.
        undefined: names that others must define.
        sizes: name to bytes of every function and object.
    """

    code: int
    constants: int
    data: int
    undefined: frozenset[str]
    sizes: dict[str, int]


def read_elf(content: bytes) -> ElfFile:
    """Reads what zig and gcc write for 32-bit cores."""
    magic, *_, at, _, _, _, _, _, count, names_index = _HEADER.unpack_from(content)
    assert magic[:6] == b"\x7fELF\x01\x01", "not a little-endian 32-bit ELF file"
    raw = [_SECTION.unpack_from(content, at + i * _SECTION.size) for i in range(count)]
    names = raw[names_index][4]
    sections = [
        Section(_text(content, names + name), kind, flags, offset, size, link)
        for name, kind, flags, _, offset, size, link, _, _, _ in raw
    ]

    def total(wanted: int) -> int:
        mask = _EXECUTABLE | _WRITABLE
        loaded = [s for s in sections if s.flags & _ALLOCATED and not _is_unwinding(s.name)]
        return sum(s.size for s in loaded if s.flags & mask == wanted)

    undefined, sizes = set(), {}
    for table in sections:
        if table.kind != _SYMBOL_TABLE:
            continue
        strings = sections[table.link].offset
        for place in range(table.offset, table.offset + table.size, _SYMBOL.size):
            name_at, _, size, info, _, section = _SYMBOL.unpack_from(content, place)
            name = _text(content, strings + name_at)
            if name and not section:
                undefined.add(name)
            elif name and info & 15 in (1, 2):
                sizes[name] = size
    code, constants, data = total(_EXECUTABLE), total(0), total(_WRITABLE)
    return ElfFile(code, constants, data, frozenset(undefined), sizes)


def _is_unwinding(name: str) -> bool:
    """Tables for exceptions, which C has none of."""
    return name.startswith((".ARM.ex", ".eh_frame", ".rel"))


def _text(content: bytes, at: int) -> str:
    return content[at : content.index(b"\0", at)].decode()
