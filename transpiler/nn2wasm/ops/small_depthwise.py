"""Depthwise convolution on SIMD for small modules: one function for all windows and images.

Eight channels at a time, pixel by pixel, rows read where they lie.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nn2wasm.ir import Array, DType, Node
from nn2wasm.ops.kernel import Kernel, Lowering, window_overlap
from nn2wasm.ops.spatial import Geometry, image_window, spatial_size
from nn2wasm.ops.tiled import INSTRUCTION_SETS, linear_operands, tiled_row
from nn2wasm.ops.tiled_windows import ANY_WINDOW

CHANNELS = 8
"""Of a block; the last overlaps the one before it."""


def small_depthwise_kernels(fits: Callable[[Node], str]) -> tuple[Kernel, ...]:
    """Rows for all instruction sets that make a difference: integers need no relaxed one."""

    def fits_blocks(node: Node) -> str:
        few = node.output.shape[-1] < CHANNELS
        return fits(node) or (f"fewer than {CHANNELS} channels" if few else "")

    return tuple(
        tiled_row(
            "depthwise",
            dtype,
            isa,
            needs,
            tiling,
            fits_blocks,
            f"depthwise/small_{dtype}__simd128.c.j2",
        )
        for dtype, isa, needs, tiling in INSTRUCTION_SETS
        if tiling.uniform and not tiling.form.guard and tiling.form.weight != "int16_t"
    )


def small_depthwise(
    node: Node, kernel: Kernel, weights: Array, geometry: Geometry, lo: float, hi: float
) -> Lowering:
    """Depthwise convolution with [c][1][kh][kw] weights, an output row at a time."""
    x, y, tiling = node.input(0), node.output, kernel.tiling
    assert tiling is not None
    c = x.shape[-1]
    flat = weights.reshape(c, -1)
    operands = linear_operands(node, flat, tiling, lo, hi, fold=False)
    for key, array in operands.constants.items():  # no block reads beyond the last channel
        operands.constants[key] = array[:c]
    operands.constants = {"w": np.ascontiguousarray(flat.T), **operands.constants}
    operands.context |= ANY_WINDOW | {"dot": tiling.form.name, "x_type": x.dtype.c_name}
    operands.sizes |= {
        "channels": c,
        "pixels": spatial_size(y.shape, True)[1],
        "width": spatial_size(x.shape, True)[1],
        "window": geometry.kernel[0],
        "taps": geometry.kernel[1],
        "stride": geometry.stride[1],
        "dilation": geometry.dilation[1],
        "pad": geometry.pad_begin[1],
    }
    fill = operands.sizes["x_zero_point"] if x.dtype is DType.S8 else 0.0
    window = image_window(geometry, x, y, fill)
    return window_overlap(window, x.dtype.bytes, y.dtype.bytes).on(operands.lowering(window), 0)
