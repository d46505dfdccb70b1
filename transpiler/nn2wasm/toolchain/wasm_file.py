"""WebAssembly binaries: read the sections that matter to us, write custom ones.

Only the structure is read, not the instructions (see `promises` for these). Numbers are LEB128,
sections are kept as the bytes they came in, so writing back what was read is the identity.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum

from nn2wasm.errors import RunError

MAGIC = b"\0asm"
HEADER = MAGIC + b"\1\0\0\0"
PAGE_BYTES = 65536


class SectionId(IntEnum):
    CUSTOM = 0
    TYPE = 1
    IMPORT = 2
    FUNCTION = 3
    TABLE = 4
    MEMORY = 5
    GLOBAL = 6
    EXPORT = 7
    START = 8
    ELEMENT = 9
    CODE = 10
    DATA = 11
    DATA_COUNT = 12
    TAG = 13


# The order that the specification asks for; custom sections may stand anywhere.
_ORDER = (1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11)


class ExportKind(IntEnum):
    FUNCTION = 0
    TABLE = 1
    MEMORY = 2
    GLOBAL = 3
    TAG = 4


def malformed(what: str) -> RunError:
    return RunError(
        f"not a valid WebAssembly module: {what}",
        hint="the file is damaged or cut off; compile the model again",
    )


@dataclass(frozen=True, slots=True)
class Section:
    """One section; `name` only in custom sections, where `body` is what follows the name."""

    id: SectionId
    body: bytes
    name: str = ""


@dataclass(frozen=True, slots=True)
class Memory:
    """Limits of a linear memory in pages; `maximum` is None where it may grow freely."""

    minimum: int
    maximum: int | None
    page_bytes: int = PAGE_BYTES
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Import:
    module: str
    name: str
    kind: int


@dataclass(frozen=True, slots=True)
class Export:
    name: str
    kind: ExportKind
    index: int


class Reader:
    """A cursor over bytes; every overrun or overlong number is a `RunError`."""

    def __init__(self, data: bytes, what: str) -> None:
        self.data = data
        self.at = 0
        self.what = what

    @property
    def done(self) -> bool:
        return self.at >= len(self.data)

    def byte(self) -> int:
        return self.take(1)[0]

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.data):
            raise malformed(f"{self.what} ends early")
        chunk = self.data[self.at : end]
        self.at = end
        return chunk

    def unsigned(self, bits: int = 32) -> int:
        value, shift = 0, 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
            if shift >= bits:
                raise malformed(f"overlong number in {self.what}")
        if value >> bits:
            raise malformed(f"number too large in {self.what}")
        return value

    def signed(self, bits: int = 32) -> int:
        value, shift = 0, 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value - (1 << shift) if byte & 0x40 else value
            if shift >= bits:
                raise malformed(f"overlong number in {self.what}")

    def text(self) -> str:
        try:
            return self.take(self.unsigned()).decode("utf-8")
        except UnicodeDecodeError:
            raise malformed(f"a name in {self.what} is not UTF-8") from None

    def finish(self) -> None:
        if not self.done:
            raise malformed(f"{len(self.data) - self.at} stray bytes in {self.what}")


def unsigned_leb(value: int) -> bytes:
    """LEB128 in as few bytes as possible; `value` >= 0."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _text(value: str) -> bytes:
    data = value.encode("utf-8")
    return unsigned_leb(len(data)) + data


@dataclass(frozen=True, slots=True)
class WasmFile:
    """A module as its sections, in file order."""

    sections: tuple[Section, ...]

    @staticmethod
    def parse(data: bytes) -> WasmFile:
        """The sections of a module.

        Raises:
            RunError: not WebAssembly, a section out of order, cut off or given twice.
        """
        if data[:4] != MAGIC:
            raise malformed("it does not begin with \\0asm")
        if data[:8] != HEADER:
            raise malformed("only version 1 core modules are read")
        reader = Reader(data, "the module")
        reader.take(len(HEADER))
        sections: list[Section] = []
        place = -1
        while not reader.done:
            number = reader.byte()
            body = reader.take(reader.unsigned())
            if number == SectionId.CUSTOM:
                inner = Reader(body, "a custom section")
                name = inner.text()
                sections.append(Section(SectionId.CUSTOM, body[inner.at :], name))
                continue
            if number not in _ORDER or _ORDER.index(number) <= place:
                raise malformed(f"section {number} is unknown, repeated or out of order")
            place = _ORDER.index(number)
            sections.append(Section(SectionId(number), body))
        return WasmFile(tuple(sections))

    def to_bytes(self) -> bytes:
        out = bytearray(HEADER)
        for section in self.sections:
            body = section.body
            if section.id == SectionId.CUSTOM:
                body = _text(section.name) + body
            out.append(section.id)
            out += unsigned_leb(len(body))
            out += body
        return bytes(out)

    def body(self, wanted: SectionId) -> bytes | None:
        for section in self.sections:
            if section.id == wanted:
                return section.body
        return None

    def _entries(self, wanted: SectionId, what: str) -> tuple[Reader, range]:
        """A reader behind the entry count of a section, and that many numbers."""
        body = self.body(wanted)
        reader = Reader(b"\0" if body is None else body, what)
        return reader, range(reader.unsigned())

    @property
    def imports(self) -> tuple[Import, ...]:
        """Imports up to the first whose description is not a plain number; all in practice."""
        reader, entries = self._entries(SectionId.IMPORT, "the import section")
        found: list[Import] = []
        for _ in entries:
            found.append(Import(reader.text(), reader.text(), reader.byte()))
            kind = found[-1].kind
            if kind == ExportKind.FUNCTION:
                reader.unsigned()
            elif kind == ExportKind.MEMORY:
                _read_memory(reader)
            elif kind == ExportKind.GLOBAL:
                reader.take(2)
            else:  # tables and tags: any import breaks our promise, the first name is enough
                return tuple(found)
        return tuple(found)

    @property
    def exports(self) -> tuple[Export, ...]:
        reader, entries = self._entries(SectionId.EXPORT, "the export section")
        found: list[Export] = []
        for _ in entries:
            name, kind = reader.text(), reader.byte()
            if kind not in ExportKind._value2member_map_:
                raise malformed(f"export of unknown kind {kind}")
            found.append(Export(name, ExportKind(kind), reader.unsigned()))
        reader.finish()
        return tuple(found)

    @property
    def memories(self) -> tuple[Memory, ...]:
        reader, entries = self._entries(SectionId.MEMORY, "the memory section")
        found = tuple(_read_memory(reader) for _ in entries)
        reader.finish()
        return found

    @property
    def function_bodies(self) -> tuple[bytes, ...]:
        """Of each function: its locals and instructions."""
        reader, entries = self._entries(SectionId.CODE, "the code section")
        found = tuple(reader.take(reader.unsigned()) for _ in entries)
        reader.finish()
        return found

    @property
    def constant_globals(self) -> tuple[int | None, ...]:
        """Initial values of the i32 globals; None for other types."""
        reader, entries = self._entries(SectionId.GLOBAL, "the global section")
        found: list[int | None] = []
        for _ in entries:
            reader.take(2)
            if reader.byte() != 0x41:
                raise malformed("a global that is not initialised by i32.const")
            found.append(reader.signed() & 0xFFFFFFFF)
            if reader.byte() != 0x0B:
                raise malformed("a global without a constant value")
        reader.finish()
        return tuple(found)

    def exported_global(self, name: str) -> int:
        """Value of an exported i32 global such as ``__heap_base``."""
        for export in self.exports:
            if export.name == name and export.kind == ExportKind.GLOBAL:
                values = self.constant_globals
                value = values[export.index] if export.index < len(values) else None
                if value is not None:
                    return value
        raise malformed(f"no global '{name}' is exported")

    @property
    def data_bytes(self) -> int:
        """Bytes in all data segments."""
        reader, entries = self._entries(SectionId.DATA, "the data section")
        total = 0
        for _ in entries:
            flags = reader.unsigned()
            if flags > 2:
                raise malformed(f"data segment of unknown kind {flags}")
            if flags == 2:
                reader.unsigned()
            if flags != 1:
                if reader.byte() != 0x41:
                    raise malformed("a data segment without a constant address")
                reader.signed()
                if reader.byte() != 0x0B:
                    raise malformed("a data segment without a constant address")
            size = reader.unsigned()
            reader.take(size)
            total += size
        reader.finish()
        return total

    def custom(self, name: str) -> bytes | None:
        """Content of the first custom section of that name."""
        for section in self.sections:
            if section.id == SectionId.CUSTOM and section.name == name:
                return section.body
        return None

    def without(self, unwanted: SectionId) -> WasmFile:
        """Without the sections of that kind, for CUSTOM all of them."""
        return WasmFile(tuple(s for s in self.sections if s.id != unwanted))

    def with_custom(self, name: str, body: bytes) -> WasmFile:
        """With that custom section at the end, in place of an older one of the name."""
        kept = [s for s in self.sections if s.id != SectionId.CUSTOM or s.name != name]
        return WasmFile((*kept, Section(SectionId.CUSTOM, body, name)))

    def with_passive_data(self, data: bytes) -> WasmFile:
        """With a passive data segment before all others: it gets index 0, and no address."""
        body = self.body(SectionId.DATA) or b"\0"
        reader = Reader(body, "the data section")
        count = reader.unsigned() + 1
        entry = b"\1" + unsigned_leb(len(data)) + data
        added = Section(SectionId.DATA, unsigned_leb(count) + entry + body[reader.at :])
        counted = Section(SectionId.DATA_COUNT, unsigned_leb(count))
        kept = [s for s in self.sections if s.id not in (SectionId.DATA, SectionId.DATA_COUNT)]
        at = next((i for i, s in enumerate(kept) if s.id == SectionId.CODE), len(kept))
        return WasmFile((*kept[:at], counted, kept[at], added, *kept[at + 1 :]))

    def with_memory(self, memory: Memory) -> WasmFile:
        """With these limits for its only memory."""
        return WasmFile(
            tuple(
                replace(s, body=b"\1" + _memory_bytes(memory)) if s.id == SectionId.MEMORY else s
                for s in self.sections
            )
        )


def _read_memory(reader: Reader) -> Memory:
    flags = reader.byte()
    if flags & ~0x0B:
        raise malformed(f"memory of unknown kind {flags}")
    minimum = reader.unsigned()
    maximum = reader.unsigned() if flags & 1 else None
    page_bytes = 1 << reader.unsigned(5) if flags & 8 else PAGE_BYTES
    return Memory(minimum, maximum, page_bytes, bool(flags & 2))


def _memory_bytes(memory: Memory) -> bytes:
    flags = (memory.maximum is not None) | memory.shared << 1
    own_pages = memory.page_bytes != PAGE_BYTES
    out = bytes([flags | own_pages << 3]) + unsigned_leb(memory.minimum)
    if memory.maximum is not None:
        out += unsigned_leb(memory.maximum)
    if own_pages:
        out += unsigned_leb(memory.page_bytes.bit_length() - 1)
    return out


def add_custom_section(module: bytes, name: str, body: bytes) -> bytes:
    return WasmFile.parse(module).with_custom(name, body).to_bytes()


def with_memory_pages(module: bytes, pages: int) -> bytes:
    """The module with a memory of exactly that many pages, minimum = maximum."""
    wasm = WasmFile.parse(module)
    if len(wasm.memories) != 1:
        raise malformed("it does not define exactly one memory")
    return wasm.with_memory(replace(wasm.memories[0], minimum=pages, maximum=pages)).to_bytes()


def first_export(exports: Iterable[Export], name: str, kind: ExportKind) -> Export | None:
    return next((e for e in exports if e.name == name and e.kind == kind), None)
