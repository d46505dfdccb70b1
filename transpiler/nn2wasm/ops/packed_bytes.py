"""Products of one line with a matrix of bytes, for interpreters: eight weights in a 64-bit word.

The weights stay bytes, 128 above what they mean. A word times an input is eight products on top of
each other; three more products of words, in fields of 32 bits, are enough to tell them apart. Each
of these words is read from a byte further on: an operation, as a shift would be, but the first word
need not be kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nn2wasm.ir import Array, Node
from nn2wasm.ops.interp_outputs import finite_scales, lane_scales, output_operands
from nn2wasm.ops.kernel import Kernel, Lowering, Rows, rows_overlap
from nn2wasm.ops.linear import linear_s8
from nn2wasm.ops.packed_fields import (
    HEADERS,
    INTERP,
    pack_blocks,
    several_zero_points,
    weight_zero_points,
)

WORD = 8
WIDTHS = (8 * WORD, 4 * WORD, 2 * WORD, WORD)
"""Outputs of a block."""
ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""Outputs in the bytes of a word: bytes n and n + 4 are outputs beside each other."""
PAIRED_WIDTH = 4 * WORD
"""Blocks as wide take two inputs a step, wider ones one."""
MOST_INPUTS = 2**31 // (255 * 128)
"""Whose sum stays in a field of 32 bits."""
MOST_WASTE = 5 / 4
"""Outputs that are computed for each that is wanted."""
OUTPUT_OPERATIONS, STEP_OPERATIONS = 2.4, 9
"""What an input costs for each output of a block, and for the block."""


def line_kernels(fits: Callable[[Node], str]) -> tuple[Kernel, ...]:
    """Rows for products with [n][k] weights: blocks of several words, and of one."""

    def row(width: int) -> Kernel:
        def refusal(node: Node) -> str:
            if reason := fits(node) or several_zero_points(node) or finite_scales(node):
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

    def operations(width: int) -> float:
        return computed[width] * (OUTPUT_OPERATIONS + STEP_OPERATIONS / width)

    return min(suiting, key=operations, default=0)


def packed_line(node: Node, weights: Array, lo: float, hi: float) -> Lowering:
    """A product with [n][k] weights, a line at a time."""
    x, y = node.input(0), node.output
    n, k = weights.shape
    width = _width(n)
    linear = linear_s8(node, weights, lo, hi, fold=True)
    zero_point = int(weight_zero_points(node)[0])
    each = 2 if width <= PAIRED_WIDTH else 1
    steps = -(-k // each)
    above = (_steps(weights, each, zero_point).astype(np.int16) + 128).astype(np.uint8)
    sizes = {
        "steps": steps,
        "w_above": 128 + zero_point,
        "blocks": -(-n // width),
        "overlap": -n % width,
    }
    if each > 1:
        sizes["apart"] = k - steps
    rows = Rows(count=x.element_count // k, in_row_elements=k, out_row_elements=n)
    operands = output_operands(node, linear.constants["scale"], lo, hi)
    scales = lane_scales(operands, "scale", 2)
    operands.context = linear.context | operands.context | _words(width, each, scales)
    operands.sizes |= sizes
    operands.constants = {
        "w": _bytes(above, width),
        "b": linear.constants["b"],
        **operands.constants,
    }
    lowering = operands.lowering(rows)
    return rows_overlap(rows, x.dtype.bytes, y.dtype.bytes).on(lowering, 0)


def _steps(weights: Array, each: int, zero_point: int) -> Array:
    """[n][k] to [n][steps · each]: weights of an input a step, or of inputs i and i + k - steps.

    The middle one of an odd number comes twice, once with weights that mean 0.
    """
    if each == 1:
        return weights
    n, k = weights.shape
    steps = -(-k // 2)
    pairs = np.stack([weights[:, :steps], weights[:, k - steps :]], 2)
    if k % 2:
        pairs[:, 0, 1] = zero_point
    return pairs.reshape(n, -1)


def _bytes(weights: Array, width: int) -> Array:
    """[n][k] to [blocks][k][width], flat, outputs in `ORDER`, and 3 bytes more that are read."""
    packed = pack_blocks(weights, width, weights.shape[1]).reshape(-1, WORD)[:, ORDER]
    return np.pad(packed.reshape(-1), (0, 3))


def _words(width: int, each: int, scales: list[str]) -> dict[str, Any]:
    """The words of a block, their products with the inputs of a step, and how sums are found."""
    count = width // WORD

    def products(first: int, factor: str) -> dict[str, Any]:
        made = []
        for word in range(count):
            at = first * width + word * WORD
            made.append({"name": f"a{word}", "factor": f"nn_word(w + {at})"})
            made += [
                {"name": f"{name}{word}", "factor": f"(nn_word(w + {at + byte}) & NN_BYTES_04)"}
                for byte, name in enumerate("bcd", 1)
            ]
        return {"name": "vu"[first], "value": factor, "products": made}

    values = ["xk[0]", "xk[apart]"][:each]
    reading = "A step takes an input."
    if each > 1:
        reading = "A step takes inputs k and k + apart; what comes twice meets weights of 0 once."
    outputs = [
        {"index": index, "scale": scales[index], "sum": name}
        for index, name in enumerate(("low", "high"))
    ]
    return {
        "width": width,
        "sums": width // 2,
        "words": [{"index": word} for word in range(count)],
        "reading": reading,
        "inputs": [products(*pair) for pair in enumerate(values)],
        "total": " + ".join(values),
        "inputs_a_step": each,
        "bytes_a_step": each * width,
        "outputs": outputs,
        "starts": ", ".join(f"{name}{word} = 0" for word in range(count) for name in "abcd"),
    }
