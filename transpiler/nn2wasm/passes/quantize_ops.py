"""Operations between quantizers compute on integers.

    Quantize(op(Dequantize(q), …)) = op(q, …)

Rules: every activation comes from a DequantizeLinear of 8-bit integers with one scale; every reader
of the result quantizes alike to 8 bits. Linear operations also need weights that are dequantized
from 8-bit constants, with a scale for each output channel or one for all, and take a bias from
dequantized or plain constants, rounded to the sum's scale x_scale · w_scale; without a quantizer
behind them they give floats.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from nn2wasm.ir import DType, Graph, Node, QuantParams, Tensor
from nn2wasm.ops.folding import fold
from nn2wasm.ops.linear import Linear
from nn2wasm.ops.quantize import Dequantize, Quantize
from nn2wasm.passes.base import PassOptions
from nn2wasm.passes.edges import Edges

S32_LIMIT = 2**31 - 1


def quantize_ops(graph: Graph, options: PassOptions) -> int:
    count = 0
    edges = Edges(graph)
    for node in list(graph.nodes):
        if not node.op.quantizable or len(node.outputs) != 1 or node.output.dtype is not DType.F32:
            continue
        done = (
            _quantize_linear(graph, edges, node, options)
            if isinstance(node.op, Linear)
            else _quantize_plain(graph, edges, node)
        )
        if done:
            edges.rewired(node)
            count += 1
    graph.sort()
    return count


def _quantize_plain(graph: Graph, edges: Edges, node: Node) -> bool:
    inputs = [_integers(edges, tensor) for tensor in node.inputs]
    quantizer = _quantizer(edges, node.output)
    if quantizer is None or not inputs or any(tensor is None for tensor in inputs):
        return False
    node.inputs = list(inputs)
    _write_integers(graph, edges, node, quantizer)
    return True


def _quantize_linear(graph: Graph, edges: Edges, node: Node, options: PassOptions) -> bool:
    x = _integers(edges, node.inputs[0])
    weight_source = edges.producer(node.inputs[1], Dequantize)
    if x is None or x.quant is None or weight_source is None:
        return False
    w = weight_source.input(0)
    if not w.is_constant or not w.dtype.is_byte or w.quant is None:
        return False
    assert isinstance(node.op, Linear)
    if w.quant.axis not in (None, node.op.weight_axis):
        return False
    static, bias = _integer_bias(graph, edges, node, x.quant, w.quant, options)
    if not static:
        return False
    quantizer = _quantizer(edges, node.output)
    node.inputs = [x, w, bias]
    op: Any = node.op
    if quantizer is None:
        node.op = replace(op, output_dtype=DType.F32)
        return True
    node.op = replace(op, output_dtype=_dtype(quantizer))
    _write_integers(graph, edges, node, quantizer)
    return True


def _integers(edges: Edges, tensor: Tensor | None) -> Tensor | None:
    """The 8-bit integers that the tensor was dequantized from, per tensor."""
    before = edges.producer(tensor, Dequantize)
    if before is None:
        return None
    q = before.input(0)
    if not q.dtype.is_byte or q.quant is None or q.quant.axis is not None:
        return None
    return q


def _quantizer(edges: Edges, tensor: Tensor) -> Node | None:
    """A node that quantizes the tensor to 8 bits as all its readers do."""
    readers = edges.readers(tensor)
    if not readers or edges.is_output(tensor):
        return None
    first = readers[0].op
    if not isinstance(first, Quantize) or not first.dtype.is_byte or first.quant.axis is not None:
        return None
    for reader in readers:
        op = reader.op
        if not isinstance(op, Quantize) or op.dtype is not first.dtype:
            return None
        if not op.quant.same_as(first.quant):
            return None
    return readers[0]


def _dtype(quantizer: Node) -> DType:
    assert isinstance(quantizer.op, Quantize)
    return quantizer.op.dtype


def _write_integers(graph: Graph, edges: Edges, node: Node, quantizer: Node) -> None:
    """The node writes what its quantizer wrote; other quantizers of it become readers."""
    for reader in edges.readers(node.output):
        if reader is not quantizer:
            graph.replace_uses(reader.output, quantizer.output)
        graph.remove(reader)
    node.origin += quantizer.origin
    node.outputs = quantizer.outputs
    assert isinstance(quantizer.op, Quantize)
    node.output.quant = quantizer.op.quant


def _integer_bias(
    graph: Graph,
    edges: Edges,
    node: Node,
    x: QuantParams,
    w: QuantParams,
    options: PassOptions,
) -> tuple[bool, Tensor | None]:
    """Whether the bias is static, and it in units of x_scale · w_scale, s32."""
    bias = node.optional(2)
    if bias is None:
        return True, None
    scale = (x.scale * w.scale).astype(np.float32).reshape(-1)
    values, source = _static_bias(edges, bias, options)
    if values is None or values.size % scale.size:
        return False, None
    scale = np.tile(scale, values.size // scale.size)  # a scale for each channel of a group
    if source is not None and source.quant is not None and not np.any(source.quant.zero_point):
        own = source.quant.scale.reshape(-1)
        if source.dtype is DType.S32 and np.allclose(own, scale, rtol=1e-5, atol=0):
            return True, graph.constant(bias.name, source.value.reshape(-1))
    integers = np.rint(values.reshape(-1).astype(np.float64) / scale.astype(np.float64))
    clipped = np.clip(integers, -S32_LIMIT, S32_LIMIT).astype(np.int32)
    return True, graph.constant(bias.name, clipped)


def _static_bias(edges: Edges, bias: Tensor, options: PassOptions) -> tuple[Any, Tensor | None]:
    """Values of a constant bias, and the integers that it was dequantized from, through views."""
    if bias.is_constant:
        return bias.value, None
    node = edges.producer(bias)
    while node is not None and node.op.moves and len(node.present_inputs) == 1:
        node = edges.producer(node.inputs[0])
    if node is None or not isinstance(node.op, Dequantize) or not node.input(0).is_constant:
        return None, None
    arrays = fold(node.op, node.inputs, options.fold_elements, node.describe(), lazy=True)
    return (None, None) if arrays is None else (arrays[0], node.input(0))
