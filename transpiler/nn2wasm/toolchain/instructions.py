"""Walk over the instructions of a WebAssembly function.

A byte of a constant may look like an opcode, so "there is no memory.grow" needs every immediate
to be stepped over. Covers Lime1, SIMD, relaxed SIMD and bulk memory; what clang cannot emit for
our targets (references, exceptions, atomics) is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from nn2wasm.toolchain.wasm_file import Reader, malformed

LOOP = 0x03
CALL = 0x10
CALL_INDIRECT = 0x11
LOCAL_GET = 0x20
LOCAL_SET = 0x21
LOCAL_TEE = 0x22
GLOBAL_GET = 0x23
GLOBAL_SET = 0x24
MEMORY_GROW = 0x40
I32_CONST = 0x41
I32_ADD = 0x6A
I32_SUB = 0x6B


class Instruction(NamedTuple):
    """An opcode and its first immediate, 0 where it has none that matters here."""

    opcode: int
    operand: int


# What follows the opcode: u unsigned, s signed number, m memory argument, a digit: that many bytes.
_IMMEDIATES: dict[int, str] = (
    dict.fromkeys(range(0x45, 0xC5), "")
    | dict.fromkeys((0x00, 0x01, 0x05, 0x0B, 0x0F, 0x1A, 0x1B), "")
    | dict.fromkeys((0x02, 0x03, 0x04, 0x41, 0x42), "s")
    | dict.fromkeys((0x0C, 0x0D, 0x10, 0x12, *range(0x20, 0x25), 0x3F, 0x40), "u")
    | {0x11: "uu", 0x13: "uu", 0x43: "4", 0x44: "8"}
    | dict.fromkeys(range(0x28, 0x3F), "m")
)
_BULK = dict.fromkeys(range(8), "") | {8: "uu", 9: "u", 10: "uu", 11: "u"}
_SIMD = (
    dict.fromkeys((*range(12), 92, 93), "m")
    | dict.fromkeys((12, 13), "88")
    | dict.fromkeys(range(21, 35), "1")
    | dict.fromkeys(range(84, 92), "m1")
    | dict.fromkeys((*range(14, 21), *range(35, 84), *range(94, 0x114)), "")
)


def walk(body: bytes) -> Iterator[Instruction]:
    """The instructions of one function body (its locals are skipped).

    Raises:
        RunError: an unknown opcode or a body that is cut off.
    """
    reader = Reader(body, "a function")
    for _ in range(reader.unsigned()):
        reader.unsigned()
        reader.byte()
    while not reader.done:
        opcode = reader.byte()
        if opcode == 0x0E:
            for _ in range(reader.unsigned() + 1):
                reader.unsigned()
            yield Instruction(opcode, 0)
            continue
        kinds: str | None
        if opcode == 0xFC:
            kinds = _BULK.get(reader.unsigned())
        elif opcode == 0xFD:
            kinds = _SIMD.get(reader.unsigned())
        else:
            kinds = _IMMEDIATES.get(opcode)
        if kinds is None:
            raise malformed(f"unknown instruction 0x{opcode:02x}")
        yield Instruction(opcode, _step(reader, kinds))


def _step(reader: Reader, kinds: str) -> int:
    """Move over immediates; the value of the first if it is a number."""
    first = 0
    for place, kind in enumerate(kinds):
        value = 0
        if kind == "u":
            value = reader.unsigned()
        elif kind == "s":
            value = reader.signed(64)
        elif kind == "m":
            if reader.unsigned() & 0x40:
                reader.unsigned()
            reader.unsigned(64)
        else:
            reader.take(int(kind))
        if place == 0:
            first = value
    return first
