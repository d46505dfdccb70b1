"""What convolution, transposed convolution and matrix products share: bias, multipliers, stores."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from nn2wasm.errors import UnsupportedFeature
from nn2wasm.ir import Array, DType, Node, Op, QuantParams, Shape, Tensor
from nn2wasm.ops.fixed_rows import fixed_context, form_of, scaled_form
from nn2wasm.ops.kernel import Lowering, Rows, Window
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.part_nodes import linear_part
from nn2wasm.ops.registry import KernelOp
from nn2wasm.ops.shape import reinterpret
from nn2wasm.quant.arithmetic import integer_bounds, ratio
from nn2wasm.quant.fixed_point import FixedPoint

S32_MAX = 2**31 - 1


class Linear(KernelOp):
    """An op that is linear in its weights: inputs x, w, optional b [output channels].

    Subclasses have the fields lo, hi (real bounds of the result) and output_dtype (None: as x).
    """

    clamps = True
    quantizable = True

    lo: float
    hi: float
    output_dtype: DType | None
    groups: int = 1

    @property
    def weight_axis(self) -> int:
        """The axis of the weights that counts output channels."""
        raise NotImplementedError

    def output_axis(self, rank: int) -> int:
        """The output's channel axis, counted from the back so that it suits operands of lower
        rank.
        """
        raise NotImplementedError

    def channel_weights(self, node: Node) -> Array:
        """[oc, k], the products of one output."""
        raise NotImplementedError

    def folds_zero_point(self, node: Node) -> bool:
        """Whether scalar kernels sum plain products, with −zero_point·Σw in the bias."""
        return True

    def fixed_point(self, node: Node) -> FixedPoint | None:
        """How sums become bytes in integers."""
        if (of := node.part_of) is not None:
            form = form_of(of.node)
            return form and replace(form, multipliers=form.multipliers[of.outputs])
        y = node.output.quant
        assert y is not None
        sums = integer_sums(node, self.channel_weights(node), fold=self.folds_zero_point(node))
        scale = output_scale(node, len(sums.bound))
        low, high = integer_bounds(self.lo, self.hi, y, DType.S8)
        return scaled_form(scale, sums.bound, int(y.zero_point), low, high)

    def outputs_apart(self, node: Node) -> int:
        return node.output.shape[-1] // self.groups

    def part(self, node: Node, first: int, end: int) -> Node:
        return linear_part(node, self.weight_axis, self.groups, first, end)

    def along_weights(self, factor: Array, shape: Shape) -> Array:
        """A value for each output channel, in a shape that broadcasts against the weights."""
        aligned = [1] * len(shape)
        aligned[self.weight_axis] = -1
        return factor.reshape(aligned)

    def signed(self, node: Node) -> Op | None:
        if self.output_dtype is None:
            return self
        op: Any = self
        return replace(op, output_dtype=self.output_dtype.signed)  # type: ignore[no-any-return]

    def kernel_dtype(self, node: Node) -> str:
        """That of the widest integers among inputs, weights and outputs."""
        tensors = (node.input(0), node.input(1), node.output)
        is_wide = any(tensor.dtype is DType.S16 for tensor in tensors)
        return DType.S16.value if is_wide else super().kernel_dtype(node)


@dataclass(slots=True)
class Operands:
    """Template context, packed constants and named sizes of a linear op."""

    context: dict[str, Any]
    constants: dict[str, Array]
    sizes: dict[str, int] = field(default_factory=dict)

    def lowering(self, walk: Window | Rows) -> Lowering:
        """Of a kernel that walks over rows."""
        return Lowering(context=self.context, sizes=self.sizes, constants=self.constants, walk=walk)


def bias_of(node: OnnxNode, bias: Tensor | None, channels: int) -> Tensor | None:
    """The bias input, checked: one value for each output channel."""
    if bias is not None and bias.element_count != channels:
        raise node.invalid(f"bias has {bias.element_count} values, expected {channels}")
    if bias is not None and not node.is_static(bias):
        raise node.unsupported("a bias computed at run time")
    return bias


def bias_values(node: Node, count: int) -> Array:
    """The bias input as float32, zeros where there is none."""
    bias = node.optional(2)
    if bias is None:
        return np.zeros(count, np.float32)
    return np.asarray(bias.value, np.float32).reshape(count)


def quantized_linear(
    node: OnnxNode, x: Tensor, x_quant: QuantParams, w: Tensor, w_quant: QuantParams
) -> tuple[Tensor, Tensor]:
    """Input and weight of a QOperator node with the meaning that the node gives them."""
    for tensor in (x, w):
        if not tensor.dtype.is_byte:
            raise node.unsupported(
                f"operands of type {tensor.dtype.value}; 8-bit ones are compiled"
            )
    if w.data is None:
        raise node.unsupported("a quantized weight that is computed at run time")
    return reinterpret(node, x, x_quant), node.graph.constant(w.name, w.data, w_quant)


def float_literal(value: float) -> str:
    """A float32 as C: nine significant digits, or the macro of an infinity, or of no number."""
    if math.isnan(value):
        return "NN_NAN"
    if math.isinf(value):
        return "NN_INFINITY" if value > 0 else "-NN_INFINITY"
    text = f"{np.float32(value):.9g}"
    return (text if any(c in text for c in ".en") else text + ".0") + "f"


def factor_text(value: int) -> str:
    """A number as a factor in C."""
    return f"({value})" if value < 0 else str(value)


def store_context(lo: float, hi: float) -> dict[str, Any]:
    """The clamp of a float result, as what stands before and after it."""
    if lo > -math.inf and hi < math.inf:
        wrapped = ("nn_clamp(", f", {float_literal(lo)}, {float_literal(hi)})")
    elif lo > -math.inf:
        wrapped = ("nn_max(", f", {float_literal(lo)})")
    elif hi < math.inf:
        wrapped = ("nn_min(", f", {float_literal(hi)})")
    else:
        wrapped = ("", "")
    return {"store_open": wrapped[0], "store_close": wrapped[1]}


def requantize_context(
    lo: float, hi: float, quant: QuantParams, dtype: DType = DType.S8
) -> dict[str, Any]:
    """Zero point and bounds of a result of 8 or 16 bits, floats before the zero point is added; and
    how templates make a byte of a sum: what stands before it, before and after its multiplier.
    """
    zero_point = int(quant.zero_point)
    low, high = integer_bounds(lo, hi, quant, dtype)
    bounds = float_literal(low - zero_point), float_literal(high - zero_point)
    return {
        "y_zero_point": zero_point,
        "lo": bounds[0],
        "hi": bounds[1],
        "sum_open": "nn_requantize(",
        "sum_middle": ", ",
        "sum_close": f", {bounds[0]}, {bounds[1]}, {zero_point})",
        "scale_type": "float",
    }


def real_context(store: dict[str, Any]) -> dict[str, Any]:
    """How templates make a real number of an exact sum, clamped as `store_context` says."""
    return {
        "sum_open": f"{store['store_open']}(float)",
        "sum_middle": " * ",
        "sum_close": store["store_close"],
        "scale_type": "float",
    }


@dataclass(frozen=True, slots=True)
class IntegerSums:
    """The exact sums of a linear op on 8-bit integers.

    Attributes:
        bias: [oc], what they begin at.
        bound: [oc], the largest size of a sum, or of a part of it.
        w_zero_point: [oc].
    """

    bias: Array
    bound: Array
    w_zero_point: Array


def integer_sums(node: Node, weights: Array, *, fold: bool) -> IntegerSums:
    """Bias and bounds; arguments as of `linear_s8`.

    Raises:
        UnsupportedFeature: a sum may leave 32 bits.
    """
    x, w = node.input(0), node.input(1)
    assert x.quant is not None
    assert w.quant is not None
    count, k = weights.shape
    wide = weights.astype(np.int64)
    w_zero_point = np.broadcast_to(w.quant.zero_point.reshape(-1), (count,)).astype(np.int64)
    bias_tensor = node.optional(2)
    bias = np.zeros(count, np.int64)
    if bias_tensor is not None:
        bias = bias_tensor.value.reshape(count).astype(np.int64)
    if fold:
        bias = bias - int(x.quant.zero_point) * (wide.sum(1) - k * w_zero_point)
    reach = 128 if fold else 255
    bound = np.abs(bias) + reach * np.abs(wide).sum(1) + np.abs(w_zero_point) * 128 * k
    if bound.max(initial=0) > S32_MAX:
        raise UnsupportedFeature(
            f"{node.describe()}: its sums may leave 32 bits",
            facts=[("products of a sum", str(k)), ("largest sum", str(int(bound.max())))],
        )
    return IntegerSums(bias, bound, w_zero_point)


def output_scale(node: Node, count: int) -> Array:
    """[oc], float32: what a sum is multiplied by, for the real result or for one on integers."""
    x, w, y = node.input(0).quant, node.input(1).quant, node.output.quant
    assert x is not None
    assert w is not None
    w_scale = np.broadcast_to(w.scale.reshape(-1), (count,))
    if y is None:
        return np.asarray((x.scale * w_scale).astype(np.float32))
    return ratio(x.scale, w_scale, y.scale)


def output_scales(node: Node) -> Array:
    """The factor between a sum and the output's integers, for each output or for all."""
    x, w, y = node.input(0).quant, node.input(1).quant, node.output.quant
    assert x is not None
    assert w is not None
    assert y is not None
    return ratio(x.scale, w.scale.reshape(-1), y.scale)


def linear_s8(
    node: Node,
    weights: Array,
    lo: float,
    hi: float,
    *,
    fold: bool,
    uniform_scale: bool = False,
    form: FixedPoint | None = None,
) -> Operands:
    """Bias, multipliers and bounds of a linear op on 8-bit integers.

    Args:
        node: inputs x, w and optionally b [oc] (s32), x and w with their quantization.
        weights: [oc, k], the products of one output.
        lo: least real result.
        hi: largest real result.
        fold: put −zero_point·Σw into the bias, so that the kernel sums plain products.
        uniform_scale: the template can take one number where all output channels share a scale.
        form: requantize so, without floats.

    Raises:
        UnsupportedFeature: a sum may leave 32 bits.
    """
    x, y = node.input(0), node.output
    assert x.quant is not None
    sums = integer_sums(node, weights, fold=fold)
    context: dict[str, Any] = {
        "x_zero_point": int(x.quant.zero_point),
        "y_float": y.dtype is DType.F32,
        "y_type": y.dtype.c_name,
    }
    constants: dict[str, Array] = {"b": sums.bias.astype(np.int32)}
    scale = output_scale(node, len(weights))
    if form is not None:
        context |= fixed_context(form)
        scale = form.multipliers.astype(np.int32)
    elif y.quant is None:
        context |= store_context(lo, hi)
        context |= real_context(context)
    else:
        context |= requantize_context(lo, hi, y.quant)
    context |= scale_context(scale, constants, uniform=uniform_scale)
    context |= _weight_zero_points(sums.w_zero_point, constants)
    return Operands(context, constants)


def scale_context(scale: Array, constants: dict[str, Array], *, uniform: bool) -> dict[str, Any]:
    """How kernels name the scale of a sum: one number, or a constant `scale`."""
    if uniform and np.all(scale == scale[:1]):
        number = float_literal(float(scale[0])) if scale.dtype.kind == "f" else str(scale[0])
        return {"scale": number, "scale_parameter": ""}
    constants["scale"] = np.ascontiguousarray(scale)
    return {"scale": "", "scale_parameter": f", const {DType.of(scale).c_name} *restrict scale"}


def _weight_zero_points(zero_points: Array, constants: dict[str, Array]) -> dict[str, Any]:
    """How kernels name the weights' zero point: nothing, one number, or a constant `wz`."""
    uniform = bool(np.all(zero_points == zero_points[:1]))
    if not uniform:
        constants["wz"] = zero_points.astype(np.int32)
    return {
        "has_w_zero_point": bool(np.any(zero_points)),
        "w_zero_point": factor_text(int(zero_points[0])) if uniform else "",
        "wz_parameter": "" if uniform else ", const int32_t *restrict wz",
    }


@dataclass(frozen=True, slots=True)
class Pointers:
    """What a kernel calls the operands of its innermost block.

    Attributes:
        pad: the block's indentation.
        in_: the inputs of one output pixel.
        weights: their weights, [n][k].
        biases: [n].
        scales: [n].
        zero_points: of the weights, [n].
        out: [n].
    """

    pad: str
    in_: str
    weights: str = "w"
    biases: str = "b"
    scales: str = "scale"
    zero_points: str = "wz"
    out: str = "y"


def linear_names(context: dict[str, Any]) -> tuple[str, str]:
    """The weights' zero point and the scale where they are single numbers, empty where not."""
    return context.get("w_zero_point", ""), context.get("scale", "")


def outputs_context(
    pointers: Pointers, k: int, n: int, w_zero_point: str = "", scale: str = ""
) -> dict[str, Any]:
    """The block that templates/kernels/linear writes: n sums of k products, four at a time.

    Where n is no multiple of four the last four begin before the end: a few sums are computed
    twice. Fewer than four are computed one by one.
    """

    def at(step: int) -> str:
        return f" + {step}" if step else ""

    def zero_point(index: str) -> str:
        return w_zero_point or f"{pointers.zero_points}[{index}]"

    lanes = [
        {
            "index": lane,
            "at": at(lane),
            "weights": at(lane * k),
            "scale": scale or f"{pointers.scales}[n{at(lane)}]",
            "w_zero_point": zero_point(f"n{at(lane)}"),
        }
        for lane in range(4)
    ]
    starts = [f"acc{lane} = {pointers.biases}[n{at(lane)}]" for lane in range(4)]
    return {
        "pad": pointers.pad,
        "in": pointers.in_,
        "weights": pointers.weights,
        "biases": pointers.biases,
        "scale_n": scale or f"{pointers.scales}[n]",
        "out": pointers.out,
        "k": k,
        "n": n,
        "has_main": n >= 4,
        "uneven": n % 4 != 0,
        "n_last": n - 4,
        "lanes": lanes,
        "start": ", ".join(starts),
        "w_zero_point": zero_point("n"),
    }
