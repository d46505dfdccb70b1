"""Normalizations: by statistics of the training, of some axes, or of neighbouring channels.

    batch:         y = x · m[c] + (b[c] − mean[c] · m[c]),  m = scale / sqrt(var + epsilon)
    instance, layer, group, mean and variance:
                   y = (x − mean) / sqrt(var + epsilon) · scale + b, mean and var over some axes
    RMS:           y = x / sqrt(mean of x² + epsilon) · scale
    Lp:            y = x / norm of x along an axis
    LRN:           y = x / (bias + alpha / size · sum of x² over `size` channels)^beta

ONNX BatchNormalization-7.. (inference), InstanceNormalization, LayerNormalization,
GroupNormalization, MeanVarianceNormalization, RMSNormalization, LpNormalization, LRN; float32.
Batch normalization is a product and a sum, which `passes.fold_affine` puts into convolutions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nn2wasm.ir import Array, DType, Node, Op, Shape, Tensor, TensorType
from nn2wasm.ops.broadcast import (
    Loop,
    contiguous_strides,
    index_expression,
    loop_context,
    merge_loops,
)
from nn2wasm.ops.elementwise import Binary
from nn2wasm.ops.kernel import Kernel, Lowering, stream_lead
from nn2wasm.ops.linear import float_literal
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.reduce import Reduce, ReduceSum
from nn2wasm.ops.registry import ImportOp, KernelOp
from nn2wasm.ops.shape import Reshape
from nn2wasm.ops.softmax import AxisFunction, shape_text
from nn2wasm.ops.unary import Unary
from nn2wasm.ops.vectors import FLOATS, simd_kernel

SMALLEST_NORMAL = np.finfo(np.float32).tiny


class BatchNormalization(ImportOp):
    """Becomes Mul and Add with a constant for each channel."""

    onnx_types = ("BatchNormalization",)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = _float_input(node)
        training = not node.attr_int("is_test", 0) if node.opset < 7 else any(node.output_names[1:])
        if training or node.attr_int("training_mode", 0):
            raise node.unsupported("training mode")
        if node.opset < 9 and not node.attr_int("spatial", 1):
            raise node.unsupported("spatial = 0")
        if len(x.shape) < 2:
            raise node.invalid("its input has no channels")
        names = ("scale", "bias", "mean", "variance")
        scale, bias, mean, variance = (
            _per_channel(node, index + 1, name, x.shape[1]) for index, name in enumerate(names)
        )
        m = scale / np.sqrt(variance + node.attr_float("epsilon", 1e-5))
        shape = (1, -1, *[1] * (len(x.shape) - 2))
        factor = node.value(m.astype(np.float32).reshape(shape), "factor")
        rest = node.value((bias - mean * m).astype(np.float32).reshape(shape), "rest")
        node.emit(Binary("Add"), [node.add(Binary("Mul"), [x, factor], suffix="scaled"), rest])


def _rows_fit(node: Node) -> str:
    """Why it is not whole vectors along the last axis, each with the same scale and bias."""
    op: Normalize = node.op  # type: ignore[assignment]
    shape = node.input(0).shape
    last = len(shape) - 1
    if op.axes != (last,) or shape[last] % FLOATS:
        return "it is not over a last axis of whole vectors"
    return "" if op.affine_axes in ((), (last,)) else "its scale differs between rows"


@dataclass(frozen=True)
class Normalize(KernelOp):
    """Inputs x, optional scale and bias, one value for each index of `affine_axes` of x.

    Attributes:
        axes: the axes of which mean and variance are taken, ascending.
        epsilon: added to the variance.
        center: subtract the mean; False for root mean square.
        affine_axes: axes of x that the axes of scale and bias stand for.
    """

    onnx_types = (
        "InstanceNormalization", "LayerNormalization", "GroupNormalization",
        "MeanVarianceNormalization", "RMSNormalization",
    )  # fmt: skip
    kernels = (
        simd_kernel("nn_normalize_f32_4", "normalization/f32", "f32", _rows_fit),
        Kernel(
            symbol="nn_normalize_f32__scalar",
            template="normalization/f32__scalar.c.j2",
            dtype="f32",
        ),
    )

    axes: tuple[int, ...]
    epsilon: float
    center: bool = True
    affine_axes: tuple[int, ...] = ()

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = _float_input(node)
        _IMPORTERS[node.op_type](node, x)
        if any(node.output_names[1:]):
            _statistics(node, x)

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(x.dtype, x.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x = np.asarray(inputs[0], np.float64)
        shape = tuple(size if axis in self.affine_axes else 1 for axis, size in enumerate(x.shape))
        order = np.argsort(self.affine_axes)
        if self.center:
            x = x - x.mean(self.axes, keepdims=True)
        y = x / np.sqrt(np.square(x).mean(self.axes, keepdims=True) + self.epsilon)
        for index, apply in ((1, np.multiply), (2, np.add)):
            operand = inputs[index] if index < len(inputs) else None
            if operand is not None:
                y = apply(y, operand.transpose(order).reshape(shape))
        return [y]

    def transposed(self, node: Node, perm: tuple[int, ...]) -> Op | None:
        return replace(
            self,
            axes=tuple(sorted(perm.index(axis) for axis in self.axes)),
            affine_axes=tuple(perm.index(axis) for axis in self.affine_axes),
        )

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x = node.input(0)
        arguments = tuple(i for i, tensor in enumerate(node.inputs) if tensor is not None)
        outer, inner = self._loops(x.shape)
        loops = [*outer, *inner]
        every: Any = loop_context(loops)["loops"]
        affine = index_expression(loops, 1)
        indents = ["  " * (depth + 1) for depth in range(len(loops))]
        context = {
            "outer_loops": every[: len(outer)],
            "inner_loops": every[len(outer) :],
            "outer_indent": "  " * (len(outer) + 1),
            "body_indent": "  " * (len(loops) + 1),
            "inner_closing": indents[len(outer) :][::-1],
            "outer_closing": indents[: len(outer)][::-1],
            "x_index": index_expression(loops, 0),
            "count": float_literal(math.prod(x.shape[axis] for axis in self.axes)),
            "epsilon": float_literal(self.epsilon),
            "center": self.center,
            "parameters": "".join(f"const float *{('x', 'scale', 'bias')[i]}, " for i in arguments),
            "less_mean": " - mean" if self.center else "",
            "times_scale": f" * scale[{affine}]" if 1 in arguments else "",
            "plus_bias": f" + bias[{affine}]" if 2 in arguments else "",
            "shape": shape_text(x.shape),
            "axes": ", ".join(str(axis) for axis in self.axes),
        }
        lead = {0: stream_lead(x.element_count, 4, 4)} if self._runs_in_order(x.shape) else {}
        lowering = Lowering(context=context, arguments=arguments, lead=lead)
        if kernel.needs:
            lowering.sizes = {
                "rows": math.prod(x.shape[:-1]),
                "length": x.shape[-1],
            }
            context["less_mean"] = " - mean[k]" if self.center else ""
            context["times_scale"] = " * nn_load4(scale + c)" if 1 in arguments else ""
            context["plus_bias"] = " + nn_load4(bias + c)" if 2 in arguments else ""
        return lowering

    def _loops(self, shape: Shape) -> tuple[list[Loop], list[Loop]]:
        """Loops over the other axes and over the normalized ones; operands: x, scale and bias."""
        own = contiguous_strides(shape)
        affine_shape = tuple(shape[axis] for axis in self.affine_axes)
        by_axis = dict(zip(self.affine_axes, contiguous_strides(affine_shape), strict=True))
        affine = tuple(by_axis.get(axis, 0) for axis in range(len(shape)))
        kept = [axis for axis in range(len(shape)) if axis not in self.axes]

        def nest(axes: Sequence[int]) -> list[Loop]:
            sizes = tuple(shape[axis] for axis in axes)
            return merge_loops(sizes, [tuple(s[axis] for axis in axes) for s in (own, affine)])

        return nest(kept), nest(self.axes)

    def _runs_in_order(self, shape: Shape) -> bool:
        """Whether elements are read, vector by vector, in the order in which they lie."""
        first = self.axes[0]
        return all(axis in self.axes or shape[axis] == 1 for axis in range(first, len(shape)))


class LpNormalization(ImportOp):
    """Becomes a norm and a quotient; a vector of zeros stays one."""

    onnx_types = ("LpNormalization",)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x, p = _float_input(node), node.attr_int("p", 2)
        if p not in (1, 2):
            raise node.invalid(f"p = {p}; ONNX has 1 and 2")
        if not x.shape:
            raise node.invalid("its input is a scalar")
        axis = node.axis(node.attr_int("axis", -1), len(x.shape))
        norm = node.add(Reduce(f"ReduceL{p}", (axis,)), [x], suffix="norm")
        least = node.value(np.asarray(SMALLEST_NORMAL, np.float32), "least")
        above = node.add(Binary("Max"), [norm, least], suffix="above_zero")
        node.emit(Binary("Div"), [x, above])


@dataclass(frozen=True)
class LRN(AxisFunction):
    """Local response normalization over channels i − (size − 1) / 2 … i + size / 2."""

    onnx_types = ("LRN",)
    kernels = (
        Kernel(
            symbol="nn_lrn_f32__scalar",
            template="normalization/lrn_f32__scalar.c.j2",
            dtype="f32",
        ),
    )

    size: int = 1
    alpha: float = 1e-4
    beta: float = 0.75
    bias: float = 1.0

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x, size = _float_input(node), node.attr_int("size", 0)
        if size < 1 or len(x.shape) < 2:
            raise node.invalid(f"size {size}, rank {len(x.shape)}")
        alpha, beta = node.attr_float("alpha", 1e-4), node.attr_float("beta", 0.75)
        node.emit(cls(1, size, alpha, beta, node.attr_float("bias", 1.0)), [x])

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        context = self.loops(node) | {
            "size": self.size,
            "before": (self.size - 1) // 2,
            "after": self.size // 2,
            "factor": float_literal(self.alpha / self.size),
            "exponent": float_literal(self.beta),
            "bias": float_literal(self.bias),
        }
        return Lowering(context=context)


# -- reading ---------------------------------------------------------------------------------------


def _float_input(node: OnnxNode) -> Tensor:
    x = node.input(0)
    if x.dtype is not DType.F32:
        raise node.unsupported(f"elements of type {x.dtype.value}; f32 is compiled")
    return x


def _statistics(node: OnnxNode, x: Tensor) -> None:
    """The outputs of LayerNormalization behind the first: mean, and 1 / deviation."""
    if node.op_type != "LayerNormalization":
        raise node.invalid("it has one output")
    axes = tuple(range(node.axis(node.attr_int("axis", -1), len(x.shape)), len(x.shape)))
    mean = node.add(ReduceSum("ReduceMean", axes), [x], suffix="mean")
    rest = node.add(Binary("Sub"), [x, mean], suffix="centred")
    square = node.add(Binary("Mul"), [rest, rest], suffix="squares")
    variance = node.add(ReduceSum("ReduceMean", axes), [square], suffix="variance")
    epsilon = node.value(np.float32(node.attr_float("epsilon", 1e-5)), "epsilon")
    above = node.add(Binary("Add"), [variance, epsilon], suffix="above_zero")
    deviation = node.add(Unary("Sqrt"), [above], suffix="deviation")
    inverse = node.add(Unary("Reciprocal"), [deviation], suffix="inverse")
    for index, tensor in enumerate((mean, inverse), 1):
        if index < len(node.results):
            node.results[index] = tensor


def _per_channel(node: OnnxNode, index: int, what: str, channels: int) -> Array:
    values = node.static(index, what)
    if values.shape != (channels,):
        raise node.invalid(f"its {what} has shape {list(values.shape)}, expected [{channels}]")
    return np.asarray(values, np.float64)


def _instance(node: OnnxNode, x: Tensor) -> None:
    if len(x.shape) < 3:
        raise node.invalid(f"rank {len(x.shape)}; an image has at least 3 axes")
    for index in (1, 2):
        if node.input(index).shape != (x.shape[1],):
            raise node.invalid(f"scale or bias has not {x.shape[1]} values")
    axes = tuple(range(2, len(x.shape)))
    op = Normalize(axes, node.attr_float("epsilon", 1e-5), affine_axes=(1,))
    node.emit(op, [x, node.input(1), node.input(2)])


def _layer(node: OnnxNode, x: Tensor) -> None:
    if node.attr_int("stash_type", 1) != 1:
        raise node.unsupported("a stash_type other than float")
    axis = node.axis(node.attr_int("axis", -1), len(x.shape))
    op = Normalize(
        tuple(range(axis, len(x.shape))),
        node.attr_float("epsilon", 1e-5),
        center=node.op_type == "LayerNormalization",
    )
    scale, bias = node.input(1), node.optional(2)
    wanted = x.shape[axis:]
    if scale.shape == wanted and (bias is None or bias.shape == wanted):
        node.emit(replace(op, affine_axes=op.axes), [x, scale, bias])
        return
    for operand in (scale, bias):
        if operand is not None and _broadcast(node, operand, x) != x.shape:
            raise node.invalid(f"{list(operand.shape)} does not broadcast to {list(x.shape)}")
    y = node.add(Binary("Mul"), [node.add(op, [x], suffix="normal"), scale], suffix="scaled")
    node.alias(y if bias is None else node.add(Binary("Add"), [y, bias]))


def _broadcast(node: OnnxNode, operand: Tensor, x: Tensor) -> Shape | None:
    try:
        return np.broadcast_shapes(operand.shape, x.shape)
    except ValueError:
        return None


def _group(node: OnnxNode, x: Tensor) -> None:
    """Groups of channels become an axis; scale and bias for each channel, before 21 each group."""
    groups = node.attr_int("num_groups", 0)
    if node.attr_int("stash_type", 1) != 1:
        raise node.unsupported("a stash_type other than float")
    if len(x.shape) < 2 or groups < 1 or x.shape[1] % groups:
        raise node.invalid(f"num_groups = {groups} does not divide the channels")
    count = x.shape[1] if node.opset >= 21 else groups
    scale, bias = node.input(1), node.input(2)
    if scale.shape != (count,) or bias.shape != (count,):
        raise node.invalid(f"scale or bias has not {count} values")
    split = (x.shape[0], groups, x.shape[1] // groups, math.prod(x.shape[2:]))
    parts = (groups, split[2]) if count == x.shape[1] else (groups,)
    if count == x.shape[1]:
        scale = node.add(Reshape(parts), [scale], suffix="scale")
        bias = node.add(Reshape(parts), [bias], suffix="bias")
    op = Normalize((2, 3), node.attr_float("epsilon", 1e-5), affine_axes=(1, 2)[: len(parts)])
    grouped = node.add(Reshape(split), [x], suffix="groups")
    node.emit(Reshape(x.shape), [node.add(op, [grouped, scale, bias], suffix="normal")])


def _mean_variance(node: OnnxNode, x: Tensor) -> None:
    axes = node.attr_ints("axes", (0, 2, 3)) or (0, 2, 3)
    node.emit(Normalize(tuple(sorted(node.axes(axes, len(x.shape)))), 1e-18), [x])


_IMPORTERS = {
    "InstanceNormalization": _instance,
    "LayerNormalization": _layer,
    "RMSNormalization": _layer,
    "GroupNormalization": _group,
    "MeanVarianceNormalization": _mean_variance,
}
