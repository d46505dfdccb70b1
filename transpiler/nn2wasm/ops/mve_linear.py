"""Products and convolutions on Helium: sums run along the inputs, two pixels by four outputs.

Sixteen products are one instruction that adds them to an integer register; eight such sums leave
registers for the pointers. Inputs are multiplied where they lie, or in patches, the inputs
under two windows; what is left of a multiple of sixteen is read with a mask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nn2wasm.ir import Array, DType, Node
from nn2wasm.ops.kernel import Kernel, Lowering, Rows, rows_overlap, window_overlap
from nn2wasm.ops.linear import linear_s8
from nn2wasm.ops.spatial import image_window, spatial_size
from nn2wasm.ops.tiled import weight_zero_point
from nn2wasm.ops.tiled_windows import ANY_WINDOW
from nn2wasm.ops.tiles import fill_lanes
from nn2wasm.quant.arithmetic import integer_bounds

if TYPE_CHECKING:
    from nn2wasm.ops.conv import Conv
    from nn2wasm.ops.gemm import Gemm
    from nn2wasm.ops.linear import Linear

MVE = frozenset({"mve"})
BYTES, OUTPUTS = 16, 4
"""Bytes of a vector; outputs of a tile."""
HEADERS = ("nn2wasm/mve.h",)


def gives_bytes(node: Node) -> str:
    """Why sums of plain products do not become bytes."""
    if node.output.dtype is not DType.S8:
        return "its results are not bytes"
    return weight_zero_point(node)


def _one_group(node: Node) -> str:
    op: Conv = node.op  # type: ignore[assignment]
    return gives_bytes(node) or ("" if op.groups == 1 else "it has groups")


def _pointwise(node: Node) -> str:
    op: Conv = node.op  # type: ignore[assignment]
    return _one_group(node) or ("" if op.geometry.is_pointwise else "not 1x1 of stride 1")


def _one_row(node: Node) -> str:
    return gives_bytes(node) or ("" if _row_count(node) == 1 else "it has several rows")


def mve_gemm_kernels() -> tuple[Kernel, ...]:
    """Products with a constant matrix: of one row, of several."""
    return (
        Kernel(
            symbol="nn_gemm_s8_1x4__mve",
            template="gemm/s8__mve.c.j2",
            dtype="s8",
            needs=MVE,
            fits=_one_row,
            headers=HEADERS,
            lower=lower_product,
        ),
        Kernel(
            symbol="nn_gemm_s8_2x4__mve",
            template="gemm/s8__mve.c.j2",
            dtype="s8",
            needs=MVE,
            fits=gives_bytes,
            headers=HEADERS,
            lower=lower_product,
        ),
    )


def mve_conv_kernels() -> tuple[Kernel, ...]:
    """Convolutions without groups."""
    return (
        Kernel(
            symbol="nn_gemm_s8_2x4__mve",
            template="gemm/s8__mve.c.j2",
            dtype="s8",
            needs=MVE,
            fits=_pointwise,
            headers=HEADERS,
            lower=lower_pointwise,
        ),
        Kernel(
            symbol="nn_conv_s8_2x4__mve",
            template="conv/s8__mve.c.j2",
            dtype="s8",
            needs=MVE,
            fits=_one_group,
            headers=HEADERS,
            lower=lower_patches,
        ),
    )


def _row_count(node: Node) -> int:
    return node.output.element_count // node.output.shape[-1]


def lower_product(node: Node) -> Lowering:
    """A product with a matrix [k, n] or [n, k]."""
    op: Gemm = node.op  # type: ignore[assignment]
    w = node.input(1).value
    return _product(node, w if op.trans_w else w.T, 1)


def lower_pointwise(node: Node) -> Lowering:
    """A product for a row of pixels at a time."""
    x, oc = node.input(0), node.output.shape[-1]
    return _product(node, node.input(1).value.reshape(oc, -1), x.shape[-2])


def _product(node: Node, weights: Array, pixels: int) -> Lowering:
    """A product with [n, k] weights, some pixels a call."""
    x, y = node.input(0), node.output
    n, k = weights.shape
    lowering = _lowering(node, weights, pixels)
    rows = Rows(
        count=x.element_count // (k * pixels),
        in_row_elements=k * pixels,
        out_row_elements=n * pixels,
    )
    lowering.walk = rows
    lowering.context["pad"] = "    " if pixels > 1 else "  "
    return rows_overlap(rows, x.dtype.bytes, y.dtype.bytes).on(lowering, 0)


def lower_patches(node: Node) -> Lowering:
    """The inputs under two windows are gathered, then multiplied with weights [oc][ky][kx][ic]."""
    op: Conv = node.op  # type: ignore[assignment]
    x, y, geometry = node.input(0), node.output, op.geometry
    oc, c = y.shape[-1], x.shape[-1]
    weights = node.input(1).value.reshape(oc, c, *geometry.kernel)
    lowering = _lowering(node, weights.transpose(0, 2, 3, 1).reshape(oc, -1), y.shape[-2])
    assert x.quant is not None
    lowering.context |= ANY_WINDOW | {"pad": "    ", "dense": geometry.dilation[1] == 1}
    lowering.sizes |= {
        "x_zero_point": int(x.quant.zero_point),
        "window": geometry.kernel[0],
        "taps": geometry.kernel[1],
        "channels": c,
        "width": spatial_size(x.shape, True)[1],
        "stride": geometry.stride[1],
        "dilation": geometry.dilation[1],
        "pad": geometry.pad_begin[1],
    }
    lowering.scratch_bytes = 2 * lowering.sizes["inputs"]
    lowering.scratch_type = "int8_t"
    window = image_window(geometry, x, y, int(x.quant.zero_point))
    lowering.walk = window
    return window_overlap(window, x.dtype.bytes, y.dtype.bytes).on(lowering, 0)


def _lowering(node: Node, weights: Array, pixels: int) -> Lowering:
    """Of a sum over [n, k] weights, so many pixels a call."""
    n, k = weights.shape
    paired = pixels > 1
    tile = {"rows": range(1 + paired), "paired": paired}
    context = {"tile": tile, "outputs_of_tile": range(OUTPUTS)}
    lowering = Lowering(context=context, constants={"w": _panels(weights)})
    lowering.constants |= sum_constants(node, weights)
    for key in ("b", "scale"):
        lowering.constants[key] = fill_lanes(lowering.constants[key])
    lowering.sizes = {"pixels": pixels, "inputs": k, "outputs": n} | output_sizes(node)
    return lowering


def sum_constants(node: Node, weights: Array) -> dict[str, Array]:
    """Bias, with the part of the input's zero point, and scale of [n, k] weights."""
    op: Linear = node.op  # type: ignore[assignment]
    return linear_s8(node, weights, op.lo, op.hi, fold=True).constants


def output_sizes(node: Node) -> dict[str, int]:
    """Zero point and bounds of the output."""
    op: Linear = node.op  # type: ignore[assignment]
    quant = node.output.quant
    assert quant is not None
    low, high = integer_bounds(op.lo, op.hi, quant, DType.S8)
    return {"y_zero_point": int(quant.zero_point), "y_lo": low, "y_hi": high}


def _panels(weights: Array) -> Array:
    """[n][k] to [n / 4][k / 16][4][16], the first of k narrower, zeros behind the last of n.

    Behind all of it are so many zeros that a vector may begin at any weight.
    """
    n, k = weights.shape
    padded = np.pad(weights, [(0, -n % OUTPUTS), (0, 0)]).reshape(-1, OUTPUTS, k)
    odd = (k - 1) % BYTES + 1
    count, steps = padded.shape[0], (k - odd) // BYTES
    main = padded[:, :, odd:].reshape(count, OUTPUTS, steps, BYTES).transpose(0, 2, 1, 3)
    parts = [padded[:, :, :odd].reshape(count, -1), main.reshape(count, -1)]
    flat = np.concatenate(parts, axis=1).reshape(-1)
    return np.pad(flat, (0, BYTES - odd)) if steps == 0 else flat
