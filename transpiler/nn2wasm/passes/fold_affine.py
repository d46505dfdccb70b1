"""Folds what follows a linear op, channel by channel, into its weights: batch normalization.

    (w·x + b) · m + a  =  (w·m)·x + (b·m + a)

Rules: the linear op (Conv, ConvTranspose, Gemm) has one reader; its weights are constant floats
where they are scaled; the other operand is constant with one value for each output channel, or all
alike. A bias that is dequantized from constants moves into an empty bias input as it is.
"""

from __future__ import annotations

from math import inf

import numpy as np

from nn2wasm.ir import Array, Graph, Node, Tensor
from nn2wasm.ops.elementwise import Binary
from nn2wasm.ops.linear import Linear
from nn2wasm.ops.quantize import Dequantize
from nn2wasm.ops.shape import Reshape
from nn2wasm.passes.base import PassOptions
from nn2wasm.passes.edges import Edges


def fold_affine(graph: Graph, options: PassOptions) -> int:
    """Repeats until nothing changes; returns the number of nodes folded."""
    count = 0
    changed = True
    while changed:
        changed = False
        edges = Edges(graph)
        for node in list(graph.nodes):
            if isinstance(node.op, Binary) and _fold(graph, edges, node):
                count += 1
                changed = True
                break
    return count


def _fold(graph: Graph, edges: Edges, node: Node) -> bool:
    op = node.op
    assert isinstance(op, Binary)
    if op.function not in ("Add", "Sub", "Mul", "Div") or node.output.quant is not None:
        return False
    if (op.lo, op.hi) != (-inf, inf):
        return False
    for index in (0, 1):
        linear, other = edges.producer(node.input(index)), node.input(1 - index)
        if linear is None or not isinstance(linear.op, Linear):
            continue
        if index == 1 and op.function in ("Sub", "Div"):
            continue
        if edges.only_reader(linear.output) is not node or not _plain(linear):
            continue
        if node.output.shape != linear.output.shape:
            continue
        if _absorb(graph, edges, linear, op.function, other):
            linear.origin += node.origin
            linear.outputs = node.outputs
            graph.remove(node)
            graph.nodes.remove(linear)
            position = _first_use(graph, linear.output)
            graph.nodes.insert(position, linear)
            graph.sort()
            return True
    return False


def _first_use(graph: Graph, tensor: Tensor) -> int:
    for index, node in enumerate(graph.nodes):
        if tensor in node.present_inputs:
            return index
    return len(graph.nodes)


def _plain(linear: Node) -> bool:
    op = linear.op
    assert isinstance(op, Linear)
    return (op.lo, op.hi) == (-inf, inf) and op.output_dtype is None and not linear.input(0).quant


def _absorb(graph: Graph, edges: Edges, linear: Node, function: str, other: Tensor) -> bool:
    assert isinstance(linear.op, Linear)
    channels = _channel_count(linear)
    bias = linear.optional(2)
    if not other.is_constant:
        source = edges.producer(other, Dequantize)
        static = source is not None and source.input(0).is_constant
        if function != "Add" or not static or bias is not None:
            return False
        return _move_bias(graph, linear, other, channels)
    values = _per_channel(linear, other.value)
    if values is None or (bias is not None and not bias.is_constant):
        return False
    old = np.zeros(channels, np.float64) if bias is None else bias.value.reshape(-1)
    new = old.astype(np.float64)
    if function in ("Mul", "Div"):
        weights = linear.input(1)
        if not weights.is_constant or weights.value.dtype != np.float32:
            return False
        factor = 1.0 / values if function == "Div" else values
        scaled = weights.value.astype(np.float64) * linear.op.along_weights(factor, weights.shape)
        linear.inputs[1] = graph.constant(weights.name, scaled.astype(np.float32))
        new = new * factor
    else:
        new = new + (values if function == "Add" else -values)
    stem = f"{linear.name}_bias" if bias is None else bias.name
    tensor = graph.constant(stem, new.astype(np.float32))
    linear.inputs = [linear.inputs[0], linear.inputs[1], tensor]
    return True


def _move_bias(graph: Graph, linear: Node, other: Tensor, channels: int) -> bool:
    """A dequantized bias becomes the bias input, reshaped to a vector."""
    if other.element_count != channels or other.shape[_channel_axis(linear)] != channels:
        return False
    if other.shape != (channels,):
        view = graph.make(Reshape((channels,)), [other], name=f"{linear.name}_bias")
        graph.insert_before(linear, [view])
        other = view.output
    linear.inputs = [linear.inputs[0], linear.inputs[1], other]
    return True


def _channel_axis(linear: Node) -> int:
    assert isinstance(linear.op, Linear)
    return linear.op.output_axis(len(linear.output.shape))


def _channel_count(linear: Node) -> int:
    return linear.output.shape[_channel_axis(linear)]


def _per_channel(linear: Node, values: Array) -> Array | None:
    """One value for each output channel as float64, None where they vary otherwise."""
    channels, axis = _channel_count(linear), _channel_axis(linear)
    if values.size == 1:
        return np.full(channels, values.reshape(-1)[0], np.float64)
    if values.ndim < -axis or values.shape[axis] != channels or values.size != channels:
        return None
    return values.reshape(-1).astype(np.float64)
