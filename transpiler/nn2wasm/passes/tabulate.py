"""Functions of one 8-bit tensor become tables of 256.

Whatever lies between one tensor of bytes and a quantizer to bytes, and works element by element
(Sigmoid, x · HardSigmoid(x), a change of scale), is a function of one byte: evaluated once for each
of the 256.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from nn2wasm.ir import Array, DType, Graph, Node, Tensor
from nn2wasm.ops.quantize import Dequantize, Quantize
from nn2wasm.ops.table import Table
from nn2wasm.passes.base import PassOptions
from nn2wasm.passes.edges import Edges

LONGEST_CHAIN = 64


def tabulate(graph: Graph, options: PassOptions) -> int:
    count = 0
    edges = Edges(graph)  # kept: a chain may go on behind what became a table before it
    for node in list(graph.nodes):
        if not isinstance(node.op, Quantize) or node.op.dtype is not DType.S8:
            continue
        found = _function(edges, node, beyond=True) or _function(edges, node, beyond=False)
        if found is None:
            continue
        chain, source, table = found
        constant = graph.constant(f"{node.name}_table", table)
        origin = tuple(dict.fromkeys(name for link in chain for name in link.origin))
        replacement = graph.make(
            Table(), [source, constant], name=f"{node.name}_table", origin=origin,
            outputs=node.outputs,
        )  # fmt: skip
        graph.insert_before(node, [replacement])
        graph.remove(node)
        count += 1
    return count


def _function(edges: Edges, last: Node, *, beyond: bool) -> tuple[list[Node], Tensor, Array] | None:
    """The nodes that a table replaces, the tensor of bytes that they read, and the table."""
    chain = _chain(edges, last, beyond=beyond)
    source = _source(chain) if chain else None
    if source is None or source.shape != last.output.shape:
        return None
    table = _evaluate(chain, source, last.output)
    return None if table is None else (chain, source, table)


def _chain(edges: Edges, last: Node, *, beyond: bool) -> list[Node]:
    """The elementwise nodes that make the quantizer's result, in order, back to tensors of bytes.

    `beyond` goes on behind a tensor of bytes where that is itself computed element by element, so
    that x · table(x) has one source; what is computed from two tensors has not.
    """
    chain: dict[Node, None] = {}
    pending = [last]
    while pending:
        node = pending.pop()
        if node in chain:
            continue
        chain[node] = None
        inner = _inner(edges, node)
        if inner is None or len(chain) > LONGEST_CHAIN:
            return []
        for before in inner:
            quantized = isinstance(before.op, Quantize)
            if not quantized or (beyond and _is_elementwise(edges, before)):
                pending.append(before)
    return edges.in_order(chain)


def _inner(edges: Edges, node: Node) -> list[Node] | None:
    """Producers of the node's operands that may join the chain; None where the node cannot."""
    if not node.op.elementwise:
        return None
    if isinstance(node.op, Dequantize):
        q = node.input(0)
        before = edges.producer(q, Quantize)
        return None if q.dtype is not DType.S8 else [before] if before is not None else []
    producers = [edges.producer(tensor) for tensor in node.activations]
    if node.input(0).dtype is not DType.F32 or any(before is None for before in producers):
        return None
    return [before for before in producers if before is not None]


def _is_elementwise(edges: Edges, quantizer: Node) -> bool:
    """Whether what is quantized there is computed element by element from dequantized bytes."""
    pending, seen = [quantizer], 0
    while pending:
        node = pending.pop()
        seen += 1
        inner = _inner(edges, node)
        if inner is None or seen > LONGEST_CHAIN:
            return False
        if not isinstance(node.op, Dequantize):
            pending += inner
    return True


def _source(chain: Iterable[Node]) -> Tensor | None:
    """The one tensor of bytes that the chain reads from outside."""
    written = {tensor for node in chain for tensor in node.outputs}
    outside = {tensor for node in chain for tensor in node.activations if tensor not in written}
    if len(outside) != 1:
        return None
    tensor = outside.pop()
    return tensor if tensor.dtype is DType.S8 and tensor.quant is not None else None


def _evaluate(chain: list[Node], source: Tensor, result: Tensor) -> Array | None:
    """The chain's results for −128 … 127; None where an operand varies from element to element."""
    values: dict[Tensor, Array] = {source: np.arange(-128, 128).astype(np.int8)}
    for node in chain:
        operands: list[Array | None] = []
        for tensor in node.inputs:
            if tensor is None:
                operands.append(None)
            elif tensor.is_constant:
                if tensor.element_count != 1:
                    return None
                operands.append(tensor.value.reshape(()))
            else:
                operands.append(values[tensor])
        with np.errstate(all="ignore"):
            arrays = node.op.evaluate(operands)
        if arrays is None:
            return None
        values[node.output] = np.asarray(arrays[0]).astype(node.output.dtype.numpy)
    return values[result]
