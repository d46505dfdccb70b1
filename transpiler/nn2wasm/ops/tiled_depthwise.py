"""Depthwise convolution on SIMD: four channels a vector, several pixels a tile.

Integers: the rows under the window are staged with their padding, as many beside each other as a
step has inputs, and block by block: the columns of four channels lie one after another, so that a
step is one vector load at a constant distance from the one before. Floats are read where they
lie; only tiles at the image's edge are staged.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nn2wasm.ir import Array, DType, Node
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.linear import Operands
from nn2wasm.ops.spatial import Geometry, spatial_size, steps_text
from nn2wasm.ops.tiled import linear_operands
from nn2wasm.ops.tiled_windows import column_padding, staged_columns, windowed
from nn2wasm.ops.tiles import LANES, Tiling, offset, vectors_of

WHOLE_VECTORS = "channels / 4 * 4"


def tiled_depthwise(
    node: Node, kernel: Kernel, weights: Array, geometry: Geometry, lo: float, hi: float
) -> Lowering:
    """Depthwise convolution with [c][1][kh][kw] weights, an output row or two at a time.

    Two windows one row apart share most of their rows: these are read, or staged, once.
    """
    x, y, tiling = node.input(0), node.output, kernel.tiling
    assert tiling is not None
    c, (oh, ow) = x.shape[-1], spatial_size(y.shape, True)
    call_rows = 2 if geometry.stride[0] == geometry.dilation[0] == 1 < oh else 1
    groups = _Groups(geometry, tiling.form.depth, call_rows)
    operands = linear_operands(node, weights.reshape(c, -1), tiling, lo, hi)
    by_channel = weights.reshape(c, *geometry.kernel)
    if x.dtype is DType.F32:
        by_channel = by_channel[_overlapping_channels(c)]
    operands.constants = {"w": groups.pack(by_channel)} | operands.constants
    depth = tiling.form.depth
    operands.context |= {
        "dot": tiling.form.name,
        "item": tiling.form.item,
        "weight_type": tiling.form.weight,
        "depth": depth,
        "bias_rows": tiling.form.biases > 1,
        "products": len(groups.shifts) * geometry.kernel[1] * depth,
        "count_parameter": "int count, " if oh % call_rows else "",
        "count_argument": "count, " if oh % call_rows else "",
        "rows_text": f"{groups.reach} input rows under the window{'s' * (call_rows > 1)}",
        "out_text": "rows oy and oy + 1" if call_rows > 1 else "row oy",
        "blocks": _blocks(c),
    }
    operands.sizes |= {
        "channels": c,
        "pixels": ow,
        "lanes": vectors_of(c) * LANES,
        "out_row": ow * c,
    }
    odd = oh % call_rows > 0
    if x.dtype is DType.F32:
        items = _in_place(node, operands, groups, tiling, odd=odd)
    else:
        items = _staged(node, operands, groups, tiling, odd=odd)
    return windowed(node, operands, geometry, tiling, items, call_rows=call_rows)


def _staged(node: Node, operands: Operands, groups: _Groups, tiling: Tiling, *, odd: bool) -> int:
    """Adds what a kernel needs that stages all rows; returns the number of items staged."""
    geometry, depth = groups.geometry, tiling.form.depth
    ow, vectors = node.output.shape[-2], vectors_of(node.output.shape[-1])
    left, inside, right = column_padding(geometry, node.input(0).shape[-2], ow)
    column = LANES * depth
    block = staged_columns(geometry, ow) * column
    operands.context |= {
        "padded_left": left > 0,
        "padded_right": right > 0,
        "behind_left": " + left" if left else "",
        "pixel": geometry.stride[1] * column,
        "pixel_at": " + m * channels",
        "groups": [
            {"at": offset(index, "group"), "rows": ", ".join(f"rows[{ky}]" for ky in rows)}
            for index, rows in enumerate(groups.rows)
        ],
        "tiles": _tiles(tiling, groups, ow, odd=odd, staged=True),
    }
    operands.sizes |= {
        "left": left * column,
        "inside": inside,
        "right": right * column,
        "right_at": (left + inside) * column,
        "block": block,
        "group": vectors * block,
    }
    return len(groups.rows) * vectors * block


def _in_place(node: Node, operands: Operands, groups: _Groups, tiling: Tiling, *, odd: bool) -> int:
    """Adds what a kernel needs that reads rows where they lie; returns the items of a tile that is
    staged.
    """
    geometry, (ow, c) = groups.geometry, node.output.shape[-2:]
    tiles = _tiles(tiling, groups, ow, odd=odd, staged=False)
    for tile in tiles:
        tile["columns"] = staged_columns(geometry, tile["height"])
    padded = sum(column_padding(geometry, node.input(0).shape[-2], ow)[::2]) > 0
    operands.context |= {
        "tiles": tiles,
        "blocks": [{"whole": True}],
        "channel": "i" if c % LANES == 0 else "i + 4 <= channels ? i : channels - 4",
        "padded": padded,
        "staged_parameter": "float *restrict staged, " if padded else "",
        "pixel_at": "",
        "out_row_parameter": ", int out_row" if groups.call_rows > 1 else "",
        "out_row_argument": ", out_row" if groups.call_rows > 1 else "",
        "rows_count": groups.reach,
        "row_indices": list(range(groups.reach)),
        "left": steps_text("m", geometry.stride[1], -geometry.pad_begin[1]),
    }
    operands.sizes["width"] = node.input(0).shape[-2]
    if not padded:
        return 0
    widest = staged_columns(geometry, min(ow, tiling.height))
    return groups.reach * widest * c


def _overlapping_channels(c: int) -> list[int]:
    """Channels in vectors; the last begins early enough to be whole."""
    whole = c // LANES * LANES
    return [*range(whole), *(range(c - LANES, c) if whole < c else ())]


class _Groups:
    """The rows under the windows of a call in groups of `depth`, and the weights that each needs.

    Attributes:
        rows: of each group; the last repeats its last row.
        shifts: distances from a window's first row to a group's first, each a set of weights: with
            zeros for rows of a group that are not under the window.
        uses: for each group, output rows and the index of their weights.
    """

    def __init__(self, geometry: Geometry, depth: int, call_rows: int) -> None:
        kh, step = geometry.kernel[0], geometry.stride[0]
        self.geometry, self.depth = geometry, depth
        self.call_rows, self.reach = call_rows, (call_rows - 1) * step + kh
        starts = range(0, self.reach, depth)
        self.rows = [[min(g + i, self.reach - 1) for i in range(depth)] for g in starts]
        needed = [[(r, g - r * step) for r in range(call_rows)] for g in starts]
        needed = [[(r, s) for r, s in pairs if -depth < s < kh] for pairs in needed]
        self.shifts = sorted({shift for pairs in needed for _, shift in pairs})
        self.uses = [[(r, self.shifts.index(s)) for r, s in pairs] for pairs in needed]

    def pack(self, weights: Array) -> Array:
        """[c][kh][kw] to [c / 4][shifts][kw][4][depth], flat."""
        c, kh, kw = weights.shape
        lanes = vectors_of(c) * LANES
        packed = np.zeros((lanes // LANES, len(self.shifts), kw, LANES, self.depth), weights.dtype)
        padded = np.zeros((lanes, kh, kw), weights.dtype)
        padded[:c] = weights
        for index, shift in enumerate(self.shifts):
            for d in range(self.depth):
                if 0 <= shift + d < kh:
                    row = padded[:, shift + d].reshape(-1, LANES, kw)
                    packed[:, index, :, :, d] = row.transpose(0, 2, 1)
        return packed.reshape(-1)


def _blocks(c: int) -> list[dict[str, Any]]:
    """Channels in whole vectors, and the rest."""
    whole, rest = divmod(c, LANES)
    blocks: list[dict[str, Any]] = []
    if whole:
        blocks.append({"first": 0, "last": WHOLE_VECTORS, "whole": True, "lanes": []})
    if rest:
        lanes = [{"index": i, "at": offset(i)} for i in range(rest)]
        first = WHOLE_VECTORS if whole else 0
        blocks.append({"first": first, "last": "channels", "whole": False, "lanes": lanes})
    return blocks


def _tiles(
    tiling: Tiling, groups: _Groups, ow: int, *, odd: bool, staged: bool
) -> list[dict[str, Any]]:
    """Tiles of whole height, and one for the pixels that are left."""
    height = tiling.height
    whole, rest = divmod(ow, height)
    tiled = f"pixels / {height} * {height}"
    tiles = []
    if whole:
        last = tiled if rest else "pixels"
        tile = _tile(tiling, groups, height, odd=odd, staged=staged)
        tiles.append(tile | {"first": 0, "last": last})
    if rest:
        tile = _tile(tiling, groups, rest, odd=odd, staged=staged)
        tiles.append(tile | {"first": tiled if whole else 0, "last": "pixels"})
    return tiles


def _tile(
    tiling: Tiling, groups: _Groups, height: int, *, odd: bool, staged: bool
) -> dict[str, Any]:
    """Sums are named a<row><pixel>; each column is loaded once and meets all its weights."""
    sums = [f"a{r}{i}" for r in range(groups.call_rows) for i in range(height)]
    pixels = [{"index": i, "y_at": offset(i, "channels"), "lane": i} for i in range(height)]
    lines = [
        {
            "index": r,
            "y_at": offset(r, "out_row"),
            "optional": odd and r > 0,
            "pixels": pixels,
            "count": height,
            "sums": ", ".join(f"a{r}{i}" for i in range(height)),
        }
        for r in range(groups.call_rows)
    ]
    sections = [
        _section(tiling, groups, index, height, staged=staged) for index in range(len(groups.rows))
    ]
    return {"height": height, "sums": sums, "lines": lines, "sections": sections}


def _section(
    tiling: Tiling, groups: _Groups, group: int, height: int, *, staged: bool
) -> dict[str, Any]:
    """What the columns of one group of rows add to the sums of a tile."""
    kw, step = groups.geometry.kernel[1], LANES * tiling.form.depth
    stride, dilation = groups.geometry.stride[1], groups.geometry.dilation[1]
    weights = [
        {"name": f"w{group}{s}{kx}", "at": offset((s * kw + kx) * step)}
        for s in sorted({shift for _, shift in groups.uses[group]})
        for kx in range(kw)
    ]
    taps: dict[int, list[dict[str, str]]] = {}
    for kx in range(kw):
        for i in range(height):
            met = taps.setdefault(i * stride + kx * dilation, [])
            met += [{"sum": f"a{r}{i}", "w": f"w{group}{s}{kx}"} for r, s in groups.uses[group]]
    columns = []
    for column, uses in sorted(taps.items()):
        at = offset(column, "channels")
        if staged:
            at = offset(group, "group") + offset(column * step)
        base = "xm" if staged else f"r{group}"
        columns.append({"name": f"x{group}_{column}", "base": base, "at": at, "uses": uses})
    return {"index": group, "weights": weights, "columns": columns}
