"""Parts of tensors: ONNX Slice-1.., Split-2.."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nn2wasm.ir import Array, Node, Op, Tensor, TensorType
from nn2wasm.ops.broadcast import contiguous_strides
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.movement import Movement, copy_context, copy_lowering
from nn2wasm.ops.onnx_node import OnnxNode


@dataclass(frozen=True)
class Slice(Movement):
    """start, start + step, … of each axis; `sizes` says how many."""

    onnx_types = ("Slice", "Split")

    starts: tuple[int, ...]
    sizes: tuple[int, ...]
    steps: tuple[int, ...]

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        if node.op_type == "Split":
            _import_split(node)
            return
        x = node.input(0)
        rank = len(x.shape)
        if node.opset < 10:
            starts, ends = node.attr_ints("starts"), node.attr_ints("ends")
            axes, steps = node.attr_ints("axes"), None
        else:
            starts, ends = node.ints(1, "starts"), node.ints(2, "ends")
            axes, steps = node.ints(3, "axes"), node.ints(4, "steps")
        if starts is None or ends is None:
            raise node.invalid("its starts or ends are missing")
        axes = tuple(range(len(starts))) if axes is None else axes
        steps = (1,) * len(starts) if steps is None else steps
        if not len(starts) == len(ends) == len(axes) == len(steps):
            raise node.invalid("starts, ends, axes and steps differ in length")
        first, count, stride = [0] * rank, list(x.shape), [1] * rank
        for start, end, axis, step in zip(starts, ends, node.axes(axes, rank), steps, strict=True):
            if step == 0:
                raise node.invalid("a step of 0")
            indices = range(x.shape[axis])[slice(start, _end(end, x.shape[axis], step), step)]
            first[axis], count[axis], stride[axis] = (
                indices.start if indices else 0, len(indices), step,
            )  # fmt: skip
        node.emit(cls(tuple(first), tuple(count), tuple(stride)), [x])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        return [TensorType(x.dtype, self.sizes)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x = np.asarray(inputs[0])
        axes = zip(self.starts, self.sizes, self.steps, strict=True)
        grid = [start + np.arange(size) * step for start, size, step in axes]
        return [x[np.ix_(*grid)]] if grid else [x]

    def transposed(self, node: Node, perm: tuple[int, ...]) -> Op | None:
        def move(values: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(values[axis] for axis in perm)

        return Slice(move(self.starts), move(self.sizes), move(self.steps))

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x, y = node.input(0), node.output
        own = contiguous_strides(x.shape)
        source = tuple(stride * step for stride, step in zip(own, self.steps, strict=True))
        offset = sum(start * stride for start, stride in zip(self.starts, own, strict=True))
        copy = copy_context(y.shape, source, contiguous_strides(y.shape), source_offset=offset)
        return copy_lowering(node, [copy])


def _end(end: int, size: int, step: int) -> int | None:
    """A slice's end for Python: below all indices means the front for a negative step."""
    return None if step < 0 and end < -size else end


def _import_split(node: OnnxNode) -> None:
    x = node.input(0)
    if not x.shape:
        raise node.invalid("its input is a scalar")
    axis = node.axis(node.attr_int("axis", 0), len(x.shape))
    size, count = x.shape[axis], len(node.output_names)
    parts = node.attr_ints("split") if node.opset < 13 else node.ints(1, "split")
    if parts is None:
        chunk = -(-size // count)
        parts = tuple(min(chunk, size - chunk * index) for index in range(count))
    if len(parts) != count or sum(parts) != size or min(parts) < 0:
        raise node.invalid(f"split {list(parts)} does not divide axis {axis} of {list(x.shape)}")
    outputs, start = [], 0
    for index, part in enumerate(parts):
        starts, sizes = [0] * len(x.shape), list(x.shape)
        starts[axis], sizes[axis] = start, part
        op = Slice(tuple(starts), tuple(sizes), (1,) * len(x.shape))
        outputs.append(node.add(op, [x], suffix=f"part{index}"))
        start += part
    node.alias(*outputs)
