"""Heads of attention: [batch, positions, heads · size] as [batch, heads, positions, size]."""

from __future__ import annotations

from nn2wasm.ir import Tensor
from nn2wasm.ops.movement import Transpose
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.shape import Reshape

SWAPPED = (0, 2, 1, 3)
"""Positions and heads change places."""


def split_heads(node: OnnxNode, x: Tensor, heads: int, what: str) -> Tensor:
    """[batch, positions, heads · size] with heads before positions.

    Raises:
        InvalidModel: the last axis is not that of so many heads.
    """
    if heads < 1 or len(x.shape) != 3 or x.shape[2] % heads:
        raise node.invalid(f"its {what} of shape {list(x.shape)} is not of {heads} heads")
    batch, positions, every = x.shape
    shape = (batch, positions, heads, every // heads)
    apart = node.add(Reshape(shape), [x], suffix=f"{what}_apart")
    return node.add(Transpose(SWAPPED), [apart], suffix=f"{what}_heads")


def join_heads(node: OnnxNode, x: Tensor) -> Tensor:
    """[batch, heads, positions, size] as [batch, positions, heads · size]."""
    batch, heads, positions, size = x.shape
    swapped = node.add(Transpose(SWAPPED), [x], suffix="by_position")
    return node.add(Reshape((batch, positions, heads * size)), [swapped], suffix="joined")
