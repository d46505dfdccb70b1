"""Functions of one number: y[i] = f(x[i]), and clamps.

float32 at run time; on 8-bit integers a table takes their place (`passes.tabulate`). ONNX Relu,
Clip, Sigmoid and the others named in `FUNCTIONS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nn2wasm.ir import Array, DType, Node, Op, Tensor, TensorType
from nn2wasm.ops.kernel import Kernel, Lowering, stream_lead
from nn2wasm.ops.linear import float_literal
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import KernelOp
from nn2wasm.ops.tiles import offset
from nn2wasm.ops.vectors import FLOATS, at_least, simd_kernel

TANH_GELU = "GeluTanh"
"""Gelu with approximate = "tanh"."""

_erf = np.vectorize(math.erf, otypes=[np.float64])


class Function(NamedTuple):
    """How a function is computed.

    Attributes:
        c: C expression of float v, empty for functions of integers alone; `p0`, `p1` … are its
            parameters.
        numpy: the same in numpy, on float64 or integers.
        attributes: ONNX attributes that are its parameters, with their defaults.
        c_int: C expression of an integer v, empty for functions of floats alone.
        header: of runtime_c that it is in, where that is not math.h.
        boolean: whether the result is a truth value.
    """

    c: str
    numpy: Callable[..., Array]
    attributes: tuple[tuple[str, float], ...] = ()
    c_int: str = ""
    header: str = ""
    boolean: bool = False


def _sigmoid(v: Array) -> Array:
    return np.where(
        v >= 0, 1 / (1 + np.exp(-np.abs(v))), np.exp(-np.abs(v)) / (1 + np.exp(-np.abs(v)))
    )


def _softplus(v: Array) -> Array:
    return np.maximum(v, 0) + np.log1p(np.exp(-np.abs(v)))


NEGATIVE = "(uint64_t)0 - (uint64_t)v"  # the smallest integer becomes itself, as in numpy

FUNCTIONS: dict[str, Function] = {
    "Relu": Function("v > 0.0f ? v : 0.0f", lambda v: np.maximum(v, 0), c_int="v > 0 ? v : 0"),
    "LeakyRelu": Function(
        "v >= 0.0f ? v : p0 * v", lambda v, a: np.where(v >= 0, v, a * v), (("alpha", 0.01),)
    ),
    "ThresholdedRelu": Function(
        "v > p0 ? v : 0.0f", lambda v, a: np.where(v > a, v, 0), (("alpha", 1.0),)
    ),
    "Sigmoid": Function("nn_sigmoid(v)", _sigmoid),
    "Tanh": Function("nn_tanh(v)", np.tanh),
    "HardSigmoid": Function(
        "nn_clamp(p0 * v + p1, 0.0f, 1.0f)",
        lambda v, a, b: np.clip(a * v + b, 0, 1),
        (("alpha", 0.2), ("beta", 0.5)),
    ),
    "HardSwish": Function(
        "v * nn_clamp(v * 0.166666667f + 0.5f, 0.0f, 1.0f)",
        lambda v: v * np.clip(v / 6 + 0.5, 0, 1),
    ),
    "Elu": Function(
        "v >= 0.0f ? v : p0 * (nn_exp(v) - 1.0f)",
        lambda v, a: np.where(v >= 0, v, a * np.expm1(np.minimum(v, 0))),
        (("alpha", 1.0),),
    ),
    "Selu": Function(
        "p1 * (v > 0.0f ? v : p0 * (nn_exp(v) - 1.0f))",
        lambda v, a, g: g * np.where(v > 0, v, a * np.expm1(np.minimum(v, 0))),
        (("alpha", 1.67326319217681884765625), ("gamma", 1.05070102214813232421875)),
    ),
    "Celu": Function(
        "v >= 0.0f ? v : p0 * (nn_exp(v / p0) - 1.0f)",
        lambda v, a: np.where(v >= 0, v, a * np.expm1(np.minimum(v, 0) / a)),
        (("alpha", 1.0),),
    ),
    "Gelu": Function(
        "0.5f * v * (1.0f + nn_erf(v * 0.707106781f))",
        lambda v: 0.5 * v * (1 + _erf(v * math.sqrt(0.5))),
    ),
    TANH_GELU: Function(
        "0.5f * v * (1.0f + nn_tanh(0.797884561f * (v + 0.044715f * v * v * v)))",
        lambda v: 0.5 * v * (1 + np.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))),
    ),
    "Softplus": Function("nn_max(v, 0.0f) + nn_log(1.0f + nn_exp(-nn_abs(v)))", _softplus),
    "Softsign": Function("v / (1.0f + nn_abs(v))", lambda v: v / (1 + np.abs(v))),
    "Mish": Function(
        "v * nn_tanh(nn_max(v, 0.0f) + nn_log(1.0f + nn_exp(-nn_abs(v))))",
        lambda v: v * np.tanh(_softplus(v)),
    ),
    "Exp": Function("nn_exp(v)", np.exp),
    "Log": Function("nn_log(v)", np.log),
    "Sqrt": Function("nn_sqrt(v)", np.sqrt),
    "Reciprocal": Function("1.0f / v", lambda v: 1 / v),
    "Erf": Function("nn_erf(v)", _erf),
    "Abs": Function("nn_abs(v)", np.abs, c_int=f"v < 0 ? {NEGATIVE} : (uint64_t)v"),
    "Neg": Function("-v", np.negative, c_int=NEGATIVE),
    "Floor": Function("nn_floor(v)", np.floor),
    "Ceil": Function("-nn_floor(-v)", np.ceil),
    "Round": Function("nn_round(v)", np.rint),
    "Sign": Function(
        "v > 0.0f ? 1.0f : v < 0.0f ? -1.0f : v", np.sign, c_int="v == 0 ? 0 : v > 0 ? 1 : -1"
    ),
    "Swish": Function(
        "v * nn_sigmoid(p0 * v)", lambda v, a: v * _sigmoid(a * v), (("alpha", 1.0),)
    ),
    "Shrink": Function(
        "v < -p0 ? v + p1 : v > p0 ? v - p1 : 0.0f",
        lambda v, lambd, bias: np.where(v < -lambd, v + bias, np.where(v > lambd, v - bias, 0)),
        (("lambd", 0.5), ("bias", 0.0)),
    ),
    "BitwiseNot": Function("", np.bitwise_not, c_int="~v"),
    "IsNaN": Function("v != v", np.isnan, boolean=True),
    "IsInf": Function(
        "(p1 != 0.0f && v == NN_INFINITY) || (p0 != 0.0f && v == -NN_INFINITY)",
        lambda v, low, high: (np.isposinf(v) & (high != 0)) | (np.isneginf(v) & (low != 0)),
        (("detect_negative", 1.0), ("detect_positive", 1.0)),
        boolean=True,
    ),
    **{
        name: Function(f"nn_{name.lower()}(v)", function, header="nn2wasm/trigonometry.h")
        for name, function in (
            ("Sin", np.sin),
            ("Cos", np.cos),
            ("Tan", np.tan),
            ("Asin", np.arcsin),
            ("Acos", np.arccos),
            ("Atan", np.arctan),
            ("Sinh", np.sinh),
            ("Cosh", np.cosh),
            ("Asinh", np.arcsinh),
            ("Acosh", np.arccosh),
            ("Atanh", np.arctanh),
        )
    },
}

BLOCK = 16
"""Elements at a time, four vectors: they share factors."""
FEW = 8
"""Elements up to which compilers write a long function once for each, if they are let."""
VECTORS: dict[str, str] = {
    "HardSigmoid": "nn_clamp4(p0 * v + p1, 0.0f, 1.0f)",
    "HardSwish": "v * nn_clamp4(v * 0.166666667f + 0.5f, 0.0f, 1.0f)",
    "Sigmoid": "nn_sigmoid4(v)",
    "Tanh": "nn_tanh4(v)",
    "Elu": "nn_select4((v128_t)(v >= 0.0f), v, p0 * (nn_exp4(v) - 1.0f))",
    "Selu": "p1 * nn_select4((v128_t)(v > 0.0f), v, p0 * (nn_exp4(v) - 1.0f))",
    "Celu": "nn_select4((v128_t)(v >= 0.0f), v, p0 * (nn_exp4(v / p0) - 1.0f))",
    "Gelu": "0.5f * v * (1.0f + nn_erf4(v * 0.707106781f))",
    TANH_GELU: "0.5f * v * (1.0f + nn_tanh4(0.797884561f * (v + 0.044715f * v * v * v)))",
    "Softplus": "nn_softplus4(v)",
    "Mish": "v * nn_tanh4(nn_softplus4(v))",
    "Exp": "nn_exp4(v)",
    "Log": "nn_log4(v)",
    "Erf": "nn_erf4(v)",
}
"""C of four floats at a time, with the same bits; for the others, compilers find it themselves."""


def _trigonometric(node: Node) -> str:
    return "" if FUNCTIONS[node.op.kind].header else "it needs no further header"


def _vector_fits(node: Node) -> str:
    if node.op.kind not in VECTORS:
        return "compilers make vectors of it themselves"
    return at_least(BLOCK)(node)


@dataclass(frozen=True)
class Unary(KernelOp):
    """One of `FUNCTIONS` on each element of f32, or of integers for which it is defined."""

    onnx_types = (*(name for name in FUNCTIONS if name != TANH_GELU), "com.microsoft.Gelu")
    elementwise = True
    kernels = (
        simd_kernel("nn_unary_f32_16", "unary/f32", "f32", _vector_fits, "simd_math"),
        Kernel(
            symbol="nn_unary_f32_trigonometry__scalar",
            template="unary/f32__scalar.c.j2",
            dtype="f32",
            fits=_trigonometric,
            headers=("nn2wasm/trigonometry.h",),
        ),
        Kernel(symbol="nn_unary_f32__scalar", template="unary/f32__scalar.c.j2", dtype="f32"),
        Kernel(symbol="nn_unary__scalar", template="unary/any__scalar.c.j2", dtype="any"),
    )

    function: str
    params: tuple[float, ...] = ()

    @property
    def kind(self) -> str:
        return self.function

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        name = node.op_type
        if name == "Gelu" and _is_approximate(node):
            name = TANH_GELU
        function = FUNCTIONS[name]
        x = node.input(0)
        integers = x.dtype is not DType.BOOL and not x.dtype.is_float
        if not (function.c_int if integers else function.c and x.dtype is DType.F32):
            raise node.unsupported(f"elements of type {x.dtype.value}")
        if name in ("Relu", "Abs") and integers and x.dtype.minimum == 0:
            node.alias(x)
            return
        params = tuple(node.attr_float(key, default) for key, default in function.attributes)
        node.emit(cls(name, params), [x])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        boolean = FUNCTIONS[self.function].boolean
        return [TensorType(DType.BOOL if boolean else x.dtype, x.shape)]

    def kernel_dtype(self, node: Node) -> str:
        x = node.input(0)
        return x.dtype.value if x.dtype.is_float else "any"

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x = inputs[0]
        assert x is not None
        wide = x.astype(np.float64) if x.dtype.kind == "f" else x
        return [FUNCTIONS[self.function].numpy(wide, *self.params)]

    def transposed(self, node: Node, perm: tuple[int, ...]) -> Op | None:
        return self

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x = node.input(0)
        params = [
            {"name": f"p{index}", "value": float_literal(value)}
            for index, value in enumerate(self.params)
        ]
        function = FUNCTIONS[self.function]
        context = {
            "count": x.element_count,
            "function": self.function,
            "expression": function.c if x.dtype.is_float else function.c_int,
            "params": params,
            "y_type": node.output.dtype.c_name,
            "x_type": x.dtype.c_name,
            "rolled": self.function in VECTORS and x.element_count <= FEW,
        }
        sizes = (x.dtype.bytes, node.output.dtype.bytes)
        lead = {0: stream_lead(x.element_count, *sizes)}
        if kernel.needs:
            context["expression"] = VECTORS[self.function]
            context["uneven"] = x.element_count % BLOCK > 0
            context["vectors"] = [
                {"index": i, "at": offset(i * FLOATS)} for i in range(BLOCK // FLOATS)
            ]
            return Lowering(context=context, sizes={"count": x.element_count}, lead=lead)
        return Lowering(context=context, lead=lead)


def _is_approximate(node: OnnxNode) -> bool:
    approximate = node.attr_str("approximate", "none")
    if approximate not in ("none", "tanh"):
        raise node.invalid(f"approximate {approximate!r}")
    return approximate == "tanh"


@dataclass(frozen=True)
class Clip(KernelOp):
    """clamp(x, lo, hi); f32, on integers only at compile time."""

    onnx_types = ("Clip",)
    elementwise = True
    kernels = (
        Kernel(symbol="nn_clip_f32__scalar", template="unary/f32__scalar.c.j2", dtype="f32"),
    )

    lo: float = -math.inf
    hi: float = math.inf

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.input(0)
        if x.dtype is not DType.F32 and not x.is_constant:
            raise node.unsupported(f"elements of type {x.dtype.value}; f32 is compiled")
        bounds = []
        for index, name, default in ((1, "min", -math.inf), (2, "max", math.inf)):
            if node.opset < 11:
                bounds.append(node.attr_float(name, default))
            elif node.optional(index) is None:
                bounds.append(default)
            else:
                values = node.static(index, name)
                if values.size != 1:
                    raise node.invalid(f"its {name} is not a scalar")
                bounds.append(float(values.reshape(())))
        lo, hi = bounds
        node.emit(cls(min(lo, hi), hi), [x])  # the upper bound wins where they cross

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(x.dtype, x.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x = inputs[0]
        assert x is not None
        return [np.minimum(np.maximum(x, self.lo), self.hi)]

    def transposed(self, node: Node, perm: tuple[int, ...]) -> Op | None:
        return self

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x = node.input(0)
        context = {
            "count": x.element_count,
            "function": "Clip",
            "y_type": x.dtype.c_name,
            "expression": "nn_clamp(v, p0, p1)",
            "rolled": False,
            "params": [
                {"name": "p0", "value": float_literal(self.lo)},
                {"name": "p1", "value": float_literal(self.hi)},
            ],
        }
        return Lowering(context=context, lead={0: stream_lead(x.element_count, 4, 4)})
