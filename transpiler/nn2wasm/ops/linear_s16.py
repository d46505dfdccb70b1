"""Linear ops where inputs, weights or outputs have 16 bits.

Weights are packed without their zero points. Sums are exact: in 32 bits where the weights prove
that none leaves them, else in 64; the requantization is that of 8 bits (`quant.arithmetic`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nn2wasm.errors import UnsupportedFeature
from nn2wasm.ir import Array, DType, Node, Tensor
from nn2wasm.ops.fixed_wide import wide_form_context, wide_scales, with_wide_rows
from nn2wasm.ops.kernel import Kernel, always
from nn2wasm.ops.linear import (
    S32_MAX,
    Linear,
    Operands,
    output_scale,
    real_context,
    requantize_context,
    scale_context,
    store_context,
)
from nn2wasm.quant.arithmetic import integer_bounds
from nn2wasm.quant.wide_forms import WideForm, find_wide_form

S64_MAX = 2**63 - 1


def scalar_kernels(kind: str, fits: Callable[[Node], str] = always) -> tuple[Kernel, ...]:
    """The rows of the kind "gemm", "conv" or "depthwise" that need no instruction set: one
    requantizes in integers, the other, which every target offers, in floats.
    """
    shape = "" if kind == "depthwise" else "_1x4"
    kernel = Kernel(
        symbol=f"nn_{kind}_s16{shape}__scalar",
        template=f"{kind}/s16__scalar.c.j2",
        dtype="s16",
        fits=fits,
    )
    return with_wide_rows(kernel, form=wide_form)


def wide_form(node: Node) -> WideForm | None:
    """How sums become results in integers."""
    op, y = node.op, node.output
    assert isinstance(op, Linear)
    assert y.quant is not None
    sums = exact_sums(node, op.channel_weights(node), fold=op.folds_zero_point(node))
    scales = output_scale(node, len(sums.largest))
    low, high = integer_bounds(op.lo, op.hi, y.quant, y.dtype)
    return find_wide_form(scales, sums.largest, int(y.quant.zero_point), low, high)


class Sums(NamedTuple):
    """What the sums of products begin with, and how large they may get.

    Attributes:
        weights: [oc, ...] less their zero points, s8 where they fit, else s16.
        bias: int64 [oc].
        largest: absolute value of any partial sum, int64 [oc].
    """

    weights: Array
    bias: Array
    largest: Array

    @property
    def dtype(self) -> DType:
        """The integers that hold all of them."""
        return DType.S32 if self.largest.max(initial=0) <= S32_MAX else DType.S64


def exact_sums(node: Node, weights: Array, *, fold: bool) -> Sums:
    """The sums of a linear op.

    Args:
        node: inputs x, w and optionally b [oc], x and w with their quantization.
        weights: [oc, ...], the products of one output.
        fold: the bias holds −zero_point·Σw, so that the kernel sums plain products.

    Raises:
        UnsupportedFeature: a sum may leave 64 bits.
    """
    x, w, bias_tensor = node.input(0), node.input(1), node.optional(2)
    assert x.quant is not None
    assert w.quant is not None
    count, x_zero_point = weights.shape[0], int(x.quant.zero_point)
    values = _less(weights, np.broadcast_to(w.quant.zero_point.reshape(-1), (count,)))
    bias = np.zeros(count, np.int64)
    if bias_tensor is not None:
        bias = bias_tensor.value.reshape(count).astype(np.int64)
    flat = values.reshape(count, -1)
    reach = -x.dtype.minimum
    if fold:
        bias = bias - x_zero_point * flat.sum(1)
    else:
        reach += abs(x_zero_point)
    largest = np.abs(bias) + reach * np.abs(flat).sum(1)
    if largest.max(initial=0) > S64_MAX // 2:
        raise UnsupportedFeature(
            f"{node.describe()}: its sums may leave 64 bits",
            facts=[("largest bias", str(int(np.abs(bias).max())))],
        )
    dtype = np.int8 if _hold(np.int8, values) else np.int16
    return Sums(values.astype(dtype), bias, largest)


def fit_16_bits(op: Linear, w: Tensor) -> bool:
    """Whether constant weights have 16 bits without their zero points."""
    assert w.quant is not None
    zero_point = w.quant.zero_point
    if zero_point.ndim:
        zero_point = op.along_weights(zero_point, w.shape)
    return _hold(np.int16, w.value.astype(np.int64) - zero_point)


def linear_s16(
    node: Node,
    weights: Array,
    lo: float,
    hi: float,
    *,
    fold: bool,
    uniform_scale: bool = True,
    form: WideForm | None = None,
) -> Operands:
    """Weights, bias, multipliers and bounds of a linear op with integers of 16 bits.

    Args:
        node: inputs x, w and optionally b [oc] (s32 or s64), x and w with their quantization.
        weights: [oc, k], the products of one output.
        lo: least real result.
        hi: largest real result.
        fold: put −zero_point·Σw into the bias, so that the kernel sums plain products.
        uniform_scale: the template can take one number where all output channels share a scale.
        form: requantize so, without floats.

    Raises:
        UnsupportedFeature: a sum may leave 64 bits.
    """
    x, y = node.input(0), node.output
    sums = exact_sums(node, weights, fold=fold)
    assert x.quant is not None
    context: dict[str, Any] = {
        "x_zero_point": int(x.quant.zero_point),
        "x_type": x.dtype.c_name,
        "w_type": DType.of(sums.weights).c_name,
        "sum_type": sums.dtype.c_name,
        "y_type": y.dtype.c_name,
        "y_float": y.dtype is DType.F32,
    }
    constants = {
        "w": np.ascontiguousarray(sums.weights),
        "b": sums.bias.astype(sums.dtype.numpy),
    }
    scale = output_scale(node, weights.shape[0])
    if form is not None:
        context |= wide_form_context(form, y.dtype.c_name)
        scale = wide_scales(form)
    elif y.quant is None:
        context |= store_context(lo, hi)
        context |= real_context(context)
    else:
        context |= wide_context(lo, hi, y)
    context |= scale_context(scale, constants, uniform=uniform_scale)
    return Operands(context, constants)


def wide_context(lo: float, hi: float, y: Tensor) -> dict[str, Any]:
    """As `requantize_context`, for results of 8 or 16 bits and sums of 32 or 64."""
    assert y.quant is not None
    return requantize_context(lo, hi, y.quant, y.dtype) | {
        "sum_open": f"({y.dtype.c_name})nn_quantize((float)",
        "sum_middle": " * ",
    }


def _less(weights: Array, zero_point: Array) -> Array:
    """Weights [oc, ...] less a zero point each, int64."""
    aligned = zero_point.astype(np.int64).reshape(-1, *[1] * (weights.ndim - 1))
    return np.asarray(weights.astype(np.int64) - aligned)


def _hold(dtype: type[np.signedinteger[Any]], values: Array) -> bool:
    """Whether that type holds all values."""
    limits = np.iinfo(dtype)
    return bool(limits.min <= values.min(initial=0) and values.max(initial=0) <= limits.max)
