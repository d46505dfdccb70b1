"""How much stack a module can need at most, found in its instructions.

Clang keeps arrays and address-taken locals on a stack in linear memory, whose pointer is global 0.
A function that uses it computes pointer - N once, in its prologue. Our modules call nothing
indirectly and do not recurse, and what the host gives them uses none of it, so the longest path
through the call graph is the answer, exactly.
On a runtime with 10 KB of memory a guessed 8 KB stack would be most of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import NamedTuple

from nn2wasm.toolchain.instructions import (
    CALL,
    CALL_INDIRECT,
    GLOBAL_GET,
    GLOBAL_SET,
    I32_ADD,
    I32_CONST,
    I32_SUB,
    LOCAL_GET,
    LOCAL_SET,
    LOCAL_TEE,
    LOOP,
    Instruction,
    walk,
)
from nn2wasm.toolchain.wasm_file import ExportKind, WasmFile

ALIGNMENT = 16
GET_POINTER = Instruction(GLOBAL_GET, 0)
SET_POINTER = Instruction(GLOBAL_SET, 0)
_READS_STACK_POINTER = b"\x23\x00"


class _Top(Enum):
    """What an instruction left on top of the operand stack, as far as it matters."""

    OTHER = auto()
    POINTER = auto()  # the stack pointer as it was on entry
    OFFSET = auto()  # a constant, above POINTER
    LOWERED = auto()  # POINTER - OFFSET: the frame
    CONSTANT = auto()
    RAISED = auto()  # anything + CONSTANT: the end of the frame


class _Function(NamedTuple):
    """Bytes that a function puts on the stack (None: not known) and what it calls."""

    frame_bytes: int | None
    callees: frozenset[int]


def stack_need(module: bytes) -> int | None:
    """Most bytes of stack that any export can need, a multiple of `ALIGNMENT`.

    None if there is no bound to be found: recursion, indirect calls, arrays of variable length.
    """
    wasm = WasmFile.parse(module)
    bodies = wasm.function_bodies
    if not any(_READS_STACK_POINTER in body for body in bodies):
        return 0
    imported = sum(entry.kind == ExportKind.FUNCTION for entry in wasm.imports)
    functions = [_Function(0, frozenset())] * imported + [_examine(body) for body in bodies]
    depth: dict[int, int] = {}
    for index in range(len(functions)):
        if not _measure(index, functions, depth, path=()):
            return None
    return -(-max(depth.values()) // ALIGNMENT) * ALIGNMENT


def _examine(body: bytes) -> _Function:
    instructions = list(walk(body))
    callees = frozenset(i.operand for i in instructions if i.opcode == CALL)
    indirect = any(i.opcode == CALL_INDIRECT for i in instructions)
    return _Function(None if indirect else _frame_bytes(instructions), callees)


def _frame_bytes(instructions: Sequence[Instruction]) -> int | None:
    """N of the prologue, 0 without one; None where the pointer is used in a way not known here.

    One pass over the instructions in file order, with what the last one left on the operand stack.
    """
    holders: set[int] = set()  # locals that hold the pointer as it was on entry
    frame = offset = 0
    may_lower = True
    top = _Top.OTHER
    for opcode, operand in instructions:
        before, top = top, _Top.OTHER
        reads = opcode == LOCAL_GET and operand in holders
        if opcode in (LOCAL_SET, LOCAL_TEE) and before is not _Top.OFFSET:
            (holders.add if before is _Top.POINTER else holders.discard)(operand)
            top = before if opcode == LOCAL_TEE else _Top.OTHER
        elif before is _Top.OFFSET:
            if opcode != I32_SUB:
                return None
            frame, top = max(frame, offset), _Top.LOWERED
        elif before is _Top.POINTER:
            if opcode == I32_CONST and operand >= 0:
                offset, top = operand, _Top.OFFSET
            elif (opcode, operand) != SET_POINTER:  # which would only restore it
                return None
        elif reads or (opcode, operand) == GET_POINTER:
            top = _Top.POINTER
        elif (opcode, operand) == SET_POINTER:
            # Lowered once and not in a loop, else it is an array of variable length.
            if not (before is _Top.RAISED or (before is _Top.LOWERED and may_lower)):
                return None
            may_lower = may_lower and before is _Top.RAISED
        elif opcode == I32_CONST and operand >= 0:
            top = _Top.CONSTANT
        elif opcode == I32_ADD and before is _Top.CONSTANT:
            top = _Top.RAISED
        may_lower = may_lower and opcode != LOOP
    return frame


def _measure(
    index: int, functions: Sequence[_Function], depth: dict[int, int], path: tuple[int, ...]
) -> bool:
    """Put the need of function `index` and of all below it into `depth`; False if unbounded."""
    if index in depth:
        return True
    function = functions[index]
    if index in path or function.frame_bytes is None:
        return False
    for callee in function.callees:
        if not _measure(callee, functions, depth, (*path, index)):
            return False
    deepest = max((depth[callee] for callee in function.callees), default=0)
    depth[index] = function.frame_bytes + deepest
    return True
