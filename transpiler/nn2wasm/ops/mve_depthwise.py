"""Depthwise convolution on Helium: a window of a channel is one vector, four columns by four rows.

Rows are staged beside each other, [column][channel][4 rows]; one load gathers the four columns
under a window, one instruction multiplies and sums them. Where windows move by one row, four rows
serve two of them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from nn2wasm.ir import Array, Node
from nn2wasm.ops.kernel import Kernel, Lowering, window_overlap
from nn2wasm.ops.mve_linear import gives_bytes, mve_kernel, output_sizes, sum_constants
from nn2wasm.ops.spatial import Geometry, image_window, spatial_size
from nn2wasm.ops.tiled_windows import ANY_WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from nn2wasm.ops.conv import Conv

ROWS = COLUMNS = 4
"""Of a vector."""
COLUMN_BYTES = 64
"""Of a staged column: 16 channels of four rows."""
STAGED_BYTES = 2048
"""Of scratch that whole rows should not exceed."""


def mve_depthwise_kernels(fits: Callable[[Node], str]) -> tuple[Kernel, ...]:
    """Rows for two output rows at a time, and for any window."""

    def fits_two_rows(node: Node) -> str:
        op: Conv = node.op  # type: ignore[assignment]
        kh, kw = op.geometry.kernel
        if kh >= ROWS or kw > COLUMNS:
            return f"a window larger than {ROWS - 1}x{COLUMNS}"
        if op.geometry.stride[0] > 1 or op.geometry.dilation[0] > 1:
            return "its windows are not one row apart"
        if spatial_size(node.output.shape, True)[0] == 1:
            return "one row of outputs"
        return fits_bytes(node)

    def fits_bytes(node: Node) -> str:
        return gives_bytes(node) or fits(node)

    return (
        mve_kernel("nn_depthwise_s8_2x2", "depthwise/two_rows_s8", fits_two_rows, _lower_two_rows),
        mve_kernel("nn_depthwise_s8_1x4", "depthwise/s8", fits_bytes, _lower_rows),
    )


def _lower_two_rows(node: Node) -> Lowering:
    """Two output rows at a time; the weights of the second are those of the first, a byte on."""
    lowering = _lowering(node, call_rows=2)
    leading = np.zeros(ROWS, np.int8)
    lowering.constants["w"] = np.concatenate([leading, lowering.constants["w"]])
    return lowering


def _lower_rows(node: Node) -> Lowering:
    """One output row at a time."""
    return _lowering(node, call_rows=1)


def _lowering(node: Node, call_rows: int) -> Lowering:
    op: Conv = node.op  # type: ignore[assignment]
    x, y, geometry = node.input(0), node.output, op.geometry
    c, (oh, ow) = x.shape[-1], spatial_size(y.shape, True)
    weights = node.input(1).value.reshape(c, *geometry.kernel)
    reach = geometry.kernel[0] + call_rows - 1
    assert x.quant is not None
    zero_point = int(x.quant.zero_point)
    chunk = _chunk(geometry, ow, reach)
    counted = oh % call_rows > 0
    single = reach <= ROWS and geometry.kernel[1] <= COLUMNS
    lowering = Lowering(
        context=ANY_WINDOW
        | {
            "counted": counted,
            "count_parameter": "int count, " if counted else "",
            "single": single,
        },
        constants={"w": _interleaved(weights)} | sum_constants(node, weights.reshape(c, -1)),
        sizes={
            "channels": c,
            "pixels": ow,
            "chunk": chunk,
            "out_row": ow * c,
            "x_zero_point": zero_point,
            "window": reach,
            "taps": geometry.kernel[1],
            "width": spatial_size(x.shape, True)[1],
            "stride": geometry.stride[1],
            "dilation": geometry.dilation[1],
            "pad": geometry.pad_begin[1],
        }
        | output_sizes(node),
        scratch_bytes=_staged_bytes(geometry, chunk, reach),
        scratch_type="int8_t",
    )
    window = image_window(geometry, x, y, zero_point)
    window = replace(window, call_rows=call_rows, kernel=reach)
    lowering.walk = window
    return window_overlap(window, x.dtype.bytes, y.dtype.bytes).on(lowering, 0)


def _interleaved(weights: Array) -> Array:
    """[c][kh][kw] to [c][kh / 4][kw][4], flat: zeros behind the last row."""
    c, kh, kw = weights.shape
    padded = np.pad(weights, [(0, 0), (0, -kh % ROWS), (0, 0)]).reshape(c, -1, ROWS, kw)
    return np.ascontiguousarray(padded.transpose(0, 1, 3, 2)).reshape(-1)


def _staged_bytes(geometry: Geometry, pixels: int, reach: int) -> int:
    """Of the columns under windows, and of those that only a vector reads."""
    taps, dilation = geometry.kernel[1], geometry.dilation[1]
    columns = (pixels - 1) * geometry.stride[1] + (taps - 1) * dilation + 1
    beyond = (-taps % COLUMNS) * dilation
    return (-(-reach // ROWS) * columns + beyond) * COLUMN_BYTES


def _chunk(geometry: Geometry, ow: int, reach: int) -> int:
    """Pixels whose windows are staged at once: an even share of a row."""
    most = ow
    while most > COLUMNS and _staged_bytes(geometry, most, reach) > STAGED_BYTES:
        most -= 1
    share = -(-ow // -(-ow // most))
    return min(ow, -(-share // COLUMNS) * COLUMNS) if share < ow else ow
