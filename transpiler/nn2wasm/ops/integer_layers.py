"""Sums of products of bytes with constant weights, by the kernels of quantized layers.

    sum (x − xz) · (w − wz)  =  sum x · (w − wz)  −  xz · sum (w − wz)

The kernels of Gemm and Conv make float32 of their sums; where every sum of the right-hand side is
proven to be an integer that float32 holds, it is exact. So the zero point of the input may be known
at run time only, as DynamicQuantizeLinear makes it.

ONNX MatMulInteger-10.., ConvInteger-10..; where weights are computed or sums too large, the plain
loops of `ops.integer_products` and `ops.volume_conv`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from nn2wasm.ir import Array, DType, QuantParams, Tensor
from nn2wasm.ops.cast import Cast
from nn2wasm.ops.conv import Conv
from nn2wasm.ops.elementwise import Binary
from nn2wasm.ops.gemm import Gemm
from nn2wasm.ops.integer_products import integer_product
from nn2wasm.ops.joining import Pad
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.quantize import Dequantize
from nn2wasm.ops.registry import ImportOp
from nn2wasm.ops.shape import reinterpret
from nn2wasm.ops.spatial import read_geometry
from nn2wasm.ops.volume_conv import IntegerConv, read_conv

LARGEST_EXACT = 2**24
"""Up to it float32 holds every integer."""
REACH = 256
"""Values of a byte."""
INTEGERS = QuantParams.per_tensor(1.0, 0)
"""The meaning of bytes that are the numbers themselves."""


class MatMulInteger(ImportOp):
    """Inputs a, b (s8 or u8), a's zero point (one, or one a row), b's (one, or one a column)."""

    onnx_types = ("MatMulInteger",)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        factors = _factors(node)
        x, w = factors.x, factors.w
        sums = None
        if len(w.shape) == 2 and x.shape and x.shape[-1] == w.shape[0]:
            sums = integer_layer(node, Gemm(), factors)
        node.alias(sums or integer_product(node, *factors))


class ConvInteger(ImportOp):
    """Inputs x, w (s8 or u8), x's zero point (one), w's (one, or one for each output)."""

    onnx_types = ("ConvInteger",)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        factors = _factors(node)
        x, w, x_zero, w_zero = factors
        for tensor in (x, w):
            if len(tensor.shape) < 3:
                raise node.invalid(f"an operand of rank {len(tensor.shape)}")
        if x_zero.element_count != 1 or w_zero.element_count not in (1, w.shape[0]):
            raise node.invalid("its zero points are neither one nor one for each output")
        volume, groups = read_conv(node, x, w)
        sums = None
        if len(w.shape) <= 4:
            geometry = read_geometry(node, x.shape, w.shape[2:])
            sums = integer_layer(node, Conv(geometry, groups), factors)
        if sums is None:
            bias = node.value(np.zeros(w.shape[0], np.int32), "bias")
            sums = node.add(IntegerConv(volume, groups), [x, w, x_zero, w_zero, bias])
        node.alias(sums)


class Factors(NamedTuple):
    """Operands of a product: bytes, and the zero points that are subtracted from them."""

    x: Tensor
    w: Tensor
    x_zero: Tensor
    w_zero: Tensor


def _factors(node: OnnxNode) -> Factors:
    """The operands of the node; zero points that are left out are 0."""
    tensors = node.input(0), node.input(1)
    zeros = []
    for index, tensor in enumerate(tensors):
        if not tensor.dtype.is_byte:
            raise node.unsupported(f"an operand of type {tensor.dtype.value}; it takes bytes")
        zero = node.optional(2 + index)
        if zero is None:
            zero = node.value(np.zeros(1, tensor.dtype.numpy), f"zero{index}")
        if zero.dtype is not tensor.dtype:
            raise node.invalid("a zero point of another type than its tensor")
        zeros.append(zero)
    return Factors(*tensors, *zeros)


def integer_layer(node: OnnxNode, op: Gemm | Conv, factors: Factors) -> Tensor | None:
    """The sums as s32 by the op's kernels; None where these do not serve.

    Args:
        node: the ONNX node that this is a part of.
        op: made for these operands.
        factors: x_zero has one value.
    """
    x, w, x_zero, w_zero = factors
    if w.data is None or w_zero.data is None or x.is_constant or x_zero.element_count != 1:
        return None
    axis = op.weight_axis
    zeros = w_zero.data.astype(np.int32).reshape(-1)
    if zeros.size not in (1, w.shape[axis]):
        return None
    centred = w.data.astype(np.int64) - op.along_weights(zeros, w.shape)
    channels = np.moveaxis(centred, axis, 0).reshape(w.shape[axis], -1)
    reach = np.maximum(channels.clip(min=0).sum(1), (-channels).clip(min=0).sum(1))
    if reach.max() * REACH > LARGEST_EXACT:
        return None
    quant = QuantParams.per_tensor(1.0, int(zeros[0]))
    if zeros.size > 1:
        quant = QuantParams(np.ones(zeros.shape, np.float32), zeros, axis)
    weights = node.graph.constant(w.name, w.data, quant)
    op = replace(op, output_dtype=DType.F32)
    if x_zero.data is not None:
        meaning = QuantParams.per_tensor(1.0, int(x_zero.data.reshape(())))
        sums = node.add(op, [reinterpret(node, x, meaning), weights, None], suffix="products")
    else:
        sums = _less_zero_point(node, op, factors, weights, channels.sum(1))
    return node.add(Cast(DType.S32, whole=True), [sums], suffix="sums")


def _less_zero_point(
    node: OnnxNode, op: Gemm | Conv, factors: Factors, weights: Tensor, totals: Array
) -> Tensor:
    """The layer on the bytes as they are, less what their zero point adds to each output."""
    x = reinterpret(node, factors.x, INTEGERS)
    x_zero = reinterpret(node, factors.x_zero, INTEGERS)
    if isinstance(op, Conv) and op.geometry.is_padded:
        geometry, rank = op.geometry, op.geometry.rank
        begin, end = ((0, 0, *pad[2 - rank :]) for pad in (geometry.pad_begin, geometry.pad_end))
        x = node.add(Pad(begin, end), [x, x_zero], suffix="padded", quant=INTEGERS)
        op = replace(op, geometry=replace(geometry, pad_begin=(0, 0), pad_end=(0, 0)))
    products = node.add(op, [x, weights, None], suffix="products")
    aligned = [1] * len(products.shape)
    aligned[op.output_axis(len(products.shape))] = totals.size
    zero = node.add(Dequantize(INTEGERS), [x_zero], suffix="zero")
    constant = node.value(totals.astype(np.float32).reshape(aligned), "totals")
    excess = node.add(Binary("Mul"), [constant, zero], suffix="excess")
    return node.add(Binary("Sub"), [products, excess], suffix="centred")
