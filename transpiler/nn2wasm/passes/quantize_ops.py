"""Operations between quantizers compute on integers.

    Quantize(op(Dequantize(q), …)) = op(q, …)

Rules: every activation comes from a DequantizeLinear of integers of 8 or 16 bits with one scale;
every reader of the result quantizes alike to such integers; with 16 bits, the operation has kernels
for them. Linear operations also need weights that are dequantized from such constants, with a scale
for each output channel or one for all, and take a bias from dequantized or plain constants, rounded
to the sum's scale x_scale · w_scale; without a quantizer behind them they give floats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nn2wasm.ir import DType, Graph, Node, Tensor
from nn2wasm.ops.folding import fold
from nn2wasm.ops.linear import Linear
from nn2wasm.ops.linear_s16 import fit_16_bits
from nn2wasm.ops.quantize import Dequantize, Quantize
from nn2wasm.passes.base import PassOptions
from nn2wasm.passes.edges import Edges

S32_LIMIT = 2**31 - 1
BIAS_LIMIT = 2**61
"""Of biases in 64 bits: there is room for the sum of products."""


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
    dtype = _dtype(quantizer)
    if not dtype.is_byte and not node.op.computes(dtype):
        return False
    inputs = [_widened(graph, tensor, dtype) for tensor in inputs]
    if any(tensor is None or tensor.dtype is not dtype for tensor in inputs):
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
    if not w.is_constant or not w.dtype.is_narrow or w.quant is None:
        return False
    assert isinstance(node.op, Linear)
    if w.quant.axis not in (None, node.op.weight_axis):
        return False
    quantizer = _quantizer(edges, node.output)
    if not _computes(node, [x, w, quantizer.output if quantizer else None]):
        return False
    if not fit_16_bits(node.op, w):
        return False
    static, bias = _integer_bias(graph, edges, node, x, w, options)
    if not static:
        return False
    node.inputs = [x, w, bias]
    op: Any = node.op
    if quantizer is None:
        node.op = replace(op, output_dtype=DType.F32)
        return True
    node.op = replace(op, output_dtype=_dtype(quantizer))
    _write_integers(graph, edges, node, quantizer)
    return True


def _integers(edges: Edges, tensor: Tensor | None) -> Tensor | None:
    """The integers that the tensor was dequantized from, per tensor."""
    before = edges.producer(tensor, Dequantize)
    if before is None:
        return None
    q = before.input(0)
    if not q.dtype.is_narrow or q.quant is None or q.quant.axis is not None:
        return None
    return q


def _widened(graph: Graph, tensor: Tensor | None, dtype: DType) -> Tensor | None:
    """A constant of bytes where the others have 16 bits: the same numbers, as wide."""
    if tensor is None or not tensor.is_constant or tensor.dtype.bytes >= dtype.bytes:
        return tensor
    return graph.constant(tensor.name, tensor.value.astype(dtype.numpy), tensor.quant)


def _quantizer(edges: Edges, tensor: Tensor) -> Node | None:
    """A node that quantizes the tensor to 8 or 16 bits as all its readers do."""
    readers = edges.readers(tensor)
    if not readers or edges.is_output(tensor):
        return None
    first = readers[0].op
    if not isinstance(first, Quantize) or not first.dtype.is_narrow or first.quant.axis is not None:
        return None
    for reader in readers:
        op = reader.op
        if not isinstance(op, Quantize) or op.dtype is not first.dtype:
            return None
        if not op.quant.same_as(first.quant):
            return None
    return readers[0]


def _computes(node: Node, tensors: Sequence[Tensor | None]) -> bool:
    """Whether the operation has kernels for the widest of those integers."""
    is_wide = any(tensor is not None and not tensor.dtype.is_byte for tensor in tensors)
    return not is_wide or node.op.computes(DType.S16)


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
    x: Tensor,
    w: Tensor,
    options: PassOptions,
) -> tuple[bool, Tensor | None]:
    """Whether the bias is static, and it in units of x_scale · w_scale: s32, or s64 where integers
    of 16 bits make these units so small that it needs them.
    """
    bias = node.optional(2)
    if bias is None:
        return True, None
    assert x.quant is not None
    assert w.quant is not None
    scale = (x.quant.scale * w.quant.scale).astype(np.float32).reshape(-1)
    values, source = _static_bias(edges, bias, options)
    if values is None or values.size % scale.size:
        return False, None
    scale = np.tile(scale, values.size // scale.size)  # a scale for each channel of a group
    if source is not None and source.quant is not None and not np.any(source.quant.zero_point):
        own = source.quant.scale.reshape(-1)
        if source.dtype is DType.S32 and np.allclose(own, scale, rtol=1e-5, atol=0):
            return True, graph.constant(bias.name, source.value.reshape(-1))
    integers = np.rint(values.reshape(-1).astype(np.float64) / scale.astype(np.float64))
    is_wide = not (x.dtype.is_byte and w.dtype.is_byte)
    if is_wide and np.abs(integers).max(initial=0) > S32_LIMIT:
        clipped = np.clip(integers, -BIAS_LIMIT, BIAS_LIMIT).astype(np.int64)
    else:
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
