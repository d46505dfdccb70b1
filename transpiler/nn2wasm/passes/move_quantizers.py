"""Brings quantizers next to the operations that compute, past those that only move elements.

    Quantize(M(x))   =  M(Quantize(x))          M a MaxPool, Reshape, Transpose, Concat, Pad …
    M(Dequantize(q)) =  Dequantize(M(q))
    Quantize(Dequantize(q)) = q                 where both have one scale and zero point

Rules: 8 or 16 bits, one per-tensor scale for all operands; a Pad's value must be exact in
integers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nn2wasm.ir import DType, Graph, Node, Op, QuantParams, Tensor
from nn2wasm.ops.joining import Pad
from nn2wasm.ops.quantize import Dequantize, Quantize
from nn2wasm.passes.base import PassOptions
from nn2wasm.passes.edges import Edges
from nn2wasm.quant.arithmetic import dequantize, quantize


def move_quantizers(graph: Graph, options: PassOptions) -> int:
    """Repeats until nothing moves; returns the number of moves."""
    count = 0
    changed = True
    while changed:
        changed = False
        edges = Edges(graph)
        for node in list(graph.nodes):
            if (
                _cancel(graph, edges, node)
                or _hoist(graph, edges, node)
                or _sink(graph, edges, node)
            ):
                graph.sort()
                edges = Edges(graph)
                count += 1
                changed = True
    return count


def _cancel(graph: Graph, edges: Edges, node: Node) -> bool:
    """Quantize(Dequantize(q)) = q."""
    if not isinstance(node.op, Quantize) or node not in graph.nodes:
        return False
    before = edges.producer(node.inputs[0], Dequantize)
    if before is None or before.input(0).is_constant:
        return False
    q = before.input(0)
    assert isinstance(before.op, Dequantize)
    if q.dtype is not node.op.dtype or not before.op.quant.same_as(node.op.quant):
        return False
    if edges.is_output(node.output):
        return False
    graph.replace_uses(node.output, q)
    graph.remove(node)
    return True


def _hoist(graph: Graph, edges: Edges, node: Node) -> bool:
    """Quantize(M(x)) → M(Quantize(x)), where all readers of M quantize alike."""
    if not _movable(node) or node.output.dtype is not DType.F32 or node not in graph.nodes:
        return False
    readers = edges.readers(node.output)
    if not readers or edges.is_output(node.output):
        return False
    first = readers[0].op
    if not isinstance(first, Quantize) or first.quant.axis is not None or not first.dtype.is_narrow:
        return False
    if not all(_same_quantizer(reader.op, first) for reader in readers):
        return False
    moved = _on_integers(node.op, first.quant, first.dtype)
    if moved is None:
        return False
    inputs: list[Tensor | None] = []
    for tensor in node.inputs:
        if tensor is None or tensor.dtype is not DType.F32:
            inputs.append(tensor)
            continue
        if tensor.is_constant:
            data = quantize(tensor.value, first.quant, first.dtype)
            inputs.append(graph.constant(tensor.name, data, first.quant))
            continue
        quantizer = graph.make(
            first,
            [tensor],
            name=f"{node.name}_quantize",
            origin=readers[0].origin,
            quants=[first.quant],
        )
        graph.insert_before(node, [quantizer])
        inputs.append(quantizer.output)
    result = graph.make(moved, inputs, name=node.name, origin=node.origin, quants=[first.quant])
    result.output.source = readers[0].output.source
    graph.insert_before(node, [result])
    for reader in readers:
        if edges.is_output(reader.output):
            graph.outputs = [result.output if t is reader.output else t for t in graph.outputs]
        graph.replace_uses(reader.output, result.output)
        graph.remove(reader)
    graph.remove(node)
    return True


def _sink(graph: Graph, edges: Edges, node: Node) -> bool:
    """M(Dequantize(q)) → Dequantize(M(q))."""
    if not _movable(node) or node.output.dtype is not DType.F32 or node not in graph.nodes:
        return False
    sources = []
    for tensor in node.present_inputs:
        if tensor.dtype is not DType.F32:
            continue
        before = edges.producer(tensor, Dequantize)
        if before is None or before.input(0).is_constant or not before.input(0).dtype.is_narrow:
            return False
        sources.append(before)
    if not sources:
        return False
    first = sources[0]
    assert isinstance(first.op, Dequantize)
    quant, dtype = first.op.quant, first.input(0).dtype
    for source in sources:
        assert isinstance(source.op, Dequantize)
        if not source.op.quant.same_as(quant) or source.input(0).dtype is not dtype:
            return False
    moved = _on_integers(node.op, quant, dtype)
    if moved is None:
        return False
    inputs = [
        tensor
        if tensor is None or tensor.dtype is not DType.F32
        else edges.producers[tensor].input(0)
        for tensor in node.inputs
    ]
    result = graph.make(moved, inputs, name=node.name, origin=node.origin, quants=[quant])
    back = graph.make(
        first.op, [result.output], name=f"{node.name}_dequantize", origin=first.origin,
        outputs=node.outputs,
    )  # fmt: skip
    graph.insert_before(node, [result, back])
    graph.remove(node)
    return True


def _movable(node: Node) -> bool:
    return node.op.moves and len(node.outputs) == 1


def _same_quantizer(op: Op, other: Quantize) -> bool:
    return isinstance(op, Quantize) and op.dtype is other.dtype and op.quant.same_as(other.quant)


def _on_integers(op: Op, quant: QuantParams, dtype: DType) -> Op | None:
    """The same movement of integers; None where its own value would be rounded, or where it has no
    kernel for them.
    """
    if not op.computes(dtype.signed):
        return None
    if not isinstance(op, Pad):
        return op
    value = np.asarray(op.value, np.float32)
    integer = quantize(value, quant, dtype)
    if dequantize(integer, quant) != value:
        return None
    return replace(op, value=float(integer))
