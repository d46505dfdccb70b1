"""Convolution on SIMD: the rows under a window are staged with their padding, then multiplied.

No kernel tests bounds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from nn2wasm.ir import Array, DType, Node
from nn2wasm.ops.kernel import Kernel, Lowering, window_overlap
from nn2wasm.ops.linear import Operands
from nn2wasm.ops.spatial import Geometry, Pair, image_context, image_window, spatial_size
from nn2wasm.ops.tiled import CHUNK_BYTES, LEAST_PIXELS, NAMES, tiled_operands, widened_items
from nn2wasm.ops.tiles import LANES, Tiling, vectors_of

ANY_WINDOW = {
    "iy": "oy * sy + ky * dy - py",
    "ix": "ox * sx + kx * dx - px",
    "kh": "kh",
    "kw": "kw",
    "rows_text": "input rows under the window",
}
"""What comments of kernels for several windows say."""
ANY_PADDING = {"padded_left": True, "padded_right": True, "behind_left": " + left"}
"""Of any width, also none."""


def tiled_rows(
    node: Node,
    kernel: Kernel,
    weights: Array,
    geometry: Geometry,
    groups: int,
    lo: float,
    hi: float,
) -> Lowering:
    """Convolution with [oc][ic / groups][kh][kw] weights, some output rows at a time.

    The taps of a window's row are one segment where they lie side by side, else one each.
    """
    y = node.output
    assert kernel.tiling is not None
    (kh, kw), ow, oc = geometry.kernel, y.shape[-2], y.shape[-1]
    tiling = kernel.tiling.for_pixels(ow)
    staged = _StagedRows.of(node, geometry, tiling)
    apart = kw > 1 and (groups > 1 or geometry.dilation[1] > 1)
    taps = kw if apart else 1
    packed = weights.transpose(0, 2, 3, 1).reshape(oc, kh * taps, -1)
    operands = tiled_operands(
        node, packed, tiling, ow, lo, hi, groups=groups, call_rows=staged.call_rows
    )
    tapped = apart or tiling.uniform
    segmented = kh > 1 or tapped
    operands.context |= NAMES | staged.context(grouped=groups > 1)
    operands.context |= {
        "segmented": segmented,
        "tapped": tapped,
        "segment": (" + ky * row" if segmented else "") + (" + kx * tap" if tapped else ""),
        "group_text": f"{groups} groups" if groups > 1 else "one group",
    }
    items = staged.reach * staged.row + tiling.form.depth  # the last step may read beyond
    operands.sizes |= staged.sizes | {
        "window": kh,
        "taps": taps,
        "tap": geometry.dilation[1] * staged.c,
        "groups": groups,
        "inputs": staged.c // groups,
        "bias_row": groups * vectors_of(oc // groups) * LANES,
        "wide_at": items,
    }
    items += widened_items(operands, tiling)
    return windowed(node, operands, geometry, tiling, items, call_rows=staged.call_rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class _StagedRows:
    """The input rows under the windows of a call, with their padding.

    Attributes:
        geometry: of the window.
        c: channels of the input.
        out: rows, columns and channels of the output.
        columns: to the left of the image, of the image, to its right.
        call_rows: output rows of a call.
        uniform: the kernel is for several windows.
    """

    geometry: Geometry
    c: int
    out: tuple[int, int, int]
    columns: tuple[int, int, int]
    call_rows: int
    uniform: bool

    @classmethod
    def of(cls, node: Node, geometry: Geometry, tiling: Tiling) -> _StagedRows:
        """Those of a convolution."""
        x, y = node.input(0), node.output
        c, size = x.shape[-1], spatial_size(y.shape, True)
        columns = column_padding(geometry, x.shape[-2], size[1])
        row_bytes = sum(columns) * c * tiling.form.item_bytes
        return cls(
            geometry=geometry,
            c=c,
            out=(*size, y.shape[-1]),
            columns=columns,
            call_rows=1 if tiling.uniform else rows_of_call(geometry, size, row_bytes),
            uniform=tiling.uniform,
        )

    @property
    def reach(self) -> int:
        """Input rows."""
        return (self.call_rows - 1) * self.geometry.stride[0] + self.geometry.kernel[0]

    @property
    def row(self) -> int:
        """Items of a row."""
        return sum(self.columns) * self.c

    def context(self, *, grouped: bool) -> dict[str, Any]:
        """What templates of convolutions need of rows; with groups, names of a group's pointers."""
        rowed, partial = self.call_rows > 1, self.out[0] % self.call_rows > 0
        source, target = ("xg", "yg") if grouped else ("staged", "y")
        names = {"weights": "wg", "biases": "bg", "scales": "sg"} if grouped else {}
        context = names | {
            "pad": "    " if grouped else "  ",
            "grouped": grouped,
            "rowed": rowed,
            "row_limit": "count" if partial else "call_rows",
            "count_parameter": "int count, " if partial else "",
            "out_text": f"{self.call_rows} rows from oy on" if rowed else "row oy",
            "rows_text": f"{self.reach} input rows under the window{'s' * rowed}",
            "in": source,
            "out": target,
            "tile_in": "xr" if rowed else source,
            "tile_out": "yr" if rowed else target,
            "padded_left": self.columns[0] > 0,
            "padded_right": self.columns[2] > 0,
            "behind_left": " + left" if self.columns[0] else "",
        }
        return context | ANY_PADDING | ANY_WINDOW if self.uniform else context

    @property
    def sizes(self) -> dict[str, int]:
        """Numbers that these templates name."""
        left, inside, right = (count * self.c for count in self.columns)
        return {
            "call_rows": self.call_rows,
            "staged_rows": self.reach,
            "step": self.geometry.stride[0] * self.row,
            "out_row": self.out[1] * self.out[2],
            "row": self.row,
            "left": left,
            "inside": inside,
            "right": right,
            "pixel": self.geometry.stride[1] * self.c,
            "stride": self.out[2],
        }


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
    fill = 0.0 if x.dtype is DType.F32 else operands.sizes["x_zero_point"]
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
