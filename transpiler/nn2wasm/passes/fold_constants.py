"""Evaluates what has become constant, dequantized weights of float networks included."""

from __future__ import annotations

from nn2wasm.ir import Graph, Tensor
from nn2wasm.ops.folding import encoding_of, fold
from nn2wasm.passes.base import PassOptions


def fold_constants(graph: Graph, options: PassOptions) -> int:
    """Replaces the outputs of nodes with constant inputs by constants, within the size limit."""
    count = 0
    for node in list(graph.nodes):
        if any(tensor in graph.outputs for tensor in node.outputs):
            continue
        arrays = fold(node.op, node.inputs, options.fold_elements, node.describe(), lazy=True)
        if arrays is None:
            continue
        encoding = encoding_of(node.op, node.inputs, arrays)
        for tensor, array in zip(node.outputs, arrays, strict=True):
            constant = Tensor.constant(graph.fresh(tensor.name), array, tensor.quant)
            constant.encoding = encoding
            graph.replace_uses(tensor, constant)
        graph.remove(node)
        count += 1
    return count
