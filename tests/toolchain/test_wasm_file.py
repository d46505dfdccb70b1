"""Reading and writing WebAssembly binaries."""

from __future__ import annotations

import random

import pytest
import wasmtime
from tiny_models import add_one

from nn2wasm.errors import RunError
from nn2wasm.target import find_target
from nn2wasm.toolchain import build_module, module_sizes
from nn2wasm.toolchain.promises import broken_promises
from nn2wasm.toolchain.wasm_file import (
    HEADER,
    Memory,
    Reader,
    WasmFile,
    add_custom_section,
    unsigned_leb,
    with_memory_pages,
)

EMPTY = wasmtime.wat2wasm("(module)")


@pytest.fixture(scope="module")
def built() -> bytes:
    return build_module(add_one(), find_target("wasm"))


def test_writing_what_was_read_changes_nothing(built):
    assert WasmFile.parse(built).to_bytes() == built


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 65536, 2**32 - 1])
def test_numbers_round_trip(value):
    reader = Reader(unsigned_leb(value), "a number")
    assert reader.unsigned() == value
    assert reader.done


@pytest.mark.parametrize(
    ("data", "value"), [(b"\0", 0), (b"\x7f", -1), (b"\xc0\x00", 64), (b"\x80\x7f", -128)]
)
def test_signed_numbers(data, value):
    assert Reader(data, "a number").signed() == value


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff\x1f", b"\x80\x80\x80\x80\x80\x00"])
def test_numbers_beyond_32_bits_are_refused(data):
    with pytest.raises(RunError, match="number"):
        Reader(data, "here").unsigned()


def test_custom_section_is_replaced_not_repeated():
    once = add_custom_section(EMPTY, "note", b"one")
    twice = add_custom_section(once, "note", b"two")
    assert len(once) == len(twice)
    assert WasmFile.parse(twice).custom("note") == b"two"
    wasmtime.Module.validate(wasmtime.Engine(), twice)


def test_memory_pages(built):
    bigger = with_memory_pages(built, 300)
    assert WasmFile.parse(bigger).memories == (Memory(300, 300),)
    wasmtime.Module.validate(wasmtime.Engine(), bigger)
    with pytest.raises(RunError, match="exactly one memory"):
        with_memory_pages(EMPTY, 1)


def test_sizes_add_up(built):
    sizes = module_sizes(built)
    assert sizes.total == len(built)
    assert sizes.code + sizes.data + sizes.custom < sizes.total
    assert sizes.function_count == 9


def test_sizes_of_all_kinds_of_data():
    text = r'(module (memory 2 2) (data (i32.const -9) "abc") (data "passive") (data "")))'
    assert module_sizes(wasmtime.wat2wasm(text[:-1])).data == 10


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "does not begin"),
        (b"\0asn\1\0\0\0", "does not begin"),
        (b"\0asm\x0d\0\1\0", "version 1"),
        (HEADER + b"\x05", "ends early"),
        (HEADER + b"\x05\x09\0", "ends early"),
        (HEADER + b"\x0e\x00", "unknown, repeated or out of order"),
        (HEADER + b"\x05\x01\x00\x05\x01\x00", "unknown, repeated or out of order"),
        (HEADER + b"\x07\x01\x00\x05\x01\x00", "unknown, repeated or out of order"),
        (HEADER + b"\x00\x02\x01\xff", "not UTF-8"),
    ],
)
def test_damaged_modules(data, problem):
    with pytest.raises(RunError, match=problem):
        WasmFile.parse(data)


def test_damage_never_ends_in_another_error(built):
    """Cut off anywhere, or with any byte changed: a RunError or an answer, nothing else."""
    chance = random.Random(1)
    cases = [built[:length] for length in range(len(built))]
    for _ in range(2000):
        damaged = bytearray(built)
        damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        cases.append(bytes(damaged))
    for case in cases:
        try:
            broken_promises(case)
            module_sizes(case)
        except RunError:
            pass
