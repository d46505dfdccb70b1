"""Product with a constant matrix (fully connected).

    y[m, n] = clamp(b[n] + sum_k x[m, k] · w[n, k])

ONNX Gemm-7.., MatMul with a constant matrix, QLinearMatMul-10, com.microsoft QGemm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nn2wasm.ir import Array, DType, Node, Op, Shape, Tensor, TensorType
from nn2wasm.ops.dual import dual_kernels, dual_product
from nn2wasm.ops.elementwise import Binary
from nn2wasm.ops.fixed_rows import with_integer_rows
from nn2wasm.ops.integer_products import qlinear_product
from nn2wasm.ops.kernel import Kernel, Lowering, Rows, always, rows_overlap
from nn2wasm.ops.linear import (
    Linear,
    Pointers,
    bias_of,
    bias_values,
    linear_names,
    linear_s8,
    outputs_context,
    quantized_linear,
    store_context,
)
from nn2wasm.ops.linear_s16 import linear_s16, scalar_kernels, wide_form
from nn2wasm.ops.matmul import MatMul
from nn2wasm.ops.movement import Transpose
from nn2wasm.ops.mve_linear import mve_gemm_kernels
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.packed_bytes import line_kernels, packed_line
from nn2wasm.ops.packed_fields import INTERP, PIXELS, field_kernels, field_lines
from nn2wasm.ops.quant_inputs import check_channels, read_quant
from nn2wasm.ops.tiled import simd_kernels, tiled_product
from nn2wasm.ops.tiled_s16 import simd_kernels_s16


def _outputs(node: Node) -> int:
    return node.output.shape[-1]


def _needs_lines(node: Node) -> str:
    x = node.input(0)
    return "" if x.element_count >= PIXELS * x.shape[-1] else f"fewer than {PIXELS} lines"


@dataclass(frozen=True)
class Gemm(Linear):
    """Inputs x [..., k], w [k, n] or [n, k], optional b [n]."""

    onnx_types = ("Gemm", "MatMul", "QLinearMatMul", "com.microsoft.QGemm")
    kernels = (
        *mve_gemm_kernels(),
        *simd_kernels("gemm", always),
        *simd_kernels_s16("gemm", always),
        *field_kernels(_outputs, _needs_lines),
        *line_kernels(always),
        *dual_kernels("gemm", always),
        *with_integer_rows(
            Kernel(symbol="nn_gemm_s8_1x4__scalar", template="gemm/s8__scalar.c.j2", dtype="s8")
        ),
        *scalar_kernels("gemm"),
        Kernel(symbol="nn_gemm_f32_1x4__scalar", template="gemm/f32__scalar.c.j2", dtype="f32"),
    )

    trans_w: bool = False
    lo: float = -math.inf
    hi: float = math.inf
    output_dtype: DType | None = None

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        if node.op_type in ("QLinearMatMul", "QGemm"):
            _import_quantized(node)
        elif node.op_type == "MatMul":
            _import_matmul(node)
        else:
            _import_gemm(node)

    @property
    def weight_axis(self) -> int:
        return 0 if self.trans_w else 1

    def output_axis(self, rank: int) -> int:
        return -1

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x, w = inputs[0], inputs[1]
        assert x is not None
        assert w is not None
        n = w.shape[0 if self.trans_w else 1]
        return [TensorType(self.output_dtype or x.dtype, (*x.shape[:-1], n))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x, w, b = inputs[0], inputs[1], inputs[2] if len(inputs) > 2 else None
        assert x is not None
        assert w is not None
        if x.dtype != np.float32:
            return None
        y = x @ (w.T if self.trans_w else w)
        return [np.clip(y if b is None else y + b, self.lo, self.hi)]

    def stacked(self, node: Node, count: int) -> Op | None:
        return self if all(tensor.is_constant for tensor in node.present_inputs[1:]) else None

    def macs(self, node: Node) -> int:
        return node.output.element_count * node.input(0).shape[-1]

    def channel_weights(self, node: Node) -> Array:
        w = node.input(1).value
        return np.ascontiguousarray(w if self.trans_w else w.T)

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x, y = node.input(0), node.output
        k, n = x.shape[-1], y.shape[-1]
        m = x.element_count // k
        packed = self.channel_weights(node)
        if kernel.tiling is not None:
            return tiled_product(node, kernel, packed, self.lo, self.hi)
        if kernel.isa == "dsp":
            return dual_product(node, kernel, packed, self.lo, self.hi)
        if kernel.needs >= INTERP:
            lower = packed_line if kernel.template.startswith("gemm/") else field_lines
            return lower(node, packed, self.lo, self.hi)
        context: dict[str, Any] = {"m": 1, "many": False}
        constants = {"w": packed}
        if kernel.dtype == "s8":
            form = self.fixed_point(node) if kernel.integers else None
            linear = linear_s8(
                node, packed, self.lo, self.hi, fold=True, uniform_scale=True, form=form
            )
            context |= linear.context
            constants |= linear.constants
        elif kernel.dtype == "s16":
            wide = wide_form(node) if kernel.integers else None
            linear = linear_s16(node, packed, self.lo, self.hi, fold=True, form=wide)
            context |= linear.context
            constants |= linear.constants
        else:
            constants["b"] = bias_values(node, n)
            context |= store_context(self.lo, self.hi)
        context |= outputs_context(Pointers("  ", "x"), k, n, *linear_names(context))
        rows = Rows(count=m, in_row_elements=k, out_row_elements=n)
        lowering = Lowering(context=context, constants=constants, walk=rows)
        return rows_overlap(rows, x.dtype.bytes, y.dtype.bytes).on(lowering, 0)


def _import_gemm(node: OnnxNode) -> None:
    x, w = node.input(0), node.input(1)
    if len(x.shape) != 2 or len(w.shape) != 2:
        raise node.invalid("its operands are not matrices")
    if node.attr_int("transA", 0):
        x = node.add(Transpose((1, 0)), [x], suffix="trans_a")
    trans_w = bool(node.attr_int("transB", 0))
    n, k = w.shape if trans_w else w.shape[::-1]
    if x.shape[1] != k:
        raise node.invalid(f"inner sizes differ: {x.shape[1]} and {k}")
    alpha, beta = node.attr_float("alpha", 1.0), node.attr_float("beta", 1.0)
    bias = node.optional(2)
    if bias is not None and not _broadcasts(bias.shape, (x.shape[0], n)):
        raise node.invalid(f"its bias does not broadcast to {[x.shape[0], n]}")
    row_bias = bias is not None and bias.shape in ((n,), (1, n), (1,) if n == 1 else (n,))
    if alpha == 1.0 and beta == 1.0 and (bias is None or row_bias):
        linear_product(node, x, w, bias, trans_w)
        return
    y = linear_product(node, x, w, None, trans_w, final=False)
    if alpha != 1.0:
        y = node.add(Binary("Mul"), [y, node.value(np.float32(alpha), "alpha")], suffix="scaled")
    if bias is not None and beta != 0.0:
        if beta != 1.0:
            beta_value = node.value(np.float32(beta), "beta")
            bias = node.add(Binary("Mul"), [bias, beta_value], suffix="bias")
        y = node.add(Binary("Add"), [y, bias], suffix="biased")
    node.alias(y)


def _broadcasts(shape: Shape, result: Shape) -> bool:
    """Whether a tensor of that shape repeats to the result's shape."""
    aligned = zip(reversed(shape), reversed(result), strict=False)
    return len(shape) <= len(result) and all(size in (1, other) for size, other in aligned)


def _import_matmul(node: OnnxNode) -> None:
    x, w = node.input(0), node.input(1)
    if not x.shape or not w.shape:
        raise node.invalid("a product with a scalar")
    if x.shape[-1] != w.shape[-2 if len(w.shape) > 1 else 0]:
        raise node.invalid("inner sizes differ")
    if len(w.shape) == 2:
        linear_product(node, x, w, None, trans_w=False)
    else:
        _check_types(node, x, w)
        node.emit(MatMul(), [x, w])


def _check_types(node: OnnxNode, *operands: Tensor | None) -> None:
    for tensor in operands:
        if tensor is not None and tensor.dtype is not DType.F32:
            raise node.unsupported(f"elements of type {tensor.dtype.value}; f32 is compiled")


def linear_product(
    node: OnnxNode,
    x: Tensor,
    w: Tensor,
    bias: Tensor | None,
    trans_w: bool,
    *,
    final: bool = True,
) -> Tensor:
    """The product x · w as Gemm where w is known at compile time, else as MatMul; the result."""
    _check_types(node, x, w, bias)
    if node.is_static(w) and (bias is None or node.is_static(bias)):
        y = node.add(Gemm(trans_w), [x, w, bias])
    else:
        if trans_w:
            w = node.add(Transpose((1, 0)), [w], suffix="trans_b")
        y = node.add(MatMul(), [x, w])
        if bias is not None:
            y = node.add(Binary("Add"), [y, bias], suffix="biased")
    if final:
        node.alias(y)
    return y


def _import_quantized(node: OnnxNode) -> None:
    matmul = node.op_type == "QLinearMatMul"
    x, w = node.input(0), node.input(3)
    y_index = 6 if matmul else 7
    trans_w = bool(node.attr_int("transB", 0))
    if node.attr_int("transA", 0) or node.attr_float("alpha", 1.0) != 1.0:
        raise node.unsupported("transA or alpha")
    if matmul and (len(w.shape) != 2 or w.data is None):
        _import_plain(node)
        return
    if len(w.shape) != 2:
        raise node.unsupported(f"a quantized weight of rank {len(w.shape)}")
    n, k = w.shape if trans_w else w.shape[::-1]
    if not x.shape or x.shape[-1] != k:
        raise node.invalid("inner sizes differ")
    w_quant = read_quant(node, 4, 5, axis=0 if trans_w else 1)
    check_channels(node, w, w_quant)
    bias = None if matmul else bias_of(node, node.optional(6), n)
    x, w = quantized_linear(node, x, read_quant(node, 1, 2), w, w_quant)
    zero_point = node.optional(y_index + 1)
    if node.optional(y_index) is None:
        node.emit(replace(Gemm(trans_w), output_dtype=DType.F32), [x, w, bias])
        return
    dtype = DType.U8 if zero_point is None else zero_point.dtype
    op = replace(Gemm(trans_w), output_dtype=dtype)
    node.emit(op, [x, w, bias], quant=read_quant(node, y_index, y_index + 1))


def _import_plain(node: OnnxNode) -> None:
    """QLinearMatMul of two activations, or of a stack of matrices: a product of plain integers."""
    w = node.input(3)
    quants = [read_quant(node, 1, 2), read_quant(node, 4, 5, axis=max(0, len(w.shape) - 1))]
    check_channels(node, w, quants[1])
    node.alias(qlinear_product(node, [*quants, read_quant(node, 6, 7)]))
