"""Convolution on SIMD: the rows under a window are staged with their padding, then multiplied.

Depthwise, four channels are a vector, and as many rows as a step has inputs are staged beside each
other. No kernel tests bounds.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nn2wasm.ir import Array, DType, Node, Shape
from nn2wasm.ops.kernel import Kernel, Lowering, window_overlap
from nn2wasm.ops.linear import Operands
from nn2wasm.ops.spatial import Geometry, image_context, image_window
from nn2wasm.ops.tiled import NAMES, linear_operands, tiled_operands
from nn2wasm.ops.tiles import LANES, Tiling, offset, vectors_of


def tiled_rows(
    node: Node,
    kernel: Kernel,
    weights: Array,
    geometry: Geometry,
    groups: int,
    lo: float,
    hi: float,
) -> Lowering:
    """Convolution with [oc][ic / groups][kh][kw] weights, an output row at a time.

    The taps of a window's row are one segment where they lie side by side, else one each.
    """
    x, y = node.input(0), node.output
    assert kernel.tiling is not None
    (kh, kw), c, ow, oc = geometry.kernel, x.shape[-1], y.shape[-2], y.shape[-1]
    tiling = kernel.tiling.for_pixels(ow)
    apart = kw > 1 and (groups > 1 or geometry.dilation[1] > 1)
    taps = kw if apart else 1
    packed = weights.transpose(0, 2, 3, 1).reshape(oc, kh * taps, -1)
    operands = tiled_operands(node, packed, tiling, ow, lo, hi, groups)
    left, inside, right = column_padding(geometry, x.shape[-2], ow)
    row = (left + inside + right) * c
    grouped = groups > 1
    operands.context |= NAMES | {
        "pad": "    " if grouped else "  ",
        "in": "staged",
        "segmented": kh > 1 or apart,
        "tapped": apart,
        "segment": (" + ky * row" if kh > 1 or apart else "") + (" + kx * tap" if apart else ""),
        "grouped": grouped,
        "group_text": f"{groups} groups" if grouped else "one group",
        "padded_left": left > 0,
        "padded_right": right > 0,
        "behind_left": " + left" if left else "",
    }
    if grouped:
        operands.context |= {"in": "xg", "weights": "wg", "biases": "bg", "scales": "sg"}
        operands.context["out"] = "yg"
    operands.sizes |= {
        "window": kh,
        "taps": taps,
        "row": row,
        "tap": geometry.dilation[1] * c,
        "left": left * c,
        "inside": inside * c,
        "right": right * c,
        "pixel": geometry.stride[1] * c,
        "groups": groups,
        "inputs": c // groups,
        "bias_row": groups * vectors_of(oc // groups) * LANES,
        "stride": oc,
    }
    items = kh * row + tiling.form.depth  # the last step may read beyond its inputs
    return _windowed(node, operands, geometry, tiling, items)


def tiled_depthwise(
    node: Node, kernel: Kernel, weights: Array, geometry: Geometry, lo: float, hi: float
) -> Lowering:
    """Depthwise convolution with [c][1][kh][kw] weights, an output row at a time."""
    x, y, tiling = node.input(0), node.output, kernel.tiling
    assert tiling is not None
    c = x.shape[-1]
    operands = linear_operands(node, weights.reshape(c, -1), tiling, lo, hi)
    packed = {"w": pack_depthwise(weights.reshape(c, *geometry.kernel), tiling)}
    operands.constants = packed | operands.constants
    operands.context |= depthwise_context(tiling, geometry, x.shape, y.shape)
    items = staged_items(tiling, geometry, c, y.shape[-2])
    return _windowed(node, operands, geometry, tiling, items)


def _windowed(
    node: Node, operands: Operands, geometry: Geometry, tiling: Tiling, items: int
) -> Lowering:
    """Walks over output rows, with scratch for that many staged items."""
    x, y = node.input(0), node.output
    fill = operands.sizes["x_zero_point"] if x.dtype is DType.S8 else 0.0
    window = image_window(geometry, x, y, fill)
    operands.context |= {
        key: value
        for key, value in image_context(geometry, x, y).items()
        if key not in operands.context
    }
    lowering = operands.lowering(window)
    lowering.scratch_bytes = items * tiling.form.item_bytes
    lowering.scratch_type = tiling.form.item
    return window_overlap(window, x.dtype.bytes, y.dtype.bytes).on(lowering, 0)


def row_groups(kh: int, depth: int) -> list[list[int]]:
    """Rows of a window that are staged beside each other; the last group repeats its last row."""
    groups = [list(range(first, min(first + depth, kh))) for first in range(0, kh, depth)]
    return [rows + [rows[-1]] * (depth - len(rows)) for rows in groups]


def pack_depthwise(weights: Array, tiling: Tiling) -> Array:
    """[c][kh][kw] to [c / 4][groups][kw][4][depth], flat; zeros for rows that are repeated."""
    c, kh, kw = weights.shape
    depth = tiling.form.depth
    groups = -(-kh // depth)
    padded = np.zeros((vectors_of(c) * LANES, groups * depth, kw), weights.dtype)
    padded[:c, :kh] = weights
    blocks = padded.reshape(-1, LANES, groups, depth, kw).transpose(0, 2, 4, 1, 3)
    return np.ascontiguousarray(blocks).reshape(-1)


def staged_columns(geometry: Geometry, ow: int) -> int:
    """Columns that the windows of an output row cover, padding included."""
    return (ow - 1) * geometry.stride[1] + (geometry.kernel[1] - 1) * geometry.dilation[1] + 1


def column_padding(geometry: Geometry, width: int, ow: int) -> tuple[int, int, int]:
    """Columns to the left of the image, of the image, and to its right, that windows cover."""
    columns, left = staged_columns(geometry, ow), geometry.pad_begin[1]
    inside = max(0, min(width, columns - left))
    return min(left, columns), inside, max(0, columns - left - inside)


def depthwise_context(tiling: Tiling, geometry: Geometry, x: Shape, y: Shape) -> dict[str, Any]:
    """What templates/kernels/depthwise/tiles.c.j2 needs of shapes.

    Args:
        tiling: height and form are used.
        geometry: of the window.
        x: [..., width, c].
        y: [..., ow, c].
    """
    form, (kh, kw) = tiling.form, geometry.kernel
    c, ow = y[-1], y[-2]
    left, inside, right = column_padding(geometry, x[-2], ow)
    column = c * form.depth
    row = staged_columns(geometry, ow) * column
    groups = row_groups(kh, form.depth)
    return {
        "dot": form.name,
        "item": form.item,
        "weight_type": form.weight,
        "depth": form.depth,
        "bias_rows": form.biases > 1,
        "lanes": vectors_of(c) * LANES,
        "products": len(groups) * kw * form.depth,
        "pixel": geometry.stride[1] * column,
        "left": left * column,
        "inside": inside * c,
        "right": right * column,
        "groups": [
            {
                "at": offset(index * row),
                "inside_at": offset(index * row + left * column),
                "right_at": offset(index * row + (left + inside) * column),
                "rows": ", ".join(f"rows[{ky}]" for ky in rows),
            }
            for index, rows in enumerate(groups)
        ],
        "blocks": _blocks(c),
        "tiles": _tiles(tiling, geometry, ow, column, row),
    }


def staged_items(tiling: Tiling, geometry: Geometry, c: int, ow: int) -> int:
    """Items of the staged rows, and those behind them that the last vectors may read."""
    groups = len(row_groups(geometry.kernel[0], tiling.form.depth))
    column = c * tiling.form.depth
    return groups * staged_columns(geometry, ow) * column + LANES * tiling.form.depth


def _blocks(c: int) -> list[dict[str, Any]]:
    """Channels in whole vectors, and the rest."""
    whole, rest = divmod(c, LANES)
    blocks: list[dict[str, Any]] = []
    if whole:
        last = whole * LANES
        blocks.append({"first": 0, "last": last, "many": whole > 1, "whole": True, "lanes": []})
    if rest:
        lanes = [{"index": i, "at": offset(i)} for i in range(rest)]
        blocks.append({"first": whole * LANES, "many": False, "whole": False, "lanes": lanes})
    return blocks


def _tiles(
    tiling: Tiling, geometry: Geometry, ow: int, column: int, row: int
) -> list[dict[str, Any]]:
    whole, rest = divmod(ow, tiling.height)
    tiles = []
    if whole:
        tile = _tile(tiling, geometry, tiling.height, column, row)
        tiles.append(tile | {"first": 0, "last": whole * tiling.height, "many": whole > 1})
    if rest:
        tile = _tile(tiling, geometry, rest, column, row)
        tiles.append(tile | {"first": whole * tiling.height, "many": False})
    return tiles


def _tile(tiling: Tiling, geometry: Geometry, height: int, column: int, row: int) -> dict[str, Any]:
    (kh, kw), step_weights = geometry.kernel, LANES * tiling.form.depth
    groups = len(row_groups(kh, tiling.form.depth))
    c = column // tiling.form.depth
    rows = [{"index": i, "y_at": offset(i * c), "lane": i % LANES} for i in range(height)]
    taps = [
        {
            "index": g * kw + kx,
            "w_at": offset((g * kw + kx) * step_weights),
            "offsets": [
                offset(g * row + (i * geometry.stride[1] + kx * geometry.dilation[1]) * column)
                for i in range(height)
            ],
        }
        for g in range(groups)
        for kx in range(kw)
    ]
    fours = [
        {
            "index": first // LANES,
            "rows": rows[first : first + LANES],
            "count": len(rows[first : first + LANES]),
            "sums": ", ".join(f"a{i}" for i in range(first, min(first + LANES, height))),
        }
        for first in range(0, height, LANES)
    ]
    return {"height": height, "rows": rows, "taps": taps, "fours": fours}
