"""Operators of two tensors before opset 7 of ONNX, where broadcasting was an attribute."""

from __future__ import annotations

from nn2wasm.ir import Tensor
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.shape import Reshape

NUMPY_BROADCASTING = 7
"""The first opset in which shapes are aligned at their ends."""


def aligned_operand(node: OnnxNode, a: Tensor, b: Tensor) -> Tensor:
    """The second operand with the axes that align it with the first.

    Its axes are those of the first from the attribute `axis` on (from where it ends with the last
    one by default); without `broadcast` the shapes are equal. The slopes of PRelu are of channels.
    """
    if node.opset >= NUMPY_BROADCASTING or a.shape == b.shape:
        return b
    if node.op_type == "PRelu":
        begin = 1 if len(b.shape) == 1 and b.element_count > 1 else 0
    elif not node.attr_int("broadcast", 0):
        raise node.invalid("its operands differ in shape, and it does not broadcast")
    else:
        begin = node.attr_int("axis", len(a.shape) - len(b.shape))
        begin = begin + len(a.shape) if begin < 0 else begin
    behind = len(a.shape) - begin - len(b.shape)
    if begin < 0 or behind < 0:
        raise node.invalid(f"an operand of rank {len(b.shape)} at axis {begin}")
    return node.add(Reshape((*b.shape, *(1,) * behind)), [b], suffix="aligned") if behind else b
