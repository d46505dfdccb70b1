"""Numpy broadcasting as loops with constant strides, and views of tensors as such loops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nn2wasm.ir import Shape


class Loop(NamedTuple):
    """One loop of a nest.

    Attributes:
        size: how often it turns.
        strides: elements by which each operand moves at each turn.
    """

    size: int
    strides: tuple[int, ...]


def contiguous_strides(shape: Shape) -> tuple[int, ...]:
    """Elements between neighbours along each axis."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def broadcast_strides(shape: Shape, result: Shape) -> tuple[int, ...]:
    """Strides of an operand in the result's loops: 0 along the axes where it repeats."""
    padded = (1,) * (len(result) - len(shape)) + shape
    own = (0,) * (len(result) - len(shape)) + contiguous_strides(shape)
    return tuple(0 if size == 1 else stride for size, stride in zip(padded, own, strict=True))


def merge_loops(shape: Shape, operands: Sequence[tuple[int, ...]]) -> list[Loop]:
    """The shortest loop nest over `shape` for operands with those strides; at least one loop.

    Neighbouring axes merge where every operand runs through them evenly.
    """
    loops: list[Loop] = []
    for axis, size in enumerate(shape):
        strides = tuple(operand[axis] for operand in operands)
        if size == 1:
            continue
        if loops and all(
            outer == inner * size for outer, inner in zip(loops[-1].strides, strides, strict=True)
        ):
            loops[-1] = Loop(loops[-1].size * size, strides)
        else:
            loops.append(Loop(size, strides))
    return loops or [Loop(1, tuple(0 for _ in operands))]


def index_expression(loops: Sequence[Loop], operand: int, offset: int = 0) -> str:
    """C expression of an operand's index in the nest, over the loop variables i0, i1, …"""
    terms = [
        f"i{depth}"
        if loop.strides[operand] == 1
        else f"i{depth} * {_number(loop.strides[operand])}"
        for depth, loop in enumerate(loops)
        if loop.strides[operand]
    ]
    text = " + ".join(terms)
    if offset or not text:
        text = f"{offset} + {text}" if text else str(offset)
    return text


def loop_context(loops: Sequence[Loop]) -> dict[str, object]:
    """What templates need to write the nest: its loops, the body's indentation, the closing
    braces'.
    """
    return {
        "loops": [
            {"var": f"i{depth}", "size": loop.size, "indent": "  " * (depth + 1)}
            for depth, loop in enumerate(loops)
        ],
        "body_indent": "  " * (len(loops) + 1),
        "closing": ["  " * (depth + 1) for depth in reversed(range(len(loops)))],
    }


def _number(value: int) -> str:
    return f"({value})" if value < 0 else str(value)
