"""Elementwise ops on SIMD: rows of bytes or floats, a vector at a time.

A row's last vector overlaps the one before it; nothing beyond a tensor is read or written. Vectors
are loaded before the one in front of them is stored, so an output may begin where its input does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from nn2wasm.ir import Node, Shape
from nn2wasm.ops.broadcast import Loop, broadcast_strides, contiguous_strides, merge_loops
from nn2wasm.ops.kernel import Kernel, always

SIMD = frozenset({"simd128"})
BYTES, FLOATS = 16, 4
"""Elements of a vector."""


def simd_kernel(
    symbol: str,
    template: str,
    dtype: str,
    fits: Callable[[Node], str] = always,
    *headers: str,
) -> Kernel:
    """A row of a kernel table for SIMD.

    Args:
        symbol: without what names the instruction set.
        template: likewise.
        dtype: of the elements.
        fits: as in `Kernel`.
        *headers: names, without folder and ending, beside simd_vectors.
    """
    return Kernel(
        symbol=f"{symbol}__simd128",
        template=f"{template}__simd128.c.j2",
        dtype=dtype,
        needs=SIMD,
        fits=fits,
        headers=tuple(f"nn2wasm/{name}.h" for name in ("simd_vectors", *headers)),
    )


def at_least(count: int) -> Callable[[Node], str]:
    """Fits inputs of that many elements."""

    def fits(node: Node) -> str:
        few = node.input(0).element_count < count
        return f"it takes {count} elements at a time, and there are fewer" if few else ""

    return fits


class PairRows(NamedTuple):
    """Two operands and a result as rows.

    Attributes:
        rows: how many.
        length: elements of a row of the result.
        steps: for each operand, elements from one row to the next.
        single: for each operand, whether one element serves the whole row.
    """

    rows: int
    length: int
    steps: tuple[int, int]
    single: tuple[bool, bool]

    @property
    def context(self) -> dict[str, Any]:
        """What templates/kernels/binary/rows.c.j2 needs beside the sizes."""
        operands = [
            {"name": name, "single": single, "advances": step > 0}
            for name, step, single in zip("ab", self.steps, self.single, strict=True)
        ]
        return {"operands": operands, "many": self.rows > 1}

    @property
    def sizes(self) -> dict[str, int]:
        return {
            "rows": self.rows,
            "count": self.length,
            "a_step": self.steps[0],
            "b_step": self.steps[1],
        }


def pair_rows(a: Shape, b: Shape, y: Shape) -> PairRows | None:
    """Operands as rows of at least a vector of bytes; None where they are not."""
    strides = [broadcast_strides(shape, y) for shape in (a, b)]
    loops = merge_loops(y, [*strides, contiguous_strides(y)])
    inner = loops[-1]
    if len(loops) > 2 or inner.size < BYTES:
        return None
    outer = loops[0] if len(loops) == 2 else Loop(1, (0, 0, 0))
    single = inner.strides[0] == 0, inner.strides[1] == 0
    return PairRows(outer.size, inner.size, (outer.strides[0], outer.strides[1]), single)


def pairs_fit(node: Node) -> str:
    """Why operands are not rows of bytes."""
    a, b = node.input(0).shape, node.input(1).shape
    if pair_rows(a, b, node.output.shape) is None:
        return "its operands do not run side by side for 16 elements"
    return ""
