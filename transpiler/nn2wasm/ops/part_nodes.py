"""Some of a node's outputs as a node of their own: the same input, a slice of the constants."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nn2wasm.ir import Array, Node, PartOf, QuantParams, Tensor


def linear_part(node: Node, axis: int, groups: int, first: int, end: int) -> Node:
    """Outputs `first` to `end` of each group of a linear op.

    Args:
        node: inputs x, w, optional b; outputs along its last axis, group after group.
        axis: of the weights that counts outputs: all of them, or those of a group.
        groups: how many.
        first: of a group's outputs, the first that is wanted.
        end: one past the last.
    """
    count = node.output.shape[-1]
    of_group = np.arange(first, end)
    of_all = np.add.outer(np.arange(groups) * (count // groups), of_group).reshape(-1)

    def chosen(size: int) -> Array:
        return of_all if size == count else of_group

    w, b = node.input(1), node.optional(2)
    outputs = chosen(w.shape[axis])
    quant = w.quant
    if quant is not None and quant.scale.size > 1:
        channels = chosen(quant.scale.size)
        zero_point = np.broadcast_to(quant.zero_point.reshape(-1), quant.scale.size)
        quant = QuantParams(quant.scale.reshape(-1)[channels], zero_point[channels], quant.axis)
    if b is not None:
        b = Tensor.constant(b.name, b.value.reshape(-1)[of_all])
    part = w.moved(lambda array: np.take(array, outputs, axis), quant=quant)
    return part_node(node, [node.input(0), part, b], of_all)


def part_node(node: Node, inputs: Sequence[Tensor | None], outputs: Array) -> Node:
    """The node with other inputs and some of its outputs, their indices along its last axis."""
    y = node.output
    part = Tensor(y.name, y.dtype, (*y.shape[:-1], len(outputs)), y.quant)
    return Node(node.name, node.op, [*inputs], [part], node.origin, PartOf(node, outputs))
