"""Three sums in one 64-bit word, where executed operations are what costs: proofs and packing.

Three pixels lie in fields of 21 bits of a word (runtime_c's fields.h). A word times a weight is
three products; sums of them are exact while each lies in [-2^20, 2^20). How many products that
allows is proven here from the weights, for each input there can be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from nn2wasm.ir import Array, DType, Node
from nn2wasm.ops.interp_outputs import finite_scales, lane_scales, output_operands
from nn2wasm.ops.kernel import Kernel, Lowering, Window, always, stream_lead, window_overlap
from nn2wasm.ops.linear import Linear, Operands, linear_s8
from nn2wasm.ops.spatial import Geometry, image_window, spatial_size
from nn2wasm.ops.tiled_windows import ANY_WINDOW, column_padding
from nn2wasm.quant.arithmetic import S8_MAX, S8_MIN

INTERP = frozenset({"interp"})
"""What kernels need that are made for interpreters."""
HEADERS = ("nn2wasm/fields.h",)
FIELD_BITS, WORD_BYTES = 21, 8
FIELD_LIMIT = 2 ** (FIELD_BITS - 1)
"""Sums reach from this below zero to one below this."""
PIXELS = 3
MOST_WASTE = 1.15
"""Pixels that are computed for each that is wanted, where rows can be chosen so."""
SIGNED, UNSIGNED = (S8_MIN, S8_MAX), (0, S8_MAX - S8_MIN)
"""What inputs can be, as they are and 128 above: so they are packed."""
STEP = 4
"""Products of an output that the innermost loop writes out."""
WIDE, NARROW, FEW = 8, 4, (3, 2, 1)
"""Outputs of a block."""


def block_width(outputs: int) -> int:
    """Outputs of a block: many, but where that computes a third more than are wanted."""
    if outputs < NARROW:
        return outputs
    computed = -(-outputs // WIDE) * WIDE
    wasteful = outputs < 2 * WIDE and 3 * computed > 4 * outputs
    return NARROW if outputs < WIDE or wasteful else WIDE


def field_kernels(
    outputs: Callable[[Node], int], other: Callable[[Node], str] = always
) -> tuple[Kernel, ...]:
    """Rows for convolutions and products: blocks of each width.

    Args:
        outputs: how many outputs of a node read the same inputs.
        other: what else speaks against it.
    """

    def row(width: int) -> Kernel:
        def fits(node: Node) -> str:
            wanted = block_width(outputs(node))
            refusal = f"blocks of {wanted} suit it" if wanted != width else ""
            return refusal or other(node) or fields_refusal(node)

        return Kernel(
            symbol=f"nn_conv_s8_{PIXELS}x{width}__interp",
            template="conv/s8__interp.c.j2",
            dtype="s8",
            needs=INTERP,
            fits=fits,
            headers=HEADERS,
        )

    return tuple(row(width) for width in (WIDE, NARROW, *FEW))


def fields_refusal(node: Node) -> str:
    """Why a linear node on bytes is not computed in fields; empty where it is."""
    if node.output.dtype is not DType.S8:
        return "its output is not 8-bit"
    return finite_scales(node) or several_zero_points(node)


def several_zero_points(node: Node) -> str:
    """Why a kernel refuses that takes one number off all weights."""
    zero_points = weight_zero_points(node)
    return "" if np.all(zero_points == zero_points[:1]) else "its weights have several zero points"


def weight_zero_points(node: Node) -> Array:
    """Of the weights of a linear node, one or one for each output."""
    quant = node.input(1).quant
    assert quant is not None
    return np.asarray(quant.zero_point).reshape(-1).astype(np.int64)


def field_parts(weights: Array, inputs: tuple[int, int]) -> tuple[int, int]:
    """Length and number of the parts in which products of [n][k] weights are summed in fields.

    Parts are equal and as few as keep the sum of each in its field, whatever the inputs are between
    the least and the most that they can be.
    """
    k = weights.shape[1]
    ends = np.stack([weights.astype(np.int64) * end for end in inputs])
    lows, highs = ends.min(0), ends.max(0)
    parts = 0
    while True:
        parts += 1
        part = -(-k // (parts * STEP)) * STEP
        starts = range(0, k, part)
        low = min(int(lows[:, s : s + part].sum(1).min(initial=0)) for s in starts)
        high = max(int(highs[:, s : s + part].sum(1).max(initial=0)) for s in starts)
        if low >= -FIELD_LIMIT and high < FIELD_LIMIT:
            return part, parts


def _parts_of_sums(node: Node, products: Array) -> tuple[int, int]:
    """`field_parts` of [oc][k] weights; of all of a node where this makes some of its outputs."""
    if node.part_of is None:
        return field_parts(products, UNSIGNED)
    return _parts_of_whole(node.part_of.node)


@lru_cache(maxsize=16)
def _parts_of_whole(node: Node) -> tuple[int, int]:
    op: Linear = node.op  # type: ignore[assignment]
    weights = np.moveaxis(node.input(1).value, op.weight_axis, 0)
    products = np.moveaxis(weights, 1, -1).reshape(len(weights), -1).astype(np.int64)
    return field_parts(products - int(weight_zero_points(node)[0]), UNSIGNED)


def pack_blocks(weights: Array, width: int, products: int) -> Array:
    """[n][k] to [blocks][products][width]: zeros behind the last product, the last block the last
    outputs.
    """
    n, k = weights.shape
    padded = np.zeros((n, products), weights.dtype)
    padded[:, :k] = weights
    blocks = padded[block_outputs(n, width)].reshape(-1, width, products)
    return np.ascontiguousarray(blocks.transpose(0, 2, 1))


def block_outputs(n: int, width: int) -> list[int]:
    """Outputs in the order of blocks; the last begins early enough to be whole."""
    whole = n // width * width
    return [*range(whole), *(range(n - width, n) if whole < n else ())]


def field_rows(
    node: Node, weights: Array, geometry: Geometry, groups: int, lo: float, hi: float
) -> Lowering:
    """Convolution with [oc][ic / groups][kh][kw] weights, an output row at a time.

    Args:
        node: inputs x, w, optional b; channels last.
        weights: of `node`.
        geometry: of the window.
        groups: of channels.
        lo: least real result.
        hi: largest real result.
    """
    x, y = node.input(0), node.output
    assert x.quant is not None
    kh, kw = geometry.kernel
    c, ow, oc = x.shape[-1], spatial_size(y.shape, True)[1], y.shape[-1]
    n = oc // groups
    apart = groups > 1 or geometry.dilation[1] > 1
    taps = kw if apart else 1
    products = weights.transpose(0, 2, 3, 1).reshape(oc, -1)
    columns = [count * c for count in column_padding(geometry, x.shape[-2], ow)]
    operands = _field_sums(node, products, n, lo, hi)
    operands.context |= ANY_WINDOW
    operands.sizes |= {
        "pixels": ow,
        "pixel": geometry.stride[1] * c,
        "window": kh,
        "taps": taps,
        "tap": geometry.dilation[1] * c,
        "run": products.shape[1] // (kh * taps),
        "groups": groups,
        "stride": oc,
        "left": columns[0],
        "inside": columns[1],
        "right": columns[2],
    }
    window = image_window(geometry, x, y, int(x.quant.zero_point))
    if geometry.is_pointwise:
        rows = rows_together(window.out_rows, ow)
        window = window if rows == 1 else _joined(window, rows)
        operands.sizes |= {"pixels": rows * ow, "inside": rows * columns[1]}
    staged = kh * sum(columns) if columns[0] + columns[2] else 0
    streams = geometry.is_pointwise and groups == 1
    return _lowering(node, operands, window, staged, streams=streams)


def field_lines(node: Node, weights: Array, lo: float, hi: float) -> Lowering:
    """A product of many lines with [n][k] weights: a row of pixels."""
    n, k = weights.shape
    lines = node.input(0).element_count // k
    operands = _field_sums(node, weights, n, lo, hi)
    operands.context |= ANY_WINDOW
    pixel = {"pixels": lines, "pixel": k, "window": 1, "taps": 1, "tap": k, "run": k}
    operands.sizes |= pixel | {"groups": 1, "stride": n, "left": 0, "inside": lines * k, "right": 0}
    row = Window(
        images=1,
        out_rows=1,
        in_rows=1,
        kernel=1,
        stride=1,
        dilation=1,
        pad=0,
        in_row_elements=lines * k,
        out_row_elements=lines * n,
    )
    return _lowering(node, operands, row, 0, streams=True)


def _lowering(
    node: Node, operands: Operands, window: Window, staged: int, *, streams: bool
) -> Lowering:
    """With scratch for the words of three pixels, and so many bytes that are staged.

    `streams`: these words are all that is needed of pixels once their outputs are written.
    """
    x, y = node.input(0), node.output
    lowering = operands.lowering(window)
    parts = operands.sizes["parts"]
    words = operands.sizes["part"] * parts
    words += parts if operands.context["has_w_zero_point"] else 0
    lowering.scratch_bytes = words * WORD_BYTES + staged
    lowering.scratch_type = "uint64_t"
    overlap = window_overlap(window, x.dtype.bytes, y.dtype.bytes)
    if streams:
        c, oc = x.shape[-1], y.shape[-1]
        overlap = overlap._replace(lead=stream_lead(y.element_count // oc, c, oc))
    return overlap.on(lowering, 0)


def rows_together(rows: int, width: int) -> int:
    """Rows that are taken as one, so that few words lack a pixel; a divisor of all.

    Only narrow images need it: what takes rows together cannot be made row by row.
    """

    def waste(together: int) -> float:
        pixels = together * width
        return -(-pixels // PIXELS) * PIXELS / pixels

    divisors = [d for d in range(1, rows + 1) if rows % d == 0]
    enough = [d for d in divisors if waste(d) <= MOST_WASTE]
    return enough[0] if enough else min(divisors, key=waste)


def _joined(window: Window, rows: int) -> Window:
    """A window of one pixel over so many rows at a time: images of one row each."""
    return replace(
        window,
        images=window.images * (window.out_rows // rows),
        out_rows=1,
        in_rows=1,
        in_row_elements=window.in_row_elements * rows,
        out_row_elements=window.out_row_elements * rows,
    )


def _field_sums(node: Node, weights: Array, n: int, lo: float, hi: float) -> Operands:
    """What templates/kernels/fields/outputs.c.j2 needs for [oc][k] weights, n outputs a group."""
    width, groups = block_width(n), weights.shape[0] // n
    zero_point = int(weight_zero_points(node)[0])
    meant = weights.astype(np.int64) - zero_point
    part, parts = _parts_of_sums(node, meant)
    above = -S8_MIN * meant.sum(1)
    operands = field_operands(node, weights, above + parts * FIELD_LIMIT, lo, hi)
    order = np.asarray(block_outputs(n, width))
    order = np.concatenate([order + n * group for group in range(groups)])
    packed = [pack_blocks(group, width, part * parts) for group in np.split(weights, groups)]
    operands.constants = {"w": np.concatenate(packed)} | {
        name: array[order] for name, array in operands.constants.items()
    }
    steps = [
        {"index": step, "weights": [step * width + lane for lane in range(width)]}
        for step in range(2 * STEP)
    ]
    lanes = list(range(width))
    operands.context |= {
        "width": width,
        "half": STEP,
        "depth": 2 * STEP,
        "lanes": lanes,
        "first_steps": steps[:STEP],
        "steps": steps,
    }
    operands.context["scales"] = lane_scales(operands, "sn", width)
    operands.context |= _starts(operands, zero_point)
    blocks = -(-n // width)
    operands.sizes |= {
        "part": part,
        "parts": parts,
        "blocks": blocks,
        "outputs": n,
        "overlap": blocks * width - n,
    }
    return operands


def _starts(operands: Operands, zero_point: int) -> dict[str, Any]:
    """What sums begin with, first and in each part behind: the zero point of the weights times the
    inputs is taken off, the same for all outputs.
    """
    if not zero_point:
        begin = "NN_FIELD_OFFSETS"
        return {"has_w_zero_point": False, "behind": "", "first": begin, "next": begin}
    operands.sizes["w_zero_point"] = zero_point
    return {
        "has_w_zero_point": True,
        "behind": " + parts",
        "first": "starts[0]",
        "next": "starts[parts - i]",
    }


def field_operands(
    node: Node, weights: Array, above: Array | int, lo: float, hi: float
) -> Operands:
    """Bias and scale of [oc][k] weights, and the sizes that clamp the output.

    Args:
        node: inputs x, w, optional b.
        weights: of `node`.
        above: what sums of products in fields are too high; the bias takes it off.
        lo: least real result.
        hi: largest real result.
    """
    linear = linear_s8(node, weights, lo, hi, fold=True)
    bias = linear.constants["b"].astype(np.int64) - above
    x_zero_point = linear.context["x_zero_point"]
    operands = output_operands(node, linear.constants["scale"], lo, hi)
    stored = bias.astype(np.uint32).view(np.int32)
    # A bias at the end of 32 bits wraps around; sums that it is added to must do so, too.
    operands.context["wrap"] = "(int32_t)" if np.any(stored != bias) else ""
    operands.constants = {"b": stored, **operands.constants}
    operands.sizes["x_zero_point"] = x_zero_point
    return operands
