"""Softmax along one axis, and its logarithm.

    softmax:      y[i] = e^(x[i] − max x) / sum_j e^(x[j] − max x)
    log softmax:  y[i] = x[i] − max x − ln sum_j e^(x[j] − max x)

ONNX Softmax-1.., LogSoftmax-1.. (before 13 over all axes from `axis` on); com.microsoft
QLinearSoftmax. On 8-bit integers e^… is from a table of 256 floats that is onnxruntime's; sum and
quotient are single IEEE operations in order, so that every engine gives onnxruntime's byte; without
an FPU they are computed in integers, the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nn2wasm.ir import Array, DType, Node, Op, Shape, Tensor, TensorType
from nn2wasm.ops.fixed_rows import HEADER
from nn2wasm.ops.kernel import Kernel, Lowering, stream_lead
from nn2wasm.ops.linear import float_literal, requantize_context
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.quant_inputs import read_quant
from nn2wasm.ops.registry import KernelOp
from nn2wasm.ops.shape import Reshape, reinterpret
from nn2wasm.ops.vectors import BYTES, FLOATS, simd_kernel

FLOAT_MAX = np.finfo(np.float32).max
RESERVED_EXPONENT = 5.0  # of e, below the largest float: onnxruntime's choice


@dataclass(frozen=True)
class AxisFunction(KernelOp):
    """A function of the vectors along one axis; the result has the input's shape."""

    axis: int

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.input(0)
        if x.dtype is not DType.F32:
            raise node.unsupported(f"elements of type {x.dtype.value}; f32 is compiled")
        import_along_axis(node, cls(0), x, node.opset)

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(x.dtype, x.shape)]

    def stacked(self, node: Node, count: int) -> Op | None:
        return replace(self, axis=self.axis + 1)

    def transposed(self, node: Node, perm: tuple[int, ...]) -> Op | None:
        return replace(self, axis=perm.index(self.axis))

    def loops(self, node: Node) -> dict[str, Any]:
        """Sizes of the nest [outer][n][inner] around the axis; contiguous vectors have inner 1."""
        shape = node.input(0).shape
        inner = math.prod(shape[self.axis + 1 :])
        return {
            "outer": math.prod(shape[: self.axis]),
            "n": shape[self.axis],
            "inner": inner,
            "strided": inner > 1,
            "slab": shape[self.axis] * inner,
            "i_inner": f"i * {inner}" if inner > 1 else "i",
            "shape": shape_text(shape),
            "axis": self.axis,
        }

    def lead(self, node: Node) -> dict[int, int]:
        """A vector is read whole before it is written; strided ones interleave."""
        x, y = node.input(0), node.output
        if math.prod(x.shape[self.axis + 1 :]) > 1:
            return {}
        return {0: stream_lead(x.element_count, x.dtype.bytes, y.dtype.bytes)}


def _vectors_fit(node: Node) -> str:
    """Why a vector along the axis is not contiguous, or too short."""
    op: AxisFunction = node.op  # type: ignore[assignment]
    shape, lanes = node.input(0).shape, BYTES if node.input(0).dtype.is_byte else FLOATS
    if math.prod(shape[op.axis + 1 :]) > 1:
        return "its axis is not the last"
    return "" if shape[op.axis] >= lanes else f"its axis has fewer than {lanes} elements"


@dataclass(frozen=True)
class Softmax(AxisFunction):
    """`whole_levels`: as QLinearSoftmax, which rounds the number of levels 1 / y_scale down."""

    onnx_types = ("Softmax", "com.microsoft.QLinearSoftmax")
    quantizable = True
    kernels = (
        simd_kernel("nn_softmax_s8_16", "softmax/s8", "s8", _vectors_fit),
        Kernel(
            symbol="nn_softmax_s8_bits__scalar",
            template="softmax/s8_bits__scalar.c.j2",
            dtype="s8",
            needs=frozenset({"no_fpu"}),
            headers=(HEADER, "nn2wasm/positive_floats.h"),
            integers=True,
        ),
        Kernel(symbol="nn_softmax_s8__scalar", template="softmax/s8__scalar.c.j2", dtype="s8"),
        simd_kernel("nn_softmax_f32_4", "softmax/f32", "f32", _vectors_fit, "simd_math"),
        Kernel(symbol="nn_softmax_f32__scalar", template="softmax/f32__scalar.c.j2", dtype="f32"),
    )

    whole_levels: bool = False

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        if node.op_type == "Softmax":
            super().from_onnx(node)
            return
        x = node.input(0)
        if not x.dtype.is_byte:
            raise node.unsupported(f"elements of type {x.dtype.value}; 8-bit ones are compiled")
        x = reinterpret(node, x, read_quant(node, 1, 2))
        result = read_quant(node, 3, 4)
        opset = node.attr_int("opset", 13)
        op = cls(0, whole_levels=True)
        axis = node.axis(node.attr_int("axis", -1 if opset >= 13 else 1), len(x.shape))
        if opset < 13 and math.prod(x.shape[axis:]) != x.shape[axis]:
            flat = (math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))
            rows = node.add(Reshape(flat), [x], suffix="rows", quant=x.quant)
            rows = node.add(replace(op, axis=1), [rows], suffix="function", quant=result)
            node.emit(Reshape(x.shape), [rows], quant=result)
        else:
            node.emit(replace(op, axis=axis), [x], quant=result)

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x = inputs[0]
        assert x is not None
        if x.dtype.kind != "f":
            return None
        exps = np.exp(x - x.max(self.axis, keepdims=True, initial=-np.inf))
        return [exps / exps.sum(self.axis, keepdims=True)]

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        context = self.loops(node)
        constants: dict[str, Array] = {}
        if kernel.dtype == "s8":
            x_quant, y_quant = node.input(0).quant, node.output.quant
            assert x_quant is not None
            assert y_quant is not None
            levels = float(np.float32(1.0) / np.float32(y_quant.scale))
            levels = math.floor(levels) if self.whole_levels else levels
            constants["table"] = exp_table(np.float32(x_quant.scale), context["n"], levels)
            context["levels"] = float_literal(levels)
            context |= requantize_context(-math.inf, math.inf, y_quant)
            context["most"] = 127 - int(y_quant.zero_point)
            context["levels_bits"] = int(np.float32(levels).view(np.int32))
        if kernel.integers:
            constants["table"] = constants["table"].view(np.int32)
        lowering = Lowering(context=context, constants=constants, lead=self.lead(node))
        if kernel.needs and not kernel.integers:
            lanes = BYTES if kernel.dtype == "s8" else FLOATS
            last = context["n"] - lanes
            context["at"] = f"(k < {last} ? k : {last})" if last % lanes else "k"
            context["fours"] = [{"index": i, "at": i * FLOATS} for i in range(BYTES // FLOATS)]
            if kernel.dtype == "s8":
                lowering.scratch_bytes, lowering.scratch_type = 4 * context["n"], "float"
        return lowering


@dataclass(frozen=True)
class LogSoftmax(AxisFunction):
    onnx_types = ("LogSoftmax",)
    kernels = (
        Kernel(
            symbol="nn_logsoftmax_f32__scalar",
            template="softmax/log_f32__scalar.c.j2",
            dtype="f32",
        ),
    )

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x = inputs[0]
        assert x is not None
        below = x - x.max(self.axis, keepdims=True, initial=-np.inf)
        return [below - np.log(np.exp(below).sum(self.axis, keepdims=True))]

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        return Lowering(context=self.loops(node), lead=self.lead(node))


def exp_table(x_scale: np.float32, count: int, levels: float) -> Array:
    """e^((i − 255 + shift) · x_scale) for i from 0 to 255, float32.

    The shift makes the numbers as large as `count` of them may be without their sum overflowing,
    or one of them times `levels` (there onnxruntime's overflows, and its result means nothing).
    """
    largest = float(np.log(FLOAT_MAX / np.float32(count)))
    product = math.log(levels / count) if levels > count else 0.0
    reserved = RESERVED_EXPONENT if product < RESERVED_EXPONENT - 0.01 else product + 1.0
    shift = max(0.0, largest - reserved) / float(x_scale)
    exponents = [(i - 255 + shift) * float(x_scale) for i in range(256)]
    return np.asarray([math.exp(v) for v in exponents], np.float32)


def import_along_axis(node: OnnxNode, op: AxisFunction, x: Tensor, opset: int) -> None:
    """Emits the op; before opset 13 it runs over all axes from `axis` on as one."""
    rank = len(x.shape)
    if not rank:
        raise node.invalid("its input is a scalar")
    if opset >= 13:
        axis = node.axis(node.attr_int("axis", -1), rank)
        node.emit(replace(op, axis=axis), [x])
        return
    axis = node.axis(node.attr_int("axis", 1), rank) if node.attr_int("axis", 1) != rank else rank
    wide = [index for index in range(axis, rank) if x.shape[index] != 1]
    if len(wide) <= 1 and axis < rank:
        node.emit(replace(op, axis=wide[0] if wide else axis), [x])
        return
    flat = (math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))
    rows = node.add(Reshape(flat), [x], suffix="rows")
    rows = node.add(replace(op, axis=1), [rows], suffix="function")
    node.emit(Reshape(x.shape), [rows])


def shape_text(shape: Shape) -> str:
    return "x".join(str(size) for size in shape) or "scalar"
