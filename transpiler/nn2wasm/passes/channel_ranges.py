"""What values each channel of an 8-bit tensor can take: intervals, from the inputs to the outputs.

Exact integer arithmetic on the ends of intervals: requantization is monotonic, so the ends of a sum
give the ends of the result. Channels are the last axis. What is not understood takes all values.
"""

from __future__ import annotations

from math import inf

import numpy as np

from nn2wasm.ir import Array, DType, Graph, Node, Tensor
from nn2wasm.ops.conv import Conv
from nn2wasm.ops.elementwise import Binary
from nn2wasm.ops.gemm import Gemm
from nn2wasm.ops.linear import Linear
from nn2wasm.ops.pair_functions import FUNCTIONS as BINARY_FUNCTIONS
from nn2wasm.ops.pool import AveragePool, MaxPool
from nn2wasm.ops.shape import Reshape
from nn2wasm.ops.table import Table
from nn2wasm.quant.arithmetic import S8_MAX, S8_MIN, integer_bounds, ratio, requantize
from nn2wasm.quant.binary_forms import defined_table

Range = tuple[Array, Array]


def channel_ranges(graph: Graph) -> dict[Tensor, Range]:
    """Lowest and highest value of each channel, int64 [channels], of every s8 activation."""
    ranges: dict[Tensor, Range] = {}
    for tensor in graph.inputs:
        ranges[tensor] = _all_values(tensor)
    for node in graph.nodes:
        for tensor in node.outputs:
            known = _range(node, ranges) if tensor.dtype is DType.S8 else None
            ranges[tensor] = _all_values(tensor) if known is None else known
    return ranges


def _all_values(tensor: Tensor) -> Range:
    channels = tensor.shape[-1] if tensor.shape else 1
    return np.full(channels, S8_MIN, np.int64), np.full(channels, S8_MAX, np.int64)


def _range(node: Node, ranges: dict[Tensor, Range]) -> Range | None:
    op, x = node.op, node.inputs[0] if node.inputs else None
    if x is None or x not in ranges or x.dtype is not DType.S8:
        return None
    if isinstance(op, Conv | Gemm):
        return _linear_range(node, ranges[x])
    if isinstance(op, Table):
        return _table_range(node.input(1).value.astype(np.int64), ranges[x])
    if isinstance(op, MaxPool):
        return ranges[x]
    if isinstance(op, AveragePool):
        return _average_range(node, ranges[x])
    if isinstance(op, Reshape) and x.shape and op.shape and op.shape[-1] == x.shape[-1]:
        return ranges[x]
    if isinstance(op, Binary):
        return _binary_range(node, ranges)
    return None


def linear_weights(node: Node) -> Array:
    """Weights without their zero point, int64 [output channels, taps, channels of a group]."""
    op, w = node.op, node.input(1)
    assert isinstance(op, Linear)
    assert w.quant is not None
    zero_point = w.quant.zero_point.astype(np.int64)
    values = w.value.astype(np.int64)
    if zero_point.ndim:
        zero_point = op.along_weights(zero_point, w.shape)
    values = values - zero_point
    if isinstance(op, Gemm):
        return (values if op.trans_w else values.T)[:, None, :]
    return np.asarray(values.reshape(w.shape[0], w.shape[1], -1).transpose(0, 2, 1))


def _linear_range(node: Node, x_range: Range) -> Range | None:
    op, x, y, w = node.op, node.input(0), node.output, node.input(1)
    assert isinstance(op, Linear)
    if x.quant is None or y.quant is None or w.quant is None or not w.is_constant:
        return None
    zero = int(x.quant.zero_point)
    low, high = x_range[0] - zero, x_range[1] - zero
    if isinstance(op, Conv) and op.geometry.is_padded:
        low, high = np.minimum(low, 0), np.maximum(high, 0)
    weights = linear_weights(node)
    groups = op.groups if isinstance(op, Conv) else 1
    count = weights.shape[0]
    low, high = (np.repeat(v.reshape(groups, -1), count // groups, 0) for v in (low, high))
    low, high = low[:, None, :], high[:, None, :]
    bias = node.optional(2)
    base = np.zeros(count, np.int64) if bias is None else bias.value.reshape(-1).astype(np.int64)
    least = base + np.where(weights > 0, weights * low, weights * high).sum((1, 2))
    most = base + np.where(weights > 0, weights * high, weights * low).sum((1, 2))
    multiplier = ratio(x.quant.scale, np.broadcast_to(w.quant.scale, (count,)), y.quant.scale)
    zero_point = int(y.quant.zero_point)
    bounds = integer_bounds(op.lo, op.hi, y.quant, DType.S8)
    first = requantize(least, multiplier, zero_point, *bounds)
    last = requantize(most, multiplier, zero_point, *bounds)
    return first.astype(np.int64), last.astype(np.int64)


def _table_range(table: Array, x_range: Range) -> Range:
    pairs = list(zip(x_range[0] + 128, x_range[1] + 129, strict=True))
    return (
        np.asarray([table[a:b].min() for a, b in pairs], np.int64),
        np.asarray([table[a:b].max() for a, b in pairs], np.int64),
    )


def _average_range(node: Node, x_range: Range) -> Range | None:
    op, x, y = node.op, node.input(0), node.output
    assert isinstance(op, AveragePool)
    leaves = op.geometry.is_padded or op.geometry.ceil
    if x.quant is None or y.quant is None or (op.include_pad and leaves):
        return None
    taps = int(np.prod(op.geometry.kernel))
    zero = int(x.quant.zero_point)
    lows: list[Array] = []
    highs: list[Array] = []
    for count in range(1, taps + 1) if leaves else (taps,):
        scale = np.float32(x.quant.scale) / np.float32(
            np.float32(y.quant.scale) * np.float32(count)
        )
        for ends, results in ((x_range[0], lows), (x_range[1], highs)):
            sums = (ends - zero) * count
            results.append(requantize(sums, scale, int(y.quant.zero_point), S8_MIN, S8_MAX))
    return np.min(lows, 0).astype(np.int64), np.max(highs, 0).astype(np.int64)


def _binary_range(node: Node, ranges: dict[Tensor, Range]) -> Range | None:
    """Add and Sub of two activations of one shape; they are monotonic in each operand."""
    op, y = node.op, node.output
    assert isinstance(op, Binary)
    a, b = node.input(0), node.input(1)
    if op.function not in ("Add", "Sub") or a.shape != b.shape or b not in ranges:
        return None
    if a.quant is None or b.quant is None or y.quant is None or (op.lo, op.hi) != (-inf, inf):
        return None
    table = defined_table(
        BINARY_FUNCTIONS[op.function].numpy,
        *(
            (float(t.quant.scale), int(t.quant.zero_point))
            for t in (a, b, y)
            if t.quant is not None
        ),
        fused=op.fused,
        unsigned=op.unsigned,
    ).astype(np.int64)
    first, second = ranges[a], ranges[b]
    if op.function == "Sub":
        second = (second[1], second[0])
    return table[first[0] + 128, second[0] + 128], table[first[1] + 128, second[1] + 128]
