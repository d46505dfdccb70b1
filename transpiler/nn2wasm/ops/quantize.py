"""Between real numbers and integers.

    QuantizeLinear    q = clamp(round_half_even(x / scale) + zero_point)
    DequantizeLinear  x = (q − zero_point) · scale

ONNX QuantizeLinear-10.., DequantizeLinear-10.. and their com.microsoft twins; per tensor at run
time, per axis on constants; all others are `ops.quantize_forms`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nn2wasm.ir import (
    Array,
    DType,
    Encoding,
    Node,
    Op,
    QuantParams,
    Tensor,
    TensorType,
    blocks_of,
)
from nn2wasm.ops.cast import BITS, ONNX_DTYPES
from nn2wasm.ops.kernel import Kernel, Lowering, stream_lead
from nn2wasm.ops.linear import float_literal
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.quant_inputs import check_channels, read_quant
from nn2wasm.ops.quantize_forms import dequantized, is_special, quantized
from nn2wasm.ops.registry import KernelOp
from nn2wasm.ops.shape import reinterpret
from nn2wasm.ops.spatial import offset_text
from nn2wasm.ops.vectors import at_least, simd_kernel
from nn2wasm.quant.arithmetic import dequantize, quantize

LEAST = 32
"""Elements of a tensor whose last floats are read after bytes were written over its first: with
fewer, those bytes would reach them."""
QUANTIZED = (DType.S8, DType.U8, DType.S16, DType.U16, DType.S32)


def _bytes_fit(node: Node) -> str:
    """Why vectors do not serve: another integer type, or a short tensor."""
    q = next(t for t in (node.input(0), node.output) if t.dtype is not DType.F32)
    if q.dtype is not DType.S8:
        return f"its integers are {q.dtype.value}"
    return at_least(LEAST)(node)


@dataclass(frozen=True)
class Quantize(KernelOp):
    """Input x (f32); the output's `quant` says how."""

    onnx_types = ("QuantizeLinear", "com.microsoft.QuantizeLinear")
    reads_tiny = True
    elementwise = True
    kernels = (
        simd_kernel("nn_quantize_s8_16", "quantize/quantize", "f32", _bytes_fit),
        Kernel(
            symbol="nn_quantize__scalar", template="quantize/quantize__scalar.c.j2", dtype="f32"
        ),
    )

    quant: QuantParams
    dtype: DType

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.input(0)
        if x.dtype is not DType.F32:
            raise node.unsupported(f"quantizing {x.dtype.value}; f32 is compiled")
        zero_point = node.optional(2)
        dtype, bits = (DType.U8, 0) if zero_point is None else (zero_point.dtype, zero_point.bits)
        if zero_point is None and (code := node.attr_int("output_dtype", 0)):
            dtype, bits = ONNX_DTYPES.get(code, DType.F32), BITS.get(code, 0)
        if not (dtype.is_narrow or dtype.is_tiny):
            raise node.unsupported(f"quantizing to {dtype.value}")
        if bits or dtype.is_tiny or is_special(node, zero_point):
            node.alias(quantized(node, x, dtype, bits))
            return
        quant = read_quant(node, 1, 2, axis=_quant_axis(node, x))
        check_channels(node, x, quant)
        node.emit(cls(quant, dtype), [x], quant=quant)

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(self.dtype, x.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x = inputs[0]
        assert x is not None
        return [quantize(x, self.quant, self.dtype)]

    def transposed(self, node: Node, perm: tuple[int, ...]) -> Op | None:
        return self if self.quant.axis is None else None

    def signed(self, node: Node) -> Op | None:
        return Quantize(signed_quant(self.quant, self.dtype), self.dtype.signed)

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        zero_point = self.quant.zero_point
        x, y = node.input(0), node.output
        context = {
            "count": x.element_count,
            "scale": float_literal(float(self.quant.scale)),
            "y_type": self.dtype.c_name,
            "y_zero_point": int(zero_point),
            "lo": float_literal(self.dtype.minimum - int(zero_point)),
            "hi": float_literal(self.dtype.maximum - int(zero_point)),
        }
        lead = stream_lead(x.element_count, x.dtype.bytes, y.dtype.bytes)
        lowering = Lowering(context=context, lead={0: lead})
        if kernel.needs:
            scale, exact = _factor(self.quant.scale)
            bounds = (bound - int(zero_point) for bound in (self.dtype.minimum, self.dtype.maximum))
            lowering.context["scaled"] = "*" if exact else "/"
            lowering.constants["reals"] = np.asarray([scale, *bounds], np.float32)
            lowering.sizes = {"count": x.element_count, "zero_point": int(zero_point)}
        return lowering


def _factor(scale: Array) -> tuple[Array, bool]:
    """The reciprocal where it is exact, else the scale itself; and which of the two."""
    mantissa, exponent = np.frexp(scale)
    if mantissa == 0.5 and abs(int(exponent)) < 100:
        return np.float32(1.0) / scale, True
    return scale, False


@dataclass(frozen=True)
class Dequantize(KernelOp):
    """Input q; its `quant` says how."""

    onnx_types = ("DequantizeLinear", "com.microsoft.DequantizeLinear")
    reads_tiny = True
    eager = False
    elementwise = True
    kernels = (
        simd_kernel("nn_dequantize_s8_16", "quantize/dequantize", "q", _bytes_fit),
        Kernel(
            symbol="nn_dequantize__scalar", template="quantize/dequantize__scalar.c.j2", dtype="q"
        ),
    )

    quant: QuantParams

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        q = node.input(0)
        if q.dtype not in QUANTIZED and not q.dtype.is_tiny:
            raise node.unsupported(f"dequantizing {q.dtype.value}")
        if is_special(node, q):
            node.alias(dequantized(node, q))
            return
        quant = read_quant(node, 1, 2, axis=_quant_axis(node, q))
        check_channels(node, q, quant)
        if q.is_constant:
            q = node.graph.constant(q.name, q.value, quant)
        else:
            q = reinterpret(node, q, quant)
        node.emit(cls(quant), [q])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        q = inputs[0]
        assert q is not None
        return [TensorType(DType.F32, q.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        q = inputs[0]
        assert q is not None
        return [dequantize(q, self.quant)]

    def encoding(self, inputs: Sequence[Tensor | None]) -> Encoding | None:
        q = inputs[0]
        if q is None or q.data is None:
            return None
        count, axis = self.quant.scale.size, self.quant.axis
        shape = [count if index == axis else 1 for index in range(len(q.shape))]
        blocks = np.arange(count).reshape(shape)
        return blocks_of(q.data, blocks, self.quant.scale, self.quant.zero_point)

    def transposed(self, node: Node, perm: tuple[int, ...]) -> Op | None:
        return self if self.quant.axis is None else None

    def signed(self, node: Node) -> Op | None:
        return Dequantize(signed_quant(self.quant, node.input(0).dtype))

    def kernel_dtype(self, node: Node) -> str:
        return "q"

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        q, y = node.input(0), node.output
        context = {
            "count": q.element_count,
            "scale": float_literal(float(self.quant.scale)),
            "x_type": q.dtype.c_name,
            "centre": offset_text(-int(self.quant.zero_point)),
        }
        lead = stream_lead(q.element_count, q.dtype.bytes, y.dtype.bytes)
        lowering = Lowering(context=context, lead={0: lead})
        if kernel.needs:
            lowering.constants["reals"] = np.asarray([self.quant.scale], np.float32)
            lowering.sizes = {
                "count": q.element_count,
                "zero_point": int(self.quant.zero_point),
            }
        return lowering


def _quant_axis(node: OnnxNode, tensor: Tensor) -> int | None:
    """The axis of a vector of scales; ONNX ignores the attribute beside a single scale."""
    if node.input(1).element_count == 1:
        return None
    return node.axis(node.attr_int("axis", 1), len(tensor.shape))


def signed_quant(quant: QuantParams, dtype: DType) -> QuantParams:
    """The meaning of integers of a type once they are signed: u8 128 lower, u16 32,768."""
    return QuantParams(quant.scale, quant.zero_point - np.int32(dtype.sign_offset), quant.axis)
