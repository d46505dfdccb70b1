"""Tensors side by side, and values around them: ONNX Concat-4.., Pad-1.."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nn2wasm.ir import Array, Node, Op, Tensor, TensorType
from nn2wasm.ops.broadcast import contiguous_strides
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.literals import number_literal
from nn2wasm.ops.movement import Movement, copy_context, copy_lowering
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.resize import ResizeNearest
from nn2wasm.ops.slicing import Slice

LONGEST_BORDERED = 2**22
"""Elements of an axis that is padded with its own: each has an index."""


@dataclass(frozen=True)
class Concat(Movement):
    """The inputs one after the other along an axis."""

    onnx_types = ("Concat",)

    axis: int

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        tensors = [tensor for tensor in node.inputs if tensor is not None]
        if not tensors:
            raise node.invalid("no operands")
        axis = node.axis(node.attr_int("axis", 1 if node.opset < 4 else 0), len(tensors[0].shape))
        check_concat(node, tensors, axis)
        node.emit(cls(axis), [t for t in tensors if t.shape[axis]] or tensors)

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        tensors = [tensor for tensor in inputs if tensor is not None]
        shape = list(tensors[0].shape)
        shape[self.axis] = sum(tensor.shape[self.axis] for tensor in tensors)
        return [TensorType(tensors[0].dtype, tuple(shape))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        return [np.concatenate([np.asarray(array) for array in inputs], self.axis)]

    def transposed(self, node: Node, perm: tuple[int, ...]) -> Op | None:
        return Concat(perm.index(self.axis))

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        target = contiguous_strides(node.output.shape)
        copies, begin = [], 0
        for index, tensor in enumerate(node.present_inputs):
            copies.append(
                copy_context(
                    tensor.shape,
                    contiguous_strides(tensor.shape),
                    target,
                    argument=index,
                    target_offset=begin * target[self.axis],
                )
            )
            begin += tensor.shape[self.axis]
        return copy_lowering(node, copies)


def check_concat(node: OnnxNode, tensors: Sequence[Tensor], axis: int) -> None:
    """All of one type, and of one shape but for the axis."""
    first = tensors[0]
    for tensor in tensors:
        if tensor.dtype is not first.dtype:
            raise node.invalid("its operands differ in type")
        rest = [size for index, size in enumerate(tensor.shape) if index != axis]
        if len(tensor.shape) != len(first.shape) or rest != [
            size for index, size in enumerate(first.shape) if index != axis
        ]:
            raise node.invalid(f"its operands differ beside axis {axis}")


def _reflected(size: int, begin: int, end: int) -> tuple[int, ...]:
    turn = max(1, 2 * size - 2)
    places = (place % turn for place in range(-begin, size + end))
    return tuple(place if place < size else turn - place for place in places)


BORDERS: dict[str, Callable[[int, int, int], tuple[int, ...]]] = {
    "reflect": _reflected,
    "edge": lambda size, begin, end: (0,) * begin + tuple(range(size)) + (size - 1,) * end,
    "wrap": lambda size, begin, end: tuple(i % size for i in range(-begin, size + end)),
}
"""Indices of an axis's elements with so many before and behind it, by the mode of Pad."""


@dataclass(frozen=True)
class Border(ResizeNearest):
    """The input's own elements around it; `indices` as there."""

    @property
    def kind(self) -> str:
        return "Pad"


def _cropped(
    node: OnnxNode, x: Tensor, begin: list[int], end: list[int]
) -> tuple[Tensor, list[int], list[int]]:
    """The tensor without what negative padding takes away, and the padding that is left."""
    if min(begin + end, default=0) >= 0:
        return x, begin, end
    starts = tuple(max(0, -pad) for pad in begin)
    sizes = tuple(n - a - max(0, -b) for n, a, b in zip(x.shape, starts, end, strict=True))
    if min(sizes) < 1:
        raise node.invalid(f"its pads take more away than {list(x.shape)} has")
    part = node.add(Slice(starts, sizes, (1,) * len(sizes)), [x], suffix="crop", quant=x.quant)
    return part, [max(0, pad) for pad in begin], [max(0, pad) for pad in end]


@dataclass(frozen=True)
class Pad(Movement):
    """Constant values around the input: `value`, in the elements' own terms, or where there is a
    second input its one element.
    """

    onnx_types = ("Pad",)
    reads_all = False
    reads_doubles = True

    begin: tuple[int, ...]
    end: tuple[int, ...]
    value: float = 0.0

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.input(0)
        rank = len(x.shape)
        mode = node.attr_str("mode", "constant")
        if mode not in ("constant", *BORDERS):
            raise node.invalid(f"mode {mode!r} is not one of ONNX's")
        value: float = 0.0
        computed = None
        if node.opset < 11:
            name = "pads" if node.opset > 1 else "paddings"
            pads, value = node.attr_ints(name), node.attr_float("value", 0.0)
        else:
            pads = node.ints(1, "pads")
            if (given := node.optional(2)) is not None:
                if given.element_count != 1 or given.dtype is not x.dtype:
                    raise node.invalid(
                        f"its value has {given.element_count} elements of type {given.dtype.value}"
                    )
                if node.is_static(given) or x.is_constant or mode != "constant":
                    value = node.static(2, "value").reshape(-1)[0].item()
                else:
                    computed = given
        if not x.dtype.is_float:
            if not math.isfinite(value):
                raise node.invalid(f"its value {value} for integers")
            value = int(value)
        axes = node.ints(3, "axes")
        axes = tuple(range(rank)) if axes is None else node.axes(axes, rank)
        if pads is None or len(pads) != 2 * len(axes):
            raise node.invalid(f"pads {pads} for rank {rank}")
        begin, end = [0] * rank, [0] * rank
        for index, axis in enumerate(axes):
            begin[axis], end[axis] = pads[index], pads[index + len(axes)]
        if max(map(abs, begin + end), default=0) > node.tensor_elements:
            raise node.invalid(f"pads {list(pads)}")
        x, begin, end = _cropped(node, x, begin, end)
        if not any(begin + end):
            node.alias(x)
        elif mode == "constant":
            operands = [x] if computed is None else [x, computed]
            node.emit(cls(tuple(begin), tuple(end), value), operands)
        else:
            pads_of = list(zip(x.shape, begin, end, strict=True))
            if max(sum(each) for each in pads_of) > LONGEST_BORDERED:
                raise node.unsupported(f"an axis of more than {LONGEST_BORDERED:,} elements")
            node.emit(Border(tuple(BORDERS[mode](*each) for each in pads_of)), [x])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        sizes = zip(x.shape, self.begin, self.end, strict=True)
        return [TensorType(x.dtype, tuple(size + a + b for size, a, b in sizes))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        pads = list(zip(self.begin, self.end, strict=True))
        value = self.value if len(inputs) < 2 else np.asarray(inputs[1]).item()
        return [np.pad(np.asarray(inputs[0]), pads, constant_values=value)]

    def transposed(self, node: Node, perm: tuple[int, ...]) -> Op | None:
        return Pad(
            tuple(self.begin[axis] for axis in perm),
            tuple(self.end[axis] for axis in perm),
            self.value,
        )

    def signed(self, node: Node) -> Op | None:
        return Pad(self.begin, self.end, self.value - node.input(0).dtype.sign_offset)

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x, y = node.input(0), node.output
        target = contiguous_strides(y.shape)
        offset = sum(begin * stride for begin, stride in zip(self.begin, target, strict=True))
        copy = copy_context(x.shape, contiguous_strides(x.shape), target, target_offset=offset)
        fill = number_literal(self.value, y.dtype) if len(node.inputs) < 2 else "*x1"
        return copy_lowering(node, [copy], has_fill=True, fill=fill)
