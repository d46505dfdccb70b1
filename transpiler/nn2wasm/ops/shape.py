"""Operations that run no code: other views of the same bytes, and questions about shapes.

ONNX Reshape, Flatten, Squeeze, Unsqueeze, Identity, Dropout (at inference), Cast to the same type;
Shape, Size, Constant and ConstantOfShape, which are known at compile time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from nn2wasm.errors import OverBudget
from nn2wasm.ir import Array, DType, Encoding, Node, Op, QuantParams, Shape, Tensor, TensorType
from nn2wasm.ops.folding import moved_encoding
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.registry import ImportOp


@dataclass(frozen=True)
class Reshape(ImportOp):
    """The same elements in the same order under another shape."""

    onnx_types = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")
    moves = True
    reads_strings = True
    reads_all = True

    shape: Shape

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.input(0)
        shape = _NEW_SHAPES[node.op_type](node, x)
        if prod(shape) != x.element_count:
            raise node.invalid(f"{list(x.shape)} has not the elements of {list(shape)}")
        node.emit(cls(shape), [x])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        if prod(self.shape) != x.element_count:
            raise ValueError(f"{list(x.shape)} has not the elements of {list(self.shape)}")
        return [TensorType(x.dtype, self.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x = inputs[0]
        assert x is not None
        return [x.reshape(self.shape)]

    def encoding(self, inputs: Sequence[Tensor | None]) -> Encoding | None:
        return moved_encoding(self, inputs)

    def stacked(self, node: Node, count: int) -> Op | None:
        return Reshape((count, *self.shape))


def is_alias(node: Node) -> bool:
    """Whether the node's output is its input's bytes."""
    return isinstance(node.op, Reshape)


def reinterpret(node: OnnxNode, tensor: Tensor, quant: QuantParams) -> Tensor:
    """The tensor with that meaning: itself where it has none or the same, else a view of it."""
    if tensor.quant is None and not tensor.is_constant:
        node.give_meaning(tensor, quant)
    if quant.same_as(tensor.quant):
        return tensor
    return node.add(Reshape(tensor.shape), [tensor], suffix="view", quant=quant)


def _reshape(node: OnnxNode, x: Tensor) -> Shape:
    wanted = node.attr_ints("shape") if node.opset < 5 else node.ints(1, "shape")
    if wanted is None:
        raise node.invalid("its shape is missing")
    keep_zero = bool(node.attr_int("allowzero", 0))
    shape = []
    for index, size in enumerate(wanted):
        if size == 0 and not keep_zero:
            if index >= len(x.shape):
                raise node.invalid(f"size 0 at axis {index} has no axis to copy")
            shape.append(x.shape[index])
        elif size < -1:
            raise node.invalid(f"size {size} in its shape")
        else:
            shape.append(size)
    if shape.count(-1) > 1:
        raise node.invalid("more than one size is -1")
    if -1 in shape:
        rest = -prod(shape)
        if rest == 0 or x.element_count % rest:
            raise node.invalid(f"{list(x.shape)} cannot become {list(wanted)}")
        shape[shape.index(-1)] = x.element_count // rest
    return tuple(shape)


def _flatten(node: OnnxNode, x: Tensor) -> Shape:
    axis = node.attr_int("axis", 1)
    if not -len(x.shape) <= axis <= len(x.shape):
        raise node.invalid(f"axis {axis} is outside a tensor of rank {len(x.shape)}")
    axis = axis + len(x.shape) if axis < 0 else axis
    return (prod(x.shape[:axis]), prod(x.shape[axis:]))


def _given_axes(node: OnnxNode) -> tuple[int, ...] | None:
    return node.attr_ints("axes") if node.opset < 13 else node.ints(1, "axes")


def _squeeze(node: OnnxNode, x: Tensor) -> Shape:
    given = _given_axes(node)
    if given is None:
        return tuple(size for size in x.shape if size != 1)
    axes = node.axes(given, len(x.shape))
    if any(x.shape[axis] != 1 for axis in axes):
        raise node.invalid(f"axes {list(given)} are not all of size 1")
    return tuple(size for axis, size in enumerate(x.shape) if axis not in axes)


def _unsqueeze(node: OnnxNode, x: Tensor) -> Shape:
    given = _given_axes(node)
    if given is None:
        raise node.invalid("its axes are missing")
    rank = len(x.shape) + len(given)
    axes = node.axes(given, rank)
    rest = iter(x.shape)
    return tuple(1 if axis in axes else next(rest) for axis in range(rank))


_NEW_SHAPES = {
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
}


class Identity(ImportOp):
    """Dropped at import; Dropout is the identity at inference."""

    onnx_types = ("Identity", "Dropout")
    takes_sequences = True
    reads_strings = True
    reads_all = True

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        if node.op_type == "Identity" and node.sequences:
            node.alias(node.sequence(0))
            return
        x = node.input(0)
        if node.op_type == "Dropout":
            training = node.optional(2) is not None and node.constant(2, "training_mode").any()
            if training or (node.opset < 7 and not node.attr_int("is_test", 0)):
                raise node.unsupported("training mode")
            if len(node.output_names) > 1 and node.output_names[1]:
                mask = node.value(np.ones(x.shape, np.bool_), "mask")
                node.alias(x, mask)
                return
        node.alias(x)


class Constant(ImportOp):
    """Values in the model's own nodes."""

    onnx_types = ("Constant",)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        if (value := node.attr_tensor("value", strings=True)) is not None:
            data = value
        elif (texts := node.attr_strings("value_strings")) is not None:
            data = np.asarray(texts, object)
        elif node.has("value_float"):
            data = np.asarray(node.attr_float("value_float", 0.0), np.float32)
        elif node.has("value_int"):
            data = np.asarray(node.attr_int("value_int", 0), np.int64)
        elif (floats := node.attr_floats("value_floats")) is not None:
            data = np.asarray(floats, np.float32)
        elif (ints := node.attr_ints("value_ints")) is not None:
            data = np.asarray(ints, np.int64)
        else:
            raise node.unsupported("a constant that is neither a tensor nor numbers")
        node.alias(node.value(data))


class ShapeOf(ImportOp):
    """Shapes are known at compile time."""

    onnx_types = ("Shape", "Size")

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        shape = node.input(0).shape
        if node.op_type == "Size":
            node.alias(node.value(np.asarray(prod(shape), np.int64)))
            return
        rank = len(shape)
        start, end = node.attr_int("start", 0), node.attr_int("end", rank)
        part = shape[slice(*(max(0, v + rank) if v < 0 else v for v in (start, end)))]
        node.alias(node.value(np.asarray(part, np.int64)))


class ConstantOfShape(ImportOp):
    onnx_types = ("ConstantOfShape",)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        shape = node.ints(0, "shape") or ()
        if any(size < 0 for size in shape):
            raise node.invalid(f"shape {list(shape)}")
        if prod(max(size, 1) for size in shape) > node.fold_elements:
            raise OverBudget(
                f"{node.describe()}: a constant of {prod(shape)} elements is above the limit",
                facts=[("limit", f"{node.fold_elements} elements")],
            )
        value = node.attr_tensor("value")
        fill = np.zeros((), np.float32) if value is None else value.reshape(-1)[0]
        node.alias(node.value(np.full(shape, fill)))


@dataclass(frozen=True)
class Range(Op):
    """start, start + step, … below the limit: known at compile time."""

    count: int
    dtype: DType

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        return [TensorType(self.dtype, (self.count,))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        start, _, step = (np.asarray(array).reshape(()) for array in inputs)
        return [start + step * np.arange(self.count).astype(self.dtype.numpy)]


class RangeOf(ImportOp):
    onnx_types = ("Range",)

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        start, limit, step = (
            node.constant(i, what) for i, what in enumerate(("start", "limit", "step"))
        )
        if not start.size == limit.size == step.size == 1:
            raise node.invalid("its start, limit and step are not one number each")
        if not step.any():
            raise node.invalid("its step is 0")
        first, end, by = (float(value.reshape(())) for value in (start, limit, step))
        count = int(max(0, np.ceil((end - first) / by)))
        node.emit(Range(count, node.input(0).dtype), [node.input(i) for i in range(3)])
