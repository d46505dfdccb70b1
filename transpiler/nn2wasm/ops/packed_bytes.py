"""Products of one line with a matrix of bytes, for interpreters: eight weights in a 64-bit word.

The weights stay bytes, 128 above what they mean. A word times an input is eight products on top of
each other; three more products of words, in fields of 32 bits, are enough to tell them apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nn2wasm.ir import Array, Node
from nn2wasm.ops.interp_outputs import finite_scales, lane_scales, output_operands
from nn2wasm.ops.kernel import Kernel, Lowering, Rows, rows_overlap
from nn2wasm.ops.linear import linear_s8
from nn2wasm.ops.packed_fields import HEADERS, INTERP, pack_blocks
from nn2wasm.ops.tiled import weight_zero_point

WORD = 8
WIDTHS = (4 * WORD, 2 * WORD, WORD)
"""Outputs of a block."""
MOST_INPUTS = 2**31 // (255 * 128)
"""Whose sum stays in a field of 32 bits."""
MOST_WASTE = 5 / 4
"""Outputs that are computed for each that is wanted."""


def line_kernels(fits: Callable[[Node], str]) -> tuple[Kernel, ...]:
    """Rows for products with [n][k] weights: blocks of several words, and of one."""

    def row(width: int) -> Kernel:
        def refusal(node: Node) -> str:
            if reason := fits(node) or weight_zero_point(node) or finite_scales(node):
                return reason
            if node.input(0).shape[-1] > MOST_INPUTS:
                return f"more than {MOST_INPUTS} inputs"
            wanted = _width(node.output.shape[-1])
            if not wanted:
                return "blocks of its outputs would waste work"
            return "" if wanted == width else f"blocks of {wanted} suit it"

        return Kernel(
            symbol=f"nn_gemm_s8_1x{width}__interp",
            template="gemm/s8__interp.c.j2",
            dtype="s8",
            needs=INTERP,
            fits=refusal,
            headers=HEADERS,
        )

    return tuple(row(width) for width in WIDTHS)


def _width(n: int) -> int:
    """Outputs of a block, 0 where there are too few of them."""
    computed = {width: -(-n // width) * width for width in WIDTHS}
    suiting = [w for w, count in computed.items() if w <= n and count <= MOST_WASTE * n]
    return min(suiting, key=lambda width: computed[width], default=0)


def packed_line(node: Node, weights: Array, lo: float, hi: float) -> Lowering:
    """A product with [n][k] weights, a line at a time."""
    x, y = node.input(0), node.output
    n, k = weights.shape
    width = _width(n)
    linear = linear_s8(node, weights, lo, hi, fold=True)
    above = (weights.astype(np.int16) + 128).astype(np.uint8)
    sizes = {"inputs": k, "blocks": -(-n // width), "overlap": -n % width}
    rows = Rows(count=x.element_count // k, in_row_elements=k, out_row_elements=n)
    operands = output_operands(node, linear.constants["scale"], lo, hi)
    scales = lane_scales(operands, "scale", width)
    operands.context = linear.context | operands.context | _words(width, scales)
    operands.sizes |= sizes
    operands.constants = {
        "w": pack_blocks(above, width, k),
        "b": linear.constants["b"],
        **operands.constants,
    }
    lowering = operands.lowering(rows)
    return rows_overlap(rows, x.dtype.bytes, y.dtype.bytes).on(lowering, 0)


def _words(width: int, scales: list[str]) -> dict[str, Any]:
    """The words of a block, their sums and where its outputs are found in these."""
    words = [
        {
            "index": word,
            "at": word * WORD,
            "parts": [{"sum": f"{'bcd'[i]}{word}", "bits": 8 * (i + 1)} for i in range(3)],
        }
        for word in range(width // WORD)
    ]
    outputs = [
        {
            "index": index,
            "scale": scales[index],
            "sum": f"{'abcd'[index % 4]}{index // WORD}",
            "field": "nn_high_sum" if index % WORD >= WORD // 2 else "nn_low_sum",
        }
        for index in range(width)
    ]
    starts = ", ".join(f"{name}{word} = 0" for word in range(width // WORD) for name in "abcd")
    return {"width": width, "words": words, "outputs": outputs, "starts": starts}
