"""Depthwise convolution with sums in fields of a word, for interpreters.

The sums of up to three outputs beside each other lie in one word, in fields of 21 bits, or of 32
where two are enough. A column of the image adds to each of them its product with another weight:
one product of words for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from nn2wasm.ir import Array, Node
from nn2wasm.ops.kernel import Kernel, Lowering, window_overlap
from nn2wasm.ops.packed_fields import (
    FIELD_BITS,
    HEADERS,
    INTERP,
    PIXELS,
    SIGNED,
    field_operands,
    field_parts,
    fields_refusal,
    weight_zero_points,
)
from nn2wasm.ops.spatial import Geometry, image_window, spatial_size
from nn2wasm.ops.tiled_windows import ANY_WINDOW

MOST_TAPS = 32
"""Products of a step that are written out."""


def depthwise_field_kernel(
    fits: Callable[[Node], str], geometry: Callable[[Node], Geometry]
) -> Kernel:
    """The row for depthwise convolutions."""

    def refusal(node: Node) -> str:
        if reason := fits(node) or fields_refusal(node):
            return reason
        if sum(len(column["taps"]) for column in _columns(geometry(node))) > MOST_TAPS:
            return f"more than {MOST_TAPS} products a step"
        if _fields(geometry(node)) < PIXELS:
            return ""
        weights = node.input(1).value.reshape(node.output.shape[-1], -1).astype(np.int64)
        weights -= weight_zero_points(node)[0]
        return "its sums need more than a field" if field_parts(weights, SIGNED)[1] > 1 else ""

    return Kernel(
        symbol=f"nn_depthwise_s8_{PIXELS}x1__interp",
        template="depthwise/s8__interp.c.j2",
        dtype="s8",
        needs=INTERP,
        fits=refusal,
        headers=HEADERS,
    )


def depthwise_fields(
    node: Node, weights: Array, geometry: Geometry, lo: float, hi: float
) -> Lowering:
    """Depthwise convolution with [c][1][kh][kw] weights, an output row at a time."""
    x, y = node.input(0), node.output
    assert x.quant is not None
    c = weights.shape[0]
    flat = np.ascontiguousarray(weights.reshape(c, -1))
    zero_point = int(weight_zero_points(node)[0])
    less = " - w_zero_point" if zero_point else ""
    form, columns = _sums(_fields(geometry)), _columns(geometry, less)
    operands = field_operands(node, flat, form.begin, lo, hi)
    operands.constants = {"w": flat, **operands.constants}
    operands.context |= ANY_WINDOW | {
        "kh": geometry.kernel[0],
        "kw": geometry.kernel[1],
        "step": geometry.stride[1],
        "count": _count(geometry.stride[1]),
        "columns": columns,
        "last_column": columns[-1]["offset"],
        "ahead": _fields(geometry) - 1,
        "bits": _bits(_fields(geometry)),
        **form.context,
    }
    operands.context["lowest"] = f"{operands.context['wrap']}{form.context['lowest']}"
    operands.sizes |= {
        "channels": c,
        "pixels": spatial_size(y.shape, True)[1],
        "width": spatial_size(x.shape, True)[1],
        "pad": geometry.pad_begin[1],
    }
    if zero_point:
        operands.sizes["w_zero_point"] = zero_point
    window = image_window(geometry, x, y, int(x.quant.zero_point))
    return window_overlap(window, x.dtype.bytes, y.dtype.bytes).on(operands.lowering(window), 0)


def _fields(geometry: Geometry) -> int:
    """Outputs whose sums are under way at a time."""
    return min(PIXELS, -(-_reach(geometry) // geometry.stride[1]))


def _reach(geometry: Geometry) -> int:
    """Columns from the first under a window to the last."""
    return (geometry.kernel[1] - 1) * geometry.dilation[1] + 1


class Sums(NamedTuple):
    """How sums under way lie in a word.

    Attributes:
        begin: what each sum begins with, so that none borrows from the next.
        context: how a word begins, moves down to the next output, and gives the lowest sum.
    """

    begin: int
    context: dict[str, str]


def _sums(fields: int) -> Sums:
    bits = _bits(fields)
    wide = "(int32_t)(bias + (uint32_t)sums)"
    if fields == 1:
        return Sums(0, {"begin": "0", "next": "0", "bias": "uint32_t", "lowest": wide})
    tops = [bits * (field + 1) - 1 for field in range(fields)]
    narrow = fields == PIXELS
    context = {
        "begin": " | ".join(f"(uint64_t)1 << {top}" for top in tops),
        "next": f"(sums >> {bits}) + ((uint64_t)1 << {tops[-1]})",
        "bias": "int64_t" if narrow else "uint32_t",
        "lowest": "(bias + nn_field0(sums))" if narrow else wide,
    }
    return Sums(1 << tops[0], context)


def _count(step: int) -> str:
    """Outputs from a window that begins at `left` on to the last inside the image, in C."""
    return f"(inside - left + {step - 1}) / {step}" if step > 1 else "inside - left"


def _bits(fields: int) -> int:
    """Of a field."""
    return FIELD_BITS if fields == PIXELS else 64 // fields


def _columns(geometry: Geometry, less: str = "") -> list[dict[str, Any]]:
    """Columns that a step adds to the sums, from its first on, each with a word for each row.

    The column that lies `offset` behind the first of the windows of output ox + fields - 1 lies
    under their taps kx = offset, and under kx = offset + stride of those one output before; where
    columns are dilated, under taps of such offsets. `less`: what is taken off the weights, in C.
    """
    kh, kw = geometry.kernel
    stride, dilation, fields = geometry.stride[1], geometry.dilation[1], _fields(geometry)
    reach = _reach(geometry)
    bits = _bits(fields)
    columns: list[dict[str, Any]] = []
    index = 0
    for offset in _offsets(reach, stride, fields):
        under = [offset + stride * j for j in reversed(range(fields))]
        kxs = [(field, at // dilation) for field, at in enumerate(under) if at % dilation == 0]
        if not any(kx < kw for _, kx in kxs):
            continue
        taps = []
        for ky in range(kh):
            numbers = [
                f"(nn_factor(w[{ky * kw + kx}]{less}) << {bits * field})"
                if field
                else f"nn_factor(w[{ky * kw + kx}]{less})"
                for field, kx in kxs
                if kx < kw
            ]
            taps.append({"index": index, "row": ky, "fields": " + ".join(numbers)})
            index += 1
        total = " + ".join(f"w{tap['index']}" for tap in taps)
        columns.append({"offset": offset, "taps": taps, "sum": total})
    return columns


def _offsets(kw: int, stride: int, fields: int) -> Iterator[int]:
    """Columns that no other has as its tap of an output before."""
    for begin in range(0, kw, fields * stride):
        yield from range(begin, min(begin + stride, kw))
