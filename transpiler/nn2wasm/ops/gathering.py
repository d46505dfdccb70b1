"""Elements and slices at given indices: ONNX Gather-1.., GatherElements-11.., GatherND-11..

    Gather          y[outer, i, inner] = x[outer, index[i], inner]
    GatherElements  y[…, i, …] = x[…, index[…, i, …], …]
    GatherND        y[batch, i, inner] = x[batch, index[batch, i, 0], index[batch, i, 1], …, inner]

Negative indices count from the end. Constant ones outside the axis are refused; ones that are
computed at run time name the nearest element then, so that nothing outside the tensor is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from nn2wasm.ir import Array, DType, Node, Shape, Tensor, TensorType
from nn2wasm.ops.broadcast import (
    contiguous_strides,
    index_expression,
    loop_context,
    merge_loops,
)
from nn2wasm.ops.kernel import Kernel, Lowering
from nn2wasm.ops.movement import Movement
from nn2wasm.ops.onnx_node import OnnxNode
from nn2wasm.ops.shape import Reshape
from nn2wasm.ops.slicing import Slice

INDEXING = ("nn2wasm/indexing.h",)


def index_input(node: OnnxNode, at: int) -> Tensor:
    """The input of indices, checked to be integers of 32 or 64 bits."""
    indices = node.input(at)
    if indices.dtype not in (DType.S32, DType.S64):
        raise node.invalid(f"indices of type {indices.dtype.value}; s32 and s64 are ONNX's")
    return indices


def check_indices(node: OnnxNode, indices: Tensor, size: int, axis: int) -> None:
    """Refuses constant indices that name no element of an axis."""
    if indices.data is not None and not ((-size <= indices.data) & (indices.data < size)).all():
        raise node.invalid(f"an index outside axis {axis}, which has {size} elements")


def bounded(indices: Array, size: int) -> Array:
    """Indices counted from the front, those that name no element moved to the nearest."""
    wide = np.asarray(indices, np.int64)
    return np.clip(np.where(wide < 0, wide + size, wide), 0, size - 1)


@dataclass(frozen=True)
class Gather(Movement):
    """Slices of an axis at indices known at compile time."""

    onnx_types = ("Gather",)
    kernels = (
        Kernel(symbol="nn_gather__scalar", template="movement/gather__scalar.c.j2", dtype="any"),
    )

    axis: int
    indices: tuple[int, ...]
    index_shape: Shape

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x, given = node.input(0), index_input(node, 1)
        if not x.shape:
            raise node.invalid("a gather from a scalar")
        axis = node.axis(node.attr_int("axis", 0), len(x.shape))
        check_indices(node, given, x.shape[axis], axis)
        if given.data is None:
            node.emit(GatherAt(axis), [x, given])
            return
        size = x.shape[axis]
        op = cls(axis, tuple(int(i) % size for i in given.data.reshape(-1)), given.shape)
        if not x.is_constant and not given.shape:
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
        context = _slabs(node.input(0), self.axis, len(self.indices))
        return Lowering(context=context, constants={"index": np.asarray(self.indices, np.int32)})


@dataclass(frozen=True)
class GatherAt(Movement):
    """Slices of an axis at indices computed at run time: inputs x, indices."""

    kernels = (
        Kernel(
            symbol="nn_gather_at__scalar",
            template="indexing/gather__scalar.c.j2",
            dtype="any",
            headers=INDEXING,
        ),
    )

    axis: int

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x, indices = inputs
        assert x is not None
        assert indices is not None
        shape = (*x.shape[: self.axis], *indices.shape, *x.shape[self.axis + 1 :])
        return [TensorType(x.dtype, shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x, indices = (np.asarray(array) for array in inputs)
        return [np.take(x, bounded(indices, x.shape[self.axis]), self.axis)]

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x, indices = node.input(0), node.input(1)
        context = _slabs(x, self.axis, indices.element_count)
        context |= {"size": x.shape[self.axis], "index_type": indices.dtype.c_name}
        return Lowering(context=context, arguments=(0, 1))


def _slabs(x: Tensor, axis: int, count: int) -> dict[str, object]:
    """Sizes of a nest [outer][count][inner] that reads x as [outer][size][inner]."""
    inner = prod(x.shape[axis + 1 :])
    return {
        "type": x.dtype.c_name,
        "outer": prod(x.shape[:axis]),
        "count": count,
        "inner": inner,
        "slab": x.shape[axis] * inner,
    }


@dataclass(frozen=True)
class GatherElements(Movement):
    """Inputs x, indices of x's rank; `axis` is the one whose index is replaced."""

    onnx_types = ("GatherElements",)
    kernels = (
        Kernel(
            symbol="nn_gather_elements__scalar",
            template="indexing/gather_elements__scalar.c.j2",
            dtype="any",
            headers=INDEXING,
        ),
    )

    axis: int

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x, indices = node.input(0), index_input(node, 1)
        axis = node.axis(node.attr_int("axis", 0), len(x.shape))
        check_elements(node, x.shape, indices, axis)
        node.emit(cls(axis), [x, indices])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x, indices = inputs
        assert x is not None
        assert indices is not None
        return [TensorType(x.dtype, indices.shape)]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x, indices = (np.asarray(array) for array in inputs)
        return [x[element_places(x.shape, indices, self.axis)]]

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x, indices = node.input(0), node.input(1)
        return Lowering(
            context=element_loops(x, indices, self.axis) | {"type": x.dtype.c_name},
            arguments=(0, 1),
        )


def check_elements(node: OnnxNode, shape: Shape, indices: Tensor, axis: int) -> None:
    """Refuses indices of elements whose shape does not lie inside the tensor's."""
    rest = [a for a in range(len(shape)) if a != axis]
    if not shape or len(indices.shape) != len(shape):
        raise node.invalid("its indices have another rank than its data, or that is a scalar")
    if any(indices.shape[a] > shape[a] for a in rest):
        raise node.invalid(f"indices of shape {list(indices.shape)} for data of {list(shape)}")
    check_indices(node, indices, shape[axis], axis)


def element_places(shape: Shape, indices: Array, axis: int) -> tuple[Array, ...]:
    """Where the elements lie, for numpy: the indices along the axis, the own ones elsewhere."""
    places: list[Array] = list(np.indices(indices.shape, sparse=True))
    places[axis] = bounded(indices, shape[axis])
    return tuple(places)


def element_loops(x: Tensor, indices: Tensor, axis: int) -> dict[str, object]:
    """Loops over indices of elements; where in x each begins, and the step along the axis."""
    own = list(contiguous_strides(x.shape))
    step, own[axis] = own[axis], 0
    loops = merge_loops(indices.shape, [tuple(own), contiguous_strides(indices.shape)])
    return {
        **loop_context(loops),
        "x_index": index_expression(loops, 0),
        "i_index": index_expression(loops, 1),
        "size": x.shape[axis],
        "step": step,
        "axis": axis,
        "index_type": indices.dtype.c_name,
    }


@dataclass(frozen=True)
class GatherND(Movement):
    """Inputs x, indices [batch …, count …, k]: k indices behind the batch axes name a slice."""

    onnx_types = ("GatherND",)
    kernels = (
        Kernel(
            symbol="nn_gather_nd__scalar",
            template="indexing/gather_nd__scalar.c.j2",
            dtype="any",
            headers=INDEXING,
        ),
    )

    batch_axes: int = 0

    @classmethod
    def from_onnx(cls, node: OnnxNode) -> None:
        x, indices = node.input(0), index_input(node, 1)
        batch = node.attr_int("batch_dims", 0)
        check_tuples(node, x.shape, indices, batch)
        node.emit(cls(batch), [x, indices])

    def infer(self, inputs: Sequence[Tensor | None]) -> list[TensorType]:
        x, indices = inputs
        assert x is not None
        assert indices is not None
        slice_shape = x.shape[self.batch_axes + indices.shape[-1] :]
        return [TensorType(x.dtype, (*indices.shape[:-1], *slice_shape))]

    def evaluate(self, inputs: Sequence[Array | None]) -> list[Array] | None:
        x, indices = (np.asarray(array) for array in inputs)
        batch, k = self.batch_axes, indices.shape[-1]
        shape = (*indices.shape[:-1], *x.shape[batch + k :])
        flat = x.reshape(-1, *x.shape[batch:])
        rows = indices.reshape(flat.shape[0], -1, k)
        places = [bounded(rows[..., j], flat.shape[1 + j]) for j in range(k)]
        chosen = (np.arange(flat.shape[0])[:, None], *places)
        return [flat[chosen].reshape(shape)]

    def lower(self, node: Node, kernel: Kernel) -> Lowering:
        x, indices = node.input(0), node.input(1)
        context = tuple_context(x, indices, self.batch_axes)
        return Lowering(context=context | {"type": x.dtype.c_name}, arguments=(0, 1))


def check_tuples(node: OnnxNode, shape: Shape, indices: Tensor, batch: int) -> None:
    """Refuses tuples of indices that do not name slices of the tensor."""
    if not shape or not indices.shape:
        raise node.invalid("its data or its indices are a scalar")
    k = indices.shape[-1]
    if not 0 <= batch < min(len(shape), len(indices.shape)) or not 1 <= k <= len(shape) - batch:
        raise node.invalid(f"batch_dims {batch}, {k} indices a tuple, data of rank {len(shape)}")
    if indices.shape[:batch] != shape[:batch]:
        raise node.invalid(f"data and indices differ along the first {batch} axes")
    if indices.data is not None:
        for j in range(k):
            column = Tensor.constant(indices.name, indices.data[..., j])
            check_indices(node, column, shape[batch + j], batch + j)


def tuple_context(x: Tensor, indices: Tensor, batch: int) -> dict[str, object]:
    """Sizes of a nest [batch][count] of tuples, each of which names `inner` elements of x."""
    k, strides = indices.shape[-1], contiguous_strides(x.shape)
    terms = [f"nn_index(index[{j}], {x.shape[batch + j]}) * {strides[batch + j]}" for j in range(k)]
    return {
        "batch": prod(x.shape[:batch]),
        "count": prod(indices.shape[batch:-1]),
        "k": k,
        "slab": prod(x.shape[batch:]),
        "inner": prod(x.shape[batch + k :]),
        "terms": terms,
        "index_type": indices.dtype.c_name,
    }
