"""Convolution on SIMD: the rows under a window are staged with their padding, then multiplied.

No kernel tests bounds.
"""

from __future__ import annotations

from dataclasses import replace

from nn2wasm.ir import Array, DType, Node
from nn2wasm.ops.kernel import Kernel, Lowering, window_overlap
from nn2wasm.ops.linear import Operands
from nn2wasm.ops.spatial import Geometry, Pair, image_context, image_window, spatial_size
from nn2wasm.ops.tiled import CHUNK_BYTES, LEAST_PIXELS, NAMES, tiled_operands, widened_items
from nn2wasm.ops.tiles import LANES, Tiling, vectors_of


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
    left, inside, right = column_padding(geometry, x.shape[-2], ow)
    row = (left + inside + right) * c
    oh = spatial_size(y.shape, True)[0]
    call_rows = rows_of_call(geometry, (oh, ow), row * tiling.form.item_bytes)
    reach = (call_rows - 1) * geometry.stride[0] + kh
    apart = kw > 1 and (groups > 1 or geometry.dilation[1] > 1)
    taps = kw if apart else 1
    packed = weights.transpose(0, 2, 3, 1).reshape(oc, kh * taps, -1)
    operands = tiled_operands(node, packed, tiling, ow, lo, hi, groups=groups, call_rows=call_rows)
    grouped, rowed = groups > 1, call_rows > 1
    operands.context |= NAMES | {
        "pad": "    " if grouped else "  ",
        "rowed": rowed,
        "row_limit": "count" if oh % call_rows else "call_rows",
        "count_parameter": "int count, " if oh % call_rows else "",
        "out_text": f"{call_rows} rows from oy on" if rowed else "row oy",
        "rows_text": f"{reach} input rows under the window{'s' * rowed}",
        "in": "xg" if grouped else "staged",
        "out": "yg" if grouped else "y",
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
        operands.context |= {"weights": "wg", "biases": "bg", "scales": "sg"}
    operands.context["tile_in"] = "xr" if rowed else operands.context["in"]
    operands.context["tile_out"] = "yr" if rowed else operands.context["out"]
    operands.sizes |= {
        "window": kh,
        "call_rows": call_rows,
        "staged_rows": reach,
        "step": geometry.stride[0] * row,
        "out_row": ow * oc,
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
    items = reach * row + tiling.form.depth  # the last step may read beyond its inputs
    operands.sizes["wide_at"] = items
    items += widened_items(operands, tiling)
    return windowed(node, operands, geometry, tiling, items, call_rows=call_rows)


def rows_of_call(geometry: Geometry, size: Pair, row_bytes: int) -> int:
    """Output rows of a call: enough pixels for each panel of weights, in the nearest cache.

    Args:
        geometry: of the window.
        size: rows and columns of the output.
        row_bytes: of a staged input row.
    """
    rows, columns = size
    if geometry.dilation[0] > 1:
        return 1
    wanted = min(rows, -(-LEAST_PIXELS // columns))
    room = CHUNK_BYTES // row_bytes - geometry.kernel[0]
    return max(1, min(wanted, room // geometry.stride[0] + 1))


def windowed(
    node: Node,
    operands: Operands,
    geometry: Geometry,
    tiling: Tiling,
    items: int,
    *,
    call_rows: int = 1,
) -> Lowering:
    """Walks over output rows, some a call, with scratch for that many staged items."""
    x, y = node.input(0), node.output
    fill = operands.sizes["x_zero_point"] if x.dtype is DType.S8 else 0.0
    window = image_window(geometry, x, y, fill)
    if call_rows > 1:
        reach = (call_rows - 1) * geometry.stride[0] + geometry.kernel[0]
        window = replace(window, call_rows=call_rows, kernel=reach)
    operands.context |= {
        key: value
        for key, value in image_context(geometry, x, y).items()
        if key not in operands.context
    }
    lowering = operands.lowering(window)
    lowering.scratch_bytes = items * tiling.form.item_bytes
    lowering.scratch_type = tiling.form.item
    return window_overlap(window, x.dtype.bytes, y.dtype.bytes).on(lowering, 0)


def staged_columns(geometry: Geometry, ow: int) -> int:
    """Columns that the windows of an output row cover, padding included."""
    return (ow - 1) * geometry.stride[1] + (geometry.kernel[1] - 1) * geometry.dilation[1] + 1


def column_padding(geometry: Geometry, width: int, ow: int) -> tuple[int, int, int]:
    """Columns to the left of the image, of the image, and to its right, that windows cover."""
    columns, left = staged_columns(geometry, ow), geometry.pad_begin[1]
    inside = max(0, min(width, columns - left))
    return min(left, columns), inside, max(0, columns - left - inside)
