"""One number for the elements along some axes, and the index of the largest or smallest.

    y[kept] = last(sum over reduced axes of first(x))        or a product, or an extreme

ONNX ReduceMean, Sum, Max, Min, Prod, L1, L2, SumSquare, LogSum, LogSumExp (1..), ArgMax, ArgMin.
Without axes to reduce, each element is reduced alone. Means and maxima over the image are poolings
(`ops.pool`). On 8-bit integers sums are exact and requantized once; maxima and minima select.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from nn2wasm.errors import UnsupportedFeature
from nn2wasm.ir import Array, DType, Node, Op, Shape, Tensor, TensorType
from nn2wasm.ops.broadcast import (
    Loop,
    contiguous_strides,
    index_expression,
    loop_context,
    merge_loops,
)
from nn2wasm.ops.fixed_rows import fixed_context, scaled_form, with_integer_rows
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.linear import float_literal, requantize_context
from nn2wasm.ops.literals import integer_literal
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.pool import AveragePool, MaxPool
from nn2wasm.ops.registry import KernelOp
from nn2wasm.ops.shape import Reshape
from nn2wasm.ops.softmax import AxisFunction, shape_text
from nn2wasm.ops.spatial import Geometry
from nn2wasm.quant.fixed_point import FixedPoint

LONGEST_EXACT_SUM = (2**31 - 1) // 255


class Function(NamedTuple):
    """How a reduction is computed.

    Attributes:
        start: C value of the accumulator before the first element, in floats.
        step: C expression of the accumulator `a` and the element `v`.
        last: C expression of the result from `a`; `n` elements.
        numpy: the same in numpy, of the elements, the axes (kept with size 1).
        integers: also on integers at run time (`start` then comes from the type).
    """

    start: str
    step: str
    last: str
    numpy: Callable[[Array, tuple[int, ...]], Array]
    integers: bool = False


def _mean(x: Array, axes: tuple[int, ...]) -> Array:
    if x.dtype.kind == "f":
        count = math.prod(x.shape[axis] for axis in axes)
        return np.asarray(x.sum(axes, keepdims=True) / x.dtype.type(count))
    total = x.sum(axes, keepdims=True, dtype=np.int64)
    return np.asarray(np.trunc(total / (x.size // max(1, total.size))))


def _least(dtype: np.dtype[Any]) -> Any:
    """The maximum of no elements."""
    return -np.inf if dtype.kind == "f" else False if dtype.kind == "b" else np.iinfo(dtype).min


def _greatest(dtype: np.dtype[Any]) -> Any:
    """The minimum of no elements."""
    return np.inf if dtype.kind == "f" else True if dtype.kind == "b" else np.iinfo(dtype).max


def _log_sum_exp(x: Array, axes: tuple[int, ...]) -> Array:
    largest = x.max(axes, keepdims=True, initial=_least(x.dtype))
    return np.asarray(largest + np.log(np.exp(x - largest).sum(axes, keepdims=True)))


FUNCTIONS: dict[str, Function] = {
    "ReduceMean": Function("0.0f", "a + v", "a / n", _mean),
    "ReduceSum": Function("0.0f", "a + v", "a", lambda x, axes: x.sum(axes, keepdims=True), True),
    "ReduceMax": Function(
        "-NN_INFINITY", "v > a ? v : a", "a",
        lambda x, axes: x.max(axes, keepdims=True, initial=_least(x.dtype)), True,
    ),
    "ReduceMin": Function(
        "NN_INFINITY", "v < a ? v : a", "a",
        lambda x, axes: x.min(axes, keepdims=True, initial=_greatest(x.dtype)), True,
    ),
    "ReduceProd": Function(
        "1.0f", "a * v", "a", lambda x, axes: x.prod(axes, keepdims=True), True
    ),
    "ReduceL1": Function(
        "0.0f", "a + nn_abs(v)", "a", lambda x, axes: np.abs(x).sum(axes, keepdims=True)
    ),
    "ReduceL2": Function(
        "0.0f", "a + v * v", "nn_sqrt(a)",
        lambda x, axes: np.sqrt(np.square(x).sum(axes, keepdims=True)),
    ),
    "ReduceSumSquare": Function(
        "0.0f", "a + v * v", "a", lambda x, axes: np.square(x).sum(axes, keepdims=True)
    ),
    "ReduceLogSum": Function(
        "0.0f", "a + v", "nn_log(a)", lambda x, axes: np.log(x.sum(axes, keepdims=True))
    ),
    "ReduceLogSumExp": Function(
        "0.0f", "a + nn_exp(v - largest)", "largest + nn_log(a)", _log_sum_exp
    ),
}  # fmt: skip
ALIKE_ALONE = ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd")
WIDE = (
    Kernel(symbol="nn_reduce_f32__scalar", template="reduce/any__scalar.c.j2", dtype="f32"),
    Kernel(symbol="nn_reduce_s32__scalar", template="reduce/any__scalar.c.j2", dtype="s32"),
    Kernel(symbol="nn_reduce_s64__scalar", template="reduce/any__scalar.c.j2", dtype="s64"),
)
BOUNDS = {"ReduceMax": "minimum", "ReduceMin": "maximum"}


@dataclass(frozen=True)
class Reduction(KernelOp):
    """The reduced axes, ascending, stay with size 1; `function` is the ONNX name."""

    function: str
    axes: tuple[int, ...]

    @property
    def kind(self) -> str:
        return self.function

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.input(0)
        axes = _read_axes(node, x)
        function = FUNCTIONS[node.op_type]
        wide = DType.S32, DType.S64
        if x.dtype is not DType.F32 and not x.is_constant:
            selects = node.op_type in BOUNDS and x.dtype.is_byte
            if not selects and not (function.integers and x.dtype in wide):
                raise node.unsupported(f"elements of type {x.dtype.value} computed at run time")
        keep = bool(node.attr_int("keepdims", 1))
        kept = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
        shape = kept if keep else tuple(s for a, s in enumerate(x.shape) if a not in axes)
        op = _pooling(node.op_type, x, axes) or cls(node.op_type, axes)
        if not axes and node.op_type in ALIKE_ALONE:
            node.alias(x)
        elif shape == kept:
            node.emit(op, [x])
        else:
            node.emit(Reshape(shape), [node.add(op, [x], suffix="kept")])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        shape = tuple(1 if axis in self.axes else size for axis, size in enumerate(x.shape))
        return [TensorType(x.dtype, shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x = inputs[0]
        assert x is not None
        return [FUNCTIONS[self.function].numpy(x, self.axes)]

    def stacked(self, node: Node, count: int) -> Op | None:
        return replace(self, axes=tuple(axis + 1 for axis in self.axes))

    def transposed(self, node: Node, perm: tuple[int, ...]) -> Op | None:
        return replace(self, axes=tuple(sorted(perm.index(axis) for axis in self.axes)))

    def count(self, node: Node) -> int:
        """Elements that make one result."""
        return math.prod(node.input(0).shape[axis] for axis in self.axes)

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x = node.input(0)
        function = FUNCTIONS[self.function]
        start = function.start
        if self.function in BOUNDS and not x.dtype.is_float:
            start = integer_literal(getattr(x.dtype, BOUNDS[self.function]), x.dtype)
        elif not x.dtype.is_float:
            start = start.removesuffix(".0f")
        context = self._nest(x.shape) | {
            "function": self.function,
            "type": x.dtype.c_name,
            "count": self.count(node),
            "n": float_literal(self.count(node)),
            "uses_n": "n" in function.last.split(),
            "start": start,
            "step": function.step,
            "last": function.last,
            "shifted": self.function == "ReduceLogSumExp",
        }
        return Lowering(context=context)

    def _nest(self, shape: Shape) -> dict[str, Any]:
        """Loops over the kept axes around loops over the reduced ones."""
        outer, inner = reduce_loops(shape, self.axes)
        loops = [*outer, *inner]
        text = loop_context(loops)
        every = text["loops"]
        assert isinstance(every, list)
        indents = ["  " * (depth + 1) for depth in range(len(loops))]
        return {
            "outer_loops": every[: len(outer)],
            "inner_loops": every[len(outer) :],
            "outer_indent": "  " * (len(outer) + 1),
            "body_indent": "  " * (len(loops) + 1),
            "inner_closing": indents[len(outer) :][::-1],
            "outer_closing": indents[: len(outer)][::-1],
            "x_index": index_expression(loops, 0),
            "y_index": index_expression(loops, 1),
            "shape": shape_text(shape),
            "axes": ", ".join(str(axis) for axis in self.axes) or "none",
        }


@dataclass(frozen=True)
class Reduce(Reduction):
    onnx_types = (
        "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp",
    )  # fmt: skip
    kernels = WIDE


@dataclass(frozen=True)
class ReduceSum(Reduction):
    """Sum or mean; on 8-bit integers (sum − n·x_zero_point) · x_scale / (y_scale [· n])."""

    onnx_types = ("ReduceSum", "ReduceMean")
    quantizable = True
    kernels = (
        *with_integer_rows(
            Kernel(symbol="nn_reduce_s8__scalar", template="reduce/sum_s8__scalar.c.j2", dtype="s8")
        ),
        *WIDE,
    )

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        if kernel.dtype != "s8":
            return super().lower(node, kernel)
        x, y, count = node.input(0), node.output, self.count(node)
        assert x.quant is not None
        assert y.quant is not None
        if count > LONGEST_EXACT_SUM:
            raise UnsupportedFeature(
                f"{node.describe()}: its sums may leave 32 bits",
                facts=[("elements of a sum", str(count))],
            )
        context = self._nest(x.shape) | {
            "function": self.function,
            "start": -count * int(x.quant.zero_point),
            "ratio": float_literal(float(self._ratio(node))),
        }
        context |= requantize_context(-math.inf, math.inf, y.quant)
        form = self.fixed_point(node) if kernel.integers else None
        if form is not None:
            context |= fixed_context(form) | {"ratio": str(form.multipliers[0])}
        return Lowering(context=context)

    def _ratio(self, node: Node) -> Array:
        x, y = node.input(0).quant, node.output.quant
        assert x is not None
        assert y is not None
        divisor = np.float32(y.scale)
        if self.function == "ReduceMean":
            divisor = divisor * np.float32(self.count(node))
        return np.asarray(np.float32(x.scale) / divisor)

    def fixed_point(self, node: Node) -> FixedPoint | None:
        """How sums become bytes in integers."""
        x, y = node.input(0).quant, node.output.quant
        assert x is not None
        assert y is not None
        bound = np.asarray([self.count(node) * (128 + abs(int(x.zero_point)))])
        return scaled_form(self._ratio(node).reshape(1), bound, int(y.zero_point), -128, 127)


@dataclass(frozen=True)
class ReduceExtreme(Reduction):
    """Largest or smallest element."""

    onnx_types = ("ReduceMax", "ReduceMin")
    moves = True
    kernels = (
        Kernel(symbol="nn_reduce_s8__scalar", template="reduce/any__scalar.c.j2", dtype="s8"),
        Kernel(symbol="nn_reduce_u8__scalar", template="reduce/any__scalar.c.j2", dtype="u8"),
        *WIDE,
    )


@dataclass(frozen=True)
class ArgExtreme(AxisFunction):
    """Index of the largest or smallest element along an axis, which stays with size 1.

    `last` says which of several equal ones. The order of integers is that of the numbers they mean.
    """

    onnx_types = ("ArgMax", "ArgMin")
    kernels = (Kernel(symbol="nn_arg__scalar", template="reduce/arg__scalar.c.j2", dtype="any"),)

    largest: bool = True
    last: bool = False

    @property
    def kind(self) -> str:
        return "ArgMax" if self.largest else "ArgMin"

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.input(0)
        if not x.shape or 0 in x.shape:
            raise node.invalid("its input has no elements along an axis")
        if x.dtype in (DType.BOOL, DType.F64) and not x.is_constant:
            raise node.unsupported(f"elements of type {x.dtype.value}")
        axis = node.axis(node.attr_int("axis", 0), len(x.shape))
        last = bool(node.attr_int("select_last_index", 0))
        op = cls(axis, largest=node.op_type == "ArgMax", last=last)
        if node.attr_int("keepdims", 1):
            node.emit(op, [x])
        else:
            index = node.add(op, [x], suffix="kept")
            node.emit(Reshape((*x.shape[:axis], *x.shape[axis + 1 :])), [index])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(DType.S64, (*x.shape[: self.axis], 1, *x.shape[self.axis + 1 :]))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x = np.asarray(inputs[0])
        find = np.argmax if self.largest else np.argmin
        if self.last:
            index = x.shape[self.axis] - 1 - find(np.flip(x, self.axis), self.axis)
        else:
            index = find(x, self.axis)
        return [np.expand_dims(np.asarray(index, np.int64), self.axis)]

    def signed(self, node: Node) -> Op | None:
        return self

    def kernel_dtype(self, node: Node) -> str:
        return "any"

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        compare = (">" if self.largest else "<") + ("=" if self.last else "")
        context = self.loops(node) | {
            "function": self.kind,
            "type": node.input(0).dtype.c_name,
            "compare": compare,
        }
        return Lowering(context=context)


def reduce_loops(shape: Shape, axes: tuple[int, ...]) -> tuple[list[Loop], list[Loop]]:
    """Loops over the kept and over the reduced axes; operands: the input, the result."""
    own = contiguous_strides(shape)
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    kept_shape = tuple(shape[axis] for axis in kept)
    reduced_shape = tuple(shape[axis] for axis in axes)
    outer = merge_loops(
        kept_shape, [tuple(own[axis] for axis in kept), contiguous_strides(kept_shape)]
    )
    inner = merge_loops(reduced_shape, [tuple(own[axis] for axis in axes), (0,) * len(axes)])
    return outer, inner


def _read_axes(node: OnnxNode, x: Tensor) -> tuple[int, ...]:
    """Ascending axes to reduce: an attribute, since 18 (ReduceSum 13) an input; none means all."""
    rank = len(x.shape)
    by_input = node.opset >= (13 if node.op_type == "ReduceSum" else 18)
    given = node.ints(1, "axes") if by_input else node.attr_ints("axes")
    if given:
        return tuple(sorted(node.axes(given, rank)))
    if by_input and node.attr_int("noop_with_empty_axes", 0):
        return ()
    return tuple(range(rank))


def _pooling(function: str, x: Tensor, axes: tuple[int, ...]) -> Op | None:
    """Mean and maximum over height and width, as the pooling that streams rows."""
    if x.is_constant or axes != (2, 3) or len(x.shape) != 4:
        return None
    geometry = Geometry(rank=2, kernel=(x.shape[2], x.shape[3]))
    if function == "ReduceMean" and x.dtype is DType.F32:
        return AveragePool(geometry)
    if function == "ReduceMax" and (x.dtype is DType.F32 or x.dtype.is_byte):
        return MaxPool(geometry)
    return None
