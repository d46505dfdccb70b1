"""Poolings on SIMD: channels are lanes, and the last vector of a pixel overlaps the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nn2wasm.ir import Node, QuantParams, Tensor
from nn2wasm.ops.tiled import ROUNDED_BY_SUM
from nn2wasm.ops.tiles import offset
from nn2wasm.ops.vectors import BYTES, FLOATS

if TYPE_CHECKING:
    from nn2wasm.ops.pool import AveragePool

LONGEST_SHORT_SUM = 256
"""Bytes whose sum has 16 bits."""
WIDE = 4
"""Vectors of floats at a time: sums of one element after the other wait for each other."""


def lanes_fit(node: Node) -> str:
    """Why channels do not fill a vector."""
    x = node.input(0)
    return _fewer(x, BYTES if x.dtype.is_byte else FLOATS)


def half_fits(node: Node) -> str:
    """Why they do not fill one or, of bytes, half of one."""
    x = node.input(0)
    return _fewer(x, BYTES // 2 if x.dtype.is_byte else FLOATS)


def _fewer(x: Tensor, lanes: int) -> str:
    return "" if x.shape[-1] >= lanes else f"it has fewer than {lanes} channels"


def window_fits(node: Node) -> str:
    """The same, where sums of a window's row have 16 bits."""
    op: AveragePool = node.op  # type: ignore[assignment]
    if op.geometry.kernel[1] > LONGEST_SHORT_SUM:
        return f"a row of its window has more than {LONGEST_SHORT_SUM} elements"
    return lanes_fit(node)


def channel_context(x: Tensor) -> dict[str, Any]:
    """Blocks of channels: their vectors, and where one begins that must not pass the end."""
    c, is_byte = x.shape[-1], x.dtype.is_byte
    lanes = BYTES if is_byte else FLOATS
    count = 1 if is_byte or c < WIDE * FLOATS else WIDE
    half = is_byte and c < BYTES
    block = count * lanes // (1 + half)
    return {
        "half": half,
        "load": "wasm_v128_load64_zero" if half else "wasm_v128_load",
        "block": block,
        "channel": "i" if c % block == 0 else f"i < {c - block} ? i : {c - block}",
        "vectors": [{"index": i, "at": offset(i * lanes)} for i in range(count)],
        "largest": "wasm_i8x16_max" if is_byte else "wasm_f32x4_pmax",
        "lowest": "wasm_i8x16_const_splat(-128)" if is_byte else "wasm_f32x4_splat(-NN_INFINITY)",
    }


def bytes_context(kernel: tuple[int, int], x: QuantParams, y: QuantParams) -> dict[str, Any]:
    """Sums of bytes: in 16 bits for the whole window or a row of it, then in 32."""
    kh, kw = kernel
    largest = 255 * float(x.scale) / float(y.scale)
    zero_point = int(x.zero_point)
    return {
        "less_zero": f"({-zero_point})" if zero_point > 0 else -zero_point,
        "rows_at_once": kh if kh * kw <= LONGEST_SHORT_SUM else 1,
        "requantize": "nn_requantize4" if largest < ROUNDED_BY_SUM else "nn_requantize4_any",
        "fours": [
            {"index": i, "half": ("low", "high")[i % 2], "eight": ("low", "high")[i // 2]}
            for i in range(4)
        ],
    }
