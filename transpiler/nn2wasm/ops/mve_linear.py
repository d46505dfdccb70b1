"""Products and convolutions on Helium: sums run along the inputs, two pixels by four outputs.

Sixteen products of bytes, or eight of inputs of 16 bits, are one instruction that adds them to an
integer register; eight such sums leave registers for the pointers. Inputs are multiplied where they
lie, or in patches, the inputs under two windows; what is left of whole vectors is read with a mask.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from nn2wasm.ir import Array, DType, Node
from nn2wasm.ops.kernel import Kernel, Lowering, Rows, always, rows_overlap, window_overlap
from nn2wasm.ops.linear import linear_s8
from nn2wasm.ops.linear_s16 import linear_s16
from nn2wasm.ops.spatial import image_window, spatial_size
from nn2wasm.ops.tiled import weight_zero_point
from nn2wasm.ops.tiled_s16 import short_operands
from nn2wasm.ops.tiled_windows import ANY_WINDOW
from nn2wasm.ops.tiles import fill_lanes
from nn2wasm.quant.arithmetic import integer_bounds
from nn2wasm.target import SMALL

if TYPE_CHECKING:
    from nn2wasm.ops.conv import Conv
    from nn2wasm.ops.gemm import Gemm
    from nn2wasm.ops.linear import Linear

MVE = frozenset({"mve"})
OUTPUTS = 4
"""Of a tile."""
MOST_ROWS = 16
"""Of a call, where a matrix is multiplied."""
HEADERS = ("nn2wasm/mve.h",)
DTYPES = ("s8", "s16")
"""Of the kernels here, as rows name them."""


VECTORS: dict[DType, dict[str, Any]] = {
    DType.S8: {
        "lanes": 16,
        "vector": "nn_s8x16",
        "load_inputs": "nn_load_first",
        "load_weights": "nn_load16",
        "products": "nn_products16",
        "dots": "nn_dots",
        "copy": "nn_copy",
        "fill": "nn_fill",
    },
    DType.S16: {
        "lanes": 8,
        "vector": "nn_s16x8",
        "load_inputs": "nn_load_first8",
        "load_weights": "nn_load_widened",
        "products": "nn_products8",
        "dots": "nn_short_dots",
        "copy": "nn_copy_shorts",
        "fill": "nn_fill_shorts",
    },
}
"""Of inputs: how many have a vector, and what templates call its type and functions."""
STORES = {
    DType.S8: {"store": "nn_store4", "all_four": "", "store_first": "nn_store_first"},
    DType.S16: {
        "store": "nn_store_first_shorts",
        "all_four": ", 4",
        "store_first": "nn_store_first_shorts",
    },
}
"""Of results."""


def gives_bytes(node: Node) -> str:
    """Why sums of plain products do not become bytes."""
    if node.output.dtype is not DType.S8:
        return "its results are not bytes"
    return weight_zero_point(node)


def _sums_serve(node: Node) -> str:
    """Why sums of plain products, in 32 bits, do not become bytes or integers of 16 bits."""
    op: Linear = node.op  # type: ignore[assignment]
    if op.kernel_dtype(node) == DType.S8.value:
        return gives_bytes(node)
    return short_operands(node) or ("its results are real" if node.output.quant is None else "")


def _one_group(node: Node) -> str:
    op: Conv = node.op  # type: ignore[assignment]
    return _sums_serve(node) or ("" if op.groups == 1 else "it has groups")


def _pointwise(node: Node) -> str:
    op: Conv = node.op  # type: ignore[assignment]
    return _one_group(node) or ("" if op.geometry.is_pointwise else "not 1x1 of stride 1")


def _one_row(node: Node) -> str:
    return _sums_serve(node) or ("" if _row_count(node) == 1 else "it has several rows")


def mve_kernel(
    symbol: str,
    template: str,
    fits: Callable[[Node], str] = always,
    lower: Callable[[Node], Lowering] | None = None,
    *,
    small: bool = False,
    dtype: str = "s8",
) -> Kernel:
    """A row of a kernel table; symbol and template without what names the instruction set."""
    return Kernel(
        symbol=f"{symbol}__mve",
        template=f"{template}__mve.c.j2",
        dtype=dtype,
        needs=MVE | {SMALL} if small else MVE,
        fits=fits,
        headers=HEADERS,
        lower=lower,
    )


def mve_gemm_kernels() -> tuple[Kernel, ...]:
    """Products with a constant matrix: of one row, of several; on bytes and on 16 bits."""
    return tuple(
        mve_kernel(f"nn_gemm_{dtype}_{tile}", "gemm/dots", fits, _lower_product, dtype=dtype)
        for dtype in DTYPES
        for tile, fits in (("1x4", _one_row), ("2x4", _sums_serve))
    )


def mve_conv_kernels() -> tuple[Kernel, ...]:
    """Convolutions without groups."""
    uniform = partial(_lower_pointwise, uniform=True)
    return tuple(
        mve_kernel(f"nn_{kind}_{dtype}_2x4", f"{kind}/dots", fits, lower, small=small, dtype=dtype)
        for dtype in DTYPES
        for kind, fits, lower, small in (
            ("gemm", _pointwise, uniform, True),
            ("gemm", _pointwise, _lower_pointwise, False),
            ("conv", _one_group, _lower_patches, False),
        )
    )


def _row_count(node: Node) -> int:
    return node.output.element_count // node.output.shape[-1]


def _lower_product(node: Node) -> Lowering:
    """A product with a matrix [k, n] or [n, k], as many rows a call as divide all."""
    op: Gemm = node.op  # type: ignore[assignment]
    w, count = node.input(1).value, _row_count(node)
    rows = max(d for d in range(1, MOST_ROWS + 1) if count % d == 0)
    return _product(node, w if op.trans_w else w.T, rows)


def _lower_pointwise(node: Node, *, uniform: bool = False) -> Lowering:
    """A product for a row of pixels at a time; `uniform`: by one function for any number."""
    x, oc = node.input(0), node.output.shape[-1]
    return _product(node, node.input(1).value.reshape(oc, -1), x.shape[-2], uniform=uniform)


def _product(node: Node, weights: Array, pixels: int, *, uniform: bool = False) -> Lowering:
    """A product with [n, k] weights, some pixels a call."""
    x, y = node.input(0), node.output
    n, k = weights.shape
    lowering = _lowering(node, weights, pixels)
    pair, single = _tile(paired=True), _tile(paired=False)
    if uniform:
        pair |= {"left": 0, "next": "(m > 1)"}  # of an odd number the last is both of a pair
    tiles = [pair] if uniform or pixels > 1 else []
    lowering.context["tiles"] = tiles + ([single] if pixels % 2 and not uniform else [])
    rows = Rows(
        count=x.element_count // (k * pixels),
        in_row_elements=k * pixels,
        out_row_elements=n * pixels,
    )
    lowering.walk = rows
    return rows_overlap(rows, x.dtype.bytes, y.dtype.bytes).on(lowering, 0)


def _tile(*, paired: bool) -> dict[str, Any]:
    """One pixel or two: what templates/kernels/linear/dots.c.j2 needs."""
    return {"rows": range(1 + paired), "paired": paired, "left": 1, "next": 1}


def _lower_patches(node: Node) -> Lowering:
    """The inputs under two windows are gathered, then multiplied with weights [oc][ky][kx][ic]."""
    op: Conv = node.op  # type: ignore[assignment]
    x, y, geometry = node.input(0), node.output, op.geometry
    oc, c = y.shape[-1], x.shape[-1]
    weights = node.input(1).value.reshape(oc, c, *geometry.kernel)
    lowering = _lowering(node, weights.transpose(0, 2, 3, 1).reshape(oc, -1), y.shape[-2])
    assert x.quant is not None
    lowering.context |= ANY_WINDOW | {"dense": geometry.dilation[1] == 1}
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
    lowering.scratch_bytes = 2 * lowering.sizes["inputs"] * x.dtype.bytes
    lowering.scratch_type = x.dtype.c_name
    window = image_window(geometry, x, y, int(x.quant.zero_point))
    lowering.walk = window
    return window_overlap(window, x.dtype.bytes, y.dtype.bytes).on(lowering, 0)


def _lowering(node: Node, weights: Array, pixels: int) -> Lowering:
    """Of a sum over [n, k] weights, so many pixels a call."""
    n, k = weights.shape
    x, y = node.input(0).dtype, node.output.dtype
    context = {
        "x_type": x.c_name,
        "y_type": y.c_name,
        "tile": _tile(paired=pixels > 1),
        "outputs_of_tile": range(OUTPUTS),
        "pad": "    ",
        **VECTORS[x],
        **STORES[y],
    }
    panels = _panels(weights, context["lanes"])
    lowering = Lowering(context=context, constants={"w": panels})
    lowering.constants |= sum_constants(node, weights)
    for key in ("b", "scale"):
        lowering.constants[key] = fill_lanes(lowering.constants[key])
    lowering.sizes = {"pixels": pixels, "inputs": k, "outputs": n} | output_sizes(node)
    return lowering


def sum_constants(node: Node, weights: Array) -> dict[str, Array]:
    """Bias, with the part of the input's zero point, and scale of [n, k] weights."""
    op: Linear = node.op  # type: ignore[assignment]
    if node.input(0).dtype is DType.S8:
        return linear_s8(node, weights, op.lo, op.hi, fold=True).constants
    constants = linear_s16(node, weights, op.lo, op.hi, fold=True, uniform_scale=False).constants
    return {name: constants[name] for name in ("b", "scale")}


def output_sizes(node: Node) -> dict[str, int]:
    """Zero point and bounds of the output."""
    op: Linear = node.op  # type: ignore[assignment]
    quant = node.output.quant
    assert quant is not None
    low, high = integer_bounds(op.lo, op.hi, quant, node.output.dtype)
    return {"y_zero_point": int(quant.zero_point), "y_lo": low, "y_hi": high}


def _panels(weights: Array, lanes: int) -> Array:
    """[n][k] to [n / 4][k / lanes][4][lanes], the first of k narrower, zeros behind the last of n.

    Behind all of it are so many zeros that a vector may begin at any weight.
    """
    n, k = weights.shape
    padded = np.pad(weights, [(0, -n % OUTPUTS), (0, 0)]).reshape(-1, OUTPUTS, k)
    odd = (k - 1) % lanes + 1
    count, steps = padded.shape[0], (k - odd) // lanes
    main = padded[:, :, odd:].reshape(count, OUTPUTS, steps, lanes).transpose(0, 2, 1, 3)
    parts = [padded[:, :, :odd].reshape(count, -1), main.reshape(count, -1)]
    flat = np.concatenate(parts, axis=1).reshape(-1)
    return np.pad(flat, (0, lanes - odd)) if steps == 0 else flat
