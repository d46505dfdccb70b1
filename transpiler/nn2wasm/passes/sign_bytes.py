"""Quantized u8 tensors become s8, 128 lower, so that kernels know one type of byte.

    real = (q − zero_point) · scale = ((q − 128) − (zero_point − 128)) · scale

Likewise u16 tensors become s16, 32,768 lower.

Rules: tensors with a meaning (`quant`) change; the network's own inputs and outputs keep their type
and are flipped at the border, as are tensors that an operation reads as plain bytes, or moves among
such.
"""

from __future__ import annotations

import numpy as np

from nn2wasm.ir import Graph, Node, QuantParams, Tensor
from nn2wasm.ops.quantize import signed_quant
from nn2wasm.ops.sign import FlipSign
from nn2wasm.passes.base import PassOptions


def sign_bytes(graph: Graph, options: PassOptions) -> int:
    changed: dict[Tensor, Tensor] = {}
    for tensor in [*graph.inputs, *_written(graph), *graph.constants()]:
        if tensor.dtype.sign_offset and tensor.quant is not None:
            changed[tensor] = _signed(graph, tensor, tensor.quant)
    if not changed:
        return 0
    nodes = [_flip(graph, old, changed[old]) for old in graph.inputs if old in changed]
    for node in graph.nodes:
        nodes += _rewrite(graph, node, changed)
    for index, tensor in enumerate(graph.outputs):
        if tensor in changed:
            back = Tensor(graph.fresh(tensor.name), tensor.dtype, tensor.shape, tensor.quant)
            nodes.append(_flip(graph, changed[tensor], back))
            graph.outputs[index] = back
    graph.nodes = nodes
    return len(changed)


def _written(graph: Graph) -> list[Tensor]:
    return [tensor for node in graph.nodes for tensor in node.outputs]


def _signed(graph: Graph, tensor: Tensor, quant: QuantParams) -> Tensor:
    dtype, lower = tensor.dtype.signed, signed_quant(quant, tensor.dtype)
    if tensor.data is not None:
        data = (tensor.data.astype(np.int32) - tensor.dtype.sign_offset).astype(dtype.numpy)
        return graph.constant(tensor.name, data, lower)
    return Tensor(graph.fresh(tensor.name), dtype, tensor.shape, lower, source=tensor.source)


def _rewrite(graph: Graph, node: Node, changed: dict[Tensor, Tensor]) -> list[Node]:
    """The node on signed tensors, or between flips where it reads plain bytes."""
    tensors = [*node.present_inputs, *node.outputs]
    if not any(t in changed for t in tensors):
        return [node]
    signed = node.op.signed(node)
    apart = node.op.moves and any(t.dtype.sign_offset and t not in changed for t in tensors)
    if signed is not None and not apart:
        node.op = signed
        node.inputs = [changed.get(t, t) if t is not None else None for t in node.inputs]
        node.outputs = [changed.get(t, t) for t in node.outputs]
        return [node]
    before, after = [], []
    for index, tensor in enumerate(node.inputs):
        if tensor in changed and tensor is not None and not tensor.is_constant:
            plain = Tensor(graph.fresh(tensor.name), tensor.dtype, tensor.shape)
            before.append(_flip(graph, changed[tensor], plain))
            node.inputs[index] = plain
    for tensor in node.outputs:
        if tensor in changed:
            after.append(_flip(graph, tensor, changed[tensor]))
    return [*before, node, *after]


def _flip(graph: Graph, source: Tensor, result: Tensor) -> Node:
    return graph.make(FlipSign(), [source], name=f"{source.name}_sign", outputs=[result])
