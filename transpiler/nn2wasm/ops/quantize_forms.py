"""QuantizeLinear and DequantizeLinear beyond one constant scale and 8 or 16 bits: a scale for each
channel or block, scales computed at run time, integers of 2 and 4 bits, floats of 4 and 8.

    q = convert(x / scale + zero point)        x = (float(q) − zero point) · scale

Computed in float32, element by element.
"""

from __future__ import annotations

from math import prod

import numpy as np

from nn2wasm.ir import DType, Encoding, Tensor, blocks_of
from nn2wasm.ops.cast import Cast
from nn2wasm.ops.elementwise import Binary
from nn2wasm.ops.movement import Expand
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.shape import Reshape
from nn2wasm.ops.slicing import Slice
from nn2wasm.ops.unary import Unary


def is_special(node: OnnxNode, whole: Tensor | None) -> bool:
    """Whether the node needs one of these forms.

    Args:
        node: QuantizeLinear or DequantizeLinear.
        whole: its integers, or their zero point, where there are any.
    """
    scale, zero = node.input(1), node.optional(2)
    if whole is not None and (whole.dtype.is_tiny or (node.op_type[0] == "Q" and whole.bits)):
        return True
    constant = scale.is_constant and (zero is None or zero.is_constant)
    channels = scale.element_count > 1 and not node.input(0).is_constant
    return channels or not constant or len(scale.shape) > 1 or bool(node.attr_int("block_size", 0))


def quantized(node: OnnxNode, x: Tensor, dtype: DType, bits: int) -> Tensor:
    """The elements of x, f32, quantized."""
    scale, zero = _parameters(node, x)
    ratio = node.add(Binary("Div"), [x, scale], suffix="steps")
    if dtype.is_tiny:
        if zero is not None:
            ratio = node.add(Binary("Add"), [ratio, zero], suffix="moved")
        saturate = bool(node.attr_int("saturate", 1))
        return node.add(Cast(dtype, saturate=saturate), [ratio])
    whole = node.add(Unary("Round"), [ratio], suffix="whole")
    if zero is not None:
        whole = node.add(Binary("Add"), [whole, zero], suffix="moved")
    low, high = dtype.minimum, dtype.maximum
    if bits:
        low, high = low >> (8 - bits), high >> (8 - bits)
    for function, bound in (("Max", low), ("Min", high)):
        limit = node.value(np.float32(bound), function.lower())
        whole = node.add(Binary(function), [whole, limit], suffix=f"{function.lower()}imum")
    result = node.add(Cast(dtype), [whole])
    result.bits = bits
    return result


def dequantized(node: OnnxNode, q: Tensor) -> Tensor:
    """What the elements of q stand for, f32."""
    scale, zero = _parameters(node, q)
    value = node.add(Cast(DType.F32), [q], suffix="real")
    if zero is not None:
        value = node.add(Binary("Sub"), [value, zero], suffix="centred")
    result = node.add(Binary("Mul"), [value, scale], suffix="scaled")
    if result.is_constant and not q.dtype.is_tiny:
        result.encoding = _encoding(node, q)
    return result


def _encoding(node: OnnxNode, q: Tensor) -> Encoding | None:
    """How a constant that was dequantized may be kept."""
    scale, zero = node.input(1), node.optional(2)
    count = scale.element_count
    numbers = node.value(np.arange(count, dtype=np.int32).reshape(scale.shape), "numbers")
    zeros = np.zeros(1, np.int32) if zero is None else zero.value.reshape(-1)
    values = scale.value.astype(np.float32).reshape(-1)
    return blocks_of(q.value, _fitted(node, numbers, q).value, values, zeros)


def _parameters(node: OnnxNode, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """Scale and zero point as floats that broadcast to x."""
    scale, zero = node.input(1), node.optional(2)
    if zero is not None and zero.shape != scale.shape and zero.element_count > 1:
        raise node.invalid("its scale and zero point differ in shape")
    real = _fitted(node, _real(node, scale), x)
    if zero is None or (zero.is_constant and not zero.value.astype(np.float32).any()):
        return real, None
    return real, _fitted(node, _real(node, zero), x)


def _real(node: OnnxNode, tensor: Tensor) -> Tensor:
    if tensor.dtype is DType.F32:
        return tensor
    return node.add(Cast(DType.F32), [tensor], suffix="parameter")


def _fitted(node: OnnxNode, tensor: Tensor, x: Tensor) -> Tensor:
    """One number, one for each channel, or one for each block along an axis."""
    rank = len(x.shape)
    if tensor.element_count == 1:
        return node.add(Reshape(()), [tensor], suffix="one") if tensor.shape else tensor
    axis = node.axis(node.attr_int("axis", 1), rank)
    if len(tensor.shape) == 1:
        if tensor.shape[0] != x.shape[axis]:
            raise node.invalid(f"{tensor.shape[0]} scales for axis {axis} of {list(x.shape)}")
        shape = tuple(size if i == axis else 1 for i, size in enumerate(x.shape))
        return node.add(Reshape(shape), [tensor], suffix="channels")
    size = node.attr_int("block_size", 0)
    beside = [i for i in range(rank) if i != axis]
    if len(tensor.shape) != rank or any(tensor.shape[i] != x.shape[i] for i in beside):
        raise node.invalid(f"blocks of scales {list(tensor.shape)} for {list(x.shape)}")
    blocks, length = tensor.shape[axis], x.shape[axis]
    size = size or -(-length // blocks)
    if size < 1 or -(-length // size) != blocks:
        raise node.invalid(f"{blocks} blocks of {size} for the {length} of axis {axis}")
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    apart = node.add(Reshape((*before, blocks, 1, *after)), [tensor], suffix="blocks")
    every = node.add(Expand((*before, blocks, size, *after)), [apart], suffix="blocks")
    whole = node.add(Reshape((*before, blocks * size, *after)), [every], suffix="blocks")
    if blocks * size == length:
        return whole
    assert prod(x.shape) > 0
    return node.add(Slice((0,) * rank, x.shape, (1,) * rank), [whole], suffix="blocks")
