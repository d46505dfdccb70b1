"""Functions of two tensors with numpy broadcasting: y[i] = f(a[i], b[i]).

float32 and whole numbers at run time. On 8-bit integers the real function is evaluated between
dequantized operands and quantized again, in an integer form where trying all 65,536 pairs of
operands proves it equal (`quant.binary_forms`), else in the float form that defines it. ONNX Add,
Sub, Mul, Div, Min, Max, Pow, PRelu, Mod, Sum, Mean, the comparisons and logic; com.microsoft
QLinearAdd, QLinearMul.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nn2wasm.ir import Array, DType, Node, Op, QuantParams, Shape, Tensor, TensorType
from nn2wasm.ops.binary_simd import EXPRESSIONS, float_lowering, integer_lowering
from nn2wasm.ops.broadcast import (
    broadcast_strides,
    contiguous_strides,
    index_expression,
    loop_context,
    merge_loops,
)
from nn2wasm.ops.cast import Cast
from nn2wasm.ops.corrected import corrected_lowering
from nn2wasm.ops.fixed_rows import FIXED_POINT, HEADER
from nn2wasm.ops.kernel import Kernel, Lowering, stream_lead
from nn2wasm.ops.linear import factor_text, float_literal, store_context
from nn2wasm.ops.mve_elementwise import mve_float_pairs, mve_integer_pairs
from nn2wasm.ops.old_opsets import aligned_operand
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.pair_functions import FUNCTIONS, ONNX_TYPES
from nn2wasm.ops.quant_inputs import read_quant
from nn2wasm.ops.registry import KernelOp
from nn2wasm.ops.shape import reinterpret
from nn2wasm.ops.spatial import offset_text
from nn2wasm.ops.vectors import pairs_fit, simd_kernel
from nn2wasm.ops.wide_activations import BINARY, binary_context, binary_form_context
from nn2wasm.quant.arithmetic import integer_bounds
from nn2wasm.quant.binary_forms import IntegerForm, find_integer_form, fused_ratios


def broadcast_shape(node: OnnxNode, *tensors: Tensor) -> Shape:
    try:
        return np.broadcast_shapes(*(tensor.shape for tensor in tensors))
    except ValueError:
        raise node.invalid("its operands do not broadcast") from None


def _integer_form(node: Node) -> str:
    return "" if _form(node) is not None else "no integer form equals it on all 65,536 pairs"


def _corrected_form(node: Node) -> str:
    op: Binary = node.op  # type: ignore[assignment]
    found = corrected_lowering(node, op.function, fused=op.fused, unsigned=op.unsigned)
    return "" if found is not None else "no integer form is near enough to it"


def _vector_form(node: Node) -> str:
    """Why the float form does not run in vectors."""
    op: Binary = node.op  # type: ignore[assignment]
    if op.function not in EXPRESSIONS or (op.fused and op.function != "Mul"):
        return f"{op.function} is not computed in vectors"
    return pairs_fit(node)


EXACT_DOUBLES = ("Add", "Sub", "Mul", "Div")
"""Functions that C has for float64, too."""


@dataclass(frozen=True)
class Binary(KernelOp):
    """Inputs a, b; `unsigned`: the model's integers are u8 (it decides onnxruntime's rounding).

    `fused`: as QLinearAdd and QLinearMul do, with the zero point added before rounding:
    ratio_a·a + (ratio_b·b + rest), and ratio·(a·b) + zero point.
    """

    onnx_types = (
        *ONNX_TYPES, "Sum", "Mean", "com.microsoft.QLinearAdd", "com.microsoft.QLinearMul",
    )  # fmt: skip
    double_types = EXACT_DOUBLES
    elementwise = True
    clamps = True
    quantizable = True
    kernels = (
        mve_integer_pairs(lambda node: _form(node)),
        simd_kernel(
            "nn_binary_s8_int_16",
            "binary/s8_int",
            "s8",
            lambda node: _integer_form(node) or pairs_fit(node),
        ),
        Kernel(
            symbol="nn_binary_s8_int__scalar",
            template="binary/s8_int__scalar.c.j2",
            dtype="s8",
            fits=_integer_form,
        ),
        mve_float_pairs(),
        simd_kernel("nn_binary_s8_16", "binary/s8", "s8", _vector_form),
        Kernel(
            symbol="nn_binary_s8_corrected__scalar",
            template="binary/s8_corrected__scalar.c.j2",
            dtype="s8",
            needs=FIXED_POINT,
            fits=_corrected_form,
            headers=(HEADER,),
            integers=True,
        ),
        Kernel(symbol="nn_binary_s8__scalar", template="binary/s8__scalar.c.j2", dtype="s8"),
        *BINARY,
        Kernel(
            symbol="nn_binary__scalar",
            template="binary/any__scalar.c.j2",
            dtype="any",
            headers=("nn2wasm/integers.h",),
        ),
    )

    function: str
    fused: bool = False
    unsigned: bool = False
    lo: float = -math.inf
    hi: float = math.inf

    @property
    def kind(self) -> str:
        return self.function

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        if node.op_type in ("QLinearAdd", "QLinearMul"):
            _import_qlinear(node)
        elif node.op_type in ("Sum", "Mean", "Min", "Max"):
            _import_variadic(node)
        else:
            a = node.input(0)
            b = aligned_operand(node, a, node.input(1))
            broadcast_shape(node, a, b)
            if node.op_type == "Pow" and a.dtype is not b.dtype:
                _import_mixed_power(node, a, b)
                return
            if a.dtype is not b.dtype:
                raise node.invalid("its operands differ in type")
            op = cls(_function_of(node))
            check_types(node, op, [a, b])
            node.emit(op, [a, b])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        a, b = inputs
        assert a is not None
        assert b is not None
        shape = np.broadcast_shapes(a.shape, b.shape)
        dtype = DType.BOOL if FUNCTIONS[self.function].boolean else a.dtype
        return [TensorType(dtype, shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        a, b = inputs
        assert a is not None
        assert b is not None
        return [FUNCTIONS[self.function].numpy(a, b)]

    def transposed(self, node: Node, perm: tuple[int, ...]) -> Op | None:
        return self

    def kernel_dtype(self, node: Node) -> str:
        return "any" if node.output.quant is None else node.output.dtype.value

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        vectors = kernel.needs and not kernel.integers
        lowering = self._vectors(node, kernel) if vectors else self._scalar(node, kernel)
        lowering.context["function"] = self.function
        y = node.output
        for index, tensor in enumerate((node.input(0), node.input(1))):
            if tensor.shape == y.shape:
                lead = stream_lead(y.element_count, tensor.dtype.bytes, y.dtype.bytes)
                lowering.lead[index] = lead
        return lowering

    def _vectors(self, node: Node, kernel: Kernel) -> Lowering:
        if "int" not in kernel.symbol:
            return float_lowering(
                node, self.function, self.lo, self.hi, fused=self.fused, unsigned=self.unsigned
            )
        form = _form(node)
        assert form is not None
        return integer_lowering(node, form, self.lo, self.hi)

    def _scalar(self, node: Node, kernel: Kernel) -> Lowering:
        a, b, y = node.input(0), node.input(1), node.output
        strides = [broadcast_strides(t.shape, y.shape) for t in (a, b)]
        loops = merge_loops(y.shape, [*strides, contiguous_strides(y.shape)])
        function = FUNCTIONS[self.function]
        context: dict[str, Any] = {
            **loop_context(loops),
            "a_index": index_expression(loops, 0),
            "b_index": index_expression(loops, 1),
            "y_index": index_expression(loops, 2),
        }
        constants: dict[str, Array] = {}
        if kernel.integers and kernel.dtype == "s16":
            context |= binary_form_context(node)
        elif kernel.integers:
            corrected = corrected_lowering(
                node, self.function, fused=self.fused, unsigned=self.unsigned
            )
            assert corrected is not None
            context |= corrected.context | self._bounds(node)
            constants = corrected.constants
        elif kernel.dtype == "s8":
            context |= self._s8_context(node, integer="int" in kernel.symbol)
        elif kernel.dtype == "s16":
            context |= {"expression": function.c_float} | binary_context(node, self.lo, self.hi)
        else:
            store = store_context(self.lo, self.hi)
            expression = function.expression(a.dtype)
            context |= {
                "x_type": a.dtype.c_name,
                "y_type": y.dtype.c_name,
                "expression": f"{store['store_open']}{expression}{store['store_close']}",
            }
        return Lowering(context=context, constants=constants, arguments=(0, 1))

    def _bounds(self, node: Node) -> dict[str, Any]:
        assert node.output.quant is not None
        low, high = integer_bounds(self.lo, self.hi, node.output.quant, DType.S8)
        return {"lo": low, "hi": high}

    def _s8_context(self, node: Node, *, integer: bool) -> dict[str, Any]:
        a, b, y = node.input(0).quant, node.input(1).quant, node.output.quant
        assert a is not None
        assert b is not None
        assert y is not None
        low, high = integer_bounds(self.lo, self.hi, y, DType.S8)
        if integer:
            form = _form(node)
            assert form is not None
            return {
                "ma": factor_text(form.a),
                "mb": factor_text(form.b),
                "rest": offset_text(form.rest),
                "shift": form.shift,
                "lo": low,
                "hi": high,
            }
        if self.fused:
            return self._fused_context(a, b, y)
        return {
            "fused": False,
            "expression": FUNCTIONS[self.function].c_float,
            "a_scale": float_literal(float(a.scale)),
            "b_scale": float_literal(float(b.scale)),
            "y_scale": float_literal(float(y.scale)),
            "a_centre": offset_text(-int(a.zero_point)),
            "b_centre": offset_text(-int(b.zero_point)),
            "y_zero_point": int(y.zero_point),
            "lo": float_literal(low - int(y.zero_point)),
            "hi": float_literal(high - int(y.zero_point)),
        }

    def _fused_context(self, a: QuantParams, b: QuantParams, y: QuantParams) -> dict[str, Any]:
        shift = 128 if self.unsigned else 0
        bounds = {
            "fused": True,
            "product": self.function == "Mul",
            "unsigned_shift": shift,
            "lo": float_literal(-128 + shift),
            "hi": float_literal(127 + shift),
        }
        if self.function == "Mul":
            ratio = np.float32(np.float32(a.scale) * np.float32(b.scale)) / np.float32(y.scale)
            return bounds | {
                "a_centre": offset_text(-int(a.zero_point)),
                "b_centre": offset_text(-int(b.zero_point)),
                "ratio": float_literal(float(ratio)),
                "y_zero_point": float_literal(int(y.zero_point) + shift),
            }
        ratio_a, ratio_b, rest = fused_ratios(
            (float(a.scale), int(a.zero_point) + shift),
            (float(b.scale), int(b.zero_point) + shift),
            (float(y.scale), int(y.zero_point) + shift),
        )
        return bounds | {
            "a_scale": float_literal(ratio_a),
            "b_scale": float_literal(ratio_b),
            "rest": float_literal(rest),
        }


def _form(node: Node) -> IntegerForm | None:
    op: Binary = node.op  # type: ignore[assignment]
    a, b, y = node.input(0).quant, node.input(1).quant, node.output.quant
    if op.function not in ("Add", "Sub") or a is None or b is None or y is None:
        return None
    return find_integer_form(
        FUNCTIONS[op.function].numpy, -1 if op.function == "Sub" else 1,
        (float(a.scale), int(a.zero_point)),
        (float(b.scale), int(b.zero_point)),
        (float(y.scale), int(y.zero_point)),
        fused=op.fused, unsigned=op.unsigned,
    )  # fmt: skip


def check_types(node: OnnxNode, op: Binary, inputs: Sequence[Tensor]) -> None:
    """Refuses what only runs at compile time unless all operands are constant."""
    function = FUNCTIONS[op.function]
    dtype = inputs[0].dtype
    if all(tensor.is_constant for tensor in inputs):
        return
    if not function.expression(dtype) or (dtype is DType.F64 and op.function not in EXACT_DOUBLES):
        raise node.unsupported(f"operands of type {dtype.value} computed at run time")


def _function_of(node: OnnxNode) -> str:
    """The function that the operator is with its attributes."""
    if node.op_type == "Mod":
        return "Remainder" if node.attr_int("fmod", 0) else "Mod"
    if node.op_type == "BitShift":
        direction = node.attr_str("direction", "")
        if direction not in ("LEFT", "RIGHT"):
            raise node.invalid(f"direction {direction!r} is neither LEFT nor RIGHT")
        return "ShiftLeft" if direction == "LEFT" else "ShiftRight"
    return node.op_type


def _import_mixed_power(node: OnnxNode, a: Tensor, b: Tensor) -> None:
    """Pow whose exponent is of another type: computed in floats if either is one, in the type of
    the base otherwise.
    """
    common = DType.F32 if a.dtype.is_float or b.dtype.is_float else a.dtype
    base = a if a.dtype is common else node.add(Cast(common), [a], suffix="base")
    exponent = b if b.dtype is common else node.add(Cast(common), [b], suffix="exponent")
    check_types(node, Binary("Pow"), [base, exponent])
    power = node.add(Binary("Pow"), [base, exponent], suffix="power")
    node.alias(power if a.dtype is common else node.add(Cast(a.dtype), [power]))


def _import_variadic(node: OnnxNode) -> None:
    tensors = [tensor for tensor in node.inputs if tensor is not None]
    if not tensors:
        raise node.invalid("no operands")
    function = {"Sum": "Add", "Mean": "Add"}.get(node.op_type, node.op_type)
    broadcast_shape(node, *tensors)
    total = tensors[0]
    for index, tensor in enumerate(tensors[1:]):
        if tensor.dtype is not total.dtype:
            raise node.invalid("its operands differ in type")
        check_types(node, Binary(function), [total, tensor])
        last = index == len(tensors) - 2 and node.op_type != "Mean"
        total = node.add(Binary(function), [total, tensor], suffix="" if last else f"part{index}")
    if node.op_type == "Mean" and len(tensors) > 1:
        count = node.value(np.asarray(len(tensors), total.dtype.numpy), "count")
        total = node.add(Binary("Div"), [total, count])
    node.alias(total)


def _import_qlinear(node: OnnxNode) -> None:
    a, b = node.input(0), node.input(3)
    if not (a.dtype.is_byte and b.dtype is a.dtype):
        raise node.unsupported("operands that are not of one 8-bit type")
    broadcast_shape(node, a, b)
    a_quant, b_quant = read_quant(node, 1, 2), read_quant(node, 4, 5)
    a = (
        node.graph.constant(a.name, a.value, a_quant)
        if a.is_constant
        else reinterpret(node, a, a_quant)
    )
    b = (
        node.graph.constant(b.name, b.value, b_quant)
        if b.is_constant
        else reinterpret(node, b, b_quant)
    )
    function = "Add" if node.op_type == "QLinearAdd" else "Mul"
    op = Binary(function, fused=True, unsigned=a.dtype is DType.U8)
    node.emit(op, [a, b], quant=read_quant(node, 6, 7))
