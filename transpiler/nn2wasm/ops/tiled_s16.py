"""Linear ops on SIMD with inputs of 16 bits and weights of 8: rows of kernel tables.

The tiles are those of `ops.tiled`; their sums have 32 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from nn2wasm.ir import DType, Node
from nn2wasm.ops.kernel import Kernel
from nn2wasm.ops.linear import Linear
from nn2wasm.ops.linear_s16 import exact_sums
from nn2wasm.ops.tiled import tiled_row, weight_zero_point
from nn2wasm.ops.tiles import FORMS, Tiling
from nn2wasm.target import SMALL

SIMD = frozenset({"simd128"})
SHORTS = Tiling(form=FORMS["nn_shorts"])
SMALL_SHORTS = replace(SHORTS, uniform=True)
SETS = (
    ("simd128", SIMD | {SMALL}, SMALL_SHORTS),
    ("simd128_shuffle", SIMD | {"slow_splat"}, replace(SHORTS, shuffles=True)),
    ("simd128", SIMD, SHORTS),
)
"""Instruction set, what it needs of the target, tiling."""


def simd_kernels_s16(kind: str, fits: Callable[[Node], str]) -> tuple[Kernel, ...]:
    """Rows of the kind "gemm", "conv" or "depthwise"; the last has vectors of channels, which need
    neither another order nor a smaller function.
    """

    def fits_all(node: Node) -> str:
        return fits(node) or short_operands(node)

    sets = SETS[-1:] if kind == "depthwise" else SETS
    return tuple(
        tiled_row(kind, "s16", isa, needs, tiling, fits_all) for isa, needs, tiling in sets
    )


def short_operands(node: Node) -> str:
    """Why products of inputs of 16 bits and weights of 8, summed in 32, do not serve."""
    x, w = node.input(0), node.input(1)
    if x.dtype is not DType.S16:
        return "its inputs have 8 bits"
    if w.dtype is not DType.S8:
        return "its weights have 16 bits"
    reason = weight_zero_point(node)
    if reason:
        return reason
    assert isinstance(node.op, Linear)
    weights = np.moveaxis(w.value, node.op.weight_axis, 0)
    sums = exact_sums(node, weights.reshape(weights.shape[0], -1), fold=True)
    return "" if sums.dtype is DType.S32 else "its sums may leave 32 bits"
