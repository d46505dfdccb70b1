"""Parts of tensors: ONNX Slice-1.., Split-2.., Gather-1.. with constant indices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nn2wasm.ir import Array, Node, Op, Shape, Tensor, TensorType
from nn2wasm.ops.broadcast import contiguous_strides
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.movement import Movement, copy_context, copy_lowering
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.shape import Reshape


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
        if 0 in count and not x.is_constant:
            raise node.unsupported("an empty slice")
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
    axis = node.axis(node.attr_int("axis", 0), len(x.shape))
    size, count = x.shape[axis], len(node.output_names)
    parts = node.attr_ints("split") if node.opset < 13 else node.ints(1, "split")
    if parts is None:
        chunk = -(-size // count)
        parts = tuple(min(chunk, size - chunk * index) for index in range(count))
    if len(parts) != count or sum(parts) != size or min(parts) < 1:
        raise node.invalid(f"split {list(parts)} does not divide axis {axis} of {list(x.shape)}")
    outputs, start = [], 0
    for index, part in enumerate(parts):
        starts, sizes = [0] * len(x.shape), list(x.shape)
        starts[axis], sizes[axis] = start, part
        op = Slice(tuple(starts), tuple(sizes), (1,) * len(x.shape))
        outputs.append(node.add(op, [x], suffix=f"part{index}"))
        start += part
    node.alias(*outputs)


@dataclass(frozen=True)
class Gather(Movement):
    """Slices of an axis at constant indices."""

    onnx_types = ("Gather",)
    kernels = (
        Kernel(symbol="nn_gather__scalar", template="movement/gather__scalar.c.j2", dtype="any"),
    )

    axis: int
    indices: tuple[int, ...]
    index_shape: Shape

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x = node.input(0)
        if not x.shape:
            raise node.invalid("a gather from a scalar")
        axis = node.axis(node.attr_int("axis", 0), len(x.shape))
        if not node.input(1).is_constant:
            raise node.unsupported("indices computed at run time")
        indices = node.constant(1, "indices")
        if indices.dtype.kind not in "iu":
            raise node.invalid("its indices are not integers")
        size = x.shape[axis]
        flat = [int(index) for index in indices.reshape(-1)]
        if any(not -size <= index < size for index in flat):
            raise node.invalid(f"an index outside axis {axis} of {list(x.shape)}")
        op = cls(axis, tuple(index % size for index in flat), indices.shape)
        if not x.is_constant and len(flat) == 1 and not indices.shape:
            starts, sizes = [0] * len(x.shape), list(x.shape)
            starts[axis], sizes[axis] = op.indices[0], 1
            part = node.add(
                Slice(tuple(starts), tuple(sizes), (1,) * len(sizes)), [x], suffix="slice"
            )
            node.emit(Reshape((*x.shape[:axis], *x.shape[axis + 1 :])), [part])
        else:
            node.emit(op, [x])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x = inputs[0]
        assert x is not None
        shape = (*x.shape[: self.axis], *self.index_shape, *x.shape[self.axis + 1 :])
        return [TensorType(x.dtype, shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        indices = np.asarray(self.indices, np.int64).reshape(self.index_shape)
        return [np.take(np.asarray(inputs[0]), indices, self.axis)]

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x = node.input(0)
        inner = int(np.prod(x.shape[self.axis + 1 :], dtype=np.int64))
        context = {
            "type": x.dtype.c_name,
            "outer": int(np.prod(x.shape[: self.axis], dtype=np.int64)),
            "count": len(self.indices),
            "inner": inner,
            "slab": x.shape[self.axis] * inner,
        }
        return Lowering(context=context, constants={"index": np.asarray(self.indices, np.int32)})
