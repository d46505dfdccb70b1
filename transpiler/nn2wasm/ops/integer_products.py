"""Products of matrices of bytes whose zero points, or both operands, are computed at run time.

    y[…, m, n] = sum_k (a[…, m, k] − az[m]) · (b[…, k, n] − bz[n])

For ONNX MatMulInteger and QLinearMatMul where `ops.gemm` has no kernel. Sums have 32 bits and wrap
around.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nn2wasm.errors import QuantizationError
from nn2wasm.ir import Array, DType, Node, QuantParams, Tensor, TensorType
from nn2wasm.ops.broadcast import (
    broadcast_strides,
    contiguous_strides,
    index_expression,
    loop_context,
    merge_loops,
)
from nn2wasm.ops.cast import Cast
from nn2wasm.ops.elementwise import Binary
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.quantize import Quantize
from nn2wasm.ops.registry import KernelOp
from nn2wasm.ops.shape import Reshape, reinterpret
from nn2wasm.quant.arithmetic import ratio


@dataclass(frozen=True)
class IntegerMatMul(KernelOp):
    """Inputs a, b (s8 or u8, rank 2 or more), az (one or [m]), bz (one or [n]); s32."""

    kernels = (
        Kernel(
            symbol="nn_integer_matmul__scalar", template="matmul/integer__scalar.c.j2", dtype="any"
        ),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        a, b = inputs[0], inputs[1]
        assert a is not None
        assert b is not None
        outer = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        return [TensorType(DType.S32, (*outer, a.shape[-2], b.shape[-1]))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        a, b, az, bz = (np.asarray(array, np.int64) for array in inputs)
        product = np.matmul(a - az.reshape(-1, 1), b - bz.reshape(1, -1))
        return [product.astype(np.int32)]

    def macs(self, node: Node) -> int:
        return node.output.element_count * node.input(0).shape[-1]

    def kernel_dtype(self, node: Node) -> str:
        return "any"

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        a, b, y = node.input(0), node.input(1), node.output
        (m, k), n, outer = a.shape[-2:], b.shape[-1], y.shape[:-2]
        strides = [
            tuple(size * block for size in broadcast_strides(shape, outer))
            for shape, block in ((a.shape[:-2], m * k), (b.shape[:-2], k * n))
        ]
        result = tuple(size * m * n for size in contiguous_strides(outer))
        loops = merge_loops(outer, [*strides, result])
        context: dict[str, Any] = {
            **loop_context(loops),
            "m": m, "k": k, "n": n,
            "a_type": a.dtype.c_name,
            "b_type": b.dtype.c_name,
            "a_index": index_expression(loops, 0),
            "b_index": index_expression(loops, 1),
            "y_index": index_expression(loops, 2),
            "az_at": "i" if node.input(2).element_count > 1 else "0",
            "bz_at": "j" if node.input(3).element_count > 1 else "0",
        }  # fmt: skip
        return Lowering(context=context, arguments=(0, 1, 2, 3))


def integer_product(node: OnnxNode, a: Tensor, b: Tensor, az: Tensor, bz: Tensor) -> Tensor:
    """The sums in s32; vectors are matrices of one row or column, as in MatMul."""
    if not a.dtype.is_byte or not b.dtype.is_byte:
        raise node.unsupported(f"operands of type {a.dtype.value} and {b.dtype.value}")
    if not a.shape or not b.shape or a.shape[-1] != b.shape[-2 if len(b.shape) > 1 else 0]:
        raise node.invalid("its inner sizes differ, or an operand is a scalar")
    line, column = len(a.shape) == 1, len(b.shape) == 1
    if line:
        a = node.add(Reshape((1, *a.shape)), [a], suffix="line", quant=a.quant)
    if column:
        b = node.add(Reshape((*b.shape, 1)), [b], suffix="column", quant=b.quant)
    try:
        outer = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise node.invalid("its operands do not broadcast") from None
    if az.element_count not in (1, a.shape[-2]) or bz.element_count not in (1, b.shape[-1]):
        raise node.invalid("its zero points are neither one nor one for each row or column")
    y = node.add(IntegerMatMul(), [a, b, az, bz], suffix="sums")
    if line or column:
        shape = (*outer, *(() if line else a.shape[-2:-1]), *(() if column else b.shape[-1:]))
        y = node.add(Reshape(shape), [y], suffix="product")
    return y


def qlinear_product(node: OnnxNode, quants: Sequence[QuantParams]) -> Tensor:
    """QLinearMatMul: sums, then one product and one rounding; quants of a, b and y."""
    a, b = node.input(0), node.input(3)
    zeros = []
    for name, tensor, quant in zip("ab", (a, b), quants, strict=False):
        values = quant.zero_point.reshape(-1).astype(tensor.dtype.numpy)
        zeros.append(node.value(values, f"{name}_zero"))
    sums = integer_product(node, a, b, zeros[0], zeros[1])
    factor = ratio(quants[0].scale, quants[1].scale, quants[2].scale)
    return requantized(node, sums, factor, quants[2], node.optional(7))


def requantized(
    node: OnnxNode, sums: Tensor, factor: Array, quant: QuantParams, zero_point: Tensor | None
) -> Tensor:
    """Integers of the output from sums in s32: float32(sum) · factor, rounded once.

    Args:
        node: the QLinear node.
        sums: exact.
        factor: float32, broadcasts against the sums.
        quant: of the output.
        zero_point: has the output's type; u8 where it is left out.
    """
    if quant.axis is not None:
        raise QuantizationError(f"{node.describe()}: its output has a scale for each channel")
    dtype = DType.U8 if zero_point is None else zero_point.dtype
    real = node.add(Cast(DType.F32), [sums], suffix="real")
    scaled = node.add(Binary("Mul"), [real, node.value(factor, "factor")], suffix="scaled")
    steps = QuantParams.per_tensor(1.0, int(quant.zero_point))
    rounded = node.add(Quantize(steps, dtype), [scaled], suffix="rounded", quant=steps)
    return reinterpret(node, rounded, quant)
